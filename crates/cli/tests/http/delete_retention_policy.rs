use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn just_the_policy_for_the_pair_goes() {
    let mut server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let mut put = Vec::new();
    for policy in
        [json!({"keepDays": 1}), json!({"type": "A_JOB", "keepDays": 2}), json!({"storageId": "s", "keepDays": 3})]
    {
        put.push(server.put("/retention", &policy).await.ok());
    }
    server.delete("/retention?storageId=s&type=A_JOB").await.problem(404, "not_found");
    assert_eq!(server.delete("/retention?storageId=s").await.ok(), put[2]);
    server.delete("/retention?storageId=s").await.problem(404, "not_found");
    assert_eq!(server.delete("/retention").await.ok(), put[0]);
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.restart().await;
        }
        assert_eq!(server.get("/retention").await.ok()["values"], json!([put[1]]));
    }
    let long = format!("/retention?storageId={}", "x".repeat(256));
    for (path, pointer) in [("/retention?type=nightly", "/type"), (long.as_str(), "/storageId")] {
        assert_eq!(server.delete(path).await.problem(400, "invalid_request")["errors"][0]["pointer"], pointer);
    }
}
