use crate::support::Server;
use crate::workers::{claim, pull_job, variable};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::collections::HashSet;
use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};
use std::sync::Arc;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_all_that_it_needs() {
    let server = Server::start().await;
    let job = pull_job(
        &server,
        json!({
            "type": "X_JOB", "commands": ["make", "all"], "resultStorageId": "s", "memoryLimit": 1000,
            "environmentVariables": [{"name": "DB_PASSWORD", "value": "hunter2"}, {"name": "DOCKET_URL", "value": "x"}],
        }),
    )
    .await;
    let claimed = claim(&server, json!({"types": ["X_JOB"], "leaseSeconds": 7, "workerName": "w1"})).await;
    let [claimed] = &claimed[..] else { panic!("one job: {claimed:?}") };
    let found = &claimed["job"];
    assert_eq!((&found["id"], &found["status"], &found["attempt"]), (&json!(job), &json!("RUNNING"), &json!(1)));
    assert_eq!(found["commands"], json!(["make", "all"]));
    assert_eq!(found["environmentVariables"][0]["value"], "***");
    assert_eq!((&claimed["lease"]["attempt"], &claimed["lease"]["seconds"]), (&json!(1), &json!(7)));
    assert!(claimed["lease"]["expiresAt"].as_str().expect("a time") > found["startedAt"].as_str().expect("a time"));
    let own = [("DB_PASSWORD", "hunter2"), ("DOCKET_URL", &server.url), ("DOCKET_JOB_ID", &job)];
    let given = [("DOCKET_ATTEMPT", "1"), ("DOCKET_STORAGE_ID", "s"), ("JAVA_TOOL_OPTIONS", "-Xmx800m")];
    for (name, value) in own.into_iter().chain(given) {
        assert_eq!(variable(claimed, name), value, "{name}");
    }
    // The token works for this job.
    let headers = [("x-api-key", variable(claimed, "DOCKET_TOKEN")), ("content-type", "application/json")];
    let results = json!({"results": [crate::support::record("a")]}).to_string();
    server.send(Method::POST, &format!("/jobs/{job}/results?storageId=s"), &headers, results).await.ok();

    let history = server.get(&format!("/jobs/{job}/history")).await.ok();
    let last = history["values"].as_array().expect("values").last().expect("an event").clone();
    assert_eq!((&last["to"], &last["cause"]), (&json!("RUNNING"), &json!("STARTED")));
    assert_eq!(last["actor"], json!({"kind": "WORKER", "name": "w1"}));
    assert_eq!(claim(&server, json!({})).await, Vec::<Value>::new());
    assert_eq!(server.get(&format!("/jobs/{job}/log")).await.text(), "", "nobody keeps a log of it");
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_named() {
    let server = Server::start().await;
    let types: Vec<_> = (0..101).map(|n| format!("T{n}_JOB")).collect();
    for (body, pointer) in [
        (json!({"max": 0}), "/max"),
        (json!({"max": 101}), "/max"),
        (json!({"waitSeconds": 61}), "/waitSeconds"),
        (json!({"waitSeconds": -1}), "/waitSeconds"),
        (json!({"leaseSeconds": 0}), "/leaseSeconds"),
        (json!({"leaseSeconds": 3601}), "/leaseSeconds"),
        (json!({"workerName": ""}), "/workerName"),
        (json!({"types": types}), "/types"),
        (json!({"types": [""]}), "/types/0"),
    ] {
        let problem = server.post("/workers/claim", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{body}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_gets_the_best_of_its_organization_and_types() {
    let server = Server::start().await;
    let key = server.key("acme", "admin");
    let (worker, stranger) = (server.key("acme", "worker"), server.key("other", "worker"));
    let send = async |key: &str, path: &str, body: Value| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        server.send(Method::POST, path, &headers, body.to_string()).await.ok()
    };
    let start = async |name: &str, kind: &str, priority: i32, executor: &str| {
        let body = json!({
            "dockerImageUrl": "any", "executor": executor, "name": name, "type": kind, "priority": priority,
            "startAt": null,
        });
        send(&key, "/jobs", body).await
    };
    start("low", "X_JOB", 10, "worker").await;
    start("other type", "Y_JOB", 90, "worker").await;
    start("high", "X_JOB", 80, "worker").await;
    start("process", "X_JOB", 100, "process").await;
    let names = |answer: Value| -> Vec<String> {
        let values = answer["values"].as_array().expect("values").iter();
        values.map(|value| value["job"]["name"].as_str().expect("a name").to_owned()).collect()
    };
    let wanted = json!({"types": ["X_JOB", "Z_JOB"], "max": 5});
    assert_eq!(names(send(&stranger, "/workers/claim", wanted.clone()).await), [""; 0]);
    let mut claimed = send(&worker, "/workers/claim", wanted).await;
    assert_eq!(claimed["values"][0]["job"]["user"], "admin", "who started it, not who runs it");
    assert_eq!(names(claimed.take()), ["high", "low"]);
    assert_eq!(names(send(&worker, "/workers/claim", json!({"max": "3"})).await), ["other type"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn waiting_claims_get_jobs_as_they_come_one_each() {
    let mut server = Server::start().await;
    let mut waiting = JoinSet::new();
    let (sent, mut asked) = mpsc::unbounded_channel();
    let shared = Arc::new(server.url.clone());
    for worker in 0..5 {
        let (url, sent) = (Arc::clone(&shared), sent.clone());
        let claim = json!({"waitSeconds": 60, "workerName": format!("w{worker}")});
        waiting.spawn_blocking(move || curl(&url, &claim, &sent));
    }
    // A job that waits for another one becomes ready inside the store.
    let first = pull_job(&server, json!({"name": "first"})).await;
    let got = waiting.join_next().await.expect("a claim").expect("no panic");
    assert_eq!(got["values"][0]["job"]["id"], first);
    let mut expected: HashSet<String> = HashSet::new();
    for _ in 0..2 {
        expected.insert(pull_job(&server, json!({})).await);
    }
    let mut jobs = HashSet::new();
    for _ in 0..2 {
        let got = waiting.join_next().await.expect("a claim").expect("no panic");
        assert_eq!(got["values"].as_array().expect("values").len(), 1);
        jobs.insert(got["values"][0]["job"]["id"].as_str().expect("an id").to_owned());
    }
    assert_eq!(jobs, expected);
    // The others are sent home when the server stops; nobody waits for their minute. They have asked by then.
    for _ in 0..5 {
        asked.recv().await.expect("a claim");
    }
    server.get("/jobs").await.ok();
    let begun = std::time::Instant::now();
    assert_eq!(server.terminate(), Some(0));
    while let Some(got) = waiting.join_next().await {
        assert_eq!(got.expect("no panic"), json!({"values": []}));
    }
    assert!(begun.elapsed() < std::time::Duration::from_secs(30), "the claims held the stop up");
}

/// A claim over a connection of its own; `sent` is told when it is on its way.
fn curl(url: &str, body: &Value, sent: &mpsc::UnboundedSender<()>) -> Value {
    let mut curl = Command::new("curl")
        .args(["-sSv", "-H", "content-type: application/json", "--data", &body.to_string()])
        .arg(format!("{url}/workers/claim"))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("curl");
    let mut told = String::new();
    for line in BufReader::new(curl.stderr.take().expect("a pipe")).lines().map_while(Result::ok) {
        if line.starts_with("> POST ") {
            sent.send(()).expect("the test goes on");
        }
        told.push_str(&line);
        told.push('\n');
    }
    let output = curl.wait_with_output().expect("curl ends");
    assert!(output.status.success(), "{told}");
    serde_json::from_slice(&output.stdout).expect("JSON")
}

#[tokio::test(flavor = "multi_thread")]
async fn no_job_is_handed_out_twice() {
    const JOBS: usize = 300;
    let server = Arc::new(Server::start().await);
    let mut starting = JoinSet::new();
    for _ in 0..JOBS {
        let server = Arc::clone(&server);
        starting.spawn(async move { pull_job(&server, json!({"type": "X_JOB"})).await });
    }
    starting.join_all().await;
    let mut workers = JoinSet::new();
    for worker in 0..200 {
        let server = Arc::clone(&server);
        workers.spawn(async move {
            let mut got = Vec::new();
            loop {
                let body =
                    json!({"max": 1 + worker % 2, "types": if worker % 3 == 0 { vec!["X_JOB"] } else { vec![] }});
                let claimed = claim(&server, body).await;
                if claimed.is_empty() {
                    return got;
                }
                got.extend(claimed.iter().map(|value| value["job"]["id"].as_str().expect("an id").to_owned()));
            }
        });
    }
    let got = workers.join_all().await.concat();
    assert_eq!((got.len(), got.iter().collect::<HashSet<_>>().len()), (JOBS, JOBS));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_gets_nothing() {
    let server = Server::start().await;
    let key = server.key("acme", "reader");
    let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
    server.send(Method::POST, "/workers/claim", &headers, Bytes::from("{}")).await.problem(403, "forbidden");
}
