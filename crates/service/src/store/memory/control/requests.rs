//! Requests with an idempotency key.

use crate::store::{Idempotency, IdempotencyKey, StoreError, StoredReply};
use docket_contract::{JobId, Timestamp};
use memchr::memmem;
use std::collections::HashMap;

/// Largest body of an answer that is kept.
const MAX_BODY: usize = 1 << 20;
/// Most requests that are kept.
const MOST_REQUESTS: usize = 100_000;
/// Bytes of answers from which on none is kept: their requests are then made again when they are repeated.
const MOST_BYTES: usize = 64 << 20;

/// All of them, by organization and key.
#[derive(Default)]
pub(super) struct Requests {
    known: HashMap<(String, String), Known>,
    /// Bytes of the answers.
    bytes: usize,
}

struct Known {
    hash: [u8; 32],
    /// The run in which it is in flight.
    run: Option<JobId>,
    job: JobId,
    begun_at: Timestamp,
    reply: Option<StoredReply>,
}

impl Known {
    fn bytes(&self) -> usize {
        self.reply.as_ref().map_or(0, |reply| reply.body.len())
    }
}

fn name(key: &IdempotencyKey) -> (String, String) {
    (key.organization.clone(), key.key.clone())
}

impl Requests {
    /// Begins a request.
    pub(super) fn begin(&mut self, key: &IdempotencyKey, id: JobId, now: Timestamp) -> Result<Idempotency, StoreError> {
        let Some(known) = self.known.get_mut(&name(key)) else {
            if self.known.len() >= MOST_REQUESTS {
                return Err(StoreError::Full);
            }
            let begun = Known { hash: key.request_hash, run: Some(key.run), job: id, begun_at: now, reply: None };
            self.known.insert(name(key), begun);
            return Ok(Idempotency::Proceed(id));
        };
        Ok(match &known.reply {
            _ if known.hash != key.request_hash => Idempotency::Different,
            Some(reply) => Idempotency::Answered(reply.clone()),
            None if known.run == Some(key.run) => Idempotency::InFlight,
            None => {
                known.run = Some(key.run);
                Idempotency::Proceed(known.job)
            }
        })
    }

    /// Keeps the answer of a request that is in flight in the key's run, or forgets the request. Of an answer that is
    /// too large only the job's id is kept.
    pub(super) fn end(&mut self, key: &IdempotencyKey, reply: Option<StoredReply>) {
        let name = name(key);
        let in_flight =
            |known: &&mut Known| known.hash == key.request_hash && known.run == Some(key.run) && known.reply.is_none();
        let Some(known) = self.known.get_mut(&name).filter(in_flight) else { return };
        match reply {
            Some(reply) if reply.body.len() <= MAX_BODY && self.bytes + reply.body.len() <= MOST_BYTES => {
                self.bytes += reply.body.len();
                known.reply = Some(reply);
            }
            Some(_) => known.run = None,
            None => {
                self.known.remove(&name);
            }
        }
    }

    /// Forgets answers that hold one of these texts, by ascending key.
    pub(super) fn forget_answers(
        &mut self,
        organization: &str,
        texts: &[Vec<u8>],
        after: &str,
        limit: usize,
    ) -> Option<String> {
        let behind = self.known.keys().filter(|(of, key)| of == organization && key.as_str() > after);
        let mut behind: Vec<_> = behind.cloned().collect();
        behind.sort_unstable();
        behind.truncate(limit);
        for name in &behind {
            let Some(known) = self.known.get_mut(name) else { continue };
            let holds = |reply: &StoredReply| texts.iter().any(|text| memmem::find(&reply.body, text).is_some());
            if known.reply.as_ref().is_some_and(holds) {
                self.bytes -= known.bytes();
                (known.reply, known.run) = (None, None);
            }
        }
        behind.pop().filter(|_| behind.len() + 1 == limit).map(|(_, key)| key)
    }

    /// Forgets old requests, the oldest first.
    pub(super) fn forget(&mut self, before: Timestamp, limit: usize) -> usize {
        let mut old: Vec<_> = self.known.iter().filter(|(_, known)| known.begun_at < before).collect();
        old.sort_by_key(|(_, known)| known.begun_at);
        let names: Vec<_> = old.into_iter().take(limit).map(|(name, _)| name.clone()).collect();
        for name in &names {
            self.bytes -= self.known.remove(name).map_or(0, |known| known.bytes());
        }
        names.len()
    }
}
