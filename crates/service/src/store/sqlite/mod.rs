//! The embedded drivers: SQLite files in the data directory. They bind, run and map; they take no decision.

pub mod connection;
mod control;
mod results;

pub use control::SqliteControl;
pub use results::{ResultsOptions, SqliteResults};
