//! From a launch to a container that runs. Owns that no attempt is started twice: a container is started only when it was
//! made a moment ago, or when a look at it says that it never ran.

use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::daemon::Fault;
use super::end::{Stage, stage};
use super::hub::Hub;
use super::names::Plan;
use super::table::Deadline;
use super::{container, image, sink};
use crate::executors::{CANCELED_BEFORE_START, Launch, files};

/// How often the daemon may fail at the same step before the attempt is refused.
const TRIES: u32 = 3;
/// Between two tries.
const PAUSE: Duration = Duration::from_millis(200);
/// A start that an earlier server asked for just before its end has reached the daemon after so long.
const SETTLE: Duration = Duration::from_secs(1);
/// A container of the same name that is being removed has gone after so long.
const LEAVE_LIMIT: Duration = Duration::from_secs(30);

/// The way of one attempt to its start.
pub struct Start<'a> {
    pub hub: &'a Hub,
    pub plan: Plan,
    pub name: &'a str,
    pub deadline: Deadline,
    /// There is a container of this attempt: made here or found as its own.
    pub has_container: bool,
}

/// What a container is before its start.
enum Made {
    /// Created by this call, so nobody has started it.
    Fresh,
    /// It was there.
    Found,
}

/// Why an attempt does not run.
pub enum Failure {
    /// It never ran, for this reason.
    Refused(String),
    /// The daemon went away during the start and does not start it again: it may have run.
    Lost,
}

impl From<String> for Failure {
    fn from(reason: String) -> Failure {
        Failure::Refused(reason)
    }
}

/// What a start came to.
enum Started {
    Done,
    /// The daemon has no init: the container must be made anew without.
    WithoutInit,
}

