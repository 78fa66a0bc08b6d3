//! What the data plane survives: kill -9 at any moment, a full disk, damaged files.

use docket_contract::cursor::Position;
use docket_contract::result::{JobResultData, Record, ResultItem};
use docket_contract::{JobId, Timestamp};
use docket_service::store::sqlite::{ResultsOptions, SqliteResults};
use docket_service::store::{PageQuery, ResultFilter, ResultStore, SetKey, StorageKey, StoreError, Upserted};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use uuid::Uuid;

fn set(storage: &str) -> SetKey {
    let storage = StorageKey { organization: "acme".to_owned(), storage_id: storage.to_owned() };
    SetKey { storage, job: JobId(Uuid::from_u128(1)) }
}

fn now() -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000)
}

/// A record whose text tells which request wrote it last.
fn record(name: &str, request: &str, failed: bool, padding: usize) -> Record {
    let json = serde_json::json!({
        "externalId": name, "businessPartnerId": format!("partner of {name}"),
        "dataSourceId": format!("source {}", name.len() % 3), "status": if failed { "FAILED" } else { "OK" },
        "message": request, "resultData": "x".repeat(padding),
    });
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{failure:?}"),
    }
}

async fn read(store: &SqliteResults, set: &SetKey, filter: ResultFilter) -> Result<Vec<JobResultData>, StoreError> {
    let query = PageQuery { filter, after: Position(0), limit: usize::MAX, include_fields: None };
    let mut page = store.open_page(set, query).await?;
    let mut results = Vec::new();
    while let Some(chunk) = page.next().await? {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        results.extend(serde_json::from_str::<Vec<JobResultData>>(&text).expect("results"));
    }
    assert_eq!(results.len() as u64, page.total());
    Ok(results)
}

/// Where the storages' files are: every directory with a database.
fn files(directory: &Path) -> Vec<PathBuf> {
    let directories = fs::read_dir(directory).expect("a directory").map(|entry| entry.expect("an entry").path());
    directories.map(|path| path.join("results.db")).filter(|path| path.exists()).collect()
}

mod kill {
    use super::*;

    /// Says to the test's own program, started again, that it is to write until it is killed.
    const CHILD: &str = "DOCKET_TEST_WRITES_TO";
    const KILLS: u64 = 50;
    const WRITERS: u64 = 4;
    const BATCH: u64 = 60;

    fn options() -> ResultsOptions {
        // Small, so that runs, merges and checkpoints happen all the time.
        ResultsOptions { run_records: 500, run_merge: 2, slice_blocks: 1, log_pages: 200, ..ResultsOptions::default() }
    }

    /// A request of a writer: half of its records are new, half change records of the request before, and one is changed
    /// by every request of this life.
    fn records(life: u64, writer: u64, request: u64) -> Vec<Record> {
        let tag = format!("{life}/{writer}/{request}");
        let name = |request: u64, number: u64| format!("{life}/{writer}/{request}/{number}");
        let new = (0..BATCH / 2).map(|number| record(&name(request, number), &tag, number % 5 == 0, 300));
        let old = (0..if request == 0 { 0 } else { BATCH / 2 })
            .map(|number| record(&name(request - 1, number), &tag, number % 3 == 0, 200));
        let always = record(&format!("{life}/{writer}/always"), &tag, request.is_multiple_of(2), 250);
        new.chain(old).chain([always]).collect()
    }

