//! Requests, built from the rows of the table: which part of an input stands in the path, the query and the body.

use super::ClientError;
use bytes::Bytes;
use docket_contract::Operation;
use http::{HeaderValue, Method, Uri, header};
use http_body_util::Full;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value};
use std::borrow::Cow;

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// The usual media type of a body.
const JSON: &str = "application/json";
/// That of a file of which nothing else is said.
const BYTES: &str = "application/octet-stream";

/// Where the server is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base {
    /// Host and port.
    pub authority: String,
    /// A path in front of every operation's, without a slash at its end; usually empty.
    pub prefix: String,
}

impl Base {
    /// Reads `http://host[:port][/prefix]`.
    ///
    /// # Errors
    /// [`ClientError::Url`] for anything else.
    pub fn parse(url: &str) -> Result<Self, ClientError> {
        let wrong = |why: &str| ClientError::Url(format!("the URL must be like http://127.0.0.1:8080, {url:?} {why}"));
        let uri: Uri = url.parse().map_err(|_| wrong("is none"))?;
        match uri.scheme_str() {
            Some("http") => {}
            Some("https") => return Err(wrong("asks for TLS, which this client does not speak")),
            _ => return Err(wrong("has no http:// in front")),
        }
        let authority =
            uri.authority().filter(|authority| !authority.host().is_empty()).ok_or_else(|| wrong("has no host"))?;
        if uri.query().is_some() {
            return Err(wrong("has a query"));
        }
        Ok(Self { authority: authority.to_string(), prefix: uri.path().trim_end_matches('/').to_owned() })
    }

    /// The URL of a target.
    pub fn url(&self, target: &str) -> String {
        format!("http://{}{}{target}", self.authority, self.prefix)
    }

    /// Host and port for a socket.
    pub fn socket_name(&self) -> String {
        let has_port = self.authority.rsplit_once(':').is_some_and(|(_, port)| port.parse::<u16>().is_ok());
        if has_port { self.authority.clone() } else { format!("{}:80", self.authority) }
    }
}

/// A request of the API, apart from the server that it goes to. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Request {
    /// The method.
    pub method: Method,
    /// Path and query, percent-encoded.
    pub target: String,
    /// The body.
    pub body: Option<Bytes>,
    /// The media type of the body.
    pub media_type: Cow<'static, str>,
    /// Whether carrying it out twice has the effect of once.
    pub repeatable: bool,
    /// Whether it asks for what is told behind the end of the answer (RFC 9110, 10.1.4).
    pub trailers: bool,
}

impl Request {
    /// A read.
    pub fn get(target: String) -> Self {
        let media_type = Cow::Borrowed(JSON);
        Self { method: Method::GET, target, body: None, media_type, repeatable: true, trailers: false }
    }

    /// The request of an operation.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the input is no flat object or lacks a field of the path.
    pub fn of<O: Operation>(input: &O::Input) -> Result<Self, ClientError> {
        Self::from_fields::<O>(fields::<O>(input)?)
    }

    /// The request of an operation from the fields of its input: those that the path template names stand in the path;
    /// all others of a GET or DELETE, and those in `O::QUERY` otherwise, in the query; the rest in the body.
    ///
    /// # Errors
    /// [`ClientError::Url`] when a field of the path is missing.
    pub fn from_fields<O: Operation>(mut fields: Map<String, Value>) -> Result<Self, ClientError> {
        let wrong = |why: String| ClientError::Url(format!("{}: {why}", O::NAME));
        let mut target = String::new();
        for segment in O::PATH.split('/').skip(1) {
            target.push('/');
            match segment.strip_prefix('{').and_then(|segment| segment.strip_suffix('}')) {
                None => target.push_str(segment),
                Some(name) => {
                    let value = fields.remove(name).ok_or_else(|| wrong(format!("{name} is missing")))?;
                    target.extend(encode(&scalar(&value)));
                }
            }
        }
        let method = match O::METHOD {
            docket_contract::operations::Method::Get => Method::GET,
            docket_contract::operations::Method::Post => Method::POST,
            docket_contract::operations::Method::Put => Method::PUT,
            docket_contract::operations::Method::Delete => Method::DELETE,
        };
        let has_body = matches!(method, Method::POST | Method::PUT);
        let mut separator = '?';
        let mut parameter = |target: &mut String, name: &str, value: &Value| {
            target.push(std::mem::replace(&mut separator, '&'));
            target.extend(encode(name));
            target.push('=');
            target.extend(encode(&scalar(value)));
        };
        for (name, value) in take_query(&mut fields, has_body.then_some(O::QUERY)) {
            match value {
                Value::Null => {}
                Value::Array(values) => values.iter().for_each(|value| parameter(&mut target, &name, value)),
                value => parameter(&mut target, &name, &value),
            }
        }
        let body = match O::TAKES_FILE {
            true => Some(Bytes::new()),
            false => has_body.then(|| Bytes::from(Value::Object(fields).to_string())),
        };
        let media_type = Cow::Borrowed(if O::TAKES_FILE { BYTES } else { JSON });
        Ok(Self { method, target, body, media_type, repeatable: O::REPEATABLE, trailers: !O::TRAILERS.is_empty() })
    }

