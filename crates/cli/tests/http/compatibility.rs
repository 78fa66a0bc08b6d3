//! What real clients of this vendor send, replayed against the real binary byte for byte: a table of request shapes, and
//! what each must bring. A shape that breaks here breaks somebody's client.
//!
//! Requests are written by hand and sent over a plain socket, because a library would put them right.

mod bodies;
mod headers;
mod paging;
mod parameters;
mod raw;
mod vendor;

use crate::support::{Server, record};
use raw::{Answer, exchange};
use serde_json::{Value, json};

/// One row: what is sent, and what must come back.
struct Shape {
    what: &'static str,
    head: String,
    body: Vec<u8>,
    status: u16,
    gives: Vec<(&'static str, Value)>,
    lacks: Vec<&'static str>,
    headers: Vec<(&'static str, &'static str)>,
    ignored: &'static str,
}

impl Shape {
    /// A request line as it is, `{job}` being the stocked job. Success is expected, and nothing ignored.
    fn of(what: &'static str, line: &str) -> Self {
        Self {
            what,
            head: format!("{line} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n"),
            body: Vec::new(),
            status: 200,
            gives: Vec::new(),
            lacks: Vec::new(),
            headers: Vec::new(),
            ignored: "",
        }
    }

    /// A GET of the stocked job's results; `query` follows `storageId=s`.
    fn results(what: &'static str, query: &str) -> Self {
        Self::of(what, &format!("GET /jobs/{{job}}/results?storageId=s{query}"))
    }

    /// A POST of JSON.
    fn post(what: &'static str, target: &str, body: &str) -> Self {
        Self::of(what, &format!("POST {target}")).header("Content-Type: application/json").body(body.as_bytes())
    }

    /// An insert into the stocked job's second storage.
    fn insert(what: &'static str, body: &str) -> Self {
        Self::post(what, "/jobs/{job}/results?storageId=t", body)
    }

    fn header(mut self, line: &str) -> Self {
        self.head.push_str(line);
        self.head.push_str("\r\n");
        self
    }

    fn body(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self.header(&format!("Content-Length: {}", body.len()))
    }

    /// A body without its length: it is framed already.
    fn framed(mut self, body: &[u8]) -> Self {
        self.body = body.to_vec();
        self
    }

    fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    fn gives(mut self, pointer: &'static str, value: impl Into<Value>) -> Self {
        self.gives.push((pointer, value.into()));
        self
    }

    fn lacks(mut self, pointer: &'static str) -> Self {
        self.lacks.push(pointer);
        self
    }

    fn answers(mut self, name: &'static str, value: &'static str) -> Self {
        self.headers.push((name, value));
        self
    }

    fn ignores(mut self, names: &'static str) -> Self {
        self.ignored = names;
        self
    }

    /// Sends it and tells what is wrong with the answer.
    async fn wrong(&self, stock: &Stock) -> Vec<String> {
        let mut request = self.head.replace("{job}", &stock.job).into_bytes();
        request.extend_from_slice(b"\r\n");
        request.extend_from_slice(&self.body);
        let answer: Answer = exchange(&stock.server, &request).await;
        let mut wrong = Vec::new();
        if answer.status != self.status {
            wrong.push(format!("status {}: {}", answer.status, answer.text()));
            return wrong;
        }
        let json: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
        for (pointer, expected) in &self.gives {
            let found = json.pointer(pointer);
            if found != Some(expected) {
                wrong.push(format!("{pointer} is {found:?}, not {expected}"));
            }
        }
        for pointer in &self.lacks {
            if let Some(found) = json.pointer(pointer) {
                wrong.push(format!("{pointer} is {found}, and should be absent"));
            }
        }
        for (name, expected) in &self.headers {
            if answer.header(name) != *expected {
                wrong.push(format!("{name} is {:?}, not {expected:?}", answer.header(name)));
            }
        }
        if answer.header("docket-ignored-fields") != self.ignored {
            wrong.push(format!("ignored {:?}, not {:?}", answer.header("docket-ignored-fields"), self.ignored));
        }
        wrong
    }
}

/// A server with something to find.
struct Stock {
    server: Server,
    job: String,
}

impl Stock {
    /// A job with twelve results in storage `s`: r0 to r8 by three sources, every third of them FAILED, and three ids
    /// that need care. Two further jobs, younger each.
    async fn new() -> Self {
        let server = Server::with(&["--slots", "0"]).await;
        let job = server
            .start_job(json!({"dockerImageUrl": "host", "resultStorageId": "s", "name": "first", "tags": ["a", "b"]}))
            .await;
        let mut records: Vec<Value> = (0..9)
            .map(|number| {
                let mut record = record(&format!("r{number}"));
                record["dataSourceId"] = json!(format!("source-{}", number % 3));
                record["status"] = json!(if number % 3 == 0 { "FAILED" } else { "OK" });
                record
            })
            .collect();
        records.extend(["a,b", "x+y", "ü/1 %"].map(record));
        server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": records})).await.ok();
        for (name, tags) in [("second", json!(["b"])), ("third", json!(["c"]))] {
            server.start_job(json!({"dockerImageUrl": "host", "name": name, "tags": tags})).await;
        }
        Self { server, job }
    }

    /// Plays a table and tells of everything that is wrong at once.
    #[track_caller]
    fn play(&self, shapes: Vec<Shape>) -> impl Future<Output = ()> {
        let caller = std::panic::Location::caller();
        async move {
            let mut wrong = Vec::new();
            for shape in &shapes {
                wrong.extend(shape.wrong(self).await.into_iter().map(|what| format!("{}: {what}", shape.what)));
            }
            assert!(!shapes.is_empty() && wrong.is_empty(), "{caller}\n{}", wrong.join("\n"));
        }
    }
}