    /// Writes and journals until killed. A line is written when a request is sent, one when it was acknowledged.
    fn write_until_killed(directory: &str) -> ! {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        runtime.expect("a runtime").block_on(async {
            let mut directory = directory.split('\n');
            let (data, life) = (directory.next().expect("a path"), directory.next().expect("a number"));
            let life: u64 = life.parse().expect("a number");
            let store = Arc::new(SqliteResults::open(Path::new(data), options()).expect("a store"));
            let writers: Vec<_> = (0..WRITERS)
                .map(|writer| {
                    let store = store.clone();
                    tokio::spawn(async move {
                        for request in 0.. {
                            let records = records(life, writer, request);
                            say(&format!("sent {life} {writer} {request}"));
                            let done = store.upsert_results(&set(&format!("s{}", writer % 2)), records, now()).await;
                            let half = BATCH as u32 / 2;
                            let (created, updated) = if request == 0 { (half + 1, 0) } else { (half, half + 1) };
                            assert_eq!(done, Ok(Upserted { created, updated }));
                            say(&format!("acknowledged {life} {writer} {request}"));
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.expect("writers end only by the kill");
            }
            unreachable!("writers never end")
        })
    }

    fn say(line: &str) {
        // One write: the pipe keeps what was written when the process dies.
        std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).expect("the parent listens");
    }

    #[test]
    fn nothing_acknowledged_is_lost() {
        if let Ok(directory) = std::env::var(CHILD) {
            write_until_killed(&directory);
        }
        let directory = tempfile::tempdir().expect("a directory");
        let mut journal = Vec::new();
        for life in 0..KILLS {
            let mut child = Command::new(std::env::current_exe().expect("this program"))
                .args(["kill::nothing_acknowledged_is_lost", "--exact", "--nocapture"])
                .env(CHILD, format!("{}\n{life}", directory.path().display()))
                .stdout(Stdio::piped())
                .spawn()
                .expect("a child");
            let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
            // Killed some time after a certain request was acknowledged: at no moment in particular.
            let wanted = 1 + life * 7 % 23;
            let mut acknowledged = 0;
            while acknowledged < wanted {
                let line = lines.next().expect("the child writes until it is killed").expect("a line");
                acknowledged += u64::from(line.starts_with("acknowledged"));
                journal.push(line);
            }
            std::thread::sleep(Duration::from_micros(life * 977 % 15_000));
            child.kill().expect("killed");
            child.wait().expect("gone");
            journal.extend(lines.map_while(Result::ok));
        }
        let runtime = tokio::runtime::Runtime::new().expect("a runtime");
        runtime.block_on(check(directory.path(), &journal));
    }

    async fn check(directory: &Path, journal: &[String]) {
        let parse = |verb: &str| -> HashSet<(u64, u64, u64)> {
            let lines = journal.iter().filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' '));
            lines
                .map(|line| {
                    let numbers: Vec<u64> = line.split(' ').map(|number| number.parse().expect("a number")).collect();
                    (numbers[0], numbers[1], numbers[2])
                })
                .collect()
        };
        let (sent, acknowledged) = (parse("sent"), parse("acknowledged"));
        assert!(acknowledged.len() as u64 >= KILLS, "{} acknowledged", acknowledged.len());
        let store = SqliteResults::open(directory, options()).expect("a store");
        for storage in 0..2 {
            let set = set(&format!("s{storage}"));
            let results = read(&store, &set, ResultFilter::default()).await.expect("a page");
            // None doubled; each as some request wrote it.
            let mut found: BTreeMap<String, String> = BTreeMap::new();
            for result in &results {
                let written = &result.written;
                let (name, request) = (written.external_id.clone(), written.message.clone());
                let before = found.insert(name.expect("a name"), request.expect("a request"));
                assert_eq!(before, None, "doubled");
            }
            // Every request as a whole: all or nothing; all if it was acknowledged.
            let mut expected: BTreeMap<String, String> = BTreeMap::new();
            let mut ordered: Vec<_> = sent.iter().copied().filter(|(_, writer, _)| writer % 2 == storage).collect();
            ordered.sort_unstable();
            for (life, writer, request) in ordered {
                let records = records(life, writer, request);
                let names = || records.iter().filter_map(|record| record.identity.external_id());
                let there = names().take(BATCH as usize / 2).filter(|name| found.contains_key(*name)).count();
                assert!(there == 0 || there == BATCH as usize / 2, "half of request {life}/{writer}/{request}");
                assert!(
                    there > 0 || !acknowledged.contains(&(life, writer, request)),
                    "lost {life}/{writer}/{request}"
                );
                if there > 0 {
                    expected.extend(names().map(|name| (name.to_owned(), format!("{life}/{writer}/{request}"))));
                }
            }
            assert_eq!(found, expected);
            // The counters agree with a recount, the index with the rows.
            let mut recount: BTreeMap<_, u64> = BTreeMap::new();
            for result in &results {
                let key = (result.written.data_source_id.clone(), result.written.status.unwrap_or_default());
                *recount.entry(key).or_default() += 1;
            }
            let tallies = store.statistics(&set).await.expect("counters");
            let counted = tallies.iter().map(|tally| ((tally.data_source_id.clone(), tally.status), tally.count));
            assert_eq!(counted.collect::<BTreeMap<_, _>>(), recount);
            for ((data_source_id, status), count) in recount {
                let filter = ResultFilter { data_source_id, status: Some(status), ..ResultFilter::default() };
                assert_eq!(read(&store, &set, filter).await.expect("a page").len() as u64, count);
            }
            for names in found.keys().cloned().collect::<Vec<_>>().chunks(500) {
                let partners = names.iter().map(|name| format!("partner of {name}")).collect();
                for filter in [
                    ResultFilter { external_ids: names.to_vec(), ..ResultFilter::default() },
                    ResultFilter { business_partner_ids: partners, ..ResultFilter::default() },
                ] {
                    assert_eq!(read(&store, &set, filter).await.expect("a page").len(), names.len());
                }
                // The identities are known: nothing is created anew.
                let again = names.iter().map(|name| record(name, "again", false, 10)).collect();
                let done = store.upsert_results(&set, again, now()).await;
                assert_eq!(done, Ok(Upserted { created: 0, updated: names.len() as u32 }));
            }
        }
        store.close().await;
        let files = files(directory);
        assert_eq!(files.len(), 2);
        for file in files {
            let connection = rusqlite::Connection::open(&file).expect("a file");
            // What a kill left behind the end of the bodies is gone.
            let end: i64 = connection
                .query_row("SELECT segment_end FROM progress", [], |row| row.get(0))
                .expect("the end of the bodies");
            let bodies = fs::metadata(file.with_file_name("rows")).expect("the bodies").len();
            assert_eq!(u64::try_from(end), Ok(bodies));
            let verdict: String =
                connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
            assert_eq!(verdict, "ok");
        }
    }
}

mod power_loss {
    use super::*;

