//! What a webhook is told: the body of a delivery, in the form that Standard Webhooks recommends.
//!
//! Small by rule: what happened and to which job. Whoever needs more reads the job; environment values and results are
//! never told.

use crate::history::JobEvent;
use crate::job::{Job, JobId};
use crate::operations::DiffCounts;
use crate::state::Status;
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};

/// Most characters of an event's message that are told; the rest is in the job's history.
pub const MAX_MESSAGE_CHARS: usize = 1000;

/// The body of a delivery.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Notice {
    /// `job.` and the status in small letters: `job.finished`. Or `job.regressed`: the job has ended, and records have
    /// newly failed.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it happened.
    pub timestamp: Timestamp,
    /// What happened.
    pub data: NoticeData,
}

/// What happened, and to which job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeData {
    /// The job, as it was then.
    pub job: NoticeJob,
    /// The transition, as in the job's history.
    pub event: JobEvent,
    /// With `job.regressed` only: what a comparison of its results with those of the previous run has found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comparison: Option<NoticeComparison>,
}

/// What a comparison has found.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NoticeComparison {
    /// The previous run.
    pub against: JobId,
    /// Numbers of records, over all storages that either run has written to.
    pub counts: DiffCounts,
}

/// What identifies a job to people and programs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct NoticeJob {
    /// Its id.
    pub id: JobId,
    /// Its name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its type.
    #[serde(rename = "type", default, skip_serializing_if = "Option::is_none")]
    pub job_type: Option<String>,
    /// The status that it got.
    pub status: Status,
    /// Whose it is.
    pub organization_id: String,
    /// Who started it.
    pub user: String,
}

impl Notice {
    /// What is told of an event of an organization's job.
    pub fn new(organization: &str, job: &Job, mut event: JobEvent) -> Self {
        if let Some(message) = &mut event.message
            && let Some((end, _)) = message.char_indices().nth(MAX_MESSAGE_CHARS)
        {
            message.truncate(end);
        }
        Self {
            kind: format!("job.{}", event.to.name().to_ascii_lowercase()),
            timestamp: event.at,
            data: NoticeData {
                job: NoticeJob {
                    id: job.id,
                    name: job.spec.name.clone(),
                    job_type: job.spec.job_type.clone(),
                    status: event.to,
                    organization_id: organization.to_owned(),
                    user: job.user.clone(),
                },
                event,
                comparison: None,
            },
        }
    }

    /// The same, to tell that records have newly failed.
    pub fn regressed(mut self, comparison: NoticeComparison) -> Self {
        self.kind = "job.regressed".to_owned();
        self.data.comparison = Some(comparison);
        self
    }
}