    /// The same request with a body that was made before.
    pub fn with_body(mut self, body: Bytes) -> Self {
        self.body = Some(body);
        self
    }

    /// The same request with this file as its body, for an operation that takes one.
    pub fn with_file(mut self, media_type: impl Into<Cow<'static, str>>, file: Bytes) -> Self {
        self.media_type = media_type.into();
        self.with_body(file)
    }

    /// Whether an idempotency key makes it repeatable.
    pub fn needs_key(&self) -> bool {
        self.method == Method::POST && !self.repeatable
    }

    /// A fresh idempotency key, where one is needed: the same at each repetition, so that a job is started only once.
    pub(super) fn new_key(&self) -> Option<String> {
        self.needs_key().then(|| uuid::Uuid::now_v7().to_string())
    }

    /// The HTTP message. `absolute` puts the whole URL into the request line's place, as a pool needs it.
    ///
    /// # Errors
    /// [`ClientError::Url`] when the target is no URI (it is longer than 65,534 bytes), or the media type no header.
    pub fn message(
        &self,
        base: &Base,
        key: Option<&HeaderValue>,
        absolute: bool,
    ) -> Result<http::Request<Full<Bytes>>, ClientError> {
        let uri = if absolute { base.url(&self.target) } else { format!("{}{}", base.prefix, self.target) };
        let uri = Uri::try_from(uri).map_err(|error| ClientError::Url(format!("the request has no URL: {error}")))?;
        let mut message = http::Request::new(Full::new(self.body.clone().unwrap_or_default()));
        *message.method_mut() = self.method.clone();
        *message.uri_mut() = uri;
        let headers = message.headers_mut();
        if !absolute {
            let host = HeaderValue::from_str(&base.authority).map_err(|error| ClientError::Url(error.to_string()))?;
            headers.insert(header::HOST, host);
        }
        if self.body.is_some() {
            let media_type = HeaderValue::from_str(&self.media_type);
            let media_type = media_type.map_err(|error| ClientError::Url(format!("the media type: {error}")))?;
            headers.insert(header::CONTENT_TYPE, media_type);
        }
        if self.trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
        }
        if let Some(key) = key {
            headers.insert("x-api-key", key.clone());
        }
        Ok(message)
    }
}

/// The fields of an input, as they stand in a request.
pub(super) fn fields<O: Operation>(input: &O::Input) -> Result<Map<String, Value>, ClientError> {
    match serde_json::to_value(input) {
        Ok(Value::Object(fields)) => Ok(fields),
        Ok(_) => Err(ClientError::Url(format!("{}: the input is no object", O::NAME))),
        Err(error) => Err(ClientError::Url(format!("{}: {error}", O::NAME))),
    }
}

/// Takes what stands in the query: the named fields, or all.
fn take_query(fields: &mut Map<String, Value>, only: Option<&[&str]>) -> Vec<(String, Value)> {
    match only {
        None => std::mem::take(fields).into_iter().collect(),
        Some(names) => {
            names.iter().filter_map(|name| fields.remove(*name).map(|value| ((*name).to_owned(), value))).collect()
        }
    }
}

/// A text as a part of a path or a query.
pub fn encode(text: &str) -> impl Iterator<Item = &str> {
    utf8_percent_encode(text, RESERVED)
}

fn scalar(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        value => value.to_string(),
    }
}

/// The token of the next page, which is the last member of a page's JSON: found without reading the page.
///
/// `tail` is the end of the page. Quotes inside of records are escaped, so the member's name with its quotes can't stand
/// in a record's texts.
pub fn find_next_start_after(tail: &[u8]) -> Option<&str> {
    const NAME: &[u8] = br#""nextStartAfter":""#;
    let start = memchr::memmem::rfind(tail, NAME)? + NAME.len();
    let rest = &tail[start..];
    let end = memchr::memchr(b'"', rest)?;
    let behind = rest[end + 1..].trim_ascii();
    if behind != b"}" {
        return None;
    }
    str::from_utf8(&rest[..end]).ok()
}
