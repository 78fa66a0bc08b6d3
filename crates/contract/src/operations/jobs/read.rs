//! Reading a job, its log, and the types of jobs.

use super::super::{
    EVENT_STREAM, Header, Input, LAST_EVENT_ID, Method, Operation, Resource, example_job, example_job_id, run,
};
use crate::caller::Role;
use crate::error::{Code, Error};
use crate::job::{Job, JobId, KNOWN_TYPES};
use crate::lenient;
use crate::state::Status;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Which job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobInput {
    /// The job.
    pub job_id: JobId,
}

impl Validate for JobInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for JobInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

/// Read Job (D).
pub struct ReadJob;

impl Operation for ReadJob {
    const NAME: &'static str = "readJob";
    const TITLE: &'static str = "Read Job";
    const DESCRIPTION: &'static str = "Read one job.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const ERRORS: &'static [Code] = &[Code::NotFound];
    type Input = JobInput;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        (JobInput { job_id: example_job_id() }, example_job())
    }

    fn examples() -> Vec<(&'static str, Self::Output)> {
        let ended = |status, exit_code, message: Option<&str>| Job {
            status,
            exit_code,
            status_message: message.map(str::to_owned),
            finished_at: Some(example_job().modified_at),
            ..example_job()
        };
        vec![
            ("running", example_job()),
            ("finished", Job { progress: 100, ..ended(Status::Finished, Some(0), None) }),
            ("failed", ended(Status::Failed, Some(3), Some("The job ended with exit code 3."))),
            ("died", ended(Status::Died, None, Some("The job was killed by signal 9."))),
        ]
    }

    run!(read_job);
}

/// List Job Types (P: path).
pub struct ListJobTypes;

/// Nothing to say.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct NoInput {}

impl Validate for NoInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for NoInput {}

/// The types of jobs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct JobTypes {
    /// The known types, and those that jobs of the organization have.
    #[schema(example = json!(["DATA_CURATION_JOB", "DATA_VALIDATION_JOB"]))]
    pub values: Vec<String>,
}

impl Operation for ListJobTypes {
    const NAME: &'static str = "listJobTypes";
    const TITLE: &'static str = "List Job Types";
    const DESCRIPTION: &'static str =
        "List the known types of jobs and the custom ones that jobs of the organization have.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/types";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = JobTypes;

    fn example() -> (Self::Input, Self::Output) {
        (NoInput {}, JobTypes { values: KNOWN_TYPES.map(str::to_owned).to_vec() })
    }

    run!(list_job_types);
}

/// Read Job Log (D).
pub struct ReadJobLog;

/// Which log, and how much of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ReadJobLogInput {
    /// The job.
    pub job_id: JobId,
    /// Only the last lines, this many; a larger number is lowered to 10000.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 50)]
    pub tail: Option<i32>,
    /// The attempt; the present one if absent.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 1)]
    pub attempt: Option<i32>,
    /// Go on with what is written, until the attempt ends; without `attempt` through all that follow, until the job ends.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub follow: Option<bool>,
    /// Follow as server-sent events. The header `Accept: text/event-stream` says the same.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub events: Option<bool>,
    /// Begin behind this place: the `id` of an event, which is an attempt and a position in its log. It goes before
    /// `attempt` and `tail`. The header `Last-Event-ID` says the same, and goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[1-9][0-9]{0,8}:[0-9]{1,19}$", example = "1:4096")]
    pub last_event_id: Option<String>,
}

/// The `event:` of a stretch of a log; its data is the text, its id the place behind it.
pub const LOG_EVENT: &str = "log";

/// A place in the logs of a job's attempts; written `attempt:position`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogPlace {
    /// The attempt.
    pub attempt: u32,
    /// A position in the bytes that the attempt wrote, those that were cut as well.
    pub position: u64,
}

impl std::fmt::Display for LogPlace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}:{}", self.attempt, self.position)
    }
}

impl std::str::FromStr for LogPlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let number = |text: &str, most| {
            let digits = text.len() <= most && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse::<u64>().ok().filter(|_| digits)
        };
        let read = || {
            let (attempt, position) = text.split_once(':')?;
            let attempt = u32::try_from(number(attempt, 9)?).ok().filter(|attempt| *attempt > 0)?;
            Some(Self { attempt, position: number(position, 19)? })
        };
        let detail = "Last-Event-ID must be a place in a log: the number of an attempt, a colon and a position.";
        read().ok_or_else(|| Error::new(Code::InvalidPageToken, detail))
    }
}

impl ReadJobLogInput {
    /// The whole log of the present attempt, as it is now.
    pub fn of(job_id: JobId) -> Self {
        Self { job_id, tail: None, attempt: None, follow: None, events: None, last_event_id: None }
    }

    /// Whether the answer goes on.
    pub fn follows(&self) -> bool {
        self.follow == Some(true) || self.as_events()
    }

    /// Whether the answer is events.
    pub fn as_events(&self) -> bool {
        self.events == Some(true)
    }

    /// The place behind which to begin.
    ///
    /// # Errors
    /// `invalid_page_token` if it is none.
    pub fn place(&self) -> Result<Option<LogPlace>, Error> {
        self.last_event_id.as_deref().map(str::parse).transpose()
    }
}

impl Validate for ReadJobLogInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.range("/tail", self.tail, 0, i32::MAX);
        problems.range("/attempt", self.attempt, 1, i32::MAX);
        self.tail = self.tail.map(|tail| tail.min(10_000));
    }
}

impl Input for ReadJobLogInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for ReadJobLog {
    const NAME: &'static str = "readJobLog";
    const TITLE: &'static str = "Read Job Log";
    const DESCRIPTION: &'static str = "Read what the job wrote to its standard output and error, as plain text. A log over the server's limit keeps its \
        beginning and its end, with a mark where it was cut. It can be followed while it is written, as text or as server-sent \
        events.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/log";
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const MEDIA_TYPE: &'static str = "text/plain; charset=utf-8";
    const OTHER_MEDIA_TYPES: &'static [&'static str] = &[EVENT_STREAM];
    const HEADERS: &'static [Header] = &[LAST_EVENT_ID, Header::Accepts { media_type: EVENT_STREAM, field: "events" }];
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken, Code::NotFound];
    type Input = ReadJobLogInput;
    type Output = String;

    fn example() -> (Self::Input, Self::Output) {
        let input = ReadJobLogInput { tail: Some(50), ..ReadJobLogInput::of(example_job_id()) };
        (input, "validated\n".to_owned())
    }

    run!(read_job_log);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        for place in [LogPlace { attempt: 1, position: 0 }, LogPlace { attempt: 20, position: 1 << 60 }] {
            assert_eq!(place.to_string().parse(), Ok(place));
        }
        for wrong in
            ["", "1", "1:", ":1", "0:1", "+1:1", "1:-1", "1:1:1", "9999999999:1", "1:99999999999999999999", "a:b"]
        {
            assert_eq!(wrong.parse::<LogPlace>().map_err(|e| e.code), Err(Code::InvalidPageToken), "{wrong}");
        }
    }
}
