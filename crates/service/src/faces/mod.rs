//! The faces: translation between the network and the table of operations, and nothing else.

mod common;
pub mod docs;
pub mod listener;
pub mod openapi;
pub mod rest;
pub mod soap;
