//! The executor of scenarios: finds out what a launched job does, lets the scripted executor play it, and acts at the
//! cues in the job's name, through the operations.

use super::file::{End, Part, Scenario};
use super::records::Recipe;
use super::timeline::{Act, timeline};
use crate::access::local_caller;
use crate::clock::Clock;
use crate::executors::scripted::{Cues, ScriptedExecutor};
use crate::executors::{AttemptKey, Executor, ExecutorError, Launch, LogRange, LogReader, Observed};
use crate::handler::{Handler, Live};
use crate::operations::Service;
use crate::store::{ControlStore, Scope, StoredJob};
use async_trait::async_trait;
use docket_contract::caller::{Caller, OwnJob};
use docket_contract::operations::{
    CancelJob, CancelJobInput, InsertJobResults, InsertJobResultsInput, ResultItems, UpdateJob, UpdateJobInput,
    UpdateResultData, UpdateResultDataInput,
};
use docket_contract::{Error, JobId, Role};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, Weak};
use std::time::Duration;
use uuid::Uuid;

/// What a job does that no part of the scenario fits: it runs for a second and finishes.
fn fallback() -> Part {
    Part { running: Duration::from_secs(1), end: End::Exit(0), ..Part::default() }
}

/// Plays a scenario.
pub struct Director {
    control: Arc<dyn ControlStore>,
    scenario: Arc<Scenario>,
    actors: Arc<Actors>,
    stage: ScriptedExecutor,
}

impl Director {
    /// Jobs are read from `control`.
    pub fn new(scenario: Arc<Scenario>, control: Arc<dyn ControlStore>, clock: Arc<dyn Clock>) -> Self {
        let actors = Arc::new(Actors::default());
        let time = move || clock.now().as_millis();
        let stage = ScriptedExecutor::with_cues(scenario.slots(), time, Arc::clone(&actors) as Arc<dyn Cues>);
        Self { control, scenario, actors, stage }
    }

    /// The service through which jobs report and write. It is known only after the engine that needs this executor.
    pub fn direct(&self, service: &Arc<Service>) {
        // Said once; a second service would change nothing.
        let _ = self.actors.service.set(Arc::downgrade(service));
    }

    /// The script of a job, with an actor for its cues.
    fn cast(&self, key: AttemptKey, stored: &StoredJob) -> Vec<String> {
        let spec = &stored.job.spec;
        let found = self.scenario.jobs.iter().position(|part| part.matches.fits(spec));
        let part = found.map_or_else(fallback, |place| self.scenario.jobs[place].clone());
        let made = timeline(&part);
        let mut actors = self.actors.lock();
        let take = actors.takes.entry(found).or_default();
        *take += 1;
        let seed = blake3::hash(format!("{} {found:?} {take}", self.scenario.seed).as_bytes());
        let seed = seed.as_bytes().first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let results = part.results;
        let recipe = Recipe {
            seed,
            failed: results.as_ref().map_or(0.0, |results| results.failed),
            job_type: results.as_ref().and_then(|results| results.job_type.clone()).or(spec.job_type.clone()),
        };
        let storage_id = results.and_then(|results| results.storage).or(spec.result_storage_id.clone());
        let caller = Caller {
            organization: stored.organization.clone(),
            role: Role::Worker,
            user: stored.job.user.clone(),
            job: Some(OwnJob { id: stored.job.id, attempt: stored.job.attempt }),
        };
        if storage_id.is_none() && made.acts.iter().any(|act| matches!(act, Act::Write { .. })) {
            tracing::warn!(job = %stored.job.id, "a job without resultStorageId can't write the scenario's results");
        }
        actors.cast.insert(key, Arc::new(Actor { caller, job: stored.job.id, storage_id, recipe, acts: made.acts }));
        made.script
    }
}

/// The actors of the attempts that play, and the service that they act through.
#[derive(Default)]
struct Actors {
    company: Mutex<Company>,
    service: OnceLock<Weak<Service>>,
}

