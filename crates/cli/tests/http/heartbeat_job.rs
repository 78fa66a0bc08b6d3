use crate::support::{PATIENCE, Server};
use crate::workers::{claim, claimed_job, complete, heartbeat, pull_job, variable};
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// The job once it has this progress.
async fn until_progress(server: &Server, job: &str, progress: i32) -> Value {
    let begin = Instant::now();
    loop {
        let found = server.get(&format!("/jobs/{job}")).await.ok();
        if found["progress"] == progress {
            return found;
        }
        assert!(begin.elapsed() < PATIENCE, "{found}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_lives_as_long_as_its_heartbeats() {
    let server = Server::start().await;
    let job = claimed_job(&server, 1, json!({})).await;
    let path = format!("/jobs/{job}/heartbeat");
    let begin = Instant::now();
    // The lease is a time, so this takes some: twice as long as the lease.
    let mut percent = 0;
    while begin.elapsed() < Duration::from_secs(2) {
        percent += 1;
        let body = json!({"attempt": 1, "progress": percent, "statusMessage": format!("part {percent}")});
        let answer = server.post(&path, &body).await.ok();
        assert_eq!(answer["cancelRequested"], false);
        assert!(answer["leaseExpiresAt"].as_str().is_some());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    // The last one is written though nothing follows; each one before it need not have been.
    let found = until_progress(&server, &job, percent).await;
    assert_eq!((&found["status"], &found["statusMessage"]), (&json!("RUNNING"), &json!(format!("part {percent}"))));

    let died = server.until_ended(&job).await;
    assert_eq!((&died["status"], died.get("exitCode")), (&json!("DIED"), None));
    assert_eq!(died["statusMessage"], "The job was lost: nothing was heard of worker w1 for 1 s.");
    heartbeat(&server, &job, 1).await.problem(409, "job_ended");
    complete(&server, &job, 1, 0).await.problem(409, "job_ended");
    assert_eq!(server.get(&format!("/jobs/{job}")).await.ok(), died, "late reports change nothing");
    let history = server.get(&format!("/jobs/{job}/history")).await.ok();
    let last = history["values"].as_array().expect("values").last().expect("an event").clone();
    assert_eq!((&last["cause"], &last["actor"]), (&json!("LOST"), &json!({"kind": "SERVER"})));
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_reaches_those_who_follow_the_job() {
    let server = Server::start().await;
    let job = claimed_job(&server, 3600, json!({})).await;
    let mut stream = server.open(&format!("/jobs/{job}/events"), &[]).await;
    while stream.event().await.expect("an event").json()["to"] != "RUNNING" {}
    let body = json!({"attempt": 1, "progress": 40, "statusMessage": "part 2"});
    server.post(&format!("/jobs/{job}/heartbeat"), &body).await.ok();
    let told = stream.event().await.expect("an event").json();
    assert_eq!((&told["progress"], &told["statusMessage"]), (&json!(40), &json!("part 2")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_is_told_and_the_worker_ends_it() {
    let server = Server::start().await;
    let job = claimed_job(&server, 3600, json!({})).await;
    let body = json!({"reason": "wrong input", "gracePeriodSeconds": 9});
    let canceling = server.post(&format!("/jobs/{job}/cancel"), &body).await.ok();
    assert_eq!(
        (&canceling["status"], &canceling["statusMessage"]),
        (&json!("RUNNING"), &json!("Cancel requested: wrong input"))
    );
    let answer = heartbeat(&server, &job, 1).await.ok();
    assert_eq!(answer["cancelRequested"], true);
    assert_eq!((&answer["cancelReason"], &answer["gracePeriodSeconds"]), (&json!("wrong input"), &json!(9)));
    let ended = complete(&server, &job, 1, 0).await.ok();
    assert_eq!((&ended["status"], &ended["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: wrong input")));
    assert_eq!(complete(&server, &job, 1, 0).await.ok(), ended, "the same report again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancel_that_nobody_follows_ends_the_job() {
    let server = Server::start().await;
    let job = claimed_job(&server, 1, json!({"gracePeriodSeconds": 0})).await;
    server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    // Heartbeats do not save it.
    let begin = Instant::now();
    while heartbeat(&server, &job, 1).await.status == 200 {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let ended = server.until_ended(&job).await;
    assert_eq!((&ended["status"], &ended["statusMessage"]), (&json!("CANCELED"), &json!("Canceled")));
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_present_attempt_of_a_workers_job_has_a_lease() {
    let server = Server::start().await;
    let job = claimed_job(&server, 60, json!({})).await;
    heartbeat(&server, &job, 2).await.problem(409, "stale_attempt");
    complete(&server, &job, 2, 0).await.problem(409, "stale_attempt");
    let problem = server.post(&format!("/jobs/{job}/heartbeat"), &json!({})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/attempt");
    let unclaimed = pull_job(&server, json!({})).await;
    heartbeat(&server, &unclaimed, 1).await.problem(409, "stale_attempt");
    let process = server.shell("exec sleep 100").await;
    server.until(&process, &["RUNNING"]).await;
    heartbeat(&server, &process, 1).await.problem(422, "not_supported");
    complete(&server, &process, 1, 0).await.problem(422, "not_supported");
    heartbeat(&server, "00000000-0000-7000-8000-000000000000", 1).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_jobs_own_token_will_do() {
    let server = Server::start().await;
    let (operator, worker) = (server.key("acme", "operator"), server.key("acme", "worker"));
    let send = async |key: &str, path: &str, body: Value| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        server.send(Method::POST, path, &headers, body.to_string()).await
    };
    for _ in 0..2 {
        send(&operator, "/jobs", json!({"dockerImageUrl": "any", "executor": "worker"})).await.ok();
    }
    let claimed = send(&worker, "/workers/claim", json!({"max": 2})).await.ok();
    let [own, other] = &claimed["values"].as_array().expect("values")[..] else { panic!("two jobs") };
    let token = variable(own, "DOCKET_TOKEN");
    let path = |claimed: &Value, what: &str| format!("/jobs/{}/{what}", claimed["job"]["id"].as_str().expect("an id"));
    send(token, &path(own, "heartbeat"), json!({"attempt": 1})).await.ok();
    send(token, &path(own, "heartbeat"), json!({"attempt": 2})).await.problem(409, "stale_attempt");
    send(token, &path(other, "heartbeat"), json!({"attempt": 1})).await.problem(404, "not_found");
    send(token, "/workers/claim", json!({})).await.problem(403, "forbidden");
    let ended = send(token, &path(own, "complete"), json!({"attempt": 1, "outcome": "FINISHED"})).await.ok();
    assert_eq!(ended["status"], "FINISHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lease_outlives_the_server() {
    let mut server = Server::start().await;
    let job = claimed_job(&server, 2, json!({})).await;
    let canceled = claimed_job(&server, 3600, json!({})).await;
    server.post(&format!("/jobs/{canceled}/cancel"), &json!({"reason": "enough", "gracePeriodSeconds": 5})).await.ok();
    server.kill();
    server.restart().await;
    // As long as it was, from now on.
    heartbeat(&server, &job, 1).await.ok();
    let answer = heartbeat(&server, &canceled, 1).await.ok();
    assert_eq!((&answer["cancelRequested"], &answer["cancelReason"]), (&json!(true), &json!("enough")));
    assert_eq!(claim(&server, json!({})).await, Vec::<Value>::new());
    let died = server.until_ended(&job).await;
    assert_eq!(died["statusMessage"], "The job was lost: nothing was heard of worker w1 for 2 s.");
}
