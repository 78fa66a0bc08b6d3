//! The index, packs and bodies against a plain map, through crashes at every step.

use super::*;
use crate::store::body::Body;
use crate::store::sqlite::connection::{in_transaction, open_writer};
use crate::store::sqlite::results::draft::{Draft, Known, Newest};
use crate::store::sqlite::results::file::{FILE, PAGE_SIZE, StorageFile, open_segment};
use crate::store::sqlite::results::keys::{
    Kind, MAX_SEQUENCE, Tag, first_key, head_of, id_key, identity_key, record_of,
};
use crate::store::sqlite::results::pack::Head;
use crate::store::sqlite::results::revisions;
use crate::store::sqlite::results::segment::SEGMENT;
use crate::store::sqlite::results::walk;
use crate::store::{SetOwner, StorageKey};
use docket_contract::result::{Record, ResultItem, ResultStatus};
use docket_contract::{JobId, Timestamp};
use proptest::prelude::*;
use rusqlite::params;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use tempfile::TempDir;
use uuid::Uuid;

fn options() -> IndexOptions {
    IndexOptions { run_entries: 40, merge: 2, filter_bits: 10, slice_blocks: 2, block_entries: 5 }
}

/// What a crash may fall upon.
#[derive(Clone, Debug)]
enum Act {
    /// Commit rows of a set.
    Insert { set: u64, rows: usize },
    /// Write a row again so many times in one transaction, each time with another verdict.
    Flip(usize, i64),
    /// Remember what the rows are now.
    Look,
    /// Begin a run of what is in memory.
    Freeze,
    /// Prepare a step, apply it, report it.
    Step,
    /// Prepare a step that is not applied.
    Fail,
    /// A step is prepared, and maybe applied, before the crash; or bodies were written that no transaction names.
    Crash { prepare: bool, apply: bool, torn: bool },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        4 => (1u64..4, 1usize..30).prop_map(|(set, rows)| Act::Insert { set, rows }),
        3 => (any::<prop::sample::Index>(), 1i64..4).prop_map(|(index, times)| Act::Flip(index.index(1 << 20), times)),
        1 => Just(Act::Look),
        3 => Just(Act::Freeze),
        12 => Just(Act::Step),
        1 => Just(Act::Fail),
        2 => any::<(bool, bool, bool)>().prop_map(|(prepare, apply, torn)| Act::Crash { prepare, apply, torn }),
    ]
}

fn owner(set_no: u64) -> SetOwner {
    SetOwner::Job(JobId(Uuid::from_u128(u128::from(set_no))))
}

/// Of each sequence: set, tag and time.
type Rows = BTreeMap<u64, (u64, Tag, i64)>;

/// A file with its index, and the map that it must agree with.
struct World {
    directory: TempDir,
    connection: Connection,
    segment: Segment,
    hasher: Hasher,
    index: Arc<Index>,
    maintenance: Maintenance,
    next_sequence: u64,
    last_pending: i64,
    /// Hash keys and the rows that they must find.
    hashes: BTreeMap<u64, BTreeSet<u64>>,
    /// What keys of ids begin with, and the entries that it must find: key, row, record.
    ids: BTreeMap<u64, BTreeSet<(u64, u64, u64)>>,
    /// Set, data source and verdict of every row, and how often it was written again.
    rows: BTreeMap<u64, (u64, Tag, i64)>,
    /// The rows as they were when the segment ended at a place.
    looks: Vec<(u64, Rows)>,
}

fn path(directory: &TempDir) -> PathBuf {
    directory.path().join("storage").join(FILE)
}

/// Crashes are copies here: nothing has to reach the disk.
fn connect(path: &Path) -> Connection {
    let connection = open_writer(path, false, PAGE_SIZE, 256, 0).expect("a connection");
    connection.pragma_update(None, "synchronous", "OFF").expect("a setting");
    connection
}

