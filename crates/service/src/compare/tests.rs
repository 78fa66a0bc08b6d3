//! Comparisons against a plain map, over both stores, at any size of memory.

use super::*;
use crate::clock::SystemClock;
use crate::store::memory::MemoryResults;
use crate::store::sqlite::{ResultsOptions, SqliteResults};
use crate::store::{SetOwner, StorageKey};
use docket_contract::operations::{DiffCounts, RecordChange};
use docket_contract::result::{Record, ResultItem};
use docket_contract::{JobId, Timestamp};
use join::Sink;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::path::Path;
use tempfile::TempDir;
use uuid::Uuid;

/// A list of what was told.
#[derive(Default)]
struct Told {
    unchanged: u64,
    changed: Vec<(RecordChange, u64, u64)>,
}

impl Sink for Told {
    fn unchanged(&mut self) {
        self.unchanged += 1;
    }

    fn changed(&mut self, change: RecordChange, id: u64, other: u64) -> io::Result<()> {
        self.changed.push((change, id, other));
        Ok(())
    }

    fn go_on(&self) -> io::Result<()> {
        Ok(())
    }
}

/// Content and verdict of records by their number.
type Model = BTreeMap<u64, (u8, bool)>;

fn compared(before: &Model, after: &Model) -> (u64, Vec<(RecordChange, u64)>) {
    let (mut unchanged, mut changed) = (0, Vec::new());
    for (record, (content, failed)) in after {
        let change = match before.get(record) {
            None => RecordChange::New,
            Some((_, then)) if then != failed => match failed {
                true => RecordChange::NewlyFailed,
                false => RecordChange::Fixed,
            },
            Some((then, _)) if then != content => RecordChange::Changed,
            Some(_) => {
                unchanged += 1;
                continue;
            }
        };
        changed.push((change, *record));
    }
    let missing = before.keys().filter(|record| !after.contains_key(record));
    changed.extend(missing.map(|record| (RecordChange::Missing, *record)));
    changed.sort_unstable();
    (unchanged, changed)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_join_is_a_comparison_of_maps(
        before in prop::collection::btree_map(0_u64..200, (0_u8..3, any::<bool>()), 0..150),
        after in prop::collection::btree_map(0_u64..200, (0_u8..3, any::<bool>()), 0..150),
        room in 64_usize..3000,
        bits in 0_u32..64,
    ) {
        let directory = tempfile::tempdir().expect("a directory");
        let mut sides = [Side::new(directory.path(), room, 0), Side::new(directory.path(), room, 0)];
        // Identities that differ in few bits fall into the same parts again and again.
        let identity = |record: u64| (record.rotate_right(bits), record % 7);
        for (side, model) in sides.iter_mut().zip([&before, &after]) {
            for (record, (content, failed)) in model {
                let id = record * 2 + u64::from(std::ptr::eq(model, &after));
                side.push(Entry::new(identity(*record), u64::from(*content), id, *failed)).expect("taken");
            }
        }
        let mut told = Told::default();
        let room = Room { directory: directory.path(), parts: room, side: room };
        join::join(&sides[0], &sides[1], room, &mut told).expect("joined");
        let mut changed = Vec::new();
        for (change, id, other) in told.changed {
            let (record, is_after) = (id / 2, id % 2 == 1);
            prop_assert_eq!(is_after, change != RecordChange::Missing);
            let has_both = !matches!(change, RecordChange::New | RecordChange::Missing);
            prop_assert_eq!(other, if has_both { record * 2 } else { 0 });
            changed.push((change, record));
        }
        changed.sort_unstable();
        prop_assert_eq!((told.unchanged, changed), compared(&before, &after));
    }
}

fn set(organization: &str, storage: &str, job: u128) -> SetKey {
    let storage = StorageKey { organization: organization.to_owned(), storage_id: storage.to_owned() };
    SetKey { storage, owner: SetOwner::Job(JobId(Uuid::from_u128(job))) }
}

