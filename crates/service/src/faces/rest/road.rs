//! The road of a request: from a path of the table to the operation and back.

use super::RestState;
use super::live::{Credentials, Presented};
use super::reply::{answer, problem};
use crate::faces::common::body::{Collected, discard};
use crate::faces::common::call::{apart, host, presented};
use crate::faces::common::params::{Params, Shape};
use crate::faces::common::response::name_ignored;
use crate::faces::common::{decode, idempotency, observe};
use crate::handler::{Handler, Upload};
use crate::store::IdempotencyKey;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use docket_contract::operations::{Method, Operation};
use docket_contract::{Caller, Code, Error, JobId};
use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use http::request::Parts;
use http::{HeaderValue, header};
use std::marker::PhantomData;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

/// One row of the table, its types forgotten.
pub(super) trait Road: Send + Sync {
    fn method(&self) -> Method;
    fn streams(&self) -> bool;
    fn answer(&self, request: Request) -> BoxFuture<'static, Result<Response, Error>>;
}

/// The rows that share a path.
pub(super) struct Entry {
    template: &'static str,
    roads: Vec<Box<dyn Road>>,
    allow: String,
}

impl Entry {
    pub(super) fn new(template: &'static str, roads: Vec<Box<dyn Road>>) -> Self {
        let mut allow: Vec<_> = roads.iter().map(|road| road.method().name()).collect();
        if allow.contains(&"GET") {
            allow.push("HEAD");
        }
        allow.push("OPTIONS");
        Self { template, roads, allow: allow.join(", ") }
    }

    /// Answers a request for this path. A panic on the way is an answer, too: the connection goes on.
    pub(super) async fn answer(self: Arc<Self>, request: Request) -> Response {
        observe::note_path(self.template);
        let wanted = match request.method() {
            &http::Method::OPTIONS => return self.options(),
            &http::Method::HEAD => "GET",
            method => method.as_str(),
        };
        let Some(road) = self.roads.iter().find(|road| road.method().name() == wanted) else {
            let (parts, body) = request.into_parts();
            discard(&parts.headers, body);
            return method_not_allowed(self.template, &self.allow);
        };
        let work = AssertUnwindSafe(async { road.answer(request).await }).catch_unwind();
        let result = work.await.unwrap_or_else(|_| {
            tracing::error!("request panicked");
            Err(Error::new(Code::Internal, "The server failed; its log has the reason."))
        });
        result.unwrap_or_else(|error| problem(&error, self.template))
    }

    fn options(&self) -> Response {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = http::StatusCode::NO_CONTENT;
        allow(&mut response, &self.allow);
        response
    }
}

/// The problem for a method that the path does not have.
pub(super) fn method_not_allowed(template: &str, methods: &str) -> Response {
    let error = Error::new(Code::MethodNotAllowed, format!("This path has the methods {methods}."));
    let mut response = problem(&error, template);
    allow(&mut response, methods);
    response
}

fn allow(response: &mut Response, methods: &str) {
    if let Ok(methods) = HeaderValue::from_str(methods) {
        response.headers_mut().insert(header::ALLOW, methods);
    }
}

/// A row of the table over a behaviour.
pub(super) struct Row<H, O> {
    app: Arc<RestState<H>>,
    shape: Arc<Shape>,
    operation: PhantomData<fn() -> O>,
}

impl<H: Handler, O: Operation> Row<H, O> {
    pub(super) fn new(app: Arc<RestState<H>>) -> Self {
        Self { app, shape: Arc::new(Shape::of::<O>()), operation: PhantomData }
    }
}

impl<H: Handler, O: Operation> Road for Row<H, O> {
    fn method(&self) -> Method {
        O::METHOD
    }

    fn streams(&self) -> bool {
        O::STREAMS
    }

    fn answer(&self, request: Request) -> BoxFuture<'static, Result<Response, Error>> {
        Box::pin(travel::<H, O>(Arc::clone(&self.app), Arc::clone(&self.shape), request))
    }
}

