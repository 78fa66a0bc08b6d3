use crate::support::{BINARY, PATIENCE, Server, signal};
use crate::workers::{claim, claimed_job, complete, heartbeat, pull_job, variable};
use http::Method;
use serde_json::{Value, json};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

#[tokio::test(flavor = "multi_thread")]
async fn a_job_ends_as_its_worker_says() {
    let server = Server::start().await;
    for (report, status, code, message) in [
        (json!({"exitCode": 0}), "FINISHED", json!(0), Value::Null),
        (json!({"exitCode": 0, "statusMessage": "all"}), "FINISHED", json!(0), json!("all")),
        (json!({"exitCode": "3"}), "FAILED", json!(3), json!("The job ended with exit code 3.")),
        (json!({"outcome": "FINISHED"}), "FINISHED", Value::Null, Value::Null),
        (json!({"outcome": "FAILED", "statusMessage": "no disk"}), "FAILED", Value::Null, json!("no disk")),
        (json!({"outcome": "FAILED"}), "FAILED", Value::Null, json!("The job failed; its worker does not say why.")),
    ] {
        let job = claimed_job(&server, 60, json!({})).await;
        let mut body = report.clone();
        body["attempt"] = json!(1);
        body["resultData"] = json!("{\"records\":3}");
        let path = format!("/jobs/{job}/complete");
        let ended = server.post(&path, &body).await.ok();
        assert_eq!((&ended["status"], &ended["exitCode"]), (&json!(status), &code), "{report}");
        assert_eq!((&ended["statusMessage"], &ended["resultData"]), (&message, &json!("{\"records\":3}")), "{report}");
        assert_eq!(server.get(&format!("/jobs/{job}")).await.ok(), ended);
        // An answer may have been lost: the same report again is none of a job that has ended.
        assert_eq!(server.post(&path, &body).await.ok(), ended, "{report}");
        let history = server.get(&format!("/jobs/{job}/history")).await.ok();
        let last = history["values"].as_array().expect("values").last().expect("an event").clone();
        assert_eq!((&last["cause"], &last["actor"]), (&json!("EXITED"), &json!({"kind": "WORKER", "name": "w1"})));
        complete(&server, &job, 1, 77).await.problem(409, "job_ended");
        complete(&server, &job, 2, 0).await.problem(409, "stale_attempt");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_says_how_it_ended() {
    let server = Server::start().await;
    let job = claimed_job(&server, 60, json!({})).await;
    let path = format!("/jobs/{job}/complete");
    for (body, pointer) in [
        (json!({"exitCode": 0}), "/attempt"),
        (json!({"attempt": 0, "exitCode": 0}), "/attempt"),
        (json!({"attempt": 1}), "/exitCode"),
        (json!({"attempt": 1, "exitCode": 0, "outcome": "FINISHED"}), "/outcome"),
        (json!({"attempt": 1, "outcome": "DIED"}), "/outcome"),
    ] {
        let problem = server.post(&path, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
    assert_eq!(server.get(&format!("/jobs/{job}")).await.ok()["status"], "RUNNING");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_meanwhile_takes_the_end() {
    let mut server = Server::start().await;
    let (first, second) = (claimed_job(&server, 60, json!({})).await, claimed_job(&server, 60, json!({})).await);
    server.kill();
    server.restart().await;
    assert_eq!(complete(&server, &first, 1, 0).await.ok()["status"], "FINISHED");
    assert_eq!(complete(&server, &second, 1, 4).await.ok()["exitCode"], 4);
    server.kill();
    server.restart().await;
    assert_eq!(complete(&server, &second, 1, 4).await.ok()["status"], "FAILED", "the same report again");
    complete(&server, &first, 1, 4).await.problem(409, "job_ended");
}

/// A `docket work` that is killed when it is dropped.
struct Worker(Child);

impl Worker {
    fn start(server: &Server, more: &[&str]) -> Self {
        let mut program = Command::new(BINARY);
        program.args(["work", "--url", &server.url, "--name", "w1"]).args(more).env_remove("DOCKET_KEY");
        Self(program.stdin(Stdio::null()).stderr(Stdio::null()).spawn().expect("docket work"))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_this_program_runs_jobs() {
    let server = Server::start().await;
    let script = |text: &str| json!({"commands": ["/bin/sh", "-c", text], "type": "X_JOB"});
    let fine = pull_job(&server, script("exit 0")).await;
    let failing = pull_job(&server, script("test \"$DOCKET_ATTEMPT\" = 1 && exit 5")).await;
    let killed = pull_job(&server, script("kill -9 $$")).await;
    let missing = pull_job(&server, json!({"commands": ["/no/such/program"], "type": "X_JOB"})).await;
    let mut worker = Worker::start(&server, &["--slots", "2", "--jobs", "4", "--types", "X_JOB"]);
    assert_eq!(server.until_ended(&fine).await["status"], "FINISHED");
    assert_eq!(server.until_ended(&failing).await["exitCode"], 5);
    assert_eq!(server.until_ended(&killed).await["statusMessage"], "The job was killed by signal 9.");
    let missing = server.until_ended(&missing).await;
    let message = missing["statusMessage"].as_str().expect("a message");
    assert!(missing["status"] == "FAILED" && message.starts_with("The job can't be started: "), "{missing}");
    assert!(worker.0.wait().expect("reaped").success(), "it ends after its four jobs");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_this_program_ends_what_is_canceled() {
    let server = Server::start().await;
    let script = "trap 'exit 9' TERM; while :; do sleep 0.01; done";
    let polite = pull_job(&server, json!({"commands": ["/bin/sh", "-c", script]})).await;
    let deaf = "trap '' TERM; while :; do sleep 0.01; done";
    let deaf = pull_job(&server, json!({"commands": ["/bin/sh", "-c", deaf], "gracePeriodSeconds": 0})).await;
    let mut worker = Worker::start(&server, &["--slots", "2", "--lease", "1", "--jobs", "2"]);
    for job in [&polite, &deaf] {
        server.until(job, &["RUNNING"]).await;
        server.post(&format!("/jobs/{job}/cancel"), &json!({"reason": "enough"})).await.ok();
    }
    for job in [&polite, &deaf] {
        let ended = server.until_ended(job).await;
        assert_eq!((&ended["status"], &ended["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: enough")));
    }
    assert!(worker.0.wait().expect("reaped").success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_was_frozen_for_too_long_is_refused() {
    let server = Server::start().await;
    let mark = format!("8{}.5", std::process::id());
    let job = pull_job(&server, json!({"commands": ["sleep", mark]})).await;
    let mut worker = Worker::start(&server, &["--lease", "1", "--jobs", "1"]);
    server.until(&job, &["RUNNING"]).await;
    signal(worker.0.id(), "STOP");
    let died = server.until_ended(&job).await;
    assert_eq!(died["status"], "DIED");
    signal(worker.0.id(), "CONT");
    // It learns that the job is not its own any more, ends the process, and reports nothing.
    assert!(worker.0.wait().expect("reaped").success());
    let begin = Instant::now();
    let running = || crate::support::processes(|arguments| arguments.contains(&mark));
    while !running().is_empty() {
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(server.get(&format!("/jobs/{job}")).await.ok(), died);
    assert_eq!(claim(&server, json!({})).await, Vec::<Value>::new());
    println!("survived: a worker stopped for longer than its lease: its reports refused, its process ended");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_worker_of_the_documentation_runs_jobs() {
    let server = Server::start().await;
    let guide = include_str!("../../../../docs/WORKERS.md");
    let script = guide.split("```python\n").nth(1).and_then(|rest| rest.split("```").next()).expect("a program");
    let mut program = Command::new("python3");
    program.args(["-c", script]).env("DOCKET_URL", &server.url).env_remove("DOCKET_KEY").stdin(Stdio::null());
    let _worker = Worker(program.spawn().expect("python3"));
    let fine = pull_job(&server, json!({"commands": ["/bin/sh", "-c", "exit $((DOCKET_ATTEMPT - 1))"]})).await;
    let failing = pull_job(&server, json!({"commands": ["/bin/sh", "-c", "exit 3"]})).await;
    assert_eq!(server.until_ended(&fine).await["status"], "FINISHED");
    assert_eq!(server.until_ended(&failing).await["exitCode"], 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_attempt_is_tried_again_and_its_late_reports_are_refused() {
    let server = Server::start().await;
    let retry = json!({"maxAttempts": 2, "backoffSeconds": 0, "on": ["DIED"]});
    let job = pull_job(&server, json!({"retry": retry, "locks": ["table"], "resultStorageId": "s"})).await;
    let first = claim(&server, json!({"leaseSeconds": 1})).await;
    // The lock is free as soon as the attempt is lost, and the job takes it again.
    let second = claim(&server, json!({"waitSeconds": 60})).await;
    assert_eq!((&second[0]["job"]["id"], &second[0]["lease"]["attempt"]), (&json!(job), &json!(2)));
    let history = server.get(&format!("/jobs/{job}/history")).await.ok();
    let causes: Vec<_> = history["values"].as_array().expect("values").iter().map(|event| &event["cause"]).collect();
    assert!(causes.contains(&&json!("RETRIED")), "{causes:?}");

    heartbeat(&server, &job, 1).await.problem(409, "stale_attempt");
    complete(&server, &job, 1, 0).await.problem(409, "stale_attempt");
    let update = json!({"progress": 50, "attempt": 1});
    server.put(&format!("/jobs/{job}"), &update).await.problem(409, "stale_attempt");
    // So is what the job of the first attempt does by its own key.
    let headers = [("x-api-key", variable(&first[0], "DOCKET_TOKEN")), ("content-type", "application/json")];
    let results = json!({"results": [crate::support::record("a")]}).to_string();
    let insert = server.send(Method::POST, &format!("/jobs/{job}/results?storageId=s"), &headers, results).await;
    insert.problem(409, "stale_attempt");
    let update = json!({"progress": 50}).to_string();
    server.send(Method::PUT, &format!("/jobs/{job}"), &headers, update).await.problem(409, "stale_attempt");
    let report = json!({"attempt": 1, "exitCode": 0}).to_string();
    let path = format!("/jobs/{job}/complete");
    server.send(Method::POST, &path, &headers, report).await.problem(409, "stale_attempt");

    assert_eq!(complete(&server, &job, 2, 0).await.ok()["status"], "FINISHED");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_attempt_is_tried_again_once() {
    let server = Server::start().await;
    let job = claimed_job(&server, 60, json!({"retry": {"maxAttempts": 2, "backoffSeconds": 3600}})).await;
    let waiting = complete(&server, &job, 1, 5).await.ok();
    assert_eq!((&waiting["status"], &waiting["exitCode"]), (&json!("WAITING"), &json!(5)));
    assert_eq!(complete(&server, &job, 1, 5).await.ok(), waiting, "the same report again");
    complete(&server, &job, 1, 0).await.problem(409, "stale_attempt");
    assert_eq!(claim(&server, json!({})).await, Vec::<Value>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dependent_wakes_a_worker_that_waits() {
    let server = Arc::new(Server::start().await);
    let first = claimed_job(&server, 60, json!({})).await;
    let second = pull_job(&server, json!({"jobDependencies": [{"jobId": first}]})).await;
    let waiting = tokio::spawn({
        let server = Arc::clone(&server);
        async move { claim(&server, json!({"waitSeconds": 60})).await }
    });
    complete(&server, &first, 1, 0).await.ok();
    assert_eq!(waiting.await.expect("no panic")[0]["job"]["id"], second);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_time_limit_is_told_and_kept() {
    let server = Server::start().await;
    let job = claimed_job(&server, 3600, json!({"timeoutSeconds": 1, "gracePeriodSeconds": 7})).await;
    let silent = claimed_job(&server, 2, json!({"timeoutSeconds": 1, "gracePeriodSeconds": 0})).await;
    let message = "The job was stopped: its time limit of 1 s was over.";
    let begin = Instant::now();
    let answer = loop {
        heartbeat(&server, &silent, 1).await.ok();
        let answer = heartbeat(&server, &job, 1).await.ok();
        if answer["cancelRequested"] == true {
            break answer;
        }
        assert!(begin.elapsed() < PATIENCE);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert_eq!((&answer["cancelReason"], &answer["gracePeriodSeconds"]), (&json!(message), &json!(7)));
    for ended in [complete(&server, &job, 1, 143).await.ok(), server.until_ended(&silent).await] {
        assert_eq!((&ended["status"], &ended["statusMessage"]), (&json!("FAILED"), &json!(message)));
    }
}
