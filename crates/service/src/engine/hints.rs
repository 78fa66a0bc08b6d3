//! Who is told of what: each hint says that there may be something to do, and is given after what it tells of is durable.
//! A hint that gets lost with the server needs no repetition, because every duty looks once when it begins.

use crate::store::StoredJob;
use crate::store::queue::Limits;
use docket_contract::Status;
use docket_contract::job::JobDependency;
use tokio::sync::{Notify, watch};

/// The hints that the duties of all lanes share.
pub(super) struct Hints {
    limits: Limits,
    /// A job that others depend on has ended.
    pub(super) followed: Notify,
    /// A job waits for a time.
    pub(super) timed: Notify,
    /// A scheduled job has other slots.
    pub(super) scheduled: Notify,
    queued: watch::Sender<()>,
}

impl Hints {
    /// No hints yet.
    pub(super) fn new(limits: Limits) -> Self {
        Self {
            limits,
            followed: Notify::new(),
            timed: Notify::new(),
            scheduled: Notify::new(),
            queued: watch::Sender::new(()),
        }
    }

    /// How many jobs may run at once.
    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Jobs were put into the queue, of whatever executor.
    pub(super) fn queued(&self) {
        self.queued.send_replace(());
    }

    /// Hears that jobs were put into the queue.
    pub(super) fn hear_queued(&self) -> watch::Receiver<()> {
        self.queued.subscribe()
    }

    /// A job was stored, or has another status.
    pub(super) fn changed(&self, stored: &StoredJob) {
        let StoredJob { job, claimed, followed, .. } = stored;
        if job.status.is_terminal() && *followed {
            self.followed.notify_one();
        }
        // A gate on a job that has ended asks for its figures.
        let gated = |dependency: &JobDependency| dependency.max_failed_share.is_some();
        if job.status == Status::Waiting && job.attempt == 0 && job.spec.job_dependencies.iter().any(gated) {
            self.followed.notify_one();
        }
        if job.status == Status::Waiting && (job.attempt > 0 || job.spec.start_at.is_some()) {
            self.timed.notify_one();
        }
        // What it held may be another executor's turn.
        if !claimed && (!self.limits.is_empty() || !job.spec.locks.is_empty()) {
            self.queued();
        }
    }
}
