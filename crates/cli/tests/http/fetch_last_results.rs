use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

const PATH: &str = "/jobs/results/fetchlast";

/// A job of a type that writes to the storage `s`.
async fn job(server: &Server, job_type: &str) -> String {
    server.start_job(json!({"dockerImageUrl": "i", "resultStorageId": "s", "type": job_type})).await
}

async fn write(server: &Server, job: &str, records: &[(&str, &str, &str)]) {
    let records: Vec<Value> = records
        .iter()
        .map(|(id, status, found)| {
            let mut record = record(id);
            record["status"] = json!(status);
            record["resultData"] = json!(json!({"found": found, "more": 1}).to_string());
            record
        })
        .collect();
    server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": records})).await.ok();
}

/// Of each record told its id, the job that wrote it and what it found.
fn told(answer: &Value) -> Vec<(String, String, String)> {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let value = |value: &Value| {
        let data: Value = serde_json::from_str(&text(&value["resultData"])).expect("JSON");
        assert_eq!(value["storageId"], "s");
        (text(&value["externalId"]), text(&value["jobId"]), text(&data["found"]))
    };
    let mut values: Vec<_> = answer["values"].as_array().expect("values").iter().map(value).collect();
    values.sort();
    values
}

fn expected<const N: usize>(values: [(&str, &String, &str); N]) -> Vec<(String, String, String)> {
    values.map(|(id, job, found)| (id.to_owned(), job.clone(), found.to_owned())).into()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_of_each_record_through_restarts_and_deletions() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let (one, two, three) = (job(&server, "A_JOB").await, job(&server, "B_JOB").await, job(&server, "A_JOB").await);
    write(&server, &one, &[("a", "OK", "1"), ("b", "FAILED", "1"), ("c", "OK", "1")]).await;
    write(&server, &two, &[("a", "FAILED", "2"), ("b", "OK", "2")]).await;
    write(&server, &three, &[("a", "OK", "3")]).await;
    // A log of the storage has a newer record; it does not count.
    let mut logged = record("a");
    logged["jobId"] = json!(one);
    server.post("/processinglogs/s/CURATION_LOG", &json!({"results": [logged]})).await.ok();
    let all = json!({"storageId": "s", "externalId": ["a", "b", "c", "nobody"]});
    for restarts in [false, true] {
        if restarts {
            server.kill();
            server.restart().await;
        }
        let answer = server.post(PATH, &all).await.ok();
        assert_eq!(answer["total"], 3);
        assert_eq!(told(&answer), expected([("a", &three, "3"), ("b", &two, "2"), ("c", &one, "1")]));
    }
    let with = |more: Value| {
        let mut body = all.clone();
        body.as_object_mut().expect("an object").extend(more.as_object().expect("an object").clone());
        body
    };
    for (more, values) in [
        // The type says which results count, the status which of the newest ones are told.
        (json!({"jobType": "B_JOB"}), expected([("a", &two, "2"), ("b", &two, "2")])),
        (json!({"jobType": "A_JOB"}), expected([("a", &three, "3"), ("b", &one, "1"), ("c", &one, "1")])),
        (json!({"jobType": "C_JOB"}), expected([])),
        (json!({"jobResultStatus": "FAILED"}), expected([])),
        (json!({"jobResultStatus": "FAILED", "jobType": "B_JOB"}), expected([("a", &two, "2")])),
        (json!({"dataSourceId": ["elsewhere"]}), expected([])),
        (json!({"dataSourceId": ["elsewhere", "source"], "externalId": ["c"]}), expected([("c", &one, "1")])),
        (json!({"externalId": [], "businessPartnerId": ["bp-b"]}), expected([("b", &two, "2")])),
        (json!({"businessPartnerId": ["bp-b", "bp-c"], "externalId": ["a", "c"]}), expected([("c", &one, "1")])),
    ] {
        let answer = server.post(PATH, &with(more.clone())).await.ok();
        assert_eq!((told(&answer), &answer["total"]), (values.clone(), &json!(values.len())), "{more}");
    }
    let answer = server.post(PATH, &with(json!({"includeResultDataFields": ["found"]}))).await.ok();
    assert_eq!(answer["values"][0]["resultData"], r#"{"found":"1"}"#);
    // An older job writes its result again.
    write(&server, &one, &[("a", "FAILED", "again")]).await;
    server.kill();
    server.restart().await;
    assert_eq!(told(&server.post(PATH, &all).await.ok())[0], expected([("a", &one, "again")])[0]);
    // Without the job that wrote last the next one's result is the newest.
    for (gone, next) in [
        (&one, expected([("a", &three, "3"), ("b", &two, "2")])),
        (&three, expected([("a", &two, "2"), ("b", &two, "2")])),
    ] {
        server.post(&format!("/jobs/{gone}/cancel"), &json!({})).await.ok();
        server.delete(&format!("/jobs/{gone}")).await.ok();
        assert_eq!(told(&server.post(PATH, &all).await.ok()), next);
    }
    server.delete("/jobs/results/s").await.ok();
    assert_eq!(server.post(PATH, &all).await.ok(), json!({"total": 0, "values": []}));
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_finds_nothing() {
    let server = Server::with(&["--slots", "0"]).await;
    let (own, other) = (server.key("acme", "operator"), server.key("other", "admin"));
    let send = async |key: &str, path: &str, body: Value| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        server.send(Method::POST, path, &headers, Bytes::from(body.to_string())).await
    };
    let job = send(&own, "/jobs", json!({"dockerImageUrl": "i", "resultStorageId": "s", "type": "A_JOB"})).await.ok();
    let path = format!("/jobs/{}/results?storageId=s", job["id"].as_str().expect("an id"));
    send(&own, &path, json!({"results": [record("a")]})).await.ok();
    let ask = |storage: &str| json!({"storageId": storage, "externalId": ["a"], "jobType": "A_JOB"});
    assert_eq!(send(&own, PATH, ask("s")).await.ok()["total"], 1);
    let (foreign, unknown) = (send(&other, PATH, ask("s")).await, send(&other, PATH, ask("nothing")).await);
    foreign.ok();
    assert_eq!(foreign.body, unknown.body, "not byte for byte");
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_say_what_is_wrong() {
    let server = Server::with(&["--slots", "0"]).await;
    let many: Vec<String> = (0..501).map(|number| number.to_string()).collect();
    for (body, pointer) in [
        (json!({"storageId": "s"}), "/businessPartnerId"),
        (json!({"storageId": "s", "externalId": [], "businessPartnerId": null}), "/businessPartnerId"),
        (json!({"externalId": ["a"]}), "/storageId"),
        (json!({"storageId": "", "externalId": ["a"]}), "/storageId"),
        (json!({"storageId": "s", "externalId": many}), "/externalId"),
        (json!({"storageId": "s", "businessPartnerId": many}), "/businessPartnerId"),
        (json!({"storageId": "s", "externalId": [""]}), "/externalId/0"),
        (json!({"storageId": "s", "externalId": ["a"], "jobType": "x"}), "/jobType"),
        (json!({"storageId": "s", "externalId": ["a"], "jobResultStatus": "GOOD"}), "/jobResultStatus"),
    ] {
        let problem = server.post(PATH, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn five_thousand_are_told_and_ten_thousand_refused() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = job(&server, "A_JOB").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let ask = json!({"storageId": "s", "businessPartnerId": ["one"]});
    for batch in 0..10_001_usize.div_ceil(1000) {
        let records: Vec<Value> = (batch * 1000..(batch * 1000 + 1000).min(10_001))
            .map(|number| json!({"businessPartnerId": "one", "externalId": format!("r{number}")}))
            .collect();
        server.post(&path, &json!({"results": records})).await.ok();
        if batch == 6 {
            let answer = server.post(PATH, &ask).await.ok();
            assert_eq!(answer["total"], 7000);
            let values = answer["values"].as_array().expect("values");
            // Those that were written last.
            assert_eq!((values.len(), &values[0]["externalId"]), (5000, &json!("r2000")));
        }
    }
    let problem = server.post(PATH, &ask).await.problem(400, "invalid_request");
    assert!(problem["detail"].as_str().expect("a detail").contains("10000"), "{problem}");
}
