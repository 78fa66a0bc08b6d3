use crate::support::Server;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_attachment_is_gone() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/attachments/a");
    server.delete(&path).await.problem(404, "not_found");
    let made = server.send(Method::PUT, &path, &[("content-type", "text/plain")], "x").await.ok();
    assert_eq!(server.delete(&path).await.ok(), made);
    server.delete(&path).await.problem(404, "not_found");
    server.get(&path).await.problem(404, "not_found");
    server.kill();
    server.restart().await;
    server.get(&path).await.problem(404, "not_found");
    assert_eq!(server.get(&format!("/jobs/{job}")).await.ok()["attachments"], json!([]));
    let left = std::fs::read_dir(server.data().join("attachments")).expect("the directory").count();
    assert_eq!(left, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn attachments_go_with_their_job() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    for name in ["a", "b"] {
        server.send(Method::PUT, &format!("/jobs/{job}/attachments/{name}"), &[], "x").await.ok();
    }
    server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    let deleted = server.delete(&format!("/jobs/{job}")).await.ok();
    assert_eq!(deleted["attachments"].as_array().expect("attachments").len(), 2);
    server.get(&format!("/jobs/{job}/attachments/a")).await.problem(404, "not_found");
    let left = std::fs::read_dir(server.data().join("attachments")).expect("the directory").count();
    assert_eq!(left, 0);
}
