//! The REST face: every operation of the table at its method and path, plain and under `/v2` (api.md section 1).
//!
//! It decodes, calls the handler and encodes. Nothing here knows an operation: rows are mounted by walking the table.
//! It takes no decision about jobs or results, and no key apart from handing it to [`Access`].

mod live;
mod reply;
mod road;
#[cfg(test)]
mod tests;

pub use crate::faces::common::body::BodyLimits;

use self::road::{Entry, Road, Row};
use crate::access::Access;
use crate::clock::{Clock, SystemClock};
use crate::faces::common::body::Memory;
use crate::faces::common::{observe, response};
use crate::faces::openapi;
use crate::handler::Handler;
use crate::store::ControlStore;
use axum::Router;
use axum::middleware::from_fn_with_state;
use axum::response::Response;
use axum::routing::{any, get};
use bytes::Bytes;
use docket_contract::operations::{Operation, Visitor, walk};
use docket_contract::{Code, Error, JobId};
use futures_util::future::BoxFuture;
use http::{Extensions, HeaderMap, StatusCode, Version, header};
use std::collections::BTreeMap;
use std::mem::take;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;
use tower_http::CompressionLevel;
use tower_http::compression::CompressionLayer;
use tower_http::compression::predicate::{NotForContentType, Predicate, SizeAbove};

/// Longest wait for the check of `/readyz`.
const READY_TIMEOUT: Duration = Duration::from_secs(5);

/// Tells whether the server can do its work; the error is the reason why not, for operators.
pub type Ready = Box<dyn Fn() -> BoxFuture<'static, Result<(), String>> + Send + Sync>;

/// Settings of the face.
#[derive(Clone, Debug)]
pub struct RestOptions {
    /// Bounds on bodies.
    pub bodies: BodyLimits,
    /// From when on a request is logged as slow. Default 1 s.
    pub slow: Duration,
    /// Bodies from this size on are decoded apart from the threads that serve connections. Default 4 MiB.
    pub large_body: usize,
}

impl Default for RestOptions {
    fn default() -> Self {
        Self { bodies: BodyLimits::default(), slow: Duration::from_secs(1), large_body: 4 << 20 }
    }
}

/// What the face works with.
pub struct RestState<H> {
    pub(in crate::faces) handler: H,
    pub(in crate::faces) access: Arc<dyn Access>,
    /// Where requests with an idempotency key are kept; without one each is done anew.
    pub(in crate::faces) control: Option<Arc<dyn ControlStore>>,
    pub(in crate::faces) clock: Arc<dyn Clock>,
    pub(in crate::faces) run: JobId,
    ready: Ready,
    pub(in crate::faces) memory: Memory,
    pub(in crate::faces) options: RestOptions,
}

impl<H: Handler> RestState<H> {
    /// The face's parts. `run` identifies this run of the server, for requests that another run left in flight.
    pub fn new(
        handler: H,
        access: Arc<dyn Access>,
        control: Arc<dyn ControlStore>,
        clock: Arc<dyn Clock>,
        run: JobId,
        ready: Ready,
        options: RestOptions,
    ) -> Self {
        let memory = Memory::new(options.bodies.clone());
        Self { handler, access, control: Some(control), clock, run, ready, memory, options }
    }

    /// A face over a handler that keeps nothing: always ready, and an idempotency key is checked but not kept.
    pub fn stateless(handler: H, access: Arc<dyn Access>, options: RestOptions) -> Self {
        let memory = Memory::new(options.bodies.clone());
        let ready: Ready = Box::new(|| Box::pin(async { Ok(()) }));
        let clock = Arc::new(SystemClock);
        Self { handler, access, control: None, clock, run: JobId::NONE, ready, memory, options }
    }
}

/// Collects the rows of each path.
struct Mount<H> {
    app: Arc<RestState<H>>,
    paths: BTreeMap<&'static str, Vec<Box<dyn Road>>>,
}

