//! The newest results of records, over all jobs of a storage.

use super::results::Body;
use super::{Service, scope};
use crate::handler::Encoded;
use crate::store::{LastQuery, Scope, StorageKey};
use docket_contract::operations::FetchLastResultsInput;
use docket_contract::result::MAX_PAGE;
use docket_contract::{Caller, Error, JobId};
use std::collections::HashSet;
use std::sync::Arc;

/// Jobs of a storage whose type is asked for.
const MOST_JOBS: usize = 10_000;

pub(super) async fn fetch(service: &Service, caller: &Caller, input: FetchLastResultsInput) -> Result<Encoded, Error> {
    let scope = scope(caller);
    let Scope::Organization(organization) = &scope else { return Err(Error::not_found()) };
    let storage = StorageKey { organization: organization.clone(), storage_id: input.storage_id };
    let jobs = match &input.job_type {
        Some(job_type) => Some(Arc::new(jobs_of_type(service, &scope, &storage, job_type).await?)),
        None => None,
    };
    let include = input.include_result_data_fields;
    let query = LastQuery {
        business_partner_ids: input.business_partner_id,
        external_ids: input.external_id,
        jobs,
        data_source_ids: input.data_source_id,
        status: input.job_result_status,
        include_fields: (!include.is_empty()).then(|| include.into()),
        limit: usize::try_from(MAX_PAGE).unwrap_or(1),
    };
    let page = service.results.last_results(&storage, query).await?;
    let total = page.total().map_or(0, |total| i32::try_from(total).unwrap_or(i32::MAX));
    Body::new(format!("{{\"total\":{total},\"values\":["), page, None).into_encoded().await
}

/// The jobs of a type among those that began to write to the storage last.
async fn jobs_of_type(
    service: &Service,
    scope: &Scope,
    storage: &StorageKey,
    job_type: &str,
) -> Result<HashSet<JobId>, Error> {
    let jobs = service.results.newest_jobs(storage, MOST_JOBS).await?;
    Ok(service.control.jobs_of_type(scope, jobs, job_type).await?.into_iter().collect())
}
