//! When what happened goes to disk, and is told from then on.

use std::time::{Duration, Instant};

use super::Supervisor;
use crate::executors::process::protocol::{Failure, OBSERVED_PER_FRAME, Reply};

/// While more attempts wait for their turn, ends and acceptances are gathered for so long before they go to disk; and starts
/// that nobody waits for are told no sooner.
const GATHER: Duration = Duration::from_millis(4);
/// After a failed write of the journal.
const JOURNAL_RETRY: Duration = Duration::from_millis(500);

impl Supervisor {
    /// Makes durable what waits for it, at once when there is nothing to gather, and says so.
    pub(super) fn commit_if_due(&mut self, now: Instant) {
        let to_tell = self.table.has_untold() && self.wire.has_server();
        // A start alone is no hurry: a short program's end, soon behind it, tells both.
        let hurries = self.uncommitted || !self.answers.is_empty();
        if !hurries && !to_tell {
            // What was gathered for a server that has gone waits for the next one: no time is due before.
            self.commit_at = None;
            return;
        }
        let waits = self.journal.is_broken() || self.table.has_queued() || !hurries;
        match self.commit_at {
            Some(at) if waits && now < at => {}
            None if waits => self.commit_at = Some(now + GATHER),
            _ => self.commit(now),
        }
    }

    pub(super) fn commit(&mut self, now: Instant) {
        self.commit_at = None;
        let long = self.journal.is_long(self.table.len() * 2);
        let written = match self.journal.is_broken() || long {
            true => self.journal.rewrite(&self.table.records(self.boot.clone())),
            false if self.uncommitted => self.journal.sync(),
            false => Ok(()),
        };
        if let Err(e) = written {
            return self.journal_failed(&e, now);
        }
        self.uncommitted = false;
        self.table.release_fresh();
        for call in self.answers.drain(..) {
            self.wire.send(&Reply::Done { call });
        }
        while self.table.has_untold() && self.wire.wants_events() {
            let observed = self.table.take_untold(OBSERVED_PER_FRAME);
            if !observed.is_empty() {
                self.wire.send(&Reply::Events { observed });
            }
        }
    }

    /// What was to be accepted is refused; what has ended stays in memory until the journal can be written again.
    pub(super) fn journal_failed(&mut self, error: &std::io::Error, now: Instant) {
        tracing::error!("writing the journal: {error}");
        self.journal.mark_broken();
        self.table.reject_fresh();
        let failure = Failure::Refused(format!("the supervisor can't write its journal: {error}"));
        for call in self.answers.drain(..) {
            let failure = failure.clone();
            self.wire.send(&Reply::Failed { call, failure });
        }
        self.uncommitted = true;
        self.commit_at = Some(now + JOURNAL_RETRY);
    }

    /// Writes what need not be durable but should survive this process.
    pub(super) fn write_behind(&mut self) {
        if !self.journal.is_broken()
            && let Err(e) = self.journal.flush()
        {
            self.journal_failed(&e, Instant::now());
        }
    }
}
