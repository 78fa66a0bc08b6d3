//! Tells how far the logs of attempts have come: one look at a time for each attempt that is followed, whoever follows.

use crate::engine::Engine;
use crate::executors::{AttemptKey, ExecutorError, LogRange};
use crate::store::StoredJob;
use docket_contract::{Code, Error};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::watch;

/// How often a log is looked at.
const LOOK: Duration = Duration::from_millis(200);
/// Most clients that follow logs that are written.
const MOST: usize = 1000;
/// Most of them at one attempt.
const MOST_OF_ATTEMPT: usize = 100;

/// The logs that are followed. Clones are the same.
#[derive(Clone, Default)]
pub struct Growth {
    attempts: Arc<Mutex<HashMap<AttemptKey, watch::Sender<u64>>>>,
}

impl Growth {
    /// How many bytes an attempt has written, from now on; 0 before the first look.
    ///
    /// # Errors
    /// `overloaded` over the bounds.
    pub fn follow(&self, engine: &Engine, job: &StoredJob, attempt: u32) -> Result<watch::Receiver<u64>, Error> {
        let key = AttemptKey { job_id: job.job.id.0, attempt };
        let mut attempts = self.attempts();
        let full = |most: usize, what: &str| {
            Err(Error::new(Code::Overloaded, format!("More than {most} clients follow {what}.")))
        };
        if attempts.values().map(watch::Sender::receiver_count).sum::<usize>() >= MOST {
            return full(MOST, "logs");
        }
        if let Some(sender) = attempts.get(&key) {
            return if sender.receiver_count() >= MOST_OF_ATTEMPT {
                full(MOST_OF_ATTEMPT, "this log")
            } else {
                Ok(sender.subscribe())
            };
        }
        let (sender, receiver) = watch::channel(0);
        attempts.insert(key, sender);
        tokio::spawn(self.clone().look(engine.clone(), job.clone(), key));
        Ok(receiver)
    }

    /// Looks again and again, until nobody follows any more.
    async fn look(self, engine: Engine, job: StoredJob, key: AttemptKey) {
        loop {
            let end = match engine.read_log(&job, key.attempt, LogRange::Tail { lines: 0 }).await {
                Ok(reader) => Some(reader.position()),
                // Nothing was written yet.
                Err(ExecutorError::NoLog(_)) => None,
                Err(error) => {
                    tracing::debug!(%error, attempt = %key, "looking at a log failed");
                    None
                }
            };
            {
                let mut attempts = self.attempts();
                let Some(sender) = attempts.get(&key) else { return };
                if sender.is_closed() {
                    attempts.remove(&key);
                    return;
                }
                if let Some(end) = end {
                    sender.send_if_modified(|known| std::mem::replace(known, end) != end);
                }
            }
            tokio::time::sleep(LOOK).await;
        }
    }

    fn attempts(&self) -> MutexGuard<'_, HashMap<AttemptKey, watch::Sender<u64>>> {
        self.attempts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
