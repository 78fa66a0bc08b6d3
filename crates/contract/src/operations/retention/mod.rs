//! The operations on retention: policies, and the rounds that remove what they don't keep.

mod policies;
mod rounds;

pub use policies::*;
pub use rounds::*;

use super::example_storage;
use crate::retention::{PolicySource, RetentionPolicy, RetentionRound, RetentionRule};
use crate::time::Timestamp;

/// Monday, 2020-08-31T16:47:00Z.
fn example_time() -> Timestamp {
    Timestamp::from_millis(1_598_892_420_000)
}

fn example_rule() -> RetentionRule {
    RetentionRule {
        storage_id: Some(example_storage()),
        job_type: Some("DATA_VALIDATION_JOB".to_owned()),
        keep_days: Some(90),
        keep_runs: Some(30),
        keep_log_days: None,
    }
}

fn example_policy() -> RetentionPolicy {
    RetentionPolicy {
        rule: example_rule(),
        source: PolicySource::Api,
        user: Some("nightly".to_owned()),
        modified_at: Some(example_time()),
    }
}

fn example_round() -> RetentionRound {
    RetentionRound {
        started_at: example_time().plus_millis(3_600_000),
        ended_at: Some(example_time().plus_millis(3_612_345)),
        jobs: 12,
        results: 1_200_000,
        log_entries: 4711,
        error: None,
    }
}
