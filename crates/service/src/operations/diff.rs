//! Comparing the results of two jobs, and reading what differs page by page.

use super::results::set;
use super::{Service, scope};
use crate::compare::{Finished, Subject};
use crate::handler::Encoded;
use crate::store::encode::Encoder;
use crate::store::{SetKey, Snapshot, SnapshotChunk, StoreError, StoredJob};
use bytes::Bytes;
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{DiffCounts, DiffJobResults, DiffJobResultsInput, RecordChange};
use docket_contract::{Caller, Code, Error, Operation};
use futures_util::stream;
use std::collections::HashMap;
use std::sync::Arc;

/// Bytes of a page that are read at a time, about.
const STEP_BYTES: usize = 1 << 20;
/// Records that are read first, and at most, in one step.
const FIRST_STEP: usize = 64;
const MOST_STEP: usize = 512;

/// Where a page begins, and what it is a page of.
struct Place {
    before_at: Snapshot,
    after_at: Snapshot,
    /// Behind this record; `None` for the first page.
    behind: Option<(RecordChange, u64)>,
}

/// A record that differs: the ids of its results.
#[derive(Clone, Copy)]
struct Item {
    change: RecordChange,
    before: Option<u64>,
    after: Option<u64>,
    /// By which it is listed.
    id: u64,
}

pub(super) async fn diff(service: &Service, caller: &Caller, input: DiffJobResultsInput) -> Result<Encoded, Error> {
    let newer = service.own_job(caller, input.job_id).await?;
    let older = service.control.read_job(&scope(caller), input.against).await?.ok_or_else(Error::not_found)?;
    let storage_id = storage(service, &newer, "storageId", input.storage_id.clone(), None).await?;
    let named = input.against_storage_id.clone();
    let against_storage_id = storage(service, &older, "againstStorageId", named, Some(&storage_id)).await?;
    let token_scope = token_scope(&newer, &older, &storage_id, &against_storage_id, &input);
    let (before, after) = (set(&older, against_storage_id), set(&newer, storage_id));
    let place = match &input.start_after {
        Some(token) => Some(Place::open(service, token, &token_scope)?),
        None => None,
    };
    let subject = match &place {
        Some(Place { before_at, after_at, .. }) => {
            Subject { before, before_at: *before_at, after, after_at: *after_at }
        }
        None => service.comparisons.subject(before, after).await?,
    };
    let finished = service.comparisons.compare(&subject).await?;
    let limit = usize::try_from(input.page_size()).unwrap_or(1);
    let (wanted, behind) = (input.changes(), place.and_then(|place| place.behind));
    let listed = Arc::clone(&finished);
    let items = tokio::task::spawn_blocking(move || list(&listed, &wanted, behind, limit + 1));
    let mut items = items.await.map_err(internal)?.map_err(StoreError::from)?;
    let has_more = items.len() > limit;
    items.truncate(limit);
    let next = match items.last().filter(|_| has_more) {
        Some(last) => Some(Place::seal(service, &subject, last, &token_scope)?),
        None => None,
    };
    let head = head(&input, finished.counts())?;
    let fields: Option<Arc<[String]>> =
        Some(input.include_result_data_fields).filter(|fields| !fields.is_empty()).map(Into::into);
    let page = Page {
        before: Encoder::new(&subject.before, fields.clone()),
        after: Encoder::new(&subject.after, fields),
        subject,
        items,
        read: 0,
        step: FIRST_STEP,
        is_first: true,
        next,
    };
    page.into_encoded(service, head).await
}

fn internal(error: impl std::fmt::Display) -> Error {
    StoreError::Internal(error.to_string()).into()
}

/// The storage that is meant: the one that is named, or `preferred` if the job has written to it, or the one that the job
/// writes to.
async fn storage(
    service: &Service,
    stored: &StoredJob,
    field: &str,
    named: Option<String>,
    preferred: Option<&String>,
) -> Result<String, Error> {
    if let Some(named) = named {
        return Ok(named);
    }
    let noted = service.control.noted_storages(stored.job.id).await?;
    if let Some(preferred) = preferred.filter(|preferred| noted.contains(preferred)) {
        return Ok(preferred.clone());
    }
    if let Some(storage_id) = &stored.job.spec.result_storage_id {
        return Ok(storage_id.clone());
    }
    if noted.len() > 1 {
        let detail = format!("{field} is required: job {} has written to {} storages", stored.job.id, noted.len());
        return Err(Error::field(format!("/{field}"), "required", detail));
    }
    // One that wrote nothing has no results, wherever they are looked for.
    Ok(noted.into_iter().next().or_else(|| preferred.cloned()).unwrap_or_default())
}

