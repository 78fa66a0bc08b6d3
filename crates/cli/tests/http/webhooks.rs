//! Webhooks through the real server, with receivers of their own on loopback addresses.

mod regressions;

use crate::support::{BINARY, PATIENCE, Server};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use docket_service::webhooks::Secret;
use http::{HeaderMap, Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use rustls_pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;

/// Lets the server reach the receivers at 127.0.0.1 and nothing else here.
const ALLOW: &str = "127.0.0.1";

/// What a receiver was sent.
struct Told {
    path: String,
    headers: HeaderMap,
    body: Bytes,
}

impl Told {
    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("JSON")
    }

    fn header(&self, name: &str) -> &str {
        self.headers[name].to_str().expect("visible ASCII")
    }

    fn id(&self) -> &str {
        self.header("webhook-id")
    }
}

/// What a receiver does.
enum Answer {
    Status(u16),
    Redirect(u16, String),
    Never,
}

struct Receiver {
    address: SocketAddr,
    told: mpsc::UnboundedReceiver<Told>,
}

impl Receiver {
    /// One that answers the n-th request as `answer` says.
    async fn on(ip: &str, answer: impl Fn(usize) -> Answer + Send + Sync + 'static) -> Self {
        Self::listen(ip, None, answer).await
    }

    async fn listen(
        ip: &str,
        tls: Option<TlsAcceptor>,
        answer: impl Fn(usize) -> Answer + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind((ip, 0)).await.expect("bound");
        let address = listener.local_addr().expect("an address");
        let (send, told) = mpsc::unbounded_channel();
        let answer = Arc::new(answer);
        let count = Arc::new(AtomicUsize::new(0));
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let (send, answer, count, tls) = (send.clone(), answer.clone(), count.clone(), tls.clone());
                tokio::spawn(async move {
                    match tls {
                        None => serve(stream, send, &*answer, &count).await,
                        Some(tls) => {
                            let Ok(stream) = tls.accept(stream).await else { return };
                            serve(stream, send, &*answer, &count).await;
                        }
                    }
                });
            }
        });
        Self { address, told }
    }

    async fn start() -> Self {
        Self::on("127.0.0.1", |_| Answer::Status(204)).await
    }

    fn url(&self) -> String {
        format!("http://{}/hook?token=s3cret", self.address)
    }

    async fn next(&mut self) -> Told {
        tokio::time::timeout(PATIENCE, self.told.recv()).await.expect("in time").expect("a receiver")
    }
}

async fn serve<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    send: mpsc::UnboundedSender<Told>,
    answer: &(impl Fn(usize) -> Answer + Send + Sync),
    count: &AtomicUsize,
) {
    let service = service_fn(|request: Request<Incoming>| {
        let send = send.clone();
        async move {
            let (head, body) = request.into_parts();
            let body = body.collect().await.expect("a body").to_bytes();
            assert_eq!(head.method, Method::POST);
            let number = count.fetch_add(1, Ordering::SeqCst);
            let path = head.uri.to_string();
            let _ = send.send(Told { path, headers: head.headers, body });
            let response = Response::builder();
            let response = match answer(number) {
                Answer::Status(status) => response.status(status),
                Answer::Redirect(status, location) => response.status(status).header("location", location),
                Answer::Never => std::future::pending().await,
            };
            Ok::<_, std::convert::Infallible>(response.body(Full::new(Bytes::from("thanks"))).expect("a response"))
        }
    });
    let _ = http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
}

/// A server whose jobs don't run: they are told of when they are canceled.
async fn server(flags: &[&str]) -> Server {
    Server::with(&[&["--slots", "0", "--webhook-allow", ALLOW], flags].concat()).await
}

/// Starts a job with these webhooks and cancels it.
async fn canceled(server: &Server, urls: &[&str]) -> String {
    let hooks: Vec<_> = urls.iter().map(|url| json!({"url": url})).collect();
    let job = server.start_job(json!({"dockerImageUrl": "host", "webhooks": hooks})).await;
    server.post(&format!("/jobs/{job}/cancel"), &json!({})).await.ok();
    job
}

