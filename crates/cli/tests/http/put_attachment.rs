use crate::support::{BINARY, PATIENCE, Response, Server};
use bytes::Bytes;
use http::Method;
use serde_json::json;
use std::io::Write;
use std::net::TcpStream;
use std::path::PathBuf;
use std::time::{Duration, Instant};

async fn put(server: &Server, path: &str, media_type: &str, body: impl Into<Bytes>) -> Response {
    server.send(Method::PUT, path, &[("content-type", media_type)], body).await
}

async fn listed(server: &Server, job: &str) -> Vec<String> {
    let job = server.get(&format!("/jobs/{job}")).await.ok();
    let attachments = job["attachments"].as_array().expect("attachments");
    attachments.iter().map(|one| one["name"].as_str().expect("a name").to_owned()).collect()
}

/// All files beneath the directory of attachments.
fn files(server: &Server) -> Vec<PathBuf> {
    let entries = |path: PathBuf| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    entries(server.data().join("attachments")).into_iter().flat_map(entries).collect()
}

async fn until(what: &str, mut done: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !done() {
        assert!(begin.elapsed() < PATIENCE, "{what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Begins an upload of a million bytes and sends some of them.
fn begin(server: &Server, job: &str, name: &str) -> TcpStream {
    let mut stream = TcpStream::connect(server.url.trim_start_matches("http://")).expect("a connection");
    let head =
        format!("PUT /jobs/{job}/attachments/{name} HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000000\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("sent");
    stream.write_all(&[b'x'; 100_000]).expect("sent");
    stream
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_attached_is_listed_and_replaced() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/attachments/report.html");
    let made = put(&server, &path, "text/html; charset=utf-8", "<b>one</b>").await.ok();
    assert_eq!(made["name"], "report.html");
    assert_eq!((&made["contentType"], &made["size"]), (&json!("text/html; charset=utf-8"), &json!(10)));
    let read = server.get(&format!("/jobs/{job}")).await.ok();
    assert_eq!(read["attachments"], json!([made]));
    assert_eq!(server.get("/jobs").await.ok()["values"][0]["attachments"], json!([made]));

    let again = put(&server, &path, "text/plain", "two").await.ok();
    assert_eq!((&again["contentType"], &again["size"]), (&json!("text/plain"), &json!(3)));
    assert_eq!(listed(&server, &job).await, ["report.html"]);
    assert_eq!(files(&server).len(), 1, "the file that was replaced is gone");
    let untyped = server.send(Method::PUT, &format!("/jobs/{job}/attachments/raw"), &[], "x").await.ok();
    assert_eq!(untyped["contentType"], "application/octet-stream");
    let empty = put(&server, &format!("/jobs/{job}/attachments/empty"), "text/plain", "").await.ok();
    assert_eq!(empty["size"], 0);

    server.kill();
    server.restart().await;
    assert_eq!(listed(&server, &job).await, ["empty", "raw", "report.html"]);
    assert_eq!(server.get(&path).await.text(), "two");
    assert_eq!(files(&server).len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn names_are_only_names() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let at = |name: &str| format!("/jobs/{job}/attachments/{name}");
    let names = ["..%2F..%2Fcontrol.db", "%2Fetc%2Fpasswd", "%2E%2E%2Fx", "a%20b", "%F0%9F%98%80", "%22%5C%3B"];
    for (number, name) in names.iter().enumerate() {
        put(&server, &at(name), "text/plain", number.to_string()).await.ok();
    }
    for (number, name) in names.iter().enumerate() {
        assert_eq!(server.get(&at(name)).await.text(), number.to_string(), "{name}");
    }
    assert_eq!(files(&server).len(), names.len());
    assert!(files(&server).iter().all(|file| file.starts_with(server.data().join("attachments"))));
    for (name, code) in
        [("a%0Ab", "invalid_characters"), ("%00", "invalid_characters"), (&*"x".repeat(256), "too_long")]
    {
        let problem = put(&server, &at(name), "text/plain", "x").await.problem(400, "invalid_request");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!("/name"), &json!(code)));
    }
    let long = "%C3%BC".repeat(255);
    put(&server, &at(&long), "text/plain", "x").await.ok();
    put(&server, &at("%ff"), "text/plain", "x").await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn size_and_number_are_bounded() {
    let server = Server::with(&["--slots", "0", "--max-attachment", "1000"]).await;
    let job = server.idle_job("s").await;
    let at = |name: &str| format!("/jobs/{job}/attachments/{name}");
    let problem = put(&server, &at("large"), "text/plain", vec![b'x'; 1001]).await.problem(413, "body_too_large");
    assert!(problem["detail"].as_str().expect("a text").contains("1000 bytes"), "{problem}");
    put(&server, &at("0"), "text/plain", vec![b'x'; 1000]).await.ok();
    put(&server, &at("0"), "text/plain", vec![b'x'; 2000]).await.problem(413, "body_too_large");
    assert_eq!(server.get(&at("0")).await.body.len(), 1000, "what there was stays");
    until("what is refused leaves no file", || files(&server).len() == 1).await;
    for number in 1..100 {
        put(&server, &at(&number.to_string()), "text/plain", "x").await.ok();
    }
    let problem = put(&server, &at("100"), "text/plain", "x").await.problem(400, "invalid_request");
    assert_eq!(
        (&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]),
        (&json!("/name"), &json!("too_many"))
    );
    put(&server, &at("99"), "text/plain", "y").await.ok();
    server.delete(&at("99")).await.ok();
    put(&server, &at("100"), "text/plain", "x").await.ok();

    let coded = [("content-encoding", "gzip")];
    server.send(Method::PUT, &at("z"), &coded, "x").await.problem(415, "unsupported_media_type");
    let coded = [("content-type", &*"x".repeat(256))];
    server.send(Method::PUT, &at("0"), &coded, "x").await.problem(415, "unsupported_media_type");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_breaks_off_leaves_nothing() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    put(&server, &format!("/jobs/{job}/attachments/kept"), "text/plain", "kept").await.ok();
    // The client goes away.
    let upload = begin(&server, &job, "left");
    until("it is being written", || files(&server).len() == 2).await;
    drop(upload);
    until("it is removed", || files(&server).len() == 1).await;
    // The server is killed; nothing tells the next one but the file.
    let _upload = begin(&server, &job, "killed");
    until("it is being written", || files(&server).len() == 2).await;
    server.kill();
    assert_eq!(files(&server).len(), 2);
    server.restart().await;
    assert_eq!(listed(&server, &job).await, ["kept"]);
    server.get(&format!("/jobs/{job}/attachments/killed")).await.problem(404, "not_found");
    until("what was left is swept", || files(&server).len() == 1).await;
    assert_eq!(server.get(&format!("/jobs/{job}/attachments/kept")).await.text(), "kept");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_attaches_with_its_own_token_while_it_runs() {
    let server = Server::start().await;
    let operator = server.key("acme", "operator");
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let script = format!(
        "printf '{{\"records\":2}}' | {BINARY} call putAttachment jobId=$DOCKET_JOB_ID 'name=a summary' \
         --file - --media-type application/json || exit 1; \
         {BINARY} call readAttachment jobId=$DOCKET_JOB_ID 'name=a summary'; echo; \
         printf '%s' $DOCKET_TOKEN | {BINARY} call putAttachment jobId=$DOCKET_JOB_ID name=token --file -"
    );
    let body = json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script]});
    let job = server.send(Method::POST, "/jobs", &headers, body.to_string()).await.ok();
    let job = job["id"].as_str().expect("an id").to_owned();
    let get = async |path: &str| server.send(Method::GET, path, &headers, Bytes::new()).await;
    let begin = Instant::now();
    let ended = loop {
        let found = get(&format!("/jobs/{job}")).await.ok();
        if found.get("finishedAt").is_some() {
            break found;
        }
        assert!(begin.elapsed() < PATIENCE, "{found}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    let log = get(&format!("/jobs/{job}/log")).await.text();
    assert_eq!(ended["status"], "FINISHED", "{log}");
    assert!(log.contains("{\"records\":2}\n"), "{log}");
    let names: Vec<_> =
        ended["attachments"].as_array().expect("attachments").iter().map(|a| a["name"].clone()).collect();
    assert_eq!(names, ["a summary", "token"]);
    assert_eq!(ended["attachments"][0]["contentType"], "application/json");
    // The token's time is over; people go on.
    let token = get(&format!("/jobs/{job}/attachments/token")).await.text();
    let path = format!("/jobs/{job}/attachments/late");
    let late = server.send(Method::PUT, &path, &[("x-api-key", token.as_str())], "x").await;
    late.problem(409, "job_ended");
    let gone = server.send(Method::DELETE, &path, &[("x-api-key", token.as_str())], Bytes::new()).await;
    gone.problem(409, "job_ended");
    server.send(Method::PUT, &path, &headers, "x").await.ok();
}