/// Bound to jobs, storages and changes; not to `limit` and to what of a result is shown.
fn token_scope(
    newer: &StoredJob,
    older: &StoredJob,
    storage_id: &str,
    against_storage_id: &str,
    input: &DiffJobResultsInput,
) -> TokenScope {
    let mut scope = TokenScope::new(DiffJobResults::NAME, &newer.organization);
    scope.add("jobId", [newer.job.id.to_string().as_str()]);
    scope.add("against", [older.job.id.to_string().as_str()]);
    scope.add("storageId", [storage_id]);
    scope.add("againstStorageId", [against_storage_id]);
    scope.add("change", input.changes().into_iter().map(RecordChange::name));
    scope
}

impl Place {
    const BYTES: usize = 2 * Snapshot::BYTES + 9;

    fn seal(service: &Service, subject: &Subject, last: &Item, scope: &TokenScope) -> Result<String, Error> {
        let mut bytes = Vec::with_capacity(Self::BYTES);
        bytes.extend_from_slice(&subject.before_at.to_bytes());
        bytes.extend_from_slice(&subject.after_at.to_bytes());
        bytes.push(number(last.change));
        bytes.extend_from_slice(&last.id.to_le_bytes());
        service.secrets.seal_bytes(&bytes, scope)
    }

    fn open(service: &Service, token: &str, scope: &TokenScope) -> Result<Self, Error> {
        let bytes = service.secrets.open_bytes(token, scope);
        bytes.as_deref().and_then(Self::read).ok_or_else(|| {
            let detail = "startAfter is not a token that this server issued for this comparison.";
            Error::new(Code::InvalidPageToken, detail)
        })
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (before_at, rest) = bytes.split_first_chunk::<{ Snapshot::BYTES }>()?;
        let (after_at, rest) = rest.split_first_chunk::<{ Snapshot::BYTES }>()?;
        let (number, id) = rest.split_first()?;
        let change = *RecordChange::ALL.get(usize::from(*number))?;
        Some(Self {
            before_at: Snapshot::from_bytes(*before_at),
            after_at: Snapshot::from_bytes(*after_at),
            behind: Some((change, u64::from_le_bytes(id.try_into().ok()?))),
        })
    }
}

/// The place of a change in the order in which records are listed.
fn number(change: RecordChange) -> u8 {
    (0..).zip(RecordChange::ALL).find(|(_, other)| *other == change).map_or(0, |(number, _)| number)
}

/// The next records. Blocks.
fn list(
    finished: &Finished,
    wanted: &[RecordChange],
    behind: Option<(RecordChange, u64)>,
    limit: usize,
) -> std::io::Result<Vec<Item>> {
    let mut items: Vec<Item> = Vec::new();
    for change in wanted.iter().copied() {
        let after = match behind {
            Some((last, _)) if number(change) < number(last) => continue,
            Some((last, id)) if change == last => id,
            _ => 0,
        };
        let pairs = finished.behind(change, after, limit - items.len())?;
        items.extend(pairs.into_iter().map(|(id, other)| match change {
            RecordChange::Missing => Item { change, before: Some(id), after: None, id },
            RecordChange::New => Item { change, before: None, after: Some(id), id },
            _ => Item { change, before: Some(other), after: Some(id), id },
        }));
        if items.len() >= limit {
            break;
        }
    }
    Ok(items)
}

/// The page up to its records.
fn head(input: &DiffJobResultsInput, counts: DiffCounts) -> Result<String, Error> {
    let total: i64 = input.changes().into_iter().map(|change| counts.of(change)).sum();
    let counts = serde_json::to_string(&counts).map_err(internal)?;
    let start_after = input.start_after.as_ref().map(|token| {
        let token = serde_json::Value::from(token.as_str());
        format!("\"startAfter\":{token},")
    });
    let limit = input.page_size();
    let start_after = start_after.unwrap_or_default();
    Ok(format!("{{{start_after}\"limit\":{limit},\"counts\":{counts},\"total\":{total},\"values\":["))
}

/// A page on its way.
struct Page {
    subject: Subject,
    items: Vec<Item>,
    /// Items that were read.
    read: usize,
    /// How many to read next.
    step: usize,
    /// Whether no record has been written yet.
    is_first: bool,
    before: Encoder,
    after: Encoder,
    next: Option<String>,
}

