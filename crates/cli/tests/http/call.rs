//! `docket call`: every operation of the table on the command line.

use crate::support::{BINARY, Server, record};
use docket_contract::operations::{Operation, Visitor, walk};
use serde_json::{Value, json};
use std::io::Write;
use std::process::{Command, Output, Stdio};

/// Runs the command; the server is given by the environment.
fn call(url: &str, arguments: &[&str], input: &str) -> Output {
    let mut command = Command::new(BINARY);
    command.arg("call").args(arguments).env_clear().env("DOCKET_URL", url);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("docket call");
    child.stdin.take().expect("a pipe").write_all(input.as_bytes()).expect("written");
    child.wait_with_output().expect("an end")
}

#[track_caller]
fn succeeds(url: &str, arguments: &[&str], input: &str) -> String {
    let output = call(url, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[track_caller]
fn fails(url: &str, arguments: &[&str], code: i32, sign: &str) {
    let output = call(url, arguments, "");
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {told}");
    assert!(told.starts_with("docket: ") && told.contains(sign), "{arguments:?}: {told}");
}

/// Walks the table: whatever is added to it can be called, and is explained.
struct Explained(String);

impl Visitor for Explained {
    fn visit<O: Operation>(&mut self) {
        assert!(self.0.contains(O::NAME), "{}", O::NAME);
        let help = succeeds("", &[O::NAME, "--help"], "");
        assert!(help.contains(O::TITLE) && help.contains(O::DESCRIPTION), "{help}");
        let example = serde_json::to_value(O::example().0).expect("JSON");
        for name in example.as_object().expect("fields").keys() {
            assert!(help.contains(&format!("\n  {name} ")), "{}: {name}\n{help}", O::NAME);
        }
        assert_eq!(help.contains("--all"), O::PAGING.is_some(), "{}", O::NAME);
        O::ERRORS.iter().for_each(|code| assert!(help.contains(code.name()), "{}: {code}", O::NAME));
    }
}

#[test]
fn every_operation_is_listed_and_explained() {
    walk(&mut Explained(succeeds("", &[], "")));
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_are_called_by_name() {
    let server = Server::with(&["--slots", "0"]).await;
    let url = server.url.as_str();
    let job = succeeds(
        url,
        &["startJob", "dockerImageUrl=host", "commands=/bin/sh", "commands=-c", "commands=exit 0", "resultStorageId=s"],
        "",
    );
    let job: Value = serde_json::from_str(&job).expect("JSON");
    assert_eq!(job["commands"], json!(["/bin/sh", "-c", "exit 0"]));
    let id = format!("jobId={}", job["id"].as_str().expect("an id"));

    let results: Vec<Value> = (0..25).map(|number| record(&format!("r{number}"))).collect();
    let input = json!({"storageId": "elsewhere", "results": results}).to_string();
    let summary = succeeds(url, &["insertJobResults", &id, "storageId=s", "--input", "-"], &input);
    assert_eq!(serde_json::from_str::<Value>(&summary).expect("JSON")["created"], 25, "the command line goes first");

    let lines = succeeds(url, &["listJobRunResults", &id, "storageId=s", "limit=10", "--all"], "");
    let ids: Vec<Value> =
        lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")["externalId"].clone()).collect();
    assert_eq!(ids, (0..25).map(|number| json!(format!("r{number}"))).collect::<Vec<_>>());

    for _ in 0..2 {
        succeeds(url, &["startJob", "--input", "-"], r#"{"dockerImageUrl": "host"}"#);
    }
    assert_eq!(succeeds(url, &["listJobs", "limit=1", "--all"], "").lines().count(), 3);
    let table = succeeds(url, &["listJobs", "--output", "table"], "");
    assert!(table.starts_with('|') && table.contains("status"), "{table}");
    assert_eq!(succeeds(url, &["readJobLog", &id], ""), "");
    let one = succeeds(url, &["readJob", &id, "--output", "table"], "");
    assert!(one.contains("dockerImageUrl"), "{one}");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_have_codes() {
    let server = Server::with(&["--slots", "0"]).await;
    let url = server.url.as_str();
    fails(url, &["lstJobs"], 2, "did you mean listJobs?");
    fails(url, &["listJobs", "job_status=x"], 2, "did you mean jobStatus?");
    fails(url, &["listJobs", "zzz=1"], 2, "docket call listJobs --help");
    fails(url, &["listJobs", "limit"], 2, "NAME=VALUE");
    fails(url, &["listJobs", "limit=ten"], 2, "limit takes a whole number");
    fails(url, &["readJob"], 2, "needs the field jobId");
    fails(url, &["readJob", "jobId=x", "--all"], 2, "--all");
    fails(url, &["startJob", "--input", "/nowhere"], 2, "/nowhere");
    fails(url, &["readJob", "jobId=x"], 3, "not_found");
    fails(url, &["listJobs", "limit=0", "sort=x"], 3, "out_of_range");
    fails("http://127.0.0.1:1", &["listJobTypes"], 4, "can't connect");
    fails("ftp://x", &["listJobTypes"], 2, "http://");
    let output =
        call(url, &["startJob", "--input", "-"], r#"{"dockerImageUrl": "x", "labels": [{"name": "a", "colour": 1}]}"#);
    assert!(output.status.success());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "docket: the server ignored labels.0.colour\n");
}
