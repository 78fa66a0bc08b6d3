//! Starting a job.

use super::super::{Input, Method, Operation, Resource, example_job, run};
use super::example_spec;
use crate::caller::Role;
use crate::error::Code;
use crate::job::{Job, JobSpec};
use crate::state::Status;

/// Start Job (P).
pub struct StartJob;

impl Input for JobSpec {}

impl Operation for StartJob {
    const NAME: &'static str = "startJob";
    const TITLE: &'static str = "Start Job";
    const DESCRIPTION: &'static str = "Start a job: it is durable when the answer comes, and runs as soon as there is room. The process executor \
        runs the commands on the host and only records the image.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/jobs";
    const ROLE: Role = Role::Operator;
    const ERRORS: &'static [Code] = &[Code::StorageFull, Code::NotSupported];
    type Input = JobSpec;
    type Output = Job;

    fn example() -> (Self::Input, Self::Output) {
        let output = Job {
            status: Status::Persisted,
            progress: 0,
            started_at: None,
            attempt: 0,
            modified_at: example_job().created_at,
            ..example_job()
        };
        (example_spec(), output)
    }

    run!(start_job);
}
