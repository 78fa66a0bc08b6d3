//! What Docket does: storage, execution, operations, and the faces that translate between them and the network.

pub mod clock;
pub mod store;
