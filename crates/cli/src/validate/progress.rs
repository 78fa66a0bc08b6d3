//! The job's reports on itself: progress and message, at most once a second.

use crate::failure::Failure;
use crate::output::{self, say};
use docket_client::{Client, ClientError, RetryPolicy};
use docket_contract::JobId;
use docket_contract::operations::{UpdateJob, UpdateJobInput};
use std::time::{Duration, Instant};

/// The least time between two reports.
const PERIOD: Duration = Duration::from_secs(1);

/// Reports for one job.
#[derive(Debug)]
pub struct Reporter {
    client: Client,
    job: JobId,
    attempt: Option<i32>,
    size: u64,
    done: u64,
    bytes_read: u64,
    last: Instant,
}

impl Reporter {
    /// Reports on a file of `size` bytes.
    pub fn new(client: Client, job: JobId, attempt: Option<i32>, size: u64) -> Self {
        // A report in between is not worth waiting for.
        let client = client.with_retry(RetryPolicy::NONE);
        Self { client, job, attempt, size, done: 0, bytes_read: 0, last: Instant::now() }
    }

    /// Records that are written.
    pub fn done(&self) -> u64 {
        self.done
    }

    /// More records are written. Fails only when the server says that this attempt is over.
    pub async fn advance(&mut self, records: u64, bytes_read: u64) -> Result<(), Failure> {
        self.done += records;
        // Answers overtake each other.
        self.bytes_read = self.bytes_read.max(bytes_read);
        if self.last.elapsed() < PERIOD {
            return Ok(());
        }
        self.last = Instant::now();
        let message = format!("{} records checked", output::count(self.done));
        match self.report(percent(self.bytes_read, self.size), message).await {
            Err(error) if is_over(&error) => Err(error.into()),
            Err(error) => {
                say!("a report of progress failed: {error}");
                Ok(())
            }
            Ok(()) => Ok(()),
        }
    }

    /// All is written.
    pub async fn finish(&mut self, records: u64, failed: u64) -> Result<(), Failure> {
        let message = format!("{} records checked, {} failed", output::count(records), output::count(failed));
        self.client = self.client.clone().with_retry(super::RETRY);
        Ok(self.report(100, message).await?)
    }

    async fn report(&self, progress: i32, message: String) -> Result<(), ClientError> {
        let report = UpdateJobInput {
            job_id: self.job,
            name: None,
            description: None,
            labels: None,
            tags: None,
            priority: None,
            progress: Some(progress),
            status_message: Some(message),
            attempt: self.attempt,
        };
        self.client.call::<UpdateJob>(&report).await.map(drop)
    }
}

/// Whether it makes no sense to go on.
fn is_over(error: &ClientError) -> bool {
    matches!(error.code(), Some("job_ended" | "stale_attempt" | "forbidden" | "unauthenticated" | "not_found"))
}

/// How much of the file is done; 100 is kept for the end.
fn percent(bytes_read: u64, size: u64) -> i32 {
    let share = bytes_read as f64 / size.max(1) as f64;
    ((share * 100.0) as i32).clamp(0, 99)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_is_below_100_until_the_end() {
        assert_eq!(percent(0, 0), 0);
        assert_eq!(percent(5, 10), 50);
        assert_eq!(percent(10, 10), 99);
        assert_eq!(percent(11, 10), 99);
    }
}
