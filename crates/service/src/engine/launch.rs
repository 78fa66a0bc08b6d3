//! From a claimed job to what its executor needs.

use super::key;
use crate::executors::{Launch, Limits};
use crate::secrets::Secrets;
use crate::store::StoredJob;
use docket_contract::caller::OwnJob;
use docket_contract::job::{DEFAULT_GRACE_PERIOD_SECONDS, JobSpec};
use std::time::Duration;

/// What all launches of a lane share.
#[derive(Clone, Debug)]
pub struct LaunchSettings {
    /// Where the running jobs reach this server.
    pub url: String,
    /// Bytes of log kept of an attempt.
    pub log_limit_bytes: u64,
    /// Most processes and threads of an attempt, if there is a bound.
    pub max_processes: Option<u64>,
}

/// The launch of a claimed job.
pub(super) fn launch(job: &StoredJob, settings: &LaunchSettings, secrets: &Secrets) -> Launch {
    let spec = &job.job.spec;
    let environment = environment(job, settings, secrets);
    let grace = spec.grace_period_seconds.unwrap_or(DEFAULT_GRACE_PERIOD_SECONDS);
    Launch {
        key: key(job),
        commands: spec.commands.clone(),
        environment,
        log_limit_bytes: settings.log_limit_bytes,
        grace_period: Duration::from_secs(u64::try_from(grace).unwrap_or_default()),
        image: spec.docker_image_url.clone(),
        limits: limits(spec, settings.max_processes),
        time_limit: spec.timeout_seconds.map(|seconds| Duration::from_secs(u64::try_from(seconds).unwrap_or_default())),
    }
}

/// The environment of a claimed job's attempt. The variables of api.md win over the job's own of the same name.
pub(super) fn environment(job: &StoredJob, settings: &LaunchSettings, secrets: &Secrets) -> Vec<(String, String)> {
    let spec = &job.job.spec;
    let mut environment: Vec<(String, String)> =
        spec.environment_variables.iter().map(|variable| (variable.name.clone(), variable.value.clone())).collect();
    if let Some(heap) = heap_megabytes(spec) {
        environment.push(("JAVA_TOOL_OPTIONS".to_owned(), format!("-Xmx{heap}m")));
    }
    let token = secrets.job_token(OwnJob { id: job.job.id, attempt: job.job.attempt });
    environment.extend([
        ("DOCKET_URL".to_owned(), settings.url.clone()),
        ("DOCKET_JOB_ID".to_owned(), job.job.id.to_string()),
        ("DOCKET_ATTEMPT".to_owned(), job.job.attempt.to_string()),
        ("DOCKET_STORAGE_ID".to_owned(), spec.result_storage_id.clone().unwrap_or_default()),
        ("DOCKET_TOKEN".to_owned(), token),
    ]);
    if let (Some(id), Some(slot)) = (job.job.scheduled_job_id, job.job.scheduled_for) {
        environment.push(("DOCKET_SCHEDULED_JOB_ID".to_owned(), id.to_string()));
        environment.push(("DOCKET_SCHEDULED_FOR".to_owned(), slot.to_string()));
    }
    if job.job.only_failed_records {
        let address = format!("{}/jobs/{}/rerun/records", settings.url, job.job.id);
        environment.push(("DOCKET_RECORDS_URL".to_owned(), address));
    }
    environment
}

/// `memoryLimit` in MB and `cpuLimit` in cores, as executors take them, and the server's bound of processes.
fn limits(spec: &JobSpec, processes: Option<u64>) -> Limits {
    let memory_bytes = spec.memory_limit.and_then(|megabytes| u64::try_from(megabytes).ok()).map(|limit| limit << 20);
    // From 0.001 to 10,000 cores (the contract checks it), so no digit that counts is lost.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "within the limits of the contract")]
    let cpu_millis = spec.cpu_limit.map(|cores| (cores * 1000.0).round() as u64);
    Limits { memory_bytes, cpu_millis, processes }
}

/// `xmx`, or `memoryLimit` less 200 MB where that leaves something (api.md section 2).
fn heap_megabytes(spec: &JobSpec) -> Option<i32> {
    spec.xmx.or_else(|| spec.memory_limit.map(|limit| limit - 200).filter(|heap| *heap > 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_in_bytes_and_thousandths_of_a_core() {
        let spec = JobSpec { memory_limit: Some(2), cpu_limit: Some(0.25), ..JobSpec::default() };
        let read = limits(&spec, Some(9));
        assert_eq!(read, Limits { memory_bytes: Some(2_097_152), cpu_millis: Some(250), processes: Some(9) });
        assert_eq!(limits(&JobSpec::default(), None), Limits::default());
    }

    #[test]
    fn the_heap_follows_the_memory_limit() {
        let spec = |xmx, memory_limit| JobSpec { xmx, memory_limit, ..JobSpec::default() };
        assert_eq!(heap_megabytes(&spec(Some(100), Some(1000))), Some(100));
        assert_eq!(heap_megabytes(&spec(None, Some(1000))), Some(800));
        assert_eq!(heap_megabytes(&spec(None, Some(150))), None);
        assert_eq!(heap_megabytes(&spec(None, None)), None);
    }
}
