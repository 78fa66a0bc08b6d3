//! What the faces share: a request's way up to the operation's input, and what every answer carries.
//!
//! Nothing here knows an operation, nor the form in which a face answers.

pub(in crate::faces) mod body;
pub(in crate::faces) mod call;
pub(in crate::faces) mod decode;
mod explain;
pub(in crate::faces) mod idempotency;
pub(in crate::faces) mod observe;
pub(in crate::faces) mod params;
pub(in crate::faces) mod response;
mod upload;
mod value;
