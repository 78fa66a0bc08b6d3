//! The browsable documentation at `/docs`: the same table, schemas and Markdown files that everything else is made of,
//! as pages. They need no key and no network: style and scripts are our own small files.
//!
//! It shows what is public about the API, and nothing of jobs, keys or organizations. A page's bytes are made when it is
//! first asked for.

mod assets;
mod highlight;
mod markdown;
mod pages;
mod reference;
pub mod samples;
mod schema;
mod site;
mod soap;

use self::site::{Page, Site};
use crate::faces::openapi;
use crate::faces::rest::{self, RestOptions, layered};
use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use axum::routing::get;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use std::sync::Arc;

/// Nothing from elsewhere, no inline script or style, no frame, and forms only to this server.
const SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// The documentation. `servers` are addresses (a path, and what is there) at which the API is served besides those of
/// the OpenAPI document: "Try it" can send to them.
pub fn router(servers: &[(&str, &str)]) -> Router {
    let site = Arc::new(Site::new(openapi::document(), servers));
    let answer = move |request: Request| {
        let site = Arc::clone(&site);
        async move { respond(&site, &request) }
    };
    let page = get(answer);
    let router = Router::new()
        .route("/docs", page.clone())
        .route("/docs/", page.clone())
        .route("/docs/{*path}", page)
        .route("/", get(home))
        .method_not_allowed_fallback(|| async { rest::read_only() });
    layered(router, RestOptions::default().slow)
}

/// A browser is led to the documentation; for a program there is nothing here.
async fn home(headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|accept| accept.to_str().ok()).unwrap_or_default();
    if !accept.contains("text/html") {
        return rest::no_such_path();
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static("/docs"));
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

fn respond(site: &Site, request: &Request) -> Response {
    let path = request.uri().path();
    let path = path.strip_suffix('/').unwrap_or(path);
    match site.page(path) {
        Some(page) if fresh(request.headers(), page) => send(StatusCode::NOT_MODIFIED, page, Body::empty()),
        Some(page) => send(StatusCode::OK, page, page.body.clone().into()),
        None => {
            let page = site.missing(path);
            let body = page.body.clone().into();
            send(StatusCode::NOT_FOUND, &page, body)
        }
    }
}

/// Whether the client has these bytes already (RFC 9110, If-None-Match, compared weakly).
fn fresh(headers: &HeaderMap, page: &Page) -> bool {
    let opaque = |tag: &str| tag.trim().trim_start_matches("W/").to_owned();
    let wanted = page.etag.to_str().map(opaque).unwrap_or_default();
    let sent = headers.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    sent.flat_map(|value| value.split(',')).any(|tag| tag.trim() == "*" || opaque(tag) == wanted)
}

fn send(status: StatusCode, page: &Page, body: Body) -> Response {
    let cache = if status == StatusCode::NOT_FOUND {
        "no-store"
    } else if page.immutable {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(page.media_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static(cache));
    if status != StatusCode::NOT_FOUND {
        headers.insert(header::ETAG, page.etag.clone());
    }
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(SECURITY_POLICY));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}