fn record(number: u64, content: u8, failed: bool) -> Record {
    let value = serde_json::json!({
        "externalId": number.to_string(), "status": if failed { "FAILED" } else { "OK" },
        "resultData": format!("{content}{}", "x".repeat(number as usize % 50)),
        "processingStatus": {"technicalKey": "DONE", "modifiedAt": Timestamp::from_millis(fastrand::i64(0..1 << 40))},
    });
    match ResultItem::parse(&value.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

async fn write(store: &dyn ResultStore, set: &SetKey, model: &Model) {
    let mut records: Vec<Record> =
        model.iter().map(|(number, (content, failed))| record(*number, *content, *failed)).collect();
    fastrand::shuffle(&mut records);
    for some in records.chunks(1000) {
        store.upsert_results(set, some.to_vec(), Timestamp::from_millis(1)).await.expect("written");
    }
}

fn models(records: u64) -> (Model, Model) {
    let one = |number: u64, night: u64| {
        let changed = night * u64::from(number.is_multiple_of(10));
        (number, ((number % 3 + changed) as u8, (number / 10 + changed * (number / 20 % 2)).is_multiple_of(2)))
    };
    let before = (0..records).map(|number| one(number, 0)).collect();
    let after = (records / 20..records + 30).map(|number| one(number, 1)).collect();
    (before, after)
}

struct Bench {
    store: Arc<dyn ResultStore>,
    comparisons: Comparisons,
    directory: TempDir,
}

fn benches(memory: usize) -> Vec<Bench> {
    let directories = [(); 2].map(|()| tempfile::tempdir().expect("a directory"));
    let sqlite =
        SqliteResults::open(&directories[1].path().join("results"), ResultsOptions::default()).expect("a store");
    let stores: [Arc<dyn ResultStore>; 2] = [Arc::new(MemoryResults::default()), Arc::new(sqlite)];
    let bench = |(store, directory): (Arc<dyn ResultStore>, TempDir)| {
        let options = CompareOptions { memory, ..CompareOptions::default() };
        let place = directory.path().join("comparisons");
        let comparisons =
            Comparisons::open(Some(place), store.clone(), Arc::new(SystemClock), options).expect("opened");
        Bench { store, comparisons, directory }
    };
    stores.into_iter().zip(directories).map(bench).collect()
}

async fn listed(bench: &Bench, subject: &Subject, finished: &Finished) -> Vec<(RecordChange, u64)> {
    let mut found = Vec::new();
    for change in RecordChange::ALL {
        let pairs = finished.behind(change, 0, usize::MAX).expect("read");
        assert!(pairs.is_sorted(), "{change:?} by id");
        let (of, at) = match change {
            RecordChange::Missing => (&subject.before, subject.before_at),
            _ => (&subject.after, subject.after_at),
        };
        let ids = pairs.iter().map(|(id, _)| docket_contract::cursor::Position(*id)).collect();
        let chunk = bench.store.read_at(of, at, ids).await.expect("read");
        assert_eq!(chunk.rows.len(), pairs.len());
        for (_, body) in chunk.iter() {
            let value: serde_json::Value = serde_json::from_slice(body).expect("JSON");
            found.push((change, value["externalId"].as_str().expect("an id").parse().expect("a number")));
        }
    }
    found.sort_unstable();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn sets_are_compared_as_they_were() {
    for memory in [1, 64 << 20] {
        for bench in benches(memory) {
            let (older, newer) = (set("o", "s", 1), set("o", "other", 2));
            let (before, after) = models(3000);
            write(&*bench.store, &older, &before).await;
            write(&*bench.store, &newer, &after).await;
            let subject = bench.comparisons.subject(older.clone(), newer.clone()).await.expect("marks");
            let back = bench.comparisons.subject(newer.clone(), older.clone()).await.expect("marks");
            // What is written now is of a later moment.
            write(&*bench.store, &newer, &models(100).0).await;
            let finished = bench.comparisons.compare(&subject).await.expect("compared");
            let (unchanged, changed) = compared(&before, &after);
            assert_eq!(listed(&bench, &subject, &finished).await, changed);
            let count = |change| changed.iter().filter(|(other, _)| *other == change).count() as i64;
            let [newly_failed, fixed, changes, missing, new] = RecordChange::ALL.map(count);
            let expected =
                DiffCounts { newly_failed, fixed, changed: changes, unchanged: unchanged as i64, missing, new };
            assert_eq!(finished.counts(), expected);
            assert!(RecordChange::ALL.iter().all(|change| expected.of(*change) > 0), "{expected:?}");
            let back = bench.comparisons.compare(&back).await.expect("compared").counts();
            assert!(back.missing == new && back.new == missing, "{back:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_empty_and_what_is_gone_is_an_error() {
    for bench in benches(1 << 20) {
        let (older, newer) = (set("o", "s", 1), set("o", "s", 2));
        let subject = bench.comparisons.subject(older.clone(), newer.clone()).await.expect("marks");
        assert_eq!(bench.comparisons.compare(&subject).await.expect("compared").counts(), DiffCounts::default());
        write(&*bench.store, &newer, &models(100).1).await;
        let subject = bench.comparisons.subject(older.clone(), newer.clone()).await.expect("marks");
        let counts = bench.comparisons.compare(&subject).await.expect("compared").counts();
        assert_eq!((counts.new, counts.missing), (125, 0));
        bench.comparisons.forget("o").await;
        bench.store.delete_set(&newer).await.expect("deleted");
        assert_eq!(bench.comparisons.compare(&subject).await.expect_err("gone").code, Code::NotFound);
    }
}

fn files(directory: &Path) -> usize {
    let entries = std::fs::read_dir(directory).expect("listed");
    entries.map(|entry| entry.expect("an entry").path()).map(|path| if path.is_dir() { files(&path) } else { 1 }).sum()
}

#[tokio::test(flavor = "multi_thread")]
async fn one_that_many_ask_for_is_made_once() {
    let bench = benches(1 << 20).remove(1);
    let (older, newer) = (set("o", "s", 1), set("o", "s", 2));
    write(&*bench.store, &older, &models(2000).0).await;
    let subject = bench.comparisons.subject(older, newer).await.expect("marks");
    let asked: Vec<_> = (0..20)
        .map(|_| {
            let (comparisons, subject) = (bench.comparisons.clone(), subject.clone());
            tokio::spawn(async move { comparisons.compare(&subject).await.expect("compared") })
        })
        .collect();
    let first = bench.comparisons.compare(&subject).await.expect("compared");
    for finished in asked {
        assert!(Arc::ptr_eq(&finished.await.expect("an answer"), &first));
    }
    let place = bench.directory.path().join("comparisons");
    assert_eq!(files(&place), 1);
    // Another server finds it.
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let again = Comparisons::open(Some(place.clone()), bench.store.clone(), clock, CompareOptions::default());
    let again = again.expect("opened");
    assert!(again.inner.cache.get(&subject.name(), Timestamp::default()).is_some());
    again.forget("another").await;
    assert_eq!(files(&place), 1);
    again.forget("o").await;
    assert_eq!(files(&place), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_waits_too_long_is_told_to_come_again_and_too_many_are_refused() {
    let mut bench = benches(1 << 20).remove(0);
    let options = CompareOptions { wait: Duration::ZERO, ..CompareOptions::default() };
    bench.comparisons = Comparisons::open(None, bench.store.clone(), Arc::new(SystemClock), options).expect("opened");
    let held = bench.comparisons.inner.turn.acquire().await.expect("a turn");
    let subject = |organization: &str, job| Subject {
        before: set(organization, "s", job),
        before_at: Snapshot::default(),
        after: set(organization, "s", 99),
        after_at: Snapshot::default(),
    };
    let refused = async |organization: &str, job| {
        bench.comparisons.compare(&subject(organization, job)).await.expect_err("not ready")
    };
    for job in 0..MOST_OF_ORGANIZATION as u128 {
        let error = refused("o", job).await;
        assert_eq!((error.code, error.retry_after), (Code::Overloaded, Some(ASK_AGAIN)));
        assert!(error.detail.contains("being made"), "{error}");
    }
    assert!(refused("o", 50).await.detail.contains("Too many"));
    assert!(refused("o", 0).await.detail.contains("being made"), "what was begun is not begun twice");
    for organization in 0..MOST_BEGUN - MOST_OF_ORGANIZATION {
        assert!(refused(&organization.to_string(), 1).await.detail.contains("being made"));
    }
    assert!(refused("last", 1).await.detail.contains("Too many"));
    // All that was begun is made when its turn comes.
    drop(held);
    let begun = std::mem::take(&mut *bench.comparisons.inner.begun());
    assert_eq!(begun.len(), MOST_BEGUN);
    for mut outcome in begun.into_values() {
        let ended = outcome.wait_for(Option::is_some).await.expect("an outcome").clone();
        assert!(matches!(ended, Some(Ok(_))), "{ended:?}");
    }
    assert!(bench.comparisons.compare(&subject("o", 0)).await.is_ok());
}
