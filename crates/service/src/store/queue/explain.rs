//! What a WAITING job waits for, in words: names, conditions, holders, numbers and times.
//!
//! What changes while a job waits (which dependencies are open, who holds the lock) is told at each read from the rows
//! that say it, so no message is ever out of date and no change rewrites the messages of a thousand waiting jobs.

use super::gates::{Gate, GateKind};
use super::{Open, Reads, Wait};
use crate::store::StoreError;
use docket_contract::job::{DependencyCondition, Figures, Share, thousands};
use docket_contract::{JobId, Status, Timestamp};

/// The message of a job that is held back so, where it is not the stored one.
pub fn explain<R: Reads>(
    rows: &R,
    key: R::Key,
    wait: Wait,
    due_at: Option<Timestamp>,
) -> Result<Option<String>, StoreError> {
    match wait {
        Wait::Start => Ok(Some(start(&rows.dependencies(key)?, due_at))),
        Wait::Gate => match rows.gate_of(key)? {
            Some(gate) if gate.kind == GateKind::Lock => Ok(Some(lock(&gate, rows.holder(&gate)?))),
            _ => Ok(None),
        },
        Wait::Nothing | Wait::Called | Wait::Retry => Ok(None),
    }
}

/// Waiting for dependencies and a start time.
pub(super) fn start(open: &[Open], due_at: Option<Timestamp>) -> String {
    let job = |Open { id, condition, most_failed }: &Open| match condition {
        DependencyCondition::Finished => match most_failed {
            Some(most) => format!("job {id} to be FINISHED with at most {} of its results FAILED", most.percent()),
            None => format!("job {id} to be FINISHED"),
        },
        DependencyCondition::Terminated => format!("job {id} to end"),
        DependencyCondition::FailedOrDied => format!("job {id} to be FAILED or DIED"),
    };
    let mut parts: Vec<String> = open.iter().map(job).collect();
    parts.extend(due_at.map(|time| format!("its start time, {time}")));
    format!("Waits for {}.", parts.join(" and for "))
}

/// Waiting at a gate that is shut.
pub(super) fn shut(gate: &Gate, capacity: usize, holder: Option<JobId>) -> String {
    let organization = &gate.organization;
    match gate.kind {
        GateKind::Lock => lock(gate, holder),
        GateKind::Organization => {
            format!("Waits for room: organization {organization} runs {capacity} of {capacity} jobs.")
        }
        GateKind::Type => {
            let job_type = &gate.name;
            format!(
                "Waits for room: organization {organization} runs {capacity} of {capacity} jobs of type {job_type}."
            )
        }
    }
}

fn lock(gate: &Gate, holder: Option<JobId>) -> String {
    match holder {
        Some(holder) => format!("Waits for lock {}, which job {holder} holds.", gate.name),
        None => format!("Waits for lock {}, which is free now for a job before it.", gate.name),
    }
}

/// A dependency that can't be fulfilled any more.
pub(super) fn impossible(id: JobId, condition: DependencyCondition, status: Status) -> String {
    let (condition, status) = (condition.name(), status.name());
    format!("Canceled: job {id}, which it depends on with condition {condition}, is {status}.")
}

/// A quality gate that does not let the job through.
pub(super) fn too_many_failed(id: JobId, figures: Figures, most: Share) -> String {
    let (failed, total) = (thousands(figures.failed), thousands(figures.total));
    let (share, most) = (figures.percent(most), most.percent());
    format!(
        "Canceled: {failed} of {total} results of job {id} are FAILED ({share}), more than the {most} that it accepts."
    )
}
