//! The operations of pull workers: programs that ask for jobs, run them wherever they are, and report their ends.

mod claim;
mod complete;
mod heartbeat;

pub use claim::*;
pub use complete::*;
pub use heartbeat::*;