async fn travel<H: Handler, O: Operation>(
    app: Arc<RestState<H>>,
    shape: Arc<Shape>,
    request: Request,
) -> Result<Response, Error> {
    let (parts, body) = request.into_parts();
    // Who calls and what is named comes before the body: a stranger's is not read into memory.
    let (caller, key, params) = match before_body::<H, O>(&app, &shape, &parts).await {
        Ok(known) => known,
        Err(error) => {
            discard(&parts.headers, body);
            return Err(error);
        }
    };
    if O::TAKES_FILE {
        let file = app.memory.upload(&parts.headers, body)?;
        return receive::<H, O>(app, &shape, Presented::of(&parts), caller, &params, file).await;
    }
    let collected = if shape.has_body() {
        app.memory.collect(&parts.headers, body).await?
    } else {
        discard(&parts.headers, body);
        Collected::default()
    };
    let presented = Presented::of(&parts);
    let (Some(key), Some(control)) = (key, app.control.clone()) else {
        return Ok(work::<H, O>(app, shape, presented, caller, None, params, collected).await);
    };
    let path = parts.uri.path();
    let path = path.strip_prefix("/v2").unwrap_or(path);
    let query = parts.uri.query().unwrap_or_default();
    let key = IdempotencyKey {
        organization: caller.organization.clone(),
        key,
        request_hash: idempotency::request_hash(O::METHOD.name(), path, query, &collected.bytes),
        run: app.run,
    };
    let clock = Arc::clone(&app.clock);
    idempotency::once(
        control,
        &*clock,
        key,
        |error| problem(error, O::PATH),
        |seed| work::<H, O>(app, shape, presented, caller, Some(seed), params, collected),
    )
    .await
}

async fn before_body<H: Handler, O: Operation>(
    app: &RestState<H>,
    shape: &Shape,
    parts: &Parts,
) -> Result<(Caller, Option<String>, Params), Error> {
    let caller = app.access.caller(presented(&parts.headers)?, host(parts)).await?;
    observe::note_organization(&caller.organization);
    // The handler checks again, with the job that the request names.
    caller.authorize(O::ROLE, O::OPEN_TO_JOBS, caller.job.map(|own| own.id))?;
    let key = if O::METHOD == Method::Post { idempotency::key(&parts.headers)? } else { None };
    let mut params = Params::read(shape, parts.uri.path(), parts.uri.query())?;
    params.take_headers(shape, &parts.headers)?;
    Ok((caller, key, params))
}

/// Decodes, calls and encodes; the file streams meanwhile.
async fn receive<H: Handler, O: Operation>(
    app: Arc<RestState<H>>,
    shape: &Shape,
    presented: Presented,
    caller: Caller,
    params: &Params,
    file: Upload,
) -> Result<Response, Error> {
    let decoded = decode::decode::<O::Input>(shape, params, None)?;
    let (access, known) = (Arc::clone(&app.access), caller.clone());
    let credentials = || Credentials { access, caller: known, presented };
    let result = app.handler.receive::<O>(caller, decoded.input, file).await;
    let mut response = answer::<O>(result, credentials);
    name_ignored(&mut response, &decoded.ignored);
    Ok(response)
}

/// Decodes, calls and encodes. Holds the body's share of the memory until the answer is there.
async fn work<H: Handler, O: Operation>(
    app: Arc<RestState<H>>,
    shape: Arc<Shape>,
    presented: Presented,
    caller: Caller,
    seed: Option<JobId>,
    params: Params,
    collected: Collected,
) -> Response {
    let Collected { bytes, share } = collected;
    let large = bytes.len() >= app.options.large_body;
    let read = move || decode::decode::<O::Input>(&shape, &params, shape.has_body().then_some(&bytes[..]));
    let decoded = if large { apart(read).await } else { read() };
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(error) => return problem(&error, O::PATH),
    };
    let result = app.handler.call::<O>(caller.clone(), seed, decoded.input).await;
    drop(share);
    let credentials = || Credentials { access: Arc::clone(&app.access), caller, presented };
    let mut response = answer::<O>(result, credentials);
    name_ignored(&mut response, &decoded.ignored);
    response
}
