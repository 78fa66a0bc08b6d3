//! The operations on jobs (api.md section 2).

mod attachments;
mod end;
mod events;
mod history;
mod list;
mod read;
mod report;
mod rerun;
mod start;
mod update;
mod webhooks;

pub use attachments::*;
pub use end::*;
pub use events::*;
pub use history::*;
pub use list::*;
pub use read::*;
pub use report::*;
pub use rerun::*;
pub use start::*;
pub use update::*;
pub use webhooks::*;

use super::example_storage;
use crate::job::{JobSpec, NameValue};

/// Most jobs in one page (P).
pub const MAX_JOBS_PAGE: i32 = 100;

pub(super) fn example_spec() -> JobSpec {
    JobSpec {
        name: Some("Nightly validation".to_owned()),
        job_type: Some("DATA_VALIDATION_JOB".to_owned()),
        docker_image_url: "registry.example/validation:7".to_owned(),
        commands: ["/bin/sh", "-c", "echo validated"].map(str::to_owned).to_vec(),
        environment_variables: vec![NameValue { name: "LOG_LEVEL".to_owned(), value: "info".to_owned() }],
        result_storage_id: Some(example_storage()),
        labels: vec![NameValue { name: "team".to_owned(), value: "curation".to_owned() }],
        tags: vec!["nightly".to_owned()],
        priority: Some(60),
        ..JobSpec::default()
    }
}
