//! Processing logs, and what is mirrored into them.

use super::*;
use docket_contract::ProcessingLogId;

const LOG: ProcessingLogId = ProcessingLogId::CurationLog;

fn log(set: &SetKey, log: ProcessingLogId) -> SetKey {
    SetKey { owner: SetOwner::Log(log), ..set.clone() }
}

fn id_of(number: u128) -> JobId {
    JobId(Uuid::from_u128(number))
}

/// A record that says which write it is of.
fn written(name: &str, write: &str) -> Record {
    record(serde_json::json!({"externalId": name, "businessPartnerId": format!("partner of {name}"), "message": write}))
}

fn by(job: u128, record: Record) -> Record {
    Record { job_id: Some(id_of(job)), ..record }
}

/// Name, message and job of each entry.
async fn entries(store: &Store, set: &SetKey) -> Vec<(String, String, Option<String>)> {
    let every = all(store, set, ResultFilter::default()).await;
    assert_eq!(every.total, every.results.len() as u64);
    let entry = |result: JobResultData| {
        let written = result.written;
        (written.external_id.unwrap_or_default(), written.message.unwrap_or_default(), written.job_id)
    };
    every.results.into_iter().map(entry).collect()
}

fn entry(name: &str, message: &str, job: Option<u128>) -> (String, String, Option<String>) {
    (name.to_owned(), message.to_owned(), job.map(|job| id_of(job).to_string()))
}

/// A log knows a record whichever job wrote it, and names the job that wrote it last, or none.
pub async fn a_log_holds_the_newest_result_of_each_record(store: Store) {
    let set = log(&set("s", 1), LOG);
    let first = vec![by(1, written("a", "first")), by(2, written("b", "first")), written("c", "first")];
    assert_eq!(store.upsert_results(&set, first, now(0)).await, upserted(3, 0));
    let before = all(&store, &set, ResultFilter::default()).await;
    let again = vec![by(3, written("c", "again")), written("a", "again"), by(4, written("d", "new"))];
    assert_eq!(store.upsert_results(&set, again, now(1)).await, upserted(1, 2));
    let expected = [
        entry("a", "again", None),
        entry("b", "first", Some(2)),
        entry("c", "again", Some(3)),
        entry("d", "new", Some(4)),
    ];
    assert_eq!(entries(&store, &set).await, expected);
    let after = all(&store, &set, ResultFilter::default()).await;
    assert_eq!(after.ids()[..3], before.ids());
    assert_eq!((after.results[0].created_at, after.results[0].modified_at), (now(0), now(1)));
    // Another log of the storage, and the log of another storage, know nothing of it.
    for other in [log(&set, ProcessingLogId::DuplicateLog), log(&self::set("t", 1), LOG)] {
        assert_eq!(entries(&store, &other).await, []);
    }
    let filter = ResultFilter { business_partner_ids: vec!["partner of c".into()], ..Default::default() };
    assert_eq!(all(&store, &set, filter).await.external_ids(), ["c"]);
}

/// What a job writes with a mirror stands in its set and in the log, where it names the job; what is told is of the set.
pub async fn what_is_mirrored_is_in_both(store: Store) {
    let one = set("s", 1);
    let (two, log) = (SetKey { owner: job(2), ..one.clone() }, log(&one, LOG));
    let write = async |set: &SetKey, mirror, names: &[&str], message: &str, at| {
        let records = names.iter().map(|name| written(name, message)).collect();
        store.upsert_mirrored(set, mirror, records, now(at)).await
    };
    assert_eq!(write(&one, Some(LOG), &["a", "b", "a"], "one", 0).await, upserted(2, 1));
    assert_eq!(write(&two, Some(LOG), &["b", "c"], "two", 1).await, upserted(2, 0), "new to the job, known to the log");
    assert_eq!(write(&two, None, &["a", "d"], "unseen", 2).await, upserted(2, 0));
    let expected = [entry("a", "one", Some(1)), entry("b", "two", Some(2)), entry("c", "two", Some(2))];
    assert_eq!(entries(&store, &log).await, expected);
    assert_eq!(entries(&store, &one).await, [entry("a", "one", Some(1)), entry("b", "one", Some(1))]);
    let expected = [("b", "two"), ("c", "two"), ("a", "unseen"), ("d", "unseen")];
    assert_eq!(entries(&store, &two).await, expected.map(|(name, message)| entry(name, message, Some(2))));
    // Known to the job, new to the log.
    assert_eq!(write(&two, Some(LOG), &["d", "b"], "seen", 3).await, upserted(0, 2));
    let expected = [
        entry("a", "one", Some(1)),
        entry("b", "seen", Some(2)),
        entry("c", "two", Some(2)),
        entry("d", "seen", Some(2)),
    ];
    assert_eq!(entries(&store, &log).await, expected);
    let times = all(&store, &log, ResultFilter::default()).await;
    let times: Vec<_> = times.results.iter().map(|result| (result.created_at, result.modified_at)).collect();
    assert_eq!(times, [(now(0), now(0)), (now(0), now(3)), (now(1), now(1)), (now(3), now(3))]);
    assert_eq!(sum(&store.statistics(&log).await.expect("counters")), 4);
    // Ids are of the storage: none is given twice.
    let mut ids = Vec::new();
    for set in [&one, &two, &log] {
        ids.extend(all(&store, set, ResultFilter::default()).await.ids());
    }
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
}

