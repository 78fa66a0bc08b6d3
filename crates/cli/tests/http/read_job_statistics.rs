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
