//! Jobs: what starts one, what one looks like, and the limits of both (api.md section 2).

use crate::lenient;
use crate::state::Status;
use crate::text::{Argument, Id};
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, SchemaFormat, Type};
use utoipa::{PartialSchema, ToSchema};
use uuid::Uuid;

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

/// The eight processing logs (P).
pub const PROCESSING_LOGS: [&str; 8] = [
    "CURATION_LOG",
    "VALIDATION_LOG",
    "VALIDATION_SHARING_LOG",
    "SANCTION_AND_WATCHLISTS_LOG",
    "BANK_ACCOUNT_DATA_VERIFICATION_LOG",
    "OVERLAP_LOG",
    "DUPLICATE_LOG",
    "QUALIFICATION_LOG",
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
/// Seconds between the polite signal and the kill for a job that names none (D).
pub const DEFAULT_GRACE_PERIOD_SECONDS: i32 = 30;

/// The id of a job: a UUID of version 7, in lower case with hyphens.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct JobId(pub Uuid);

impl JobId {
    /// The id that no job has. A text that is not a UUID reads as this one, so that it answers like an unknown job.
    pub const NONE: JobId = JobId(Uuid::nil());
}

impl fmt::Display for JobId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl FromStr for JobId {
    type Err = std::convert::Infallible;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Ok(Uuid::try_parse(text).map_or(JobId::NONE, JobId))
    }
}

impl Serialize for JobId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for JobId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cow::<'de, str>::deserialize(deserializer)?.parse().map_err(D::Error::custom)
    }
}

impl PartialSchema for JobId {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .format(Some(SchemaFormat::Custom("uuid".to_owned())))
            .description(Some("Unique identifier of the job."))
            .examples(["35f23c03-1c22-45fe-9484-3ffe769325de"])
            .into()
    }
}

impl ToSchema for JobId {}

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
    fn validate(&self, problems: &mut Problems, pointer: &str) {
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

/// When a dependency is fulfilled (D).
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

/// Another job that this one waits for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct JobDependency {
    /// The job to wait for.
    pub job_id: JobId,
    /// What must have become of it.
    #[serde(default, deserialize_with = "lenient::null_default")]
    pub condition: DependencyCondition,
}

/// What runs a job (D).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ExecutorKind {
    /// Processes on the server's host.
    Process,
    /// Containers of a Docker engine.
    Docker,
    /// Jobs of a Kubernetes cluster.
    Kubernetes,
    /// Pull workers.
    Worker,
}

/// Features of Start Job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum StartJobFeature {
    /// Does not create the result storage at the start.
    SkipResultsInitialization,
}

/// When and how often a failed attempt is repeated (D).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct Retry {
    /// All attempts together, the first one included.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 1, maximum = 20)]
    pub max_attempts: Option<i32>,
    /// Delay before the second attempt; doubles from one to the next.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 0, maximum = 86400)]
    pub backoff_seconds: Option<i32>,
    /// Longest delay.
    #[serde(default, deserialize_with = "lenient::number")]
    #[schema(minimum = 0, maximum = 86400)]
    pub max_backoff_seconds: Option<i32>,
    /// The ends that grant another attempt.
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

