//! Claiming jobs.

use super::super::{Input, Method, Operation, Resource, example_job, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::{ExecutorKind, Job, JobSpec, NameValue};
use crate::lenient;
use crate::text::Id;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most types that one claim names (D).
pub const MAX_CLAIM_TYPES: usize = 100;
/// Most jobs of one claim (D).
pub const MAX_CLAIMED: i32 = 100;
/// Longest wait for a job, in seconds (D).
pub const MAX_WAIT_SECONDS: i32 = 60;
/// Longest lease, in seconds (D).
pub const MAX_LEASE_SECONDS: i32 = 3600;
/// The lease of a claim that names none, in seconds (D).
pub const DEFAULT_LEASE_SECONDS: i32 = 60;

// (D)
/// Claim Jobs.
pub struct ClaimJobs;

/// What a worker takes.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ClaimJobsInput {
    /// Only jobs of one of these types; any if absent or empty.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 100, example = json!(["DATA_VALIDATION_JOB"]))]
    pub types: Vec<String>,
    /// Most jobs to hand out; default 1.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 100, example = 1)]
    pub max: Option<i32>,
    /// How long to wait for a job while there is none, in seconds; default 0.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 60, example = 30)]
    pub wait_seconds: Option<i32>,
    /// How long a claimed job stays the worker's without a heartbeat, in seconds; default 60.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 3600, example = 60)]
    pub lease_seconds: Option<i32>,
    /// The worker's name, for the history of its jobs; default the key's user.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "worker-7")]
    pub worker_name: Option<String>,
}

impl Validate for ClaimJobsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.ids("/types", &self.types, MAX_CLAIM_TYPES);
        problems.range("/max", self.max, 1, MAX_CLAIMED);
        problems.range("/waitSeconds", self.wait_seconds, 0, MAX_WAIT_SECONDS);
        problems.range("/leaseSeconds", self.lease_seconds, 1, MAX_LEASE_SECONDS);
        problems.id("/workerName", self.worker_name.as_deref());
    }
}

impl Input for ClaimJobsInput {}

/// For how long a job is its worker's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Lease {
    /// The attempt that began with the claim: to be named in each report.
    #[schema(minimum = 1, example = 1)]
    pub attempt: i32,
    /// When the lease runs out, by the server's clock; the server itself counts seconds from the claim.
    pub expires_at: Timestamp,
    /// The length of the lease: each heartbeat begins it anew.
    #[schema(minimum = 1, maximum = 3600, example = 60)]
    pub seconds: i32,
}

/// A job that a worker has got.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedJob {
    /// The job as Read Job shows it to the worker: the values of its environment variables are hidden here.
    pub job: Job,
    /// For how long it is the worker's.
    pub lease: Lease,
    /// The environment that the job is to run with: its own variables and those of the server, with their values. The
    /// variable `DOCKET_TOKEN` holds the job's own key, which only reads and reports on this job.
    pub environment: Vec<NameValue>,
}

/// The jobs that a worker has got.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClaimedJobs {
    /// The jobs, those of the best rank first; empty if there was none in the time.
    pub values: Vec<ClaimedJob>,
}

impl Operation for ClaimJobs {
    const NAME: &'static str = "claimJobs";
    const TITLE: &'static str = "Claim Jobs";
    const DESCRIPTION: &'static str = "Get jobs of the own organization that were started with the executor `worker`, by priority and age. Each one is \
        RUNNING from then on, under a lease: without a heartbeat in its time the attempt counts as lost, and the job is \
        DIED or tried again. Without a ready job the claim waits for one.";
    const RESOURCE: Resource = Resource::Workers;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/workers/claim";
    const ROLE: Role = Role::Worker;
    // A claim whose answer was lost is repaired by its lease, and one by a worker that is gone must not go on.
    const REPEATABLE: bool = true;
    const ERRORS: &'static [Code] = &[Code::StorageFull];
    type Input = ClaimJobsInput;
    type Output = ClaimedJobs;

    fn example() -> (Self::Input, Self::Output) {
        let input = ClaimJobsInput {
            types: vec!["DATA_VALIDATION_JOB".to_owned()],
            max: Some(1),
            wait_seconds: Some(30),
            lease_seconds: Some(60),
            worker_name: Some("worker-7".to_owned()),
        };
        let job = example_job();
        let started_at = job.created_at.plus_millis(1000);
        let own = job.spec.environment_variables.clone();
        let given = [
            ("DOCKET_URL", "http://127.0.0.1:8080"),
            ("DOCKET_JOB_ID", "35f23c03-1c22-45fe-9484-3ffe769325de"),
            ("DOCKET_ATTEMPT", "1"),
            ("DOCKET_STORAGE_ID", "72d6900fce6b326088f5d9d91049e3e6"),
            ("DOCKET_TOKEN", "dj_35f23c031c2245fe94843ffe769325de_1_c2FtcGxl"),
        ];
        let given = given.map(|(name, value)| NameValue { name: name.to_owned(), value: value.to_owned() });
        let spec = JobSpec { executor: Some(ExecutorKind::Worker), ..job.spec.masked(true) };
        let claimed = ClaimedJob {
            job: Job { spec, progress: 0, modified_at: started_at, started_at: Some(started_at), ..example_job() },
            lease: Lease { attempt: 1, expires_at: started_at.plus_millis(60_000), seconds: 60 },
            environment: own.into_iter().chain(given).collect(),
        };
        (input, ClaimedJobs { values: vec![claimed] })
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        vec![("claimed", Self::example().1), ("none", ClaimedJobs::default())]
    }

    run!(claim_jobs);
}
