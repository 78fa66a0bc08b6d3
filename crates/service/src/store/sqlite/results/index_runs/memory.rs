//! The entries that no run holds yet.

use super::Entry;
use crate::store::sqlite::results::keys::{Kind, is_of, revision_key, sequence_of};
use std::collections::{BTreeMap, HashMap};
use std::hash::{BuildHasherDefault, Hasher};

/// Keys are hashes already.
#[derive(Default)]
pub struct KeyAsHash(u64);

impl Hasher for KeyAsHash {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(*byte);
        }
    }

    fn write_u64(&mut self, key: u64) {
        // The map tells entries of a bucket apart by the highest bits, of which three are the kind here.
        self.0 = key.rotate_left(20);
    }
}

const END: u32 = u32::MAX;

/// A map from a key to all its sequences. Tags apart, as few keys there have very many; revisions apart, as they are
/// asked for by ranges of rows.
#[derive(Default)]
pub struct Memory {
    /// The place in `links` of a key's newest entry.
    heads: HashMap<u64, u32, BuildHasherDefault<KeyAsHash>>,
    /// Sequence and the place of the key's next older entry.
    links: Vec<(u64, u32)>,
    /// The newest place of each revised row, by its key.
    revisions: BTreeMap<u64, u64>,
    /// Entries of revisions that came, newest or not.
    revised: usize,
    tags: Vec<Entry>,
}

impl Memory {
    pub fn len(&self) -> usize {
        self.links.len() + self.revised + self.tags.len()
    }

    pub fn has_revisions(&self) -> bool {
        !self.revisions.is_empty()
    }

    pub fn insert(&mut self, entry: Entry) {
        if is_of(Kind::Tag, entry.key) {
            self.tags.push(entry);
            return;
        }
        if is_of(Kind::Revision, entry.key) {
            let newest = self.revisions.entry(entry.key).or_default();
            *newest = entry.sequence.max(*newest);
            self.revised += 1;
            return;
        }
        let place = self.links.len() as u32;
        let older = self.heads.insert(entry.key, place).unwrap_or(END);
        self.links.push((entry.sequence, older));
    }

    /// Calls `found` with every sequence of a hash key, or the place of a row's newest revision.
    pub fn find(&self, key: u64, mut found: impl FnMut(u64)) {
        if is_of(Kind::Revision, key) {
            self.revisions.get(&key).into_iter().for_each(|place| found(*place));
            return;
        }
        let mut place = self.heads.get(&key).copied().unwrap_or(END);
        while let Some((sequence, older)) = self.links.get(place as usize) {
            found(*sequence);
            place = *older;
        }
    }

    /// The entries of some tag keys, which are in ascending order, behind a sequence. In no order.
    pub fn find_tags<'a>(&'a self, keys: &'a [u64], after: u64) -> impl Iterator<Item = u64> + 'a {
        let wanted = move |entry: &&Entry| entry.sequence > after && keys.binary_search(&entry.key).is_ok();
        self.tags.iter().filter(wanted).map(|entry| entry.sequence)
    }

    /// The rows behind a sequence that were revised, in order, with the place of the newest revision.
    pub fn revisions_behind(&self, after: u64) -> impl Iterator<Item = (u64, u64)> + '_ {
        self.revisions.range(revision_key(after + 1)..).map(|(key, place)| (sequence_of(*key as i64), *place))
    }

    /// All entries in order.
    pub fn sorted(&self) -> Vec<Entry> {
        let mut entries = Vec::with_capacity(self.len());
        for key in self.heads.keys() {
            self.find(*key, |sequence| entries.push(Entry { key: *key, sequence }));
        }
        entries.extend(self.revisions.iter().map(|(key, place)| Entry { key: *key, sequence: *place }));
        entries.extend_from_slice(&self.tags);
        entries.sort_unstable();
        entries.dedup();
        entries
    }
}
