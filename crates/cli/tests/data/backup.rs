//! `docket backup` and `docket restore`.

use crate::support::{PATIENCE, Server, record};
use crate::{Ended, docket, docket_with};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Instant;
use tempfile::TempDir;

const WRITERS: usize = 3;
const BATCH: usize = 100;

fn back_up(data: &Path, backup: &Path) -> Ended {
    docket(&[OsStr::new("backup"), backup.as_os_str(), OsStr::new("--data"), data.as_os_str()])
}

fn restore(backup: &Path, data: &Path) -> Ended {
    docket(&[OsStr::new("restore"), backup.as_os_str(), OsStr::new("--data"), data.as_os_str()])
}

/// Backs a server's data up and starts a server on what is restored from it.
async fn again(server: &Server, flags: &[&str]) -> Server {
    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("backup");
    back_up(server.data(), &backup).ok();
    let data = tempfile::tempdir().expect("a directory");
    restore(&backup, data.path()).ok();
    Server::on(data, flags).await
}

/// All records of a set by external id: the text of `resultData`, and how often each is there.
async fn read_all(server: &Server, path: &str) -> BTreeMap<String, (String, usize)> {
    let mut found: BTreeMap<String, (String, usize)> = BTreeMap::new();
    let mut next = String::new();
    loop {
        let page = server.get(&format!("{path}&limit=5000&featuresOn=USE_NEXT_START_AFTER{next}")).await.ok();
        for value in page["values"].as_array().expect("values") {
            let text = |name: &str| value[name].as_str().expect("a text").to_owned();
            let entry = found.entry(text("externalId")).or_default();
            *entry = (text("resultData"), entry.1 + 1);
        }
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => return found,
        }
    }
}

/// Records by external id with the same `resultData` each.
fn batch(ids: impl Iterator<Item = String>, data: &str) -> Value {
    let records: Vec<Value> = ids
        .map(|id| {
            let mut record = record(&id);
            record["resultData"] = json!(data);
            record
        })
        .collect();
    json!({"results": records})
}

/// What was acknowledged so far: by writer, id and the number of the write.
type Journal = Arc<Mutex<BTreeMap<String, usize>>>;

/// Writes until it is told to stop; every third batch writes the one before it anew.
async fn write(server: Arc<Server>, path: String, writer: usize, journal: Journal, stop: Arc<AtomicBool>) {
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        let base = if number % 3 == 2 { number - 1 } else { number } * BATCH;
        let ids = || (base..base + BATCH).map(|id| format!("{writer}-{id}"));
        server.post(&path, &batch(ids(), &number.to_string())).await.ok();
        journal.lock().expect("a journal").extend(ids().map(|id| (id, number)));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backup_under_load_holds_all_that_was_acknowledged_before_it_began() {
    let server = Arc::new(Server::with(&["--slots", "0"]).await);
    let jobs = [server.idle_job("s").await, server.idle_job("s").await, server.idle_job("t").await];
    let path = |job: &str, at: usize| format!("/jobs/{job}/results?storageId={}", if at < 2 { "s" } else { "t" });
    let journals: [Journal; WRITERS] = Default::default();
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..WRITERS)
        .map(|at| tokio::spawn(write(server.clone(), path(&jobs[at], at), at, journals[at].clone(), stop.clone())))
        .collect();
    // Beside the writers sets and storages come and go.
    let (churning, halt) = (server.clone(), stop.clone());
    let churn = tokio::spawn(async move {
        for number in 0.. {
            if halt.load(Ordering::Relaxed) {
                return number;
            }
            let storage = format!("gone-{}", number % 3);
            let job = churning.idle_job(&storage).await;
            for storage in ["s", &storage] {
                let path = format!("/jobs/{job}/results?storageId={storage}");
                churning.post(&path, &batch((0..BATCH).map(|id| format!("c-{id}")), &"x".repeat(500))).await.ok();
            }
            churning.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
            churning.delete(&format!("/jobs/{job}")).await.ok();
            churning.delete(&format!("/jobs/results/{storage}")).await.ok();
        }
        0
    });
    let written = |journal: &Journal| journal.lock().expect("a journal").len();
    let begin = Instant::now();
    let directory = tempfile::tempdir().expect("a directory");
    for round in 1..=5 {
        while journals.iter().any(|journal| written(journal) < round * 3 * BATCH) {
            assert!(begin.elapsed() < PATIENCE, "the writers do not get on");
            tokio::time::sleep(std::time::Duration::from_millis(5)).await;
        }
        let before: Vec<BTreeMap<String, usize>> =
            journals.iter().map(|journal| journal.lock().expect("a journal").clone()).collect();
        let (data, backup) = (server.data().to_owned(), directory.path().join(round.to_string()));
        let made = backup.clone();
        tokio::task::spawn_blocking(move || back_up(&data, &made)).await.expect("a backup").ok();

        let restored = tempfile::tempdir().expect("a directory");
        restore(&backup, restored.path()).ok();
        let restored = Server::on(restored, &["--slots", "0"]).await;
        for (at, before) in before.iter().enumerate() {
            let path = path(&jobs[at], at);
            let found = read_all(&restored, &path).await;
            for (id, number) in before {
                let (stored, times) = found.get(id).unwrap_or_else(|| panic!("round {round}: {id} is lost"));
                assert_eq!(*times, 1, "{id} is doubled");
                let stored: usize = stored.parse().expect("a number");
                assert!(stored >= *number, "{id}: {number} was acknowledged, {stored} is there");
            }
            assert_eq!(
                restored
                    .get(&format!("/jobs/{}/results/statistics?storageId={}", jobs[at], if at < 2 { "s" } else { "t" }))
                    .await
                    .ok()["total"],
                found.len()
            );
            // Whole batches only: a storage is copied as it was between two commits.
            assert_eq!(found.len() % BATCH, 0);
            let more = restored.post(&path, &batch(["new".to_owned()].into_iter(), "0")).await.ok();
            assert_eq!(more["created"], 1, "it can be written to");
        }
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        writer.await.expect("a writer");
    }
    assert!(churn.await.expect("churned") > 3);
}

