//! Jobs: what starts one, what one looks like, and the limits of both (api.md section 2).

mod id;
mod limits;
mod parts;
mod share;
mod spec;
mod webhook;

#[cfg(test)]
mod tests;

pub use id::JobId;
pub use limits::{is_job_type, validate_labels};
pub use parts::{DependencyCondition, ExecutorKind, JobDependency, NameValue, Retry, RetryOn, StartJobFeature};
pub use share::{Figures, Share, thousands};
pub use spec::{JobSpec, looks_secret};
pub use webhook::{MAX_WEBHOOK_URL_CHARS, MAX_WEBHOOKS, Webhook, WebhookEvent, check_webhook_url, mask_webhook_url};

use crate::schedule::ScheduledJobId;
use crate::state::Status;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// The `type` values of the vendor that could be read (P); any other `…_JOB` in capitals is a custom type.
pub const KNOWN_TYPES: [&str; 12] = [
    "AML_MAINTENANCE_JOB",
    "BANK_DOCUMENT_DATA_INGESTION_JOB",
    "BANK_TABULAR_DATA_INGESTION_JOB",
    "BANK_TREE_DATA_INGESTION_JOB",
    "BANKACCOUNT_DATA_CONFIRMATION_JOB",
    "BANKACCOUNT_DATA_IMPORT_JOB",
    "BANKACCOUNT_DATA_STATISTICS_JOB",
    "BANKACCOUNT_DATA_WHITELIST_CURATION_JOB",
    "BANKACCOUNT_DATA_WHITELIST_IMPORT_JOB",
    "BATCH_LOOKUP_JOB",
    "DATA_CURATION_JOB",
    "DATA_VALIDATION_JOB",
];

/// Most commands, and most environment variables, of a job (P).
pub const MAX_COMMANDS: usize = 100;
/// Most bytes of all environment variables together, names and values (P: 512 kB).
pub const MAX_ENVIRONMENT_BYTES: usize = 512 * 1024;
/// Most labels, and most tags, of a job (P).
pub const MAX_LABELS: usize = 50;
/// Most dependencies of a job (P).
pub const MAX_DEPENDENCIES: usize = 8;
/// Most locks of a job (D).
pub const MAX_LOCKS: usize = 50;
/// Longest single text (a command, a description), in characters (D).
pub const MAX_TEXT_CHARS: usize = 65_535;
/// Priority of a job that names none (D).
pub const DEFAULT_PRIORITY: i32 = 50;
/// Seconds before the second attempt of a job whose `retry` names no `backoffSeconds` (D).
pub const DEFAULT_BACKOFF_SECONDS: i32 = 10;
/// Longest delay between two attempts of a job whose `retry` names no `maxBackoffSeconds`, in seconds (D).
pub const DEFAULT_MAX_BACKOFF_SECONDS: i32 = 3600;
/// Seconds between the polite signal and the kill for a job that names none (D).
pub const DEFAULT_GRACE_PERIOD_SECONDS: i32 = 30;

/// A file that a job left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Attachment {
    /// Its name.
    #[schema(min_length = 1, max_length = 255, example = "report.pdf")]
    pub name: String,
    // (D)
    /// Its media type, as it was sent.
    #[schema(example = "application/pdf")]
    pub content_type: String,
    // (D)
    /// Its size, in bytes.
    #[schema(minimum = 0, example = 48213)]
    pub size: i64,
    // (D)
    /// When it was attached.
    pub created_at: Timestamp,
}

/// A job as it is answered: what its starter gave, and what has become of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Job {
    /// Unique identifier of the job.
    pub id: JobId,
    /// What was started.
    #[serde(flatten)]
    pub spec: JobSpec,
    /// Where the job stands.
    pub status: Status,
    /// Why the job stands there, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub status_message: Option<String>,
    /// Percent done, as the job reports it.
    #[schema(minimum = 0, maximum = 100)]
    pub progress: i32,
    /// Who started the job.
    pub user: String,
    /// When the job was started by its user.
    pub created_at: Timestamp,
    /// Last change.
    pub modified_at: Timestamp,
    /// When the present attempt began to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Timestamp>,
    /// When the job ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub finished_at: Option<Timestamp>,
    /// When the job will be removed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The number of the present attempt; 0 before the first.
    pub attempt: i32,
    /// Exit code of the main process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_code: Option<i32>,
    /// What the job left as its result.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub result_data: Option<String>,
    // (D)
    /// The job that this one reruns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rerun_of: Option<JobId>,
    // (D)
    /// Whether it reruns that job only for the records that failed there.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub only_failed_records: bool,
    // (D)
    /// The scheduled job that started this one; it may have been deleted since.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_job_id: Option<ScheduledJobId>,
    // (D)
    /// The time of the timetable for which the scheduled job started this one, however late that was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_for: Option<Timestamp>,
    /// Files that the job left.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}
