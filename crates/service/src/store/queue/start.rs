//! Whether a new job may start: what it depends on, and its start time.

use super::{Move, Rows, Wait, explain};
use crate::store::{NewJob, StoreError};
use docket_contract::job::DependencyCondition;
use docket_contract::state::Event;
use docket_contract::{JobId, Status, Timestamp};

/// What a new job depends on, as it stands now.
pub type Prepared<K> = Vec<(JobId, DependencyCondition, K, Status)>;

/// Whether a new job is more than one that nothing holds back.
pub fn is_held(new: &NewJob) -> bool {
    !new.spec.job_dependencies.is_empty() || new.spec.start_at.is_some_and(|start| start > new.created_at)
}

/// Looks up what a new job depends on, before it is stored: so it can't depend on itself, and no circle can be formed,
/// because only jobs that were there before can be named. Answers the index of one that is not there, or not this
/// organization's.
#[allow(clippy::type_complexity, reason = "an inner result is an answer, the outer one a failure")]
pub fn prepare<R: Rows>(rows: &mut R, new: &NewJob) -> Result<Result<Prepared<R::Key>, usize>, StoreError> {
    let mut prepared = Vec::with_capacity(new.spec.job_dependencies.len());
    for (index, dependency) in new.spec.job_dependencies.iter().enumerate() {
        let Some((key, status)) = rows.find(&new.organization, dependency.job_id)? else { return Ok(Err(index)) };
        prepared.push((dependency.job_id, dependency.condition, key, status));
    }
    Ok(Ok(prepared))
}

/// Decides what becomes of a held job that was stored as PERSISTED in the same transaction: it is put into the queue,
/// waits, or is canceled because a condition can't come true any more.
pub fn admit<R: Rows>(rows: &mut R, key: R::Key, new: &NewJob, on: Prepared<R::Key>) -> Result<(), StoreError> {
    let now = new.created_at;
    for (id, condition, _, status) in &on {
        if condition.fulfilled_by(*status) == Some(false) {
            let canceled = Move::of(Event::Canceled, new.status, now)?;
            let message = Some(explain::impossible(*id, *condition, *status));
            return rows.put(key, &Move { message, ..canceled });
        }
    }
    let mut open = Vec::new();
    for (id, condition, upstream, status) in on {
        // One that is named twice with the same condition is one.
        if condition.fulfilled_by(status).is_none() && !open.contains(&(id, condition)) {
            rows.depend(key, upstream, condition)?;
            open.push((id, condition));
        }
    }
    let due_at: Option<Timestamp> = new.spec.start_at.filter(|start| *start > now);
    if open.is_empty() && due_at.is_none() {
        return rows.put(key, &Move::of(Event::Queued, new.status, now)?);
    }
    let held = Move::of(Event::Held, new.status, now)?;
    rows.put(key, &Move { wait: Wait::Start, due_at, message: Some(explain::start(&open, due_at)), ..held })
}
