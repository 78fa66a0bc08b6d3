//! What the machine can do without the service in between: the stores without HTTP, and HTTP without the stores.

pub mod jobs;
mod memory_server;
pub mod open;
pub mod results;
