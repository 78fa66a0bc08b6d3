//! kill -9 during erasures: what was acknowledged as erased is gone, texts and all; what was not is erased by asking again.

use super::*;
use docket_service::store::DataSubject;

/// Says to the test's own program, started again, that it is to write and erase until it is killed.
const CHILD: &str = "DOCKET_TEST_ERASES_FROM";
const KILLS: u64 = 25;
/// Records of a request. Every fifth is erased.
const BATCH: u64 = 40;
const LOG: ProcessingLogId = ProcessingLogId::CurationLog;

fn options() -> ResultsOptions {
    ResultsOptions { run_records: 500, run_merge: 2, slice_blocks: 1, log_pages: 200, ..ResultsOptions::default() }
}

fn name(life: u64, request: u64, number: u64) -> String {
    format!("{life}/{request}/{number}")
}

fn subject(name: &str) -> DataSubject {
    DataSubject::External(name.to_owned())
}

fn say(line: &str) {
    // One write: the pipe keeps what was written when the process dies.
    std::io::stdout().write_all(format!("\n{line}\n").as_bytes()).expect("the parent listens");
}

fn erase_until_killed(directory: &str) -> ! {
    let (data, life) = directory.split_once('\n').expect("a path and a number");
    let life: u64 = life.parse().expect("a number");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let store = SqliteResults::open(Path::new(data), options()).expect("a store");
        for request in 0.. {
            // Written twice, so that there are revisions to erase as well.
            for text in ["first", "again"] {
                let records = (0..BATCH).map(|number| record(&name(life, request, number), text, number % 3 == 0, 400));
                store.upsert_mirrored(&set("s"), Some(LOG), records.collect(), now()).await.expect("written");
            }
            say(&format!("written {life}/{request}"));
            for number in (0..BATCH).step_by(5) {
                let name = name(life, request, number);
                say(&format!("erasing {name}"));
                let erased = store.erase(&set("s").storage, &subject(&name)).await.expect("erased");
                assert_eq!(erased.iter().map(|erased| erased.results).collect::<Vec<_>>(), [1, 1]);
                say(&format!("erased {name}"));
            }
        }
        unreachable!("it is killed")
    })
}

/// The external ids of all texts in a file of bodies.
fn texts(data: &Path) -> HashSet<String> {
    let [file] = files(data).try_into().expect("one storage");
    let (bytes, member) = (fs::read(file.with_file_name("rows")).expect("bodies"), b"\"externalId\":\"");
    let places = bytes.windows(member.len()).enumerate().filter(|(_, window)| window == member);
    places
        .map(|(place, _)| {
            let text = bytes[place + member.len()..].split(|byte| *byte == b'"').next();
            String::from_utf8_lossy(text.unwrap_or_default()).into_owned()
        })
        .collect()
}

#[test]
fn nothing_erased_comes_back() {
    if let Ok(directory) = std::env::var(CHILD) {
        erase_until_killed(&directory);
    }
    let directory = tempfile::tempdir().expect("a directory");
    let mut journal = Vec::new();
    for life in 0..KILLS {
        let mut child = Command::new(std::env::current_exe().expect("this program"))
            .args(["erasure::nothing_erased_comes_back", "--exact", "--nocapture"])
            .env(CHILD, format!("{}\n{life}", directory.path().display()))
            .stdout(Stdio::piped())
            .spawn()
            .expect("a child");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe")).lines();
        let (mut erasing, wanted) = (0, 1 + life * 5 % 17);
        while erasing < wanted {
            let line = lines.next().expect("the child goes on until it is killed").expect("a line");
            erasing += u64::from(line.starts_with("erasing"));
            journal.push(line);
        }
        std::thread::sleep(Duration::from_micros(life * 613 % 9000));
        child.kill().expect("killed");
        child.wait().expect("gone");
        journal.extend(lines.map_while(Result::ok));
    }
    tokio::runtime::Runtime::new().expect("a runtime").block_on(check(directory.path(), &journal));
}

async fn check(data: &Path, journal: &[String]) {
    let said = |verb: &str| -> HashSet<&str> {
        journal.iter().filter_map(|line| line.strip_prefix(verb)?.strip_prefix(' ')).collect()
    };
    let (written, erasing, erased) = (said("written"), said("erasing"), said("erased"));
    assert!(erased.len() as u64 >= KILLS && erasing.len() > erased.len(), "{} of {}", erased.len(), erasing.len());
    let store = SqliteResults::open(data, options()).expect("a store");
    for name in erasing.difference(&erased) {
        store.erase(&set("s").storage, &subject(name)).await.expect("erased by asking again");
    }
    let log = SetKey { owner: SetOwner::Log(LOG), ..set("s") };
    for set in [set("s"), log] {
        let results = read(&store, &set, ResultFilter::default()).await.expect("a page");
        let found: HashSet<&str> = results.iter().filter_map(|result| result.written.external_id.as_deref()).collect();
        assert_eq!(found.len(), results.len(), "none is doubled");
        assert_eq!(found.iter().find(|name| erasing.contains(*name)), None, "it was erased");
        for request in &written {
            for number in 0..BATCH {
                let name = format!("{request}/{number}");
                assert!(found.contains(name.as_str()) != erasing.contains(name.as_str()), "{name} was written");
            }
        }
        let tallies = store.statistics(&set).await.expect("counters");
        assert_eq!(tallies.iter().map(|tally| tally.count).sum::<u64>(), results.len() as u64);
    }
    let begin = std::time::Instant::now();
    while let Some(left) = texts(data).iter().find(|name| erasing.contains(name.as_str())) {
        assert!(begin.elapsed() < Duration::from_secs(60), "the text of {left} is overwritten");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.close().await;
}
