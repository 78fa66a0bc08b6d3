//! The road of a request: from HTTP through the envelope to the operation and back.

use super::encoding;
use super::envelope::{self, Fault, Refused, Request};
use super::model::Model;
use super::names::{PATH, Version};
use super::rows::{Call, Road, rows};
use super::security::Credentials;
use super::wsdl::Wsdl;
use super::{SoapOptions, address, fault};
use crate::faces::common::body::discard;
use crate::faces::common::call::{apart, host, presented};
use crate::faces::common::response::response;
use crate::faces::common::{idempotency, observe};
use crate::faces::rest::RestState;
use crate::handler::Handler;
use crate::store::IdempotencyKey;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use docket_contract::{Caller, Code, Error};
use futures_util::{FutureExt, StreamExt, stream};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, Method, header};
use http_body::Body as _;
use http_body_util::BodyExt;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use tokio::time::timeout;

/// The methods of the path.
const ALLOW: &str = "GET, HEAD, POST, OPTIONS";
/// How much of a body is read to find the key of a caller who sends none by HTTP.
const HEADER_BYTES: usize = 64 * 1024;

/// What the face works with.
pub(super) struct Soap<H> {
    app: Arc<RestState<H>>,
    model: Arc<Model>,
    rows: Vec<Box<dyn Road<H>>>,
    wsdl: Wsdl,
    options: SoapOptions,
}

impl<H: Handler> Soap<H> {
    pub(super) fn new(app: Arc<RestState<H>>, options: SoapOptions) -> Self {
        let model = Model::of_the_table();
        let wsdl = Wsdl::new(&model);
        Self { app, model, rows: rows(), wsdl, options }
    }

    /// Answers any request for the path.
    pub(super) async fn answer(self: Arc<Self>, request: axum::extract::Request) -> Response {
        observe::note_path(PATH);
        let (parts, body) = request.into_parts();
        match parts.method {
            Method::POST => self.post(&parts, body).await,
            Method::GET | Method::HEAD => {
                discard(&parts.headers, body);
                self.get(&parts)
            }
            Method::OPTIONS => {
                discard(&parts.headers, body);
                allow(response(204, "text/plain", Body::empty()))
            }
            _ => {
                discard(&parts.headers, body);
                let error = Error::new(Code::MethodNotAllowed, format!("This path has the methods {ALLOW}."));
                allow(self.refuse(Version::Soap11, error))
            }
        }
    }

    /// The WSDL, or where it is.
    fn get(&self, parts: &Parts) -> Response {
        let query = parts.uri.query().unwrap_or_default();
        let name = query.split(['&', '=']).next().unwrap_or_default();
        let server = address::server(parts, self.options.trust_proxy);
        if name.eq_ignore_ascii_case("wsdl") {
            return response(200, "text/xml; charset=utf-8", self.wsdl.at(&server));
        }
        let text = format!("SOAP 1.1 and 1.2 are served here: POST an envelope. The WSDL is at {server}{PATH}?wsdl\n");
        response(200, "text/plain; charset=utf-8", text)
    }

    async fn post(&self, parts: &Parts, body: Body) -> Response {
        let (version, charset) = match media(&parts.headers) {
            Ok(media) => media,
            Err(error) => {
                discard(&parts.headers, body);
                return self.refuse(Version::Soap11, error);
            }
        };
        let work = AssertUnwindSafe(self.travel(parts, body, version, charset)).catch_unwind();
        let result = work.await.unwrap_or_else(|_| {
            tracing::error!("request panicked");
            Err((None, Error::new(Code::Internal, "The server failed; its log has the reason.").into()))
        });
        result.unwrap_or_else(|(read, fault)| fault::answer(&self.model, read.unwrap_or(version), &fault, None))
    }

    fn refuse(&self, version: Version, error: Error) -> Response {
        fault::answer(&self.model, version, &Fault::Problem(error), None)
    }

    async fn travel(
        &self,
        parts: &Parts,
        body: Body,
        media: Version,
        charset: Option<String>,
    ) -> Result<Response, Refused> {
        let plain = |error: Error| (None, Fault::Problem(error));
        // Who calls comes before the body, as far as possible: a stranger's is not read into memory.
        let (caller, body) = self.caller(parts, body, media, charset.as_deref()).await?;
        let mut collected = self.app.memory.collect_any(&parts.headers, body).await.map_err(plain)?;
        let bytes = std::mem::take(&mut collected.bytes);
        // The JSON that is made of it, and the text where it is not UTF-8.
        self.app.memory.extend(&mut collected, bytes.len() * 2).await.map_err(plain)?;
        let request = self.read(bytes, media, charset).await?;
        let version = request.version;
        let here = |error: Error| (Some(version), Fault::Problem(error));
        let caller = self.final_caller(parts, caller, &request.credentials).await.map_err(here)?;
        observe::note_organization(&caller.organization);

        let row = &self.rows[request.entry];
        observe::note_path(self.model.entries[request.entry].name);
        let there = |error| Ok(fault::answer(&self.model, version, &Fault::Problem(error), Some(row.path())));
        if let Err(error) = row.authorize(&caller) {
            return there(error);
        }
        let key = if row.takes_key() { idempotency::key(&parts.headers) } else { Ok(None) };
        let key = match key {
            Ok(key) => key,
            Err(error) => return there(error),
        };
        let (app, model) = (Arc::clone(&self.app), Arc::clone(&self.model));
        let Request { entry, json, .. } = request;
        let mut call = Call { caller, seed: None, version, entry, json, collected };
        let (Some(key), Some(control)) = (key, app.control.clone()) else {
            return Ok(row.call(app, model, call).await);
        };
        let key = IdempotencyKey {
            organization: call.caller.organization.clone(),
            key,
            request_hash: idempotency::request_hash(
                version.media_type(),
                PATH,
                self.model.entries[entry].name,
                &call.json,
            ),
            run: app.run,
        };
        let clock = Arc::clone(&app.clock);
        let (path, refusing) = (row.path(), Arc::clone(&model));
        let refuse = move |error: &Error| fault::answer(&refusing, version, &Fault::Problem(error.clone()), Some(path));
        let answer = idempotency::once(control, &*clock, key, refuse, |seed| {
            call.seed = Some(seed);
            row.call(app, model, call)
        })
        .await;
        answer.or_else(there)
    }

