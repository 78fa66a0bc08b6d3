//! Business partners: reading them from CSV, checking them by published rules, and making seeded
//! ones with known defects.
//!
//! Modules build on each other in this order: `catalog`, `findings`, `rules`, `partner`, then
//! `validate`, `reader`, `writer` and `generate`, then `summary`.
//!
//! Owns the partner record, its CSV form, the rules, the text sent as `resultData`, and the
//! generator. Refuses everything with a network, a clock or a server: the caller brings the client.

mod catalog;
mod findings;
mod generate;
mod partner;
mod reader;
mod rules;
mod summary;
mod validate;
mod writer;

pub use catalog::rule;
pub use findings::{Severity, Validation};
pub use generate::{Compared, Generator, NextNight};
pub use partner::Partner;
pub use reader::{PartnerReader, RowError};
pub use summary::Summary;
pub use validate::validate;
pub use writer::PartnerWriter;
