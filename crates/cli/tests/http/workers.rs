//! What the tests of pull workers share.

use crate::support::{Response, Server};
use serde_json::{Value, json};

/// Starts a job for workers; `more` adds to it.
pub async fn pull_job(server: &Server, more: Value) -> String {
    let mut body = json!({"dockerImageUrl": "any", "executor": "worker"});
    body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
    server.start_job(body).await
}

/// Claims; answers the values.
pub async fn claim(server: &Server, body: Value) -> Vec<Value> {
    let mut claimed = server.post("/workers/claim", &body).await.ok();
    serde_json::from_value(claimed["values"].take()).expect("values")
}

/// Starts a job and claims it, once the server hands jobs out; answers its id.
pub async fn claimed_job(server: &Server, lease_seconds: i32, more: Value) -> String {
    let job = pull_job(server, more).await;
    let claimed = claim(server, json!({"leaseSeconds": lease_seconds, "workerName": "w1", "waitSeconds": 30})).await;
    assert_eq!(claimed.len(), 1, "{claimed:?}");
    assert_eq!(claimed[0]["job"]["id"], job);
    job
}

pub async fn heartbeat(server: &Server, job: &str, attempt: i32) -> Response {
    server.post(&format!("/jobs/{job}/heartbeat"), &json!({"attempt": attempt})).await
}

pub async fn complete(server: &Server, job: &str, attempt: i32, exit_code: i32) -> Response {
    server.post(&format!("/jobs/{job}/complete"), &json!({"attempt": attempt, "exitCode": exit_code})).await
}

/// The value of a variable of a claimed job's environment.
pub fn variable<'a>(claimed: &'a Value, name: &str) -> &'a str {
    let variables = claimed["environment"].as_array().expect("variables");
    let mut found = variables.iter().filter(|variable| variable["name"] == name);
    let value = found.next().unwrap_or_else(|| panic!("no {name}"))["value"].as_str().expect("a text");
    assert_eq!(found.next(), None, "{name} stands twice");
    value
}
