//! Events on their way to the one who asks for them. Owns their order and the rule that the newest state is told; knows
//! nothing of where they come from.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use super::{AttemptKey, EVENT_BATCH, ExecutorError, Observed, State};

/// Events that nobody has asked for yet: the newest state of each attempt, in the order in which they were first told.
/// Bounded by the number of attempts that the runner knows.
#[derive(Default)]
pub struct Inbox {
    content: Mutex<Content>,
    changed: Notify,
}

#[derive(Default)]
struct Content {
    order: VecDeque<AttemptKey>,
    states: HashMap<AttemptKey, State>,
    failure: Option<ExecutorError>,
}

impl Inbox {
    /// Takes news.
    pub fn put(&self, observed: Vec<Observed>) {
        let mut content = lock(&self.content);
        for Observed { key, state } in observed {
            if content.states.insert(key, state).is_none() {
                content.order.push_back(key);
            }
        }
        drop(content);
        self.changed.notify_one();
    }

    /// The runner does not answer any more: the reader is told once.
    pub fn fail(&self, failure: ExecutorError) {
        lock(&self.content).failure = Some(failure);
        self.changed.notify_one();
    }

    /// Waits for events or for the end of the connection; what came before the end is told first. Nothing means that
    /// the wake-up was for what an earlier call took.
    pub async fn next(&self) -> Result<Option<Vec<Observed>>, ExecutorError> {
        if let Some(answer) = self.take() {
            return answer.map(Some);
        }
        self.changed.notified().await;
        self.take().transpose()
    }

    fn take(&self) -> Option<Result<Vec<Observed>, ExecutorError>> {
        let mut content = lock(&self.content);
        let n = content.order.len().min(EVENT_BATCH);
        if n == 0 {
            return content.failure.take().map(Err);
        }
        let keys: Vec<AttemptKey> = content.order.drain(..n).collect();
        let events = keys.into_iter().filter_map(|key| {
            let state = content.states.remove(&key)?;
            Some(Observed { key, state })
        });
        Some(Ok(events.collect()))
    }
}

/// A lock whose holder panicked still guards whole values here: each change is one insertion or removal.
fn lock(mutex: &Mutex<Content>) -> MutexGuard<'_, Content> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
