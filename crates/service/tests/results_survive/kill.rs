//! kill -9 at any moment: nothing acknowledged is lost, nothing is doubled.

use super::*;

/// Says to the test's own program, started again, that it is to write until it is killed.
const CHILD: &str = "DOCKET_TEST_WRITES_TO";
const KILLS: u64 = 50;
const WRITERS: u64 = 4;
const BATCH: u64 = 60;
const LOG: ProcessingLogId = ProcessingLogId::CurationLog;
/// The id of the job whose results are written, as texts have it.
const JOB: &str = "00000000-0000-0000-0000-000000000001";

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
                        // What goes into the second storage is mirrored.
                        let (set, mirror) = (set(&format!("s{}", writer % 2)), (writer % 2 == 1).then_some(LOG));
                        let done = store.upsert_mirrored(&set, mirror, records, now()).await;
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
    let log = SetKey { owner: SetOwner::Log(LOG), ..set("s1") };
    let mut before = BTreeMap::new();
    for (storage, set) in [(0, set("s0")), (1, set("s1")), (1, log)] {
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
            assert!(there > 0 || !acknowledged.contains(&(life, writer, request)), "lost {life}/{writer}/{request}");
            if there > 0 {
                expected.extend(names().map(|name| (name.to_owned(), format!("{life}/{writer}/{request}"))));
            }
        }
        assert_eq!(found, expected);
        if let SetOwner::Log(_) = set.owner {
            assert_eq!(found, before, "result and mirror are never apart");
            assert!(results.iter().all(|result| result.written.job_id.as_deref() == Some(JOB)));
        }
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
            let data_source_ids: Vec<_> = data_source_id.into_iter().collect();
            let filter = ResultFilter { data_source_ids, status: Some(status), ..ResultFilter::default() };
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
        before = found;
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
        let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).expect("a check");
        assert_eq!(verdict, "ok");
    }
}
