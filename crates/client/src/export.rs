//! Receiving a whole result set as a file, with what the server tells of it checked at the end.
//!
//! NDJSON that breaks off is opened again behind the last whole line, at the same moment. Other formats make sense only as a
//! whole: one that breaks off is an error.

use super::{Answer, Client, ClientError, Request, request};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use docket_contract::Operation;
use docket_contract::operations::{COUNT_HEADER, DIGEST_TRAILER, SNAPSHOT_HEADER};
use http::HeaderMap;
use memchr::{memchr, memchr_iter, memrchr};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::marker::PhantomData;
use std::time::Instant;

/// Longest line, in bytes. Two texts of 65,535 characters fit, also as escapes.
const MAX_LINE: usize = 4 << 20;
/// Begins every line.
const ID: &[u8] = br#"{"id":""#;

/// A file on its way.
#[derive(Debug)]
pub struct Export<O> {
    client: Client,
    /// The fields of the request; of the next one, should the present one break off.
    fields: Map<String, Value>,
    answer: Option<Answer>,
    is_lines: bool,
    /// Parts that may be taken.
    ready: VecDeque<Bytes>,
    /// A line whose end has not come.
    begun: Vec<u8>,
    /// Of the present answer.
    hash: Sha256,
    answered: u64,
    /// Over all answers.
    lines: u64,
    total: Option<u64>,
    snapshot: Option<String>,
    told: Told,
    /// Attempts since something came.
    repetitions: u32,
    heard: Instant,
    over: bool,
    operation: PhantomData<fn() -> O>,
}

/// What the end of a file told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Told {
    /// How many results the server has sent, by its own count; over all answers where one broke off and the file is NDJSON.
    pub count: Option<u64>,
    /// Whether the SHA-256 of the (last) answer was there, and right.
    pub digest: bool,
    /// How often the file broke off and was gone on with.
    pub resumed: u32,
}

impl Client {
    /// Opens an export. NDJSON comes in whole lines.
    ///
    /// # Errors
    /// See [`ClientError`]. An operation that exports nothing does not compile.
    pub async fn export<O: Operation>(&self, input: &O::Input) -> Result<Export<O>, ClientError> {
        const { assert!(!O::TRAILERS.is_empty(), "the operation exports nothing") }
        let fields = request::fields::<O>(input)?;
        let format = fields.get("format").and_then(Value::as_str).unwrap_or("ndjson");
        let is_lines = format == "ndjson";
        let mut export = Export {
            client: self.clone(),
            fields,
            answer: None,
            is_lines,
            ready: VecDeque::new(),
            begun: Vec::new(),
            hash: Sha256::new(),
            answered: 0,
            lines: 0,
            total: None,
            snapshot: None,
            told: Told::default(),
            repetitions: 0,
            heard: Instant::now(),
            over: false,
            operation: PhantomData,
        };
        export.open().await?;
        Ok(export)
    }
}

impl<O: Operation> Export<O> {
    /// How many results will come, where the server knew it before.
    pub fn total(&self) -> Option<u64> {
        self.total
    }

