//! `docket check`: a directory that was used is sound, and damage of every kind is found and named.

use crate::support::{PATIENCE, Server, record};
use crate::{Ended, docket};
use rusqlite::Connection;
use serde_json::{Value, json};
use std::ffi::OsStr;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;
use tempfile::TempDir;

fn check(data: &Path) -> Ended {
    docket(&[OsStr::new("check"), OsStr::new("--json"), OsStr::new("--data"), data.as_os_str()])
}

fn answer(ended: &Ended) -> Value {
    serde_json::from_str(&ended.stdout).unwrap_or_else(|error| panic!("{error}: {ended:?}"))
}

#[track_caller]
fn sound(data: &Path) -> Value {
    let answer = answer(&check(data).ok());
    assert_eq!((&answer["sound"], &answer["findings"]), (&json!(true), &json!([])), "{answer}");
    answer
}

fn batch(ids: impl Iterator<Item = usize>, status: &str) -> Value {
    let records: Vec<Value> = ids
        .map(|id| {
            let mut record = record(&id.to_string());
            record["status"] = json!(status);
            record["resultData"] = json!("x".repeat(id % 50 * 20));
            record
        })
        .collect();
    json!({"results": records})
}

/// A server whose data directory has seen results, revisions, deletions, attachments and a purge.
async fn used() -> Server {
    let server = Server::with(&["--slots", "1"]).await;
    let script = "echo a line; curl -sf -X PUT --data-binary 'the content' -H \"X-API-KEY: $DOCKET_TOKEN\" \
                  -H 'content-type: text/plain' $DOCKET_URL/jobs/$DOCKET_JOB_ID/attachments/report.txt";
    let done = server.shell(script).await;
    assert_eq!(server.until_ended(&done).await["status"], "FINISHED", "{}", server.log(&done).await);
    let later = json!({"dockerImageUrl": "host", "resultStorageId": "s", "startAt": "2036-01-01T00:00:00Z"});
    let jobs = [server.start_job(later.clone()).await, server.start_job(later.clone()).await];
    let path = |job: &str, storage: &str| format!("/jobs/{job}/results?storageId={storage}");
    for job in &jobs {
        server.post(&path(job, "s"), &batch(0..400, "OK")).await.ok();
        server.post(&path(job, "s"), &batch((0..400).step_by(3), "FAILED")).await.ok();
        server.post(&path(job, "s"), &batch((300..500).step_by(2), "OK")).await.ok();
    }
    server.post(&path(&jobs[0], "t"), &batch(0..3, "OK")).await.ok();
    let gone = server.start_job(later).await;
    for storage in ["s", "gone"] {
        server.post(&path(&gone, storage), &batch(0..300, "OK")).await.ok();
    }
    server.post(&format!("/jobs/{gone}/cancel"), &json!({})).await.ok();
    server.delete(&format!("/jobs/{gone}")).await.ok();
    server.delete("/jobs/results/gone").await.ok();
    server
}

#[tokio::test]
async fn a_directory_that_was_used_is_sound() {
    let mut server = used().await;
    let beside = sound(server.data());
    assert_eq!(beside["besideServer"], true);
    assert_eq!((&beside["jobs"], &beside["storages"]), (&json!(3), &json!(2)));
    assert_eq!((&beside["results"], &beside["attachments"]), (&json!(903), &json!(1)));
    server.kill();
    sound(server.data());
    server.restart().await;
    assert_eq!(server.terminate(), Some(0));
    let before = names(server.data());
    assert_eq!(sound(server.data())["besideServer"], false);
    assert_eq!(names(server.data()), before, "it leaves nothing behind");
    let people = docket(&[OsStr::new("check"), OsStr::new("--data"), server.data().as_os_str()]).ok();
    assert!(people.stdout.contains("| results     |    903 |"), "{}", people.stdout);
    assert!(people.stdout.contains("sound, checked in"), "{}", people.stdout);
}