/// What is listed of a job's webhooks, once it is as wanted.
async fn listed(server: &Server, job: &str, wanted: impl Fn(&[Value]) -> bool) -> Vec<Value> {
    let begin = Instant::now();
    loop {
        let list = server.get(&format!("/jobs/{job}/webhooks")).await.ok();
        let values = list["values"].as_array().expect("values").clone();
        if wanted(&values) {
            return values;
        }
        assert!(begin.elapsed() < PATIENCE, "{list}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn given_up(values: &[Value]) -> bool {
    values.iter().any(|value| value.get("nextAttemptAt").is_none())
}

fn secret(server: &Server, organization: &str) -> String {
    let shown = Command::new(BINARY)
        .args(["webhooks", "secret", "--organization", organization, "--data"])
        .arg(server.data())
        .output()
        .expect("docket webhooks");
    assert!(shown.status.success(), "{}", String::from_utf8_lossy(&shown.stderr));
    String::from_utf8(shown.stdout).expect("UTF-8").trim().to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_can_be_verified_and_holds_no_secret() {
    let mut receiver = Receiver::start().await;
    let server = Server::with(&["--webhook-allow", ALLOW]).await;
    let (operator, reader) = (server.key("acme", "operator"), server.key("acme", "reader"));
    let body = json!({
        "dockerImageUrl": "host", "commands": ["/bin/sh", "-c", "exit 3"], "name": "nightly", "type": "X_JOB",
        "environmentVariables": [{"name": "DB_PASSWORD", "value": "hidden"}],
        "webhooks": [{"url": receiver.url(), "events": ["SCHEDULED", "FAILED"]}],
    });
    let headers = [("x-api-key", operator.as_str()), ("content-type", "application/json")];
    let started = server.send(Method::POST, "/jobs", &headers, body.to_string()).await.ok();
    let job = started["id"].as_str().expect("an id");

    let (first, last) = (receiver.next().await, receiver.next().await);
    assert_eq!(
        (first.json()["type"].as_str(), last.json()["type"].as_str()),
        (Some("job.scheduled"), Some("job.failed"))
    );
    assert_ne!(first.id(), last.id());
    let told = last.json();
    assert_eq!((last.path.as_str(), last.header("content-type")), ("/hook?token=s3cret", "application/json"));
    assert_eq!(last.header("host"), receiver.address.to_string());
    let data = &told["data"];
    assert_eq!(
        data["job"],
        json!({"id": job, "name": "nightly", "type": "X_JOB", "status": "FAILED",
        "organizationId": "acme", "user": "operator"})
    );
    assert_eq!((&data["event"]["to"], &data["event"]["exitCode"]), (&json!("FAILED"), &json!(3)));
    assert_eq!(told["timestamp"], data["event"]["at"]);
    assert!(!last.body.windows(6).any(|part| part == b"hidden"));

    let secret = STANDARD.decode(secret(&server, "acme").strip_prefix("whsec_").expect("the prefix")).expect("Base64");
    assert_eq!(secret.len(), 32);
    for told in [&first, &last] {
        let seconds = told.header("webhook-timestamp").parse().expect("a number");
        let signature = Secret::new(secret.clone()).sign(told.id(), seconds, &told.body);
        assert_eq!(told.header("webhook-signature"), signature);
    }
    // The secret is the organization's own.
    assert_ne!(STANDARD.decode(&self::secret(&server, "other")[6..]).expect("Base64"), secret);

    for (key, shown) in [(&operator, receiver.url()), (&reader, format!("http://{}/***", receiver.address))] {
        let job = server.send(Method::GET, &format!("/jobs/{job}"), &[("x-api-key", key)], Bytes::new()).await.ok();
        assert_eq!(job["webhooks"][0]["url"], shown);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_delivery_is_repeated_under_the_same_id() {
    let mut receiver = Receiver::on("127.0.0.1", |number| Answer::Status(if number < 2 { 500 } else { 200 })).await;
    let server = server(&["--webhook-retries", "0.02,0.02,0.02"]).await;
    let job = canceled(&server, &[&receiver.url()]).await;
    let (first, second, third) = (receiver.next().await, receiver.next().await, receiver.next().await);
    assert_eq!([second.id(), third.id()], [first.id(); 2]);
    assert_eq!((&second.body, &third.body), (&first.body, &first.body));
    listed(&server, &job, <[Value]>::is_empty).await;
    // What was taken is not told again; what has no webhook is not told at all.
    server.start_job(json!({"dockerImageUrl": "host"})).await;
    let other = canceled(&server, &[&receiver.url()]).await;
    assert_eq!(receiver.next().await.json()["data"]["job"]["id"], other);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_given_up_after_the_last_attempt_or_when_the_receiver_is_gone() {
    let server = server(&["--webhook-retries", "0.02"]).await;
    let mut dead = Receiver::on("127.0.0.1", |_| Answer::Status(503)).await;
    let mut gone = Receiver::on("127.0.0.1", |_| Answer::Status(410)).await;
    let job = canceled(&server, &[&dead.url(), &gone.url()]).await;
    let values = listed(&server, &job, |values| values.iter().all(|value| value.get("nextAttemptAt").is_none())).await;
    let found: Vec<_> = values.iter().map(|value| (value["attempts"].clone(), value["lastError"].clone())).collect();
    assert_eq!(found, [(json!(2), json!("answered 503")), (json!(1), json!("answered 410: the receiver is gone"))]);
    assert_eq!(values[0]["url"], dead.url());
    let (first, second) = (dead.next().await, dead.next().await);
    assert_eq!((first.id(), second.id()), (values[0]["id"].as_str().expect("an id"), first.id()));
    gone.next().await;
    assert!(dead.told.try_recv().is_err() && gone.told.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn redirects_are_followed_where_they_may_lead() {
    let server = server(&[]).await;
    let mut last = Receiver::start().await;
    let mut private = Receiver::on("127.0.0.2", |_| Answer::Status(200)).await;
    let (to_last, to_private) = (last.url(), private.url());
    let good = Receiver::on("127.0.0.1", move |_| Answer::Redirect(307, to_last.clone())).await;
    let bad = Receiver::on("127.0.0.1", move |_| Answer::Redirect(308, to_private.clone())).await;
    let get = Receiver::on("127.0.0.1", |_| Answer::Redirect(302, "/elsewhere".to_owned())).await;
    let mut round = Receiver::on("127.0.0.1", |_| Answer::Redirect(307, "/again".to_owned())).await;

    canceled(&server, &[&good.url()]).await;
    assert_eq!(last.next().await.json()["type"], "job.canceled");
    let job = canceled(&server, &[&bad.url()]).await;
    let refused = &listed(&server, &job, given_up).await[0];
    let error = refused["lastError"].as_str().expect("an error");
    assert!(error.contains("127.0.0.2 is a loopback address"), "{error}");
    assert!(private.told.try_recv().is_err(), "nothing came to the address that is not allowed");
    for (receiver, sign) in [(&get, "answered 302"), (&round, "more than 3 times")] {
        let job = canceled(&server, &[&receiver.url()]).await;
        let waiting = &listed(&server, &job, |values| values[0].get("lastError").is_some()).await[0];
        assert!(waiting["lastError"].as_str().expect("an error").contains(sign), "{waiting}");
        assert!(waiting.get("nextAttemptAt").is_some(), "{waiting}");
    }
    for path in ["/hook?token=s3cret", "/again", "/again", "/again"] {
        assert_eq!(round.next().await.path, path);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn addresses_that_are_not_public_are_refused() {
    let mut receiver = Receiver::start().await;
    let server = Server::with(&["--slots", "0"]).await;
    let port = receiver.address.port();
    for host in ["127.0.0.1", "127.1", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254", "10.0.0.1"] {
        let hooks = json!([{"url": "https://hooks.example/"}, {"url": format!("http://{host}:{port}/")}]);
        let answer = server.post("/jobs", &json!({"dockerImageUrl": "host", "webhooks": hooks})).await;
        assert_eq!(answer.problem(400, "invalid_request")["errors"][0]["pointer"], "/webhooks/1/url", "{host}");
    }
    // A name is looked up when there is something to tell.
    let job = canceled(&server, &[&format!("http://localhost:{port}/")]).await;
    let refused = &listed(&server, &job, given_up).await[0];
    assert!(refused["lastError"].as_str().expect("an error").contains("is a loopback address"), "{refused}");
    assert_eq!(refused["attempts"], 1);
    assert!(receiver.told.try_recv().is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_webhooks_are_named() {
    let server = server(&[]).await;
    for (hook, pointer) in [
        (json!({"url": "ftp://a.example/"}), "/webhooks/0/url"),
        (json!({"url": "https://u:p@a.example/"}), "/webhooks/0/url"),
        (json!({"url": "https://a.example/#x"}), "/webhooks/0/url"),
        (json!({"url": "http://a.example:25/"}), "/webhooks/0/url"),
        (json!({"url": format!("https://a.example/{}", "x".repeat(2048))}), "/webhooks/0/url"),
        (json!({"url": "https://a.example/", "events": ["PERSISTED"]}), "/webhooks/0/events/0"),
        (json!({"events": ["FAILED"]}), "/webhooks/0/url"),
    ] {
        let answer = server.post("/jobs", &json!({"dockerImageUrl": "host", "webhooks": [hook]})).await;
        assert_eq!(answer.problem(400, "invalid_request")["errors"][0]["pointer"], pointer, "{hook}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_killed_server_did_not_deliver_is_delivered_by_the_next() {
    let mut receiver =
        Receiver::on("127.0.0.1", |number| if number == 0 { Answer::Never } else { Answer::Status(200) }).await;
    let mut server = server(&[]).await;
    let job = canceled(&server, &[&receiver.url()]).await;
    let first = receiver.next().await;
    server.kill();
    server.restart().await;
    let second = receiver.next().await;
    assert_eq!((second.id(), &second.body), (first.id(), &first.body));
    listed(&server, &job, <[Value]>::is_empty).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_outlive_their_job() {
    let mut receiver = Receiver::on("127.0.0.1", |number| Answer::Status(if number == 0 { 500 } else { 200 })).await;
    let server = server(&["--webhook-retries", "0.3"]).await;
    let job = canceled(&server, &[&receiver.url()]).await;
    let first = receiver.next().await;
    server.delete(&format!("/jobs/{job}")).await.ok();
    assert_eq!(receiver.next().await.id(), first.id());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_receiver_holds_up_nobody_else() {
    let mut slow = Receiver::on("127.0.0.1", |_| Answer::Never).await;
    let mut quick = Receiver::start().await;
    let server = server(&[]).await;
    for _ in 0..20 {
        canceled(&server, &[&slow.url()]).await;
    }
    for _ in 0..8 {
        slow.next().await;
    }
    let job = canceled(&server, &[&quick.url()]).await;
    assert_eq!(quick.next().await.json()["data"]["job"]["id"], job);
}

#[tokio::test(flavor = "multi_thread")]
async fn https_receivers_are_certified() {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(made.signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![made.cert.der().clone()], key);
    let tls = TlsAcceptor::from(Arc::new(config.expect("a configuration")));
    let directory = tempfile::tempdir().expect("a directory");
    let trusted = directory.path().join("ca.pem");
    std::fs::write(&trusted, made.cert.pem()).expect("written");

    let mut receiver = Receiver::listen("127.0.0.1", Some(tls), |_| Answer::Status(200)).await;
    let environment = [("SSL_CERT_FILE", trusted.to_str().expect("UTF-8"))];
    let flags = ["--slots", "0", "--webhook-allow", "127.0.0.1,::1"];
    let server = Server::with_environment(&flags, &environment).await;
    let port = receiver.address.port();
    // The certificate is for the name, not for the address.
    let job = canceled(&server, &[&format!("https://127.0.0.1:{port}/")]).await;
    let failed = &listed(&server, &job, |values| values[0].get("lastError").is_some()).await[0];
    assert!(failed["lastError"].as_str().expect("an error").starts_with("TLS: "), "{failed}");
    canceled(&server, &[&format!("https://localhost:{port}/hook")]).await;
    let told = receiver.next().await;
    assert_eq!((told.path.as_str(), told.header("host")), ("/hook", format!("localhost:{port}").as_str()));
}
