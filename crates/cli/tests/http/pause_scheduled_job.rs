use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_one_has_no_slots_and_tells_why() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.schedule("@daily", "true", json!({})).await;
    let path = format!("/scheduledjobs/{id}");
    let pause = format!("{path}/pause");
    let paused = server.post(&pause, &json!({"reason": "enough"})).await.ok();
    assert_eq!((&paused["paused"], &paused["pausedReason"]), (&json!(true), &json!("enough")));
    assert_eq!(paused["nextFireAt"], json!(null));
    // Once more changes nothing.
    assert_eq!(server.post(&pause, &json!({})).await.ok(), paused);
    assert_eq!(server.get(&path).await.ok(), paused);
    let preview = server.get(&format!("{path}/preview?count=2")).await.ok();
    assert_eq!(preview["values"].as_array().map(Vec::len), Some(2), "what it would have");
    let long = json!({"reason": "x".repeat(1025)});
    server.post(&pause, &long).await.problem(400, "invalid_request");
}
