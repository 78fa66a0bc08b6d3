//! The entries that no run holds yet.

use super::Entry;
use crate::store::sqlite::results::keys::{Kind, head_of, id_key, is_of, is_of_id, revision_key, sequence_of, set_of};
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

/// An entry of a hash key.
struct Link {
    sequence: u64,
    record: u64,
    /// The place of the next older entry with this head.
    older: u32,
    /// The set in the key of an id; else 0.
    set: u32,
}

/// A map from a key to all its sequences. Tags apart, as few keys there have very many; revisions apart, as they are
/// asked for by ranges of rows.
#[derive(Default)]
pub struct Memory {
    /// The place in `links` of the newest entry of the keys that share a head.
    heads: HashMap<u64, u32, BuildHasherDefault<KeyAsHash>>,
    links: Vec<Link>,
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
        let (place, set) = (self.links.len() as u32, if is_of_id(entry.key) { set_of(entry.key) as u32 } else { 0 });
        let older = self.heads.insert(head_of(entry.key), place).unwrap_or(END);
        self.links.push(Link { sequence: entry.sequence, record: entry.record, older, set });
    }

    /// The entries of a head, newest first.
    fn chain(&self, head: u64) -> impl Iterator<Item = &Link> {
        let newest = self.heads.get(&head).copied().unwrap_or(END);
        let first = self.links.get(newest as usize);
        std::iter::successors(first, |link| self.links.get(link.older as usize))
    }

    /// Calls `found` with every sequence of a hash key, or the place of a row's newest revision.
    pub fn find(&self, key: u64, mut found: impl FnMut(u64)) {
        if is_of(Kind::Revision, key) {
            self.revisions.get(&key).into_iter().for_each(|place| found(*place));
            return;
        }
        let set = if is_of_id(key) { set_of(key) as u32 } else { 0 };
        self.chain(head_of(key)).filter(|link| link.set == set).for_each(|link| found(link.sequence));
    }

    /// The entries of an id in all sets, given what its keys begin with.
    pub fn find_everywhere(&self, head: u64) -> impl Iterator<Item = Entry> {
        let entry = move |link: &Link| {
            let key = if is_of_id(head) { id_key(head, u64::from(link.set)) } else { head };
            Entry { key, sequence: link.sequence, record: link.record }
        };
        self.chain(head).map(entry)
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
        for head in self.heads.keys() {
            entries.extend(self.find_everywhere(*head));
        }
        entries.extend(self.revisions.iter().map(|(key, place)| Entry::new(*key, *place)));
        entries.extend_from_slice(&self.tags);
        entries.sort_unstable();
        entries.dedup();
        entries
    }
}
