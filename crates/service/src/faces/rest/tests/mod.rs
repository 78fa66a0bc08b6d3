//! Tests of the face: the decoder by itself, and everything through the real listener over a behaviour that only plays.

mod conventions;
mod decoding;
mod fake;
mod fake_control;
mod hostile;
mod once;

use self::fake::{Fake, FakeAccess};
use self::fake_control::FakeControl;
use super::{BodyLimits, RestOptions, RestState, router};
use crate::clock::SystemClock;
use crate::faces::listener::{ServerOptions, serve};
use crate::handler::Live;
use axum::body::Body;
use bytes::Bytes;
use docket_contract::JobId;
use docket_contract::error::Problem;
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use hyper_util::rt::TokioIo;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// The job that the behaviour knows: the one of the examples.
const JOB: &str = "35f23c03-1c22-45fe-9484-3ffe769325de";

/// A server on a free port.
struct Server {
    address: SocketAddr,
    fake: Arc<Fake>,
    control: Arc<FakeControl>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<std::io::Result<()>>,
}

/// An answer, whole.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }

    /// The problem, with what must hold for each one.
    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{self:?}");
        assert!(!self.header("x-request-id").is_empty());
        let problem: Problem = serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert_eq!(problem.status, self.status.as_u16());
        assert_eq!(problem.type_uri, problem.code.type_uri());
        problem
    }

    /// The pointers of the fields at fault.
    fn pointers(&self) -> Vec<String> {
        self.problem().errors.into_iter().map(|error| error.pointer).collect()
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(RestOptions::default(), ServerOptions::default()).await
    }

    async fn with_bodies(bodies: BodyLimits) -> Self {
        Self::with(RestOptions { bodies, ..RestOptions::default() }, ServerOptions::default()).await
    }

    async fn with(rest: RestOptions, options: ServerOptions) -> Self {
        let (fake, control) = (Arc::new(Fake::default()), Arc::new(FakeControl::default()));
        let ready = Arc::clone(&fake);
        let state = RestState::new(
            Live(Arc::clone(&fake)),
            Arc::new(FakeAccess),
            Arc::clone(&control) as _,
            Arc::new(SystemClock),
            JobId(uuid::Uuid::now_v7()),
            Box::new(move || {
                let result = ready.not_ready.lock().expect("no panic").map_or(Ok(()), |reason| Err(reason.to_owned()));
                Box::pin(async move { result })
            }),
            rest,
        );
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let (stop, stopped) = oneshot::channel();
        let task = tokio::spawn(serve(listener, router(Arc::new(state)), options, async {
            let _ = stopped.await;
        }));
        Self { address, fake, control, stop: Some(stop), task }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.address).await.expect("accepted")
    }

    /// Sends one request on a connection of its own, with the operator's key unless it brings one.
    async fn send(&self, mut request: Request<Body>) -> Answer {
        if !request.headers().contains_key("x-api-key") && !request.headers().contains_key("authorization") {
            request.headers_mut().insert("x-api-key", "operator".parse().expect("a value"));
        }
        self.send_as_is(request).await
    }

    async fn send_as_is(&self, mut request: Request<Body>) -> Answer {
        request.headers_mut().insert("host", "localhost".parse().expect("a value"));
        let io = TokioIo::new(self.connect().await);
        let (mut sender, connection) = hyper::client::conn::http1::handshake(io).await.expect("handshake");
        let driver = tokio::spawn(connection);
        let response = sender.send_request(request).await.expect("an answer");
        let (parts, body) = response.into_parts();
        let body = body.collect().await.expect("a whole body").to_bytes();
        driver.abort();
        Answer { status: parts.status, headers: parts.headers, body }
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(request("GET", path, Body::empty())).await
    }

    async fn post(&self, path: &str, body: impl Into<Body>) -> Answer {
        self.send(request("POST", path, body)).await
    }

    async fn stop(mut self) {
        self.stop.take().map(|stop| stop.send(()));
        let ended = tokio::time::timeout(Duration::from_secs(30), self.task).await;
        ended.expect("stops within its bound").expect("no panic").expect("no error");
    }
}

fn request(method: &str, path: &str, body: impl Into<Body>) -> Request<Body> {
    Request::builder().method(method).uri(path).body(body.into()).expect("a request")
}

/// A request with more headers.
fn request_with(method: &str, path: &str, headers: &[(&str, &str)], body: impl Into<Body>) -> Request<Body> {
    let mut request = request(method, path, body);
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().expect("a name");
        request.headers_mut().append(name, value.parse().expect("a value"));
    }
    request
}

fn results_path() -> String {
    format!("/jobs/{JOB}/results?storageId=s")
}
