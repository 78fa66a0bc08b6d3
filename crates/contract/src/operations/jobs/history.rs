//! Reading what happened to a job.

use super::super::{Input, Method, Operation, Paging, Resource, example_job, example_job_id, run};
use crate::caller::Role;
use crate::error::{Code, Error};
use crate::history::{Actor, Cause, JobEvent};
use crate::job::JobId;
use crate::lenient;
use crate::state::Status;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most events in one page (D).
pub const MAX_EVENTS_PAGE: i32 = 1000;

// (D)
/// Read Job History.
pub struct ReadJobHistory;

/// Whose history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadJobHistoryInput {
    /// The job.
    pub job_id: JobId,
    /// Behind this event: the `nextStartAfter` of the page before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,19}$")]
    pub start_after: Option<String>,
    /// Most events in the page; a larger number is lowered to 1000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 100)]
    pub limit: Option<i32>,
}

impl Validate for ReadJobHistoryInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/limit", self.limit, 1, i32::MAX);
        self.limit = self.limit.map(|limit| limit.min(MAX_EVENTS_PAGE));
    }
}

impl ReadJobHistoryInput {
    /// The event that the page stands behind; `None` for the first page.
    ///
    /// # Errors
    /// `invalid_page_token` if `startAfter` is no event's id.
    pub fn after(&self) -> Result<Option<u64>, Error> {
        event_id("startAfter", self.start_after.as_deref())
    }
}

/// Reads the id of an event from a field.
pub(super) fn event_id(field: &str, text: Option<&str>) -> Result<Option<u64>, Error> {
    let Some(text) = text else { return Ok(None) };
    let digits = text.len() <= 19 && text.bytes().all(|byte| byte.is_ascii_digit());
    let invalid = || Error::new(Code::InvalidPageToken, format!("{field} must be the id of an event: 1 to 19 digits."));
    text.parse().ok().filter(|_| digits).map(Some).ok_or_else(invalid)
}

impl Input for ReadJobHistoryInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

/// A page of a job's events.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobHistory {
    /// As it was sent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start_after: Option<String>,
    /// What to send as `startAfter` for the next page; absent on the last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_start_after: Option<String>,
    /// The limit that was applied.
    #[schema(example = 1000)]
    pub limit: i32,
    /// The events, oldest first.
    pub values: Vec<JobEvent>,
}

impl Operation for ReadJobHistory {
    const NAME: &'static str = "readJobHistory";
    const TITLE: &'static str = "Read Job History";
    const DESCRIPTION: &'static str = "Read every transition of a job, oldest first: when it happened, why, and who made it. The end of an attempt \
        tells how it ended and what it used.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/history";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const PAGING: Option<Paging> = Some(Paging { feature: None });
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken, Code::NotFound];
    type Input = ReadJobHistoryInput;
    type Output = JobHistory;

    fn example() -> (Self::Input, Self::Output) {
        let job = example_job();
        let event = |id: &str, millis, from, to, cause, actor| JobEvent {
            id: id.to_owned(),
            job_id: job.id,
            at: job.created_at.plus_millis(millis),
            attempt: i32::from(to == Status::Running),
            from,
            to,
            cause,
            actor,
            message: None,
            exit_code: None,
            signal: None,
            memory_peak_bytes: None,
            cpu_time_ms: None,
        };
        let values = vec![
            event("0", 0, Status::Created, Status::Persisted, Cause::Persisted, Actor::user("nightly")),
            event("4711", 0, Status::Persisted, Status::Scheduled, Cause::Queued, Actor::user("nightly")),
            event("4713", 1000, Status::Scheduled, Status::Running, Cause::Started, Actor::EXECUTOR),
        ];
        let input = ReadJobHistoryInput { job_id: example_job_id(), start_after: None, limit: Some(1000) };
        (input, JobHistory { start_after: None, next_start_after: None, limit: 1000, values })
    }

    run!(read_job_history);
}
