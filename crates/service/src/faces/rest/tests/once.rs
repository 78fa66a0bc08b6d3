//! `Idempotency-Key`, through the real listener.

use super::*;
use docket_contract::Code;
use std::sync::atomic::Ordering;

fn start(key: &str, name: &str) -> Request<Body> {
    let body = format!(r#"{{"dockerImageUrl": "a", "name": "{name}"}}"#);
    request_with("POST", "/jobs", &[("idempotency-key", key)], body)
}

#[tokio::test]
async fn the_first_answer_is_given_again() {
    let server = Server::start().await;
    let first = server.send(start("k", "x")).await;
    assert_eq!((first.status.as_u16(), first.header("idempotency-replayed")), (200, ""));
    let mut again = start("k", "x");
    *again.uri_mut() = "/v2/jobs".parse().expect("a path");
    let again = server.send(again).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    assert_eq!(again.header("content-type"), "application/json");
    assert_eq!((again.status, again.body), (first.status, first.body));
    assert_eq!(server.fake.starts.load(Ordering::SeqCst), 1);

    assert_eq!(server.send(start("k", "y")).await.problem().code, Code::IdempotencyKeyReused);
    let mut other = start("k", "x");
    other.headers_mut().insert("x-api-key", "other".parse().expect("a value"));
    assert_eq!(server.send(other).await.header("idempotency-replayed"), "", "another organization's key is another");
    server.stop().await;
}

#[tokio::test]
async fn a_refusal_is_an_answer_but_a_failure_is_not() {
    let server = Server::start().await;
    let refused = || request_with("POST", "/jobs", &[("idempotency-key", "r")], "{}");
    let first = server.send(refused()).await;
    let again = server.send(refused()).await;
    assert_eq!(first.problem().code, Code::InvalidRequest);
    assert_eq!((again.header("idempotency-replayed"), &again.body), ("true", &first.body));

    for name in ["full", "panic"] {
        assert!(server.send(start(name, name)).await.status.is_server_error());
        let again = server.send(start(name, name)).await;
        assert_eq!(again.header("idempotency-replayed"), "");
        assert!(again.status.is_server_error());
    }
    assert_eq!(server.control.remembered(), (1, 0));
    server.stop().await;
}

#[tokio::test]
async fn in_flight_is_a_conflict_and_survives_a_client_that_hangs_up() {
    let server = Server::start().await;
    let (mut sender, connection) =
        hyper::client::conn::http1::handshake::<_, Body>(TokioIo::new(server.connect().await)).await.expect("open");
    let driver = tokio::spawn(connection);
    let mut first = start("w", "wait");
    first.headers_mut().insert("x-api-key", "operator".parse().expect("a value"));
    first.headers_mut().insert("host", "localhost".parse().expect("a value"));
    let first = tokio::spawn(async move { sender.send_request(first).await.is_ok() });
    server.fake.waiting.notified().await;

    let second = server.send(start("w", "wait")).await;
    assert_eq!(second.problem().code, Code::IdempotencyInFlight);
    assert_eq!(second.header("retry-after"), "1");

    driver.abort();
    first.abort();
    let _ = first.await;
    server.fake.go_on.notify_one();
    server.control.ended.notified().await;
    assert_eq!(server.control.remembered(), (1, 0));
    let third = server.send(start("w", "wait")).await;
    assert_eq!((third.status.as_u16(), third.header("idempotency-replayed")), (200, "true"));
    server.stop().await;
}

#[tokio::test]
async fn the_key_itself_is_checked() {
    let server = Server::start().await;
    for key in ["", "a b", &"x".repeat(256)] {
        let answer = server.send(start(key, "x")).await;
        assert_eq!(answer.pointers(), ["/Idempotency-Key"], "{key}");
    }
    assert_eq!(server.fake.starts.load(Ordering::SeqCst), 0);
    // Only POST looks at it.
    let put = request_with("PUT", &format!("/jobs/{JOB}"), &[("idempotency-key", "a b")], r#"{"progress": 1}"#);
    assert_eq!(server.send(put).await.status, 200);
    server.stop().await;
}
