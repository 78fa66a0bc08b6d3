//! Removal of single results: those of a data subject, and those that are old.

use super::{SetOwner, StorageKey, StoreError};
use docket_contract::cursor::Position;

/// Whose results are erased: everything that was recorded about one business partner.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum DataSubject {
    /// Results with this `businessPartnerId`.
    BusinessPartner(String),
    /// Results with this `externalId`.
    External(String),
}

/// The storages of an organization.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storages {
    /// By ascending id.
    pub keys: Vec<StorageKey>,
    /// Why a storage could not be asked whose it is, if there is such a one: it may be one of theirs.
    pub unreadable: Option<StoreError>,
}

/// What was erased from one set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Erased {
    /// Whose set.
    pub owner: SetOwner,
    /// How many results; never 0.
    pub results: u64,
}

/// What a step of a removal has come to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RemovedStep {
    /// How many results are gone.
    pub removed: u64,
    /// Behind which result the next step begins; `None` when the set's end was reached.
    pub next: Option<Position>,
}
