//! Damaged files.

use super::*;

async fn is_damaged(store: &SqliteResults, set: &SetKey) {
    let damaged = |error: Option<StoreError>| matches!(error, Some(StoreError::Damaged(_)));
    assert!(damaged(read(store, set, ResultFilter::default()).await.err()), "a page");
    assert!(damaged(store.statistics(set).await.err()), "counters");
    let records = vec![record("new", "damage", false, 10)];
    assert!(damaged(store.upsert_results(set, records, now()).await.err()), "a write");
    assert!(damaged(store.delete_set(set).await.err()), "a deletion");
}

type Harm = (&'static str, &'static str, fn(&Path));

/// Ways in which a file can be spoiled so that nothing of the storage can be trusted.
const HARMS: [Harm; 8] = [
    ("overwritten", "results.db", |path| {
        let bytes = fs::metadata(path).expect("a file").len() as usize;
        let garbage: Vec<u8> = (0..bytes).map(|place| (place * 31 + place / 7) as u8).collect();
        fs::write(path, garbage).expect("written");
    }),
    ("emptied", "results.db", |path| File::create(path).map(drop).expect("emptied")),
    ("cut to a page", "results.db", |path| cut(path, 4096)),
    ("another database", "results.db", |path| {
        fs::remove_file(path).expect("removed");
        let other = rusqlite::Connection::open(path).expect("a file");
        other.execute_batch("CREATE TABLE other (a)").expect("a table");
    }),
    ("missing", "results.db", |path| fs::remove_file(path).expect("removed")),
    ("bodies emptied", "rows", |path| cut(path, 0)),
    ("bodies cut by a byte", "rows", |path| cut(path, fs::metadata(path).expect("a file").len() - 1)),
    ("bodies missing", "rows", |path| fs::remove_file(path).expect("removed")),
];

fn cut(path: &Path, length: u64) {
    File::options().write(true).open(path).and_then(|file| file.set_len(length)).expect("cut");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn harms_one_storage() {
    for (harm, name, spoil) in HARMS {
        let directory = tempfile::tempdir().expect("a directory");
        let store = SqliteResults::open(directory.path(), ResultsOptions::default()).expect("a store");
        let fill = async |storage: &str| {
            let records = (0..500).map(|number| record(&number.to_string(), "first", false, 300)).collect();
            store.upsert_results(&set(storage), records, now()).await.expect("saved");
        };
        fill("damaged").await;
        let file = files(directory.path());
        fill("sound").await;
        store.close().await;
        drop(store);
        spoil(&file[0].with_file_name(name));
        let store = SqliteResults::open(directory.path(), ResultsOptions::default()).expect("a store");
        for _ in 0..2 {
            is_damaged(&store, &set("damaged")).await;
            let sound = read(&store, &set("sound"), ResultFilter::default()).await.expect("a page");
            assert_eq!(sound.len(), 500, "{harm}");
        }
        let records = vec![record("new", "damage", false, 10)];
        store.upsert_results(&set("sound"), records, now()).await.expect("saved");
        // It can be deleted, and its name used again, with ids that were never given.
        let before = u64::try_from(now().as_millis()).expect("positive") * 1000 + 500;
        store.delete_job_sets(&set("damaged").storage).await.expect("deleted");
        let records = vec![record("new", "damage", false, 10)];
        store.upsert_results(&set("damaged"), records, now()).await.expect("saved");
        let anew = read(&store, &set("damaged"), ResultFilter::default()).await.expect("a page");
        assert!(anew.len() == 1 && anew[0].id.parse::<u64>().expect("a number") > before, "{harm}");
        store.close().await;
    }
}

/// Bodies that became zeros are damage, of this storage only, and no end of a page; what does not need them goes on.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn zeroed_bodies_are_damage() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = SqliteResults::open(directory.path(), ResultsOptions::default()).expect("a store");
    let batch = |request: &str, names: std::ops::Range<usize>| -> Vec<Record> {
        names.map(|number| record(&number.to_string(), request, false, 300)).collect()
    };
    store.upsert_results(&set("s"), batch("first", 0..500), now()).await.expect("saved");
    let rows = files(directory.path()).remove(0).with_file_name("rows");
    let first = fs::metadata(&rows).expect("a file").len();
    store.upsert_results(&set("s"), batch("second", 100..110), now()).await.expect("saved");
    store.upsert_results(&set("sound"), batch("first", 0..500), now()).await.expect("saved");
    let one = |name: &str| ResultFilter { external_ids: vec![name.to_owned()], ..ResultFilter::default() };
    for (zeros, damaged, sound) in [(first..first + 64, "100", "200"), (0..8192, "3", "200")] {
        let file = File::options().write(true).open(&rows).expect("a file");
        let zeros = vec![0; (zeros.end - zeros.start) as usize];
        let offset = if zeros.len() == 64 { first } else { 0 };
        std::os::unix::fs::FileExt::write_all_at(&file, &zeros, offset).expect("zeros");
        for filter in [ResultFilter::default(), one(damaged)] {
            let outcome = read(&store, &set("s"), filter).await.err();
            assert!(matches!(outcome, Some(StoreError::Damaged(_))), "{outcome:?}");
        }
        assert_eq!(read(&store, &set("s"), one(sound)).await.expect("a page").len(), 1);
        assert_eq!(read(&store, &set("sound"), ResultFilter::default()).await.expect("a page").len(), 500);
    }
    let done = store.upsert_results(&set("s"), batch("third", 400..600), now()).await;
    assert_eq!(done, Ok(Upserted { created: 100, updated: 100 }));
    assert_eq!(store.delete_set(&set("s")).await, Ok(600));
    assert_eq!(read(&store, &set("s"), ResultFilter::default()).await.expect("a page").len(), 0);
    store.close().await;
}