#[tokio::test]
async fn everything_that_a_job_left_comes_back() {
    let mut server = Server::with(&["--slots", "2"]).await;
    let script = "echo a line; curl -sf -X PUT --data-binary 'the content' -H \"X-API-KEY: $DOCKET_TOKEN\" \
                  -H 'content-type: text/plain' $DOCKET_URL/jobs/$DOCKET_JOB_ID/attachments/report.txt";
    let done = server.shell(script).await;
    assert_eq!(server.until_ended(&done).await["status"], "FINISHED", "{}", server.log(&done).await);
    let running = server.held("gate", "exit 0", json!({})).await;
    server.until(&running, &["RUNNING"]).await;
    let waiting = server.start_job(json!({"dockerImageUrl": "host", "jobDependencies": [{"jobId": running}]})).await;
    let later = json!({"dockerImageUrl": "host", "resultStorageId": "s", "startAt": "2036-01-01T00:00:00Z"});
    let later = server.start_job(later).await;
    let path = format!("/jobs/{later}/results?storageId=s");
    server.post(&path, &batch((0..3).map(|id| id.to_string()), "{}")).await.ok();
    let paged = format!("{path}&limit=1&featuresOn=USE_NEXT_START_AFTER");
    let first = server.get(&paged).await.ok();
    let token = first["nextStartAfter"].as_str().expect("a token").to_owned();

    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("deep/er/backup");
    let said = back_up(server.data(), &backup).ok();
    assert!(said.stdout.contains("3 results in 1 storages, 4 jobs"), "{said:?}");
    server.open_gate("gate");
    server.kill();
    let data = tempfile::tempdir().expect("a directory");
    restore(&backup, data.path()).ok();
    for name in ["supervisor", "server.lock.new", "restore.unfinished", "port"] {
        assert!(!data.path().join(name).exists(), "{name} is none of the restored directory's things");
    }
    let restored = Server::on(data, &["--slots", "2"]).await;
    let second = restored.get(&format!("{paged}&startAfter={token}")).await.ok();
    assert_eq!(second["values"][0]["externalId"], "1", "the secret came along: page tokens hold");
    let died = restored.until_ended(&running).await;
    assert_eq!(died["status"], "DIED", "what ran has died with its server: {died}");
    assert_eq!(restored.until_ended(&waiting).await["status"], "CANCELED", "what waited for it is canceled");
    assert_eq!(restored.get(&format!("/jobs/{later}")).await.ok()["status"], "WAITING");
    assert_eq!(restored.get(&format!("/jobs/{done}/attachments/report.txt")).await.text(), "the content");
    assert_eq!(restored.log(&done).await.lines().next(), Some("a line"));
}

/// A server's data with a job and a hundred results, the server stopped.
async fn stopped() -> Server {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    server.post(&path, &batch((0..100).map(|id| id.to_string()), "{}")).await.ok();
    assert_eq!(server.terminate(), Some(0));
    server
}