impl World {
    fn new() -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let key = StorageKey { organization: "o".into(), storage_id: "s".into() };
        StorageFile::create(directory.path(), &directory.path().join("storage"), &key, 0).expect("a file");
        let connection = connect(&path(&directory));
        for set_no in 1..4 {
            let set = params![set_no as i64, owner(set_no).to_bytes()];
            connection
                .execute("INSERT INTO result_sets (set_no, owner, last_sequence) VALUES (?1, ?2, 0)", set)
                .expect("a set");
        }
        let (segment, hasher, index, maintenance) = load(&connection, &directory);
        let (hashes, ids, rows) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
        let (next_sequence, last_pending, looks) = (1, 0, Vec::new());
        Self {
            directory,
            connection,
            segment,
            hasher,
            index,
            maintenance,
            next_sequence,
            last_pending,
            hashes,
            ids,
            rows,
            looks,
        }
    }

    /// Commits what `work` writes to a set, as the writer does.
    fn commit(&mut self, set_no: u64, now: i64, work: impl FnOnce(&mut Self, &mut Draft)) {
        let mut draft = Draft::new(self.next_sequence, self.last_pending, self.segment.end());
        self.connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        draft.begin(set_no, Timestamp::from_millis(now));
        work(self, &mut draft);
        draft.end(&self.connection).expect("a pack");
        draft.save(&self.connection, &self.segment, &Default::default()).expect("saved");
        self.connection.execute_batch("COMMIT").expect("a commit");
        self.index.publish(&draft.entries, draft.end);
        (self.next_sequence, self.last_pending) = (draft.next_sequence, draft.last_pending);
    }

    fn insert(&mut self, set_no: u64, rows: usize) {
        self.commit(set_no, 0, |world, draft| {
            for _ in 0..rows {
                let record = record(draft.next_sequence);
                let tag = Tag::new(draft.next_sequence % 3, record.country, record.status);
                let hashes = world.hasher.record(&record);
                let head = Head { identity: hashes.identity, tag, length: record.json.len() as u32 };
                let sequence =
                    draft.append(&world.connection, &hashes, head, Body::plain(record.json.as_bytes())).expect("a row");
                let identity = identity_key(&hashes.identity, set_no);
                world.hashes.entry(identity).or_default().insert(sequence);
                for head in [hashes.business_partner, hashes.external_id].into_iter().flatten() {
                    let key = id_key(head, set_no);
                    world.hashes.entry(key).or_default().insert(sequence);
                    world.ids.entry(head).or_default().insert((key, sequence, record_of(&hashes.identity)));
                }
                world.rows.insert(sequence, (set_no, tag, 0));
            }
        });
    }

    /// Writes rows and a revision whose transaction does not come to its end.
    fn tear(&mut self) {
        let mut draft = Draft::new(self.next_sequence, self.last_pending, self.segment.end());
        self.connection.execute_batch("BEGIN IMMEDIATE").expect("a transaction");
        draft.begin(1, Timestamp::from_millis(-1));
        for number in 0..3 {
            let hashes = self.hasher.record(&record(1_000_000 + number));
            let head = Head { identity: hashes.identity, tag: Tag(0), length: 7 };
            draft.append(&self.connection, &hashes, head, Body::plain(b"{\"torn\"")).expect("a row");
        }
        draft.revise(Known { sequence: 1, tag: Tag(0), newest: Newest::Packed }, Tag(1), Body::plain(b"{\"torn\":1}"));
        draft.end(&self.connection).expect("a pack");
        draft.save(&self.connection, &self.segment, &Default::default()).expect("saved");
        self.connection.execute_batch("ROLLBACK").expect("nothing remains");
    }

    fn flip(&mut self, choice: usize, count: i64) {
        if self.rows.is_empty() {
            return;
        }
        let place = choice % self.rows.len();
        let Some((sequence, (set_no, tag, times))) = self.rows.iter_mut().nth(place) else { return };
        let revisions = self.index.revisions_of(&self.connection, &[*sequence]).expect("a look");
        let newest = revisions.first().map_or(Newest::Packed, |(_, place)| Newest::Revised(*place));
        let mut known = Known { sequence: *sequence, tag: *tag, newest };
        *times += count;
        tag.0 ^= count as u64 & 1;
        let (set_no, times) = (*set_no, *times);
        self.commit(set_no, times, |_, draft| {
            for _ in 0..count {
                known = draft.revise(known, Tag(known.tag.0 ^ 1), Body::plain(b"{}"));
            }
        });
    }

    fn look(&mut self) {
        self.looks.push((revisions::place_of(self.segment.end()), self.rows.clone()));
    }

    fn apply(&self, step: &Step) -> usize {
        in_transaction(&self.connection, || step.apply(&self.connection)).expect("a step")
    }

    /// Does one step; answers whether there was one.
    fn step(&mut self) -> bool {
        let Some(step) = self.maintenance.next_step(&self.connection).expect("a step") else { return false };
        let rows = self.apply(&step);
        self.maintenance.done(&step, rows);
        true
    }

    /// Goes on with what the file holds at this moment.
    fn crash(&mut self) {
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(directory.path().join("storage")).expect("a directory");
        let (old, new) = (path(&self.directory), path(&directory));
        // Of the bodies only those survive that were made durable.
        let (durable, rows) = (self.segment.end(), new.with_file_name(SEGMENT));
        std::fs::copy(path(&self.directory).with_file_name(SEGMENT), &rows).expect("a copy");
        std::fs::File::options().write(true).open(&rows).and_then(|file| file.set_len(durable)).expect("a cut");
        for ending in ["", "-wal"] {
            let name = |path: &PathBuf| format!("{}{ending}", path.display());
            if std::fs::exists(name(&old)).expect("a file") {
                std::fs::copy(name(&old), name(&new)).expect("a copy");
            }
        }
        self.connection = connect(&new);
        self.directory = directory;
        (self.segment, self.hasher, self.index, self.maintenance) = load(&self.connection, &self.directory);
        self.last_pending = last_pending(&self.connection).expect("a number");
    }

    /// Every key finds its rows, and rows of other keys only if they were once its own.
    fn check(&self) {
        let keys: Vec<u64> = self.hashes.keys().copied().chain([1, first_key(Kind::Revision) - 1]).collect();
        let mut keys = keys;
        keys.sort_unstable();
        let mut found: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        let find = self.index.find(&self.connection, &keys, |place, sequence| {
            found.entry(keys[place]).or_default().insert(sequence);
        });
        find.expect("a look");
        assert_eq!(found, self.hashes);
        self.check_everywhere();
        let mut tags: BTreeMap<u64, BTreeSet<u64>> = BTreeMap::new();
        for (sequence, (set_no, tag, _)) in &self.rows {
            tags.entry(tag.key(*set_no)).or_default().insert(*sequence);
        }
        for (key, rows) in &tags {
            for (after, limit) in [(0, 1_000_000), (0, 3), (self.next_sequence / 2, 4)] {
                // Rows that changed their verdict may be found as well. What is found is whole up to its end.
                let found = self.index.tail(&self.connection, &[*key], after, limit).expect("a look");
                assert!(found.is_sorted_by(|one, other| one < other) && found.len() <= limit);
                assert!(found.iter().all(|sequence| *sequence > after));
                let end = found.last().copied().unwrap_or(u64::MAX);
                let missing =
                    rows.iter().find(|row| **row > after && **row <= end && found.binary_search(row).is_err());
                assert_eq!(missing, None, "key {key:x} behind {after}");
            }
        }
        let every: Vec<u64> = tags.keys().copied().collect();
        let mut found = Vec::new();
        loop {
            let after = found.last().copied().unwrap_or(0);
            let next = self.index.tail(&self.connection, &every, after, 10).expect("a look");
            if next.is_empty() {
                break;
            }
            found.extend(next);
        }
        assert_eq!(found, self.rows.keys().copied().collect::<Vec<_>>());
        self.check_revisions();
        self.check_bodies();
    }

    /// Every id finds its rows in all sets, each with its record.
    fn check_everywhere(&self) {
        let mut heads: Vec<u64> =
            self.ids.keys().copied().chain([Kind::BusinessPartner, Kind::ExternalId].map(first_key)).collect();
        heads.sort_unstable();
        let mut found: BTreeMap<u64, BTreeSet<(u64, u64, u64)>> = BTreeMap::new();
        let find = self.index.find_everywhere(&self.connection, &heads, |place, entry| {
            assert_eq!(head_of(entry.key), heads[place]);
            found.entry(heads[place]).or_default().insert((entry.key, entry.sequence, entry.record));
            Ok(())
        });
        find.expect("a look");
        assert_eq!(found, self.ids);
        let stopped = self.index.find_everywhere(&self.connection, &heads, |_, _| Err(StoreError::Gone));
        assert_eq!(stopped.is_err(), !self.ids.is_empty());
    }

    /// Every set gives its rows in order, with the tags and bodies that they had last.
    fn check_bodies(&self) {
        for set_no in 1..4 {
            let (mut rows, mut buffer, mut found) = (Vec::new(), Vec::new(), BTreeMap::new());
            let mut after = 0;
            while after < MAX_SEQUENCE {
                let view = self.index.view(after);
                let range = (after, view.horizon.min(MAX_SEQUENCE));
                let limit = self.rows.len() / 2 + 1;
                after = walk::gather(&self.connection, set_no, range, limit, |_| true, &mut rows).expect("rows");
                for (first, last) in walk::stretches(&rows).collect::<Vec<_>>() {
                    walk::revise(&mut rows, &view.revisions(&self.connection, first, last).expect("revisions"));
                }
                let visited = walk::each_body(
                    &self.segment,
                    &rows,
                    limit,
                    |_| true,
                    &mut buffer,
                    |row, body| {
                        found.insert(row.sequence, (row.tag, row.modified_at.as_millis(), body.to_vec()));
                        Ok(true)
                    },
                );
                assert_eq!(visited, Ok(true));
            }
            let expected =
                self.rows.iter().filter(|(_, (set, _, _))| *set == set_no).map(|(sequence, (_, tag, times))| {
                    let body = if *times > 0 { "{}".to_owned() } else { record(*sequence).json };
                    (*sequence, (*tag, *times, body.into_bytes()))
                });
            assert_eq!(found, expected.collect());
        }
    }

    /// Every row that was written again leads to its newest revision, alone, with others, and behind any row.
    fn check_revisions(&self) {
        let sequences: Vec<u64> = (1..self.next_sequence + 3).collect();
        let mut alone = self.index.revisions_of(&self.connection, &sequences).expect("a look");
        let expected: Vec<(u64, Tag, i64)> = self
            .rows
            .iter()
            .filter(|(_, (_, _, times))| *times > 0)
            .map(|(sequence, (_, tag, times))| (*sequence, *tag, *times))
            .collect();
        let read = |(sequence, place): &(u64, u64)| {
            let revision = revisions::head(&self.segment, *sequence, *place).expect("a revision");
            (*sequence, revision.tag, revision.modified_at.as_millis())
        };
        assert_eq!(alone.iter().map(read).collect::<Vec<_>>(), expected);
        self.check_looks(&alone);
        let view = self.index.view(0);
        assert_eq!(view.horizon, u64::MAX);
        assert_eq!(view.revisions(&self.connection, 1, u64::from(u32::MAX)).expect("a look"), alone);
        let (first, last) = (self.next_sequence / 3 + 1, self.next_sequence / 2);
        alone.retain(|(sequence, _)| (first..=last).contains(sequence));
        let view = self.index.view(first - 1);
        assert_eq!(view.revisions(&self.connection, first, last).expect("a look"), alone);
    }

    /// The chain of every row leads back to what it was at each look, and is as long as the row was written often.
    fn check_looks(&self, newest: &[(u64, u64)]) {
        for (sequence, place) in newest {
            let mut length = 0;
            let mut place = *place;
            while let Some((_, revision)) = revisions::follow(&self.segment, *sequence, place).expect("a revision") {
                (length, place) = (length + 1, revision.before);
            }
            assert_eq!(length, self.rows[sequence].2);
        }
        let newest: BTreeMap<u64, u64> = newest.iter().copied().collect();
        for (end, rows) in &self.looks {
            for (sequence, (_, tag, times)) in rows {
                let newest = newest.get(sequence).copied().unwrap_or(revisions::PACKED);
                let place = revisions::as_of(&self.segment, *sequence, newest, *end).expect("a chain");
                match revisions::follow(&self.segment, *sequence, place).expect("a revision") {
                    Some((_, then)) => assert_eq!((then.tag, then.modified_at.as_millis()), (*tag, *times)),
                    None => assert_eq!(*times, 0),
                }
            }
        }
    }

    fn count(&self, statement: &str) -> i64 {
        self.connection.query_row(statement, [], |row| row.get(0)).expect("a number")
    }
}