/// What to start: the body of Start Job (P), and the part of a Job that its starter gave.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct JobSpec {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, example = "Nightly validation")]
    pub name: Option<String>,
    /// What the job is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub description: Option<String>,
    /// The job's type: one of the vendor's, or any other in capitals that ends with `_JOB`.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    #[schema(pattern = "^[A-Z][A-Z0-9_]{0,62}_JOB$", example = "DATA_VALIDATION_JOB")]
    pub job_type: Option<String>,
    /// The container image. The process executor records it and runs the commands on the host.
    #[schema(required = true, min_length = 1, max_length = 4096, example = "registry.example/validation:7")]
    pub docker_image_url: String,
    /// The program and its arguments, as an argument vector: no shell reads them.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Argument>, max_items = 100, example = json!(["/bin/sh", "-c", "echo validated"]))]
    pub commands: Vec<String>,
    /// Environment variables of the job; 512 kB in all.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 100)]
    pub environment_variables: Vec<NameValue>,
    /// Initializes this result storage and makes the job findable by `storageId`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub result_storage_id: Option<String>,
    /// A domain of the caller's, such as a repository.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, example = "cdqag/data-curation-job")]
    pub domain: Option<String>,
    /// The organization; administrators may start jobs for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub organization_id: Option<String>,
    /// A workspace of the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub workspace_id: Option<String>,
    /// A client of the caller's.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub client_id: Option<String>,
    /// Jobs that must have ended before.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub job_dependencies: Vec<JobDependency>,
    /// Labels for people and tools.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 50)]
    pub labels: Vec<NameValue>,
    /// Tags that List Jobs can filter by.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 50, example = json!(["nightly"]))]
    pub tags: Vec<String>,
    /// Names of locks; a job whose lock another job of the organization holds waits.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(value_type = Vec<Id>, max_items = 50)]
    pub locks: Vec<String>,
    /// Most memory, in MB.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 1024)]
    pub memory_limit: Option<i32>,
    /// Memory to reserve, in MB.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, example = 512)]
    pub memory_request: Option<i32>,
    /// Java heap, in MB; default `memoryLimit` − 200; passed on as `JAVA_TOOL_OPTIONS=-Xmx…m`.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub xmx: Option<i32>,
    /// Most CPU, in cores.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.001, maximum = 10000)]
    pub cpu_limit: Option<f64>,
    /// CPU to reserve, in cores.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0.001, maximum = 10000)]
    pub cpu_request: Option<f64>,
    /// Jobs of higher priority start first; default 50.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 100, example = 50)]
    pub priority: Option<i32>,
    /// Longest run of an attempt, in seconds.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1)]
    pub timeout_seconds: Option<i32>,
    /// When failed attempts are repeated.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry: Option<Retry>,
    /// Earliest start.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// How long the job is kept after its end, in seconds.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0)]
    pub ttl_seconds_after_finished: Option<i32>,
    /// The processing log into which each result is mirrored.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(
        max_length = 255,
        pattern = "^(CURATION|VALIDATION|VALIDATION_SHARING|SANCTION_AND_WATCHLISTS|BANK_ACCOUNT_DATA_VERIFICATION|OVERLAP|DUPLICATE|QUALIFICATION)_LOG$",
        example = "VALIDATION_LOG"
    )]
    pub processing_log_id: Option<String>,
    /// What runs the job; default from the server's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorKind>,
    /// Seconds between the polite signal and the kill; default 30.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400)]
    pub grace_period_seconds: Option<i32>,
    /// Features of the start.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<StartJobFeature>,
}

/// Whether `text` may be a job's type: `[A-Z][A-Z0-9_]{0,62}_JOB`.
pub fn is_job_type(text: &str) -> bool {
    let Some(stem) = text.strip_suffix("_JOB") else { return false };
    let mut bytes = stem.bytes();
    bytes.next().is_some_and(|first| first.is_ascii_uppercase())
        && stem.len() <= 63
        && bytes.all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_')
}

