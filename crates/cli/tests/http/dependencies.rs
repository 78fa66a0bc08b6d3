//! Jobs that wait for other jobs.

use crate::support::{Server, record};
use serde_json::{Value, json};

fn after(on: &[(&str, &str)]) -> Value {
    let on: Vec<_> = on.iter().map(|(id, condition)| json!({"jobId": id, "condition": condition})).collect();
    json!({"dockerImageUrl": "host", "commands": ["/bin/true"], "jobDependencies": on})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_waits_for_all_it_depends_on_and_names_them() {
    let server = Server::with(&["--slots", "4"]).await;
    let good = server.held("good", "exit 0", json!({})).await;
    let bad = server.held("bad", "exit 3", json!({})).await;
    let answer = server.post("/jobs", &after(&[(&good, "FINISHED"), (&bad, "FAILED_OR_DIED")])).await.ok();
    assert_eq!((&answer["status"], &answer["statusMessage"]), (&json!("PERSISTED"), &Value::Null));
    let id = answer["id"].as_str().expect("an id");
    let both = format!("Waits for job {good} to be FINISHED and for job {bad} to be FAILED or DIED.");
    let job = server.until(id, &["WAITING"]).await;
    assert_eq!((&job["statusMessage"], &job["attempt"]), (&json!(both), &json!(0)));
    server.open_gate("good");
    server.until_told(id, &format!("Waits for job {bad} to be FAILED or DIED.")).await;
    server.open_gate("bad");
    assert_eq!(server.until_ended(id).await["status"], "FINISHED");
    let history = server.get(&format!("/jobs/{id}/history")).await.ok();
    let steps: Vec<_> = history["values"].as_array().expect("events").iter().map(|event| &event["to"]).collect();
    assert_eq!(steps, ["PERSISTED", "WAITING", "SCHEDULED", "RUNNING", "FINISHED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_can_t_come_true_cancels_with_the_reason() {
    let server = Server::with(&["--slots", "2"]).await;
    let failed = server.held("gate", "exit 3", json!({})).await;
    let next = server.start_job(after(&[(&failed, "FINISHED")])).await;
    let last = server.start_job(after(&[(&next, "FINISHED")])).await;
    let anyway = server.start_job(after(&[(&next, "TERMINATED")])).await;
    server.until(&next, &["WAITING"]).await;
    server.open_gate("gate");
    assert_eq!(server.until_ended(&anyway).await["status"], "FINISHED");
    for (job, on, status) in [(&next, &failed, "FAILED"), (&last, &next, "CANCELED")] {
        let job = server.until_ended(job).await;
        let why = format!("Canceled: job {on}, which it depends on with condition FINISHED, is {status}.");
        assert_eq!((&job["status"], &job["statusMessage"]), (&json!("CANCELED"), &json!(why)));
    }
    // What has ended is decided at once.
    let late = server.post("/jobs", &after(&[(&failed, "FINISHED")])).await.ok();
    assert_eq!(late["status"], "CANCELED", "{late}");
    let late = server.start_job(after(&[(&failed, "FAILED_OR_DIED")])).await;
    server.until(&late, &["FINISHED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_job_is_no_dependency() {
    let server = Server::with(&["--slots", "0"]).await;
    let known = server.idle_job("s").await;
    let foreign = server.start_job(json!({"dockerImageUrl": "host", "organizationId": "other"})).await;
    for unknown in ["01900000-0000-7000-8000-000000000000", &foreign] {
        let answer = server.post("/jobs", &after(&[(&known, "FINISHED"), (unknown, "FINISHED")])).await;
        let problem = answer.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], "/jobDependencies/1/jobId", "{problem}");
        assert_eq!(problem["errors"][0]["code"], "unknown_job");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_jobs_are_canceled_and_what_they_wait_for_deleted() {
    let server = Server::with(&["--slots", "0"]).await;
    let first = server.idle_job("s").await;
    let waiting: Vec<_> = [server.start_job(after(&[(&first, "TERMINATED")])).await].into();
    server.until(&waiting[0], &["WAITING"]).await;
    let canceled = server.post(&format!("/jobs/{}/cancel", waiting[0]), &json!({"reason": "no need"})).await.ok();
    assert_eq!((&canceled["status"], &canceled["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: no need")));
    let other = server.start_job(after(&[(&first, "TERMINATED")])).await;
    server.delete(&format!("/jobs/{first}")).await.problem(409, "job_not_ended");
    server.post(&format!("/jobs/{first}/cancel"), &json!({})).await.ok();
    // The end is told to those who depend on it before it is gone.
    assert_eq!(server.delete(&format!("/jobs/{first}")).await.status, 200);
    server.until(&other, &["SCHEDULED"]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_of_the_server_loses_no_dependent() {
    let mut server = Server::with(&["--slots", "2"]).await;
    let first = server.held("gate", "exit 0", json!({})).await;
    let mut waiting = Vec::new();
    for _ in 0..20 {
        waiting.push(server.start_job(after(&[(&first, "FINISHED")])).await);
    }
    server.until(&first, &["RUNNING"]).await;
    server.kill();
    server.open_gate("gate");
    server.restart().await;
    for id in &waiting {
        assert_eq!(server.until_ended(id).await["status"], "FINISHED");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quality_gate_compares_the_results_of_all_storages() {
    let mut server = Server::with(&["--slots", "4"]).await;
    let first = server.held("first", "exit 0", json!({})).await;
    let empty = server.held("empty", "exit 0", json!({})).await;
    let gated = |on: &str, share: Value| {
        json!({"dockerImageUrl": "host", "commands": ["/bin/true"],
            "jobDependencies": [{"jobId": on, "maxFailedShare": share}]})
    };
    for (storage, failed, all) in [("one", 1, 6), ("two", 1, 2)] {
        let result = |number: usize| {
            let mut record = record(&number.to_string());
            record["status"] = json!(if number < failed { "FAILED" } else { "OK" });
            record
        };
        let results: Vec<_> = (0..all).map(result).collect();
        server.post(&format!("/jobs/{first}/results?storageId={storage}"), &json!({"results": results})).await.ok();
    }
    let strict = server.start_job(gated(&first, json!(0.249999999))).await;
    let exact = server.start_job(gated(&first, json!("0.25"))).await;
    let of_empty = server.start_job(gated(&empty, json!(0))).await;
    let message = format!("Waits for job {first} to be FINISHED with at most 24.9999999 % of its results FAILED.");
    server.until_told(&strict, &message).await;
    let shown = server.get(&format!("/jobs/{exact}")).await.ok();
    assert_eq!(shown["jobDependencies"][0]["maxFailedShare"], 0.25);
    // The edges are rows: a kill between the end and the verdict loses none.
    server.kill();
    assert!(server.restart_to_die_at("counted:1").await);
    server.open_gate("first");
    while !server.has_ended() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    server.restart().await;
    let why = format!(
        "Canceled: 2 of 8 results of job {first} are FAILED (25.00 %), more than the 24.9999999 % that it accepts."
    );
    let strict = server.until_ended(&strict).await;
    assert_eq!((&strict["status"], &strict["statusMessage"]), (&json!("CANCELED"), &json!(why)));
    assert_eq!(server.until_ended(&exact).await["status"], "FINISHED");
    server.open_gate("empty");
    assert_eq!(server.until_ended(&of_empty).await["status"], "FINISHED");
    // Figures that are known outlive the results, and decide at once.
    let late = server.post("/jobs", &gated(&first, json!(0.1))).await.ok();
    assert_eq!(late["status"], "CANCELED", "{late}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_quality_gate_is_checked() {
    let server = Server::with(&["--slots", "0"]).await;
    let on = server.idle_job("s").await;
    for (condition, share, code) in [
        ("FINISHED", json!(1.01), "out_of_range"),
        ("FINISHED", json!(-0.1), "out_of_range"),
        ("TERMINATED", json!(0.5), "not_allowed"),
        ("FAILED_OR_DIED", json!(0), "not_allowed"),
    ] {
        let body = json!({"dockerImageUrl": "host",
            "jobDependencies": [{"jobId": on, "condition": condition, "maxFailedShare": share}]});
        let problem = server.post("/jobs", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], "/jobDependencies/0/maxFailedShare", "{problem}");
        assert_eq!(problem["errors"][0]["code"], code, "{problem}");
    }
}
