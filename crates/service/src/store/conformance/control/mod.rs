//! The conformance suite of [`ControlStore`]: a driver runs it with `control_suite!` and a [`Fixture`] of its own.
//!
//! Each check opens a fresh store and asks only through the trait.

pub mod attachments;
pub mod deliveries;
pub mod events;
pub mod jobs;
pub mod keys;
pub mod lists;
pub mod lives;
pub mod model;
pub mod queue;
pub mod requests;
pub mod transitions;
pub mod workers;

use crate::store::{AttemptEnd, ControlStore, NewJob, Scope, StoredJob, Transition};
use async_trait::async_trait;
use docket_contract::history::{Actor, Cause};
use docket_contract::job::JobSpec;
use docket_contract::{JobId, Status, Timestamp};
use std::sync::Arc;
use uuid::Uuid;

/// Gives stores to the checks.
#[async_trait]
pub trait Fixture: Send + Sync {
    /// Opens the store of this fixture: empty at first; again, after it was closed, with what was kept.
    async fn open(&self) -> Arc<dyn ControlStore>;

    /// Looks, while no store is open, whether what is kept contradicts itself.
    fn check(&self) {}
}

/// Makes a test of each check.
macro_rules! control_suite {
    ($fixture:expr) => {
        control_suite! { $fixture;
            jobs: a_new_job_is_persisted_and_read_back, inserting_again_changes_nothing, changes_set_what_they_name,
                changes_have_conditions, a_cancel_request_is_only_noted, only_ended_jobs_are_deleted,
                another_organization_sees_nothing, storages_are_noted_once, jobs_are_told_apart_by_type, reopening_keeps_everything,
                a_closed_store_refuses;
            transitions: a_life_in_full, a_transition_needs_all_it_expects, one_of_racing_transitions_wins,
                transitions_of_one_call_answer_in_order, an_unseen_start_is_told_by_the_end,
                holding_a_job_back_releases_its_claim, claims_go_by_priority_then_age, no_room_still_queues,
                claims_never_hand_a_job_out_twice, each_executor_has_a_queue_of_its_own,
                a_clock_that_goes_back_changes_no_list;
            events: every_transition_leaves_an_event, events_are_paged_and_scoped_and_go_with_the_job;
            attachments: attachments_are_listed_replaced_and_deleted, attachments_of_an_outdated_attempt_are_refused,
                attachments_go_with_their_job;
            deliveries: events_leave_deliveries_for_the_webhooks_that_want_them, a_job_that_is_queued_at_once_tells_it,
                deliveries_end_or_wait_and_outlive_their_job, what_was_given_up_is_seen_as_long_as_its_job,
                checks_become_deliveries_or_nothing;
            lists: every_filter_alone_and_in_pairs, positions_survive_deletion, types_are_those_of_the_scope;
            queue: dependencies_hold_a_job_until_all_are_fulfilled, what_has_ended_is_decided_at_once,
                an_unknown_dependency_is_refused, what_can_t_come_true_cancels_all_who_wait_for_it,
                a_quality_gate_waits_for_figures, a_gate_on_a_job_that_has_ended_asks_for_figures, two_ways_of_waiting_are_canceled_once,
                a_followed_job_stays_until_all_know_of_its_end, a_lock_has_one_holder_and_goes_by_rank,
                a_call_is_passed_on, an_executor_without_room_keeps_nobody_from_a_lock,
                limits_hold_for_each_organization_and_type, times_are_waited_for,
                a_retry_waits_for_its_time_and_keeps_what_the_attempt_left, age_outweighs_priority_after_an_hour,
                ended_jobs_expire;
            lives: whatever_happens_every_job_gets_its_turn;
            requests: a_first_request_proceeds_and_is_answered_again, another_run_goes_on_with_the_same_job,
                a_forgotten_request_begins_anew, large_answers_are_not_kept, old_requests_are_forgotten_in_steps,
                one_of_racing_requests_proceeds, answers_are_forgotten_by_what_they_hold;
            keys: keys_are_kept_listed_and_revoked;
            workers: a_worker_gets_running_jobs, workers_get_the_types_of_their_organization,
                a_second_claim_is_another_attempt, workers_never_get_the_same_job,
                a_lock_holds_for_workers_too;
        }
    };
    ($fixture:expr; $($room:ident: $($check:ident),+;)+) => {
        $($(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $check() {
                $crate::store::conformance::control::$room::$check(&$fixture).await;
            }
        )+)+
    };
}
pub(crate) use control_suite;

/// A point in time, in seconds after an arbitrary one.
pub fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

/// The scope of one organization.
pub fn of(organization: &str) -> Scope {
    Scope::Organization(organization.to_owned())
}

/// A new id.
pub fn new_id() -> JobId {
    JobId(Uuid::now_v7())
}

/// A plain new job.
pub fn new_job(organization: &str) -> NewJob {
    let spec = JobSpec { docker_image_url: "image".to_owned(), ..JobSpec::default() };
    NewJob {
        id: new_id(),
        organization: organization.to_owned(),
        user: "ann".to_owned(),
        spec,
        status: Status::Persisted,
        created_at: at(0),
        rerun: None,
        scheduled: None,
    }
}

/// A new job with this priority.
pub fn new_job_of_priority(priority: i32) -> NewJob {
    let mut job = new_job("a");
    job.spec.priority = Some(priority);
    job
}

/// The transition of a job as it stands to another status.
pub fn transition(job: &StoredJob, to: Status, at: Timestamp) -> Transition {
    Transition {
        id: job.job.id,
        attempt: job.job.attempt,
        from: job.job.status,
        claimed: job.claimed,
        to,
        at,
        started_at: None,
        status_message: None,
        exit_code: None,
        cause: Cause::Canceled,
        actor: Actor::SERVER,
        end: AttemptEnd::default(),
        due_at: None,
    }
}

/// Makes a transition that must be possible.
pub async fn go(store: &dyn ControlStore, job: &StoredJob, to: Status, at: Timestamp) -> StoredJob {
    let mut made = store.transition(vec![transition(job, to, at)]).await.expect("the store works");
    made.pop().flatten().expect("the job stands as expected")
}

/// Inserts a job and ends it.
pub async fn ended(store: &dyn ControlStore, job: NewJob) -> StoredJob {
    let job = store.insert_job(job).await.expect("the store works");
    go(store, &job, Status::Canceled, at(1)).await
}
