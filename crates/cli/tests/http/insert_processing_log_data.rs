use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const LOG: &str = "/processinglogs/s/CURATION_LOG";
const JOB: &str = "35f23c03-1c22-45fe-9484-3ffe769325de";

fn of_job(mut record: Value, job: &str) -> Value {
    record["jobId"] = json!(job);
    record
}

/// External id and job of each entry.
async fn entries(server: &Server, path: &str) -> Vec<(String, Option<String>)> {
    let page = server.get(path).await.ok();
    let values = page["values"].as_array().expect("values");
    assert_eq!(page["total"], values.len());
    let text = |value: &Value, name: &str| value[name].as_str().map(str::to_owned);
    values.iter().map(|value| (text(value, "externalId").expect("an id"), text(value, "jobId"))).collect()
}

fn entry(id: &str, job: Option<&str>) -> (String, Option<String>) {
    (id.to_owned(), job.map(str::to_owned))
}

#[tokio::test(flavor = "multi_thread")]
async fn a_record_is_known_whichever_job_wrote_it() {
    let server = Server::with(&["--slots", "0"]).await;
    let first = json!({"results": [of_job(record("a"), JOB), record("b"), record("a")]});
    let told = server.post(LOG, &first).await.ok();
    assert_eq!((&told["created"], &told["updated"], &told["failed"]), (&json!(2), &json!(1), &json!(0)));
    let before = server.get(LOG).await.ok();
    let mut changed = of_job(record("a"), &JOB.to_uppercase());
    changed["status"] = json!("FAILED");
    let told = server.post(LOG, &json!({"results": [changed, of_job(record("c"), JOB)]})).await.ok();
    assert_eq!((&told["created"], &told["updated"]), (&json!(1), &json!(1)));
    let expected = [entry("a", Some(JOB)), entry("b", None), entry("c", Some(JOB))];
    assert_eq!(entries(&server, LOG).await, expected);
    let after = server.get(LOG).await.ok();
    let (old, new) = (&before["values"][0], &after["values"][0]);
    assert_eq!((&new["id"], &new["createdAt"], &new["status"]), (&old["id"], &old["createdAt"], &json!("FAILED")));
    assert_eq!(entries(&server, "/processinglogs/s/VALIDATION_LOG").await, []);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_records_do_not_spoil_the_others() {
    let server = Server::with(&["--slots", "0"]).await;
    let records = [of_job(record("x"), "job 7"), record("a"), json!({"dataSourceId": "x"}), json!(42)];
    let told = server.post(LOG, &json!({"results": records})).await.ok();
    assert_eq!((&told["created"], &told["updated"], &told["failed"]), (&json!(1), &json!(0), &json!(3)));
    let failures: Vec<_> =
        told["failures"].as_array().expect("failures").iter().map(|f| (&f["index"], &f["code"])).collect();
    let expected =
        [(json!(0), json!("invalid_format")), (json!(2), json!("required")), (json!(3), json!("wrong_type"))];
    assert_eq!(failures, expected.iter().map(|(index, code)| (index, code)).collect::<Vec<_>>());
    assert_eq!(told["failures"][0]["externalId"], "x");
    let many: Vec<Value> = (0..1001).map(|number| record(&number.to_string())).collect();
    let problem = server.post(LOG, &json!({"results": many})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/results");
    let problem = server.post("/processinglogs/s/LOG", &json!({"results": []})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/processingLogId");
    assert_eq!(entries(&server, LOG).await, [entry("a", None)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_mirror_what_they_write() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let start = async |server: &Server| {
        let body = json!({"dockerImageUrl": "host", "resultStorageId": "s", "processingLogId": "CURATION_LOG"});
        server.start_job(body).await
    };
    let (one, two, plain) = (start(&server).await, start(&server).await, server.idle_job("s").await);
    assert_eq!(server.get(&format!("/jobs/{one}")).await.ok()["processingLogId"], "CURATION_LOG");
    let write = async |server: &Server, job: &str, storage: &str, ids: &[&str]| {
        let records: Vec<Value> = ids.iter().map(|id| record(id)).collect();
        let path = format!("/jobs/{job}/results?storageId={storage}");
        let told = server.post(&path, &json!({"results": records})).await.ok();
        (told["created"].as_i64().expect("a number"), told["updated"].as_i64().expect("a number"))
    };
    assert_eq!(write(&server, &one, "s", &["a", "b"]).await, (2, 0));
    assert_eq!(write(&server, &two, "s", &["b", "c"]).await, (2, 0), "what is told is of the job's own results");
    assert_eq!(write(&server, &plain, "s", &["a", "d"]).await, (2, 0));
    assert_eq!(write(&server, &two, "t", &["e"]).await, (1, 0));
    // Killed and started again: nothing is missing here or there.
    server.kill();
    server.restart().await;
    let (one, two) = (one.as_str(), two.as_str());
    let expected = [entry("a", Some(one)), entry("b", Some(two)), entry("c", Some(two))];
    assert_eq!(entries(&server, LOG).await, expected);
    let log_of_t = "/processinglogs/t/CURATION_LOG";
    assert_eq!(entries(&server, log_of_t).await, [entry("e", Some(two))], "of the storage that is written to");
    let results = entries(&server, &format!("/jobs/{one}/results?storageId=s")).await;
    assert_eq!(results, [entry("a", Some(one)), entry("b", Some(one))]);
    assert_eq!(write(&server, one, "s", &["b"]).await, (0, 1));
    // The log outlives the job.
    server.post(&format!("/jobs/{one}/cancel"), &json!({})).await.ok();
    server.until_ended(one).await;
    let again = server.post(&format!("/jobs/{one}/rerun"), &json!({})).await.ok();
    assert_eq!(again["processingLogId"], "CURATION_LOG", "a rerun keeps it");
    server.delete(&format!("/jobs/{one}")).await.ok();
    let expected = [entry("a", Some(one)), entry("b", Some(one)), entry("c", Some(two))];
    assert_eq!(entries(&server, LOG).await, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_mirrors_with_its_own_token_and_reaches_no_log_with_it() {
    let server = Server::start().await;
    let operator = server.key("acme", "operator");
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let token = server.data().join("token");
    let script = format!("echo $DOCKET_TOKEN > {0}.new; mv {0}.new {0}; exec sleep 60", token.display());
    let job = json!({"dockerImageUrl": "host", "resultStorageId": "s", "processingLogId": "CURATION_LOG",
        "commands": ["/bin/sh", "-c", script]});
    let job = server.send(Method::POST, "/jobs", &headers, job.to_string()).await.ok();
    let job = job["id"].as_str().expect("an id");
    while !token.exists() {
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    let token = std::fs::read_to_string(&token).expect("a token");
    let own = [("x-api-key", token.trim()), ("content-type", "application/json")];
    let body = Bytes::from(json!({"results": [record("a")]}).to_string());
    let results = format!("/jobs/{job}/results?storageId=s");
    server.send(Method::POST, &results, &own, body.clone()).await.ok();
    for method in [Method::GET, Method::POST, Method::DELETE] {
        server.send(method, LOG, &own, body.clone()).await.problem(403, "forbidden");
    }
    let page = server.send(Method::GET, LOG, &headers, Bytes::new()).await.ok();
    assert_eq!((&page["total"], &page["values"][0]["jobId"]), (&json!(1), &json!(job)));
}
