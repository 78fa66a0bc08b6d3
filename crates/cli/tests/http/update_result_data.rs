use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_text_is_kept_up_to_its_limit() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.start_job(json!({"dockerImageUrl": "i"})).await;
    let path = format!("/jobs/{id}/resultdata");
    let longest = "ü".repeat(65_535);
    assert_eq!(server.put(&path, &json!({"resultData": longest})).await.ok()["resultData"], longest);
    let problem = server.put(&path, &json!({"resultData": "x".repeat(65_536)})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/resultData");
    server.put(&path, &json!({})).await.problem(400, "invalid_request");
    assert_eq!(server.get(&format!("/jobs/{id}")).await.ok()["resultData"], longest);
}