/// Any part of the files may turn into garbage: an answer or an error, never a panic.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn never_panics() {
    let directory = tempfile::tempdir().expect("a directory");
    let options = || ResultsOptions {
        run_records: 200,
        run_merge: 2,
        log_pages: 10,
        reader_cache_kib: 16,
        ..ResultsOptions::default()
    };
    let names: Vec<String> = (0..2000).map(|number| number.to_string()).collect();
    let batch = |range: std::ops::Range<usize>| -> Vec<Record> {
        names[range].iter().map(|name| record(name, "first", name.len() == 2, 300)).collect()
    };
    let store = SqliteResults::open(directory.path(), options()).expect("a store");
    for start in (0..2000).step_by(100) {
        store.upsert_results(&set("s"), batch(start..start + 100), now()).await.expect("saved");
    }
    for start in (0..2000).step_by(400) {
        store.upsert_results(&set("s"), batch(start..start + 100), now()).await.expect("saved");
    }
    store.close().await;
    drop(store);
    let database = files(directory.path()).remove(0);
    let rows = database.with_file_name("rows");
    let sound = [&database, &rows].map(|path| fs::read(path).expect("a file"));
    let pages = (0..sound[0].len() / 4096).step_by(3).map(|page| (0, page * 4096));
    let bodies = (0..sound[1].len()).step_by(sound[1].len() / 24).map(|offset| (1, offset));
    let mut damaged = [0, 0];
    for (round, (which, offset)) in pages.chain(bodies).enumerate() {
        let mut bytes = sound.clone();
        let end = bytes[which].len().min(offset + 4096);
        let harm = &mut bytes[which][offset..end];
        harm.iter_mut().enumerate().for_each(|(place, byte)| *byte ^= (place * 37 + round) as u8);
        for (path, bytes) in [&database, &rows].into_iter().zip(bytes) {
            fs::write(path, bytes).expect("written");
        }
        let store = SqliteResults::open(directory.path(), options()).expect("a store");
        let outcomes = [
            read_raw(&store, ResultFilter::default()).await,
            read_raw(&store, ResultFilter { external_ids: names[..500].to_vec(), ..Default::default() }).await,
            read_raw(&store, ResultFilter { status: Some(Default::default()), ..Default::default() }).await,
            store.upsert_results(&set("s"), batch(0..100), now()).await.map(drop),
            store.statistics(&set("s")).await.map(drop),
        ];
        for outcome in outcomes {
            match outcome {
                Ok(()) => {}
                Err(StoreError::Damaged(_)) => damaged[which] += 1,
                Err(other) => panic!("file {which} at {offset}: {other:?}"),
            }
        }
        store.close().await;
        for log in ["results.db-wal", "results.db-shm"] {
            let _ = fs::remove_file(database.with_file_name(log));
        }
    }
    assert!(damaged[0] > 20 && damaged[1] > 20, "{damaged:?} damages seen");
}

async fn read_raw(store: &SqliteResults, filter: ResultFilter) -> Result<(), StoreError> {
    let query = PageQuery { filter, after: Position(0), limit: 5000, include_fields: None };
    let mut page = store.open_page(&set("s"), query).await?;
    while page.next().await?.is_some() {}
    Ok(())
}
