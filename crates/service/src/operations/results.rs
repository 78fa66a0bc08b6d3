//! Writing, paging, counting and deleting results.

use super::jobs::{job_ended, stale_attempt};
use super::{Service, scope};
use crate::handler::Encoded;
use crate::secrets::Secrets;
use crate::store::{PageQuery, PageReader, ResultFilter, SetKey, StorageKey, StoredJob, Tally};
use bytes::Bytes;
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{
    DeleteJobResultsInput, DeletedResults, InsertJobResultsInput, InsertSummary, JobStatistics, ListJobRunResults,
    ListJobRunResultsInput, ReadJobStatisticsInput, ValueCount,
};
use docket_contract::result::{InsertFailure, ResultItem, ResultStatus};
use docket_contract::{Caller, Error, Operation};
use futures_util::StreamExt;
use futures_util::stream;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) fn set(stored: &StoredJob, storage_id: String) -> SetKey {
    let storage = StorageKey { organization: stored.organization.clone(), storage_id };
    SetKey { storage, job: stored.job.id }
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
    let (mut records, mut failures) = (Vec::with_capacity(input.results.0.len()), Vec::new());
    for (index, item) in input.results.0.into_iter().enumerate() {
        match item {
            ResultItem::Record(record, _) if record.job_id.is_none_or(|job| job == input.job_id) => {
                records.push(record);
            }
            ResultItem::Record(record, _) => failures.push(InsertFailure {
                index: small(index),
                external_id: record.identity.external_id().map(str::to_owned),
                business_partner_id: record.identity.business_partner_id().map(str::to_owned),
                code: "unknown_value".to_owned(),
                detail: "jobId must be that of the path, or absent".to_owned(),
            }),
            ResultItem::Rejected(failure) => failures.push(InsertFailure { index: small(index), ..failure }),
        }
    }
    let failed = small(failures.len());
    if records.is_empty() {
        return Ok(InsertSummary { failed, failures, ..InsertSummary::default() });
    }
    if !gate.knows(&input.storage_id) {
        if !service.control.note_storage(input.job_id, &input.storage_id).await? {
            return Err(Error::not_found());
        }
        gate.note(&input.storage_id);
    }
    let set = set(&stored, input.storage_id);
    let upserted = service.results.upsert_results(&set, records, service.clock.now()).await?;
    let (created, updated) = (small(upserted.created as usize), small(upserted.updated as usize));
    Ok(InsertSummary { created, updated, failed, failures })
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
            data_source_id: input.data_source_id,
            status: input.job_result_status,
        },
        after,
        limit: usize::try_from(limit).unwrap_or(1),
        include_fields: (!include.is_empty()).then(|| include.into()),
    };
    let set = set(&stored, input.storage_id);
    page(service, &set, query, input.start_after, token_scope).await
}

/// A page as it is answered; with a scope for tokens it names the next one.
pub(super) async fn page(
    service: &Service,
    set: &SetKey,
    query: PageQuery,
    start_after: Option<String>,
    token_scope: Option<TokenScope>,
) -> Result<Encoded, Error> {
    let limit = query.limit;
    let page = service.results.open_page(set, query).await?;
    let mut head = String::from("{");
    if let Some(start_after) = &start_after {
        head.push_str("\"startAfter\":");
        head.push_str(&serde_json::Value::from(start_after.as_str()).to_string());
        head.push(',');
    }
    // `total` is a 32-bit integer on the wire [S].
    let total = i32::try_from(page.total()).unwrap_or(i32::MAX);
    head.push_str(&format!("\"limit\":{limit},\"total\":{total},\"values\":["));
    let sealing = token_scope.map(|scope| (scope, service.secrets.clone()));
    Body { head, page, last: None, behind_comma: None, sealing }.into_encoded().await
}

/// A page on its way: head, chunks, tail.
struct Body {
    head: String,
    page: Box<dyn PageReader>,
    last: Option<Position>,
    /// A chunk whose comma goes before it: joining them would copy it.
    behind_comma: Option<Bytes>,
    sealing: Option<(TokenScope, Arc<Secrets>)>,
}

