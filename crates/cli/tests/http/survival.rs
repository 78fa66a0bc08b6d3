//! kill -9 at random points of concurrent inserts, a full disk, a damaged file.

use crate::support::{Server, record};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::process::Command;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;

const WRITERS: u64 = 4;
const BATCH: u64 = 50;
const KILLS: usize = 50;

/// What a writer sent: by external id, the number written into `resultData`, and whether it was acknowledged.
#[derive(Default)]
struct Journal {
    acknowledged: BTreeMap<String, u64>,
    /// Sent without an answer: may be there or not, but each request wholly or not at all.
    open: Vec<BTreeMap<String, u64>>,
}

/// Writes batches until the server is gone; every third one rewrites records of an earlier one.
async fn write(url: String, path: String, writer: u64, next: Arc<AtomicU64>, journal: Arc<Mutex<Journal>>) {
    let client = hyper_util::client::legacy::Client::builder(hyper_util::rt::TokioExecutor::new()).build_http();
    loop {
        let number = next.fetch_add(1, Ordering::Relaxed);
        let base = if number % 3 == 2 { (number - 2) * BATCH } else { number * BATCH };
        let sent: BTreeMap<String, u64> = (base..base + BATCH).map(|id| (format!("{writer}-{id}"), number)).collect();
        let results: Vec<Value> = sent
            .iter()
            .map(|(id, number)| {
                let mut record = record(id);
                record["resultData"] = json!(number.to_string());
                record
            })
            .collect();
        let request = http::Request::post(format!("{url}{path}"))
            .header("content-type", "application/json")
            .body(http_body_util::Full::new(bytes::Bytes::from(json!({"results": results}).to_string())))
            .expect("a request");
        let answer = client.request(request).await;
        let mut journal = journal.lock().expect("a journal");
        match answer {
            Ok(answer) if answer.status() == 200 => journal.acknowledged.extend(sent),
            _ => {
                journal.open.push(sent);
                return;
            }
        }
    }
}

