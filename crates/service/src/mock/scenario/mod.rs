//! Scenarios: the real service in memory, whose jobs live as a file says.
//!
//! `file` is the format, `timeline` turns what a job does into a script of the scripted executor, `director` is the
//! executor that hands it that script and acts at its cues, `records` makes the results, `faults` spoils calls. What a
//! job does it does as a real one would: through the operations, with the rights of its own token.

mod director;
mod faults;
mod file;
mod records;
mod timeline;

pub use director::Director;
pub use faults::Faulty;
pub use file::{Scenario, ScenarioError};
