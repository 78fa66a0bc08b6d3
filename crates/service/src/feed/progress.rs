//! Thins out reports of progress: at most one a job and interval is told, the newest wins. Best effort: over the bound
//! reports of further jobs are not told.

use docket_contract::operations::ProgressEvent;
use docket_contract::{JobId, Status};
use std::collections::HashMap;
use std::time::Duration;
use tokio::time::Instant;

/// Shortest time between two reports of a job that are told.
pub(super) const INTERVAL: Duration = Duration::from_secs(1);
/// Most jobs whose reports are thinned out at a time.
const MOST_JOBS: usize = 10_000;

/// A report.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Report {
    pub(super) organization: String,
    pub(super) status: Status,
    pub(super) event: ProgressEvent,
}

struct Paced {
    /// Before that nothing is told.
    free_at: Instant,
    waiting: Option<Report>,
}

/// The jobs that reported lately.
#[derive(Default)]
pub(super) struct Progress {
    jobs: HashMap<JobId, Paced>,
    /// When to look again, if that is to be done.
    next: Option<Instant>,
}

impl Progress {
    /// A report has come. Answers it if it is to be told at once.
    pub(super) fn offer(&mut self, report: Report, now: Instant) -> Option<Report> {
        let job = report.event.job_id;
        if let Some(paced) = self.jobs.get_mut(&job) {
            if paced.free_at > now {
                paced.waiting = Some(report);
                return None;
            }
            *paced = Paced { free_at: now + INTERVAL, waiting: None };
            return Some(report);
        }
        if self.jobs.len() >= MOST_JOBS {
            return None;
        }
        self.jobs.insert(job, Paced { free_at: now + INTERVAL, waiting: None });
        self.next.get_or_insert(now + INTERVAL);
        Some(report)
    }

    /// The report of a job that waits, before something else is told of the job.
    pub(super) fn take(&mut self, job: JobId) -> Option<Report> {
        self.jobs.get_mut(&job)?.waiting.take()
    }

    /// When [`Progress::due`] is to be asked.
    pub(super) fn next(&self) -> Option<Instant> {
        self.next
    }

    /// The reports whose time has come.
    pub(super) fn due(&mut self, now: Instant) -> Vec<Report> {
        let mut due = Vec::new();
        self.jobs.retain(|_, paced| {
            if paced.free_at > now {
                return true;
            }
            paced.free_at = now + INTERVAL;
            let report = paced.waiting.take();
            let keep = report.is_some();
            due.extend(report);
            keep
        });
        self.next = (!self.jobs.is_empty()).then(|| now + INTERVAL / 4);
        due
    }

    /// Nobody listens any more.
    pub(super) fn clear(&mut self) {
        *self = Self::default();
    }
}
