use crate::support::{Server, record};
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn counts_follow_every_change() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    let with = |id: &str, status: &str, country: Value| {
        let mut record = record(id);
        record["status"] = json!(status);
        record["countryShortName"] = country;
        record
    };
    let body = json!({"results": [with("a", "OK", json!("CH")), with("b", "FAILED", json!("ch")), with("c", "OK", json!(null))]});
    server.post(&path, &body).await.ok();
    server.post(&path, &json!({"results": [with("a", "FAILED", json!("DE"))]})).await.ok();
    let found = server.get(&format!("/jobs/{job}/results/statistics")).await.ok();
    assert_eq!((&found["total"], &found["ok"], &found["failed"]), (&json!(3), &json!(1), &json!(2)));
    let mut countries: Vec<String> =
        found["countries"].as_array().expect("countries").iter().map(Value::to_string).collect();
    countries.sort();
    assert_eq!(
        countries,
        [
            r#"{"count":1,"failed":0}"#,
            r#"{"value":"CH","count":1,"failed":1}"#,
            r#"{"value":"DE","count":1,"failed":1}"#,
        ]
        .map(|text| serde_json::from_str::<Value>(text).expect("JSON").to_string())
    );
    assert_eq!(found["dataSources"], json!([{"value": "source", "count": 3, "failed": 2}]));
    let elsewhere = format!("/jobs/{job}/results?storageId=t");
    server.post(&elsewhere, &json!({"results": [with("a", "OK", json!("CH"))]})).await.ok();
    let found = server.get(&format!("/jobs/{job}/results/statistics")).await.ok();
    assert_eq!(found["total"], 4, "without a storage: all that the job has written to");
    let found = server.get(&format!("/jobs/{job}/results/statistics?storageId=t")).await.ok();
    assert_eq!(found["total"], 1);
    let bare = server.start_job(json!({"dockerImageUrl": "i"})).await;
    assert_eq!(server.get(&format!("/jobs/{bare}/results/statistics")).await.ok()["total"], 0);
}

fn values(member: &Value) -> Vec<(String, i64, i64)> {
    let value = |value: &Value| {
        let count = |name: &str| value[name].as_i64().expect("a number");
        (value["value"].as_str().expect("a text").to_owned(), count("count"), count("failed"))
    };
    member["values"].as_array().expect("values").iter().map(value).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn members_are_counted_by_their_values() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let with = |id: &str, status: &str, data: Value| {
        let mut record = record(id);
        record["status"] = json!(status);
        record["resultData"] = if data.is_object() { json!(data.to_string()) } else { data };
        record
    };
    let defects = |rules: &[&str]| json!({"dataDefects": rules.iter().map(|rule| json!({"rule": rule})).collect::<Vec<_>>(), "score": rules.len()});
    let body = json!({"results": [
        with("a", "FAILED", defects(&["VAT", "IBAN", "VAT"])),
        with("b", "FAILED", defects(&["VAT"])),
        with("c", "OK", defects(&["NAME"])),
        with("d", "OK", defects(&[])),
        with("e", "OK", json!("{'no': 'JSON'}")),
        with("f", "OK", json!(null)),
    ]});
    server.post(&format!("/jobs/{job}/results?storageId=s"), &body).await.ok();
    let path = format!("/jobs/{job}/results/statistics");
    let found =
        server.get(&format!("{path}?pointer=/dataDefects/rule&pointer=/score&pointer=/dataDefects/0/rule")).await.ok();
    assert_eq!(found["total"], 6);
    let members = found["members"].as_array().expect("members");
    let told = |member: &Value| {
        ["counted", "absent", "notJson", "distinct"].map(|name| member[name].as_i64().expect("a number"))
    };
    assert_eq!(members.iter().map(told).collect::<Vec<_>>(), [[3, 2, 1, 3], [4, 1, 1, 3], [3, 2, 1, 2]]);
    assert!(members.iter().all(|member| member["truncated"] == false));
    let count = |value: &str, count, failed| (value.to_owned(), count, failed);
    assert_eq!(values(&members[0]), [count("VAT", 2, 2), count("IBAN", 1, 1), count("NAME", 1, 0)]);
    assert_eq!(values(&members[1]), [count("1", 2, 1), count("0", 1, 0), count("3", 1, 1)]);
    assert_eq!(values(&members[2]), [count("VAT", 2, 2), count("NAME", 1, 0)]);
    // What a record became counts, in every storage of the job; commas separate pointers.
    server
        .post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": [with("b", "OK", defects(&[]))]}))
        .await
        .ok();
    server
        .post(&format!("/jobs/{job}/results?storageId=t"), &json!({"results": [with("b", "OK", defects(&["NAME"]))]}))
        .await
        .ok();
    let found = server.get(&format!("{path}?pointer=/dataDefects/rule,/score&limit=1")).await.ok();
    assert_eq!(values(&found["members"][0]), [count("NAME", 2, 0)]);
    assert_eq!((&found["members"][1]["pointer"], &found["members"][1]["distinct"]), (&json!("/score"), &json!(3)));
    assert_eq!(server.get(&path).await.ok().get("members"), None);
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_pointers_say_what_is_wrong() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    for (query, pointer) in [
        ("pointer=/a&pointer=b", "/pointer/1"),
        ("pointer=/a~2", "/pointer/0"),
        ("pointer=/a,/b,/c,/d,/e,/f", "/pointer"),
        ("pointer=/a&limit=0", "/limit"),
    ] {
        let problem = server.get(&format!("/jobs/{job}/results/statistics?{query}")).await;
        assert_eq!(problem.problem(400, "invalid_request")["errors"][0]["pointer"], pointer, "{query}");
    }
    let long = format!("/{}", "x".repeat(255));
    server.get(&format!("/jobs/{job}/results/statistics?pointer={long}")).await.problem(400, "invalid_request");
}
