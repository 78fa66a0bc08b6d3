//! What the service asks of its storage, in the words of the domain. Drivers bind, run and map; they take no decision.
//!
//! Two planes, and a trait for each: [`ControlStore`] keeps jobs, keys and idempotency records; [`ResultStore`] keeps
//! results, one storage apart from another. Beside them [`files::FileStore`] keeps what jobs attach. Every write is durable
//! when its future is ready. Time comes in as a parameter, never from the database.

mod control;
mod deliveries;
pub mod disk;
mod encode;
mod error;
pub mod files;
mod jobs;
pub mod memory;
pub mod queue;
mod records;
mod results;
pub mod sqlite;

#[cfg(test)]
mod conformance;

pub use control::ControlStore;
pub use deliveries::{Delivery, DeliveryEnd, DeliveryKey, DueReceivers};
pub use error::StoreError;
pub use jobs::*;
pub use records::*;
pub use results::*;
