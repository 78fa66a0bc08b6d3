//! The faces: translation between the network and the table of operations, and nothing else.

pub mod listener;
pub mod openapi;
pub mod rest;