impl Validate for JobSpec {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/name", self.name.as_deref(), 0, 255);
        problems.text("/description", self.description.as_deref(), 0, MAX_TEXT_CHARS);
        if self.docker_image_url.trim().is_empty() {
            problems.add("/dockerImageUrl", "required", "is required and must not be empty");
        }
        problems.text("/dockerImageUrl", Some(&self.docker_image_url), 0, 4096);
        if let Some(job_type) = &self.job_type
            && !is_job_type(job_type)
        {
            problems.add("/type", "invalid_format", "must match [A-Z][A-Z0-9_]{0,62}_JOB");
        }
        if problems.count("/commands", self.commands.len(), MAX_COMMANDS) {
            for (index, command) in self.commands.iter().enumerate() {
                problems.text(&format!("/commands/{index}"), Some(command), 0, MAX_TEXT_CHARS);
                no_nul(problems, format!("/commands/{index}"), command);
            }
        }
        self.validate_environment(problems);
        for (pointer, id) in [
            ("/resultStorageId", &self.result_storage_id),
            ("/organizationId", &self.organization_id),
            ("/workspaceId", &self.workspace_id),
            ("/clientId", &self.client_id),
        ] {
            problems.id(pointer, id.as_deref());
        }
        problems.text("/domain", self.domain.as_deref(), 0, 255);
        validate_labels(problems, &self.labels, &self.tags);
        problems.count("/jobDependencies", self.job_dependencies.len(), MAX_DEPENDENCIES);
        problems.ids("/locks", &self.locks, MAX_LOCKS);
        for (pointer, megabytes) in
            [("/memoryLimit", self.memory_limit), ("/memoryRequest", self.memory_request), ("/xmx", self.xmx)]
        {
            problems.range(pointer, megabytes, 1, i32::MAX);
        }
        problems.range("/cpuLimit", self.cpu_limit, 0.001, 10_000.0);
        problems.range("/cpuRequest", self.cpu_request, 0.001, 10_000.0);
        problems.range("/priority", self.priority, 0, 100);
        problems.range("/timeoutSeconds", self.timeout_seconds, 1, i32::MAX);
        problems.range("/ttlSecondsAfterFinished", self.ttl_seconds_after_finished, 0, i32::MAX);
        problems.range("/gracePeriodSeconds", self.grace_period_seconds, 0, 86_400);
        if let Some(retry) = &self.retry {
            problems.range("/retry/maxAttempts", retry.max_attempts, 1, 20);
            problems.range("/retry/backoffSeconds", retry.backoff_seconds, 0, 86_400);
            problems.range("/retry/maxBackoffSeconds", retry.max_backoff_seconds, 0, 86_400);
        }
        if let Some(log) = &self.processing_log_id
            && !PROCESSING_LOGS.contains(&log.as_str())
        {
            problems.add("/processingLogId", "unknown_value", format!("must be one of {}", PROCESSING_LOGS.join(", ")));
        }
    }
}

impl JobSpec {
    fn validate_environment(&self, problems: &mut Problems) {
        const POINTER: &str = "/environmentVariables";
        if !problems.count(POINTER, self.environment_variables.len(), 100) {
            return;
        }
        let bytes: usize = self.environment_variables.iter().map(|var| var.name.len() + var.value.len()).sum();
        if bytes > MAX_ENVIRONMENT_BYTES {
            problems.add(
                POINTER,
                "too_long",
                format!("must have at most {MAX_ENVIRONMENT_BYTES} bytes in all, has {bytes}"),
            );
        }
        for (index, variable) in self.environment_variables.iter().enumerate() {
            variable.validate(problems, &format!("{POINTER}/{index}"));
        }
    }

    /// The names of fields that this spec gives and that this version of the server would not honour.
    ///
    /// They are refused rather than ignored: a job that should have waited for a lock must not run without it.
    pub fn unsupported(&self) -> Vec<&'static str> {
        let given = [
            ("/jobDependencies", !self.job_dependencies.is_empty()),
            ("/locks", !self.locks.is_empty()),
            ("/retry", self.retry.as_ref().is_some_and(|retry| retry.max_attempts.unwrap_or(1) > 1)),
            ("/startAt", self.start_at.is_some()),
            ("/timeoutSeconds", self.timeout_seconds.is_some()),
            ("/ttlSecondsAfterFinished", self.ttl_seconds_after_finished.is_some()),
            ("/processingLogId", self.processing_log_id.is_some()),
            ("/executor", self.executor.is_some_and(|executor| executor != ExecutorKind::Process)),
        ];
        given.into_iter().filter_map(|(pointer, given)| given.then_some(pointer)).collect()
    }

    /// This spec with environment values hidden: all of them, or only those whose names look secret.
    pub fn masked(mut self, all: bool) -> Self {
        for variable in &mut self.environment_variables {
            if all || looks_secret(&variable.name) {
                variable.value = "***".to_owned();
            }
        }
        self
    }
}

