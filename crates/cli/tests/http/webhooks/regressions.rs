//! Webhooks that are told of newly failed records only.

use super::{ALLOW, Receiver};
use crate::support::{PATIENCE, Server};
use serde_json::json;
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn regressions_are_told_once_and_nothing_else_is() {
    let mut receiver = Receiver::start().await;
    let mut server = Server::with(&["--webhook-allow", ALLOW]).await;
    let hook = json!({"url": receiver.url(), "onlyRegressions": true});
    let script = format!("while [ ! -e {0}/$DOCKET_JOB_ID ]; do sleep 0.01; done", server.data().display());
    let job = json!({
        "dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script], "resultStorageId": "s", "webhooks": [hook],
    });
    let original = server.start_job(job).await;
    let finish = async |server: &Server, job: &str, failed: &[u64]| {
        let results: Vec<_> = (0..5)
            .map(|number| {
                let status = if failed.contains(&number) { "FAILED" } else { "OK" };
                json!({"externalId": number.to_string(), "status": status, "resultData": "{}"})
            })
            .collect();
        server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": results})).await.ok();
        server.open_gate(job);
    };
    let rerun = async |server: &Server| {
        let again = server.post(&format!("/jobs/{original}/rerun"), &json!({})).await.ok();
        again["id"].as_str().expect("an id").to_owned()
    };
    // The first run has none before it; then one without a regression, one with one, and one with two.
    finish(&server, &original, &[0]).await;
    server.until(&original, &["FINISHED"]).await;
    let second = rerun(&server).await;
    finish(&server, &second, &[0]).await;
    server.until(&second, &["FINISHED"]).await;
    let third = rerun(&server).await;
    finish(&server, &third, &[1]).await;
    // Checks are made in the order of the ends: those before it have been made.
    let first_told = receiver.next().await;
    let last = rerun(&server).await;
    server.until(&last, &["RUNNING"]).await;
    // The server dies between the comparison and what it leaves: the next one compares again.
    server.kill();
    assert!(server.restart_to_die_at("regressions.compared:1").await);
    finish(&server, &last, &[0, 3, 4]).await;
    let begin = Instant::now();
    while !server.has_ended() {
        assert!(
            begin.elapsed() < PATIENCE,
            "it did not compare: {}",
            server.get(&format!("/jobs/{last}")).await.text()
        );
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.restart().await;
    let last_told = receiver.next().await;
    for (told, job, counts) in [
        (
            first_told,
            &third,
            json!({"newlyFailed": 1, "fixed": 1, "changed": 0, "unchanged": 3, "missing": 0, "new": 0}),
        ),
        (last_told, &last, json!({"newlyFailed": 2, "fixed": 0, "changed": 0, "unchanged": 3, "missing": 0, "new": 0})),
    ] {
        let told = told.json();
        assert_eq!((&told["type"], &told["data"]["job"]["id"]), (&json!("job.regressed"), &json!(job)), "{told}");
        assert_eq!(told["data"]["event"]["to"], "FINISHED");
        assert_eq!(told["data"]["comparison"], json!({"against": original, "counts": counts}));
    }
    let wrong = json!({"url": receiver.url(), "onlyRegressions": true, "events": ["RUNNING"]});
    let refused = server.post("/jobs", &json!({"dockerImageUrl": "host", "webhooks": [wrong]})).await;
    assert_eq!(refused.problem(400, "invalid_request")["errors"][0]["pointer"], "/webhooks/0/events");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scheduled_run_is_compared_with_the_last_that_finished() {
    let mut receiver = Receiver::start().await;
    let server = Server::with(&["--webhook-allow", ALLOW]).await;
    let script = format!(
        "while [ ! -e {0}/$DOCKET_JOB_ID ]; do sleep 0.01; done; exit $(cat {0}/$DOCKET_JOB_ID)",
        server.data().display()
    );
    let scheduled = json!({
        "cronExpression": "@yearly", "paused": true,
        "job": {
            "dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script], "resultStorageId": "s",
            "webhooks": [{"url": receiver.url(), "onlyRegressions": true}],
        },
    });
    let made = server.post("/scheduledjobs", &json!({"scheduledJob": scheduled})).await.ok();
    let trigger = format!("/scheduledjobs/{}/trigger", made["id"].as_str().expect("an id"));
    let run = async |failed: &[u64], exit_code: u8| {
        let job = server.post(&trigger, &json!({})).await.ok()["id"].as_str().expect("an id").to_owned();
        let results: Vec<_> = (0..3)
            .map(|number| {
                let status = if failed.contains(&number) { "FAILED" } else { "OK" };
                json!({"externalId": number.to_string(), "status": status})
            })
            .collect();
        server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": results})).await.ok();
        // Whole at once: the job reads it as soon as it is there.
        let aside = server.data().join("aside");
        std::fs::write(&aside, exit_code.to_string()).expect("written");
        std::fs::rename(&aside, server.data().join(&job)).expect("in place");
        server.until_ended(&job).await;
        job
    };
    let first = run(&[0], 0).await;
    // Worse than the first one, and failed: it is told of, and nobody is compared with it.
    let second = run(&[0, 1], 1).await;
    let third = run(&[0, 2], 0).await;
    let fourth = run(&[2], 0).await;
    let last = run(&[0, 2], 0).await;
    // Deliveries of different jobs may overtake each other.
    let mut told = BTreeMap::new();
    for _ in 0..3 {
        let notice = receiver.next().await.json();
        assert_eq!(notice["type"], "job.regressed", "{notice}");
        let job = notice["data"]["job"]["id"].as_str().expect("an id").to_owned();
        told.insert(job, notice["data"]["comparison"].clone());
    }
    let counts = json!({"newlyFailed": 1, "fixed": 0, "changed": 0, "unchanged": 2, "missing": 0, "new": 0});
    let comparison = |against: &String| json!({"against": against, "counts": counts});
    let expected = [(second, comparison(&first)), (third, comparison(&first)), (last, comparison(&fourth))];
    assert_eq!(told, BTreeMap::from(expected));
}
