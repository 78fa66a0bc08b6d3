//! Scenarios: the files in `examples/`, each played by the real binary.

use crate::support::{BINARY, Response, Server, record};
use docket_contract::Timestamp;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::Command;

fn example(name: &str) -> String {
    format!("{}/../../examples/{name}.toml", env!("CARGO_MANIFEST_DIR"))
}

async fn play(name: &str) -> Server {
    Server::mock(&["--scenario", &example(name)]).await
}

fn job(job_type: &str, name: &str) -> Value {
    json!({"dockerImageUrl": "host", "type": job_type, "name": name, "resultStorageId": "s", "gracePeriodSeconds": 0})
}

/// All results of a job.
async fn results(server: &Server, job: &str) -> Vec<Value> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let path = format!("/jobs/{job}/results?storageId=s&limit=700&featuresOn=USE_NEXT_START_AFTER{after}");
        let page = server.get(&path).await.ok();
        found.extend(page["values"].as_array().expect("values").clone());
        match page["nextStartAfter"].as_str() {
            Some(token) => after = format!("&startAfter={token}"),
            None => return found,
        }
    }
}

fn millis(time: &Value) -> i64 {
    time.as_str().and_then(|text| text.parse().ok()).map_or_else(|| panic!("{time}"), Timestamp::as_millis)
}

/// What is the same each time the scenario is played.
fn lasting(results: &[Value]) -> Vec<Value> {
    let strip = |result: &Value| {
        let mut result = result.clone();
        for name in ["jobId", "createdAt", "modifiedAt"] {
            result[name].take();
        }
        result
    };
    results.iter().map(strip).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_nightly_run_goes_well_and_each_time_alike() {
    let mut runs = Vec::new();
    for _ in 0..2 {
        let server = play("nightly-run").await;
        let id = server.start_job(job("DATA_VALIDATION_JOB", "Nightly validation")).await;
        let ended = server.until_ended(&id).await;
        let at = |name: &str| millis(&ended[name]);
        assert!(at("startedAt") - at("createdAt") >= 200, "it stays SCHEDULED for a while: {ended}");
        assert!(at("finishedAt") - at("startedAt") >= 2000, "and RUNNING: {ended}");
        assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("FINISHED"), &json!(0)));
        assert_eq!((&ended["progress"], &ended["resultData"]), (&json!(100), &json!("{\"records\":2000}")));
        assert_eq!(server.log(&id).await, "reading storage\nhalf way\ndone\n");
        let found = results(&server, &id).await;
        let failed = found.iter().filter(|result| result["status"] == "FAILED").count();
        assert_eq!(found.len(), 2000);
        let times: BTreeSet<i64> = found.iter().map(|result| millis(&result["createdAt"])).collect();
        assert!(times.len() > 5, "they trickle in: {times:?}");
        assert!((30..90).contains(&failed), "3 % of 2000 are {failed}");
        let statistics = server.get(&format!("/jobs/{id}/results/statistics")).await.ok();
        assert_eq!((&statistics["total"], &statistics["failed"]), (&json!(2000), &json!(failed)));

        let id = server.start_job(job("BANKACCOUNT_DATA_IMPORT_JOB", "import")).await;
        assert_eq!(server.until_ended(&id).await["status"], "FINISHED");
        runs.push(lasting(&found));
    }
    assert_eq!(runs[0], runs[1]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_dies_and_others_end_in_every_other_way() {
    let server = play("worker-dies").await;
    let start = async |job_type: &str| server.start_job(job(job_type, "n")).await;
    let dies = start("DATA_CURATION_JOB").await;
    let fails = start("BATCH_LOOKUP_JOB").await;
    let canceled = start("AML_MAINTENANCE_JOB").await;
    let lost = start("DATA_VALIDATION_JOB").await;
    let endless =
        server.start_job(json!({"dockerImageUrl": "host", "tags": ["endless"], "gracePeriodSeconds": 0})).await;

    let died = server.until(&dies, &["DIED"]).await;
    assert_eq!(died["statusMessage"], "The job was killed by signal 9.");
    assert_eq!((&died["progress"], &died["exitCode"]), (&json!(20), &Value::Null));
    let found = results(&server, &dies).await;
    assert_eq!(found.len(), 1000);
    assert!(found.iter().all(|result| result["jobType"] == "DATA_CURATION_JOB"));

    let failed = server.until(&fails, &["FAILED"]).await;
    assert_eq!(
        (&failed["exitCode"], failed["statusMessage"].as_str()),
        (&json!(3), Some("The job ended with exit code 3."))
    );
    assert_eq!(server.log(&fails).await, "lookup service: connection refused\n");
    let canceled = server.until(&canceled, &["CANCELED"]).await;
    assert_eq!(canceled["statusMessage"], "Canceled: superseded by a newer run");
    assert!(canceled["startedAt"].is_string() && canceled["finishedAt"].is_string());
    let lost = server.until(&lost, &["DIED"]).await;
    assert_eq!(lost["statusMessage"], "The process was lost: its supervisor ended without it.");

    let running = server.until(&endless, &["RUNNING"]).await;
    assert_eq!(running["attempt"], 1);
    server.post(&format!("/jobs/{endless}/cancel"), &json!({"reason": "enough"})).await.ok();
    assert_eq!(server.until(&endless, &["CANCELED"]).await["statusMessage"], "Canceled: enough");
    server.delete(&format!("/jobs/{endless}")).await.ok();
    server.get(&format!("/jobs/{endless}")).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flaky_server_refuses_the_calls_that_its_file_names() {
    let server = play("flaky-server").await;
    let refused = |answer: &Response, status: u16, code: &str, seconds: &str| {
        let problem = answer.problem(status, code);
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("The scenario")), "{problem}");
        assert_eq!(answer.header("retry-after"), seconds);
    };
    refused(&server.post("/jobs", &job("A_JOB", "n")).await, 503, "shutting_down", "1");
    let id = server.start_job(job("A_JOB", "n")).await;
    server.until_ended(&id).await;

    let page = format!("/jobs/{id}/results?storageId=s&limit=1");
    for call in 1..=6 {
        let begin = std::time::Instant::now();
        let answer = server.get(&page).await;
        assert!(begin.elapsed().as_millis() >= 100, "every page is slow");
        match call % 3 {
            0 => refused(&answer, 429, "rate_limited", "2"),
            _ => assert_eq!(answer.ok()["total"], 300),
        }
    }
    let insert =
        async || server.post(&format!("/v2/jobs/{id}/results?storageId=s"), &json!({"results": [record("a")]})).await;
    assert_eq!(insert().await.ok()["created"], 1);
    refused(&insert().await, 503, "overloaded", "1");
    assert_eq!(insert().await.ok()["updated"], 1, "the refused call wrote nothing");
}

