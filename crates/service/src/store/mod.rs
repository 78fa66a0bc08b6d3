//! What the service asks of its storage, in the words of the domain. Drivers bind, run and map; they take no decision.
//!
//! Two planes: [`ControlStore`] keeps jobs, keys and idempotency records, and in the same place [`ScheduleStore`]
//! scheduled jobs and [`RetentionStore`] how long jobs are kept; [`ResultStore`] keeps results, one storage apart from another.
//! Beside them [`files::FileStore`] keeps what jobs attach. Every write is durable when its future is ready. Time comes in
//! as a parameter, never from the database.

mod body;
mod control;
mod deliveries;
pub mod disk;
pub(crate) mod encode;
mod error;
pub mod files;
mod jobs;
pub mod memory;
pub mod queue;
mod records;
mod regressions;
mod removal;
mod results;
mod retention;
mod schedules;
mod snapshots;
pub mod sqlite;

#[cfg(test)]
mod conformance;

pub use control::ControlStore;
pub use deliveries::{Delivery, DeliveryEnd, DeliveryKey, DueReceivers};
pub use error::StoreError;
pub use jobs::*;
pub use records::*;
pub use regressions::*;
pub use removal::*;
pub use results::*;
pub use retention::*;
pub use schedules::*;
pub use snapshots::*;