impl Page {
    /// Reads the first records at once, so that what is gone answers with a problem instead of a torn page.
    async fn into_encoded(mut self, service: &Service, head: String) -> Result<Encoded, Error> {
        let results = Arc::clone(&service.results);
        let mut first = head.into_bytes();
        if let Some(bytes) = self.records(&*results).await? {
            first.extend_from_slice(&bytes);
        }
        let rest = stream::try_unfold(Some((self, results)), |page| async move {
            let Some((mut page, results)) = page else { return Ok(None) };
            match page.records(&*results).await? {
                Some(bytes) => Ok(Some((Bytes::from(bytes), Some((page, results))))),
                None => Ok(Some((Bytes::from(page.tail()), None))),
            }
        });
        let begin = stream::iter([Ok(Bytes::from(first))]);
        Ok(Encoded::new(futures_util::StreamExt::chain(begin, rest)))
    }

    fn tail(&self) -> String {
        self.next.as_ref().map_or_else(|| "]}".to_owned(), |token| format!("],\"nextStartAfter\":\"{token}\"}}"))
    }

    /// The next records; `None` at the end.
    async fn records(&mut self, results: &dyn crate::store::ResultStore) -> Result<Option<Vec<u8>>, Error> {
        let end = self.items.len().min(self.read + self.step);
        let items = &self.items[self.read..end];
        if items.is_empty() {
            return Ok(None);
        }
        let Subject { before, before_at, after, after_at } = &self.subject;
        let olds = results_of(results, before, *before_at, items.iter().filter_map(|item| item.before));
        let news = results_of(results, after, *after_at, items.iter().filter_map(|item| item.after));
        let (olds, news) = (olds.await?, news.await?);
        let mut out = Vec::new();
        for item in items {
            let found = |found: &Found, id: Option<u64>| id.and_then(|id| found.places.get(&id).copied());
            let (old, new) = (found(&olds, item.before), found(&news, item.after));
            // What was erased since is not shown.
            if old.is_none() && new.is_none() {
                continue;
            }
            if !std::mem::take(&mut self.is_first) {
                out.push(b',');
            }
            out.extend_from_slice(format!("{{\"change\":\"{}\"", item.change.name()).as_bytes());
            for (name, found, place, encoder) in
                [("before", &olds, old, &mut self.before), ("after", &news, new, &mut self.after)]
            {
                let Some(place) = place else { continue };
                let row = &found.chunk.rows[place];
                out.extend_from_slice(format!(",\"{name}\":").as_bytes());
                let body = &found.chunk.bytes[row.body.clone()];
                encoder.object(&mut out, row.id.0, row.created_at, row.modified_at, body)?;
            }
            out.push(b'}');
        }
        // As many next time as fit into a step if they are like these.
        let each = (out.len() / items.len()).max(1);
        self.step = (STEP_BYTES / each).clamp(1, MOST_STEP);
        self.read = end;
        Ok(Some(out))
    }
}

/// Results that were found, by their ids.
struct Found {
    chunk: SnapshotChunk,
    places: HashMap<u64, usize>,
}

async fn results_of(
    results: &dyn crate::store::ResultStore,
    set: &SetKey,
    at: Snapshot,
    ids: impl Iterator<Item = u64>,
) -> Result<Found, StoreError> {
    let mut ids: Vec<Position> = ids.map(Position).collect();
    ids.sort_unstable();
    let chunk = if ids.is_empty() { SnapshotChunk::default() } else { results.read_at(set, at, ids).await? };
    let places = chunk.rows.iter().enumerate().map(|(place, row)| (row.id.0, place)).collect();
    Ok(Found { chunk, places })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_read_back_and_nothing_else_is() {
        let mut bytes = vec![1; Place::BYTES];
        bytes[2 * Snapshot::BYTES] = 4;
        let place = Place::read(&bytes).expect("a place");
        assert_eq!(place.behind, Some((RecordChange::New, u64::from_le_bytes([1; 8]))));
        bytes[2 * Snapshot::BYTES] = 5;
        assert!(Place::read(&bytes).is_none() && Place::read(&bytes[1..]).is_none() && Place::read(&[]).is_none());
        bytes[2 * Snapshot::BYTES] = 0;
        bytes.push(0);
        assert!(Place::read(&bytes).is_none());
    }
}
