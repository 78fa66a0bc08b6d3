//! Results: what a job found out about one record (api.md section 3).
//!
//! A record is checked and brought into its stored form while it is read from the request: the JSON text that pages
//! will send, less what is the same for a whole page or known only to the store. Nothing parses it again on the way
//! to a page. A record that is not valid does not spoil the others.

mod columns;
mod identity;
mod read;
mod record;
mod types;

#[cfg(test)]
mod tests;

pub use columns::COLUMNS;
pub use identity::Identity;
pub use read::read_result_data;
pub use record::{Record, ResultItem};
pub use types::{
    AddressVersion, Configuration, InsertFailure, JobResultData, JobResultDataUpsert, ProcessingStatus, ResultStatus,
    TechnicalKey,
};

/// Longest `resultData`, in characters (S: "≤ 65535 characters").
pub const MAX_RESULT_DATA_CHARS: usize = 65_535;
/// Most records in one insert (S).
pub const MAX_INSERT: usize = 1000;
/// Most results in one page (S).
pub const MAX_PAGE: i32 = 5000;
/// Results in a page when the request does not say (S).
pub const DEFAULT_PAGE: i32 = 500;
/// Most ids in one identity filter (S).
pub const MAX_FILTER_IDS: usize = 500;
