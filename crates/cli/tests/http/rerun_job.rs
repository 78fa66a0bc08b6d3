use crate::support::{BINARY, Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

fn failed(id: &str) -> Value {
    let mut failed = record(id);
    failed["status"] = json!("FAILED");
    failed
}

async fn write(server: &Server, job: &str, storage: &str, records: &[Value]) {
    let body = json!({"results": records});
    server.post(&format!("/jobs/{job}/results?storageId={storage}"), &body).await.ok();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_job_is_like_the_old_one_with_its_secrets() {
    let server = Server::start().await;
    let body = json!({
        "dockerImageUrl": "host", "name": "nightly", "tags": ["a"], "priority": 70, "resultStorageId": "s",
        "commands": ["/bin/sh", "-c", "echo $DB_PASSWORD ${DOCKET_RECORDS_URL-none}; exit 3"],
        "environmentVariables": [{"name": "DB_PASSWORD", "value": "hunter2"}],
    });
    let original = server.start_job(body).await;
    let ended = server.until(&original, &["FAILED"]).await;
    let again = server.post(&format!("/jobs/{original}/rerun"), &json!({})).await.ok();
    assert_eq!((&again["rerunOf"], &again["status"]), (&json!(original), &json!("PERSISTED")));
    assert_eq!((again.get("onlyFailedRecords"), ended.get("rerunOf")), (None, None));
    assert_eq!(again["environmentVariables"], json!([{"name": "DB_PASSWORD", "value": "***"}]));
    for field in ["name", "tags", "priority", "resultStorageId", "commands", "organizationId"] {
        assert_eq!(again[field], ended[field], "{field}");
    }
    let id = again["id"].as_str().expect("an id");
    assert_ne!(id, original);
    let found = server.until(id, &["FAILED"]).await;
    assert_eq!((&found["rerunOf"], &found["attempt"]), (&json!(original), &json!(1)));
    assert_eq!(server.log(id).await, "hunter2 none\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_new_job_reads_the_failed_records_with_its_own_token() {
    let server = Server::start().await;
    let operator = server.key("acme", "operator");
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let post = async |path: &str, body: Value| server.send(Method::POST, path, &headers, body.to_string()).await;
    // Both runs of the command read what there is to read: the first one all, the second one the failed records.
    let script = format!(
        "[ -z \"$DOCKET_RECORDS_URL\" ] && exit 3; echo $DOCKET_RECORDS_URL; \
         exec {BINARY} call listRerunRecords jobId=$DOCKET_JOB_ID limit=2 --all"
    );
    let body = json!({"dockerImageUrl": "host", "resultStorageId": "s", "commands": ["/bin/sh", "-c", script]});
    let original = post("/jobs", body).await.ok()["id"].as_str().expect("an id").to_owned();
    let get = async |path: &str| server.send(Method::GET, path, &headers, Bytes::new()).await;
    let until_ended = async |job: &str| loop {
        let found = get(&format!("/jobs/{job}")).await.ok();
        if ["FINISHED", "FAILED", "DIED", "CANCELED"].contains(&found["status"].as_str().expect("a status")) {
            break found;
        }
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(until_ended(&original).await["status"], "FAILED");

    let rerun = json!({"onlyFailedRecords": true});
    let path = format!("/jobs/{original}/rerun");
    post(&path, rerun.clone()).await.problem(409, "nothing_failed");
    let records: Vec<Value> =
        (0..6).map(|n| if n % 2 == 0 { record(&n.to_string()) } else { failed(&n.to_string()) }).collect();
    let results = format!("/jobs/{original}/results?storageId=s");
    post(&results, json!({"results": records})).await.ok();

    let again = post(&path, rerun.clone()).await.ok();
    assert_eq!((&again["rerunOf"], &again["onlyFailedRecords"]), (&json!(original), &json!(true)));
    let id = again["id"].as_str().expect("an id");
    let ended = until_ended(id).await;
    let log = get(&format!("/jobs/{id}/log")).await.text();
    assert_eq!(ended["status"], "FINISHED", "{log}");
    let (address, lines) = log.split_once('\n').expect("lines");
    assert_eq!(address, format!("{}/jobs/{id}/rerun/records", server.url));
    let read: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("a record")).collect();
    let ids: Vec<_> = read.iter().map(|record| record["externalId"].as_str().expect("an id")).collect();
    assert_eq!(ids, ["1", "3", "5"]);
    assert!(read.iter().all(|record| record["status"] == "FAILED" && record["jobId"] == json!(original)));

    // The same address for people: pages, and what can be wrong.
    let path = format!("/jobs/{id}/rerun/records");
    let page = get(&format!("{path}?limit=2")).await.ok();
    assert_eq!((&page["total"], page["values"].as_array().expect("values").len()), (&json!(3), 2));
    let next = page["nextStartAfter"].as_str().expect("a token");
    let last = get(&format!("{path}?limit=2&startAfter={next}")).await.ok();
    assert_eq!((last["values"].as_array().expect("values").len(), last.get("nextStartAfter")), (1, None));
    get(&format!("{path}?startAfter={next}&storageId=other")).await.problem(400, "invalid_page_token");
    get(&format!("{path}?startAfter=7")).await.problem(400, "invalid_page_token");
    assert_eq!(get(&format!("{path}?storageId=other")).await.ok()["total"], 0);
    let plain = get(&format!("/jobs/{original}/rerun/records")).await.problem(404, "not_found");
    assert_eq!(plain["detail"], "The job is no rerun of another one.");
    server.send(Method::DELETE, &format!("/jobs/{original}"), &headers, Bytes::new()).await.ok();
    let gone = get(&path).await.problem(404, "not_found");
    assert_eq!(gone["detail"], "The job that this one reruns was deleted, and its results with it.");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storage_must_be_named_where_there_are_many() {
    let server = Server::with(&["--slots", "0"]).await;
    let original = server.start_job(json!({"dockerImageUrl": "host"})).await;
    write(&server, &original, "one", &[failed("a")]).await;
    server.post(&format!("/jobs/{original}/cancel"), &json!({})).await.ok();
    let again = server.post(&format!("/jobs/{original}/rerun"), &json!({"onlyFailedRecords": "true"})).await.ok();
    let path = format!("/jobs/{}/rerun/records", again["id"].as_str().expect("an id"));
    assert_eq!(server.get(&path).await.ok()["total"], 1);
    write(&server, &original, "two", &[failed("b"), failed("c")]).await;
    let problem = server.get(&path).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/storageId");
    assert_eq!(server.get(&format!("{path}?storageId=two")).await.ok()["total"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_an_ended_job_of_the_own_organization_and_once_a_key() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/rerun");
    server.post(&path, &json!({})).await.problem(409, "job_not_ended");
    server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    let problem = server.post(&path, &json!({"onlyFailedRecords": "perhaps"})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/onlyFailedRecords");

    let headers = [("content-type", "application/json"), ("idempotency-key", "k")];
    let first = server.send(Method::POST, &path, &headers, "{}").await.ok();
    server.kill();
    server.restart().await;
    let again = server.send(Method::POST, &path, &headers, "{}").await;
    assert_eq!((again.ok()["id"].clone(), again.header("idempotency-replayed")), (first["id"].clone(), "true"));
    let kept = server.get(&format!("/jobs/{}", first["id"].as_str().expect("an id"))).await.ok();
    assert_eq!(kept["rerunOf"], json!(job), "it survives a restart");

    let stranger = server.key("other", "admin");
    server.kill();
    server.restart().await;
    let headers = [("content-type", "application/json"), ("x-api-key", stranger.as_str())];
    let foreign = server.send(Method::POST, &path, &headers, "{}").await;
    foreign.problem(404, "not_found");
    let unknown = "/jobs/00000000-0000-7000-8000-000000000000/rerun";
    assert_eq!(foreign.body, server.send(Method::POST, unknown, &headers, "{}").await.body);
}
