//! The newest result of each record, over the jobs of a storage.

use super::*;
use crate::store::{LastQuery, MOST_RECORDS};
use docket_contract::ProcessingLogId;

/// A record of a partner, who may have several.
fn result(partner: usize, address: usize, data: &str, status: &str) -> Record {
    record(serde_json::json!({
        "businessPartnerId": format!("partner {partner}"),
        "externalId": format!("external {}", partner / 2),
        "addressId": format!("address {address}"),
        "dataSourceId": format!("source {}", partner % 3),
        "status": status,
        "resultData": data,
    }))
}

fn of_partners(partners: &[usize]) -> LastQuery {
    LastQuery { business_partner_ids: super::partners(partners), limit: 5000, ..LastQuery::default() }
}

/// The total, and of each result partner, address and what was written.
async fn last(store: &Store, storage: &StorageKey, query: LastQuery) -> (u64, Vec<(String, String, String)>) {
    let limit = query.limit;
    let mut page = store.last_results(storage, query).await.expect("an answer");
    let mut results: Vec<JobResultData> = Vec::new();
    while let Some(chunk) = page.next().await.expect("a chunk") {
        let text = format!("[{}]", std::str::from_utf8(&chunk.bytes).expect("UTF-8"));
        let part: Vec<JobResultData> = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
        assert_eq!((part.len(), part.last().map(id)), (chunk.count, Some(chunk.last.0)));
        results.extend(part);
    }
    let total = page.total().expect("a total");
    assert!(results.len() <= limit && results.len() as u64 <= total && !page.has_more());
    assert!(results.iter().map(id).is_sorted_by(|one, other| one < other), "ids grow");
    let told = results.into_iter().map(|result| {
        assert_eq!(result.storage_id, storage.storage_id);
        let written = result.written;
        let text = |text: Option<String>| text.unwrap_or_default();
        (text(written.business_partner_id), text(written.address_id), text(written.result_data))
    });
    (total, told.collect())
}

async fn data(store: &Store, storage: &StorageKey, query: LastQuery) -> Vec<String> {
    last(store, storage, query).await.1.into_iter().map(|(_, _, data)| data).collect()
}

/// Jobs write one after another; then an older one writes again, and the newest one goes.
pub async fn the_last_written_result_is_the_newest(store: Store) {
    let first = set("s", 1);
    let of = |job: u128| SetKey { owner: super::job(job), ..first.clone() };
    let storage = &first.storage;
    assert_eq!(last(&store, storage, of_partners(&[1])).await, (0, vec![]), "of an unknown storage");
    for job in 1..=3_u128 {
        // A partner has two records; the second one is written by the first job only.
        let mut records = vec![result(1, 1, &format!("job {job}"), "OK")];
        if job == 1 {
            records.push(result(1, 2, "job 1", "FAILED"));
            records.push(result(2, 1, "job 1", "OK"));
        }
        store.upsert_results(&of(job), records, now(job as i64)).await.expect("saved");
    }
    assert_eq!(store.newest_jobs(storage, 2).await.expect("jobs").len(), 2);
    let (total, told) = last(&store, storage, of_partners(&[1])).await;
    let expected = |address: &str, data: &str| ("partner 1".to_owned(), address.to_owned(), data.to_owned());
    assert_eq!((total, told), (2, vec![expected("address 2", "job 1"), expected("address 1", "job 3")]));
    // Without a status, the FAILED one counts; what is FAILED but not the newest is not told.
    let failed = LastQuery { status: Some(ResultStatus::Failed), ..of_partners(&[1, 2]) };
    assert_eq!(data(&store, storage, failed.clone()).await, ["job 1"]);
    let fixed = vec![result(1, 2, "fixed", "OK")];
    store.upsert_results(&of(2), fixed, now(4)).await.expect("saved");
    assert_eq!(data(&store, storage, failed).await, Vec::<String>::new());
    // An older job writes its record again.
    store.upsert_results(&of(1), vec![result(1, 1, "again", "OK")], now(5)).await.expect("saved");
    assert_eq!(data(&store, storage, of_partners(&[1])).await, ["again", "fixed"]);
    store.upsert_results(&of(3), vec![result(1, 1, "last", "OK")], now(6)).await.expect("saved");
    assert_eq!(data(&store, storage, of_partners(&[1])).await, ["last", "fixed"]);
    // The job that wrote last goes, then the next one.
    store.delete_set(&of(3)).await.expect("deleted");
    assert_eq!(data(&store, storage, of_partners(&[1])).await, ["again", "fixed"]);
    store.delete_set(&of(1)).await.expect("deleted");
    assert_eq!(data(&store, storage, of_partners(&[1, 2])).await, ["job 2", "fixed"]);
    // A job that comes again begins anew.
    store.upsert_results(&of(1), vec![result(2, 1, "anew", "OK")], now(7)).await.expect("saved");
    assert_eq!(data(&store, storage, of_partners(&[1, 2])).await, ["job 2", "fixed", "anew"]);
    assert_eq!(data(&store, &set("s", 1).storage, of_partners(&[1, 2])).await, Vec::<String>::new());
    let log = SetKey { owner: SetOwner::Log(ProcessingLogId::ALL[0]), ..first.clone() };
    store
        .upsert_results(&log, vec![result(1, 1, "log", "OK"), result(9, 1, "log", "OK")], now(8))
        .await
        .expect("saved");
    assert_eq!(data(&store, storage, of_partners(&[1, 2, 9])).await, ["job 2", "fixed", "anew"]);
}

