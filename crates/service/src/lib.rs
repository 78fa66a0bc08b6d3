//! What Docket does: storage, execution, operations, and the faces that translate between them and the network.

pub mod access;
pub mod app;
pub mod backup;
pub mod check;
pub mod clock;
pub mod compare;
pub mod data;
pub mod engine;
pub mod executors;
mod export;
pub mod faces;
mod failpoint;
pub mod feed;
pub mod handler;
pub mod mock;
pub mod operations;
pub mod receipts;
pub mod secrets;
pub mod store;
pub mod supervisor;
pub mod webhooks;
