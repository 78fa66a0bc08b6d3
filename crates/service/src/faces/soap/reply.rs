//! Answers of operations as envelopes.

use super::encode::{self, Broken, Stream, TextStream};
use super::model::{Entry, Model};
use super::names::{TARGET, Version};
use crate::faces::common::response::response;
use crate::handler::Encoded;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use docket_contract::operations::Operation;
use docket_contract::{Code, Error, Reply};
use futures_util::StreamExt;
use futures_util::stream::{self, BoxStream};
use std::sync::Arc;

/// The answer of an operation that succeeded.
pub(super) fn success<O: Operation>(
    model: &Arc<Model>,
    entry: usize,
    version: Version,
    reply: Reply<O::Output, Encoded>,
) -> Result<Response, Error> {
    let row = &model.entries[entry];
    match reply {
        Reply::Typed(output) => {
            let json = serde_json::to_vec(&output).map_err(|error| failed(O::NAME, &error))?;
            let mut out = Vec::with_capacity(json.len() * 2 + 512);
            out.extend_from_slice(head(row, version).as_bytes());
            encode::value(model, &row.output, &json, &mut out)
                .map_err(|Broken| failed(O::NAME, &"not as its schema"))?;
            out.extend_from_slice(tail(row).as_bytes());
            Ok(response(200, version.content_type(), out))
        }
        // The table promises that such an operation has no SOAP form.
        Reply::File(_) => Err(failed(O::NAME, &"a file has no XML form")),
        Reply::Encoded(encoded) => {
            let progress = if O::MEDIA_TYPE == "application/json" {
                Progress::Json(Stream::new())
            } else {
                Progress::Text(TextStream::default())
            };
            let pieces = Pieces {
                model: Arc::clone(model),
                entry,
                source: encoded.stream,
                progress: Some(progress),
                waiting: head(row, version).into_bytes(),
            };
            let stream = stream::try_unfold(pieces, Pieces::next);
            Ok(response(200, version.content_type(), Body::from_stream(stream)))
        }
    }
}

fn head(row: &Entry, version: Version) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"{}\"><soap:Body><{}Response xmlns=\"{TARGET}\">",
        version.namespace(),
        row.name
    )
}

fn tail(row: &Entry) -> String {
    format!("</{}Response></soap:Body></soap:Envelope>", row.name)
}

fn failed(operation: &str, error: &dyn std::fmt::Display) -> Error {
    tracing::error!(%error, operation, "answer can't be encoded");
    Error::new(Code::Internal, "The server failed; its log has the reason.")
}

enum Progress {
    Json(Stream),
    Text(TextStream),
}

/// An answer that streams.
struct Pieces {
    model: Arc<Model>,
    entry: usize,
    source: BoxStream<'static, Result<Bytes, Error>>,
    /// `None` once the end was written.
    progress: Option<Progress>,
    /// Written, but not sent yet.
    waiting: Vec<u8>,
}

impl Pieces {
    /// The next piece. After an error the answer is broken off, as in REST: its status is on the wire already.
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, Error> {
        let model = Arc::clone(&self.model);
        let row = &model.entries[self.entry];
        let broken = |Broken| failed(row.name, &"not as its schema");
        let mut out = std::mem::take(&mut self.waiting);
        let first = !out.is_empty();
        if let (true, Some(Progress::Text(_))) = (first, &self.progress) {
            out.extend_from_slice(row.output.open.as_bytes());
        }
        loop {
            let Some(progress) = &mut self.progress else { return Ok(None) };
            let Some(piece) = self.source.next().await else { break };
            let piece = piece.inspect_err(|error| tracing::error!(%error, "answer broken off"))?;
            // A little more than the piece: names of elements stand twice.
            out.reserve(piece.len() + piece.len() / 4);
            let before = out.len();
            match progress {
                Progress::Json(stream) => stream.take(&model, &row.output, &piece, &mut out).map_err(broken)?,
                Progress::Text(stream) => stream.take(&piece, &mut out),
            }
            if out.len() - before >= piece.len() / 2 && piece.len() > 1024 {
                return Ok(Some((Bytes::from(out), self)));
            }
        }
        match self.progress.take() {
            Some(Progress::Json(stream)) => stream.finish(&model, &row.output, &mut out).map_err(broken)?,
            Some(Progress::Text(stream)) => {
                stream.finish(&mut out);
                out.extend_from_slice(row.output.close.as_bytes());
            }
            None => return Ok(None),
        }
        out.extend_from_slice(tail(row).as_bytes());
        Ok(Some((Bytes::from(out), self)))
    }
}
