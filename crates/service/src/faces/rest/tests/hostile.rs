//! Input that is meant to hurt: each is a problem of the 4xx kind that names what is wrong, never a 500.

use super::*;
use docket_contract::Code;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt;
use std::io::Write;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("memory");
    encoder.finish().expect("memory")
}

fn gzipped(body: Vec<u8>) -> Request<Body> {
    request_with("POST", &results_path(), &[("content-encoding", "gzip")], body)
}

#[tokio::test]
async fn bad_bodies_name_the_field() {
    let server = Server::start().await;
    let deep = |depth: usize| format!(r#"{{"dockerImageUrl": {}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let label = r#"{"dockerImageUrl": "a", "labels": [{"name": "a"}, {"value": "b"}]}"#;
    let cases: &[(&str, &[u8], Code, &str, &str)] = &[
        ("/jobs", b"{", Code::MalformedBody, "", ""),
        ("/jobs", b"[]", Code::MalformedBody, "", ""),
        ("/jobs", b"null", Code::MalformedBody, "", ""),
        ("/jobs", b"{} x", Code::MalformedBody, "", ""),
        ("/jobs", b"{\"name\": \"\xff\"}", Code::MalformedBody, "", ""),
        ("/jobs", br#"{"name": "\ud800"}"#, Code::MalformedBody, "/name", "invalid_characters"),
        (
            "/jobs",
            br#"{"dockerImageUrl": "a", "tags": ["x", "\ud800\u0041"]}"#,
            Code::MalformedBody,
            "/tags/1",
            "invalid_characters",
        ),
        ("/jobs", b"{\"name\": \"a\nb\"}", Code::MalformedBody, "/name", "invalid_characters"),
        ("/jobs", br#"{"name": tru}"#, Code::MalformedBody, "/name", "invalid_format"),
        ("/jobs", b"{}", Code::InvalidRequest, "/dockerImageUrl", "required"),
        ("/jobs", br#"{"dockerImageUrl": 1}"#, Code::InvalidRequest, "/dockerImageUrl", "wrong_type"),
        ("/jobs", br#"{"dockerImageUrl": "a", "priority": "ten"}"#, Code::InvalidRequest, "/priority", "wrong_type"),
        ("/jobs", br#"{"dockerImageUrl": "a", "priority": 1e99}"#, Code::InvalidRequest, "/priority", "out_of_range"),
        (
            "/jobs",
            br#"{"dockerImageUrl": "a", "priority": 99999999999}"#,
            Code::InvalidRequest,
            "/priority",
            "out_of_range",
        ),
        ("/jobs", br#"{"dockerImageUrl": "a", "commands": "x"}"#, Code::InvalidRequest, "/commands", "wrong_type"),
        ("/jobs", br#"{"dockerImageUrl": "a", "executor": "vm"}"#, Code::InvalidRequest, "/executor", "unknown_value"),
        (
            "/jobs",
            br#"{"dockerImageUrl": "a", "dockerImageUrl": "b"}"#,
            Code::InvalidRequest,
            "/dockerImageUrl",
            "too_many",
        ),
        ("/jobs", br#"{"dockerImageUrl": "a", "startAt": "now"}"#, Code::InvalidRequest, "/startAt", "invalid_format"),
        ("/jobs", label.as_bytes(), Code::InvalidRequest, "/labels/1/name", "required"),
        ("/results", br#"{"results": {}}"#, Code::InvalidRequest, "/results", "wrong_type"),
        ("/results", br#"{"results": [{"externalId": "a"]}"#, Code::MalformedBody, "/results/0", "invalid_format"),
        (
            "/results",
            br#"{"results": [], "featuresOn": ["X"]}"#,
            Code::InvalidRequest,
            "/featuresOn/0",
            "unknown_value",
        ),
    ];
    for (path, body, code, pointer, reason) in cases {
        let path = if *path == "/results" { results_path() } else { (*path).to_owned() };
        let answer = server.post(&path, Body::from(body.to_vec())).await;
        let problem = answer.problem();
        let shown = String::from_utf8_lossy(body);
        assert_eq!(problem.code, *code, "{shown}: {problem:?}");
        let found = problem.errors.first().map_or(("", ""), |e| (e.pointer.as_str(), e.code.as_str()));
        assert_eq!(found, (*pointer, *reason), "{shown}: {problem:?}");
        assert!(*code == Code::MalformedBody || !problem.detail.contains("line "), "{shown}: {problem:?}");
    }
    for depth in [100, 200, 100_000] {
        let answer = server.post("/jobs", deep(depth)).await;
        assert_eq!(answer.status, 400, "{depth}");
    }
    // An unknown member may nest as it likes: it is skipped without recursion.
    let unknown = format!(r#"{{"dockerImageUrl": "a", "x": {}{}}}"#, "[".repeat(100_000), "]".repeat(100_000));
    let answer = server.post("/jobs", unknown).await;
    assert!(answer.status == 200 || answer.problem().code == Code::MalformedBody);
    server.stop().await;
}

#[tokio::test]
async fn long_texts_of_the_client_are_cut_in_the_answer() {
    let server = Server::start().await;
    let answer = server.post("/jobs", format!(r#"{{"executor": "{}"}}"#, "ü".repeat(100_000))).await;
    assert_eq!(answer.pointers(), ["/executor"]);
    assert!(answer.body.len() < 4000, "{}", answer.body.len());
    server.stop().await;
}

#[tokio::test]
async fn a_thousand_and_one_results_are_refused() {
    let server = Server::start().await;
    let body = |count: usize| {
        let results: Vec<_> = (0..count).map(|n| format!(r#"{{"externalId": "{n}"}}"#)).collect();
        format!(r#"{{"results": [{}]}}"#, results.join(","))
    };
    assert_eq!(server.post(&results_path(), body(1000)).await.json()["created"], 1000);
    let answer = server.post(&results_path(), body(1001)).await;
    assert_eq!(answer.pointers(), ["/results"]);
    assert!(answer.problem().detail.contains("1000"), "{answer:?}");
    server.stop().await;
}

#[tokio::test]
async fn bad_parameters_name_themselves() {
    let server = Server::start().await;
    for (query, pointer, code) in [
        ("limit=0", "/limit", "out_of_range"),
        ("limit=1.5", "/limit", "wrong_type"),
        ("limit=99999999999", "/limit", "wrong_type"),
        ("limit=1&limit=2", "/limit", "too_many"),
        ("limit[]=1&user=%GG", "/user", "invalid_format"),
        ("user=%FF%FE", "/user", "invalid_format"),
        ("jobStatus=RUNNING,GONE", "/jobStatus/1", "unknown_value"),
        ("sort=name", "/sort", "unknown_value"),
        ("user=a%00b", "/user", "invalid_characters"),
    ] {
        let answer = server.get(&format!("/jobs?{query}")).await;
        let problem = answer.problem();
        let found = problem.errors.first().map_or(("", ""), |e| (e.pointer.as_str(), e.code.as_str()));
        assert_eq!(found, (pointer, code), "{query}: {problem:?}");
    }
    let answer = server.get(&format!("/jobs/{JOB}/results")).await;
    assert_eq!(answer.pointers(), ["/storageId"]);
    let answer = server.send(request("DELETE", "/jobs/results/%ff", Body::empty())).await;
    assert_eq!(answer.pointers(), ["/storageId"]);
    server.stop().await;
}

#[tokio::test]
async fn bodies_over_the_limit_are_refused_before_and_while_reading() {
    let server = Server::start().await;
    let hundred = vec![b' '; 100 << 20];
    let answer = server.post(&results_path(), hundred).await;
    assert_eq!(answer.problem().code, Code::BodyTooLarge);

    // Of unknown length.
    let chunk = Bytes::from(vec![b' '; 1 << 20]);
    let stream = futures_util::stream::repeat(chunk).take(100).map(Ok::<_, std::io::Error>);
    let answer = server.post(&results_path(), Body::from_stream(stream)).await;
    assert_eq!(answer.problem().code, Code::BodyTooLarge);
    server.stop().await;
}

#[tokio::test]
async fn a_refused_body_that_was_announced_is_never_asked_for() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let sent = format!(
        "POST {} HTTP/1.1\r\nhost: a\r\nx-api-key: worker\r\ncontent-length: 104857600\r\nexpect: 100-continue\r\n\r\n",
        results_path()
    );
    stream.write_all(sent.as_bytes()).await.expect("open");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.expect("closed after the answer");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    server.stop().await;
}

#[tokio::test]
async fn gzip_is_read_and_bombs_stop_at_the_limit() {
    let server = Server::with_bodies(BodyLimits { max_bytes: 1 << 20, ..BodyLimits::default() }).await;
    let body = br#"{"results": [{"externalId": "a"}]}"#;
    assert_eq!(server.send(gzipped(gzip(body))).await.json()["created"], 1);

    let bomb = gzip(&vec![b' '; 64 << 20]);
    assert!(bomb.len() < 1 << 20);
    assert_eq!(server.send(gzipped(bomb)).await.problem().code, Code::BodyTooLarge);

    let whole = gzip(body);
    for broken in [b"not gzip".to_vec(), whole[..whole.len() - 4].to_vec(), whole[..12].to_vec()] {
        assert_eq!(server.send(gzipped(broken)).await.problem().code, Code::MalformedBody);
    }
    server.stop().await;
}

#[tokio::test]
async fn only_json_is_read() {
    let server = Server::start().await;
    let body = r#"{"results": []}"#;
    for (name, value, status) in [
        ("content-type", "application/json", 200),
        ("content-type", "Application/JSON; charset=\"UTF-8\"", 200),
        ("content-type", "application/vnd.docket+json", 200),
        ("content-type", "text/plain", 415),
        ("content-type", "application/x-www-form-urlencoded", 415),
        ("content-type", "application/json; charset=latin1", 415),
        ("content-type", "multipart/form-data; boundary=x", 415),
        ("content-encoding", "identity", 200),
        ("content-encoding", "br", 415),
        ("content-encoding", "gzip, gzip", 415),
    ] {
        let answer = server.send(request_with("POST", &results_path(), &[(name, value)], body)).await;
        assert_eq!(answer.status, status, "{value}: {answer:?}");
    }
    server.stop().await;
}

#[tokio::test]
async fn bodies_that_do_not_come_time_out() {
    let limits = BodyLimits { read_timeout: Duration::from_millis(50), ..BodyLimits::default() };
    let server = Server::with_bodies(limits).await;
    let stream = futures_util::stream::pending::<Result<Bytes, std::io::Error>>();
    let answer = server.post(&results_path(), Body::from_stream(stream)).await;
    assert_eq!(answer.problem().code, Code::RequestTimeout);
    server.stop().await;
}

#[tokio::test]
async fn bodies_share_a_bounded_memory() {
    let limits = BodyLimits {
        max_bytes: 64 << 10,
        max_bytes_in_memory: 64 << 10,
        memory_wait: Duration::from_millis(50),
        ..BodyLimits::default()
    };
    let server = Server::with_bodies(limits).await;
    let start = |name: &str, fill: usize| {
        request("POST", "/jobs", format!(r#"{{"dockerImageUrl": "a", "name": "{name}"{}}}"#, " ".repeat(fill)))
    };
    let first = server.send(start("wait", 60 << 10));
    let rest = async {
        server.fake.waiting.notified().await;
        let refused = server.send(start("x", 60 << 10)).await;
        assert_eq!(refused.problem().code, Code::Overloaded);
        assert_eq!(refused.header("retry-after"), "1");
        assert_eq!(server.send(start("x", 1 << 10)).await.status, 200, "a small one still fits");
        server.fake.go_on.notify_one();
    };
    let (first, ()) = tokio::join!(first, rest);
    assert_eq!(first.status, 200);
    assert_eq!(server.send(start("x", 60 << 10)).await.status, 200, "the memory came back");
    server.stop().await;
}

#[tokio::test]
async fn slow_heads_and_idle_connections_are_closed() {
    let options = ServerOptions {
        header_timeout: Duration::from_millis(50),
        idle_timeout: Duration::from_millis(100),
        ..ServerOptions::default()
    };
    let server = Server::with(RestOptions::default(), options).await;
    for sent in ["", "GET /healthz HT", "GET /healthz HTTP/1.1\r\nhost: a\r\n"] {
        let mut stream = server.connect().await;
        stream.write_all(sent.as_bytes()).await.expect("open");
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "{sent}");
    }
    server.stop().await;
}

#[tokio::test]
async fn heads_are_bounded_and_garbage_is_refused() {
    let server = Server::start().await;
    // hyper looks at the bound only when a read was not enough, and a read takes up to as much again.
    let long = format!("GET /healthz HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "x".repeat(600 << 10));
    let many = format!("GET /healthz HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(200));
    let path = format!("GET /{} HTTP/1.1\r\nhost: a\r\n\r\n", "x".repeat(70_000));
    for (sent, code) in [
        (long.as_str(), Code::HeadersTooLarge),
        (&many, Code::HeadersTooLarge),
        (&path, Code::UriTooLong),
        ("\0\0\0\0\r\n\r\n", Code::MalformedRequest),
        ("GET / HTTP/1.1\r\ncontent-length: x\r\n\r\n", Code::MalformedRequest),
        ("GET / HTTP/1.1\r\nno colon\r\n\r\n", Code::MalformedRequest),
        ("HELLO\r\n\r\n", Code::MalformedRequest),
    ] {
        // First thing on a connection, and behind an answer.
        for before in ["", "GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n"] {
            let mut stream = server.connect().await;
            stream.write_all(before.as_bytes()).await.expect("open");
            if !before.is_empty() {
                let mut answer = Vec::new();
                while !answer.ends_with(br#"{"status":"ok"}"#) {
                    assert!(stream.read_buf(&mut answer).await.expect("an answer") > 0);
                }
            }
            stream.write_all(sent.as_bytes()).await.expect("open");
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await.expect("whole: the client is given time to read");
            let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
            assert!(head.starts_with(&format!("HTTP/1.1 {} ", code.status())), "{sent:.40}: {head:.400}");
            assert!(head.contains("\r\nx-request-id: ") && head.contains("\r\ndate: "), "{head}");
            assert!(head.contains(&format!("\r\ncontent-length: {}", body.len())), "{head}");
            assert!(head.contains("\r\ncontent-type: application/problem+json"), "{head}");
            let problem: Problem = serde_json::from_str(body).expect("a problem");
            assert_eq!((problem.code, problem.status), (code, code.status()), "{sent:.40}");
        }
    }
    let both = "POST / HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut stream = server.connect().await;
    stream.write_all(both.as_bytes()).await.expect("open");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).await.expect("an answer");
    assert!([b"400", b"404"].contains(&answer[9..].try_into().expect("three")), "two lengths");
    server.stop().await;
}

#[tokio::test]
async fn bad_chunks_are_a_problem() {
    let server = Server::start().await;
    for chunks in ["zz\r\n{}\r\n0\r\n\r\n", "2\r\n{}XX0\r\n\r\n", "ffffffffffffffffff\r\n{}"] {
        let mut stream = server.connect().await;
        let head = "POST /jobs HTTP/1.1\r\nhost: a\r\nx-api-key: operator\r\nx-request-id: mine\r\ntransfer-encoding: chunked\r\n\r\n";
        stream.write_all(format!("{head}{chunks}").as_bytes()).await.expect("open");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("whole");
        assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("x-request-id: mine"), "{answer}");
        assert!(answer.contains(r#""code":"malformed_body""#), "{answer}");
    }
    server.stop().await;
}

/// What a job writes into its log can't pass for a refusal, wherever it stands in an answer.
#[tokio::test]
async fn an_answer_that_looks_like_a_refusal_is_an_answer() {
    let server = Server::start().await;
    let path = format!("/jobs/{JOB}/log?tail={}", fake::LOOKS_LIKE_A_REFUSAL);
    let io = TokioIo::new(server.connect().await);
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("handshake");
    let driver = tokio::spawn(connection);
    for _ in 0..3 {
        let headers = [("host", "localhost"), ("x-api-key", "operator")];
        let ask = request_with("GET", &path, &headers, Body::empty());
        sender.ready().await.expect("the connection goes on");
        let answer = sender.send_request(ask).await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let body = answer.into_body().collect().await.expect("whole").to_bytes();
        assert_eq!(body, [fake::REFUSAL, fake::REFUSAL].concat());
    }
    driver.abort();
    server.stop().await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let server = Server::start().await;
    let mut stream = server.connect().await;
    let body = r#"{"progress": 7}"#;
    let sent = format!(
        "GET /healthz HTTP/1.1\r\nhost: a\r\nx-request-id: 1\r\n\r\n\
         PUT /jobs/{JOB} HTTP/1.1\r\nhost: a\r\nx-api-key: worker\r\nx-request-id: 2\r\ncontent-length: {}\r\n\r\n{body}\
         GET /jobs HTTP/1.1\r\nhost: a\r\nx-request-id: 3\r\nconnection: close\r\n\r\n",
        body.len()
    );
    stream.write_all(sent.as_bytes()).await.expect("open");
    let mut answers = String::new();
    stream.read_to_string(&mut answers).await.expect("whole");
    let places: Vec<_> = ["1", "2", "3"].map(|id| answers.find(&format!("x-request-id: {id}"))).into();
    assert!(places.iter().all(Option::is_some) && places.is_sorted(), "{answers}");
    let statuses: Vec<_> = answers.match_indices("HTTP/1.1 ").map(|(at, _)| &answers[at + 9..at + 12]).collect();
    assert_eq!(statuses, ["200", "200", "401"]);
    server.stop().await;
}

#[tokio::test]
async fn stopping_finishes_what_is_in_flight_and_refuses_the_rest() {
    let mut server = Server::start().await;
    let idle = server.connect().await;
    let (address, fake) = (server.address, Arc::clone(&server.fake));
    let stop = server.stop.take().expect("not stopped yet");
    let body = r#"{"dockerImageUrl": "a", "name": "wait"}"#;
    let first = server.post("/jobs", body);
    let rest = async {
        fake.waiting.notified().await;
        stop.send(()).expect("the server runs");
        // The listener closes first; then nobody is let in any more.
        while TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
        fake.go_on.notify_one();
    };
    let (first, ()) = tokio::join!(first, rest);
    assert_eq!(first.status, 200);
    drop(idle);
    server.task.await.expect("no panic").expect("no error");
}

#[tokio::test]
async fn connections_over_the_bound_wait() {
    let options = ServerOptions { max_connections: 1, ..ServerOptions::default() };
    let server = Server::with(RestOptions::default(), options).await;
    let mut first = server.connect().await;
    let ask = b"GET /healthz HTTP/1.1\r\nhost: a\r\n\r\n";
    first.write_all(ask).await.expect("open");
    let mut answer = [0; 12];
    first.read_exact(&mut answer).await.expect("an answer");
    let mut second = server.connect().await;
    second.write_all(ask).await.expect("the kernel takes it");
    drop(first);
    second.read_exact(&mut answer).await.expect("its turn comes");
    assert_eq!(&answer, b"HTTP/1.1 200");
    drop(second);
    server.stop().await;
}