fn load(connection: &Connection, directory: &TempDir) -> (Segment, Hasher, Arc<Index>, Maintenance) {
    let mut hasher = Hasher::new([3; 32]);
    let segment = open_segment(connection, &directory.path().join("storage")).expect("a segment");
    // Room for some filters, not for all.
    let filters = FilterMemory::new(1024);
    let index = Arc::new(Index::load(connection, &segment, &mut hasher, options(), filters).expect("an index"));
    let maintenance = Maintenance::new(index.clone(), connection).expect("maintenance");
    (segment, hasher, index, maintenance)
}

fn record(number: u64) -> Record {
    // Some ids are shared by a few rows, one by many; some are absent.
    let partner = if number.is_multiple_of(4) { "\"businessPartnerId\": \"many\"," } else { "" };
    let external = format!("\"externalId\": \"\\u0065{}\", \"addressId\": \"{number}\"", number / 3);
    let status = if number.is_multiple_of(5) { ResultStatus::Failed } else { ResultStatus::Ok };
    let status = serde_json::to_string(&status).expect("JSON");
    match ResultItem::parse(&format!("{{{partner}{external}, \"status\": {status}}}")) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, ..ProptestConfig::default() })]

    #[test]
    fn agrees_with_a_map_through_crashes(acts in prop::collection::vec(act(), 1..120)) {
        let mut world = World::new();
        for act in &acts {
            match act {
                Act::Insert { set, rows } => world.insert(*set, *rows),
                Act::Flip(choice, times) => world.flip(*choice, *times),
                Act::Look => world.look(),
                Act::Freeze => world.index.freeze(world.next_sequence - 1, world.last_pending),
                Act::Step => drop(world.step()),
                Act::Fail => {
                    world.maintenance.next_step(&world.connection).expect("a step");
                    world.maintenance.failed();
                }
                Act::Crash { prepare, apply, torn } => {
                    if *prepare
                        && let Some(step) = world.maintenance.next_step(&world.connection).expect("a step")
                        && *apply
                    {
                        world.apply(&step);
                    }
                    if *torn {
                        world.tear();
                    }
                    world.crash();
                }
            }
            world.check();
        }
        // At rest nothing is left of what was begun or replaced, and few runs remain.
        while world.step() {}
        world.index.freeze(world.next_sequence - 1, world.last_pending);
        while world.step() {}
        world.check();
        let orphans = world.count("SELECT count(*) FROM run_blocks WHERE id >> 24 NOT IN (SELECT run FROM runs)")
            + world.count("SELECT count(*) FROM run_filters WHERE id >> 24 NOT IN (SELECT run FROM runs)");
        prop_assert_eq!(orphans, 0);
        prop_assert_eq!(world.count("SELECT count(*) FROM pending_entries"), 0);
        prop_assert_eq!(world.count("SELECT coalesce(max(n), 0) FROM (SELECT count(*) AS n FROM runs GROUP BY level)") < 2, true);
    }
}

/// A crash after every single step of making and merging runs.
#[test]
fn survives_a_crash_at_every_step() {
    for crash_at in 0..120 {
        let mut world = World::new();
        let mut steps = 0;
        for round in 0..4 {
            world.insert(round % 3 + 1, 40);
            world.look();
            world.flip(round as usize * 7, round as i64);
            world.index.freeze(world.next_sequence - 1, world.last_pending);
            loop {
                if steps == crash_at {
                    world.crash();
                    world.check();
                }
                steps += 1;
                if !world.step() {
                    break;
                }
            }
        }
        world.check();
        if steps <= crash_at {
            assert!(crash_at > 60, "the rounds take many steps: {steps}");
            return;
        }
    }
}
