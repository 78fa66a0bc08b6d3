//! What the control plane keeps beside jobs: attachments, events, keys, and requests that may come again.

use super::StoredJob;
use docket_contract::history::JobEvent;
use docket_contract::job::Attachment;
use docket_contract::{Job, JobId, Role, Timestamp};

/// An attachment whose file has been written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAttachment {
    /// What is told of it.
    pub attachment: Attachment,
    /// The name of its file.
    pub file: String,
    /// Only if the job has this attempt and has not ended.
    pub only_attempt: Option<i32>,
}

impl NewAttachment {
    /// Whether the job is as the attachment expects it.
    pub fn admits(&self, job: &Job) -> bool {
        self.only_attempt.is_none_or(|attempt| attempt == job.attempt && !job.status.is_terminal())
    }
}

/// An attachment as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAttachment {
    /// What is told of it.
    pub attachment: Attachment,
    /// The name of its file.
    pub file: String,
}

/// What became of an attachment.
#[derive(Clone, Debug, PartialEq)]
pub enum Attached {
    /// The job lists it; its file is no longer the one that it replaced.
    Done {
        /// The file of the attachment that had the name.
        replaced: Option<String>,
    },
    /// There is no such job in the scope.
    NotFound,
    /// The job stands otherwise than the attachment asked for; the job as it is.
    Refused(Box<StoredJob>),
    /// The job has as many as it may have.
    TooMany,
}

/// An event as it is stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredEvent {
    /// Grows from event to event, over all jobs, in the order in which they became visible.
    pub id: u64,
    /// Whose job it is of.
    pub organization: String,
    /// The event.
    pub event: JobEvent,
}

/// A page of a job's events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EventPage {
    /// The events, oldest first.
    pub events: Vec<JobEvent>,
    /// Whether others stand behind the last one.
    pub more: bool,
}

/// A key as it is stored: of the secret only a hash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredKey {
    /// Its public id, a part of the key.
    pub id: String,
    /// Hash of the key's secret.
    pub hash: [u8; 32],
    /// Whose it is.
    pub organization: String,
    /// What it may do.
    pub role: Role,
    /// The name that jobs started with it carry as `user`.
    pub user: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was revoked.
    pub revoked_at: Option<Timestamp>,
}

/// What is known of a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Idempotency {
    /// It is the first with this key, or the first one never got an answer because its server stopped: go on. The job
    /// that it starts gets this id, the same at each repetition.
    Proceed(JobId),
    /// The first one is being worked on.
    InFlight,
    /// The first one was another request.
    Different,
    /// The first one was answered so.
    Answered(StoredReply),
}

/// The answer to the first request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredReply {
    /// HTTP status.
    pub status: u16,
    /// Media type.
    pub media_type: String,
    /// Body; at most 1 MiB is kept.
    pub body: Vec<u8>,
}

/// Identifies a request with an idempotency key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Whose.
    pub organization: String,
    /// The key that the client chose, 1 to 255 characters.
    pub key: String,
    /// Hash of method, path and body.
    pub request_hash: [u8; 32],
    /// This run of the server: a request that was in flight in another run is not any more.
    pub run: JobId,
}
