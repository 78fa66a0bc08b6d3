//! The server is killed between any two steps of claim → launch → observe → record, again and again.

use crate::support::{PATIENCE, Server, processes};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::time::{Duration, Instant};

const POINTS: [&str; 6] = ["inserted", "claimed", "launched", "observed", "recorded", "forgotten"];
/// An argument by which the jobs' processes are known.
const MARK: &str = "docket-kill-points";

/// How many jobs: some in every run, many where `DOCKET_SURVIVE=full`.
fn size() -> usize {
    if std::env::var("DOCKET_SURVIVE").is_ok_and(|size| size == "full") { 1000 } else { 120 }
}

/// The server, which dies at one point after the other.
struct Victim {
    server: Server,
    random: fastrand::Rng,
    kills: BTreeMap<&'static str, usize>,
    planned: &'static str,
}

impl Victim {
    /// Waits for the server's death and starts the next one.
    async fn next_life(&mut self) {
        let begin = Instant::now();
        while !self.server.has_ended() {
            assert!(begin.elapsed() < PATIENCE, "the server answers no more, but lives");
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        loop {
            *self.kills.entry(self.planned).or_default() += 1;
            self.planned = POINTS[self.kills.values().sum::<usize>() % POINTS.len()];
            let passes = self.random.u32(1..if size() > 500 { 12 } else { 4 });
            if self.server.restart_to_die_at(&format!("{}:{passes}", self.planned)).await {
                return;
            }
        }
    }
}

fn job(number: usize, witness: &str) -> Value {
    // A file for every run, whoever runs it: two runs of an attempt leave two.
    let script = format!("mktemp {witness}/$DOCKET_JOB_ID.$DOCKET_ATTEMPT.XXXXXX; exit {}", number % 5);
    json!({"dockerImageUrl": "host", "tags": ["killed"], "commands": ["/bin/sh", "-c", script, MARK]})
}

#[tokio::test(flavor = "multi_thread")]
async fn each_attempt_runs_once_whenever_the_server_is_killed() {
    let witness = tempfile::tempdir().expect("a directory");
    std::fs::set_permissions(witness.path(), PermissionsExt::from_mode(0o1777)).expect("for every user");
    let place = witness.path().to_str().expect("UTF-8");
    let server = Server::with(&["--slots", "4"]).await;
    let random = fastrand::Rng::with_seed(11);
    let mut victim = Victim { server, random, kills: BTreeMap::new(), planned: "asked" };
    victim.server.kill();
    victim.next_life().await;

    let mut jobs: BTreeMap<String, i64> = BTreeMap::new();
    for number in 0..size() {
        let key = format!("job-{number}");
        let started = loop {
            match victim.server.try_post("/jobs", &[("idempotency-key", &key)], &job(number, place)).await {
                Some(started) => break started,
                None => victim.next_life().await,
            }
        };
        let id = started["id"].as_str().unwrap_or_else(|| panic!("not started: {started}")).to_owned();
        jobs.insert(id, i64::try_from(number % 5).expect("small"));
    }
    assert_eq!(jobs.len(), size(), "each start makes one job");
    let begin = Instant::now();
    while std::fs::read_dir(witness.path()).expect("readable").count() < size() {
        assert!(begin.elapsed() < 10 * PATIENCE, "not all jobs have run");
        match victim.server.has_ended() {
            true => victim.next_life().await,
            false => tokio::time::sleep(Duration::from_millis(5)).await,
        }
    }
    if !victim.server.has_ended() {
        victim.server.kill();
    }
    victim.server.restart().await;

    let mut ends: BTreeMap<(String, i64), usize> = BTreeMap::new();
    for (id, code) in &jobs {
        let ended = victim.server.until_ended(id).await;
        let expected = if *code == 0 { "FINISHED" } else { "FAILED" };
        assert_eq!((&ended["status"], &ended["exitCode"]), (&json!(expected), &json!(code)), "{ended}");
        assert_eq!(ended["attempt"], 1, "{ended}");
        *ends.entry((expected.to_owned(), *code)).or_default() += 1;
    }
    let mut runs: Vec<String> = std::fs::read_dir(witness.path())
        .expect("readable")
        .map(|entry| {
            entry.expect("an entry").file_name().to_string_lossy().rsplit_once('.').expect("a suffix").0.to_owned()
        })
        .collect();
    runs.sort();
    let expected: Vec<String> = jobs.keys().map(|id| format!("{id}.1")).collect();
    assert_eq!(runs, expected, "each attempt ran once");
    let listed = victim.server.get("/jobs?tags=killed&limit=1&featuresOn=NUMBER_OF_TOTAL").await.ok();
    assert_eq!(listed["total"], size());
    let orphans = processes(|arguments| arguments.iter().any(|argument| argument == MARK));
    assert_eq!(orphans, [0; 0], "no process is left");
    for point in POINTS {
        assert!(victim.kills.contains_key(point), "never killed at {point}: {:?}", victim.kills);
    }
    println!(
        "survived: the server killed {} times under {} jobs: each attempt ran once",
        victim.kills.values().sum::<usize>(),
        size()
    );
    println!("survived: killed at {:?}, with the ends {ends:?}", victim.kills);
}
