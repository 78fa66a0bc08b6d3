//! `docket results pull` and `push`.

use crate::support::{BINARY, Server, record};
use parquet::file::reader::{FileReader, SerializedFileReader};
use serde_json::{Value, json};
use std::path::Path;
use std::process::{Command, Output};

fn docket(server: &Server, what: &str, job: &str, storage: &str, more: &[&str]) -> Output {
    let mut program = Command::new(BINARY);
    program.args(["results", what, "--url", &server.url, "--job", job, "--storage", storage]).args(more);
    program.output().expect("docket results")
}

#[track_caller]
fn ok(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

/// What was written, without what the server gives; in an order of its own, for batches overtake each other.
fn records(ndjson: &str) -> Vec<Value> {
    let read = |line: &str| {
        let mut record: Value = serde_json::from_str(line).expect("JSON");
        for name in ["id", "storageId", "jobId", "createdAt", "modifiedAt"] {
            assert!(record.as_object_mut().expect("an object").remove(name).is_some(), "{name}");
        }
        record
    };
    let mut records: Vec<Value> = ndjson.lines().map(read).collect();
    records.sort_by_key(|record| record["externalId"].as_str().expect("an id").to_owned());
    records
}

fn nasty() -> Vec<Value> {
    let texts = ["", " ", "a,b", "\"", "\"\"", "two\r\nlines", "\n", "=1+1", "😀 ü", "\\", "\t", "'", "x,\"y\"\r"];
    let mut records: Vec<Value> = (0..1500).map(|number| record(&format!("r{number}"))).collect();
    for (number, record) in records.iter_mut().enumerate() {
        let text = texts[number % texts.len()];
        match number % 4 {
            0 => record["message"] = json!(text),
            1 => record["resultData"] = json!(text),
            2 => drop(record.as_object_mut().expect("an object").remove("resultData")),
            _ => {
                record["addressVersion"] = json!({"language": {"technicalKey": "DE"}});
                record["processingStatus"] = json!({"technicalKey": "a,b", "modifiedAt": "2026-11-23T16:21:00.000Z"});
                record["configuration"] = json!({"id": "c", "version": number});
                record["status"] = json!("FAILED");
            }
        }
    }
    records
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pulled_and_pushed_is_the_same() {
    let server = Server::with(&["--slots", "0"]).await;
    let (first, second, third) = (server.idle_job("s").await, server.idle_job("t").await, server.idle_job("u").await);
    for batch in nasty().chunks(1000) {
        server.post(&format!("/jobs/{first}/results?storageId=s"), &json!({"results": batch})).await.ok();
    }
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let lines = file("s.ndjson");
    ok(&docket(&server, "pull", &first, "s", &["--output", &lines]));
    let pulled = std::fs::read_to_string(&lines).expect("read");
    assert_eq!(pulled.lines().count(), 1500);
    let said = ok(&docket(&server, "push", &second, "t", &["--input", &lines, "--batch", "100"]));
    assert!(said.contains("1,500 created, 0 updated, 0 refused"), "{said}");
    let again = ok(&docket(&server, "pull", &second, "t", &["--output", "-"]));
    assert_eq!(records(&again), records(&pulled));

    let table = file("s.csv");
    ok(&docket(&server, "pull", &first, "s", &["--output", &table]));
    ok(&docket(&server, "push", &third, "u", &["--input", &table]));
    let again = ok(&docket(&server, "pull", &third, "u", &["--output", "-"]));
    assert_eq!(records(&again), records(&pulled), "CSV tells empty from absent");
    let said = ok(&docket(&server, "push", &third, "u", &["--input", &table]));
    assert!(said.contains("0 created, 1,500 updated"), "{said}");

    let parquet = file("s.parquet");
    ok(&docket(&server, "pull", &first, "s", &["--output", &parquet, "--status", "FAILED"]));
    let read = std::fs::File::open(&parquet).expect("opened");
    let read = SerializedFileReader::new(read).expect("Parquet");
    assert_eq!(read.get_row_iter(None).expect("rows").count(), 375);
    assert_eq!(std::fs::read_dir(directory.path()).expect("listed").count(), 3, "no parts are left");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_goes_into_another_storage() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let mut written = record("r");
    written["jobId"] = json!(job);
    server.post("/processinglogs/s/OVERLAP_LOG", &json!({"results": [written, record("q")]})).await.ok();
    let directory = tempfile::tempdir().expect("a directory");
    let log = |what: &str, storage: &str, more: &[&str]| {
        let mut program = Command::new(BINARY);
        program.args(["results", what, "--url", &server.url, "--log", "OVERLAP_LOG", "--storage", storage]).args(more);
        program.output().expect("docket results")
    };
    for (name, storage) in [("l.ndjson", "t"), ("l.csv", "u")] {
        let file = directory.path().join(name);
        let file = file.to_str().expect("UTF-8");
        ok(&log("pull", "s", &["--output", file, "--data-source", "source", "--data-source", "other"]));
        ok(&log("push", storage, &["--input", file]));
        let values = server.get(&format!("/processinglogs/{storage}/OVERLAP_LOG")).await.ok()["values"].clone();
        assert_eq!((&values[0]["externalId"], &values[0]["jobId"]), (&json!("r"), &json!(job)));
        assert_eq!((&values[1]["externalId"], values[1].get("jobId")), (&json!("q"), None));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_that_was_ended_goes_on_at_its_moment() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let records: Vec<_> = (0..50).map(|number| record(&format!("r{number}"))).collect();
    server.post(&path, &json!({"results": records})).await.ok();
    let whole = server.get(&format!("/jobs/{job}/results/export?storageId=s")).await;
    server.post(&path, &json!({"results": [record("new")]})).await.ok();

    let directory = tempfile::tempdir().expect("a directory");
    let output = directory.path().join("r.ndjson");
    let cut = whole.text().lines().take(20).map(|line| line.len() + 1).sum::<usize>() + 30;
    let state = json!({
        "url": server.url,
        "request": {"jobId": job, "storageId": "s", "format": "ndjson", "businessPartnerId": [], "externalId": [],
            "includeResultDataFields": []},
        "snapshot": whole.header("docket-snapshot"),
        "total": 50,
    });
    std::fs::write(directory.path().join("r.ndjson.part"), &whole.body[..cut]).expect("written");
    std::fs::write(directory.path().join("r.ndjson.part.json"), state.to_string()).expect("written");
    let output = output.to_str().expect("UTF-8");
    let pulled = docket(&server, "pull", &job, "s", &["--output", output, "--resume"]);
    ok(&pulled);
    let told = String::from_utf8_lossy(&pulled.stderr).into_owned();
    assert!(told.contains("going on behind 20 results") && told.contains("50 results"), "{told}");
    assert_eq!(std::fs::read(output).expect("read"), whole.body);
    // There is nothing to go on with: it begins anew.
    ok(&docket(&server, "pull", &job, "s", &["--output", output, "--resume"]));
    assert_eq!(std::fs::read_to_string(output).expect("read").lines().count(), 51);

    for (arguments, code) in [(["--output", "x.csv", "--resume"], 2), (["--output", "-", "--escape-formulas"], 2)] {
        assert_eq!(docket(&server, "pull", &job, "s", &arguments).status.code(), Some(code), "{arguments:?}");
    }
    let unknown = "35f23c03-1c22-45fe-9484-3ffe769325de";
    let refused = docket(&server, "pull", unknown, "s", &["--output", output]);
    assert_eq!(refused.status.code(), Some(3));
    assert!(Path::new(output).exists(), "what was there stays");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_reports_what_was_refused_and_goes_on() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str| directory.path().join(name).to_str().expect("UTF-8").to_owned();
    let (input, report) = (file("r.ndjson"), file("report"));
    let mut lines: Vec<String> = (1..=30).map(|number| record(&format!("r{number}")).to_string()).collect();
    lines[4] = "no JSON".to_owned();
    lines[11] = json!({"externalId": "r12", "countryShortName": "CHE"}).to_string();
    lines[20] = json!({"status": "OK"}).to_string();
    lines[25] = format!("{{\"status\":\"OK\",\"x\":{}1{}}}", "[".repeat(200), "]".repeat(200));
    std::fs::write(&input, lines.join("\n")).expect("written");
    let arguments = ["--input", input.as_str(), "--report", report.as_str(), "--batch", "10"];
    let pushed = docket(&server, "push", &job, "s", &arguments);
    assert_eq!(pushed.status.code(), Some(5), "{pushed:?}");
    let text = std::fs::read_to_string(&report).expect("read");
    let told: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let refused: Vec<_> =
        told.iter().filter_map(|told| Some((told["line"].as_u64()?, told["code"].as_str()?))).collect();
    assert_eq!(refused.iter().map(|refused| refused.0).collect::<Vec<_>>(), [5, 12, 21, 26], "{text}");
    assert_eq!((refused[0].1, refused[1].1, refused[2].1), ("unreadable", "invalid_format", "required"));
    assert_eq!(told.last(), Some(&json!({"through": 30, "created": 26, "updated": 0, "failed": 4})));
    let page = server.get(&format!("/jobs/{job}/results?storageId=s")).await.ok();
    assert_eq!(page["total"], 26);

    // As if it had been killed behind its second batch.
    let second = text.lines().position(|line| line.contains("\"through\":21")).expect("a mark");
    let cut: String = text.lines().take(second + 1).map(|line| format!("{line}\n")).collect();
    std::fs::write(&report, cut + "{\"line\":2").expect("written");
    let resumed = docket(&server, "push", &job, "s", &[&arguments[..], &["--resume"]].concat());
    assert_eq!(resumed.status.code(), Some(5), "{resumed:?}");
    let last: Value =
        serde_json::from_str(std::fs::read_to_string(&report).expect("read").lines().last().expect("a mark"))
            .expect("JSON");
    assert_eq!((&last["through"], &last["failed"]), (&json!(30), &json!(4)));
    assert_eq!(last["updated"], 8, "only what stood behind was sent again");
}