    /// The mark of the export's moment: the `snapshot` of another one at the same moment.
    pub fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
    }

    /// What the end told; complete when [`Export::next`] has answered `None`.
    pub fn told(&self) -> Told {
        self.told
    }

    /// The next part; `None` behind a whole file that is what the server says of it.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when count or SHA-256 are not what the server says: nothing of the file is worth anything.
    /// [`ClientError::Transport`] when it broke off: of NDJSON the client's [`super::RetryPolicy`] has given up.
    pub async fn next(&mut self) -> Result<Option<Bytes>, ClientError> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Ok(Some(part));
            }
            if self.over {
                return Ok(None);
            }
            let error = match self.more().await {
                Ok(()) => continue,
                Err(error) => error,
            };
            let left = self.client.retry.budget.saturating_sub(self.heard.elapsed());
            let delay = error
                .may_repeat(self.is_lines)
                .filter(|_| self.is_lines)
                .and_then(|wish| self.client.retry.delay(self.repetitions, wish, left, fastrand::f64()));
            let Some(delay) = delay else { return Err(error) };
            tracing::debug!(%error, ?delay, "going on with {}", O::NAME);
            self.answer = None;
            self.repetitions += 1;
            tokio::time::sleep(delay).await;
        }
    }

    async fn more(&mut self) -> Result<(), ClientError> {
        let answer = match &mut self.answer {
            Some(answer) => answer,
            None => {
                self.open().await?;
                self.told.resumed += 1;
                return Ok(());
            }
        };
        match answer.next().await? {
            Some(part) => {
                (self.repetitions, self.heard) = (0, Instant::now());
                self.hash.update(&part);
                if self.is_lines {
                    self.take_lines(part)?;
                } else {
                    self.ready.push_back(part);
                }
            }
            None => {
                let trailers = answer.trailers.take().unwrap_or_default();
                self.end(&trailers)?;
            }
        }
        Ok(())
    }

    async fn open(&mut self) -> Result<(), ClientError> {
        let answer = self.client.open_request(&Request::from_fields::<O>(self.fields.clone())?).await?;
        if self.snapshot.is_none() {
            self.total = number(&answer.headers, COUNT_HEADER);
            let mark = answer.headers.get(SNAPSHOT_HEADER).and_then(|mark| mark.to_str().ok());
            if let Some(mark) = mark {
                self.snapshot = Some(mark.to_owned());
                self.fields.insert("snapshot".to_owned(), Value::from(mark));
            }
        }
        self.begun.clear();
        (self.hash, self.answered, self.answer) = (Sha256::new(), 0, Some(answer));
        Ok(())
    }

    /// Takes the whole lines of a part; the beginning of another waits for its end.
    fn take_lines(&mut self, part: Bytes) -> Result<(), ClientError> {
        let Some(last) = memrchr(b'\n', &part) else {
            self.begun.extend_from_slice(&part);
            return match self.begun.len() {
                0..=MAX_LINE => Ok(()),
                _ => Err(ClientError::Decode(format!("{}: a line has more than {MAX_LINE} bytes", O::NAME))),
            };
        };
        let lines = memchr_iter(b'\n', &part).count() as u64;
        let mut whole = part.slice(..=last);
        if !self.begun.is_empty() {
            let end = memchr(b'\n', &whole).unwrap_or(last);
            let mut line = std::mem::take(&mut self.begun);
            line.extend_from_slice(&whole[..=end]);
            self.ready.push_back(line.into());
            whole = whole.slice(end + 1..);
        }
        if !whole.is_empty() {
            self.ready.push_back(whole);
        }
        self.begun.extend_from_slice(&part[last + 1..]);
        self.answered += lines;
        self.lines += lines;
        let id = self.ready.back().and_then(|lines| last_id(lines));
        let id = id.ok_or_else(|| ClientError::Decode(format!("{}: a line does not begin with an id", O::NAME)))?;
        self.fields.insert("startAfter".to_owned(), Value::from(id));
        Ok(())
    }

    /// Checks what the answer's end tells.
    fn end(&mut self, trailers: &HeaderMap) -> Result<(), ClientError> {
        let wrong = |why: String| Err(ClientError::Decode(format!("{}: {why}", O::NAME)));
        let count = number(trailers, COUNT_HEADER);
        if self.is_lines {
            if !self.begun.is_empty() {
                return wrong("the last line has no end".to_owned());
            }
            if let Some(count) = count.filter(|count| *count != self.answered) {
                return wrong(format!("{} results came, the server has sent {count}", self.answered));
            }
            if let Some(total) = self.total.filter(|total| self.told.resumed > 0 && *total != self.lines) {
                return wrong(format!("{} results came in all, of {total}", self.lines));
            }
        }
        if let Some(told) = trailers.get(DIGEST_TRAILER).and_then(|digest| digest.to_str().ok()) {
            let found = format!("sha-256=:{}:", STANDARD.encode(std::mem::take(&mut self.hash).finalize()));
            if told != found {
                return wrong(format!("what came has another SHA-256 ({found}) than what was sent ({told})"));
            }
            self.told.digest = true;
        }
        self.told.count = if self.is_lines { count.map(|_| self.lines) } else { count };
        self.over = true;
        Ok(())
    }
}

fn number(headers: &HeaderMap, name: &str) -> Option<u64> {
    headers.get(name)?.to_str().ok()?.parse().ok()
}