    /// Reads the envelope; a large one apart from the threads that serve connections.
    async fn read(&self, bytes: Bytes, media: Version, charset: Option<String>) -> Result<Request, Refused> {
        let large = bytes.len() >= self.app.options.large_body;
        let (model, max) = (Arc::clone(&self.model), self.app.memory.max_bytes());
        let read = move || {
            let text = encoding::text(&bytes, charset.as_deref()).map_err(|error| (None, Fault::Problem(error)))?;
            envelope::read(&model, &text, media, max)
        };
        if large {
            return apart(move || Ok(read())).await.map_err(|error| (None, Fault::Problem(error)))?;
        }
        read()
    }

    /// Who calls, as HTTP says it, or else the beginning of the envelope; and the body, whole.
    async fn caller(
        &self,
        parts: &Parts,
        body: Body,
        media: Version,
        charset: Option<&str>,
    ) -> Result<(Caller, Body), Refused> {
        let plain = |error: Error| (None, Fault::Problem(error));
        let key = match presented(&parts.headers) {
            Ok(key) => key,
            Err(error) => {
                discard(&parts.headers, body);
                return Err(plain(error));
            }
        };
        let error = match self.app.access.caller(key, host(parts)).await {
            Ok(caller) => return Ok((caller, body)),
            Err(error) => error,
        };
        if key.is_some() || error.code != Code::Unauthenticated || parts.headers.contains_key(header::CONTENT_ENCODING)
        {
            discard(&parts.headers, body);
            return Err(plain(error));
        }
        let (begin, rest) = self.begin(body).await.map_err(plain)?;
        let credentials = first_credentials(&begin, media, charset);
        let caller = match credentials {
            Ok(Credentials { key: Some(key), .. }) => {
                self.app.access.caller(Some(&key), host(parts)).await.map_err(plain)
            }
            Ok(_) => Err(plain(error)),
            Err(refused) => Err(refused),
        };
        match caller {
            Ok(caller) => {
                let begin = stream::iter([Ok(begin)]);
                Ok((caller, Body::from_stream(begin.chain(rest.into_data_stream()))))
            }
            Err(refused) => {
                discard(&parts.headers, rest);
                Err(refused)
            }
        }
    }

    /// The first bytes of a body, and the rest of it.
    async fn begin(&self, mut body: Body) -> Result<(Bytes, Body), Error> {
        let mut begin = Vec::new();
        let wait = self.app.options.bodies.read_timeout;
        let read = async {
            while begin.len() < HEADER_BYTES && !body.is_end_stream() {
                let Some(frame) = body.frame().await else { break };
                let frame = frame.map_err(|_| Error::new(Code::MalformedBody, "The body broke off before its end."))?;
                if let Some(data) = frame.data_ref() {
                    begin.extend_from_slice(data);
                }
            }
            Ok::<(), Error>(())
        };
        let late = || Error::new(Code::RequestTimeout, "The body did not arrive in time.");
        timeout(wait, read).await.map_err(|_| late())??;
        Ok((begin.into(), body))
    }

    /// The caller that a UsernameToken names, where HTTP names none.
    async fn final_caller(&self, parts: &Parts, caller: Caller, said: &Credentials) -> Result<Caller, Error> {
        if said.expires.is_some_and(|expires| expires < self.app.clock.now()) {
            return Err(Error::new(Code::Unauthenticated, "The message has expired, as its Timestamp says."));
        }
        match (&said.key, presented(&parts.headers)?) {
            (Some(key), None) => self.app.access.caller(Some(key), host(parts)).await,
            _ => Ok(caller),
        }
    }
}

/// The key at the beginning of a body, of which the end may be missing.
fn first_credentials(begin: &Bytes, media: Version, charset: Option<&str>) -> Result<Credentials, Refused> {
    // The cut may go through a character.
    let cut = (0..4).find_map(|cut| encoding::text(begin.get(..begin.len().checked_sub(cut)?)?, charset).ok());
    match cut {
        Some(text) => envelope::credentials(&text, media),
        None => match encoding::text(begin, charset) {
            Ok(text) => envelope::credentials(&text, media),
            Err(error) => Err((None, Fault::Problem(error))),
        },
    }
}

/// The version that the media type speaks of, and its charset.
fn media(headers: &HeaderMap) -> Result<(Version, Option<String>), Error> {
    let refuse = || {
        let types: Vec<_> = Version::ALL.iter().map(|version| version.media_type()).collect();
        let detail = format!("The body must be an envelope, sent as {}, without attachments.", types.join(" or "));
        Error::new(Code::UnsupportedMediaType, detail)
    };
    let value = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).ok_or_else(refuse)?;
    let mut parts = value.split(';').map(str::trim);
    let kind = parts.next().unwrap_or_default();
    let version = Version::ALL.into_iter().find(|version| kind.eq_ignore_ascii_case(version.media_type()));
    let charset = parts.filter_map(|part| part.split_once('=')).find_map(|(name, value)| {
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches(['"', '\'']).to_owned())
    });
    Ok((version.ok_or_else(refuse)?, charset))
}

fn allow(mut response: Response) -> Response {
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(ALLOW));
    response
}
