//! Whether a new job may start: what it depends on, and its start time.

use super::dependents::{Verdict, judge};
use super::{Dependent, Move, Open, Rows, Upstream, Wait, explain};
use crate::store::{NewJob, StoreError};
use docket_contract::Timestamp;
use docket_contract::job::Share;
use docket_contract::state::Event;

/// What a new job depends on, as it stands now.
pub type Prepared<K> = Vec<(Open, Upstream<K>)>;

/// Whether a new job is more than one that nothing holds back.
pub fn is_held(new: &NewJob) -> bool {
    !new.spec.job_dependencies.is_empty() || new.spec.start_at.is_some_and(|start| start > new.created_at)
}

/// Looks up what a new job depends on, before it is stored: so it can't depend on itself, and no circle can be formed,
/// because only jobs that were there before can be named. Answers the index of one that is not there, or not this
/// organization's.
#[allow(clippy::type_complexity, reason = "an inner result is an answer, the outer one a failure")]
pub fn prepare<R: Rows>(rows: &mut R, new: &NewJob) -> Result<Result<Prepared<R::Key>, usize>, StoreError> {
    let mut prepared: Prepared<R::Key> = Vec::with_capacity(new.spec.job_dependencies.len());
    for (index, dependency) in new.spec.job_dependencies.iter().enumerate() {
        let id = dependency.job_id;
        let Some((key, status)) = rows.find(&new.organization, id)? else { return Ok(Err(index)) };
        let open = Open { id, condition: dependency.condition, most_failed: dependency.quality_gate() };
        // One that is named twice with the same condition is one, with the stricter gate.
        match prepared.iter_mut().find(|(other, _)| (other.id, other.condition) == (id, open.condition)) {
            Some((other, _)) => other.most_failed = stricter(other.most_failed, open.most_failed),
            None => {
                let figures = if status.is_terminal() { rows.figures(key)? } else { None };
                prepared.push((open, Upstream { key, id, status, figures }));
            }
        }
    }
    Ok(Ok(prepared))
}

fn stricter(one: Option<Share>, other: Option<Share>) -> Option<Share> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Decides what becomes of a held job that was stored as PERSISTED in the same transaction: it is put into the queue,
/// waits, or is canceled because a condition can't come true any more.
pub fn admit<R: Rows>(rows: &mut R, key: R::Key, new: &NewJob, on: Prepared<R::Key>) -> Result<(), StoreError> {
    let now = new.created_at;
    let mut open = Vec::new();
    for (dependency, on) in on {
        match judge(on.id, (dependency.condition, dependency.most_failed), on.status, on.figures) {
            Verdict::Open => open.push((dependency, on.key)),
            Verdict::Fulfilled => {}
            Verdict::Impossible(why) => {
                let canceled = Move::of(Event::Canceled, new.status, now)?;
                return rows.put(key, &Move { message: Some(why), ..canceled });
            }
        }
    }
    for (Open { condition, most_failed, .. }, on) in &open {
        rows.depend(*on, Dependent { key, condition: *condition, most_failed: *most_failed })?;
    }
    let open: Vec<Open> = open.into_iter().map(|(dependency, _)| dependency).collect();
    let due_at: Option<Timestamp> = new.spec.start_at.filter(|start| *start > now);
    if open.is_empty() && due_at.is_none() {
        return rows.put(key, &Move::of(Event::Queued, new.status, now)?);
    }
    let held = Move::of(Event::Held, new.status, now)?;
    rows.put(key, &Move { wait: Wait::Start, due_at, message: Some(explain::start(&open, due_at)), ..held })
}