/// The id of the last of some whole lines.
pub fn last_id(lines: &[u8]) -> Option<&str> {
    let lines = lines.strip_suffix(b"\n")?;
    let line = memrchr(b'\n', lines).map_or(lines, |end| &lines[end + 1..]);
    let rest = line.strip_prefix(ID)?;
    let id = str::from_utf8(&rest[..memchr(b'"', rest)?]).ok()?;
    (!id.is_empty() && id.bytes().all(|byte| byte.is_ascii_digit())).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RetryPolicy;
    use crate::testing::{BREAK, scripted};
    use docket_contract::operations::{ExportFormat, ExportJobResults};

    fn line(id: u64) -> String {
        format!("{{\"id\":\"{id}\",\"resultData\":\"\\n\"}}\n")
    }

    /// An answer in chunks, with its trailers.
    fn answer(pieces: &[&str], count: Option<u64>, digest: Option<String>) -> String {
        let mut text = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ntrailer: Docket-Count, Repr-Digest\r\n\
                        docket-snapshot: mark\r\ndocket-count: 4\r\n\r\n"
            .to_owned();
        for piece in pieces {
            text.push_str(&format!("{:x}\r\n{piece}\r\n", piece.len()));
        }
        text.push_str("0\r\n");
        if let Some(count) = count {
            text.push_str(&format!("docket-count: {count}\r\n"));
        }
        if let Some(digest) = digest {
            text.push_str(&format!("repr-digest: {digest}\r\n"));
        }
        text + "\r\n"
    }

    fn digest(text: &str) -> Option<String> {
        Some(format!("sha-256=:{}:", STANDARD.encode(Sha256::digest(text))))
    }

    async fn receive(answers: Vec<String>, format: ExportFormat) -> (Result<(String, Told), ClientError>, Vec<String>) {
        let (url, requests) = scripted(answers).await;
        let mut input = ExportJobResults::example().0;
        input.format = format;
        let client = Client::new(&url, None)
            .expect("a client")
            .with_retry(RetryPolicy { retries: 1, budget: std::time::Duration::from_secs(10) });
        let mut text = Vec::new();
        let received = async {
            let mut export = client.export::<ExportJobResults>(&input).await?;
            assert_eq!((export.total(), export.snapshot()), (Some(4), Some("mark")));
            while let Some(part) = export.next().await? {
                assert!(format != ExportFormat::Ndjson || part.ends_with(b"\n"), "whole lines");
                text.extend_from_slice(&part);
            }
            Ok(export.told())
        };
        let told = received.await;
        let text = String::from_utf8(text).expect("UTF-8");
        let requests = requests.lock().expect("no panic").clone();
        (told.map(|told| (text, told)), requests)
    }

    #[tokio::test]
    async fn what_came_whole_is_checked() {
        let lines: String = (1..=4).map(line).collect();
        let (one, other) = lines.split_at(40);
        let (received, requests) =
            receive(vec![answer(&[one, other], Some(4), digest(&lines))], ExportFormat::Ndjson).await;
        let told = Told { count: Some(4), digest: true, resumed: 0 };
        assert_eq!(received, Ok((lines.clone(), told)));
        assert!(requests[0].contains("te: trailers"), "{}", requests[0]);
        let (received, _) = receive(vec![answer(&[&lines], None, None)], ExportFormat::Csv).await;
        assert_eq!(received, Ok((lines.clone(), Told::default())), "a proxy may keep trailers");
        for (count, told) in [(Some(3), digest(&lines)), (Some(4), digest("other"))] {
            let (received, _) = receive(vec![answer(&[&lines], count, told)], ExportFormat::Ndjson).await;
            assert!(matches!(received, Err(ClientError::Decode(_))), "{received:?}");
        }
    }

    #[tokio::test]
    async fn lines_go_on_where_they_broke_off() {
        let lines: String = (1..=4).map(line).collect();
        let rest: String = (3..=4).map(line).collect();
        // Two lines and a half, and no end.
        let broken = answer(&[&lines[..line(1).len() * 2 + 9]], None, None);
        let broken = format!("{}{BREAK}", broken.strip_suffix("0\r\n\r\n").expect("its end"));
        let whole = |count, text: &str| answer(&[text], Some(count), digest(text));
        let (received, requests) = receive(vec![broken.clone(), whole(2, &rest)], ExportFormat::Ndjson).await;
        assert_eq!(received, Ok((lines.clone(), Told { count: Some(4), digest: true, resumed: 1 })));
        assert!(!requests[0].contains("snapshot="), "{}", requests[0]);
        assert!(requests[1].contains("startafter=2") && requests[1].contains("snapshot=mark"), "{}", requests[1]);
        // A line is missing in what came then, though that is whole by itself.
        let (received, _) = receive(vec![broken.clone(), whole(1, &line(4))], ExportFormat::Ndjson).await;
        assert!(matches!(received, Err(ClientError::Decode(_))), "{received:?}");
        let (received, requests) = receive(vec![broken, whole(4, &lines)], ExportFormat::Csv).await;
        assert!(matches!(received, Err(ClientError::Transport(_))), "{received:?}");
        assert_eq!(requests.len(), 1, "only lines go on");
    }

    #[test]
    fn ids_stand_in_front() {
        assert_eq!(last_id(b"{\"id\":\"7\"}\n{\"id\":\"89\",\"a\":1}\n"), Some("89"));
        assert_eq!(last_id(b"{\"id\":\"7\",\"x\":\"{\\\"id\\\":\\\"8\"}\n"), Some("7"));
        for wrong in [&b""[..], b"\n", b"{\"id\":\"7\"}", b"{\"a\":1}\n", b"{\"id\":\"\"}\n", b"{\"id\":\"x\"}\n"] {
            assert_eq!(last_id(wrong), None);
        }
    }
}
