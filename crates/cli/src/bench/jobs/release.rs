//! How long the end of one job takes to reach all who depend on it.

use super::start::Starter;
use super::{Run, true_job};
use crate::bench::load::{self, Meter, Tally};
use crate::failure::Failure;
use crate::output;
use docket_contract::Status;
use docket_contract::job::{DependencyCondition, JobDependency, JobSpec};
use docket_contract::operations::{CancelJob, CancelJobInput, ListJobs, ListJobsFeature, ListJobsInput, StartJob};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// How often the number of released jobs is asked for.
const POLL: Duration = Duration::from_millis(5);
/// How long the release may take before it is given up.
const STALLED: Duration = Duration::from_secs(60);

impl Run {
    pub(super) async fn release(&mut self) -> Result<(), Failure> {
        self.progress.begin("release");
        let dependents = self.args.dependents;
        let upstream = self.client.call::<StartJob>(&true_job(&self.tag)).await?.id;
        let tag = format!("{}-release", self.tag);
        let on = vec![JobDependency {
            job_id: upstream,
            condition: DependencyCondition::Terminated,
            max_failed_share: None,
        }];
        let next = Arc::new(AtomicU64::new(0));
        let starters = self.connections()?.into_iter().map(|connection| {
            let spec = JobSpec { job_dependencies: on.clone(), ..true_job(&tag) };
            Starter { connection, spec: move |_| spec.clone(), next: next.clone(), end: dependents }
        });
        let (_, started) = load::run(starters.collect(), self.args.common.pid).await?;
        let what = format!("Start Job of {} jobs that depend on one and the same job.", output::count(dependents));
        self.add("release", started.figure("start-dependents", what, "jobs"));

        let released = ListJobsInput {
            tags: vec![tag],
            job_status: vec![Status::Scheduled],
            limit: Some(1),
            features_on: vec![ListJobsFeature::NumberOfTotal],
            ..ListJobsInput::default()
        };
        let cancel = CancelJobInput { job_id: upstream, reason: None, grace_period_seconds: None };
        let meter = Meter::start(self.args.common.pid);
        let begin = Instant::now();
        self.client.call::<CancelJob>(&cancel).await?;
        let ended = begin.elapsed().as_secs_f64();
        while self.client.call::<ListJobs>(&released).await?.total.unwrap_or(0).max(0).unsigned_abs() < dependents {
            if begin.elapsed() > STALLED {
                return Err(Failure::other("the dependents are not released within a minute"));
            }
            tokio::time::sleep(POLL).await;
        }
        let measured = meter.stop(Tally { items: dependents, ..Tally::default() }, 1);
        let what = format!(
            "From the cancel of that job until List Jobs gives all {} dependents as SCHEDULED (asked each {} ms); each \
             transition is durable.",
            output::count(dependents),
            POLL.as_millis()
        );
        self.add("release", measured.figure("release", what, "jobs").with("secondsOfTheEndItself", ended));
        Ok(())
    }
}