fn tree(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut todo = vec![directory.to_owned()];
    while let Some(next) = todo.pop() {
        for entry in std::fs::read_dir(&next).expect("listed") {
            let path = entry.expect("an entry").path();
            if path.is_dir() {
                todo.push(path.clone())
            }
            found.push(path);
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn wrong_directories_are_refused_and_left_alone() {
    let server = stopped().await;
    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("backup");
    let missing = directory.path().join("missing");
    back_up(&missing, &backup).failed(2, &["missing", "no control.db"]);
    assert!(!missing.exists() && !backup.exists());
    back_up(server.data(), &server.data().join("b")).failed(2, &["lies in the data directory"]);
    assert!(!server.data().join("b").exists());
    std::fs::create_dir(&backup).expect("made");
    std::fs::write(backup.join("mine"), "x").expect("written");
    back_up(server.data(), &backup).failed(2, &["backup: is not empty"]);
    restore(&backup, &missing).failed(2, &["no whole backup", "manifest.json"]);
    assert!(!missing.exists());
    std::fs::remove_file(backup.join("mine")).expect("removed");
    back_up(server.data(), &backup).ok();
    back_up(server.data(), &backup).failed(2, &["holds a backup already"]);
    let before = tree(server.data());
    restore(&backup, server.data()).failed(2, &["is not empty"]);
    assert_eq!(tree(server.data()), before);
    let running = Server::with(&["--slots", "0"]).await;
    restore(&backup, running.data()).failed(2, &["another server uses it"]);
}

/// Every file of a backup, one after the other, with a byte turned, cut and removed.
#[tokio::test]
async fn a_damaged_backup_is_refused_and_the_damage_named() {
    let server = stopped().await;
    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("backup");
    back_up(server.data(), &backup).ok();
    let target = directory.path().join("data");
    let files: Vec<PathBuf> = tree(&backup).into_iter().filter(|path| path.is_file()).collect();
    let named = |name: &str| files.iter().any(|path| path.ends_with(name));
    assert!(["control.db", "results.db", "rows", "ids", "secret.key"].into_iter().all(named), "{files:?}");
    for path in &files {
        let (content, name) = (std::fs::read(path).expect("read"), path.file_name().expect("a name").to_string_lossy());
        let code = if name == "manifest.json" { None } else { Some(1) };
        let refused = |what: &str| {
            let ended = restore(&backup, &target);
            assert!(ended.code == code || code.is_none() && ended.code != Some(0), "{name} {what}: {ended:?}");
            assert!(ended.stderr.contains(&*name), "{name} {what}: {ended:?}");
            assert!(!target.exists(), "nothing is made of a damaged backup");
        };
        if !content.is_empty() {
            let mut turned = content.clone();
            turned[content.len() / 2] ^= 1;
            std::fs::write(path, &turned).expect("written");
            refused("turned");
            std::fs::write(path, &content[..content.len() / 2]).expect("written");
            refused("cut");
        }
        std::fs::remove_file(path).expect("removed");
        refused("removed");
        std::fs::write(path, &content).expect("written");
    }
    restore(&backup, &target).ok();
}

#[tokio::test]
async fn a_backup_that_is_killed_anywhere_is_none_and_is_made_again() {
    let server = stopped().await;
    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("backup");
    let arguments = [OsStr::new("backup"), backup.as_os_str(), OsStr::new("--data"), server.data().as_os_str()];
    let points = ["backup.file:1", "backup.file:3", "backup.file:5", "backup.synced:1", "backup.manifest:1"];
    for point in points {
        let killed = docket_with(&arguments, &[("DOCKET_KILL_AT", point)]);
        assert_eq!(killed.code, None, "{point}: {killed:?}");
        assert!(backup.join("backup.unfinished").exists());
        restore(&backup, &directory.path().join("data")).failed(2, &["no whole backup"]);
    }
    // From the manifest on it is one.
    assert_eq!(docket_with(&arguments, &[("DOCKET_KILL_AT", "backup.written:1")]).code, None);
    restore(&backup, &directory.path().join("first")).ok();
    docket(&arguments).failed(2, &["holds a backup already"]);
    std::fs::remove_file(backup.join("manifest.json")).expect("removed");
    docket(&arguments).ok();
    restore(&backup, &directory.path().join("second")).ok();
    assert!(!backup.join("backup.unfinished").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restore_that_is_killed_anywhere_is_no_data_directory_until_it_was_repeated() {
    let server = stopped().await;
    let directory = tempfile::tempdir().expect("a directory");
    let (backup, data) = (directory.path().join("backup"), directory.path().join("data"));
    back_up(server.data(), &backup).ok();
    let restore_command = [OsStr::new("restore"), backup.as_os_str(), OsStr::new("--data"), data.as_os_str()];
    let serve = [OsStr::new("serve"), OsStr::new("--listen=127.0.0.1:0"), OsStr::new("--data"), data.as_os_str()];
    let keys = [OsStr::new("keys"), OsStr::new("list"), OsStr::new("--data"), data.as_os_str()];
    let points = ["restore.marked:1", "restore.file:1", "restore.file:2", "restore.file:4", "restore.synced:1"];
    for point in points {
        let killed = docket_with(&restore_command, &[("DOCKET_KILL_AT", point)]);
        assert_eq!(killed.code, None, "{point}: {killed:?}");
        for command in [&serve[..], &keys[..]] {
            docket(command).failed(2, &["a restore has begun here and has not ended", "docket restore"]);
        }
        back_up(&data, &directory.path().join("other")).failed(2, &["data"]);
    }
    docket(&restore_command).ok();
    let names = |directory: &Path| {
        let of = |path: PathBuf| path.strip_prefix(directory).expect("within").to_owned();
        tree(directory).into_iter().map(of).collect::<Vec<_>>()
    };
    let mut expected = names(&backup.join("data"));
    expected.push("server.lock".into());
    expected.sort();
    assert_eq!(names(&data), expected);
    restore(&backup, &data).failed(2, &["is not empty"]);
    let moved = tempfile::tempdir_in(directory.path()).expect("a directory");
    std::fs::remove_dir(moved.path()).expect("removed");
    std::fs::rename(&data, moved.path()).expect("renamed");
    let restored = Server::on(moved, &["--slots", "0"]).await;
    assert_eq!(restored.get("/jobs?featuresOn=NUMBER_OF_TOTAL").await.ok()["total"], 1);
}

/// A small file system of its own; needs root.
struct Disk(TempDir);

impl Disk {
    fn mount(size: &str) -> Self {
        let directory = tempfile::tempdir().expect("a directory");
        let mut mount = std::process::Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(directory.path());
        assert!(mount.status().expect("mount").success(), "this test mounts a tmpfs, which needs root");
        Self(directory)
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test]
async fn a_full_disk_is_named_and_left_as_it_was() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    for number in 0..3 {
        let ids = (0..1000).map(|id| format!("{number}-{id}"));
        server.post(&path, &batch(ids, &"x".repeat(2000))).await.ok();
    }
    let small = Disk::mount("4m");
    let backup = small.0.path().join("backup");
    back_up(server.data(), &backup).failed(1, &["MiB are needed", "MiB are free"]);
    // Filled while it is written to: what was there is taken away again.
    let whole = tempfile::tempdir().expect("a directory");
    let good = whole.path().join("backup");
    back_up(server.data(), &good).ok();
    restore(&good, &small.0.path().join("data")).failed(1, &["the disk is full"]);
    docket(&["serve".as_ref(), "--data".as_ref(), small.0.path().join("data").as_os_str()]).failed(2, &["restore"]);
    server.post(&path, &batch(["more".to_owned()].into_iter(), "x")).await.ok();
    // A disk that the server writes to is not filled by a backup.
    let shared = Disk::mount("100m");
    let data = tempfile::tempdir_in(shared.0.path()).expect("a directory");
    std::fs::remove_dir(data.path()).expect("removed");
    restore(&good, data.path()).ok();
    std::fs::write(shared.0.path().join("ballast"), vec![0; 32 << 20]).expect("room");
    back_up(data.path(), &shared.0.path().join("backup")).failed(1, &["the server needs"]);
    assert!(!shared.0.path().join("backup").exists());
}

#[tokio::test]
async fn holes_of_a_purge_wait_for_a_backup() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    server.post(&path, &batch((0..1000).map(|id| id.to_string()), &"x".repeat(5000))).await.ok();
    let rows = tree(server.data()).into_iter().find(|path| path.ends_with("rows")).expect("bodies");
    let blocks = || std::os::unix::fs::MetadataExt::blocks(&rows.metadata().expect("a file")) * 512;
    let full = blocks();
    assert!(full > 4 << 20);
    let lock = std::fs::File::open(rows.with_file_name("purge.lock")).expect("a lock");
    rustix::fs::flock(&lock, rustix::fs::FlockOperation::LockShared).expect("held");
    server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    server.delete(&format!("/jobs/{job}")).await.ok();
    let other = server.idle_job("s").await;
    let path = format!("/jobs/{other}/results?storageId=s");
    server.post(&path, &batch((0..10).map(|id| id.to_string()), "x")).await.ok();
    assert!(blocks() >= full, "no hole is made under a backup");
    drop(lock);
    let begin = Instant::now();
    while blocks() > 1 << 20 {
        assert!(begin.elapsed() < PATIENCE, "the holes are made afterwards");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let restored = again(&server, &["--slots", "0"]).await;
    assert_eq!(read_all(&restored, &path).await.len(), 10);
    let copy = tree(restored.data()).into_iter().find(|path| path.ends_with("rows")).expect("bodies");
    let taken = std::os::unix::fs::MetadataExt::blocks(&copy.metadata().expect("a file")) * 512;
    assert!(taken <= 1 << 20, "holes stay holes: {taken}");
}