impl Body {
    /// Reads the first chunk at once, so that a damaged storage answers with a problem instead of a torn page.
    async fn into_encoded(mut self) -> Result<Encoded, Error> {
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
        if self.last.replace(chunk.last).is_none() {
            return Ok(Some(chunk.bytes));
        }
        self.behind_comma = Some(chunk.bytes);
        Ok(Some(Bytes::from_static(b",")))
    }

    fn tail(&self) -> Result<String, Error> {
        Ok(match (&self.sealing, self.last) {
            (Some((scope, secrets)), Some(last)) if self.page.has_more() => {
                format!("],\"nextStartAfter\":\"{}\"}}", secrets.seal(last, scope)?)
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
    scope.add(
        "jobResultStatus",
        input.job_result_status.map(|status| match status {
            ResultStatus::Ok => "OK",
            ResultStatus::Failed => "FAILED",
        }),
    );
    scope
}

pub(super) async fn delete(
    service: &Service,
    caller: &Caller,
    input: DeleteJobResultsInput,
) -> Result<DeletedResults, Error> {
    let crate::store::Scope::Organization(organization) = scope(caller) else { return Err(Error::not_found()) };
    let storage = StorageKey { organization, storage_id: input.storage_id };
    let deleted = service.results.delete_storage(&storage).await?;
    Ok(DeletedResults { deleted: i64::try_from(deleted).unwrap_or(i64::MAX) })
}

pub(super) async fn statistics(
    service: &Service,
    caller: &Caller,
    input: ReadJobStatisticsInput,
) -> Result<JobStatistics, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let storages = match input.storage_id {
        Some(storage_id) => vec![storage_id],
        None => service.control.noted_storages(input.job_id).await?,
    };
    let mut tallies = Vec::new();
    for storage_id in storages {
        tallies.extend(service.results.statistics(&set(&stored, storage_id)).await?);
    }
    Ok(summarize(&tallies))
}

fn summarize(tallies: &[Tally]) -> JobStatistics {
    let mut statistics = JobStatistics::default();
    let (mut countries, mut sources) = (BTreeMap::new(), BTreeMap::new());
    for tally in tallies {
        let count = i64::try_from(tally.count).unwrap_or(i64::MAX);
        let failed = if tally.status == ResultStatus::Failed { count } else { 0 };
        statistics.total += count;
        statistics.failed += failed;
        let country = tally.country.map(|country| country.iter().map(|&byte| char::from(byte)).collect::<String>());
        for (group, value) in [(&mut countries, country), (&mut sources, tally.data_source_id.clone())] {
            let sums: &mut (i64, i64) = group.entry(value).or_default();
            sums.0 += count;
            sums.1 += failed;
        }
    }
    statistics.ok = statistics.total - statistics.failed;
    statistics.countries = most_first(countries);
    statistics.data_sources = most_first(sources);
    statistics
}

fn most_first(sums: BTreeMap<Option<String>, (i64, i64)>) -> Vec<ValueCount> {
    let mut counts: Vec<_> =
        sums.into_iter().map(|(value, (count, failed))| ValueCount { value, count, failed }).collect();
    counts.sort_by_key(|count| std::cmp::Reverse(count.count));
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statistics_add_up() {
        let tally = |source: Option<&str>, country: Option<&[u8; 2]>, status, count| Tally {
            data_source_id: source.map(str::to_owned),
            country: country.copied(),
            status,
            count,
        };
        let found = summarize(&[
            tally(Some("a"), Some(b"CH"), ResultStatus::Ok, 5),
            tally(Some("a"), Some(b"DE"), ResultStatus::Failed, 2),
            tally(None, Some(b"DE"), ResultStatus::Ok, 4),
        ]);
        assert_eq!((found.total, found.ok, found.failed), (11, 9, 2));
        let shown = |counts: &[ValueCount]| -> Vec<(Option<String>, i64, i64)> {
            counts.iter().map(|count| (count.value.clone(), count.count, count.failed)).collect()
        };
        assert_eq!(shown(&found.countries), [(Some("DE".into()), 6, 2), (Some("CH".into()), 5, 0)]);
        assert_eq!(shown(&found.data_sources), [(Some("a".into()), 7, 2), (None, 4, 0)]);
    }
}
