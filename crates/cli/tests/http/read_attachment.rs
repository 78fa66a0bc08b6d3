use crate::support::Server;
use bytes::Bytes;
use http::Method;

#[tokio::test(flavor = "multi_thread")]
async fn a_file_comes_as_a_download_in_its_own_type() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/attachments/Gr%C3%B6%C3%9Fe%20%22%E2%82%AC%22.html");
    let content: Vec<u8> = (0..3_000_000_u32).map(|number| (number % 251) as u8).collect();
    let headers = [("content-type", "text/html")];
    server.send(Method::PUT, &path, &headers, content.clone()).await.ok();
    for accepted in ["identity", "gzip, br"] {
        let headers = [("accept-encoding", accepted)];
        let answer = server.send(Method::GET, &path, &headers, Bytes::new()).await;
        assert_eq!(answer.status, 200);
        assert!(answer.body == content, "not byte for byte");
        assert_eq!((answer.header("content-type"), answer.header("content-length")), ("text/html", "3000000"));
        assert_eq!(answer.header("content-encoding"), "");
        let disposition = "attachment; filename*=UTF-8''Gr%C3%B6%C3%9Fe%20%22%E2%82%AC%22.html";
        assert_eq!(answer.header("content-disposition"), disposition);
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
        assert_eq!(answer.header("content-security-policy"), "sandbox");
    }
    let head = server.send(Method::HEAD, &path, &[], Bytes::new()).await;
    assert_eq!((head.status.as_u16(), head.header("content-length"), head.body.len()), (200, "3000000", 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_not_found() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let problem = server.get(&format!("/jobs/{job}/attachments/a")).await.problem(404, "not_found");
    assert_eq!(problem["detail"], "The job has no attachment of this name.");
    server.send(Method::PUT, &format!("/jobs/{job}/attachments/a"), &[], "x").await.ok();
    let other = server.idle_job("s").await;
    server.get(&format!("/jobs/{other}/attachments/a")).await.problem(404, "not_found");
    server.get(&format!("/jobs/{job}/attachments/A")).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_learns_nothing() {
    let server = Server::with(&["--slots", "0"]).await;
    let (own, stranger) = (server.key("acme", "operator"), server.key("other", "admin"));
    let own = [("x-api-key", own.as_str()), ("content-type", "application/json")];
    let job = server.send(Method::POST, "/jobs", &own, r#"{"dockerImageUrl":"host"}"#).await.ok();
    let path = format!("/jobs/{}/attachments/a", job["id"].as_str().expect("an id"));
    server.send(Method::PUT, &path, &own, "x").await.ok();
    let stranger = [("x-api-key", stranger.as_str())];
    let unknown = "/jobs/00000000-0000-7000-8000-000000000000/attachments/a";
    for method in [Method::GET, Method::PUT, Method::DELETE] {
        let body = if method == Method::PUT { "y" } else { "" };
        let foreign = server.send(method.clone(), &path, &stranger, body).await;
        foreign.problem(404, "not_found");
        assert_eq!(foreign.body, server.send(method, unknown, &stranger, body).await.body);
    }
    assert_eq!(server.send(Method::GET, &path, &own, Bytes::new()).await.text(), "x");
}
