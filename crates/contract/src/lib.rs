//! What Docket means, apart from how it does it: types and their limits, the job state machine, page positions,
//! errors, and the table of operations from which every face (REST, OpenAPI, SOAP, the documentation) is made.
//!
//! Marks tell where a rule comes from: (S) the vendor's page of the API, (P) its other public pages, (D) our own decision.
//! Where the text of a type is shown to users they stand in a comment above it.
//!
//! This crate owns no input or output: no runtime, no HTTP, no SQL, no clock and no randomness.

pub mod caller;
pub mod cron;
pub mod cursor;
pub mod error;
pub mod history;
mod ids;
pub mod job;
pub mod lenient;
pub mod log;
pub mod notice;
pub mod operations;
pub mod pointer;
pub mod result;
pub mod retention;
pub mod schedule;
pub mod state;
pub mod text;
pub mod time;
pub mod validate;

pub use caller::{Caller, Role};
pub use cron::{Cron, Zone};
pub use error::{Code, Error, FieldError};
pub use job::{Job, JobId};
pub use log::ProcessingLogId;
pub use operations::{Operation, Reply};
pub use schedule::{ScheduledJob, ScheduledJobId};
pub use state::Status;
pub use time::Timestamp;
