//! What starts a job, as the API names it. Its limits are checked in `limits`.

use super::{ExecutorKind, JobDependency, NameValue, Retry, StartJobFeature, Webhook, mask_webhook_url};
use crate::lenient;
use crate::log::ProcessingLogId;
use crate::text::{Argument, Id};
use crate::time::Timestamp;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

// (P)
/// What to start: the body of Start Job, and the part of a Job that its starter gave.
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
    /// The processing log into which each result is mirrored, of the storage that the result is written to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub processing_log_id: Option<ProcessingLogId>,
    /// What runs the job; default from the server's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub executor: Option<ExecutorKind>,
    /// Seconds between the polite signal and the kill; default 30.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400)]
    pub grace_period_seconds: Option<i32>,
    /// Addresses that are told of what happens to the job. Those who may not start jobs see only the hosts.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 8)]
    pub webhooks: Vec<Webhook>,
    /// Features of the start.
    #[serde(deserialize_with = "lenient::null_default", skip_serializing_if = "Vec::is_empty")]
    #[schema(max_items = 10)]
    pub features_on: Vec<StartJobFeature>,
}

impl JobSpec {
    /// This spec with environment values hidden: all of them, and the urls of webhooks, or only the values whose names
    /// look secret.
    pub fn masked(mut self, all: bool) -> Self {
        for variable in &mut self.environment_variables {
            if all || looks_secret(&variable.name) {
                variable.value = "***".to_owned();
            }
        }
        if all {
            for webhook in &mut self.webhooks {
                webhook.url = mask_webhook_url(&webhook.url);
            }
        }
        self
    }
}

/// Whether the value of an environment variable of this name must not be shown.
pub fn looks_secret(name: &str) -> bool {
    const SIGNS: [&str; 9] = ["SECRET", "TOKEN", "PASSW", "PWD", "KEY", "CREDENTIAL", "AUTH", "PRIVATE", "CERT"];
    let name = name.to_ascii_uppercase();
    SIGNS.iter().any(|sign| name.contains(sign))
}
