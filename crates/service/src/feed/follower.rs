//! One who follows events: from the store as long as it is behind, then as they are told.

use super::topics::{Key, Read, Told};
use super::{Feed, Listener, frame};
use crate::store::Scope;
use bytes::{Bytes, BytesMut};
use docket_contract::{Error, JobId, Status};
use std::time::Duration;
use tokio::time::{Instant, sleep_until};

/// Most events that are read from the store in one step.
const STEP: usize = 256;
/// How long a follower hears nothing.
const QUIET: Duration = Duration::from_secs(15);

/// Whose events.
#[derive(Clone, Debug)]
pub enum Whose {
    /// One job's.
    Job(Scope, JobId),
    /// Those of all jobs of a scope.
    Jobs(Scope),
}

/// What a follower gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// Server-sent events, whole.
    Frames(Bytes),
    /// The job has ended, and all that it did was told; without a status it was deleted.
    Ended(Option<Status>),
    /// Nothing has happened for a while.
    Quiet,
    /// The feed was closed.
    Closed,
}

/// One who follows.
pub struct Follower {
    listener: Listener,
    whose: Whose,
    /// Only of these statuses; empty for all.
    statuses: Vec<Status>,
    /// The id of the newest event that was told, or passed over.
    position: u64,
    /// The store is to be read up to this event.
    behind: Option<u64>,
    /// The job has ended; only of a follower of one job.
    ended: Option<Status>,
}

impl Feed {
    /// Follows events behind the event `after`, or from now on. `ended` is the status of a job that has ended already.
    ///
    /// # Errors
    /// `overloaded` over the bound of listeners, `shutting_down` once the feed is closed.
    pub fn follow(
        &self,
        whose: Whose,
        statuses: Vec<Status>,
        after: Option<u64>,
        ended: Option<Status>,
    ) -> Result<Follower, Error> {
        let key = match &whose {
            Whose::Job(_, id) => Key::Job(*id),
            Whose::Jobs(Scope::Organization(organization)) => Key::Organization(organization.clone()),
            Whose::Jobs(Scope::Everything) => Key::Everything,
        };
        let mut listener = self.listen(key)?;
        let told = listener.skip();
        // What is committed and not told yet was before now, too.
        let committed = *listener.shared.control.newest_event().borrow();
        let position = after.unwrap_or(committed.max(told));
        let behind = after.map(|_| told);
        Ok(Follower { listener, whose, statuses, position, behind, ended })
    }
}

impl Follower {
    /// What comes next; waits for it.
    ///
    /// # Errors
    /// The store can't be read. Nothing was passed over.
    pub async fn next(&mut self) -> Result<Next, Error> {
        let quiet = Instant::now() + QUIET;
        loop {
            if self.listener.is_closed() {
                return Ok(Next::Closed);
            }
            if let Some(until) = self.behind {
                // Boxed, for it is large, and most of the time a follower waits below.
                match Box::pin(self.catch_up(until)).await? {
                    None => return Ok(Next::Ended(None)),
                    Some(frames) if !frames.is_empty() => return Ok(Next::Frames(frames)),
                    Some(_) => continue,
                }
            }
            if self.ended.is_some() {
                return Ok(Next::Ended(self.ended));
            }
            match self.listener.read() {
                Read::Behind => {
                    self.behind = Some(self.listener.skip());
                    continue;
                }
                Read::Gone => return Ok(Next::Ended(None)),
                Read::Told(told) if !told.is_empty() => {
                    let frames = self.take(told);
                    if !frames.is_empty() {
                        return Ok(Next::Frames(frames));
                    }
                    continue;
                }
                Read::Told(_) => {}
            }
            tokio::select! {
                () = self.listener.changed() => {}
                () = sleep_until(quiet) => return Ok(Next::Quiet),
            }
        }
    }

    /// Frames of what was told, without what was told before or is not asked for.
    fn take(&mut self, told: Vec<Told>) -> Bytes {
        let mut frames = Vec::with_capacity(told.len());
        for Told { id, status, frame, .. } in told {
            if let Some(id) = id {
                if self.is_over(status) {
                    self.ended = Some(status);
                }
                if id <= self.position {
                    continue;
                }
                self.position = id;
            }
            if self.wants(status) {
                frames.push(frame);
            }
        }
        joined(frames)
    }

    /// The next step through the store, up to the event `until`; `None` if the job is not there any more.
    async fn catch_up(&mut self, until: u64) -> Result<Option<Bytes>, Error> {
        let shared = self.listener.shared.clone();
        // The semaphore is never closed.
        let _turn = shared.catching_up.acquire().await;
        let mut frames = Vec::new();
        let done = match &self.whose {
            Whose::Job(scope, id) => {
                let Some(page) = shared.control.job_events(scope, *id, self.position, STEP).await? else {
                    return Ok(None);
                };
                for event in &page.events {
                    // Ids of events are numbers.
                    self.position = event.id.parse().unwrap_or(self.position);
                    if self.is_over(event.to) {
                        self.ended = Some(event.to);
                    }
                    if self.wants(event.to) {
                        frames.push(frame::transition(event));
                    }
                }
                !page.more
            }
            Whose::Jobs(scope) => {
                let events = shared.control.events_after(self.position, STEP).await?;
                for stored in &events {
                    self.position = stored.id;
                    let seen = match scope {
                        Scope::Everything => true,
                        Scope::Organization(organization) => *organization == stored.organization,
                    };
                    if seen && self.wants(stored.event.to) {
                        frames.push(frame::transition(&stored.event));
                    }
                }
                events.len() < STEP || self.position >= until
            }
        };
        if done {
            self.position = self.position.max(until);
            self.behind = None;
        }
        Ok(Some(joined(frames)))
    }

    fn is_over(&self, status: Status) -> bool {
        matches!(self.whose, Whose::Job(..)) && status.is_terminal()
    }

    fn wants(&self, status: Status) -> bool {
        self.statuses.is_empty() || self.statuses.contains(&status)
    }
}

/// Frames as one piece; a single one is not copied.
fn joined(mut frames: Vec<Bytes>) -> Bytes {
    if frames.len() <= 1 {
        return frames.pop().unwrap_or_default();
    }
    let mut whole = BytesMut::with_capacity(frames.iter().map(Bytes::len).sum());
    frames.iter().for_each(|frame| whole.extend_from_slice(frame));
    whole.freeze()
}
