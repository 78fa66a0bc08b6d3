//! Reading, writing and emptying processing logs: result sets like those of jobs, on the same roads.

use super::Service;
use super::results::{PageForm, page, sort_out, summary};
use crate::handler::Encoded;
use crate::store::{PageQuery, ResultFilter, SetKey, SetOwner, Span, StorageKey, Upserted};
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{
    DeleteProcessingLogDataInput, DeletedResults, InsertProcessingLogDataInput, InsertSummary, ListProcessingLogData,
    ListProcessingLogDataInput, LogFeature,
};
use docket_contract::result::ResultStatus;
use docket_contract::{Caller, Error, JobId, Operation, ProcessingLogId, Timestamp};

fn set(caller: &Caller, storage_id: String, log: ProcessingLogId) -> SetKey {
    let storage = StorageKey { organization: caller.organization.clone(), storage_id };
    SetKey { storage, owner: SetOwner::Log(log) }
}

pub(super) async fn list(
    service: &Service,
    caller: &Caller,
    input: ListProcessingLogDataInput,
) -> Result<Encoded, Error> {
    let (limit, total) = (input.page_size(), input.has(LogFeature::NumberOfTotal));
    let scope = page_token_scope(caller, &input);
    let after = match &input.start_after {
        Some(token) => service.secrets.open(token, &scope)?,
        None => Position::default(),
    };
    let fields = match input.has(LogFeature::FetchResultData) {
        true => Some(input.include_result_data_fields).filter(|fields| !fields.is_empty()),
        // No member at all: the result is left out.
        false => Some(Vec::new()),
    };
    let query = PageQuery {
        filter: ResultFilter {
            business_partner_ids: input.business_partner_id,
            external_ids: input.external_id,
            data_source_ids: input.data_source_id,
            status: input.status,
            created: Span { from: input.created_from, to: input.created_to },
            modified: Span { from: input.modified_from, to: input.modified_to },
        },
        after,
        limit: usize::try_from(limit).unwrap_or(1),
        include_fields: fields.map(Into::into),
    };
    let set = set(caller, input.storage_id, input.processing_log_id);
    page(service, &set, query, PageForm { start_after: input.start_after, total, tokens: Some(scope) }).await
}

/// Bound to organization, storage, log and filters; not to `limit` and to what of an entry is shown.
fn page_token_scope(caller: &Caller, input: &ListProcessingLogDataInput) -> TokenScope {
    let mut scope = TokenScope::new(ListProcessingLogData::NAME, &caller.organization);
    scope.add("storageId", [input.storage_id.as_str()]);
    scope.add("processingLogId", [input.processing_log_id.name()]);
    scope.add("businessPartnerId", input.business_partner_id.iter().map(String::as_str));
    scope.add("externalId", input.external_id.iter().map(String::as_str));
    scope.add("dataSourceId", input.data_source_id.iter().map(String::as_str));
    scope.add("status", input.status.map(ResultStatus::name));
    for (name, time) in [
        ("createdFrom", input.created_from),
        ("createdTo", input.created_to),
        ("modifiedFrom", input.modified_from),
        ("modifiedTo", input.modified_to),
    ] {
        scope.add(name, time.as_ref().map(Timestamp::to_string).as_deref());
    }
    scope
}

pub(super) async fn insert(
    service: &Service,
    caller: &Caller,
    input: InsertProcessingLogDataInput,
) -> Result<InsertSummary, Error> {
    let (records, failures) = sort_out(input.results, |record| {
        // Which jobs there are is not asked: a log outlives the jobs that wrote it.
        let is_none = record.job_id == Some(JobId::NONE);
        is_none.then_some(("invalid_format", "jobId must be the id of a job, a UUID, or absent"))
    });
    if records.is_empty() {
        return Ok(summary(Upserted::default(), failures));
    }
    let set = set(caller, input.storage_id, input.processing_log_id);
    let upserted = service.results.upsert_results(&set, records, service.clock.now()).await?;
    Ok(summary(upserted, failures))
}

pub(super) async fn delete(
    service: &Service,
    caller: &Caller,
    input: DeleteProcessingLogDataInput,
) -> Result<DeletedResults, Error> {
    let set = set(caller, input.storage_id, input.processing_log_id);
    let deleted = service.results.delete_set(&set).await?;
    Ok(DeletedResults { deleted: i64::try_from(deleted).unwrap_or(i64::MAX) })
}
