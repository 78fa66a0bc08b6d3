use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn the_next_slots_are_listed() {
    let server = Server::with(&["--slots", "0"]).await;
    let spread = json!({"startAt": "2099-03-29T00:00Z", "timeZone": "Europe/Zurich", "jitterSeconds": 60});
    let id = server.schedule("30 2 * * *", "true", spread).await;
    let path = format!("/scheduledjobs/{id}/preview");
    let preview = server.get(&format!("{path}?count=2")).await.ok();
    let slots: Vec<_> = preview["values"].as_array().expect("values").iter().map(|slot| &slot["slotAt"]).collect();
    // On the 29th the clocks go from 02:00 to 03:00, which is 01:00 UTC.
    assert_eq!(slots, [&json!("2099-03-29T01:00:00.000Z"), &json!("2099-03-30T00:30:00.000Z")]);
    for slot in preview["values"].as_array().expect("values") {
        assert!(slot["fireAt"].as_str() >= slot["slotAt"].as_str(), "{slot}");
    }
    let next = server.get(&format!("/scheduledjobs/{id}")).await.ok();
    assert_eq!(next["nextFireAt"], preview["values"][0]["fireAt"], "the same spread each time");
    let count = async |query: &str| server.get(&format!("{path}{query}")).await.ok()["values"].as_array().map(Vec::len);
    assert_eq!((count("").await, count("?count=5000").await), (Some(10), Some(1000)));
    server.get(&format!("{path}?count=0")).await.problem(400, "invalid_request");
    let ended = server.schedule("@daily", "true", json!({"endAt": "2020-01-01T00:00Z"})).await;
    assert_eq!(server.get(&format!("/scheduledjobs/{ended}/preview")).await.ok()["values"], json!([]));
}
