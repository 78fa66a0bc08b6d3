//! Answers that go on: pieces, and server-sent events.

use super::PATIENCE;
use http::{HeaderMap, StatusCode};
use http_body_util::BodyExt;
use hyper::body::Incoming;
use serde_json::Value;

/// An answer that goes on.
pub struct Stream {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub(super) body: Incoming,
    /// What has come and was not taken.
    pub(super) text: String,
}

/// A server-sent event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    pub id: Option<String>,
    pub name: String,
    pub data: String,
}

impl Event {
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.data).unwrap_or_else(|e| panic!("{e}: {self:?}"))
    }
}

impl Stream {
    /// The next piece; `None` at a clean end.
    pub async fn piece(&mut self) -> Option<String> {
        loop {
            let frame = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("in time")?;
            if let Ok(data) = frame.expect("a clean end").into_data() {
                return Some(String::from_utf8_lossy(&data).into_owned());
            }
        }
    }

    /// All bytes that come, whether they end well, and what stands behind them.
    pub async fn into_end(mut self) -> (Vec<u8>, bool, HeaderMap) {
        let (mut bytes, mut trailers) = (Vec::new(), HeaderMap::new());
        while let Some(frame) = tokio::time::timeout(PATIENCE, self.body.frame()).await.expect("in time") {
            let Ok(frame) = frame else { return (bytes, false, trailers) };
            match frame.into_data() {
                Ok(data) => bytes.extend_from_slice(&data),
                Err(frame) => trailers = frame.into_trailers().unwrap_or_default(),
            }
        }
        (bytes, true, trailers)
    }

    /// The next event, without comments and other things that are for no listener; `None` at a clean end.
    pub async fn event(&mut self) -> Option<Event> {
        loop {
            while let Some(end) = self.text.find("\n\n") {
                let block: String = self.text.drain(..end + 2).collect();
                if let Some(event) = parse(&block) {
                    return Some(event);
                }
            }
            let piece = self.piece().await?;
            self.text.push_str(&piece);
        }
    }

    /// All events up to the end.
    pub async fn events(&mut self) -> Vec<Event> {
        let mut events = Vec::new();
        while let Some(event) = self.event().await {
            events.push(event);
        }
        events
    }

    /// All text up to the end.
    pub async fn rest(&mut self) -> String {
        let mut text = std::mem::take(&mut self.text);
        while let Some(piece) = self.piece().await {
            text.push_str(&piece);
        }
        text
    }
}

fn parse(block: &str) -> Option<Event> {
    let field = |name: &str| {
        let values = block.lines().filter_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
        let values: Vec<_> = values.collect();
        (!values.is_empty()).then(|| values.join("\n"))
    };
    Some(Event { id: field("id"), name: field("event")?, data: field("data").unwrap_or_default() })
}
