//! What every driver must do, written against the traits alone.

#![allow(clippy::unwrap_used, missing_docs, reason = "tests, which tell by their names")]

pub mod control;
pub mod files;
pub mod results;
pub mod retention;
pub mod schedules;
