//! Reading how a job ended.

use super::super::{Method, Operation, Resource, example_job, example_job_id, example_storage, run};
use super::{JobInput, ReadJobHistory};
use crate::caller::Role;
use crate::error::Code;
use crate::history::{Actor, Cause, JobEvent};
use crate::job::JobId;
use crate::result::ResultStatus;
use crate::state::Status;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most lines of log in a report (D).
pub const REPORT_LOG_LINES: usize = 50;
/// Longest line of log in a report, in bytes of UTF-8 (D): all lines together have less than 64 KiB.
pub const REPORT_LINE_BYTES: usize = 1280;
/// Most transitions in a report, the newest (D).
pub const REPORT_TRANSITIONS: usize = 100;
/// Storages that a report looks into (D).
pub const REPORT_STORAGES: usize = 100;

// (D)
/// Read Job Report.
pub struct ReadJobReport;

/// How a job ended, and what is known of why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobReport {
    /// The job.
    pub job_id: JobId,
    /// How it ended.
    pub status: Status,
    /// Why, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// The number of the last attempt; 0 if there was none.
    #[schema(example = 1)]
    pub attempt: i32,
    /// Exit code of the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// The signal that ended the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = 9)]
    pub signal: Option<i32>,
    /// Whether it was killed because it used more memory than its limit.
    pub out_of_memory: bool,
    /// Whether it was stopped because its time limit was over.
    pub timed_out: bool,
    /// The most memory that the last attempt used at a time, in bytes, as far as its executor can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_peak_bytes: Option<i64>,
    /// Its memory limit, in bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory_limit_bytes: Option<i64>,
    /// Processor time of the last attempt, in milliseconds, as far as its executor can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpu_time_ms: Option<i64>,
    /// Milliseconds for which the last attempt waited in the queue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub queue_time_ms: Option<i64>,
    /// Milliseconds for which the last attempt ran.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_time_ms: Option<i64>,
    /// When the job was started by its user.
    pub created_at: Timestamp,
    /// When the last attempt began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// Results that the job has written, over all storages.
    #[schema(example = 12000)]
    pub results_written: i64,
    /// How many of them have the verdict FAILED.
    #[schema(example = 17)]
    pub results_failed: i64,
    /// The newest result: the one that was created last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_record: Option<LastRecord>,
    /// The last lines of the last attempt's log, 50 at most; a line is cut at 1280 bytes.
    #[schema(max_items = 50, example = json!(["java.lang.OutOfMemoryError: Java heap space"]))]
    pub log_lines: Vec<String>,
    /// The transitions, oldest first: the newest 100.
    #[schema(max_items = 100)]
    pub transitions: Vec<JobEvent>,
}

/// The newest result of a job, without what was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct LastRecord {
    /// The result's id.
    #[schema(example = "5712566172571652")]
    pub id: String,
    /// The storage that it lies in.
    #[schema(example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The ID managed in the customer's systems.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "ERP-0000001")]
    pub external_id: Option<String>,
    /// ID of the business partner.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_partner_id: Option<String>,
    /// The verdict.
    pub status: ResultStatus,
    /// A message for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// When it was last written.
    pub modified_at: Timestamp,
}

impl Operation for ReadJobReport {
    const NAME: &'static str = "readJobReport";
    const TITLE: &'static str = "Read Job Report";
    const DESCRIPTION: &'static str = "Read how a job ended and what is known of why: exit code or signal, memory and processor time, durations, the \
        last lines of its log, the last record that it wrote, and its transitions. For a job that has not ended there is \
        none yet.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/jobs/{jobId}/report";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[Code::NotFound, Code::JobNotEnded, Code::StorageDamaged];
    type Input = JobInput;
    type Output = JobReport;

    fn example() -> (Self::Input, Self::Output) {
        let job = example_job();
        let ended = job.created_at.plus_millis(61_000);
        let message = "The job was killed: it used more memory than its limit.".to_owned();
        let mut transitions = ReadJobHistory::example().1.values;
        transitions.push(JobEvent {
            id: "4790".to_owned(),
            job_id: job.id,
            at: ended,
            attempt: 1,
            from: Status::Running,
            to: Status::Died,
            cause: Cause::OutOfMemory,
            actor: Actor::EXECUTOR,
            message: Some(message.clone()),
            exit_code: None,
            signal: None,
            memory_peak_bytes: Some(1 << 30),
            cpu_time_ms: Some(54_310),
        });
        let last_record = LastRecord {
            id: "5712566172571653".to_owned(),
            storage_id: example_storage(),
            external_id: Some("ERP-0012000".to_owned()),
            business_partner_id: Some("63e635235c06b7396330fe40".to_owned()),
            status: ResultStatus::Failed,
            message: Some("The address has no country.".to_owned()),
            modified_at: job.created_at.plus_millis(60_500),
        };
        let output = JobReport {
            job_id: job.id,
            status: Status::Died,
            status_message: Some(message),
            attempt: 1,
            exit_code: None,
            signal: None,
            out_of_memory: true,
            timed_out: false,
            memory_peak_bytes: Some(1 << 30),
            memory_limit_bytes: Some(1 << 30),
            cpu_time_ms: Some(54_310),
            queue_time_ms: Some(1000),
            run_time_ms: Some(60_000),
            created_at: job.created_at,
            started_at: job.started_at,
            finished_at: Some(ended),
            results_written: 12_000,
            results_failed: 17,
            last_record: Some(last_record),
            log_lines: vec!["java.lang.OutOfMemoryError: Java heap space".to_owned()],
            transitions,
        };
        (JobInput { job_id: example_job_id() }, output)
    }

    run!(read_job_report);
}
