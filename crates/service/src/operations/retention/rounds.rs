//! When rounds begin: each organization's in turn, every so often and when somebody asks, one at a time.

use super::super::Service;
use super::round::{self, Halt};
use crate::access::local_caller;
use crate::store::{RetentionStore, StoreError};
use docket_contract::retention::{Policies, PolicySource, RetentionPolicy, RetentionRule};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

/// The longest time from the start to the first round: whoever restarts often has rounds, too.
const FIRST: Duration = Duration::from_secs(60);
/// Organizations that are read at once.
const ORGANIZATIONS: usize = 100;

/// What the configuration says of retention.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetentionSettings {
    /// From the end of a round to the beginning of the next one; none goes on by itself without.
    pub every: Option<Duration>,
    /// Policies; at most one for each organization, storage and type.
    pub policies: Vec<ConfiguredPolicy>,
}

/// A policy of the configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfiguredPolicy {
    /// For whom; for every organization without.
    pub organization: Option<String>,
    /// What it says.
    pub rule: RetentionRule,
}

/// Policies, and who waits for a round.
pub struct Retention {
    pub(super) store: Arc<dyn RetentionStore>,
    settings: RetentionSettings,
    rounds: Mutex<Rounds>,
    asked: Notify,
}

#[derive(Default)]
struct Rounds {
    /// Organizations that wait for a round that they have asked for.
    asked: BTreeSet<String>,
    /// Whose round goes on.
    going_on: Option<String>,
}

impl Rounds {
    fn has(&self, organization: &str) -> bool {
        self.asked.contains(organization) || self.going_on.as_deref() == Some(organization)
    }
}

/// A round goes on as long as this lives.
struct Turn<'a> {
    retention: &'a Retention,
    organization: String,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.retention.rounds().going_on = None;
    }
}

impl Retention {
    /// With these settings; nobody has asked for a round.
    pub fn new(store: Arc<dyn RetentionStore>, settings: RetentionSettings) -> Self {
        Self { store, settings, rounds: Mutex::default(), asked: Notify::new() }
    }

    /// The policies that count for an organization.
    pub(super) async fn policies(&self, organization: &str) -> Result<Policies, StoreError> {
        let of = |whose: Option<&str>| {
            let whose = whose.map(str::to_owned);
            let configured = self.settings.policies.iter().filter(move |policy| policy.organization == whose);
            configured.map(|policy| RetentionPolicy {
                rule: policy.rule.clone(),
                source: PolicySource::Configuration,
                user: None,
                modified_at: None,
            })
        };
        let own = self.store.policies(organization).await?;
        Ok(Policies::new(of(None).chain(of(Some(organization))).chain(own)))
    }

    /// Asks for a round; whether one was going on already, or waiting for its turn.
    pub(super) fn ask(&self, organization: &str) -> bool {
        let mut rounds = self.rounds();
        let already = rounds.has(organization);
        if !already {
            rounds.asked.insert(organization.to_owned());
            self.asked.notify_one();
        }
        already
    }

    /// Whether a round of an organization goes on, or waits for its turn.
    pub(super) fn goes_on(&self, organization: &str) -> bool {
        self.rounds().has(organization)
    }

    /// The turn of the next one who has asked.
    fn next_asked(&self) -> Option<Turn<'_>> {
        let mut rounds = self.rounds();
        let organization = rounds.asked.pop_first()?;
        rounds.going_on = Some(organization.clone());
        Some(Turn { retention: self, organization })
    }

    fn turn_of(&self, organization: String) -> Turn<'_> {
        self.rounds().going_on = Some(organization.clone());
        Turn { retention: self, organization }
    }

    fn rounds(&self) -> MutexGuard<'_, Rounds> {
        self.rounds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Makes rounds until `stop`.
pub async fn run(service: Arc<Service>, mut stop: watch::Receiver<bool>) {
    let every = service.retention.settings.every;
    let mut due = every.map(|every| Instant::now() + every.min(FIRST));
    while !*stop.borrow() {
        let is_due = tokio::select! {
            _ = stop.wait_for(|stopped| *stopped) => return,
            () = service.retention.asked.notified() => false,
            () = at(due) => true,
        };
        if is_due {
            for_all(&service, &stop).await;
            due = every.map(|every| Instant::now() + every);
        }
        for_those_who_asked(&service, &stop).await;
    }
}

/// Ready at a time, or never.
async fn at(due: Option<Instant>) {
    match due {
        Some(due) => tokio::time::sleep_until(due).await,
        None => std::future::pending().await,
    }
}

/// A round of each organization for which a policy counts. Whoever has asked meanwhile comes first.
pub(super) async fn for_all(service: &Service, stop: &watch::Receiver<bool>) {
    // Without keys all that is stored is of this one, which may have nothing but logs.
    let local = local_caller().organization;
    let mut after: Option<String> = None;
    let mut page = vec![local.clone()];
    loop {
        for organization in page {
            for_those_who_asked(service, stop).await;
            if *stop.borrow() {
                return;
            }
            match service.retention.policies(&organization).await {
                Ok(policies) if policies.is_empty() => {}
                Ok(_) => make(service, service.retention.turn_of(organization), stop).await,
                Err(error) => tracing::error!(%error, "the policies of retention can't be read"),
            }
        }
        page = match service.retention.store.organizations(after.as_deref(), ORGANIZATIONS).await {
            Ok(page) => page,
            Err(error) => {
                tracing::error!(%error, "the organizations for retention can't be read");
                return;
            }
        };
        let Some(last) = page.last().cloned() else { return };
        after = Some(last);
        page.retain(|organization| *organization != local);
    }
}

/// A round of each who has asked for one.
pub(super) async fn for_those_who_asked(service: &Service, stop: &watch::Receiver<bool>) {
    while !*stop.borrow()
        && let Some(turn) = service.retention.next_asked()
    {
        make(service, turn, stop).await;
    }
}

async fn make(service: &Service, turn: Turn<'_>, stop: &watch::Receiver<bool>) {
    match round::make(service, &turn.organization, stop.clone()).await {
        Ok(told) if told.jobs == 0 && told.log_entries == 0 && told.error.is_none() => {}
        Ok(told) => {
            let (jobs, results, entries, error) = (told.jobs, told.results, told.log_entries, told.error);
            tracing::info!(organization = turn.organization, jobs, results, entries, error, "a round of retention");
        }
        // The next round goes on where this one was.
        Err(Halt::Stopped) => {}
        Err(Halt::Failed(error)) => {
            tracing::error!(%error, organization = turn.organization, "a round of retention failed");
        }
    }
}
