//! The end of a job that others depend on. The job's row says so itself (it is followed, and has ended); the edges are
//! resolved in steps, and a kill in between leaves the rest of them for the next step.

use super::{Dependent, Move, Rows, explain};
use crate::store::StoreError;
use docket_contract::state::Event;
use docket_contract::{Status, Timestamp};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Something may be left: go on with another step.
    pub more: bool,
    /// Jobs were put into the queue.
    pub queued: bool,
}

/// Resolves up to `limit` dependencies on jobs that have ended. A job that is canceled for one may be followed itself:
/// it is found by the same way, so a cascade of any length is a matter of steps.
pub fn resolve<R: Rows>(rows: &mut R, now: Timestamp, limit: usize) -> Result<Resolved, StoreError> {
    let mut left = limit;
    let mut queued = false;
    while left > 0 {
        let Some((on, id, status)) = rows.ended_upstream()? else { return Ok(Resolved { more: false, queued }) };
        let dependents = rows.dependents(on, left)?;
        if dependents.len() < left {
            rows.clear_followed(on)?;
        }
        left -= dependents.len().max(1);
        let mut canceled: Vec<Dependent<R::Key>> = Vec::new();
        for dependent in dependents {
            if dependent.condition.fulfilled_by(status) == Some(true) {
                if !rows.fulfil(on, dependent)? && rows.due_at(dependent.key)?.is_none() {
                    rows.put(dependent.key, &Move::of(Event::Queued, Status::Waiting, now)?)?;
                    queued = true;
                }
            } else if canceled.last().is_none_or(|last| last.key != dependent.key) {
                canceled.push(dependent);
            }
        }
        for dependent in canceled {
            rows.drop_dependencies(dependent.key)?;
            let message = Some(explain::impossible(id, dependent.condition, status));
            let canceled = Move::of(Event::Canceled, Status::Waiting, now)?;
            rows.put(dependent.key, &Move { message, ..canceled })?;
        }
    }
    Ok(Resolved { more: true, queued })
}
