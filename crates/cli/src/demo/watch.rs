//! Watching the job until it ends.

use docket_client::{Client, ClientError};
use docket_contract::operations::{JobInput, ReadJob, ReadJobLog, ReadJobLogInput};
use docket_contract::{Job, JobId};
use indicatif::{ProgressBar, ProgressStyle};
use std::time::Duration;

/// How often the job is asked for.
const POLL: Duration = Duration::from_millis(100);
/// Lines of the log that are shown when a job did not finish.
const LOG_LINES: i32 = 30;

/// Shows a bar on standard error, where that is a terminal, until the job has ended.
pub async fn until_ended(client: &Client, job: JobId) -> Result<Job, ClientError> {
    let bar = ProgressBar::new(100);
    if let Ok(style) = ProgressStyle::with_template("             [{bar:30}] {percent:>3} %  {elapsed}  {msg}") {
        bar.set_style(style.progress_chars("=> "));
    }
    let ended = poll(client, job, |job| {
        bar.set_position(u64::try_from(job.progress).unwrap_or(0));
        let message = job.status_message.clone().unwrap_or_else(|| job.status.name().to_owned());
        bar.set_message(crate::output::cut(&message, 40));
    })
    .await;
    bar.finish_and_clear();
    ended
}

/// The same without showing anything.
pub async fn quietly_until_ended(client: &Client, job: JobId) -> Result<Job, ClientError> {
    poll(client, job, |_| {}).await
}

async fn poll(client: &Client, job_id: JobId, mut seen: impl FnMut(&Job)) -> Result<Job, ClientError> {
    loop {
        let job = client.call::<ReadJob>(&JobInput { job_id }).await?;
        seen(&job);
        if job.status.is_terminal() {
            return Ok(job);
        }
        tokio::time::sleep(POLL).await;
    }
}

/// The end of a job's log, or why there is none.
pub async fn log_tail(client: &Client, job_id: JobId) -> String {
    let log =
        client.call::<ReadJobLog>(&ReadJobLogInput { tail: Some(LOG_LINES), ..ReadJobLogInput::of(job_id) }).await;
    match log {
        Ok(log) if log.trim().is_empty() => "(the job wrote nothing)".to_owned(),
        Ok(log) => log,
        Err(error) => format!("(the log can't be read: {error})"),
    }
}