    /// The stretches of a file as the file system tells them, without writing anything. One that waits in memory to be
    /// written is marked `delalloc`.
    fn extents(path: &Path) -> String {
        let told = Command::new("filefrag").arg("-v").arg(path).env("PATH", "/usr/sbin:/sbin:/usr/bin:/bin").output();
        let told = told.expect("filefrag, of Debian's e2fsprogs");
        assert!(told.status.success(), "{}", String::from_utf8_lossy(&told.stderr));
        String::from_utf8(told.stdout).expect("UTF-8")
    }

    /// kill -9 leaves the page cache alone, so that no kill shows whether a body was on the disk when it was acknowledged.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn bodies_are_on_the_disk_before_the_answer() {
        // On the disk of the build: a file system in memory has nothing to tell.
        let directory = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("a directory");
        let waiting = directory.path().join("waiting");
        fs::write(&waiting, [1; 100_000]).expect("a file");
        assert!(
            extents(&waiting).contains("delalloc"),
            "this file system does not tell what waits in memory; build on ext4, xfs or btrfs"
        );
        let store = SqliteResults::open(&directory.path().join("data"), ResultsOptions::default()).expect("a store");
        for request in 0..20 {
            // New records, and the same ones again.
            let records =
                (0..20).map(|name| record(&format!("{}/{name}", request / 2), "power", false, 4000)).collect();
            store.upsert_results(&set("s"), records, now()).await.expect("saved");
            let rows = files(&directory.path().join("data"));
            let [rows] = rows.as_slice() else { panic!("one storage: {rows:?}") };
            let told = extents(&rows.with_file_name("rows"));
            assert!(!told.contains("delalloc"), "request {request}: {told}");
        }
        store.close().await;
    }
}

