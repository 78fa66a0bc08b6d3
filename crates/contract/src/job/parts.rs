//! The parts that a job's specification is made of.

use super::share::Share;
use super::{JobId, MAX_TEXT_CHARS};
use crate::lenient;
use crate::state::Status;
use crate::validate::Problems;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A name and a value: an environment variable or a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct NameValue {
    /// The name; no control characters and no `=`.
    #[schema(min_length = 1, max_length = 255, pattern = r"^[^\u0000-\u001F\u007F-\u009F=]*$", example = "LOG_LEVEL")]
    pub name: String,
    /// The value; no character NUL.
    #[serde(default, deserialize_with = "lenient::null_default")]
    #[schema(max_length = 65535, pattern = r"^[^\u0000]*$", example = "info")]
    pub value: String,
}

impl NameValue {
    pub(super) fn validate(&self, problems: &mut Problems, pointer: &str) {
        let name = format!("{pointer}/name");
        problems.id(&name, Some(&self.name));
        if self.name.contains('=') {
            problems.add(name, "invalid_characters", "must not hold =");
        }
        let value = format!("{pointer}/value");
        problems.text(&value, Some(&self.value), 0, MAX_TEXT_CHARS);
        no_nul(problems, value, &self.value);
    }
}

// (D)
/// When a dependency is fulfilled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum DependencyCondition {
    /// The other job has FINISHED.
    #[default]
    Finished,
    /// The other job has ended in any way.
    Terminated,
    /// The other job has FAILED or DIED.
    FailedOrDied,
}

impl DependencyCondition {
    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            DependencyCondition::Finished => "FINISHED",
            DependencyCondition::Terminated => "TERMINATED",
            DependencyCondition::FailedOrDied => "FAILED_OR_DIED",
        }
    }

    /// Whether the other job fulfils it; `None` as long as that is open. An end never changes, so an answer does not
    /// either.
    pub fn fulfilled_by(self, status: Status) -> Option<bool> {
        status.is_terminal().then(|| match self {
            DependencyCondition::Finished => status == Status::Finished,
            DependencyCondition::Terminated => true,
            DependencyCondition::FailedOrDied => matches!(status, Status::Failed | Status::Died),
        })
    }
}

/// Another job that this one waits for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDependency {
    /// The job to wait for.
    pub job_id: JobId,
    /// What must have become of it.
    #[serde(default, deserialize_with = "lenient::null_default")]
    pub condition: DependencyCondition,
    // (D)
    /// With FINISHED only: the largest share of FAILED results among all results of that job, over all its storages, with
    /// which this job still starts; with a larger one it is canceled. In steps of 0.000000001; a job without results has
    /// the share 0.
    #[serde(default, deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 1, example = 0.05)]
    pub max_failed_share: Option<f64>,
}

impl JobDependency {
    /// The quality gate as it is compared; `None` without one, or with one that is out of range.
    pub fn quality_gate(&self) -> Option<Share> {
        self.max_failed_share.and_then(Share::of)
    }

    pub(super) fn validate(&self, problems: &mut Problems, pointer: &str) {
        let pointer = format!("{pointer}/maxFailedShare");
        problems.range(&pointer, self.max_failed_share, 0.0, 1.0);
        if self.max_failed_share.is_some() && self.condition != DependencyCondition::Finished {
            problems.add(pointer, "not_allowed", "is for the condition FINISHED only");
        }
    }
}

// (D)
/// What runs a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorKind {
    /// Processes on the server's host.
    #[default]
    Process,
    /// Containers of a Docker engine.
    Docker,
    /// Jobs of a Kubernetes cluster.
    Kubernetes,
    /// Pull workers.
    Worker,
}

impl ExecutorKind {
    /// Every kind, in the order of its stored number.
    pub const ALL: [ExecutorKind; 4] =
        [ExecutorKind::Process, ExecutorKind::Docker, ExecutorKind::Kubernetes, ExecutorKind::Worker];

    /// The name on the wire.
    pub fn name(self) -> &'static str {
        match self {
            ExecutorKind::Process => "process",
            ExecutorKind::Docker => "docker",
            ExecutorKind::Kubernetes => "kubernetes",
            ExecutorKind::Worker => "worker",
        }
    }

    /// The number under which stores keep the kind; stable.
    pub fn number(self) -> u8 {
        self as u8
    }
}

impl std::str::FromStr for ExecutorKind {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = ExecutorKind::ALL.into_iter().find(|kind| kind.name() == text);
        found.ok_or_else(|| format!("executor must be one of process, docker, kubernetes, worker, not {text:?}"))
    }
}

/// Features of Start Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartJobFeature {
    /// Does not create the result storage at the start.
    SkipResultsInitialization,
}

// (D)
/// When and how often a failed attempt is repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// All attempts together, the first one included; default 1.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 1, maximum = 20)]
    pub max_attempts: Option<i32>,
    /// Seconds before the second attempt; doubles from one to the next, and is spread by a fifth. Default 10.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 0, maximum = 86400)]
    pub backoff_seconds: Option<i32>,
    /// Longest delay, in seconds; default 3600.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 0, maximum = 86400)]
    pub max_backoff_seconds: Option<i32>,
    /// The ends that grant another attempt; both when none is named.
    #[serde(default, deserialize_with = "lenient::null_default")]
    #[schema(max_items = 2)]
    pub on: Vec<RetryOn>,
}

/// An end that can grant another attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum RetryOn {
    /// The job failed.
    Failed,
    /// The job died.
    Died,
}

/// Checks that a text can be given to a process.
pub(super) fn no_nul(problems: &mut Problems, pointer: String, value: &str) {
    if value.contains('\0') {
        problems.add(pointer, "invalid_characters", "must not hold the character NUL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions_are_decided_by_ends_only() {
        use DependencyCondition as C;
        for status in Status::ALL {
            for condition in [C::Finished, C::Terminated, C::FailedOrDied] {
                assert_eq!(condition.fulfilled_by(status).is_some(), status.is_terminal(), "{condition:?} {status:?}");
                assert_eq!(serde_json::to_value(condition).expect("a string"), condition.name());
            }
        }
        let fulfilled = |condition: C| Status::ALL.map(|status| condition.fulfilled_by(status) == Some(true));
        let of = |ends: &[Status]| Status::ALL.map(|status| ends.contains(&status));
        assert_eq!(fulfilled(C::Finished), of(&[Status::Finished]));
        assert_eq!(fulfilled(C::Terminated), Status::ALL.map(Status::is_terminal));
        assert_eq!(fulfilled(C::FailedOrDied), of(&[Status::Failed, Status::Died]));
    }
}