/// All records, by external id, and how often each is there.
async fn read_all(server: &Server, path: &str) -> BTreeMap<String, (u64, usize)> {
    let mut found: BTreeMap<String, (u64, usize)> = BTreeMap::new();
    let mut next = String::new();
    loop {
        let page = server.get(&format!("{path}&limit=5000&featuresOn=USE_NEXT_START_AFTER{next}")).await.ok();
        for value in page["values"].as_array().expect("values") {
            let id = value["externalId"].as_str().expect("an id").to_owned();
            let number = value["resultData"].as_str().expect("a number").parse().expect("a number");
            let entry = found.entry(id).or_insert((number, 0));
            *entry = (number, entry.1 + 1);
        }
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => return found,
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_acknowledged_is_lost_by_kill_9() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let journals: Vec<_> = (0..WRITERS).map(|_| Arc::new(Mutex::new(Journal::default()))).collect();
    let counters: Vec<_> = (0..WRITERS).map(|_| Arc::new(AtomicU64::new(0))).collect();
    let mut random = fastrand::Rng::with_seed(7);
    for _ in 0..KILLS {
        let writers: Vec<_> = (0..WRITERS)
            .map(|writer| {
                let at = usize::try_from(writer).expect("few");
                let (next, journal) = (counters[at].clone(), journals[at].clone());
                tokio::spawn(write(server.url.clone(), path.clone(), writer, next, journal))
            })
            .collect();
        // The point of the kill is meant to be random: this is no wait for an event.
        tokio::time::sleep(Duration::from_millis(random.u64(5..120))).await;
        server.kill();
        for writer in writers {
            writer.await.expect("a writer");
        }
        server.restart().await;
    }
    let found = read_all(&server, &path).await;
    let mut acknowledged = 0;
    for journal in &journals {
        let journal = journal.lock().expect("a journal");
        for (id, number) in &journal.acknowledged {
            let (stored, times) = found.get(id).unwrap_or_else(|| panic!("{id} was acknowledged and is lost"));
            assert_eq!(*times, 1, "{id} is doubled");
            // A later rewrite that got no answer may have come through.
            let open = journal.open.iter().filter_map(|sent| sent.get(id)).any(|number| number == stored);
            assert!(stored == number || open, "{id}: acknowledged {number}, stored {stored}");
            acknowledged += 1;
        }
        for sent in &journal.open {
            // An open request that created: all of its records are there, or none.
            let there = sent.keys().filter(|id| found.contains_key(*id)).count();
            let known = sent.keys().filter(|id| journal.acknowledged.contains_key(*id)).count();
            assert!(there == 0 || there == sent.len() || known > 0, "half of a request: {there} of {}", sent.len());
        }
    }
    assert!(acknowledged > 1000, "the test wrote only {acknowledged} records");
    let counted = server.get(&format!("/jobs/{job}/results/statistics")).await.ok();
    assert_eq!(counted["total"], found.len());
    server.terminate();
    for file in databases(server.data()) {
        assert_eq!(sqlite(&file, "PRAGMA integrity_check"), "ok", "{}", file.display());
    }
}

fn databases(data: &std::path::Path) -> Vec<std::path::PathBuf> {
    let output = Command::new("find").arg(data).args(["-name", "*.db"]).output().expect("find");
    let files: Vec<_> = String::from_utf8(output.stdout).expect("UTF-8").lines().map(Into::into).collect();
    assert!(files.len() >= 2, "{files:?}");
    files
}

fn sqlite(file: &std::path::Path, statement: &str) -> String {
    let connection = rusqlite::Connection::open(file).expect("opens");
    connection.query_row(statement, [], |row| row.get(0)).expect("answers")
}

/// A small file system of its own; needs root.
struct Tmpfs(TempDir);

impl Tmpfs {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"])
            .arg(directory.path())
            .status()
            .expect("mount");
        assert!(mounted.success(), "this test mounts a tmpfs, which needs root");
        Self(directory)
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_refuses_writes_and_recovers() {
    let disk = Tmpfs::mount("64m");
    let data = tempfile::tempdir_in(disk.0.path()).expect("a directory");
    let server = Server::on(data, &["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let ballast = disk.0.path().join("ballast");
    let mut acknowledged = 0u64;
    let batch = |number: u64| {
        let results: Vec<Value> = (0..200)
            .map(|index| {
                let mut record = record(&format!("{number}-{index}"));
                record["resultData"] = json!("x".repeat(2000));
                record
            })
            .collect();
        json!({"results": results})
    };
    for number in 0.. {
        let answer = server.post(&path, &batch(number)).await;
        if answer.status != 200 {
            answer.problem(507, "storage_full");
            break;
        }
        acknowledged += 200;
        assert!(number < 500, "the disk never filled");
        if number == 10 {
            std::fs::write(&ballast, vec![0; 24 << 20]).expect("room for ballast");
        }
    }
    assert_eq!(server.get(&path).await.ok()["total"], acknowledged, "reads go on");
    server.get(&format!("/jobs/{job}")).await.ok();
    std::fs::remove_file(ballast).expect("removed");
    let answer = server.post(&path, &batch(1_000)).await.ok();
    assert_eq!(answer["created"], 200, "writes resume without a restart");
    assert_eq!(server.get(&path).await.ok()["total"], acknowledged + 200);
    println!("survived: a full disk under results: {acknowledged} acknowledged and kept, writes resume");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_storage_harms_no_other() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("bad").await;
    let bad = format!("/jobs/{job}/results?storageId=bad");
    let records: Vec<Value> = (0..500).map(|number| record(&number.to_string())).collect();
    server.post(&bad, &json!({"results": records})).await.ok();
    server.terminate();
    let file = databases(server.data()).into_iter().find(|file| !file.ends_with("control.db")).expect("a storage");
    let length = std::fs::metadata(&file).expect("a file").len();
    std::fs::write(&file, vec![0x5A; usize::try_from(length).expect("small")]).expect("damaged");
    server.restart().await;
    let good = format!("/jobs/{job}/results?storageId=good");
    for _ in 0..2 {
        server.get(&bad).await.problem(500, "storage_damaged");
        server.post(&bad, &json!({"results": [record("a")]})).await.problem(500, "storage_damaged");
        server.post(&good, &json!({"results": [record("a")]})).await.ok();
        assert_eq!(server.get(&good).await.ok()["total"], 1);
    }
    assert_eq!(server.delete("/jobs/results/bad").await.status, 200, "a damaged storage can be deleted");
    assert_eq!(server.get(&bad).await.ok()["total"], 0);
}
