//! Counting results: by status, country and data source from counters, by members of `resultData` from all results as they
//! are at one moment.
//!
//! A count by members reads every result, about a MiB at a time and apart from the threads that serve connections; while
//! one part is counted the next one is read. It keeps the values and nothing else, and of those only so many.

mod extract;
mod tally;

use super::results::set;
use super::{Service, scope};
use crate::store::{Scope, SetKey, SetOwner, SnapshotChunk, SnapshotQuery, StorageKey, Tally};
use docket_contract::operations::{
    DEFAULT_VALUES, JobStatistics, MemberCounts, ReadJobStatisticsInput, ReadProcessingLogStatisticsInput, ValueCount,
};
use docket_contract::pointer::Pointer;
use docket_contract::result::ResultStatus;
use docket_contract::{Caller, Code, Error};
use extract::Extractor;
use std::collections::BTreeMap;
use std::time::Duration;
use tally::Values;
use tokio::sync::{Semaphore, SemaphorePermit};

/// Counts by members at once: each takes one processor, and its memory for values.
const AT_ONCE: usize = 2;
/// Longest wait for a turn.
const PATIENCE: Duration = Duration::from_secs(10);

/// Whose turn it is to count by members.
#[derive(Debug)]
pub struct Counting(Semaphore);

impl Default for Counting {
    fn default() -> Self {
        Self(Semaphore::new(AT_ONCE))
    }
}

impl Counting {
    async fn turn(&self) -> Result<SemaphorePermit<'_>, Error> {
        let busy = || Error::new(Code::Overloaded, "Too many counts by members of resultData are running.");
        let turn = tokio::time::timeout(PATIENCE, self.0.acquire()).await.map_err(|_| busy())?;
        turn.map_err(|_| busy())
    }
}

pub(super) async fn of_job(
    service: &Service,
    caller: &Caller,
    input: ReadJobStatisticsInput,
) -> Result<JobStatistics, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let storages = match input.storage_id {
        Some(storage_id) => vec![storage_id],
        None => service.control.noted_storages(input.job_id).await?,
    };
    let sets = storages.into_iter().map(|storage_id| set(&stored, storage_id)).collect();
    of_sets(service, sets, input.pointer, input.limit).await
}

pub(super) async fn of_log(
    service: &Service,
    caller: &Caller,
    input: ReadProcessingLogStatisticsInput,
) -> Result<JobStatistics, Error> {
    let Scope::Organization(organization) = scope(caller) else { return Err(Error::not_found()) };
    let storage = StorageKey { organization, storage_id: input.storage_id };
    let set = SetKey { storage, owner: SetOwner::Log(input.processing_log_id) };
    of_sets(service, vec![set], input.pointer, input.limit).await
}

async fn of_sets(
    service: &Service,
    sets: Vec<SetKey>,
    pointers: Vec<String>,
    limit: Option<i32>,
) -> Result<JobStatistics, Error> {
    let mut tallies = Vec::new();
    for set in &sets {
        tallies.extend(service.results.statistics(set).await?);
    }
    let mut statistics = summarize(&tallies);
    if !pointers.is_empty() {
        let limit = usize::try_from(limit.unwrap_or(DEFAULT_VALUES)).unwrap_or(1);
        statistics.members = by_members(service, sets, pointers, limit).await?;
    }
    Ok(statistics)
}

/// What a count by members has come to.
struct Count {
    extractor: Extractor,
    members: Vec<Values>,
}

impl Count {
    fn add(&mut self, chunk: &SnapshotChunk) -> Result<(), Error> {
        for (row, body) in chunk.iter() {
            let failed = row.status == ResultStatus::Failed;
            let found = self.extractor.read(body)?;
            for (member, values) in (0..).zip(&mut self.members) {
                match found {
                    Some(found) => values.add(found.of(member), failed),
                    None => values.not_json += 1,
                }
            }
        }
        Ok(())
    }
}

async fn by_members(
    service: &Service,
    sets: Vec<SetKey>,
    pointers: Vec<String>,
    limit: usize,
) -> Result<Vec<MemberCounts>, Error> {
    let _turn = service.counting.turn().await?;
    let parse = |pointer: &String| {
        Pointer::parse(pointer).map_err(|(code, detail)| Error::field("/pointer", code, format!("pointer {detail}")))
    };
    let parsed = pointers.iter().map(parse).collect::<Result<Vec<_>, _>>()?;
    let members = parsed.iter().map(|_| Values::default()).collect();
    let mut count = Count { extractor: Extractor::new(parsed), members };
    for set in sets {
        let mut reader = service.results.open_snapshot(&set, SnapshotQuery::default()).await?;
        let mut chunk = reader.next().await?;
        while let Some(read) = chunk {
            let counting = blocking(move || count.add(&read).map(|()| count));
            let (counted, next) = tokio::join!(counting, reader.next());
            count = counted?;
            chunk = next?;
        }
    }
    blocking(move || {
        let counts = pointers.into_iter().zip(count.members).map(|(pointer, values)| values.told(pointer, limit));
        Ok(counts.collect())
    })
    .await
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.unwrap_or_else(|error| {
        tracing::error!(%error, "a count of results did not end");
        Err(Error::new(Code::Internal, "The server failed; its log has the reason."))
    })
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
