use crate::support::Server;
use docket_contract::job::KNOWN_TYPES;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn known_and_own_types() {
    let server = Server::with(&["--slots", "0"]).await;
    server.start_job(json!({"dockerImageUrl": "i", "type": "MATCHING_JOB"})).await;
    let types = server.get("/jobs/types").await.ok();
    let types: Vec<_> = types["values"].as_array().expect("types").iter().filter_map(|t| t.as_str()).collect();
    assert!(types.is_sorted());
    assert_eq!(types.len(), KNOWN_TYPES.len() + 1);
    assert!(types.contains(&"MATCHING_JOB"));
}
