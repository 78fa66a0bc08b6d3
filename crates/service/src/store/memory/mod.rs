//! Stores in memory: both planes, with the behaviour of every other driver and without its durability. A write is done
//! when its future is ready, and gone with the process. For the mock and for tests.
//!
//! Plain maps behind a mutex, held for a moment and never across an await; lists and filters are scans. Memory is
//! bounded: what does not fit is refused as on a full disk.

mod control;
mod files;
mod results;
#[cfg(test)]
mod tests;

pub use control::MemoryControl;
pub use files::MemoryFiles;
pub use results::MemoryResults;
