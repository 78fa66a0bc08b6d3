//! Webhooks of a job: which urls may be told of what happens to it.
//!
//! Only what a url says by itself is checked here. Which addresses may be reached is for whoever connects.

use crate::lenient;
use crate::state::Status;
use crate::validate::Problems;
use serde::{Deserialize, Serialize};
use url::Url;
use utoipa::ToSchema;

/// Most webhooks of a job (D).
pub const MAX_WEBHOOKS: usize = 8;
/// Longest url of a webhook, in characters (D).
pub const MAX_WEBHOOK_URL_CHARS: usize = 2048;

// (D)
/// An address that is told of what happens to a job, by Standard Webhooks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Webhook {
    /// Where to POST: `http` or `https`, without user, password and fragment; port 80, 443, or one from 1024 on.
    #[schema(
        min_length = 1,
        max_length = 2048,
        pattern = "^[Hh][Tt][Tt][Pp][Ss]?://[^#]+$",
        example = "https://hooks.example/docket"
    )]
    pub url: String,
    /// The statuses to tell of; none for the four that end a job.
    #[serde(default, deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub events: Vec<WebhookEvent>,
    /// Tell of an end only if records have newly failed since the previous run: the newest finished one before it of the
    /// same scheduled job; of a rerun the job that it reruns.
    #[serde(default, deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    pub only_regressions: Option<bool>,
}

/// A status whose begin a webhook can be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum WebhookEvent {
    /// Something holds the job back.
    Waiting,
    /// Nothing holds the job back.
    Scheduled,
    /// An attempt is up.
    Running,
    /// The executor can't be reached.
    Unknown,
    /// The job ended with exit code 0.
    Finished,
    /// The job ended with another exit code, or ran out of time.
    Failed,
    /// The job was killed or lost.
    Died,
    /// The job was canceled.
    Canceled,
}

impl WebhookEvent {
    /// The status.
    pub fn status(self) -> Status {
        match self {
            WebhookEvent::Waiting => Status::Waiting,
            WebhookEvent::Scheduled => Status::Scheduled,
            WebhookEvent::Running => Status::Running,
            WebhookEvent::Unknown => Status::Unknown,
            WebhookEvent::Finished => Status::Finished,
            WebhookEvent::Failed => Status::Failed,
            WebhookEvent::Died => Status::Died,
            WebhookEvent::Canceled => Status::Canceled,
        }
    }
}

impl Webhook {
    /// Whether it is to be told that a job got this status.
    pub fn wants(&self, status: Status) -> bool {
        if self.events.is_empty() {
            return status.is_terminal();
        }
        self.events.iter().any(|event| event.status() == status)
    }

    /// Whether it is to be told of ends with newly failed records only.
    pub fn tells_regressions_only(&self) -> bool {
        self.only_regressions == Some(true)
    }

    pub(super) fn validate(&self, problems: &mut Problems, pointer: &str) {
        if self.tells_regressions_only() && self.events.iter().any(|event| !event.status().is_terminal()) {
            let detail = "must name ends only (FINISHED, FAILED, DIED, CANCELED) beside onlyRegressions";
            problems.add(format!("{pointer}/events"), "not_supported", detail);
        }
        let pointer = format!("{pointer}/url");
        if self.url.chars().count() > MAX_WEBHOOK_URL_CHARS {
            problems.text(&pointer, Some(&self.url), 0, MAX_WEBHOOK_URL_CHARS);
        } else if let Err(reason) = check_webhook_url(&self.url) {
            problems.add(pointer, "invalid_format", reason);
        }
    }
}

/// A webhook's url with all hidden but scheme, host and port: the rest may be a secret.
pub fn mask_webhook_url(url: &str) -> String {
    match check_webhook_url(url) {
        Ok(url) => format!("{}/***", url.origin().ascii_serialization()),
        Err(_) => "***".to_owned(),
    }
}

/// Reads the url of a webhook, as browsers read it (WHATWG URL): `http://0x7f.1` is `http://127.0.0.1`.
///
/// # Errors
/// What is wrong with it, as the rest of a sentence that begins with its name.
pub fn check_webhook_url(text: &str) -> Result<Url, String> {
    if text.chars().any(|character| character.is_whitespace() || character.is_control()) {
        return Err("must not hold spaces and control characters".to_owned());
    }
    let url = Url::parse(text).map_err(|error| format!("must be a URL with a scheme and a host: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(format!("must begin with http:// or https://, not {}:", url.scheme()));
    }
    if url.host_str().is_none_or(str::is_empty) {
        return Err("must name a host".to_owned());
    }
    if !url.username().is_empty() || url.password().is_some() || authority(text).contains('@') {
        return Err("must not hold a user or a password".to_owned());
    }
    if url.fragment().is_some() {
        return Err("must not hold a fragment".to_owned());
    }
    // Ports below 1024 are those of mail, of remote shells and the like: nobody receives webhooks there.
    match url.port_or_known_default() {
        Some(80 | 443 | 1024..) => Ok(url),
        _ => Err("must have port 80, 443, or one from 1024 to 65535".to_owned()),
    }
}

/// What stands between the scheme and the path.
fn authority(text: &str) -> &str {
    let rest = text.split_once("://").map_or(text, |(_, rest)| rest);
    rest.split(['/', '?', '#', '\\']).next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_checked() {
        for good in [
            "http://a.example",
            "HTTPS://a.example:443/x?y=z@",
            "https://[2001:db8::1]:8443/",
            "http://127.0.0.1:1024/@x",
            "https://müller.example/",
        ] {
            assert!(check_webhook_url(good).is_ok(), "{good}: {:?}", check_webhook_url(good));
        }
        for (bad, sign) in [
            ("", "must be a URL"),
            ("/path", "must be a URL"),
            ("https://", "must be a URL"),
            ("ftp://a.example/", "must begin with http"),
            ("mailto:a@b.example", "must begin with http"),
            ("https://u:p@a.example/", "user"),
            ("https://@a.example/", "user"),
            ("https://a.example/#x", "fragment"),
            ("https://a.example/#", "fragment"),
            ("http://a.example:25/", "port"),
            ("http://a.example:0/", "port"),
            ("https://a.exa mple/", "spaces"),
            ("https://a.example/\r\nx: y", "spaces"),
        ] {
            let reason = check_webhook_url(bad).expect_err(bad);
            assert!(reason.contains(sign), "{bad}: {reason}");
        }
        let host = |text| check_webhook_url(text).expect(text).host_str().map(str::to_owned);
        assert_eq!(host("http://0x7f.1:8000/"), Some("127.0.0.1".to_owned()));
        assert_eq!(host("http://2130706433:8000/"), Some("127.0.0.1".to_owned()));
    }

    #[test]
    fn the_ends_are_told_unless_said_otherwise() {
        let hook = |events: &[WebhookEvent]| Webhook {
            url: "https://a.example".to_owned(),
            events: events.to_vec(),
            only_regressions: None,
        };
        for status in Status::ALL {
            assert_eq!(hook(&[]).wants(status), status.is_terminal());
            assert_eq!(hook(&[WebhookEvent::Running]).wants(status), status == Status::Running);
        }
    }
}
