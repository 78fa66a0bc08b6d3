//! The limits of what a client may say about a job.

use super::parts::no_nul;
use super::{
    JobSpec, MAX_COMMANDS, MAX_DEPENDENCIES, MAX_ENVIRONMENT_BYTES, MAX_LABELS, MAX_LOCKS, MAX_TEXT_CHARS,
    MAX_WEBHOOKS, NameValue,
};
use crate::validate::{Problems, Validate};

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
        if problems.count("/jobDependencies", self.job_dependencies.len(), MAX_DEPENDENCIES) {
            for (index, dependency) in self.job_dependencies.iter().enumerate() {
                dependency.validate(problems, &format!("/jobDependencies/{index}"));
            }
        }
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
        if problems.count("/webhooks", self.webhooks.len(), MAX_WEBHOOKS) {
            for (index, webhook) in self.webhooks.iter().enumerate() {
                webhook.validate(problems, &format!("/webhooks/{index}"));
            }
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
