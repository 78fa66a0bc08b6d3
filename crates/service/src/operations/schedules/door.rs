//! The way by which timetables start and end jobs: that of everybody else.

use crate::engine::{Door, JobStart};
use crate::operations::{Service, jobs, start};
use crate::store::{NewJob, Scheduled, StoredJob, StoredSchedule};
use async_trait::async_trait;
use docket_contract::job::{DependencyCondition, JobDependency};
use docket_contract::operations::CancelJobInput;
use docket_contract::{Caller, Code, Error, JobId, Role};

/// Who starts the jobs of a scheduled job.
fn starter(schedule: &StoredSchedule, user: Option<&str>) -> Caller {
    Caller {
        organization: schedule.organization.clone(),
        role: Role::Operator,
        user: user.unwrap_or(&schedule.user).to_owned(),
        job: None,
    }
}

#[async_trait]
impl Door for Service {
    fn job(&self, schedule: &StoredSchedule, start: JobStart<'_>) -> Result<NewJob, Error> {
        let mut spec = schedule.spec.job.clone();
        spec.workspace_id = spec.workspace_id.or_else(|| schedule.spec.workspace_id.clone());
        spec.client_id = spec.client_id.or_else(|| schedule.spec.client_id.clone());
        spec.name = spec.name.or_else(|| schedule.spec.name.clone());
        let end = |job_id: &JobId| JobDependency {
            job_id: *job_id,
            condition: DependencyCondition::Terminated,
            max_failed_share: None,
        };
        spec.job_dependencies.extend(start.after.iter().map(end));
        let mut job = start::prepare(self, &starter(schedule, start.user), start.id, spec, start.now)?;
        job.scheduled = Some(Scheduled { by: schedule.id, slot: start.slot });
        Ok(job)
    }

    async fn cancel(&self, schedule: &StoredSchedule, job: JobId, reason: &str) -> Result<(), Error> {
        let input = CancelJobInput { job_id: job, reason: Some(reason.to_owned()), grace_period_seconds: None };
        match jobs::cancel(self, &starter(schedule, None), input).await {
            Err(error) if error.code != Code::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    fn started(&self, job: &StoredJob) {
        self.engine.started(job);
    }
}
