//! What server and supervisor say to each other: frames of a four-byte big-endian length and that many bytes of JSON.
//! Owns the version, the messages and their bounds; knows no socket.
//!
//! The first frame each way is a `Hello`. Its field `protocol` never changes its meaning; a side that reads another
//! version than its own closes the connection. Everything else may change with the version.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::policy::Policy;
use crate::executors::{AttemptKey, Launch, Observed};

/// The version that this build speaks.
pub const PROTOCOL: u32 = 2;

/// Most bytes of JSON in a frame. A launch with the largest environment that the API takes (512 kB) fits even when
/// every byte of it is escaped.
pub const FRAME_LIMIT: usize = 16 * 1024 * 1024;

/// Most observations in one frame.
pub const OBSERVED_PER_FRAME: usize = 512;

/// Server to supervisor. `call` comes back in the answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// The greeting.
    Hello(Hello),
    /// Start attempts.
    Launch {
        /// Comes back in the answer.
        call: u64,
        /// What to start, in this order.
        launches: Vec<Launch>,
    },
    /// End an attempt.
    Cancel {
        /// Comes back in the answer.
        call: u64,
        /// Which attempt.
        key: AttemptKey,
        /// Milliseconds between the polite signal and the kill.
        grace_ms: u64,
    },
    /// Tell everything that is known.
    List {
        /// Comes back in the answer.
        call: u64,
    },
    /// Drop the records of these ends.
    Forget {
        /// Comes back in the answer.
        call: u64,
        /// Which attempts.
        keys: Vec<AttemptKey>,
    },
}

/// The server's greeting.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Hello {
    /// The version that the sender speaks.
    pub protocol: u32,
    /// Most processes at once.
    #[serde(default)]
    pub max_running: u32,
    /// The rules for attempts that are started from now on.
    #[serde(default)]
    pub policy: Policy,
}

/// Supervisor to server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Reply {
    /// The greeting.
    Hello {
        /// The version that the sender speaks.
        protocol: u32,
        /// The supervisor's process id.
        #[serde(default)]
        pid: i32,
    },
    /// Another server has connected; the connection closes.
    Replaced,
    /// It was carried out.
    Done {
        /// Comes back in the answer.
        call: u64,
    },
    /// It was not carried out.
    Failed {
        /// Comes back in the answer.
        call: u64,
        /// Why not.
        failure: Failure,
    },
    /// A part of the answer to `List`.
    Listed {
        /// Comes back in the answer.
        call: u64,
        /// The attempts.
        observed: Vec<Observed>,
        /// Whether another part follows.
        more: bool,
    },
    /// What has changed.
    Events {
        /// The attempts.
        observed: Vec<Observed>,
    },
}

/// Why a request was not carried out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Failure {
    /// A bound was reached.
    Full(String),
    /// The supervisor is stopping or can not write its journal.
    Refused(String),
}

/// A frame that can't be sent or understood.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// It is over the limit.
    #[error("a frame of {bytes} bytes is over the limit of {FRAME_LIMIT}")]
    TooLarge {
        /// Its size in bytes.
        bytes: usize,
    },
    /// It is no message.
    #[error("a frame is not understood: {0}")]
    Json(#[from] serde_json::Error),
}

/// Appends one frame to `out`; on an error `out` is as before.
pub fn encode<T: Serialize>(message: &T, out: &mut Vec<u8>) -> Result<(), FrameError> {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    if let Err(e) = serde_json::to_writer(&mut *out, message) {
        out.truncate(start);
        return Err(e.into());
    }
    let bytes = out.len() - start - 4;
    match u32::try_from(bytes) {
        Ok(length) if bytes <= FRAME_LIMIT => {
            out[start..start + 4].copy_from_slice(&length.to_be_bytes());
            Ok(())
        }
        _ => {
            out.truncate(start);
            Err(FrameError::TooLarge { bytes })
        }
    }
}

/// Cuts a stream of bytes into frames. Holds at most one frame and what was read beyond it.
#[derive(Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
}

impl Decoder {
    /// Takes bytes as they came from the socket.
    pub fn feed(&mut self, bytes: &[u8]) {
        if self.start > 0 && self.start == self.buffer.len() {
            self.buffer.clear();
            self.start = 0;
        } else if self.start > 1024 * 1024 {
            self.buffer.drain(..self.start);
            self.start = 0;
        }
        self.buffer.extend_from_slice(bytes);
    }

    /// The next whole frame, if there is one.
    pub fn next_frame<T: DeserializeOwned>(&mut self) -> Result<Option<T>, FrameError> {
        let rest = &self.buffer[self.start..];
        let Some((prefix, body)) = rest.split_first_chunk::<4>() else {
            return Ok(None);
        };
        let bytes = u32::from_be_bytes(*prefix) as usize;
        if bytes > FRAME_LIMIT {
            return Err(FrameError::TooLarge { bytes });
        }
        let Some(body) = body.get(..bytes) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(body)?;
        self.start += 4 + bytes;
        Ok(Some(message))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frames_survive_any_cut() {
        let messages: Vec<Request> = (0..50)
            .map(|n| match n % 2 {
                0 => Request::List { call: n },
                _ => Request::Hello(Hello { protocol: 1, max_running: 3, ..Hello::default() }),
            })
            .collect();
        let mut stream = Vec::new();
        for message in &messages {
            encode(message, &mut stream).unwrap();
        }
        proptest!(|(cuts in proptest::collection::vec(1usize..40, 1..200))| {
            let mut decoder = Decoder::default();
            let mut seen = Vec::new();
            let mut rest = &stream[..];
            for cut in cuts.iter().cycle() {
                let (now, later) = rest.split_at((*cut).min(rest.len()));
                decoder.feed(now);
                while let Some(message) = decoder.next_frame::<Request>().unwrap() {
                    seen.push(message);
                }
                rest = later;
                if rest.is_empty() {
                    break;
                }
            }
            prop_assert_eq!(&seen, &messages);
        });
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_both_ways() {
        let mut out = vec![1, 2, 3];
        let message = Reply::Failed { call: 1, failure: Failure::Full("x".repeat(FRAME_LIMIT)) };
        assert!(matches!(encode(&message, &mut out), Err(FrameError::TooLarge { .. })));
        assert_eq!(out, [1, 2, 3]);
        let mut decoder = Decoder::default();
        decoder.feed(&u32::MAX.to_be_bytes());
        assert!(matches!(decoder.next_frame::<Reply>(), Err(FrameError::TooLarge { .. })));
    }

    #[test]
    fn a_greeting_of_another_version_is_read() {
        let mut stream = Vec::new();
        let later = serde_json::json!({"Hello": {"protocol": 9, "cells": ["a"]}});
        encode(&later, &mut stream).unwrap();
        let mut decoder = Decoder::default();
        decoder.feed(&stream);
        let read: Option<Request> = decoder.next_frame().unwrap();
        assert_eq!(read, Some(Request::Hello(Hello { protocol: 9, ..Hello::default() })));
    }
}
