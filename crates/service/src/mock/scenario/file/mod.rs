//! The format of scenarios: TOML, documented in `docs/MOCK.md`.
//!
//! Here stands what a scenario is once it is read. `text` is how it is written, `fields` are the values in it, `parse`
//! finds the line of what is wrong.

mod fields;
mod parse;
mod text;

pub use self::parse::ScenarioError;

pub(super) use self::text::{Line, Match, Progress, Results};

use docket_contract::Code;
use std::time::Duration;

/// What is played.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// What the records are made from.
    pub(super) seed: u64,
    /// Most jobs that run at once.
    pub(super) slots: usize,
    /// What jobs do; the first entry that fits a job counts.
    pub(super) jobs: Vec<Part>,
    /// What happens to calls.
    pub(super) calls: Vec<CallRule>,
}

impl Scenario {
    /// Reads the text of a file.
    ///
    /// # Errors
    /// The first thing that is wrong, with its line and field.
    pub fn parse(text: &str) -> Result<Self, ScenarioError> {
        parse::parse(text)
    }

    /// Most jobs that run at once.
    pub fn slots(&self) -> usize {
        self.slots
    }
}

/// What a job does.
#[derive(Clone, Debug, Default)]
pub(super) struct Part {
    pub(super) matches: Match,
    pub(super) scheduled: Duration,
    pub(super) running: Duration,
    pub(super) end: End,
    pub(super) stubborn: bool,
    pub(super) result_data: Option<String>,
    pub(super) progress: Vec<Progress>,
    pub(super) log: Vec<Line>,
    pub(super) results: Option<Results>,
}

/// How a part ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum End {
    /// With this exit code.
    Exit(i32),
    /// By this signal.
    Signal(i32),
    /// Nobody sees how.
    Lost,
    /// On request.
    Canceled(Option<String>),
    /// Not by itself.
    #[default]
    Never,
}

/// What happens to calls of an operation.
#[derive(Clone, Debug)]
pub(super) struct CallRule {
    /// A name of the table.
    pub(super) operation: String,
    pub(super) nth: Vec<u64>,
    pub(super) every: Option<u64>,
    pub(super) delay: Duration,
    pub(super) answer: Option<Code>,
    pub(super) retry_after: Option<u32>,
}

impl CallRule {
    /// Whether it is about this call, counted from 1.
    pub(super) fn is_about(&self, call: u64) -> bool {
        self.nth.contains(&call)
            || self.every.is_some_and(|every| call.is_multiple_of(every))
            || self.nth.is_empty() && self.every.is_none()
    }
}
