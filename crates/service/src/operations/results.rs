//! Writing, paging and deleting results.

use super::Service;
use super::jobs::{job_ended, stale_attempt};
use crate::handler::Encoded;
use crate::secrets::Secrets;
use crate::store::{PageQuery, PageReader, ResultFilter, SetKey, SetOwner, StorageKey, StoredJob, Upserted};
use bytes::Bytes;
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{
    DeleteJobResultsInput, DeletedResults, InsertJobResultsInput, InsertSummary, ListJobRunResults,
    ListJobRunResultsInput, ResultItems,
};
use docket_contract::result::{InsertFailure, Record, ResultItem, ResultStatus};
use docket_contract::{Caller, Error, Operation};
use futures_util::StreamExt;
use futures_util::stream;
use std::sync::Arc;

pub(super) fn set(stored: &StoredJob, storage_id: String) -> SetKey {
    let storage = StorageKey { organization: stored.organization.clone(), storage_id };
    SetKey { storage, owner: SetOwner::Job(stored.job.id) }
}

fn small(count: usize) -> i32 {
    i32::try_from(count).unwrap_or(i32::MAX)
}

pub(super) async fn insert(
    service: &Service,
    caller: &Caller,
    input: InsertJobResultsInput,
) -> Result<InsertSummary, Error> {
    let gate = service.gates.of(input.job_id);
    let _turn = gate.write_results().await;
    let stored = service.own_job(caller, input.job_id).await?;
    if let Some(own) = caller.job {
        if stored.job.status.is_terminal() {
            return Err(job_ended(&stored));
        }
        if own.attempt != stored.job.attempt {
            return Err(stale_attempt());
        }
    }
    let (records, failures) = sort_out(input.results, |record| {
        let of_another = record.job_id.is_some_and(|job| job != input.job_id);
        of_another.then_some(("unknown_value", "jobId must be that of the path, or absent"))
    });
    if records.is_empty() {
        return Ok(summary(Upserted::default(), failures));
    }
    if !gate.knows(&input.storage_id) {
        if !service.control.note_storage(input.job_id, &input.storage_id).await? {
            return Err(Error::not_found());
        }
        gate.note(&input.storage_id);
    }
    let set = set(&stored, input.storage_id);
    let mirror = stored.job.spec.processing_log_id;
    let upserted = service.results.upsert_mirrored(&set, mirror, records, service.clock.now()).await?;
    Ok(summary(upserted, failures))
}

/// The records to write, and why the others are not: `refuse` tells it of good ones.
pub(super) fn sort_out(
    items: ResultItems,
    refuse: impl Fn(&Record) -> Option<(&'static str, &'static str)>,
) -> (Vec<Record>, Vec<InsertFailure>) {
    let (mut records, mut failures) = (Vec::with_capacity(items.0.len()), Vec::new());
    for (index, item) in items.0.into_iter().enumerate() {
        match item {
            ResultItem::Record(record, _) => match refuse(&record) {
                None => records.push(record),
                Some((code, detail)) => failures.push(InsertFailure {
                    index: small(index),
                    external_id: record.identity.external_id().map(str::to_owned),
                    business_partner_id: record.identity.business_partner_id().map(str::to_owned),
                    code: code.to_owned(),
                    detail: detail.to_owned(),
                }),
            },
            ResultItem::Rejected(failure) => failures.push(InsertFailure { index: small(index), ..failure }),
        }
    }
    (records, failures)
}

pub(super) fn summary(upserted: Upserted, failures: Vec<InsertFailure>) -> InsertSummary {
    let (created, updated) = (small(upserted.created as usize), small(upserted.updated as usize));
    InsertSummary { created, updated, failed: small(failures.len()), failures }
}

pub(super) async fn list(service: &Service, caller: &Caller, input: ListJobRunResultsInput) -> Result<Encoded, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let limit = input.page_size();
    let token_scope = input.uses_tokens().then(|| page_token_scope(&stored, &input));
    let after = match (&input.start_after, &token_scope) {
        (None, _) => Position::default(),
        (Some(token), Some(scope)) => service.secrets.open(token, scope)?,
        (Some(id), None) => Position::parse(id).ok_or_else(|| {
            let detail = "startAfter must be a result id in decimal digits, or a token with USE_NEXT_START_AFTER";
            Error::field("/startAfter", "invalid_format", detail)
        })?,
    };
    let include = input.include_result_data_fields;
    let query = PageQuery {
        filter: ResultFilter {
            business_partner_ids: input.business_partner_id,
            external_ids: input.external_id,
            data_source_ids: input.data_source_id.into_iter().collect(),
            status: input.job_result_status,
            ..ResultFilter::default()
        },
        after,
        limit: usize::try_from(limit).unwrap_or(1),
        include_fields: (!include.is_empty()).then(|| include.into()),
    };
    let set = set(&stored, input.storage_id);
    page(service, &set, query, PageForm { start_after: input.start_after, total: true, tokens: token_scope }).await
}

