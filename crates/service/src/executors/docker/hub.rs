//! What the duties of the executor share: the daemon, whether it answers, the attempts, the events. Owns connecting, which
//! finds the containers of an earlier server, and giving attempts their turns.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bollard::models::{ContainerSummary, ContainerSummaryStateEnum as Summary};
use futures_util::StreamExt;
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until};

use super::container::Abilities;
use super::daemon::{Daemon, Fault};
use super::end::{self, Stage};
use super::link::Link;
use super::names::{self, Plan};
use super::program::Programs;
use super::run;
use super::settings::DockerSettings;
use super::table::{Source, Table, Turn};
use crate::executors::inbox::Inbox;
use crate::executors::{AttemptKey, ExecutorError, Launch, Observed, State};

/// After a failed attempt to connect, the next one waits this long.
const RETRY_PAUSE: Duration = Duration::from_millis(250);
/// How often a daemon that nobody calls is asked whether it is there.
const PING_PERIOD: Duration = Duration::from_secs(5);
/// Containers that are looked at together.
const INSPECTIONS: usize = 16;
/// A container that could not be removed is tried again after this pause.
const REMOVE_AGAIN: Duration = Duration::from_secs(1);

/// The shared parts.
pub struct Hub {
    /// What the operator decides.
    pub settings: DockerSettings,
    /// The id of this installation.
    pub installation: String,
    /// The calls.
    pub daemon: Daemon,
    /// Whether it answers.
    pub link: Link,
    /// Where programs were found.
    pub programs: Programs,
    inbox: Inbox,
    table: Mutex<Table>,
    tasks: Mutex<JoinSet<()>>,
    connecting: tokio::sync::Mutex<Connecting>,
    to_remove: Notify,
    has_no_init: AtomicBool,
    is_podman: AtomicBool,
}

#[derive(Default)]
struct Connecting {
    retry_at: Option<Instant>,
    duties_run: bool,
}

impl Hub {
    /// Not connected yet.
    pub fn new(settings: DockerSettings) -> io::Result<Hub> {
        let directory = settings.data.join("docker");
        Ok(Hub {
            installation: names::installation(&directory)?,
            daemon: Daemon::new(&settings.socket),
            settings,
            link: Link::new(),
            programs: Programs::default(),
            inbox: Inbox::default(),
            table: Mutex::default(),
            tasks: Mutex::default(),
            connecting: tokio::sync::Mutex::default(),
            to_remove: Notify::new(),
            has_no_init: AtomicBool::new(false),
            is_podman: AtomicBool::new(false),
        })
    }

    /// What the daemon can do.
    pub fn able(&self) -> Abilities {
        let is_podman = self.is_podman.load(Ordering::Relaxed);
        let init = !self.has_no_init.load(Ordering::Relaxed);
        Abilities { init, local_log: !is_podman, owned_memory: !is_podman }
    }

    /// Takes note when a daemon says that it misses its init. True when the container is to be made anew, without.
    pub fn lacks_init(&self, message: &str) -> bool {
        let says_so = ["docker-init", "catatonit", "container-init"].iter().any(|init| message.contains(init));
        if !says_so || !self.able().init {
            return false;
        }
        if !self.has_no_init.swap(true, Ordering::Relaxed) {
            tracing::warn!(message, "containers run without an init: the daemon has none");
        }
        true
    }

    /// Connects unless that is done.
    pub async fn ensure(self: &Arc<Self>) -> Result<(), ExecutorError> {
        if self.link.is_up() {
            return Ok(());
        }
        let mut connecting = self.connecting.lock().await;
        if self.link.is_up() {
            return Ok(());
        }
        if let Some(at) = connecting.retry_at {
            sleep_until(at).await;
        }
        if let Err(fault) = self.connect().await {
            connecting.retry_at = Some(Instant::now() + RETRY_PAUSE);
            return Err(unreachable(&fault.to_string()));
        }
        connecting.retry_at = None;
        if !connecting.duties_run {
            connecting.duties_run = true;
            self.spawn(Arc::clone(self).watch_link());
            self.spawn(Arc::clone(self).remove_containers());
        }
        self.link.made();
        self.take_turns();
        Ok(())
    }

    /// Finds the containers of an earlier server.
    async fn connect(self: &Arc<Self>) -> Result<(), Fault> {
        let (name, version) = self.daemon.version().await?;
        tracing::info!(name, version, socket = %self.settings.socket.display(), "connected to the container daemon");
        self.is_podman.store(name.contains("Podman"), Ordering::Relaxed);
        let mut left = Vec::new();
        let mut started = Vec::new();
        for container in self.daemon.list(&self.installation).await? {
            let labels = container.labels.as_ref();
            let Some(plan) = labels.and_then(|labels| Plan::read(labels, &self.installation)) else {
                continue;
            };
            match is_created(&container) {
                _ if self.table().knows(plan.key) => {}
                true => left.push((container.created.unwrap_or_default(), plan)),
                false => started.push(plan),
            }
        }
        let looks = started.into_iter().map(|plan| async move {
            match self.daemon.inspect(&names::container(plan.key)).await {
                Ok(found) => Ok(Some((plan, end::stage(&found.state.unwrap_or_default())))),
                Err(fault) if fault.is(404) => Ok(None),
                Err(fault) => Err(fault),
            }
        });
        let found: Vec<_> = futures_util::stream::iter(looks).buffer_unordered(INSPECTIONS).collect().await;
        for one in found {
            match one? {
                Some((plan, Stage::Created)) => left.push((0, plan)),
                Some((plan, stage)) => self.adopt(plan, &stage),
                None => {}
            }
        }
        left.sort_by_key(|(created, plan)| (*created, plan.key));
        for (_, plan) in left {
            self.table().add(Source::Left(plan));
        }
        Ok(())
    }