impl<H: Handler> Visitor for Mount<H> {
    fn visit<O: Operation>(&mut self) {
        self.paths.entry(O::PATH).or_default().push(Box::new(Row::<H, O>::new(Arc::clone(&self.app))));
    }
}

/// The whole face: the table, `/openapi.json`, `/healthz` and `/readyz`.
pub fn router<H: Handler>(app: Arc<RestState<H>>) -> Router {
    let document = Bytes::from(openapi::document().to_string());
    let slow = app.options.slow;
    let Table { whole, streamed } = table(Arc::clone(&app));
    let router = whole
        .route("/healthz", get(|| async { response::response(200, "application/json", r#"{"status":"ok"}"#) }))
        .route("/readyz", get(move || readiness(app)))
        .route("/openapi.json", get(move || async { response::response(200, "application/json", document) }));
    observed(compressed(elsewhere(router)).merge(streamed), slow)
}

/// The table alone, to be nested under a path of its own.
pub fn operations<H: Handler>(app: Arc<RestState<H>>) -> Router {
    let slow = app.options.slow;
    let Table { whole, streamed } = table(app);
    observed(compressed(elsewhere(whole)).merge(streamed), slow)
}

/// The rows at their paths, plain and under `/v2`.
#[derive(Default)]
struct Table {
    /// What answers at once.
    whole: Router,
    /// What goes on answering.
    streamed: Router,
}

fn table<H: Handler>(app: Arc<RestState<H>>) -> Table {
    let mut mount = Mount { app, paths: BTreeMap::new() };
    walk(&mut mount);
    let mut table = Table::default();
    for (template, roads) in mount.paths {
        let router = match roads.iter().all(|road| road.streams()) {
            true => &mut table.streamed,
            false => &mut table.whole,
        };
        let entry = Arc::new(Entry::new(template, roads));
        let service = any(move |request| Arc::clone(&entry).answer(request));
        // Clients differ in whether they end a path with a slash.
        for path in ["", "/v2"].map(|base| format!("{base}{template}")) {
            *router = take(router).route(&format!("{path}/"), service.clone()).route(&path, service.clone());
        }
    }
    table
}

/// Problems for other paths, and for other methods of the paths that `router` has already.
fn elsewhere(router: Router) -> Router {
    router.fallback(|| async { no_such_path() }).method_not_allowed_fallback(|| async { read_only() })
}

/// What every answer goes through, whatever face gives it.
pub(in crate::faces) fn layered(router: Router, slow: Duration) -> Router {
    observed(compressed(router), slow)
}

fn observed(router: Router, slow: Duration) -> Router {
    router.layer(from_fn_with_state(slow, observe::observe))
}

/// Not for what streams: of thousands that wait each would hold the room of a compressor.
fn compressed(router: Router) -> Router {
    let compression = CompressionLayer::new()
        .quality(CompressionLevel::Precise(4))
        // What comes as it happens must reach its reader piece by piece.
        .compress_when(SizeAbove::new(1024).and(NotForContentType::SSE).and(live::is_not).and(is_no_download));
    router.layer(compression)
}

/// A file is sent as it is, with its length.
fn is_no_download(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    !headers.contains_key(header::CONTENT_DISPOSITION)
}

/// The answer to a method other than GET and HEAD where there are no others.
pub(in crate::faces) fn read_only() -> Response {
    road::method_not_allowed("/", "GET, HEAD")
}

/// The answer where there is nothing.
pub(in crate::faces) fn no_such_path() -> Response {
    reply::problem(&Error::new(Code::NotFound, "There is no such path."), "/")
}

async fn readiness<H: Handler>(app: Arc<RestState<H>>) -> Response {
    let late = |_| Err(format!("no answer within {} seconds", READY_TIMEOUT.as_secs()));
    let (status, body) = match timeout(READY_TIMEOUT, (app.ready)()).await.unwrap_or_else(late) {
        Ok(()) => (200, serde_json::json!({"status": "ready"})),
        Err(reason) => (503, serde_json::json!({"status": "not ready", "reason": reason})),
    };
    response::response(status, "application/json", body.to_string())
}
