//! Running a job once more, and handing the new one the records that failed in the old one.

use super::jobs::job_not_ended;
use super::results::PageForm;
use super::{Service, results, scope, start};
use crate::handler::Encoded;
use crate::store::{PageQuery, Rerun, ResultFilter, StoredJob};
use docket_contract::caller::Call;
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::job::JobSpec;
use docket_contract::operations::{ListRerunRecords, ListRerunRecordsInput, RerunJobInput};
use docket_contract::result::ResultStatus;
use docket_contract::{Caller, Code, Error, Job, Operation};

pub(super) async fn rerun(service: &Service, call: Call, input: RerunJobInput) -> Result<Job, Error> {
    let original = service.own_job(&call.caller, input.job_id).await?;
    if !original.job.status.is_terminal() {
        return Err(job_not_ended(&original));
    }
    let only_failed = input.only_failed_records.unwrap_or(false);
    if only_failed && !has_failed_records(service, &original).await? {
        let detail = "No result of the job has the verdict FAILED, so there is nothing to run again.";
        return Err(Error::new(Code::NothingFailed, detail));
    }
    // What it waited for belongs to the first time. All else, locks too, is as it was: from the store, so with the secrets
    // that no answer shows.
    let spec = JobSpec { job_dependencies: Vec::new(), start_at: None, ..original.job.spec };
    start::start_as(service, call, spec, Some(Rerun { of: original.job.id, only_failed })).await
}

async fn has_failed_records(service: &Service, original: &StoredJob) -> Result<bool, Error> {
    for storage_id in service.control.noted_storages(original.job.id).await? {
        let tallies = service.results.statistics(&results::set(original, storage_id)).await?;
        if tallies.iter().any(|tally| tally.status == ResultStatus::Failed) {
            return Ok(true);
        }
    }
    Ok(false)
}

pub(super) async fn records(
    service: &Service,
    caller: &Caller,
    input: ListRerunRecordsInput,
) -> Result<Encoded, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let none = |detail: &str| Error::new(Code::NotFound, detail);
    let original = stored.job.rerun_of.ok_or_else(|| none("The job is no rerun of another one."))?;
    let original = service.control.read_job(&scope(caller), original).await?;
    let original =
        original.ok_or_else(|| none("The job that this one reruns was deleted, and its results with it."))?;
    let limit = input.page_size();
    let storage_id = storage(service, &original, input.storage_id).await?;
    let mut token_scope = TokenScope::new(ListRerunRecords::NAME, &stored.organization);
    token_scope.add("jobId", [stored.job.id.to_string().as_str()]);
    token_scope.add("storageId", [storage_id.as_str()]);
    let query = PageQuery {
        filter: ResultFilter { status: Some(ResultStatus::Failed), ..ResultFilter::default() },
        after: match &input.start_after {
            Some(token) => service.secrets.open(token, &token_scope)?,
            None => Position::default(),
        },
        limit: usize::try_from(limit).unwrap_or(1),
        include_fields: None,
    };
    let form = PageForm { start_after: input.start_after, total: true, tokens: Some(token_scope) };
    results::page(service, &results::set(&original, storage_id), query, form).await
}

/// The storage that is meant.
async fn storage(service: &Service, original: &StoredJob, named: Option<String>) -> Result<String, Error> {
    if let Some(storage_id) = named.or_else(|| original.job.spec.result_storage_id.clone()) {
        return Ok(storage_id);
    }
    let mut noted = service.control.noted_storages(original.job.id).await?;
    if noted.len() > 1 {
        let detail = format!("storageId is required: the job that is rerun wrote to {} storages", noted.len());
        return Err(Error::field("/storageId", "required", detail));
    }
    // One that wrote nothing has an empty page, wherever it is looked for.
    Ok(noted.pop().unwrap_or_default())
}