/// A request that is refused may be repeated with its idempotency key.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_start_can_be_repeated_with_its_key() {
    let server = play("flaky-server").await;
    let send = async || {
        let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
        server.send(http::Method::POST, "/jobs", &headers, job("A_JOB", "n").to_string()).await
    };
    send().await.problem(503, "shutting_down");
    let first = send().await.ok();
    let again = send().await;
    assert_eq!((again.ok()["id"].clone(), again.header("idempotency-replayed")), (first["id"].clone(), "true"));
}

#[test]
fn a_wrong_file_is_one_line_and_exit_2() {
    let directory = tempfile::tempdir().expect("a directory");
    for (text, signs) in [
        ("[[jobs]]\n\nrunning = \"soon\"", &["line 3", "jobs[0].running", "500ms"][..]),
        (
            "\n[[calls]]\noperation = \"listJob\"\ndelay = \"1s\"",
            &["line 3", "calls[0].operation", "listJobs, readJob"],
        ),
        ("[[jobs]]\nresults = { count = 1, colour = 2 }", &["line 2", "jobs[0].results.colour", "unknown field"]),
        ("[[jobs]\n", &["line 1"]),
    ] {
        let file = directory.path().join("scenario.toml");
        std::fs::write(&file, text).expect("written");
        let output = Command::new(BINARY).args(["mock", "--scenario"]).arg(&file).output().expect("docket mock");
        let shown = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!((output.status.code(), shown.lines().count()), (Some(2), 1), "{text}: {shown}");
        assert!(signs.iter().all(|sign| shown.contains(sign)), "{text}: {shown}");
    }
    let output = Command::new(BINARY).args(["mock", "--scenario", "/no/such.toml"]).output().expect("docket mock");
    assert_eq!(output.status.code(), Some(2));
}
