//! The conventions of api.md section 1, through the real listener.

use super::*;
use docket_contract::Code;
use docket_contract::operations::{Operation, Visitor, walk};

#[tokio::test]
async fn every_row_is_mounted_twice() {
    const ADMIN: [(&str, &str); 1] = [("x-api-key", "admin")];
    #[derive(Default)]
    struct Rows(Vec<(&'static str, String)>);
    impl Visitor for Rows {
        fn visit<O: Operation>(&mut self) {
            self.0.push((O::METHOD.name(), O::PATH.replace("{jobId}", JOB).replace("{storageId}", "s")));
        }
    }
    let server = Server::start().await;
    let mut rows = Rows::default();
    walk(&mut rows);
    for (method, path) in rows.0 {
        let (plain, prefixed) = (
            server.send(request_with(method, &path, &ADMIN, Body::empty())).await,
            server.send(request_with(method, &format!("/v2{path}"), &ADMIN, Body::empty())).await,
        );
        assert!([200, 400].contains(&plain.status.as_u16()), "{method} {path}: {plain:?}");
        assert_eq!((plain.status, plain.body), (prefixed.status, prefixed.body), "{method} {path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn parameters_reach_the_input() {
    let server = Server::start().await;
    let path = format!(
        "/v2/jobs/{JOB}/results?storageId=a+b%2Fc&limit=%22&limit=1" // limit twice
    );
    let answer = server.get(&path).await;
    assert_eq!(answer.pointers(), ["/limit"]);
    assert_eq!(answer.problem().errors[0].code, "too_many");

    let query = "storageId=a+b%2Fc&limit=100&businessPartnerId=1,2&businessPartnerId=3&externalId=x,y\
        &featuresOn=USE_NEXT_START_AFTER&startAfter=&jobResultStatus=FAILED&typo=1";
    let answer = server.get(&format!("/jobs/{JOB}/results?{query}")).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    assert_eq!(answer.header("docket-ignored-fields"), "typo");
    let expected = serde_json::json!({
        "jobId": JOB, "storageId": "a b/c", "limit": 100, "businessPartnerId": ["1", "2", "3"],
        "externalId": ["x,y", "x", "y"], "featuresOn": ["USE_NEXT_START_AFTER"], "jobResultStatus": "FAILED",
    });
    assert_eq!(server.fake.seen(), expected);
    server.stop().await;
}

#[tokio::test]
async fn a_body_cannot_override_a_parameter() {
    let server = Server::start().await;
    let body = r#"{"jobId": "x", "results": [{"externalId": "a", "typo": 1}], "storageId": "t", "more": {}}"#;
    let answer = server.post(&results_path(), body).await;
    assert_eq!(answer.json()["created"], 1);
    assert_eq!(answer.header("docket-ignored-fields"), "jobId, storageId, more, results.typo");
    assert_eq!(server.fake.seen()["storageId"], "s");

    let body = r#"{"dockerImageUrl": "a", "type\u0020": 1, "größe,": 2, "labels": [{"name": "n", "x": 1}]}"#;
    let answer = server.post("/jobs?dockerImageUrl=b", body).await;
    assert_eq!(answer.header("docket-ignored-fields"), "dockerImageUrl, type?, gr??e?, labels.0.x");
    server.stop().await;
}

#[tokio::test]
async fn empty_bodies_are_empty_objects() {
    let server = Server::start().await;
    assert_eq!(server.post(&format!("/jobs/{JOB}/cancel"), "").await.status, 200);
    assert_eq!(server.post(&format!("/jobs/{JOB}/cancel"), "  \n").await.status, 200);
    let answer = server.post(&results_path(), "").await;
    assert_eq!(answer.problem().code, Code::InvalidRequest);
    assert_eq!(answer.pointers(), ["/results"]);
    server.stop().await;
}

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let server = Server::start().await;
    for path in ["/", "/nope", "//jobs", "/v2", "/v1/jobs", "/jobs//results?storageId=s"] {
        assert_eq!(server.get(path).await.problem().code, Code::NotFound, "{path}");
    }
    let answer = server.send(request("PATCH", "/jobs", Body::empty())).await;
    assert_eq!(answer.problem().code, Code::MethodNotAllowed);
    assert_eq!(answer.header("allow"), "POST, GET, HEAD, OPTIONS");
    let answer = server.send(request("DELETE", "/healthz", Body::empty())).await;
    assert_eq!(answer.problem().code, Code::MethodNotAllowed);
    assert_eq!(answer.header("allow"), "GET, HEAD");
    let answer = server.send(request("OPTIONS", "/v2/jobs", Body::empty())).await;
    assert_eq!((answer.status.as_u16(), answer.header("allow")), (204, "POST, GET, HEAD, OPTIONS"));
    server.stop().await;
}

#[tokio::test]
async fn head_is_get_without_the_body() {
    let server = Server::start().await;
    for path in [format!("/jobs/{JOB}"), results_path(), "/healthz".to_owned(), "/jobs/nope".to_owned()] {
        let get = server.get(&path).await;
        let head = server.send(request("HEAD", &path, Body::empty())).await;
        assert_eq!(get.status, head.status, "{path}");
        assert!(head.body.is_empty() && !get.body.is_empty(), "{path}");
        assert_eq!(head.header("content-length"), get.body.len().to_string(), "{path}");
    }
    server.stop().await;
}

#[tokio::test]
async fn keys_are_taken_from_both_headers() {
    let server = Server::start().await;
    let ask = |headers: &[(&str, &str)]| server.send_as_is(request_with("GET", "/jobs", headers, Body::empty()));
    for headers in [
        &[][..],
        &[("x-api-key", "wrong")],
        &[("authorization", "Bearer wrong")],
        &[("authorization", "Basic reader")],
        &[("x-api-key", "")],
    ] {
        let answer = ask(headers).await;
        assert_eq!(answer.problem().code, Code::Unauthenticated, "{headers:?}");
        assert!(answer.header("www-authenticate").starts_with("Bearer"));
    }
    assert_eq!(ask(&[("x-api-key", "reader")]).await.status, 200);
    assert_eq!(ask(&[("authorization", "bearer reader")]).await.status, 200);
    let other = ask(&[("x-api-key", "other"), ("authorization", "Bearer reader")]).await;
    assert_eq!(other.json()["startAfter"], "other");
    server.stop().await;
}

#[tokio::test]
async fn roles_come_before_bodies() {
    let server = Server::start().await;
    let send = |method: &'static str, path: &str, key: &'static str| {
        server.send(request_with(method, path, &[("x-api-key", key), ("content-type", "text/csv")], "not JSON"))
    };
    assert_eq!(send("POST", "/jobs", "worker").await.problem().code, Code::Forbidden);
    assert_eq!(send("POST", &results_path(), "reader").await.problem().code, Code::Forbidden);
    assert_eq!(send("POST", "/jobs", "job").await.problem().code, Code::Forbidden);
    assert_eq!(send("POST", &results_path(), "worker").await.problem().code, Code::UnsupportedMediaType);

    let job =
        |id: &str| server.send(request_with("GET", &format!("/jobs/{id}"), &[("x-api-key", "job")], Body::empty()));
    assert_eq!(job(JOB).await.status, 200);
    assert_eq!(job("0198c6a2-0000-7000-8000-000000000000").await.problem().code, Code::NotFound);
    server.stop().await;
}

#[tokio::test]
async fn unknown_ids_answer_alike_byte_for_byte() {
    let server = Server::start().await;
    let one = server.get("/jobs/0198c6a2-0000-7000-8000-000000000000").await;
    for path in ["/jobs/0198c6a2-0000-7000-8000-000000000001", "/v2/jobs/nonsense", "/jobs/%F0%9F%8D%8B"] {
        let two = server.get(path).await;
        assert_eq!(one.body, two.body, "{path}");
        let names = |answer: &Answer| answer.headers.keys().cloned().collect::<Vec<_>>();
        assert_eq!(names(&one), names(&two), "{path}");
    }
    assert_eq!(one.problem().instance, "/jobs/{jobId}");
    server.stop().await;
}

#[tokio::test]
async fn request_ids_are_taken_or_made() {
    let server = Server::start().await;
    for path in ["/jobs", "/nope", "/healthz", "/jobs?limit=x"] {
        let taken = server.send(request_with("GET", path, &[("x-request-id", "my-id~1")], Body::empty())).await;
        assert_eq!(taken.header("x-request-id"), "my-id~1", "{path}");
        for wrong in ["", "a b", &"x".repeat(129)] {
            let made = server.send(request_with("GET", path, &[("x-request-id", wrong)], Body::empty())).await;
            let id: uuid::Uuid = made.header("x-request-id").parse().expect("a UUID");
            assert_eq!(id.get_version_num(), 7);
        }
    }
    server.stop().await;
}

#[tokio::test]
async fn texts_are_sent_as_they_are_and_streams_with_their_length() {
    let server = Server::start().await;
    let log = server.get(&format!("/jobs/{JOB}/log")).await;
    assert_eq!(log.body, "a \"line\"\n");
    assert_eq!(log.header("content-type"), "text/plain; charset=utf-8");
    let page = server.get(&results_path()).await;
    assert_eq!(page.header("content-length"), page.body.len().to_string());
    assert_eq!(page.json()["total"], 67);
    server.stop().await;
}

#[tokio::test]
async fn answers_are_compressed_when_asked_for_and_large() {
    let server = Server::start().await;
    let ask = |path: &str, encoding: &'static str| {
        server.send(request_with("GET", path, &[("accept-encoding", encoding)], Body::empty()))
    };
    let plain = server.get("/openapi.json").await;
    assert_eq!(plain.header("content-encoding"), "");
    for encoding in ["gzip", "br"] {
        let large = ask("/openapi.json", encoding).await;
        assert_eq!(large.header("content-encoding"), encoding);
        assert!(large.body.len() < plain.body.len() / 5);
        assert_eq!(ask("/healthz", encoding).await.header("content-encoding"), "");
    }
    server.stop().await;
}

#[tokio::test]
async fn probes_need_no_key() {
    let server = Server::start().await;
    let ask = |path: &'static str| server.send_as_is(request("GET", path, Body::empty()));
    assert_eq!(ask("/healthz").await.body, r#"{"status":"ok"}"#);
    assert_eq!(ask("/readyz").await.json(), serde_json::json!({"status": "ready"}));
    *server.fake.not_ready.lock().expect("no panic") = Some("the disk is gone");
    let answer = ask("/readyz").await;
    assert_eq!(answer.status, 503);
    assert_eq!(answer.json()["reason"], "the disk is gone");
    assert_eq!(ask("/openapi.json").await.json()["openapi"], "3.1.0");
    server.stop().await;
}

#[tokio::test]
async fn a_panic_is_an_answer_and_the_connection_goes_on() {
    let server = Server::start().await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(server.connect().await)).await.expect("open");
    tokio::spawn(connection);
    let headers = [("x-api-key", "operator"), ("host", "localhost")];
    let body = r#"{"dockerImageUrl": "a", "name": "panic"}"#;
    let response = sender.send_request(request_with("POST", "/jobs", &headers, body)).await.expect("an answer");
    assert_eq!(response.status(), 500);
    let body = response.into_body().collect().await.expect("whole").to_bytes();
    assert_eq!(serde_json::from_slice::<Problem>(&body).expect("a problem").code, Code::Internal);
    let response = sender.send_request(request_with("GET", "/jobs", &headers, Body::empty())).await.expect("again");
    assert_eq!(response.status(), 200);
    drop(sender);
    server.stop().await;
}

#[tokio::test]
async fn retry_after_stands_where_it_helps() {
    let server = Server::start().await;
    let answer = server.post("/jobs", r#"{"dockerImageUrl": "a", "name": "full"}"#).await;
    assert_eq!((answer.status.as_u16(), answer.header("retry-after")), (507, "30"));
    server.stop().await;
}

/// Keeps the log in memory.
#[derive(Clone, Default)]
struct Log(Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn log_lines_carry_the_request() {
    let log = Log::default();
    let writer = log.clone();
    let subscriber = tracing_subscriber::fmt().json().with_writer(move || writer.clone()).finish();
    // For the whole process: what a thread without a subscriber sees first stays disabled for the others. The ids tell
    // the lines of this test from those of the tests beside it.
    tracing::subscriber::set_global_default(subscriber).expect("nobody else sets one");
    let server = Server::start().await;
    let send = |name: &str, id: &str| {
        let body = format!(r#"{{"dockerImageUrl": "a", "name": "{name}"}}"#);
        server.send(request_with("POST", "/v2/jobs", &[("x-request-id", id), ("idempotency-key", id)], body))
    };
    send("panic", "logged-1").await;
    send("fine", "logged-2").await;
    server.stop().await;

    let log = log.0.lock().expect("no panic").clone();
    let lines: Vec<serde_json::Value> =
        String::from_utf8(log).expect("UTF-8").lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let of = |id: &str| lines.iter().filter(|line| line["span"]["request_id"] == id).collect::<Vec<_>>();
    let failed = of("logged-1");
    assert_eq!(failed.len(), 2, "the panic, and the request: {lines:?}");
    for line in failed {
        let span = &line["span"];
        assert_eq!((&span["method"], &span["path"]), (&"POST".into(), &"/jobs".into()), "{line}");
        assert_eq!(span["organization"], "own", "{line}");
    }
    assert!(of("logged-2").is_empty(), "what goes well is for DEBUG");
}
