//! `Prefer` (RFC 7240) as mock servers know it: `code`, `example`, `dynamic`, `seed` and `wait`.
//!
//! A layer around a face reads the header once and keeps it for the task that serves the request, where the handler
//! finds it whichever face called. Preferences of other names are ignored, as the RFC asks for; one of ours with a value
//! that can't be is refused, because a test that silently gets another answer than it asked for proves nothing.

use axum::extract::Request;
use axum::middleware::Next;
use axum::response::Response;
use docket_contract::Error;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::fmt::Display;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

const PREFER: HeaderName = HeaderName::from_static("prefer");
const APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// Longest delay that a client gets; a longer wish is lowered to it.
pub(super) const MAX_WAIT: Duration = Duration::from_secs(60);

/// What a client asks the mock for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Preferences {
    /// A status, or the name of an error code.
    pub(super) code: Option<String>,
    /// The name of an example.
    pub(super) example: Option<String>,
    /// A random answer instead of an example.
    pub(super) dynamic: bool,
    /// What the random answer is made from; the same gives the same.
    pub(super) seed: Option<u64>,
    /// How long the answer waits.
    pub(super) wait: Option<Duration>,
}

impl Preferences {
    /// Reads the headers; of a preference that comes twice the first one counts (RFC 7240, section 2).
    pub(super) fn read(headers: &HeaderMap) -> Result<Self, Error> {
        let mut read = Self::default();
        let mut known = Vec::new();
        for value in headers.get_all(PREFER) {
            let text = value.to_str().map_err(|_| wrong("must be visible ASCII characters"))?;
            for preference in split(text, ',') {
                let preference = split(preference, ';').into_iter().next().unwrap_or_default();
                let (name, value) = preference.split_once('=').unwrap_or((preference, ""));
                let name = name.trim().to_ascii_lowercase();
                if known.contains(&name) {
                    continue;
                }
                read.take(&name, &unquote(value))?;
                known.push(name);
            }
        }
        Ok(read)
    }

    fn take(&mut self, name: &str, value: &str) -> Result<(), Error> {
        match name {
            "code" => self.code = Some(value.to_owned()),
            "example" => self.example = Some(value.to_owned()),
            "dynamic" => {
                self.dynamic = match value {
                    "true" | "" => true,
                    "false" => false,
                    _ => return Err(wrong(&format!("dynamic must be true or false, not {value:?}"))),
                }
            }
            "seed" => {
                let seed = value.parse().map_err(|_| wrong(&format!("seed must be a whole number, not {value:?}")))?;
                self.seed = Some(seed);
            }
            "wait" => {
                let fail = || wrong(&format!("wait must be a number of seconds, not {value:?}"));
                let seconds: f64 = value.parse().map_err(|_| fail())?;
                self.wait = Some(match Duration::try_from_secs_f64(seconds) {
                    Ok(wait) => wait.min(MAX_WAIT),
                    Err(_) if seconds > 0.0 => MAX_WAIT,
                    Err(_) => return Err(fail()),
                });
            }
            _ => {}
        }
        Ok(())
    }
}

/// The problem with a preference.
pub(super) fn wrong(detail: &str) -> Error {
    Error::field("/Prefer", "unknown_value", format!("Prefer: {detail}"))
}

/// Splits at a separator that stands in no quoted text.
fn split(text: &str, separator: char) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|char| {
        let escape = quoted && char == '\\' && !escaped;
        quoted ^= char == '"' && !escaped;
        escaped = escape;
        char == separator && !quoted
    })
    .collect()
}

fn unquote(value: &str) -> String {
    let value = value.trim();
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let mut escaped = false;
    let keep = |char: &char| {
        escaped = *char == '\\' && !escaped;
        !escaped
    };
    inner.chars().filter(keep).collect()
}

/// A request's wishes, and what became of them.
struct Exchange {
    wishes: Result<Preferences, Error>,
    applied: Mutex<Vec<String>>,
}

tokio::task_local! {
    static EXCHANGE: Arc<Exchange>;
}

/// The layer: reads the wishes, and names in the answer those that it follows.
pub(super) async fn negotiate(request: Request, next: Next) -> Response {
    let wishes = Preferences::read(request.headers());
    let exchange = Arc::new(Exchange { wishes, applied: Mutex::default() });
    let mut response = EXCHANGE.scope(Arc::clone(&exchange), next.run(request)).await;
    let applied = exchange.applied.lock().unwrap_or_else(PoisonError::into_inner).join(", ");
    if let (false, Ok(applied)) = (applied.is_empty(), HeaderValue::from_str(&applied)) {
        response.headers_mut().insert(APPLIED, applied);
    }
    response.headers_mut().append(header::VARY, HeaderValue::from_static("prefer"));
    response
}

/// The wishes of the request that this task serves; none outside the layer.
pub(super) fn current() -> Result<Preferences, Error> {
    EXCHANGE.try_with(|exchange| exchange.wishes.clone()).unwrap_or_else(|_| Ok(Preferences::default()))
}

/// Notes that a wish was followed.
pub(super) fn note(name: &str, value: impl Display) {
    // Outside the layer there is no header to name it in.
    let _ = EXCHANGE.try_with(|exchange| {
        exchange.applied.lock().unwrap_or_else(PoisonError::into_inner).push(format!("{name}={value}"));
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(values: &[&str]) -> Result<Preferences, Error> {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(PREFER, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
        }
        Preferences::read(&headers)
    }

    #[test]
    fn preferences_are_read_as_the_rfc_writes_them() {
        let all = Preferences {
            code: Some("404".to_owned()),
            example: Some("a,b;\"c".to_owned()),
            dynamic: true,
            seed: Some(7),
            wait: Some(Duration::from_millis(1500)),
        };
        for values in [
            &[r#"code=404, example="a,b;\"c", dynamic=true, seed=7, wait=1.5"#][..],
            &[r#"Code = "404"; x=y , EXAMPLE="a,b;\"c""#, "dynamic,seed=7;,wait=1.5,wait=9", "code=500"],
        ] {
            assert_eq!(read(values).as_ref(), Ok(&all), "{values:?}");
        }
        for none in [&[][..], &[""], &["respond-async, return=minimal", ",;,"], &["dynamic=false"]] {
            assert_eq!(read(none), Ok(Preferences::default()), "{none:?}");
        }
        assert_eq!(read(&["wait=1e300"]).expect("lowered").wait, Some(MAX_WAIT));
        assert_eq!(read(&["wait=61"]).expect("lowered").wait, Some(MAX_WAIT));
    }

    #[test]
    fn a_value_that_can_not_be_is_refused() {
        for wrong in ["wait=soon", "wait=-1", "wait=NaN", "wait", "seed=-1", "seed=x", "dynamic=yes", "code=\u{fc}"] {
            let error = read(&[wrong]).expect_err(wrong);
            assert_eq!(error.errors[0].pointer, "/Prefer", "{wrong}");
        }
    }
}
