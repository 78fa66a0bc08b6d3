//! The end of a job that others depend on. The job's row says so itself (it is followed, and has ended); the edges are
//! resolved in steps, and a kill in between leaves the rest of them for the next step.
//!
//! A quality gate asks for figures that the control plane does not have. The first edge with one marks the ended job; who
//! counts its results writes the figures into its row, once, and the edges are resolved by them then. All edges of a job
//! are measured by the same figures, however many there are.

use super::{Dependent, Move, Rows, explain};
use crate::store::StoreError;
use docket_contract::job::{DependencyCondition, Figures, Share};
use docket_contract::state::Event;
use docket_contract::{JobId, Status, Timestamp};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// Something may be left: go on with another step.
    pub more: bool,
    /// Jobs were put into the queue.
    pub queued: bool,
}

/// What an end means for one who waits for it.
pub(super) enum Verdict {
    /// Not decided yet: the job goes on, or its results are still to be counted.
    Open,
    /// The dependency is fulfilled.
    Fulfilled,
    /// It never will be, for this reason.
    Impossible(String),
}

/// Judges a dependency with this condition and gate on a job that stands so.
pub(super) fn judge(
    id: JobId,
    (condition, most_failed): (DependencyCondition, Option<Share>),
    status: Status,
    figures: Option<Figures>,
) -> Verdict {
    match (condition.fulfilled_by(status), most_failed, figures) {
        (None, ..) | (Some(true), Some(_), None) => Verdict::Open,
        (Some(false), ..) => Verdict::Impossible(explain::impossible(id, condition, status)),
        (Some(true), Some(most), Some(figures)) if !figures.within(most) => {
            Verdict::Impossible(explain::too_many_failed(id, figures, most))
        }
        (Some(true), ..) => Verdict::Fulfilled,
    }
}

/// Resolves up to `limit` dependencies on jobs that have ended. A job that is canceled for one may be followed itself:
/// it is found by the same way, so a cascade of any length is a matter of steps.
pub fn resolve<R: Rows>(rows: &mut R, now: Timestamp, limit: usize) -> Result<Resolved, StoreError> {
    let mut left = limit;
    let mut queued = false;
    while left > 0 {
        let Some(on) = rows.ended_upstream()? else { return Ok(Resolved { more: false, queued }) };
        let dependents = rows.dependents(on.key, left)?;
        let all = dependents.len() < left;
        left -= dependents.len().max(1);
        let mut open = false;
        let mut canceled: Vec<(Dependent<R::Key>, String)> = Vec::new();
        for dependent in dependents {
            match judge(on.id, (dependent.condition, dependent.most_failed), on.status, on.figures) {
                Verdict::Open => open = true,
                Verdict::Fulfilled => {
                    if !rows.fulfil(on.key, dependent)? && rows.due_at(dependent.key)?.is_none() {
                        rows.put(dependent.key, &Move::of(Event::Queued, Status::Waiting, now)?)?;
                        queued = true;
                    }
                }
                Verdict::Impossible(why) => {
                    // One that waits in two ways is canceled once; its edges need not stand together.
                    if canceled.iter().all(|(other, _)| other.key != dependent.key) {
                        canceled.push((dependent, why));
                    }
                }
            }
        }
        if open {
            rows.await_figures(on.key)?;
        } else if all {
            rows.clear_followed(on.key)?;
        }
        for (dependent, why) in canceled {
            rows.drop_dependencies(dependent.key)?;
            let canceled = Move::of(Event::Canceled, Status::Waiting, now)?;
            rows.put(dependent.key, &Move { message: Some(why), ..canceled })?;
        }
    }
    Ok(Resolved { more: true, queued })
}