mod full_disk {
    use super::*;

    /// A small file system of its own; unmounted at the end.
    struct SmallDisk(tempfile::TempDir);

    impl SmallDisk {
        fn mount(mebibytes: usize) -> Self {
            let directory = tempfile::tempdir().expect("a directory");
            let status = Command::new("mount")
                .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m"), "tmpfs"])
                .arg(directory.path())
                .status();
            assert!(
                status.is_ok_and(|status| status.success()),
                "this test mounts a tmpfs of {mebibytes} MiB: run it as root, in a container with CAP_SYS_ADMIN"
            );
            Self(directory)
        }
    }

    impl Drop for SmallDisk {
        fn drop(&mut self) {
            let _ = Command::new("umount").args(["-l"]).arg(self.0.path()).status();
        }
    }

    fn batch(number: u64, records: u64) -> Vec<Record> {
        (0..records).map(|place| record(&format!("{number}/{place}"), "first", place % 4 == 0, 2000)).collect()
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn writes_stop_and_resume() {
        let disk = SmallDisk::mount(24);
        let ballast = disk.0.path().join("ballast");
        File::create(&ballast).expect("a file").write_all(&vec![1; 8 << 20]).expect("room");
        let options = ResultsOptions { run_records: 300, log_pages: 100, ..ResultsOptions::default() };
        let store = Arc::new(SqliteResults::open(&disk.0.path().join("data"), options).expect("a store"));
        let saved = Arc::new(AtomicU64::new(0));
        for round in 0..2 {
            // Several at once, until the disk is full for each of them.
            let writers: Vec<_> = (0..3)
                .map(|writer| {
                    let (store, saved) = (store.clone(), saved.clone());
                    tokio::spawn(async move {
                        for request in 0.. {
                            let records = batch(round * 1_000_000 + writer * 100_000 + request, 50);
                            match store.upsert_results(&set("s"), records, now()).await {
                                Ok(done) => saved.fetch_add(u64::from(done.created), Ordering::Relaxed),
                                Err(error) => {
                                    assert_eq!(error, StoreError::Full);
                                    return;
                                }
                            };
                        }
                    })
                })
                .collect();
            for writer in writers {
                writer.await.expect("no panic");
            }
            let saved_now = saved.load(Ordering::Relaxed);
            assert!(saved_now > 0);
            // Reads go on, and hold exactly what was acknowledged.
            let results = read(&store, &set("s"), ResultFilter::default()).await.expect("a page");
            assert_eq!(results.len() as u64, saved_now);
            let tallies = store.statistics(&set("s")).await.expect("counters");
            assert_eq!(tallies.iter().map(|tally| tally.count).sum::<u64>(), saved_now);
            // A new storage finds no room either.
            assert_eq!(store.upsert_results(&set("new"), batch(7, 5000), now()).await, Err(StoreError::Full));
            if round == 0 {
                fs::remove_file(&ballast).expect("room again");
                let done = store.upsert_results(&set("s"), batch(999_999_999, 50), now()).await;
                assert_eq!(done, Ok(Upserted { created: 50, updated: 0 }));
                saved.fetch_add(50, Ordering::Relaxed);
                let filter = ResultFilter { external_ids: vec!["999999999/7".into()], ..ResultFilter::default() };
                assert_eq!(read(&store, &set("s"), filter).await.expect("a page").len(), 1);
            }
        }
        // On a full disk a storage can still be deleted.
        assert_eq!(store.delete_storage(&set("s").storage).await, Ok(saved.load(Ordering::Relaxed)));
        store.close().await;
    }
}

mod damage {
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
            store.delete_storage(&set("damaged").storage).await.expect("deleted");
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
}
