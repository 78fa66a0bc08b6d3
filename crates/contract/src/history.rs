//! What happened to a job: one event a transition, with its time, its cause and who made it. Owns the words; which
//! transitions exist is [`crate::state`]'s.

use crate::job::JobId;
use crate::state::{Event, Status};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Why a job got another status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Cause {
    /// Its metadata was committed.
    Persisted,
    /// Something holds it back; the message says what.
    Held,
    /// Nothing holds it back any more.
    Queued,
    /// An attempt is up.
    Started,
    /// The executor can't start it as it is configured.
    Refused,
    /// The attempt's main process ended with an exit code.
    Exited,
    /// A signal ended the attempt.
    Signaled,
    /// The attempt was killed because it used more memory than it may.
    OutOfMemory,
    /// The attempt is gone, and nobody saw its end.
    Lost,
    /// The time limit was over.
    TimedOut,
    /// The attempt failed or died, and there will be another one.
    Retried,
    /// Somebody, or a dependency, ended the job.
    Canceled,
    /// The executor can't be reached.
    Unreachable,
}

impl Cause {
    /// Every cause, in the order of its stored number.
    pub const ALL: [Cause; 13] = [
        Cause::Persisted,
        Cause::Held,
        Cause::Queued,
        Cause::Started,
        Cause::Refused,
        Cause::Exited,
        Cause::Signaled,
        Cause::OutOfMemory,
        Cause::Lost,
        Cause::TimedOut,
        Cause::Retried,
        Cause::Canceled,
        Cause::Unreachable,
    ];

    /// The number under which stores keep the cause; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The cause with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

impl From<Event> for Cause {
    fn from(event: Event) -> Self {
        match event {
            Event::Persisted => Cause::Persisted,
            Event::Held => Cause::Held,
            Event::Queued => Cause::Queued,
            Event::Started => Cause::Started,
            Event::Refused => Cause::Refused,
            Event::Exited(_) => Cause::Exited,
            Event::Signaled => Cause::Signaled,
            Event::Lost => Cause::Lost,
            Event::TimedOut => Cause::TimedOut,
            Event::Retried => Cause::Retried,
            Event::Canceled => Cause::Canceled,
            Event::Unreachable => Cause::Unreachable,
        }
    }
}

/// What kind of actor made a transition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ActorKind {
    /// Somebody with a key.
    User,
    /// This server.
    Server,
    /// What runs the job told of it.
    Executor,
    /// A pull worker.
    Worker,
}

impl ActorKind {
    /// Every kind, in the order of its stored number.
    pub const ALL: [ActorKind; 4] = [ActorKind::User, ActorKind::Server, ActorKind::Executor, ActorKind::Worker];

    /// The number under which stores keep the kind; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

/// Who made a transition.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
pub struct Actor {
    /// Of what kind.
    pub kind: ActorKind,
    /// The name of the user or the worker.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "nightly")]
    pub name: Option<String>,
}

impl Actor {
    /// This server.
    pub const SERVER: Actor = Actor { kind: ActorKind::Server, name: None };
    /// What runs the job.
    pub const EXECUTOR: Actor = Actor { kind: ActorKind::Executor, name: None };

    /// Somebody with a key.
    pub fn user(name: &str) -> Self {
        Actor { kind: ActorKind::User, name: Some(name.to_owned()) }
    }

    /// A pull worker.
    pub fn worker(name: &str) -> Self {
        Actor { kind: ActorKind::Worker, name: Some(name.to_owned()) }
    }
}

/// What an attempt has used, as far as its executor can tell.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Default, Serialize, Deserialize)]
pub struct Usage {
    /// The most memory at a time, in bytes.
    pub memory_peak_bytes: Option<u64>,
    /// Processor time of all its processes, in milliseconds.
    pub cpu_time_ms: Option<u64>,
}

/// One transition of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobEvent {
    /// Grows from event to event, over all jobs; decimal digits. `0` for the first event of each job.
    #[schema(example = "4711", pattern = "^[0-9]{1,19}$")]
    pub id: String,
    /// The job.
    pub job_id: JobId,
    /// When.
    pub at: Timestamp,
    /// The attempt; 0 before the first.
    pub attempt: i32,
    /// The status before.
    pub from: Status,
    /// The status since.
    pub to: Status,
    /// Why.
    pub cause: Cause,
    /// Who.
    pub actor: Actor,
    /// What there is to tell, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// The exit code of the attempt that ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 9)]
    pub signal: Option<i32>,
    /// The most memory that the attempt used at a time, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<i64>,
    /// Processor time of the attempt, in milliseconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time_ms: Option<i64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable() {
        for (number, cause) in Cause::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(cause.number()), number);
        }
        for (number, kind) in ActorKind::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(kind.number()), number);
        }
        assert_eq!((Cause::from_number(13), ActorKind::from_number(4)), (None, None));
        assert_eq!((Cause::Unreachable.number(), Cause::Started.number()), (12, 3));
    }
}
