//! The suite of [`ResultStore`]. `results_suite!(open)` makes a test of every case; `open` is a path to an async function
//! that answers a store and whatever must live as long as it.
//!
//! Every case works in an organization of its own, so that the cases can share a database.

mod filters;
mod last;
mod logs;
mod pages;
mod removal;
mod revisions;
mod sets;
mod snapshots;
mod times;
mod writes;

pub use filters::*;
pub use last::*;
pub use logs::*;
pub use pages::*;
pub use removal::*;
pub use revisions::*;
pub use sets::*;
pub use snapshots::*;
pub use times::*;
pub use writes::*;

use crate::store::{PageQuery, ResultFilter, ResultStore, SetKey, SetOwner, StorageKey, StoreError, Tally, Upserted};
use docket_contract::cursor::Position;
use docket_contract::result::{JobResultData, Record, ResultItem, ResultStatus};
use docket_contract::{JobId, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use uuid::Uuid;

/// Makes a test of every case of the suite.
#[macro_export]
macro_rules! results_suite {
    ($open:path) => {
        $crate::results_suite!(@ $open:
            what_is_created_is_read, what_is_known_is_updated, an_identity_may_come_twice_in_a_request,
            pages_follow_each_other_while_records_arrive, a_page_ends_where_it_says, filters_select,
            identities_select, filters_combine, only_wanted_members_are_sent, counters_follow_the_verdict,
            what_is_unknown_is_empty, sets_are_apart, organizations_are_apart, a_deleted_storage_is_gone,
            a_deleted_set_is_gone, ids_are_never_given_twice, names_are_only_names, large_rows_come_whole,
            writers_do_not_disturb_each_other, a_page_outlives_its_storage, a_page_outlives_its_set,
            many_rows_come_in_order, a_record_may_change_often, filters_see_what_a_record_became,
            a_changed_set_is_deleted_whole, the_last_result_is_the_one_created_last,
            a_snapshot_shows_its_moment, rows_of_a_moment_are_found_by_id, a_snapshot_of_what_is_deleted_is_no_whole, snapshots_are_of_one_moment_while_writers_run,
            the_last_written_result_is_the_newest, the_newest_results_agree_with_a_map,
            ids_of_too_many_records_are_refused, an_answer_outlives_its_jobs,
            one_of_several_data_sources_selects, a_log_holds_the_newest_result_of_each_record,
            what_is_mirrored_is_in_both, the_sets_of_jobs_go_and_logs_stay, a_log_is_emptied_and_jobs_stay,
            results_can_be_left_out, what_is_erased_is_gone,
            one_of_two_partners_with_an_external_id_is_erased, what_is_erased_is_gone_from_earlier_moments,
            the_newest_results_are_found_behind_erased_ones, old_results_are_removed,
            a_page_outlives_the_removal_of_its_results, readers_go_on_while_results_are_removed, storages_are_listed,
            times_select, times_select_among_revisions, times_are_those_of_a_snapshot);
    };
    (@ $open:path: $($case:ident),+) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let (store, _guard) = $open().await;
                $crate::store::conformance::results::$case(store.clone()).await;
                store.close().await;
            }
        )+
    };
}

/// A store under test.
pub type Store = Arc<dyn ResultStore>;

fn now(seconds: i64) -> Timestamp {
    Timestamp::from_millis(1_790_000_000_000 + seconds * 1000)
}

fn set(storage: &str, job: u128) -> SetKey {
    let storage = StorageKey { organization: Uuid::now_v7().to_string(), storage_id: storage.to_owned() };
    SetKey { storage, owner: self::job(job) }
}

fn job(number: u128) -> SetOwner {
    SetOwner::Job(JobId(Uuid::from_u128(number)))
}

fn record(json: serde_json::Value) -> Record {
    match ResultItem::parse(&json.to_string()) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{json}: {failure:?}"),
    }
}

fn plain(external_id: &str) -> Record {
    record(serde_json::json!({"externalId": external_id, "resultData": format!("data of {external_id}")}))
}

fn upserted(created: u32, updated: u32) -> Result<Upserted, StoreError> {
    Ok(Upserted { created, updated })
}

