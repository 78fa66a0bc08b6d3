//! The operations on scheduled jobs (api.md section 5).

mod change;
mod control;
mod create;
mod list;
mod preview;
mod read;
mod runs;

pub use change::*;
pub use control::*;
pub use create::*;
pub use list::*;
pub use preview::*;
pub use read::*;
pub use runs::*;

use super::jobs::example_spec;
use crate::job::JobSpec;
use crate::schedule::{ScheduledJob, ScheduledJobId, ScheduledJobSpec};
use crate::time::Timestamp;

/// Most scheduled jobs in one page (D).
pub const MAX_SCHEDULED_JOBS_PAGE: i32 = 100;

fn example_id() -> ScheduledJobId {
    ScheduledJobId(uuid::uuid!("0198c5a2-7d14-7e2b-9c53-2f6b1d0a4e77"))
}

/// Monday, 2020-08-31T16:47:00Z.
fn example_time() -> Timestamp {
    Timestamp::from_millis(1_598_892_420_000)
}

/// Tuesday, 2020-09-01T04:30:00Z: half past six in Zurich.
fn example_slot() -> Timestamp {
    Timestamp::from_millis(1_598_934_600_000)
}

fn example_given() -> ScheduledJobSpec {
    ScheduledJobSpec {
        name: Some("Nightly validation".to_owned()),
        description: Some("Validates what was changed the day before.".to_owned()),
        cron_expression: "30 6 * * MON-FRI".to_owned(),
        time_zone: Some("Europe/Zurich".to_owned()),
        job: JobSpec { name: None, ..example_spec() },
        ..ScheduledJobSpec::default()
    }
}

fn example_scheduled_job() -> ScheduledJob {
    let given = example_given();
    let organization_id = Some("acme".to_owned());
    ScheduledJob {
        id: example_id(),
        spec: ScheduledJobSpec { organization_id, ..given }.with_defaults(),
        cron_in_words: "every weekday at 06:30, Europe/Zurich".to_owned(),
        next_fire_at: Some(example_slot()),
        paused_reason: None,
        user: "nightly".to_owned(),
        created_at: example_time(),
        modified_at: example_time(),
    }
}