/// Many writes of many jobs, against a map; through every filter.
pub async fn the_newest_results_agree_with_a_map(store: Store) {
    let first = set("s", 1);
    let of = |job: u128| SetKey { owner: super::job(job), ..first.clone() };
    let mut kept: BTreeMap<(u128, usize, usize), (i64, bool)> = BTreeMap::new();
    let mut random = 1_usize;
    let mut next = |below: usize| {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % below
    };
    for write in 1..=120_i64 {
        let job = 1 + next(7) as u128;
        if next(12) == 0 {
            store.delete_set(&of(job)).await.expect("deleted");
            kept.retain(|(owner, ..), _| *owner != job);
        }
        let mut records = Vec::new();
        for _ in 0..1 + next(30) {
            let (partner, address, failed) = (next(40), next(2), next(4) == 0);
            kept.insert((job, partner, address), (write * 1000 + records.len() as i64, failed));
            let data = kept[&(job, partner, address)].0.to_string();
            records.push(result(partner, address, &data, if failed { "FAILED" } else { "OK" }));
        }
        store.upsert_results(&of(job), records, now(write)).await.expect("saved");
        if write % 8 != 0 {
            continue;
        }
        let (jobs, partners) = (next(8) as u128, (0..12).map(|_| next(44)).collect::<Vec<_>>());
        let externals: Vec<String> = (0..15).map(|_| format!("external {}", next(22))).collect();
        for filter in 0..6 {
            let mut query = of_partners(&partners);
            if filter == 1 {
                query.jobs = Some(Arc::new((1..=jobs).map(|job| JobId(Uuid::from_u128(job))).collect()));
            }
            query.status = (filter == 2).then_some(ResultStatus::Failed);
            if filter == 3 {
                query.data_source_ids = ["source 1", "source 2", "unknown"].map(str::to_owned).to_vec();
            }
            if filter >= 4 {
                query.external_ids = externals.clone();
            }
            if filter == 5 {
                query.business_partner_ids.clear();
            }
            let mut newest: BTreeMap<(usize, usize), (i64, bool)> = BTreeMap::new();
            for ((job, partner, address), written) in &kept {
                let is_named = (filter == 5 || partners.contains(partner))
                    && (filter < 4 || externals.contains(&format!("external {}", partner / 2)));
                if is_named && (filter != 1 || *job <= jobs) {
                    let known = newest.entry((*partner, *address)).or_default();
                    *known = (*written).max(*known);
                }
            }
            newest.retain(|(partner, _), (_, failed)| {
                (filter != 2 || *failed) && (filter != 3 || !partner.is_multiple_of(3))
            });
            let mut expected: Vec<String> = newest.values().map(|(written, _)| written.to_string()).collect();
            expected.sort_unstable_by_key(|data| data.parse::<i64>().ok());
            let total = expected.len() as u64;
            let (found, mut told) = (
                last(&store, &first.storage, query.clone()).await.0,
                data(&store, &first.storage, query.clone()).await,
            );
            told.sort_unstable_by_key(|data| data.parse::<i64>().ok());
            assert_eq!((found, told), (total, expected.clone()), "filter {filter} after write {write}");
            // Those that were written last are told where not all are; those of one request are written at once.
            let some = LastQuery { limit: 3, ..query };
            let (found, told) = last(&store, &first.storage, some).await;
            let writes = |data: &[String]| -> Vec<i64> {
                let mut writes: Vec<i64> =
                    data.iter().filter_map(|data| Some(data.parse::<i64>().ok()? / 1000)).collect();
                writes.sort_unstable();
                writes
            };
            let told: Vec<String> = told.into_iter().map(|(_, _, data)| data).collect();
            let newest = expected.split_off(expected.len().saturating_sub(3));
            assert_eq!((found, writes(&told)), (total, writes(&newest)));
        }
    }
}