impl Start<'_> {
    /// Creates and starts the container.
    pub async fn launch(&mut self, launch: &Launch) -> Result<(), Failure> {
        let (data, key) = (self.hub.settings.data.clone(), self.plan.key);
        let prepared = files::blocking(move || sink::prepare(&data, key)).await;
        prepared.map_err(|error| format!("the log's directory can't be made: {error}"))?;
        let facts = self.facts(launch).await?;
        if let Some(reason) = container::refusal(launch, &facts) {
            return Err(reason.into());
        }
        loop {
            self.check_deadline()?;
            let made = self.create(launch, &facts).await?;
            self.has_container = true;
            if matches!(made, Made::Fresh) {
                let missing = self.hub.programs.refusal(&self.hub.daemon, self.name, launch, &facts).await;
                if let Some(reason) = missing {
                    return Err(reason.into());
                }
                self.check_deadline()?;
            }
            match self.start(made).await? {
                Started::Done => return Ok(()),
                Started::WithoutInit => self.make_room().await?,
            }
        }
    }

    /// Starts a container that an earlier server has created.
    pub async fn left(&mut self) -> Result<(), Failure> {
        self.has_container = true;
        sleep(SETTLE).await;
        self.check_deadline()?;
        match self.start(Made::Found).await? {
            Started::Done => Ok(()),
            Started::WithoutInit => Err("the daemon has no init for containers".to_owned().into()),
        }
    }

    fn check_deadline(&self) -> Result<(), String> {
        match self.deadline.borrow().is_some() {
            true => Err(CANCELED_BEFORE_START.into()),
            false => Ok(()),
        }
    }

    async fn facts(&mut self, launch: &Launch) -> Result<image::Facts, String> {
        let hub = self.hub;
        let limit = hub.settings.pull_limit;
        let facts = hub.persist(|| image::facts(&hub.daemon, &launch.image, limit));
        tokio::select! {
            facts = facts => facts.map_err(|fault| format!("the image {:?}: {fault}", launch.image))?,
            _ = self.deadline.wait_for(Option::is_some) => Err(CANCELED_BEFORE_START.into()),
        }
    }

    async fn create(&self, launch: &Launch, facts: &image::Facts) -> Result<Made, String> {
        let mut tries = 0;
        loop {
            let hub = self.hub;
            let body = container::body(launch, facts, &hub.settings, &hub.installation, hub.able());
            let created = hub.persist(|| hub.daemon.create(self.name, body.clone())).await;
            let Err(fault) = created else { return Ok(Made::Fresh) };
            tries += 1;
            match fault {
                Fault::Answer { status: 409, .. } if hub.is_leaving(self.plan.key) => self.make_room().await?,
                Fault::Answer { status: 409, ref message } if tries < TRIES => {
                    if self.is_ours().await.map_err(|fault| fault.to_string())? {
                        return Ok(Made::Found);
                    }
                    tracing::warn!(name = self.name, message, "a container of this name is not ours");
                    sleep(PAUSE).await;
                }
                // Podman looks for it already now.
                Fault::Answer { ref message, .. } if hub.lacks_init(message) => {}
                Fault::Answer { status, .. } if status >= 500 && tries < TRIES => sleep(PAUSE).await,
                fault => return Err(format!("the container can't be created: {fault}")),
            }
        }
    }

    /// Whether the container of this name belongs to this attempt. One that has just gone does not.
    async fn is_ours(&self) -> Result<bool, Fault> {
        match self.hub.persist(|| self.hub.daemon.inspect(self.name)).await {
            Ok(found) => {
                let labels = found.config.and_then(|config| config.labels).unwrap_or_default();
                let plan = Plan::read(&labels, &self.hub.installation);
                Ok(plan.is_some_and(|plan| plan.key == self.plan.key))
            }
            Err(fault) if fault.is(404) => Ok(false),
            Err(fault) => Err(fault),
        }
    }

    async fn start(&self, mut made: Made) -> Result<Started, Failure> {
        let daemon = &self.hub.daemon;
        // Somebody may have asked for the start before, and nobody knows what came of it.
        let mut uncertain = matches!(made, Made::Found);
        // This call has, and the daemon went away over it.
        let mut asked = false;
        let mut tries = 0;
        loop {
            if matches!(made, Made::Found) {
                match self.hub.persist(|| daemon.inspect(self.name)).await {
                    Ok(found) => match stage(&found.state.unwrap_or_default()) {
                        // A daemon that was killed during a start does not know of the process that runs.
                        Stage::Created if asked => return Err(Failure::Lost),
                        Stage::Created => {}
                        _ => return Ok(Started::Done),
                    },
                    Err(_) if uncertain => return Err(Failure::Lost),
                    Err(fault) => return Err(format!("the container can't be started: {fault}").into()),
                }
            }
            let number = self.hub.link.up().await;
            let fault = match daemon.start(self.name).await {
                Ok(()) => return Ok(Started::Done),
                Err(fault) => fault,
            };
            // Whatever came of it: from now on only a look tells.
            made = Made::Found;
            match fault {
                Fault::Unreachable(why) => {
                    (uncertain, asked) = (true, true);
                    self.hub.doubt(number, &why).await;
                }
                Fault::Answer { message, .. } if self.hub.lacks_init(&message) => return Ok(Started::WithoutInit),
                Fault::Answer { status, ref message } => {
                    if uncertain {
                        tracing::warn!(
                            name = self.name,
                            message,
                            "a start that was asked for before can't be repeated"
                        );
                        return Err(Failure::Lost);
                    }
                    tries += 1;
                    if status < 500 || message.contains("OCI runtime") || tries >= TRIES {
                        return Err(format!("the container can't be started: {message}").into());
                    }
                    sleep(PAUSE).await;
                }
            }
        }
    }

    /// Removes the container of this name, which never ran or was forgotten, and waits until it has gone.
    async fn make_room(&self) -> Result<(), String> {
        self.hub.discard(self.plan.key);
        let gone = async {
            while self.hub.is_leaving(self.plan.key) {
                sleep(PAUSE / 10).await;
            }
        };
        let waited = timeout(LEAVE_LIMIT, gone).await;
        waited.map_err(|_| "an earlier container of this attempt can't be removed".to_owned())
    }
}
