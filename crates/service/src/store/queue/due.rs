//! Start times and retry delays that are over.

use super::{Move, Rows, Wait};
use crate::store::StoreError;
use docket_contract::state::Event;
use docket_contract::{Status, Timestamp};

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Due {
    /// The earliest time that is left; it may have come already, when the step was full.
    pub next: Option<Timestamp>,
    /// Jobs were put into the queue.
    pub queued: bool,
}

/// Puts up to `limit` jobs whose time has come into the queue, unless dependencies hold them back still.
pub fn due<R: Rows>(rows: &mut R, now: Timestamp, limit: usize) -> Result<Due, StoreError> {
    let mut queued = false;
    for (key, wait) in rows.due(now, limit)? {
        if wait == Wait::Start && !rows.dependencies(key)?.is_empty() {
            rows.clear_due(key)?;
        } else {
            rows.put(key, &Move::of(Event::Queued, Status::Waiting, now)?)?;
            queued = true;
        }
    }
    Ok(Due { next: rows.next_due()?, queued })
}