/// A page, decoded.
#[derive(Debug)]
struct Read {
    results: Vec<JobResultData>,
    total: u64,
    more: bool,
    reached: Position,
}

impl Read {
    fn external_ids(&self) -> Vec<&str> {
        self.results.iter().map(|result| result.written.external_id.as_deref().unwrap_or_default()).collect()
    }

    fn ids(&self) -> Vec<u64> {
        self.results.iter().map(id).collect()
    }
}

fn id(result: &JobResultData) -> u64 {
    result.id.parse().expect("a number")
}

async fn read(store: &Store, set: &SetKey, query: PageQuery) -> Read {
    let limit = query.limit;
    let after = query.after;
    let mut page = store.open_page(set, query).await.expect("a page");
    let mut results: Vec<JobResultData> = Vec::new();
    while let Some(chunk) = page.next().await.expect("a chunk") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        let part: Vec<JobResultData> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!(part.len(), chunk.count);
        assert!(chunk.count > 0);
        assert_eq!(part.last().map(id), Some(chunk.last.0));
        results.extend(part);
    }
    assert!(page.next().await.expect("the end").is_none());
    assert!(results.len() <= limit);
    assert!(results.iter().map(id).is_sorted_by(|one, other| one < other), "ids grow");
    assert!(results.iter().all(|result| id(result) > after.0));
    let more = page.has_more();
    if more {
        assert!(page.reached() >= results.last().map_or(after, |last| Position(id(last))));
    }
    // A filter by times counts nothing.
    let total = page.total().unwrap_or(results.len() as u64);
    Read { results, total, more, reached: page.reached() }
}

fn query(limit: usize) -> PageQuery {
    PageQuery { filter: ResultFilter::default(), after: Position(0), limit, include_fields: None }
}

async fn all(store: &Store, set: &SetKey, filter: ResultFilter) -> Read {
    read(store, set, PageQuery { filter, ..query(100_000) }).await
}

/// All pages of a filter, one behind the other; every page must tell the same total.
async fn paged(store: &Store, set: &SetKey, filter: ResultFilter, limit: usize) -> Vec<JobResultData> {
    let (mut results, mut after) = (Vec::new(), Position(0));
    loop {
        let page = read(store, set, PageQuery { filter: filter.clone(), after, ..query(limit) }).await;
        assert!(!page.more || page.results.len() == limit, "only a full page has one behind it");
        results.extend(page.results);
        if !page.more {
            assert_eq!(page.total, results.len() as u64);
            return results;
        }
        after = Position(results.last().map(id).expect("a full page"));
    }
}

fn sum(tallies: &[Tally]) -> u64 {
    tallies.iter().map(|tally| tally.count).sum()
}

/// 300 records: data source of three, every seventh failed, two countries, two records an external id.
async fn mixed(store: &Store) -> SetKey {
    let set = set("s", 1);
    for batch in 0..3 {
        let records = (0..100).map(|number| {
            let number = batch * 100 + number;
            record(serde_json::json!({
                "dataSourceId": (number % 3 > 0).then(|| format!("source {}", number % 3)),
                "businessPartnerId": format!("partner {number}"),
                "externalId": format!("external {}", number / 2),
                "status": if number % 7 == 0 { "FAILED" } else { "OK" },
                "countryShortName": if number % 2 == 0 { "CH" } else { "DE" },
            }))
        });
        assert_eq!(store.upsert_results(&set, records.collect(), now(batch)).await, upserted(100, 0));
    }
    set
}

fn numbers(results: &[JobResultData]) -> Vec<usize> {
    let number =
        |result: &JobResultData| result.written.business_partner_id.as_ref()?.strip_prefix("partner ")?.parse().ok();
    results.iter().map(|result| number(result).expect("a partner of ours")).collect()
}

fn expected(passes: impl Fn(usize) -> bool) -> Vec<usize> {
    (0..300).filter(|number| passes(*number)).collect()
}

fn partners(ids: &[usize]) -> Vec<String> {
    ids.iter().map(|id| format!("partner {id}")).collect()
}