/// What a page says beside its results.
pub(super) struct PageForm {
    /// As it was sent.
    pub(super) start_after: Option<String>,
    /// Whether it tells the total, where that is known.
    pub(super) total: bool,
    /// What the token of the next page is bound to; without, it names none.
    pub(super) tokens: Option<TokenScope>,
}

/// A page as it is answered.
pub(super) async fn page(service: &Service, set: &SetKey, query: PageQuery, form: PageForm) -> Result<Encoded, Error> {
    let limit = query.limit;
    let page = service.results.open_page(set, query).await?;
    let mut head = String::from("{");
    if let Some(start_after) = &form.start_after {
        head.push_str("\"startAfter\":");
        head.push_str(&serde_json::Value::from(start_after.as_str()).to_string());
        head.push(',');
    }
    head.push_str(&format!("\"limit\":{limit},"));
    if let Some(total) = page.total().filter(|_| form.total) {
        // `total` is a 32-bit integer on the wire [S].
        head.push_str(&format!("\"total\":{},", i32::try_from(total).unwrap_or(i32::MAX)));
    }
    head.push_str("\"values\":[");
    let sealing = form.tokens.map(|scope| (scope, service.secrets.clone()));
    Body::new(head, page, sealing).into_encoded().await
}

/// A page on its way: head, chunks, tail.
pub(super) struct Body {
    head: String,
    page: Box<dyn PageReader>,
    /// Whether a chunk went out.
    begun: bool,
    /// A chunk whose comma goes before it: joining them would copy it.
    behind_comma: Option<Bytes>,
    sealing: Option<(TokenScope, Arc<Secrets>)>,
}

impl Body {
    /// `head` ends with the bracket before the first result.
    pub(super) fn new(head: String, page: Box<dyn PageReader>, sealing: Option<(TokenScope, Arc<Secrets>)>) -> Self {
        Self { head, page, begun: false, behind_comma: None, sealing }
    }

    /// Reads the first chunk at once, so that a damaged storage answers with a problem instead of a torn page.
    pub(super) async fn into_encoded(mut self) -> Result<Encoded, Error> {
        let head = Bytes::from(std::mem::take(&mut self.head));
        let first = self.next().await?;
        let begin = stream::iter([Some(head), first].into_iter().flatten().map(Ok));
        let rest = stream::try_unfold(Some(self), |body| async move {
            let Some(mut body) = body else { return Ok(None) };
            match body.next().await? {
                Some(bytes) => Ok(Some((bytes, Some(body)))),
                None => Ok(Some((Bytes::from(body.tail()?), None))),
            }
        });
        Ok(Encoded::new(begin.chain(rest)))
    }

    async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(bytes) = self.behind_comma.take() {
            return Ok(Some(bytes));
        }
        let Some(chunk) = self.page.next().await? else { return Ok(None) };
        if !std::mem::replace(&mut self.begun, true) {
            return Ok(Some(chunk.bytes));
        }
        self.behind_comma = Some(chunk.bytes);
        Ok(Some(Bytes::from_static(b",")))
    }

    fn tail(&self) -> Result<String, Error> {
        Ok(match &self.sealing {
            Some((scope, secrets)) if self.page.has_more() => {
                format!("],\"nextStartAfter\":\"{}\"}}", secrets.seal(self.page.reached(), scope)?)
            }
            _ => "]}".to_owned(),
        })
    }
}

/// Bound to storage, job and filters; not to `limit` and to what of a result is shown.
fn page_token_scope(stored: &StoredJob, input: &ListJobRunResultsInput) -> TokenScope {
    let mut scope = TokenScope::new(ListJobRunResults::NAME, &stored.organization);
    scope.add("jobId", [stored.job.id.to_string().as_str()]);
    scope.add("storageId", [input.storage_id.as_str()]);
    scope.add("businessPartnerId", input.business_partner_id.iter().map(String::as_str));
    scope.add("externalId", input.external_id.iter().map(String::as_str));
    scope.add("dataSourceId", input.data_source_id.as_deref());
    scope.add("jobResultStatus", input.job_result_status.map(ResultStatus::name));
    scope
}

pub(super) async fn delete(
    service: &Service,
    caller: &Caller,
    input: DeleteJobResultsInput,
) -> Result<DeletedResults, Error> {
    let storage = StorageKey { organization: caller.organization.clone(), storage_id: input.storage_id };
    let deleted = service.results.delete_job_sets(&storage).await?;
    Ok(DeletedResults { deleted: i64::try_from(deleted).unwrap_or(i64::MAX) })
}
