//! The embedded drivers: SQLite files in the data directory. They bind, run and map; they take no decision.

pub mod connection;
mod control;
pub mod flaw;
mod results;
pub mod snapshot;

pub use control::{SqliteControl, check as control_check};
pub use results::{ResultsOptions, SqliteResults, backup as results_backup};
