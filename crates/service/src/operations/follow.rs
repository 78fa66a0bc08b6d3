//! Following a log while it is written: what is there, then what comes, through the attempts of a job.

use super::logs::{internal, take_text};
use super::{Service, scope};
use crate::engine::Engine;
use crate::executors::{ExecutorError, LogRange, LogReader};
use crate::feed::{Growth, Listener, frame};
use crate::handler::Encoded;
use crate::store::{ControlStore, Scope, StoredJob};
use bytes::Bytes;
use docket_contract::operations::{EVENT_STREAM, EndEvent, LogPlace, Operation, ReadJobLog, ReadJobLogInput};
use docket_contract::{Caller, Error, JobId, Status};
use futures_util::stream;
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::sleep;

/// How long a reader of events hears nothing.
const QUIET: Duration = Duration::from_secs(15);

/// One who follows a log.
struct Follow {
    control: Arc<dyn ControlStore>,
    engine: Engine,
    growth: Growth,
    scope: Scope,
    job: StoredJob,
    listener: Listener,
    /// Whether the answer is events.
    events: bool,
    /// Only this attempt.
    only: bool,
    attempt: u32,
    /// Where the next piece begins.
    range: LogRange,
    reader: Option<LogReader>,
    /// How many bytes there are; only while the attempt goes on.
    grown: Option<watch::Receiver<u64>>,
    /// Bytes that were read and not told yet: the beginning of a character, or a carriage return.
    rest: Vec<u8>,
    ready: VecDeque<Bytes>,
    done: bool,
}

/// Begins to follow. The job is the caller's.
pub(super) fn begin(
    service: &Service,
    caller: &Caller,
    job: StoredJob,
    input: &ReadJobLogInput,
    start: LogPlace,
    range: LogRange,
) -> Result<Encoded, Error> {
    let events = input.as_events();
    let listener = service.feed.watch_job(job.job.id)?;
    let follow = Follow {
        control: service.control.clone(),
        engine: service.engine.clone(),
        growth: service.growth.clone(),
        scope: scope(caller),
        job,
        listener,
        events,
        only: input.attempt.is_some(),
        attempt: start.attempt,
        range,
        reader: None,
        grown: None,
        rest: Vec::new(),
        ready: if events { VecDeque::from([frame::OPENING]) } else { VecDeque::new() },
        done: false,
    };
    let pieces =
        stream::try_unfold(follow, |mut follow| async move { Ok(follow.next().await?.map(|piece| (piece, follow))) });
    Ok(Encoded::live(if events { EVENT_STREAM } else { ReadJobLog::MEDIA_TYPE }, pieces))
}

impl Follow {
    /// The next piece of the answer; `None` at its end.
    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.done {
                return Ok(None);
            }
            if self.listener.is_closed() {
                self.done = true;
                if self.events {
                    self.ready.push_back(frame::STOPPING);
                }
                continue;
            }
            self.step().await?;
        }
    }

    async fn step(&mut self) -> Result<(), Error> {
        if self.attempt == 0 {
            match self.present() {
                0 if self.job.job.status.is_terminal() => self.end(),
                0 => self.wait().await?,
                present => self.attempt = present,
            }
            return Ok(());
        }
        // Known before the log is read: what an attempt has written is all there when it is over.
        let over = self.present() != self.attempt || !self.job.claimed;
        if self.read().await? {
            return Ok(());
        }
        if !over {
            if self.grown.is_none() {
                self.grown = Some(self.growth.follow(&self.engine, &self.job, self.attempt)?);
            }
            return self.wait().await;
        }
        self.grown = None;
        self.tell(true);
        if self.only || self.job.job.status.is_terminal() && self.present() == self.attempt {
            self.end();
        } else if self.present() > self.attempt {
            self.attempt += 1;
            self.range = LogRange::Whole;
            self.rest = format!("[docket: attempt {}]\n", self.attempt).into_bytes();
            self.tell_at(true, 0);
        } else {
            // There may be another attempt.
            self.wait().await?;
        }
        Ok(())
    }

    /// The number of the job's newest attempt.
    fn present(&self) -> u32 {
        u32::try_from(self.job.job.attempt).unwrap_or_default()
    }

    /// Reads the next chunk; false if there is none at present.
    async fn read(&mut self) -> Result<bool, Error> {
        if self.reader.is_none() {
            match self.engine.read_log(&self.job, self.attempt, self.range).await {
                Ok(reader) => self.reader = Some(reader),
                // Not started yet, or it never wrote a byte.
                Err(ExecutorError::NoLog(_)) => return Ok(false),
                Err(error) => return Err(internal(&error)),
            }
        }
        let Some(reader) = &mut self.reader else { return Ok(false) };
        let chunk = reader.chunk().await.map_err(|error| internal(&error))?;
        self.range = LogRange::From { position: reader.position() };
        match chunk {
            Some(chunk) => {
                self.rest.extend_from_slice(&chunk);
                self.tell(false);
                Ok(true)
            }
            None => {
                self.reader = None;
                Ok(false)
            }
        }
    }

    /// Makes what was read ready; the beginning of a character only if it is all that will come.
    fn tell(&mut self, all: bool) {
        let position = match self.range {
            LogRange::From { position } => position,
            LogRange::Whole | LogRange::Tail { .. } => 0,
        };
        self.tell_at(all, position);
    }

    /// The same, of what was read up to a position.
    fn tell_at(&mut self, all: bool, position: u64) {
        let text = take_text(&mut self.rest, all, self.events);
        if text.is_empty() {
            return;
        }
        self.ready.push_back(if self.events {
            let position = position.saturating_sub(self.rest.len() as u64);
            frame::log(LogPlace { attempt: self.attempt, position }, &text)
        } else {
            text.into()
        });
    }

    /// Waits until there is more, or the job has changed, or somebody must be told that the server is there.
    async fn wait(&mut self) -> Result<(), Error> {
        let seen = match self.range {
            LogRange::From { position } => position,
            LogRange::Whole | LogRange::Tail { .. } => 0,
        };
        let grown = async {
            match &mut self.grown {
                // The sender goes only when its last receiver has gone.
                Some(grown) => drop(grown.wait_for(|end| *end > seen).await),
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = grown => {}
            () = self.listener.changed() => self.look().await?,
            () = sleep(QUIET) => if self.events {
                self.ready.push_back(frame::HEARTBEAT);
            },
        }
        Ok(())
    }

    /// Reads the job again.
    async fn look(&mut self) -> Result<(), Error> {
        match self.control.read_job(&self.scope, self.job.job.id).await? {
            Some(job) => self.job = job,
            None => self.end_with(None),
        }
        Ok(())
    }

    fn end(&mut self) {
        let status = self.job.job.status;
        self.end_with(Some(status));
    }

    fn end_with(&mut self, status: Option<Status>) {
        let job_id: JobId = self.job.job.id;
        self.done = true;
        if self.events {
            self.ready.push_back(frame::end(&EndEvent { job_id, status }));
        }
    }
}