fn names(directory: &Path) -> Vec<PathBuf> {
    let mut found = vec![directory.to_owned()];
    let mut next = 0;
    while let Some(path) = found.get(next).cloned() {
        next += 1;
        if path.is_dir() {
            found.extend(std::fs::read_dir(path).expect("listed").map(|entry| entry.expect("an entry").path()));
        }
    }
    found.sort();
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_is_being_written_to_is_sound() {
    let server = Arc::new(Server::with(&["--slots", "0"]).await);
    let stop = Arc::new(AtomicBool::new(false));
    let writers: Vec<_> = (0..3)
        .map(|writer| {
            let (server, stop) = (server.clone(), stop.clone());
            tokio::spawn(async move {
                let mut rounds = 0;
                while !stop.load(Ordering::Relaxed) {
                    let job = server.idle_job("s").await;
                    let path = format!("/jobs/{job}/results?storageId={}", ["s", "s", "t"][writer]);
                    for status in ["OK", "FAILED", "OK"] {
                        server.post(&path, &batch(0..200, status)).await.ok();
                    }
                    if rounds % 2 == 1 {
                        server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
                        server.delete(&format!("/jobs/{job}")).await.ok();
                    }
                    rounds += 1;
                }
                rounds
            })
        })
        .collect();
    let begin = Instant::now();
    let mut results = 0;
    for _ in 0..8 {
        let data = server.data().to_owned();
        let answer = tokio::task::spawn_blocking(move || sound(&data)).await.expect("checked");
        results = answer["results"].as_u64().expect("a number").max(results);
        assert!(begin.elapsed() < PATIENCE * 4);
    }
    stop.store(true, Ordering::Relaxed);
    for writer in writers {
        assert!(writer.await.expect("a writer") > 0);
    }
    assert!(results > 0);
}

/// The data directory that is damaged.
struct Damaged(TempDir);

impl Damaged {
    fn path(&self) -> &Path {
        self.0.path()
    }

    /// The directory of the storage `s`, which is the larger one.
    fn storage(&self) -> PathBuf {
        let results = std::fs::read_dir(self.path().join("results")).expect("listed");
        let storages = results.map(|entry| entry.expect("an entry").path()).filter(|path| path.join("rows").exists());
        storages.max_by_key(|path| path.join("rows").metadata().expect("a file").len()).expect("a storage")
    }

    fn sql(&self, file: &Path, statement: &str) {
        let connection = Connection::open(file).expect("opened");
        connection.execute_batch("PRAGMA foreign_keys = OFF").expect("done");
        connection.execute_batch(statement).unwrap_or_else(|error| panic!("{statement}: {error}"));
    }

    fn results(&self, statement: &str) {
        self.sql(&self.storage().join("results.db"), statement);
    }

    fn control(&self, statement: &str) {
        self.sql(&self.path().join("control.db"), statement);
    }

    /// Turns bytes of a file.
    fn turn(&self, path: &Path, offset: u64, length: usize) {
        let file = std::fs::File::options().read(true).write(true).open(path).expect("opened");
        let behind = file.metadata().expect("a file").len() - offset;
        let mut bytes = vec![0; length.min(usize::try_from(behind).expect("small"))];
        file.read_exact_at(&mut bytes, offset).expect("read");
        bytes.iter_mut().for_each(|byte| *byte ^= 0x55);
        file.write_all_at(&bytes, offset).expect("written");
    }

    fn first(&self, directory: &str) -> PathBuf {
        let entries = std::fs::read_dir(self.path().join(directory)).expect("listed");
        entries.map(|entry| entry.expect("an entry").path()).next().expect("an entry")
    }
}

type Plant = fn(&Damaged);

/// What is planted, the kind of the finding, and what it says.
const DAMAGE: [(&str, Plant, &str, &str); 28] = [
    ("a byte of a body", |d| d.turn(&d.storage().join("rows"), 30, 1), "rows", "row 1 at 0"),
    (
        "a header of a revision",
        |d| {
            let connection = Connection::open(d.storage().join("results.db")).expect("opened");
            let last = "SELECT offset + length FROM regions ORDER BY offset DESC LIMIT 1";
            let _: i64 = connection.query_row(last, [], |row| row.get(0)).expect("a region");
            // Revisions of the first job's second request stand behind its first 400 rows, which are in one request.
            let end = "SELECT offset, heads FROM packs ORDER BY id LIMIT 1 OFFSET 2";
            let (offset, heads): (i64, Vec<u8>) =
                connection.query_row(end, [], |row| Ok((row.get(0)?, row.get(1)?))).expect("a pack");
            let bytes: u32 =
                heads.chunks(28).map(|head| u32::from_le_bytes(head[24..].try_into().expect("4 bytes"))).sum();
            let start = (offset as u64 + u64::from(bytes)).next_multiple_of(16);
            d.turn(&d.storage().join("rows"), start + 28, 4);
        },
        "bodies",
        "a revision is not where",
    ),
    (
        "zeros in place of bodies",
        |d| {
            let file = std::fs::File::options().write(true).open(d.storage().join("rows")).expect("opened");
            file.write_all_at(&[0; 4096], 4096).expect("written");
        },
        "rows",
        "its body holds no record",
    ),
    (
        "a file of bodies that is too short",
        |d| {
            let file = std::fs::File::options().write(true).open(d.storage().join("rows")).expect("opened");
            file.set_len(1000).expect("cut");
        },
        "database",
        "too short",
    ),
    ("no file of bodies", |d| std::fs::remove_file(d.storage().join("rows")).expect("removed"), "database", "missing"),
    ("no database", |d| std::fs::remove_file(d.storage().join("results.db")).expect("removed"), "database", "missing"),
    ("pages of the results", |d| d.turn(&d.storage().join("results.db"), 4096 * 3, 4096 * 20), "database", ""),
    (
        "a database that is none",
        |d| {
            std::fs::write(d.storage().join("results.db"), "nothing").expect("written");
        },
        "database",
        "",
    ),
    (
        "a storage under another's name",
        |d| {
            let path = d.storage();
            std::fs::rename(&path, path.with_file_name("0".repeat(64))).expect("renamed");
        },
        "database",
        "the name of another storage",
    ),
    ("a counter", |d| d.results("UPDATE counters SET n = n + 1 WHERE set_no = 1"), "counters", "are counted as"),
    ("no counters", |d| d.results("DELETE FROM counters WHERE set_no = 2"), "counters", "are not counted"),
    ("counters of nothing", |d| d.results("INSERT INTO counters VALUES (77, 1, 1)"), "references", "1 counters belong"),
    (
        "a pack that is gone",
        |d| {
            d.results("DELETE FROM packs WHERE id = (SELECT min(id) FROM packs)");
        },
        "bodies",
        "a revision",
    ),
    (
        "a pack of another place",
        |d| {
            d.results("UPDATE packs SET offset = offset + 16 WHERE id = (SELECT max(id) FROM packs)");
        },
        "bodies",
        "",
    ),
    (
        "a pack of no length",
        |d| {
            d.results("UPDATE packs SET heads = x'00' WHERE id = (SELECT max(id) FROM packs)");
        },
        "rows",
        "a pack has a wrong length",
    ),
    (
        "packs of nothing",
        |d| d.results("INSERT INTO packs VALUES (77 << 40 | 5, 0, 0, x'00')"),
        "references",
        "1 packs",
    ),
    (
        "a verdict in a head",
        |d| {
            d.results(
                "UPDATE packs SET heads = unhex(hex(substr(heads, 1, 16)) || 'FF' || hex(substr(heads, 18)))
             WHERE id = (SELECT min(id) FROM packs)",
            );
        },
        "rows",
        "says another data source, country or verdict",
    ),
    (
        "a region behind the end",
        |d| {
            d.results("UPDATE regions SET length = length + 1600000 WHERE offset = (SELECT max(offset) FROM regions)");
        },
        "bodies",
        "behind the end of the file",
    ),
    (
        "a region within another",
        |d| {
            d.results("INSERT INTO regions SELECT set_no, offset + 16, 16 FROM regions ORDER BY offset LIMIT 1");
        },
        "bodies",
        "within another",
    ),
    (
        "a last row that is wrong",
        |d| {
            d.results("UPDATE result_sets SET last_sequence = last_sequence - 1");
        },
        "rows",
        "its last row is",
    ),
    (
        "a watermark that is too high",
        |d| {
            d.results("UPDATE progress SET watermark = next_sequence - 1");
        },
        "index",
        "is not found by",
    ),
    ("revisions that nothing leads to", |d| d.results("DELETE FROM pending_entries"), "index", "the revision of row"),
    (
        "a run without blocks",
        |d| {
            d.results(
                "INSERT INTO runs VALUES (9, 0, 1, 0, zeroblob(16));
             INSERT INTO run_filters VALUES (9 << 24, zeroblob(64))",
            );
        },
        "index",
        "index run 9",
    ),
    ("a counter of jobs", |d| d.control("UPDATE job_count SET count = count + 1"), "counters", "(default)"),
    ("a counter of a user's jobs", |d| d.control("DELETE FROM job_user_count"), "counters", "jobs of user"),
    (
        "a job without a body",
        |d| {
            d.control("DELETE FROM job_body WHERE seq = (SELECT min(seq) FROM job)");
        },
        "references",
        "has no body",
    ),
    ("events of nothing", |d| d.control("UPDATE event SET seq = 99 WHERE id = 1"), "references", "1 rows of event"),
    (
        "pages of the control plane",
        |d| {
            d.control("PRAGMA wal_checkpoint(TRUNCATE)");
            d.turn(&d.path().join("control.db"), 4096 * 2, 4096 * 20);
        },
        "database",
        "",
    ),
];

/// The same for files.
const FILES: [(&str, Plant, &str, &str); 4] = [
    (
        "an attachment that is missing",
        |d| {
            let directory = d.first("attachments");
            std::fs::remove_dir_all(directory).expect("removed");
        },
        "file",
        "\"report.txt\"",
    ),
    (
        "an attachment that is cut",
        |d| {
            let file = names(&d.first("attachments")).pop().expect("a file");
            std::fs::write(file, "the").expect("written");
        },
        "file",
        "has 3 bytes and should have 11",
    ),
    ("a secret that is cut", |d| std::fs::write(d.path().join("secret.key"), "x").expect("written"), "file", "secret"),
    ("no control plane's tables", |d| d.control("DROP TABLE job_count; CREATE TABLE job_count (x)"), "", ""),
];

fn copy(data: &Path) -> Damaged {
    let target = tempfile::tempdir().expect("a directory");
    let copied = Command::new("cp").arg("-a").arg(data.join(".")).arg(target.path()).status();
    assert!(copied.expect("cp").success());
    Damaged(target)
}

#[tokio::test]
async fn damage_of_every_kind_is_found_and_named() {
    let mut server = used().await;
    assert_eq!(server.terminate(), Some(0));
    sound(copy(server.data()).path());
    for (what, plant, kind, says) in DAMAGE.into_iter().chain(FILES) {
        let damaged = copy(server.data());
        plant(&damaged);
        let ended = check(damaged.path());
        assert_eq!(ended.code, Some(1), "{what}: {ended:?}");
        if kind.is_empty() {
            assert!(ended.stderr.contains("control.db"), "{what}: {ended:?}");
            continue;
        }
        let answer = answer(&ended);
        assert_eq!(answer["sound"], false, "{what}");
        let findings = answer["findings"].as_array().expect("findings");
        let named = |finding: &&Value| {
            finding["severity"] == "damage"
                && finding["kind"] == kind
                && (finding["what"].as_str().expect("a text").contains(says)
                    || finding["path"].as_str().expect("a text").contains(says))
        };
        assert!(findings.iter().any(|finding| named(&finding)), "{what}: {answer:#}");
    }
}

#[tokio::test]
async fn leftovers_are_named_and_no_damage() {
    let mut server = used().await;
    let job = server.idle_job("s").await;
    server.post(&format!("/jobs/{job}/results?storageId=s"), &batch(0..3, "OK")).await.ok();
    assert_eq!(server.terminate(), Some(0));
    let data = copy(server.data());
    let nobody = "01890000-0000-7000-8000-000000000000";
    let made =
        ["attachments/01890000000070008000000000000000", "jobs/x", "results/new-1", "results/trash/7", "results/odd"];
    for path in made.into_iter().chain([&*format!("jobs/{nobody}")]) {
        std::fs::create_dir_all(data.path().join(path)).expect("made");
    }
    let file = names(&data.first("attachments")).into_iter().find(|path| path.is_file());
    if let Some(file) = file {
        std::fs::write(file.with_file_name("other.1"), "x").expect("written");
    }
    let tables = ["job", "job_body", "job_storage", "event", "job_count", "job_user_count"];
    for table in &tables[..4] {
        data.control(&format!(
            "DELETE FROM {table} WHERE seq = (SELECT max(seq) FROM job_body) AND '{table}' <> 'job_body'"
        ));
    }
    data.control("DELETE FROM job_body WHERE seq = (SELECT max(seq) FROM job_body)");
    data.control(
        "DELETE FROM job_count; DELETE FROM job_user_count;
         INSERT INTO job_count SELECT organization, type, status, count(*) FROM job GROUP BY 1, 2, 3;
         INSERT INTO job_user_count SELECT organization, user, type, status, count(*) FROM job GROUP BY 1, 2, 3, 4",
    );
    let answer = answer(&check(data.path()).ok());
    assert_eq!(answer["sound"], true, "{answer:#}");
    let findings = answer["findings"].as_array().expect("findings");
    for path in made.into_iter().chain([nobody, &*job]) {
        let named = |finding: &Value| {
            finding["severity"] == "leftover"
                && ["path", "what"].iter().any(|member| finding[*member].as_str().expect("a text").contains(path))
        };
        assert!(findings.iter().any(named), "{path}: {answer:#}");
    }
}

#[tokio::test]
async fn a_backup_is_checked_with_its_checksums() {
    let server = used().await;
    let directory = tempfile::tempdir().expect("a directory");
    let backup = directory.path().join("backup");
    docket(&[OsStr::new("backup"), backup.as_os_str(), OsStr::new("--data"), server.data().as_os_str()]).ok();
    let check = || docket(&[OsStr::new("check"), OsStr::new("--json"), OsStr::new("--backup"), backup.as_os_str()]);
    let before = names(&backup);
    let found = answer(&check().ok());
    assert_eq!((&found["results"], &found["jobs"], &found["findings"]), (&json!(903), &json!(3), &json!([])));
    assert_eq!(names(&backup), before, "it leaves nothing behind");
    let rows = before.iter().find(|path| path.ends_with("rows")).expect("bodies");
    let bytes = std::fs::read(rows).expect("read");
    std::fs::write(rows, &bytes[1..]).expect("written");
    let ended = check();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(answer(&ended)["findings"][0]["kind"], "checksum");
    std::fs::write(rows, &bytes).expect("written");
    std::fs::remove_file(backup.join("manifest.json")).expect("removed");
    check().failed(2, &["is no whole backup"]);
}

#[tokio::test]
async fn a_wrong_directory_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().expect("a directory");
    let missing = directory.path().join("missing");
    check(&missing).failed(2, &["there is no control.db"]);
    assert!(!missing.exists());
    let mut server = Server::with(&["--slots", "0"]).await;
    assert_eq!(server.terminate(), Some(0));
    std::fs::write(server.data().join("restore.unfinished"), "").expect("written");
    check(server.data()).failed(2, &["a restore has begun here"]);
}