#[derive(Default)]
struct Company {
    cast: HashMap<AttemptKey, Arc<Actor>>,
    /// How often each part was played; by its place, none for jobs that no part fits.
    takes: HashMap<Option<usize>, u64>,
}

impl Actors {
    fn lock(&self) -> MutexGuard<'_, Company> {
        self.company.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn dismiss(&self, keys: &[AttemptKey]) {
        let mut company = self.lock();
        for key in keys {
            company.cast.remove(key);
        }
    }
}

/// One attempt of a job.
struct Actor {
    /// The job itself, as its own token makes it.
    caller: Caller,
    job: JobId,
    storage_id: Option<String>,
    recipe: Recipe,
    acts: Vec<Act>,
}

#[async_trait]
impl Cues for Actors {
    async fn act(&self, key: AttemptKey, cue: &str) {
        let actor = self.lock().cast.get(&key).cloned();
        let service = self.service.get().and_then(Weak::upgrade);
        let (Some(actor), Some(service)) = (actor, service) else { return };
        let Some(act) = cue.parse::<usize>().ok().and_then(|number| actor.acts.get(number)) else { return };
        if let Err(error) = actor.act(&Live(service), act).await {
            tracing::warn!(%error, attempt = %key, ?act, "the scenario could not go on as written");
        }
    }
}

impl Actor {
    async fn act(&self, service: &impl Handler, act: &Act) -> Result<(), Error> {
        let (caller, job_id) = (self.caller.clone(), self.job);
        match act {
            Act::Report { percent, message } => {
                let input = UpdateJobInput {
                    job_id,
                    name: None,
                    description: None,
                    labels: None,
                    tags: None,
                    priority: None,
                    progress: *percent,
                    status_message: message.clone(),
                    attempt: None,
                };
                service.call::<UpdateJob>(caller, None, input).await?;
            }
            Act::Write { first, count } => {
                let Some(storage_id) = self.storage_id.clone() else { return Ok(()) };
                let results = ResultItems(self.recipe.records(*first, *count));
                let input = InsertJobResultsInput { job_id, storage_id, results, features_on: Vec::new() };
                service.call::<InsertJobResults>(caller, None, input).await?;
            }
            Act::Leave(data) => {
                let input = UpdateResultDataInput { job_id, result_data: data.clone() };
                service.call::<UpdateResultData>(caller, None, input).await?;
            }
            Act::Cancel(reason) => {
                let operator = Caller { organization: caller.organization, ..local_caller() };
                let input = CancelJobInput { job_id, reason: reason.clone(), grace_period_seconds: None };
                service.call::<CancelJob>(operator, None, input).await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Executor for Director {
    async fn launch(&self, launches: Vec<Launch>) -> Result<(), ExecutorError> {
        let mut scripts = Vec::with_capacity(launches.len());
        for launch in launches {
            let stored = self.control.read_job(&Scope::Everything, JobId(launch.key.job_id)).await;
            let stored = stored.map_err(|error| ExecutorError::Unreachable(error.to_string()))?;
            // A claimed job is not deleted before it has ended.
            let commands = stored.map_or_else(Vec::new, |stored| self.cast(launch.key, &stored));
            scripts.push(Launch { commands, ..launch });
        }
        self.stage.launch(scripts).await
    }

    async fn cancel(&self, key: AttemptKey, grace: Duration) -> Result<(), ExecutorError> {
        self.stage.cancel(key, grace).await
    }

    async fn list(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.stage.list().await
    }

    async fn forget(&self, keys: &[AttemptKey]) -> Result<(), ExecutorError> {
        self.actors.dismiss(keys);
        self.stage.forget(keys).await
    }

    async fn events(&self) -> Result<Vec<Observed>, ExecutorError> {
        self.stage.events().await
    }

    async fn read_log(&self, key: AttemptKey, range: LogRange) -> Result<LogReader, ExecutorError> {
        self.stage.read_log(key, range).await
    }

    async fn remove(&self, job_id: Uuid) -> Result<(), ExecutorError> {
        self.stage.remove(job_id).await
    }
}
