//! The server is killed in the middle of rounds, again and again: the next one completes what they have begun.

use crate::clock;
use crate::run_retention::{ended, round};
use crate::support::{PATIENCE, Server, record};
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// When the results of a job are gone, and when the job is.
const POINTS: [&str; 2] = ["emptied", "retention.removed"];
/// Jobs that stay.
const KEPT: usize = 5;

/// How many kills, and jobs for each: some in every run, many where `DOCKET_SURVIVE=full`.
fn size() -> (usize, usize) {
    if std::env::var("DOCKET_SURVIVE").is_ok_and(|size| size == "full") { (100, 10) } else { (6, 6) }
}

async fn listed(server: &Server) -> (Value, BTreeSet<String>) {
    let (mut ids, mut next) = (BTreeSet::new(), String::new());
    loop {
        let page = server.get(&format!("/jobs?tags=old&featuresOn=NUMBER_OF_TOTAL{next}")).await.ok();
        ids.extend(
            page["values"].as_array().expect("jobs").iter().map(|job| job["id"].as_str().expect("an id").to_owned()),
        );
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => return (page["total"].clone(), ids),
        }
    }
}

async fn until_killed(server: &mut Server) {
    let begin = Instant::now();
    while !server.has_ended() {
        assert!(begin.elapsed() < PATIENCE, "no round goes on");
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_that_is_killed_is_completed_by_the_next_one() {
    let (kills, each) = size();
    let mut server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let mut jobs = Vec::new();
    for _ in 0..kills * each + KEPT + 20 {
        let job = ended(&server, json!({"resultStorageId": "s", "tags": ["old"]})).await;
        server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": [record("a")]})).await.ok();
        jobs.push(job);
    }
    server.put("/retention", &json!({"storageId": "s", "keepRuns": KEPT})).await.ok();
    server.kill();
    let mut before = jobs.len();
    for kill in 0..kills {
        let point = POINTS[kill % POINTS.len()];
        assert!(server.restart_to_die_at(&format!("{point}:{each}")).await, "no round goes on by itself");
        server.try_post("/retention/run", &[], &json!({})).await;
        until_killed(&mut server).await;
        server.restart().await;
        let (total, ids) = listed(&server).await;
        assert_eq!(total, ids.len(), "counters and lists agree");
        let gone = before - ids.len();
        assert!((each - 1..=each).contains(&gone), "{gone} jobs went before the kill at {point}");
        assert_eq!(ids, jobs[jobs.len() - ids.len()..].iter().cloned().collect(), "the oldest go first");
        let told = server.get("/retention").await.ok();
        assert_eq!((&told["goingOn"], &told["lastRound"]["endedAt"]), (&json!(false), &json!(null)), "{told}");
        before = ids.len();
        server.kill();
    }
    server.restart().await;
    let told = round(&server).await;
    assert_eq!((told["jobs"].as_u64(), &told["error"]), (Some((before - KEPT) as u64), &json!(null)), "{told}");
    let (total, ids) = listed(&server).await;
    let kept: BTreeSet<String> = jobs[jobs.len() - KEPT..].iter().cloned().collect();
    assert_eq!((total, ids), (json!(KEPT), kept.clone()));
    for job in &jobs {
        let results = server.get(&format!("/jobs/{job}/results?storageId=s")).await;
        match kept.contains(job) {
            true => assert_eq!(results.ok()["total"], 1),
            false => drop(results.problem(404, "not_found")),
        }
    }
    server.kill();
    let data = server.data().to_str().expect("UTF-8");
    let checked = std::process::Command::new(crate::support::BINARY).args(["check", "--data", data]).output();
    let checked = checked.expect("docket check");
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    println!(
        "survived: the server killed {kills} times in rounds over {} jobs: the next one completed them",
        jobs.len()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_that_is_half_emptied_is_emptied_by_the_next_round() {
    const LOG: &str = "/processinglogs/s/VALIDATION_LOG";
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("offset");
    clock::set(&file, "+0");
    let environment = clock::environment(&file);
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let mut server = Server::with_environment(&["--slots", "0", "--retention-every", "0"], &environment).await;
    for part in 0..20 {
        let records: Vec<Value> = (0..1000).map(|number| record(&format!("{part}-{number}"))).collect();
        assert_eq!(server.post(LOG, &json!({"results": records})).await.ok()["created"], 1000);
    }
    clock::set(&file, "+3d");
    server.post(LOG, &json!({"results": [record("0-0"), record("new")]})).await.ok();
    server.put("/retention", &json!({"keepLogDays": 2})).await.ok();
    server.kill();
    let mut before = 20_001;
    for step in [1, 2] {
        assert!(server.restart_to_die_at(&format!("retention.step:{step}")).await, "no round goes on by itself");
        server.try_post("/retention/run", &[], &json!({})).await;
        until_killed(&mut server).await;
        server.restart().await;
        let total = server.get(LOG).await.ok()["total"].as_i64().expect("a number");
        assert!(total < before, "{total} of {before} are left");
        before = total;
        server.kill();
    }
    assert!(before > 2, "the kills came too late");
    server.restart().await;
    let told = round(&server).await;
    assert_eq!((&told["logEntries"], &told["error"]), (&json!(before - 2), &json!(null)), "{told}");
    let left = server.get(LOG).await.ok();
    let ids = left["values"].as_array().expect("entries").iter().map(|entry| entry["externalId"].clone());
    assert_eq!((&left["total"], ids.collect::<Vec<_>>()), (&json!(2), vec![json!("0-0"), json!("new")]));
}
