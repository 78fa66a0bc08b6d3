//! Server-sent events as bytes (WHATWG HTML, 9.2).

use bytes::Bytes;
use docket_contract::history::JobEvent;
use docket_contract::operations::{
    END_EVENT, EndEvent, LOG_EVENT, LogPlace, PROGRESS_EVENT, ProgressEvent, TRANSITION_EVENT,
};
use serde::Serialize;

/// What a stream begins with: how long a client waits before it comes again, in milliseconds.
pub const OPENING: Bytes = Bytes::from_static(b"retry: 2000\n\n");
/// Says that the server is there, and finds out whether the client is.
pub const HEARTBEAT: Bytes = Bytes::from_static(b":\n\n");
/// The last words of a server that stops: the client comes again, with its `Last-Event-ID`.
pub const STOPPING: Bytes = Bytes::from_static(b": the server is stopping\n\n");

/// A transition.
pub fn transition(event: &JobEvent) -> Bytes {
    named(Some(&event.id), TRANSITION_EVENT, event)
}

/// A report of progress.
pub fn progress(event: &ProgressEvent) -> Bytes {
    named(None, PROGRESS_EVENT, event)
}

/// The end of a stream.
pub fn end(event: &EndEvent) -> Bytes {
    named(None, END_EVENT, event)
}

fn named(id: Option<&str>, name: &str, data: &impl Serialize) -> Bytes {
    let mut frame = Vec::with_capacity(512);
    if let Some(id) = id {
        frame.extend_from_slice(b"id: ");
        frame.extend_from_slice(id.as_bytes());
        frame.push(b'\n');
    }
    frame.extend_from_slice(b"event: ");
    frame.extend_from_slice(name.as_bytes());
    frame.extend_from_slice(b"\ndata: ");
    // Writing to memory can't fail; JSON on one line has no line end in it.
    let _ = serde_json::to_writer(&mut frame, data);
    frame.extend_from_slice(b"\n\n");
    frame.into()
}

/// A stretch of a log up to `place`. A line of the text is a line of data; a carriage return ends a line, too, because
/// it does in this format.
pub fn log(place: LogPlace, text: &str) -> Bytes {
    let text = text.replace("\r\n", "\n").replace('\r', "\n");
    let mut frame = format!("id: {place}\nevent: {LOG_EVENT}\n");
    for line in text.split('\n') {
        frame.push_str("data: ");
        frame.push_str(line);
        frame.push('\n');
    }
    frame.push('\n');
    frame.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_survives_but_for_its_carriage_returns() {
        let place = LogPlace { attempt: 2, position: 7 };
        let frame = log(place, "one\r\n two\rthree\n");
        assert_eq!(frame, "id: 2:7\nevent: log\ndata: one\ndata:  two\ndata: three\ndata: \n\n");
    }
}
