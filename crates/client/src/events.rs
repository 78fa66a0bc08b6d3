//! Following server-sent events (WHATWG HTML, 9.2): a stream that breaks off is opened again where it was left.

use super::{Answer, Client, ClientError, Request, request};
use docket_contract::Operation;
use docket_contract::history::JobEvent;
use docket_contract::operations::{
    END_EVENT, EndEvent, LAST_EVENT_ID, PROGRESS_EVENT, ProgressEvent, TRANSITION_EVENT,
};
use futures_util::Stream;
use futures_util::stream::try_unfold;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;
use std::time::Instant;

/// Longest event, in bytes.
const MAX_EVENT: usize = 16 * 1024 * 1024;

/// A server-sent event.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Event {
    /// Where to go on behind it; an event that is not told again has none.
    pub id: Option<String>,
    /// What it is.
    pub name: String,
    /// What it says.
    pub data: String,
}

/// What an event says of a job.
#[derive(Clone, Debug, PartialEq)]
pub enum Update {
    /// It got another status.
    Transition(JobEvent),
    /// It reported its progress.
    Progress(ProgressEvent),
    /// There is nothing more to tell.
    End(EndEvent),
    /// Something that this client does not know; a newer server may tell more.
    Other,
}

impl Event {
    /// Reads what it says of a job.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when its data is something else.
    pub fn update(&self) -> Result<Update, ClientError> {
        match self.name.as_str() {
            TRANSITION_EVENT => self.json().map(Update::Transition),
            PROGRESS_EVENT => self.json().map(Update::Progress),
            END_EVENT => self.json().map(Update::End),
            _ => Ok(Update::Other),
        }
    }

    fn json<T: DeserializeOwned>(&self) -> Result<T, ClientError> {
        serde_json::from_str(&self.data)
            .map_err(|error| ClientError::Decode(format!("an event {}: {error}", self.name)))
    }
}

/// The events of an operation, one after another.
#[derive(Debug)]
pub struct Events<O> {
    client: Client,
    fields: Map<String, Value>,
    answer: Option<Answer>,
    parser: Parser,
    /// Attempts since the last event.
    repetitions: u32,
    heard: Instant,
    over: bool,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> Events<O> {
    pub(super) fn of(client: Client, input: &O::Input) -> Result<Self, ClientError> {
        if !O::HEADERS.contains(&LAST_EVENT_ID) {
            return Err(ClientError::Url(format!("{} tells no events", O::NAME)));
        }
        Ok(Self {
            client,
            fields: request::fields::<O>(input)?,
            answer: None,
            parser: Parser::default(),
            repetitions: 0,
            heard: Instant::now(),
            over: false,
            operation: PhantomData,
        })
    }

    /// The next event; `None` behind the one named `end`. A stream that breaks off is opened again behind the last event
    /// that had an id, as often and as long as the client's [`super::RetryPolicy`] allows without a sign of life.
    ///
    /// # Errors
    /// See [`ClientError`]. After an error it can be asked again.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        while !self.over {
            if let Some(event) = self.parser.next() {
                if let Some(id) = &event.id {
                    self.fields.insert("lastEventId".to_owned(), Value::String(id.clone()));
                }
                self.over = event.name == END_EVENT;
                (self.repetitions, self.heard) = (0, Instant::now());
                return Ok(Some(event));
            }
            if let Err(error) = self.more().await {
                self.answer = None;
                let left = self.client.retry.budget.saturating_sub(self.heard.elapsed());
                let delay = error
                    .may_repeat(true)
                    .and_then(|wish| self.client.retry.delay(self.repetitions, wish, left, fastrand::f64()));
                let Some(delay) = delay else { return Err(error) };
                tracing::debug!(%error, ?delay, "opening {} again", O::NAME);
                self.repetitions += 1;
                tokio::time::sleep(delay).await;
            }
        }
        Ok(None)
    }

    /// Reads on.
    async fn more(&mut self) -> Result<(), ClientError> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            closed => {
                self.parser = Parser::default();
                let request = Request::from_fields::<O>(self.fields.clone())?;
                closed.insert(self.client.open_request(&request).await?)
            }
        };
        match answer.next().await? {
            Some(part) => {
                // A heartbeat is a sign of life, too.
                self.heard = Instant::now();
                self.parser.take(&part)
            }
            None => Err(ClientError::Transport("the stream ended".to_owned())),
        }
    }

    /// The events as a stream, which ends behind `end` or at the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Event, ClientError>> + Send {
        try_unfold(self, async |mut events| Ok(events.next().await?.map(|event| (event, events))))
    }

    /// What they say of jobs, as a stream, which ends behind `end` or at the first error.
    pub fn updates(self) -> impl Stream<Item = Result<Update, ClientError>> + Send {
        try_unfold(self, async |mut events| {
            let Some(event) = events.next().await? else { return Ok(None) };
            Ok(Some((event.update()?, events)))
        })
    }
}