    /// Goes on with a container that was started. One that has ended counts as running until its log is read.
    fn adopt(self: &Arc<Self>, plan: Plan, stage: &Stage) {
        let started_at_ms = match stage {
            Stage::Running { started_at_ms } | Stage::Ended { started_at_ms } => *started_at_ms,
            Stage::Created => return,
        };
        let state = State::Running { started_at_ms };
        let turn = self.table().adopt(plan, state.clone());
        if let Some(turn) = turn {
            self.inbox.put(vec![Observed { key: plan.key, state }]);
            self.begin(turn);
        }
    }

    /// Takes launches into the queue.
    pub fn launch(self: &Arc<Self>, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        let mut table = self.table();
        if !table.has_room(launches.len()) {
            return Err(ExecutorError::Full("it knows as many attempts as it can".into()));
        }
        for launch in launches {
            table.add(Source::New(Box::new(launch)));
        }
        drop(table);
        self.take_turns();
        Ok(())
    }

    /// Passes on that an attempt is to end.
    pub fn cancel(&self, key: AttemptKey, deadline: Instant) {
        let ended = self.table().cancel(key, deadline);
        if let Some(state) = ended {
            self.inbox.put(vec![Observed { key, state }]);
            self.to_remove.notify_one();
        }
    }

    /// What is known.
    pub fn list(&self) -> Vec<Observed> {
        self.table().list()
    }

    /// Drops ends that are recorded.
    pub fn forget(&self, keys: &[AttemptKey]) {
        self.table().forget(keys);
        self.to_remove.notify_one();
    }

    /// The next events, or nothing when there was a reason to look again.
    pub async fn events(&self) -> Result<Option<Vec<Observed>>, ExecutorError> {
        self.inbox.next().await
    }

    /// An attempt has another state.
    pub fn report(self: &Arc<Self>, key: AttemptKey, state: State) {
        self.table().set(key, state.clone());
        let is_final = state.is_final();
        self.inbox.put(vec![Observed { key, state }]);
        if is_final {
            self.take_turns();
        }
    }

    /// Has the container of an attempt removed.
    pub fn discard(&self, key: AttemptKey) {
        self.table().leave(key);
        self.to_remove.notify_one();
    }

    /// Whether the container of an attempt is on its way out.
    pub fn is_leaving(&self, key: AttemptKey) -> bool {
        self.table().is_leaving(key)
    }

    fn take_turns(self: &Arc<Self>) {
        let most = usize::try_from(self.settings.max_running.max(1)).unwrap_or(usize::MAX);
        loop {
            let turn = self.table().next(most);
            match turn {
                Some(turn) => self.begin(turn),
                None => return,
            }
        }
    }

    fn begin(self: &Arc<Self>, turn: Turn) {
        self.spawn(run::drive(Arc::clone(self), turn));
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = lock(&self.tasks);
        while let Some(ended) = tasks.try_join_next() {
            if let Err(error) = ended {
                tracing::error!(%error, "a duty of the docker executor failed");
            }
        }
        tasks.spawn(task);
    }

    /// Ends all duties. Containers go on.
    pub fn stop(&self) {
        lock(&self.tasks).abort_all();
    }

    /// Calls until the daemon answers, whatever it says.
    pub async fn persist<T, F>(&self, call: impl Fn() -> F) -> Result<T, Fault>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        loop {
            let number = self.link.up().await;
            match call().await {
                Err(Fault::Unreachable(why)) => self.doubt(number, &why).await,
                answer => return answer,
            }
        }
    }

    /// A call got no answer. If the daemon is gone, all are told; else it is time for another try.
    pub async fn doubt(&self, number: u64, why: &str) {
        if self.link.is(number) && self.daemon.ping().await.is_err() {
            self.broke(number, why);
        }
        sleep(RETRY_PAUSE).await;
    }

    fn broke(&self, number: u64, why: &str) {
        if self.link.broke(number) {
            tracing::warn!(why, "the container daemon does not answer");
            self.inbox.fail(unreachable(why));
        }
    }

    async fn watch_link(self: Arc<Self>) {
        loop {
            let number = self.link.up().await;
            sleep(PING_PERIOD).await;
            if let Err(fault) = self.daemon.ping().await {
                self.broke(number, &fault.to_string());
            }
        }
    }

    async fn remove_containers(self: Arc<Self>) {
        loop {
            let next = self.table().removal();
            let Some(key) = next else {
                self.to_remove.notified().await;
                continue;
            };
            let name = names::container(key);
            match self.persist(|| self.daemon.remove(&name)).await {
                Ok(()) => self.table().removed(true),
                Err(fault) if fault.is(404) => self.table().removed(true),
                Err(fault) => {
                    tracing::warn!(name, error = %fault, "a container can't be removed");
                    self.table().removed(false);
                    sleep(REMOVE_AGAIN).await;
                }
            }
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        lock(&self.table)
    }
}

fn is_created(container: &ContainerSummary) -> bool {
    container.state == Some(Summary::CREATED)
}

fn unreachable(why: &str) -> ExecutorError {
    ExecutorError::Unreachable(format!("the container daemon: {why}"))
}

/// A lock whose holder panicked still guards whole values here: each change is one call of the table.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
