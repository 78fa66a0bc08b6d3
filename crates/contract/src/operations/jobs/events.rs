//! Following what happens to jobs, as server-sent events (WHATWG HTML, 9.2).

use super::super::{
    EVENT_STREAM, Header, Input, LAST_EVENT_ID, Method, Operation, ReadJobHistory, Resource, example_job_id, run,
};
use super::history::event_id;
use crate::caller::Role;
use crate::error::{Code, Error};
use crate::history::JobEvent;
use crate::job::JobId;
use crate::lenient;
use crate::state::Status;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `event:` of a transition; its data is a [`JobEvent`], its id the event's.
pub const TRANSITION_EVENT: &str = "transition";
/// The `event:` of a report of progress; its data is a [`ProgressEvent`]. It has no id: it is not told again.
pub const PROGRESS_EVENT: &str = "progress";
/// The `event:` behind which a stream has nothing more to tell. Its data is an [`EndEvent`].
pub const END_EVENT: &str = "end";

/// What a running job said of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProgressEvent {
    /// The job.
    pub job_id: JobId,
    /// The attempt.
    pub attempt: i32,
    /// Percent done.
    pub progress: i32,
    /// What the job is doing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
}

/// The end of a stream.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EndEvent {
    /// The job.
    pub job_id: JobId,
    /// How it stands; absent if it was deleted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
}

// (D)
/// Stream Job Events.
pub struct StreamJobEvents;

/// Which job, and from where on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct StreamJobEventsInput {
    /// The job.
    pub job_id: JobId,
    /// Only events behind this one. The header `Last-Event-ID` says the same, and goes before it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,19}$")]
    pub last_event_id: Option<String>,
}

impl StreamJobEventsInput {
    /// The event behind which the stream begins; `None` for the whole history.
    ///
    /// # Errors
    /// `invalid_page_token` if it is no event's id.
    pub fn after(&self) -> Result<Option<u64>, Error> {
        event_id("Last-Event-ID", self.last_event_id.as_deref())
    }
}

impl Validate for StreamJobEventsInput {
    fn validate(&mut self, _problems: &mut Problems) {}
}

impl Input for StreamJobEventsInput {
    fn job(&self) -> Option<JobId> {
        Some(self.job_id)
    }
}

impl Operation for StreamJobEvents {
    const NAME: &'static str = "streamJobEvents";
    const TITLE: &'static str = "Stream Job Events";
    const DESCRIPTION: &'static str = "Follow a job as server-sent events: its history so far, then every transition and its progress as they come. Ends \
        with the event `end` behind the last transition of a job that has ended.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/events";
    const HEADERS: &'static [Header] = &[LAST_EVENT_ID];
    const ROLE: Role = Role::Reader;
    const OPEN_TO_JOBS: bool = true;
    const MEDIA_TYPE: &'static str = EVENT_STREAM;
    const STREAMS: bool = true;
    const SOAP: bool = false;
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken, Code::NotFound];
    type Input = StreamJobEventsInput;
    type Output = String;

    fn example() -> (Self::Input, Self::Output) {
        let history = ReadJobHistory::example().1.values;
        let input = StreamJobEventsInput { job_id: example_job_id(), last_event_id: None };
        (input, history.iter().map(frame).collect::<String>() + &example_progress())
    }

    run!(stream_job_events);
}

// (D)
/// Features of Stream Events.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StreamEventsFeature {
    /// Look into every organization; for administrators.
    IgnoreOrganizationRestrictions,
}

// (D)
/// Stream Events.
pub struct StreamEvents;

/// Which events, and from where on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct StreamEventsInput {
    /// Only transitions to one of these statuses, and the progress of jobs only if RUNNING is among them.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub job_status: Vec<Status>,
    /// Only events behind this one; without it the stream begins now. The header `Last-Event-ID` says the same, and goes
    /// before it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[0-9]{1,19}$")]
    pub last_event_id: Option<String>,
    /// Features of the stream.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<StreamEventsFeature>,
}

impl StreamEventsInput {
    /// The event behind which the stream begins; `None` for now.
    ///
    /// # Errors
    /// `invalid_page_token` if it is no event's id.
    pub fn after(&self) -> Result<Option<u64>, Error> {
        event_id("Last-Event-ID", self.last_event_id.as_deref())
    }

    /// Whether every organization's events are asked for.
    pub fn everything(&self) -> bool {
        self.features_on.contains(&StreamEventsFeature::IgnoreOrganizationRestrictions)
    }
}

impl Validate for StreamEventsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.count("/jobStatus", self.job_status.len(), 50);
        problems.count("/featuresOn", self.features_on.len(), 10);
    }
}

impl Input for StreamEventsInput {}

impl Operation for StreamEvents {
    const NAME: &'static str = "streamEvents";
    const TITLE: &'static str = "Stream Events";
    const DESCRIPTION: &'static str = "Follow all jobs of the caller's organization as server-sent events: every transition and progress from now on, or \
        from the event that the client has seen last. It ends only with the server.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/events";
    const HEADERS: &'static [Header] = &[LAST_EVENT_ID];
    const ROLE: Role = Role::Reader;
    const MEDIA_TYPE: &'static str = EVENT_STREAM;
    const STREAMS: bool = true;
    const SOAP: bool = false;
    const ERRORS: &'static [Code] = &[Code::InvalidPageToken];
    type Input = StreamEventsInput;
    type Output = String;

    fn example() -> (Self::Input, Self::Output) {
        let input = StreamEventsInput {
            job_status: vec![Status::Running, Status::Finished],
            last_event_id: Some("4711".to_owned()),
            features_on: Vec::new(),
        };
        let history = ReadJobHistory::example().1.values;
        (input, history.last().map(frame).unwrap_or_default() + &example_progress())
    }

    run!(stream_events);
}

/// A transition as it stands in a stream.
fn frame(event: &JobEvent) -> String {
    let data = serde_json::to_string(event).unwrap_or_default();
    format!("id: {}\nevent: {TRANSITION_EVENT}\ndata: {data}\n\n", event.id)
}

fn example_progress() -> String {
    let message = Some("12,000 of 30,000 records".to_owned());
    let progress = ProgressEvent { job_id: example_job_id(), attempt: 1, progress: 40, status_message: message };
    let data = serde_json::to_string(&progress).unwrap_or_default();
    format!("event: {PROGRESS_EVENT}\ndata: {data}\n\n")
}
