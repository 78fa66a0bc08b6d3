//! One attempt: a POST, and what the answer means.
//!
//! 2xx is success; 410 ends the delivery for good; anything else is a failure that may pass. Redirects that keep the
//! POST (307, 308) are followed, each checked like the first url; those that would make a GET of it are failures.

use super::connect::{Connector, Stream};
use super::failure::Failure;
use bytes::Bytes;
use docket_contract::job::check_webhook_url;
use http::header::{CONTENT_TYPE, HOST, LOCATION, RETRY_AFTER, USER_AGENT};
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use std::pin::pin;
use std::time::{Duration, SystemTime};
use tokio::time::timeout;
use url::{Position, Url};

/// Redirects that are followed.
const REDIRECTS: usize = 3;
/// Bytes of an answer's head, and of its body, that are read.
const ANSWER_BYTES: usize = 64 << 10;
/// How long an answer's body is read: nothing of it is used, but a receiver that is cut off may log it as a failure.
const BODY_TIME: Duration = Duration::from_secs(1);

/// What is sent.
pub(super) struct Message {
    /// `webhook-id`.
    pub(super) id: String,
    /// `webhook-timestamp`: seconds since 1970.
    pub(super) seconds: i64,
    /// `webhook-signature`.
    pub(super) signature: String,
    /// The body, in JSON.
    pub(super) body: Bytes,
}

/// Delivers a message, or tells why not. Who calls limits the time.
pub(super) async fn send(connector: &Connector, url: &str, message: &Message) -> Result<(), Failure> {
    let mut url = check_webhook_url(url).map_err(|reason| Failure::lasting(format!("the url {reason}")))?;
    for _ in 0..=REDIRECTS {
        let stream = connector.connect(&url).await?;
        let (status, headers) = post(stream, &url, message).await?;
        match status {
            status if status.is_success() => return Ok(()),
            StatusCode::GONE => return Err(Failure::lasting("answered 410: the receiver is gone")),
            StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT => url = follow(&url, status, &headers)?,
            status if status.is_redirection() => {
                let reason = format!("answered {}: only the redirects 307 and 308 are followed", status.as_u16());
                return Err(Failure::passing(reason));
            }
            status => {
                let retry_after = wish(&headers, SystemTime::now());
                return Err(Failure { retry_after, ..Failure::passing(format!("answered {}", status.as_u16())) });
            }
        }
    }
    Err(Failure::passing(format!("redirected more than {REDIRECTS} times")))
}

async fn post(stream: Box<dyn Stream>, url: &Url, message: &Message) -> Result<(StatusCode, HeaderMap), Failure> {
    let request = request(url, message).map_err(Failure::lasting)?;
    let failed = |error: hyper::Error| Failure::passing(format!("no answer: {error}"));
    let (mut sender, connection) = http1::Builder::new()
        .max_buf_size(ANSWER_BYTES)
        .max_header_size(ANSWER_BYTES)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(failed)?;
    let mut answer = pin!(async move {
        let answer = sender.send_request(request).await.map_err(failed)?;
        Ok(drain(answer).await)
    });
    tokio::select! {
        answer = &mut answer => answer,
        // What it has read by then is still there to be taken.
        _ = connection => answer.await,
    }
}

fn request(url: &Url, message: &Message) -> Result<Request<Full<Bytes>>, http::Error> {
    let authority = &url[Position::BeforeHost..Position::AfterPort];
    Request::post(&url[Position::BeforePath..Position::AfterQuery])
        .header(HOST, authority)
        .header(USER_AGENT, concat!("Docket/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, "application/json")
        .header("webhook-id", &message.id)
        .header("webhook-timestamp", message.seconds)
        .header("webhook-signature", &message.signature)
        .body(Full::new(message.body.clone()))
}

/// The head of an answer, once some of its body was read and dropped.
async fn drain(answer: Response<Incoming>) -> (StatusCode, HeaderMap) {
    let (head, body) = answer.into_parts();
    // The status has decided already: a body that is too long, too late or broken changes nothing.
    let _ = timeout(BODY_TIME, Limited::new(body, ANSWER_BYTES).collect()).await;
    (head.status, head.headers)
}

/// Where a redirect leads.
fn follow(url: &Url, status: StatusCode, headers: &HeaderMap) -> Result<Url, Failure> {
    let failed = |reason: &str| Failure::passing(format!("answered {} {reason}", status.as_u16()));
    let location = headers.get(LOCATION).and_then(|value| value.to_str().ok());
    let mut next = url
        .join(location.ok_or_else(|| failed("without a location"))?)
        .map_err(|_| failed("with a location that is no URL"))?;
    next.set_fragment(None);
    if url.scheme() == "https" && next.scheme() != "https" {
        return Err(failed("with a location that is not https any more"));
    }
    check_webhook_url(next.as_str()).map_err(|reason| failed(&format!("with a location that {reason}")))
}

/// How long the receiver wants to be left alone: seconds, or until a time.
fn wish(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    match text.parse() {
        Ok(seconds) => Some(Duration::from_secs(seconds)),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: http::HeaderName, value: &str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().expect("a value"))])
    }

    #[test]
    fn redirects_are_resolved_and_checked() {
        let from = Url::parse("https://a.example/x/y?z").expect("a url");
        let to = |location: &str| {
            let next = follow(&from, StatusCode::TEMPORARY_REDIRECT, &headers(LOCATION, location));
            next.map(|url| url.to_string()).map_err(|failure| failure.reason)
        };
        assert_eq!(to("/q#f"), Ok("https://a.example/q".to_owned()));
        assert_eq!(to("//b.example:8443/q"), Ok("https://b.example:8443/q".to_owned()));
        for (location, sign) in [
            ("http://a.example/", "not https"),
            ("ftp://a.example/", "not https"),
            ("https://u:p@a.example/", "user"),
            ("https://a.example:22/", "port"),
            ("https://", "no URL"),
        ] {
            let reason = to(location).expect_err(location);
            assert!(reason.contains(sign) && reason.contains("307"), "{location}: {reason}");
        }
        assert!(follow(&from, StatusCode::TEMPORARY_REDIRECT, &HeaderMap::new()).is_err());
    }

    #[test]
    fn wishes_are_seconds_or_times() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_700);
        let wish = |text| wish(&headers(RETRY_AFTER, text), now);
        assert_eq!(wish("120"), Some(Duration::from_secs(120)));
        assert_eq!(wish("Sun, 06 Nov 1994 08:49:37 GMT"), Some(Duration::from_secs(77)));
        assert_eq!(wish("Sun, 06 Nov 1994 08:00:00 GMT"), None, "over already");
        assert_eq!((wish("soon"), wish("-1")), (None, None));
    }

    #[test]
    fn requests_name_the_host_as_the_url_does() {
        let message = Message { id: "i".into(), seconds: 7, signature: "v1,s".into(), body: Bytes::new() };
        let host = |url: &str| {
            let request = request(&Url::parse(url).expect(url), &message).expect("a request");
            (request.headers()[HOST].to_str().expect("text").to_owned(), request.uri().to_string())
        };
        assert_eq!(host("https://a.example/x?y=z"), ("a.example".to_owned(), "/x?y=z".to_owned()));
        assert_eq!(host("http://[2001:db8::1]:8080"), ("[2001:db8::1]:8080".to_owned(), "/".to_owned()));
    }
}