/// An id of very many records is refused; another id that they share with few is not.
pub async fn ids_of_too_many_records_are_refused(store: Store) {
    let set = set("s", 1);
    let many = |number: usize| {
        record(serde_json::json!({"businessPartnerId": "many", "externalId": format!("external {number}")}))
    };
    for batch in 0..=MOST_RECORDS / 5000 {
        let records = (batch * 5000..(batch * 5000 + 5000).min(MOST_RECORDS + 1)).map(many).collect();
        store.upsert_results(&set, records, now(0)).await.expect("saved");
    }
    let partner = LastQuery { business_partner_ids: vec!["many".to_owned()], limit: 10, ..LastQuery::default() };
    let refused = store.last_results(&set.storage, partner.clone()).await.map(|page| page.total());
    assert_eq!(refused, Err(StoreError::TooMany));
    let both = LastQuery { external_ids: vec!["external 7".to_owned(), "nobody".to_owned()], ..partner.clone() };
    assert_eq!(last(&store, &set.storage, both).await.0, 1);
    // As many as may be are told.
    let without: Vec<String> = (1..=MOST_RECORDS).map(|number| format!("external {number}")).collect();
    let most = LastQuery { business_partner_ids: vec![], external_ids: without, ..partner };
    assert_eq!(last(&store, &set.storage, most).await.0, MOST_RECORDS as u64);
}

/// What is deleted while an answer is read is left out of the rest of it; the answer comes to its end.
pub async fn an_answer_outlives_its_jobs(store: Store) {
    let first = set("s", 1);
    let of = |job: u128| SetKey { owner: super::job(job), ..first.clone() };
    for job in 1..=4_u128 {
        let records = (0..100).map(|number| result(number + job as usize * 100, 1, &"x".repeat(10_000), "OK"));
        store.upsert_results(&of(job), records.collect(), now(0)).await.expect("saved");
    }
    let query = of_partners(&(100..500).collect::<Vec<_>>());
    let mut page = store.last_results(&first.storage, query).await.expect("an answer");
    assert_eq!(page.total(), Some(400));
    let mut told = page.next().await.expect("a chunk").expect("some").count;
    for job in [1, 2, 4] {
        store.delete_set(&of(job)).await.expect("deleted");
    }
    while let Some(chunk) = page.next().await.expect("a chunk") {
        told += chunk.count;
    }
    assert!((100..=400).contains(&told), "{told}");
}