/// Takes a stream apart.
#[derive(Debug, Default)]
struct Parser {
    bytes: Vec<u8>,
    /// How much of the bytes is used up.
    used: usize,
    event: Event,
    has_data: bool,
}

impl Parser {
    fn take(&mut self, part: &[u8]) -> Result<(), ClientError> {
        self.bytes.drain(..self.used);
        self.used = 0;
        self.bytes.extend_from_slice(part);
        if self.bytes.len() + self.event.data.len() > MAX_EVENT {
            return Err(ClientError::Decode(format!("an event has more than {MAX_EVENT} bytes")));
        }
        Ok(())
    }

    /// The next whole event.
    fn next(&mut self) -> Option<Event> {
        loop {
            let rest = &self.bytes[self.used..];
            let length = memchr::memchr(b'\n', rest)?;
            let line = String::from_utf8_lossy(&rest[..length]);
            let line = line.strip_suffix('\r').unwrap_or(&line).to_owned();
            self.used += length + 1;
            if line.is_empty() {
                let event = std::mem::take(&mut self.event);
                // A block without data is no event.
                if std::mem::take(&mut self.has_data) {
                    return Some(event);
                }
                continue;
            }
            let (name, value) = line.split_once(':').unwrap_or((&line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            match name {
                "id" => self.event.id = Some(value.to_owned()),
                "event" => self.event.name = value.to_owned(),
                "data" => {
                    if self.has_data {
                        self.event.data.push('\n');
                    }
                    self.has_data = true;
                    self.event.data.push_str(value);
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{answer, scripted};
    use docket_contract::JobId;
    use docket_contract::operations::{StreamJobEvents, StreamJobEventsInput};

    #[test]
    fn events_survive_every_cut() {
        let text =
            "retry: 5\n\n:\n\nid: 7\nevent: a\ndata: one\ndata: \ndata:  two\n\nevent: b\r\ndata: ü\r\n\r\nid: 9\n\n";
        let event = |id: Option<&str>, name: &str, data: &str| Event {
            id: id.map(str::to_owned),
            name: name.to_owned(),
            data: data.to_owned(),
        };
        let expected = [event(Some("7"), "a", "one\n\n two"), event(None, "b", "ü")];
        for cut in 0..=text.len() {
            let mut parser = Parser::default();
            let mut found = Vec::new();
            for part in [&text.as_bytes()[..cut], &text.as_bytes()[cut..]] {
                parser.take(part).expect("short");
                found.extend(std::iter::from_fn(|| parser.next()));
            }
            assert_eq!(found, expected, "cut at {cut}");
        }
    }

    #[tokio::test]
    async fn a_stream_that_breaks_off_is_opened_again_behind_its_last_event() {
        let first = "retry: 1\n\nid: 4\nevent: other\ndata: 1\n\nevent: other\ndata: 2\n\nid: 5\nevent: oth";
        let second = format!("id: 5\nevent: other\ndata: 3\n\nevent: end\ndata: {{\"jobId\":\"{}\"}}\n\n", JobId::NONE);
        let (url, requests) = scripted(vec![answer("200 OK", "", first), answer("200 OK", "", &second)]).await;
        let client = Client::new(&url, None).expect("a client");
        let input = StreamJobEventsInput { job_id: JobId::NONE, last_event_id: None };
        let mut events = client.events::<StreamJobEvents>(&input).expect("events");
        let mut seen = Vec::new();
        while let Some(event) = events.next().await.expect("an event") {
            seen.push(event);
        }
        assert_eq!(seen.iter().map(|event| event.data.as_str()).take(3).collect::<Vec<_>>(), ["1", "2", "3"]);
        assert_eq!(seen[3].update(), Ok(Update::End(EndEvent { job_id: JobId::NONE, status: None })));
        let requests = requests.lock().expect("no panic");
        assert_eq!(requests.len(), 2);
        assert!(requests[1].starts_with("get /jobs/") && requests[1].contains("lasteventid=4"), "{:?}", requests[1]);
    }
}
