//! Every operation × {no key, bad key, another organization, too low a role, a job's own token}, by walking the table.

use crate::support::{Response, Server};
use bytes::Bytes;
use docket_contract::operations::{Method, Operation, Visitor, walk};
use docket_contract::{Caller, Role};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What the matrix needs of a row.
#[derive(Clone)]
struct Row {
    name: &'static str,
    method: Method,
    template: &'static str,
    query: &'static [&'static str],
    role: Role,
    open_to_jobs: bool,
    streams: bool,
    input: Value,
}

struct Rows(Vec<Row>);

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        let (input, _) = O::example();
        self.0.push(Row {
            name: O::NAME,
            method: O::METHOD,
            template: O::PATH,
            query: O::QUERY,
            role: O::ROLE,
            open_to_jobs: O::OPEN_TO_JOBS,
            streams: O::STREAMS,
            input: serde_json::to_value(input).expect("JSON"),
        });
    }
}

fn rows() -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    walk(&mut rows);
    rows.0
}

impl Row {
    fn names_a_job(&self) -> bool {
        self.template.contains("{jobId}")
    }

    /// Whether it is about one thing of an organization.
    fn names_something(&self) -> bool {
        self.names_a_job() || self.template.contains("{scheduledJobId}")
    }

    /// Sends the row's example about this job.
    async fn call(&self, server: &Server, key: Option<&str>, job: &str) -> Response {
        let mut input = self.input.as_object().expect("an object").clone();
        let mut path = self.template.replace("{jobId}", job).replace("{storageId}", "storage");
        path = path.replace("{scheduledJobId}", job);
        for (name, value) in &input {
            path = path.replace(&format!("{{{name}}}"), value.as_str().unwrap_or_default());
        }
        input.remove("jobId");
        input.remove("scheduledJobId");
        input.remove("startAfter");
        let in_body = matches!(self.method, Method::Post | Method::Put);
        let query: BTreeMap<String, Value> = input
            .iter()
            .filter(|(name, _)| !self.template.contains(&format!("{{{name}}}")))
            .filter(|(name, _)| !in_body || self.query.contains(&name.as_str()))
            .map(|(name, value)| (name.clone(), value.clone()))
            .collect();
        for (index, (name, value)) in query.iter().enumerate() {
            let values = value.as_array().cloned().unwrap_or_else(|| vec![value.clone()]);
            let text = values.iter().map(|v| v.as_str().map_or_else(|| v.to_string(), str::to_owned));
            let text = text.collect::<Vec<_>>().join(",");
            path.push_str(&format!("{}{name}={text}", if index == 0 { "?" } else { "&" }));
        }
        input.retain(|name, _| !query.contains_key(name));
        if let Some(results) = input.get_mut("results").and_then(Value::as_array_mut) {
            for result in results {
                result.as_object_mut().expect("an object").remove("jobId");
            }
        }
        let mut headers = vec![("content-type", "application/json")];
        headers.extend(key.map(|key| ("x-api-key", key)));
        let body = if in_body { Bytes::from(Value::Object(input).to_string()) } else { Bytes::new() };
        let method = self.method.name().parse().expect("a method");
        server.send(method, &path, &headers, body).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_whole_matrix() {
    let server = Server::with(&["--slots", "0"]).await;
    let keys: BTreeMap<&str, String> = Role::ALL.map(|role| (role.name(), server.key("acme", role.name()))).into();
    let stranger = server.key("other", "admin");
    let (start, last) = keys["admin"].split_at(keys["admin"].len() - 1);
    let forged = format!("{start}{}", if last == "A" { "E" } else { "A" });
    let body = json!({"dockerImageUrl": "host", "resultStorageId": "storage"}).to_string();
    let headers = [("x-api-key", keys["operator"].as_str()), ("content-type", "application/json")];
    let started = server.send(http::Method::POST, "/jobs", &headers, body).await.ok();
    let job = started["id"].as_str().expect("an id").to_owned();
    let body = crate::support::scheduled("@daily", "true").to_string();
    let made = server.send(http::Method::POST, "/scheduledjobs", &headers, body).await.ok();
    let schedule = made["id"].as_str().expect("an id").to_owned();
    let unknown = "00000000-0000-7000-8000-000000000000";

    for row in rows() {
        let name = row.name;
        for bad in [None, Some("nonsense"), Some("dk_0000000000000000_x"), Some(forged.as_str()), Some("dj_x_1_y")] {
            let answer = row.call(&server, bad, &job).await;
            answer.problem(401, "unauthenticated");
            assert_ne!(answer.header("www-authenticate"), "", "{name}");
        }
        for role in Role::ALL.into_iter().filter(|role| *role < row.role) {
            row.call(&server, Some(&keys[role.name()]), &job).await.problem(403, "forbidden");
        }
        if row.names_something() {
            let own = if row.names_a_job() { &job } else { &schedule };
            let foreign = row.call(&server, Some(&stranger), own).await;
            foreign.problem(404, "not_found");
            let none = row.call(&server, Some(&keys["admin"]), unknown).await;
            assert_eq!((foreign.status, &foreign.body), (none.status, &none.body), "{name}: not byte for byte");
            let garbage = row.call(&server, Some(&stranger), "no-uuid").await;
            assert_eq!(foreign.body, garbage.body, "{name}");
        }
    }
    // The job is untouched by all of that, and its own organization sees it.
    for row in rows().iter().filter(|row| ["readJob", "readJobStatistics", "listJobRunResults"].contains(&row.name)) {
        row.call(&server, Some(&keys["reader"]), &job).await.ok();
    }
    let headers = [("authorization", format!("Bearer {}", keys["reader"]))];
    let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let listed = server.send(http::Method::GET, "/jobs", &headers, Bytes::new()).await.ok();
    assert_eq!(listed["values"].as_array().expect("jobs").len(), 1);
    let headers = [("x-api-key", stranger.as_str())];
    let listed = server.send(http::Method::GET, "/jobs", &headers, Bytes::new()).await.ok();
    assert_eq!(listed["values"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jobs_own_token_is_for_that_job() {
    let server = Server::start().await;
    let operator = server.key("acme", "operator");
    let start = async |script: &str| {
        let body =
            json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script], "resultStorageId": "storage"});
        let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
        let job = server.send(http::Method::POST, "/jobs", &headers, body.to_string()).await.ok();
        job["id"].as_str().expect("an id").to_owned()
    };
    let own = start("echo $DOCKET_TOKEN; exec sleep 100").await;
    let other = start("exec sleep 100").await;
    let headers = [("x-api-key", operator.as_str())];
    let token = loop {
        let log = server.send(http::Method::GET, &format!("/jobs/{own}/log"), &headers, Bytes::new()).await.text();
        if log.ends_with('\n') {
            break log.trim().to_owned();
        }
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    };
    for row in rows() {
        let answer = row.call(&server, Some(&token), &other).await;
        if !row.open_to_jobs {
            answer.problem(403, "forbidden");
            continue;
        }
        answer.problem(404, "not_found");
        if row.streams {
            // It goes on as long as the job does: a beginning is enough.
            let path = row.template.replace("{jobId}", &own);
            let stream = server.open(&path, &[("x-api-key", token.as_str())]).await;
            assert_eq!(stream.status, 200, "{}", row.name);
            continue;
        }
        // Its log and its page are no JSON problem: a success is enough. Not every job has what an operation is about.
        let own = row.call(&server, Some(&token), &own).await;
        let refused = [401, 403].contains(&own.status.as_u16()) || own.body == answer.body;
        assert!(!refused && own.status.as_u16() < 500, "{}: {}", row.name, own.text());
    }
    let body = json!({"name": "mine"}).to_string();
    let headers = [("x-api-key", token.as_str()), ("content-type", "application/json")];
    let renamed = server.send(http::Method::PUT, &format!("/jobs/{own}"), &headers, body).await;
    renamed.problem(403, "forbidden");
    let body = json!({"progress": 7, "attempt": 2}).to_string();
    let stale = server.send(http::Method::PUT, &format!("/jobs/{own}"), &headers, body).await;
    stale.problem(409, "stale_attempt");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_ends() {
    let server = Server::start().await;
    let key = server.key("acme", "reader");
    let headers = [("x-api-key", key.as_str())];
    assert_eq!(server.send(http::Method::GET, "/jobs", &headers, Bytes::new()).await.status, 200);
    let id = key.split('_').nth(1).expect("an id");
    let data = server.data().to_str().expect("UTF-8");
    let revoked = std::process::Command::new(crate::support::BINARY)
        .args(["keys", "--data", data, "revoke", id])
        .status()
        .expect("docket keys");
    assert!(revoked.success());
    let begin = std::time::Instant::now();
    while server.send(http::Method::GET, "/jobs", &headers, Bytes::new()).await.status == 200 {
        assert!(begin.elapsed() < std::time::Duration::from_secs(10), "a revoked key still works");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

#[test]
fn a_reader_does_not_see_the_environment() {
    let caller = |role, job| Caller { organization: "a".into(), role, user: "u".into(), job };
    assert!(!caller(Role::Reader, None).sees_environment());
    assert!(!caller(Role::Worker, None).sees_environment());
    assert!(caller(Role::Operator, None).sees_environment());
}
