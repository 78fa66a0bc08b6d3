//! The server is killed around the firing of slots, again and again: no slot fires twice, and none is lost.

use crate::support::{PATIENCE, Server};
use docket_contract::Timestamp;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

const POINTS: [&str; 3] = ["decided", "fired", "told"];
/// Scheduled jobs that fire each second.
const SCHEDULES: usize = 4;

/// How many kills: some in every run, 500 where `DOCKET_SURVIVE=full`.
fn kills() -> usize {
    if std::env::var("DOCKET_SURVIVE").is_ok_and(|size| size == "full") { 500 } else { 9 }
}

fn millis(time: &Value) -> i64 {
    time.as_str().expect("a time").parse::<Timestamp>().expect("a time").as_millis()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_slot_fires_once_whenever_the_server_is_killed() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let mut schedules = Vec::new();
    for number in 0..SCHEDULES {
        let mut more = json!({"overlapPolicy": "ALLOW", "misfirePolicy": "ALL", "maxCatchUp": 1000});
        more["job"] = json!({"dockerImageUrl": "host", "tags": [format!("schedule-{number}")]});
        schedules.push(server.schedule("* * * * * *", "true", more).await);
    }
    server.kill();
    let mut killed: BTreeMap<&str, usize> = BTreeMap::new();
    // By slot: the job. Runs are kept for the newest thousand only, so they are gathered on the way.
    let mut slots: Vec<BTreeMap<i64, String>> = vec![BTreeMap::new(); SCHEDULES];
    for kill in 0..kills() {
        let point = POINTS[kill % POINTS.len()];
        // It may die before it listens, when a slot is due already.
        if server.restart_to_die_at(&format!("{point}:1")).await {
            let begin = Instant::now();
            while !server.has_ended() {
                assert!(begin.elapsed() < PATIENCE, "no slot comes");
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        }
        *killed.entry(point).or_default() += 1;
        if kill % 100 == 99 {
            server.restart().await;
            gather(&server, &schedules, &mut slots).await;
            server.kill();
        }
    }
    server.restart().await;
    for schedule in &schedules {
        server.post(&format!("/scheduledjobs/{schedule}/pause"), &json!({})).await.ok();
    }
    gather(&server, &schedules, &mut slots).await;
    let mut fired = 0;
    for (number, slots) in slots.iter().enumerate() {
        let seconds: Vec<i64> = slots.keys().map(|millis| millis / 1000).collect();
        let (first, last) = (seconds[0], seconds[seconds.len() - 1]);
        assert_eq!(seconds, (first..=last).collect::<Vec<_>>(), "a slot is lost");
        let listed = jobs(&server, &format!("schedule-{number}")).await;
        let expected: BTreeSet<(i64, String)> = slots.clone().into_iter().collect();
        assert_eq!(listed, expected, "the jobs are those of the slots");
        fired += seconds.len();
    }
    assert!(killed.len() == POINTS.len() && fired >= SCHEDULES * 2, "{killed:?}, {fired} slots");
    println!("survived: the server killed {} times around {fired} slots: each fired once", kills());
}

async fn gather(server: &Server, schedules: &[String], slots: &mut [BTreeMap<i64, String>]) {
    for (schedule, slots) in schedules.iter().zip(slots) {
        for run in server.until_runs(schedule, 1).await {
            assert_eq!(run["kind"], "FIRED", "{run}");
            let job = run["jobId"].as_str().expect("a job").to_owned();
            let known = slots.insert(millis(&run["slotAt"]), job.clone());
            assert!(known.is_none_or(|known| known == job), "fired twice: {run}");
        }
    }
}

/// The slot and id of each job with a tag.
async fn jobs(server: &Server, tag: &str) -> BTreeSet<(i64, String)> {
    let (mut found, mut next, mut count) = (BTreeSet::new(), String::new(), 0);
    loop {
        let page = server.get(&format!("/jobs?tags={tag}{next}")).await.ok();
        for job in page["values"].as_array().expect("values") {
            found.insert((millis(&job["scheduledFor"]), job["id"].as_str().expect("an id").to_owned()));
            count += 1;
        }
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => break,
        }
    }
    assert_eq!(found.len(), count, "a job is doubled");
    found
}