/// Checks labels and tags, of a start or an update.
pub fn validate_labels(problems: &mut Problems, labels: &[NameValue], tags: &[String]) {
    if problems.count("/labels", labels.len(), MAX_LABELS) {
        for (index, label) in labels.iter().enumerate() {
            label.validate(problems, &format!("/labels/{index}"));
        }
    }
    problems.ids("/tags", tags, MAX_LABELS);
}

fn no_nul(problems: &mut Problems, pointer: String, value: &str) {
    if value.contains('\0') {
        problems.add(pointer, "invalid_characters", "must not hold the character NUL");
    }
}

/// Whether the value of an environment variable of this name must not be shown.
pub fn looks_secret(name: &str) -> bool {
    const SIGNS: [&str; 9] = ["SECRET", "TOKEN", "PASSW", "PWD", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "CERT"];
    let name = name.to_ascii_uppercase();
    SIGNS.iter().any(|sign| name.contains(sign))
}

/// A file that a job left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct Attachment {
    /// Its name.
    pub name: String,
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
    /// Files that the job left.
    #[serde(default)]
    pub attachments: Vec<Attachment>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(json: &str) -> JobSpec {
        serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
    }

    fn errors(mut spec: JobSpec) -> Vec<String> {
        let mut problems = Problems::default();
        spec.validate(&mut problems);
        problems.into_result().err().map_or_else(Vec::new, |e| e.errors.into_iter().map(|e| e.pointer).collect())
    }

    #[test]
    fn an_image_is_enough_and_nulls_are_absent() {
        let full = spec(r#"{"dockerImageUrl": "a", "commands": null, "labels": null, "priority": null, "name": null}"#);
        assert_eq!(errors(full), Vec::<String>::new());
        assert_eq!(errors(spec("{}")), ["/dockerImageUrl"]);
    }

    #[test]
    fn limits_name_their_fields() {
        let mut many = spec(r#"{"dockerImageUrl": "a", "priority": "101", "type": "job", "cpuLimit": 0}"#);
        many.commands = vec![String::new(); 101];
        let variable = |name: &str| NameValue { name: name.into(), value: "x".repeat(MAX_TEXT_CHARS) };
        many.environment_variables = ["A=B", "C", "D", "E", "F", "G", "H", "I", "J"].map(variable).to_vec();
        let expected =
            ["/type", "/commands", "/environmentVariables", "/environmentVariables/0/name", "/cpuLimit", "/priority"];
        assert_eq!(errors(many), expected);
    }

    #[test]
    fn types() {
        for known in KNOWN_TYPES {
            assert!(is_job_type(known), "{known}");
        }
        assert!(is_job_type("X_JOB"));
        assert!(is_job_type(&format!("{}_JOB", "A".repeat(63))));
        for wrong in ["_JOB", "JOB", "x_JOB", "1_JOB", "A-B_JOB", &format!("{}_JOB", "A".repeat(64))] {
            assert!(!is_job_type(wrong), "{wrong}");
        }
    }

    #[test]
    fn secrets_are_masked() {
        let open = spec(
            r#"{"dockerImageUrl": "a", "environmentVariables": [{"name": "db_password", "value": "x"}, {"name": "A", "value": "y"}]}"#,
        );
        let values = |spec: JobSpec| spec.environment_variables.into_iter().map(|v| v.value).collect::<Vec<_>>();
        assert_eq!(values(open.clone().masked(false)), ["***", "y"]);
        assert_eq!(values(open.masked(true)), ["***", "***"]);
    }

    #[test]
    fn a_malformed_id_is_an_unknown_job() {
        assert_eq!("no-uuid".parse(), Ok(JobId::NONE));
    }
}
