use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_pause_is_recorded_as_one() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.schedule("* * * * * *", "true", json!({"paused": true, "overlapPolicy": "ALLOW"})).await;
    let path = format!("/scheduledjobs/{id}");
    // So long that slots have passed, whatever the moment.
    tokio::time::sleep(std::time::Duration::from_millis(2100)).await;
    assert_eq!(server.get(&format!("{path}/runs")).await.ok()["values"], json!([]));
    let resumed = server.post(&format!("{path}/resume"), &json!({})).await.ok();
    assert_eq!((&resumed["paused"], &resumed["pausedReason"]), (&json!(false), &json!(null)));
    assert!(resumed["nextFireAt"].is_string(), "{resumed}");
    let runs = server.until_runs(&id, 2).await;
    let (pause, first) = (&runs[runs.len() - 1], &runs[runs.len() - 2]);
    assert_eq!((&pause["kind"], &pause["reason"]), (&json!("SKIPPED"), &json!("PAUSED")), "{pause}");
    assert!(pause["slots"].as_i64().is_some_and(|slots| slots >= 2), "{pause}");
    assert!(first["slotAt"].as_str() > pause["lastSlotAt"].as_str(), "{pause} {first}");
    assert_eq!(first["kind"], "FIRED");
    let again = server.post(&format!("{path}/resume"), &json!({})).await.ok();
    assert_eq!(again["modifiedAt"], resumed["modifiedAt"], "one that does not rest stays as it is");
}
