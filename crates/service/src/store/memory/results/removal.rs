//! Removal of single results from sets in memory, and from the moments that are kept.

use super::{Kept, Row, Rows, Set, bytes, count};
use crate::store::{DataSubject, Erased, RemovedStep, SetKey, StorageKey};
use docket_contract::Timestamp;
use docket_contract::cursor::Position;
use std::collections::HashSet;
use std::ops::Bound;
use std::sync::Arc;

/// Results that one step looks at.
const STEP: usize = 2000;

fn is_of(row: &Row, subject: &DataSubject) -> bool {
    let identity = &row.record.identity;
    match subject {
        DataSubject::BusinessPartner(id) => identity.business_partner_id() == Some(id),
        DataSubject::External(id) => identity.external_id() == Some(id),
    }
}

impl Set {
    fn remove(&mut self, ids: &HashSet<u64>) {
        for id in ids {
            let Some(row) = self.rows.remove(id) else { continue };
            self.bytes -= bytes(&row.record);
            self.ids.remove(&row.record.identity);
            count(&mut self.counters, &row.record, false);
        }
    }
}

impl Kept {
    fn take_out(&mut self, key: &SetKey, ids: &HashSet<u64>) {
        let Some(set) = self.storages.get_mut(&key.storage).and_then(|sets| sets.get_mut(&key.owner)) else { return };
        let before = set.bytes;
        set.remove(ids);
        self.bytes -= before - set.bytes;
        for (_, rows) in self.snapshots.iter_mut().filter(|(snapshot, _)| snapshot.set == set.number) {
            let left = rows.iter().filter(|(id, _)| !ids.contains(id)).map(|(id, row)| (*id, Arc::clone(row)));
            *rows = Rows::new(left.collect());
        }
    }

    pub(super) fn erase(&mut self, storage: &StorageKey, subject: &DataSubject) -> Vec<Erased> {
        let sets = self.storages.get(storage).into_iter().flatten();
        let found = sets.map(|(owner, set)| {
            let rows = set.rows.iter().filter(|(_, row)| is_of(row, subject));
            (*owner, rows.map(|(id, _)| *id).collect::<HashSet<u64>>())
        });
        let found: Vec<_> = found.filter(|(_, ids)| !ids.is_empty()).collect();
        let erase = |(owner, ids): (_, HashSet<u64>)| {
            self.take_out(&SetKey { storage: storage.clone(), owner }, &ids);
            Erased { owner, results: ids.len() as u64 }
        };
        let mut erased: Vec<Erased> = found.into_iter().map(erase).collect();
        erased.sort_unstable();
        erased
    }

    pub(super) fn remove_older(&mut self, key: &SetKey, before: Timestamp, after: Position) -> RemovedStep {
        let Some(set) = self.find(key) else { return RemovedStep::default() };
        let behind = || set.rows.range((Bound::Excluded(after.0), Bound::Unbounded)).take(STEP);
        let next = behind().nth(STEP - 1).map(|(id, _)| Position(*id));
        let old = behind().filter(|(_, row)| row.modified_at < before).map(|(id, _)| *id).collect();
        self.take_out(key, &old);
        RemovedStep { removed: old.len() as u64, next }
    }
}
