//! Scheduled jobs: what starts jobs by a timetable, and what became of each of its times (api.md section 5).
//!
//! A time at which the expression fires is a *slot*. Here is decided, as plain functions of the timetable and the present
//! time, which slots are due (`timetable`), which of those that were missed are made up for (`catch_up`), and which may
//! start beside the runs that have not ended (`overlap`). Reading the expression and daylight saving are `cron`'s.

mod catch_up;
mod id;
mod overlap;
mod run;
mod spec;
mod timetable;

pub use catch_up::{MISSED_AFTER_MS, MOST_SLOTS, Reckoning, SkippedSlots, gap, reckon};
pub use id::ScheduledJobId;
pub use overlap::{Turn, turns};
pub use run::{RunKind, ScheduledJobRun, SkipReason};
pub use spec::{
    DEFAULT_MAX_CATCH_UP, DEFAULT_TIME_ZONE, MAX_CATCH_UP, MAX_JITTER_SECONDS, MisfirePolicy, OverlapPolicy,
    ScheduledJobSpec,
};
pub use timetable::{Pattern, Slot, Timetable, Zoned};

use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A scheduled job as it is answered: what its maker gave, and how it stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ScheduledJob {
    /// Unique identifier of the scheduled job.
    pub id: ScheduledJobId,
    /// What was scheduled; what was not given has its default.
    #[serde(flatten)]
    pub spec: ScheduledJobSpec,
    // (D)
    /// The expression in words.
    #[schema(example = "every weekday at 06:30, Europe/Zurich")]
    pub cron_in_words: String,
    // (D)
    /// When the next job starts, spread included; absent while it is paused, and when no slot is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_fire_at: Option<Timestamp>,
    // (D)
    /// Why it is paused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "The job can't be started: dockerImageUrl is not among the images that are allowed")]
    pub paused_reason: Option<String>,
    // (D)
    /// Who scheduled it: its jobs carry this name as their user.
    pub user: String,
    // (D)
    /// When it was made.
    pub created_at: Timestamp,
    // (D)
    /// When it was last changed, paused or resumed.
    pub modified_at: Timestamp,
}
