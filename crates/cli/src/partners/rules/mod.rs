//! How the rules are checked, one duty a file. What they are called and weigh is in `catalog`.

pub mod country;
pub mod digits;
pub mod iban;
pub mod identifiers;
pub mod lei;
mod names;
mod pattern;
pub mod postal;
mod postal_formats;
pub mod text;
pub mod vat;