/// The results of a storage's jobs go at once; its logs stay, and are written on.
pub async fn the_sets_of_jobs_go_and_logs_stay(store: Store) {
    let one = set("s", 1);
    let sets: Vec<SetKey> = (1..30).map(|number| SetKey { owner: job(number), ..one.clone() }).collect();
    let (log, other) = (log(&one, LOG), log(&one, ProcessingLogId::QualificationLog));
    let mut last = 0;
    for round in 0..3 {
        for set in &sets {
            let records = vec![written("same", "m"), written(&format!("{:?}", set.owner), "m")];
            store.upsert_mirrored(set, Some(LOG), records.clone(), now(round)).await.expect("saved");
            store.upsert_mirrored(set, None, records, now(round)).await.expect("saved");
        }
        store.upsert_results(&other, vec![plain("other")], now(round)).await.expect("saved");
        let page = all(&store, &one, ResultFilter::default()).await;
        assert!(page.ids()[0] > last, "ids are never given twice");
        last = *page.ids().last().expect("two");
        let before = entries(&store, &log).await;
        assert_eq!(before.len(), sets.len() + 1);
        let mut open = store.open_page(&one, query(10)).await.expect("a page");
        assert_eq!(store.delete_job_sets(&one.storage).await, Ok(2 * sets.len() as u64));
        while open.next().await.expect("a chunk or the end").is_some() {}
        assert!(!open.has_more());
        for set in &sets {
            assert_eq!(all(&store, set, ResultFilter::default()).await.total, 0);
            assert_eq!(store.statistics(set).await, Ok(vec![]));
            assert_eq!(store.last_result(set).await, Ok(None));
        }
        assert_eq!(entries(&store, &log).await, before);
        assert_eq!(entries(&store, &other).await.len(), 1);
        assert_eq!(sum(&store.statistics(&log).await.expect("counters")), before.len() as u64);
        assert_eq!(store.delete_job_sets(&one.storage).await, Ok(0));
    }
    assert_eq!(store.delete_set(&log).await, Ok(sets.len() as u64 + 1));
    assert_eq!(store.delete_set(&other).await, Ok(1));
    store.upsert_results(&one, vec![plain("a")], now(9)).await.expect("saved");
    assert_eq!(store.delete_job_sets(&one.storage).await, Ok(1));
    assert_eq!(entries(&store, &log).await, []);
}

/// A log is emptied at once; what jobs wrote stays, and is mirrored anew when it is written again.
pub async fn a_log_is_emptied_and_jobs_stay(store: Store) {
    let one = set("s", 1);
    let log = log(&one, LOG);
    for round in 0..3 {
        let records = vec![written("a", "m"), written("b", "m")];
        let told = if round == 0 { upserted(2, 0) } else { upserted(0, 2) };
        assert_eq!(store.upsert_mirrored(&one, Some(LOG), records, now(round)).await, told);
        assert_eq!(entries(&store, &log).await.len(), 2);
        assert_eq!(store.delete_set(&log).await, Ok(2));
        assert_eq!(entries(&store, &log).await, []);
        assert_eq!(store.delete_set(&log).await, Ok(0));
        assert_eq!(all(&store, &one, ResultFilter::default()).await.total, 2);
    }
    store.upsert_mirrored(&one, Some(LOG), vec![written("c", "m")], now(9)).await.expect("saved");
    assert_eq!(store.delete_set(&one).await, Ok(3));
    assert_eq!(entries(&store, &log).await, [entry("c", "m", Some(1))], "a log outlives its jobs");
}
