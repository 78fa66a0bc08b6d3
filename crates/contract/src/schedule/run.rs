//! What became of the slots of a scheduled job.

use crate::job::JobId;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (D)
/// What became of a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RunKind {
    /// A job was started for it.
    Fired,
    /// No job was started; `reason` tells why.
    Skipped,
    /// It is no slot: somebody asked for a job.
    Triggered,
}

impl RunKind {
    /// The number under which stores keep the kind; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The kind with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        [RunKind::Fired, RunKind::Skipped, RunKind::Triggered].get(usize::from(number)).copied()
    }
}

// (D)
/// Why no job was started for a slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum SkipReason {
    /// The server came to it more than a minute late, and the misfire policy says so.
    Missed,
    /// Another job of the scheduled job had not ended, and the overlap policy says so.
    Overlap,
    /// A later slot was due as well, whose job would have canceled this one's at once.
    Superseded,
    /// The scheduled job was paused.
    Paused,
    /// The job can't be started any more; the scheduled job was paused.
    InvalidJob,
    /// The timetable was replaced before the server came to it.
    Replaced,
}

impl SkipReason {
    const ALL: [SkipReason; 6] = [
        SkipReason::Missed,
        SkipReason::Overlap,
        SkipReason::Superseded,
        SkipReason::Paused,
        SkipReason::InvalidJob,
        SkipReason::Replaced,
    ];

    /// The number under which stores keep the reason; stable.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The reason with this stored number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

// (D)
/// What became of a slot, or of several that follow each other.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledJobRun {
    /// What became of it.
    pub kind: RunKind,
    /// The time of the timetable, or when the job was asked for.
    pub slot_at: Timestamp,
    /// Where skipped slots are told as one: the last of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_slot_at: Option<Timestamp>,
    /// Where skipped slots are told as one: how many; absent if there are more than 2000.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub slots: Option<i64>,
    /// When this was decided: for a slot that fired, when its job was stored.
    pub decided_at: Timestamp,
    /// For a slot that fired: milliseconds from the time when it was due, spread included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, example = 4)]
    pub lateness_ms: Option<i64>,
    /// The job that was started. It may have been deleted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// For a skipped slot: why.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<SkipReason>,
    /// More about it, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_stable() {
        for (number, kind) in (0..).zip([RunKind::Fired, RunKind::Skipped, RunKind::Triggered]) {
            assert_eq!((kind.number(), RunKind::from_number(number)), (number, Some(kind)));
        }
        for (number, reason) in (0..).zip(SkipReason::ALL) {
            assert_eq!((reason.number(), SkipReason::from_number(number)), (number, Some(reason)));
        }
        assert_eq!((RunKind::from_number(3), SkipReason::from_number(6)), (None, None));
    }
}
