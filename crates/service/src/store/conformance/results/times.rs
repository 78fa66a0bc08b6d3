//! Filters by time.

use super::*;
use crate::store::{Snapshot, SnapshotQuery, Span};

/// When a record was first and last written, in seconds, and whether it failed.
type Model = BTreeMap<usize, (i64, i64, bool)>;

/// Writes ten records in every round, and some of those before again; the clock once goes back. Answers the model after
/// each round, and the snapshots.
async fn written(store: &Store, set: &SetKey, again: bool) -> Vec<(Snapshot, Model)> {
    let (mut model, mut moments) = (Model::new(), Vec::new());
    for round in 0..30_usize {
        let at = if (12..18).contains(&round) { 60 + round as i64 } else { 10 * round as i64 };
        let old = (0..10 * round).filter(|number| again && (number * 13 + round * 5) % 17 == 0);
        let numbers: Vec<usize> = old.chain(10 * round..10 * round + 10).collect();
        let records = numbers.iter().map(|number| {
            let failed = (number + round) % 4 == 0;
            model.entry(*number).and_modify(|row| (row.1, row.2) = (at, failed)).or_insert((at, at, failed));
            record(serde_json::json!({
                "externalId": format!("external {number}"),
                "businessPartnerId": format!("partner {number}"),
                "dataSourceId": format!("source {}", number % 5),
                "status": if failed { "FAILED" } else { "OK" },
            }))
        });
        store.upsert_results(set, records.collect(), now(at)).await.expect("saved");
        let reader = store.open_snapshot(set, SnapshotQuery::default()).await.expect("a snapshot");
        moments.push((reader.snapshot(), model.clone()));
    }
    moments
}

fn span(from: Option<i64>, to: Option<i64>) -> Span {
    Span { from: from.map(now), to: to.map(now) }
}

/// Spans of creation and of modification: open and closed, empty, of one moment, at the edges of what was written; each by
/// itself, and some together.
fn spans() -> Vec<(Span, Span)> {
    let spans = [
        (Some(280), None),
        (Some(291), None),
        (None, Some(75)),
        (Some(70), Some(75)),
        (Some(72), Some(73)),
        (Some(0), Some(0)),
        (Some(120), Some(281)),
    ]
    .map(|(from, to)| span(from, to));
    let all = Span::default();
    let alone = spans.iter().flat_map(|one| [(*one, all), (all, *one)]);
    alone.chain(spans.iter().copied().zip(spans.iter().rev().copied())).collect()
}

fn wanted(model: &Model, created: Span, modified: Span, passes: impl Fn(usize, bool) -> bool) -> Vec<usize> {
    let rows = model.iter().filter(|(number, (first, last, failed))| {
        created.contains(now(*first)) && modified.contains(now(*last)) && passes(**number, *failed)
    });
    rows.map(|(number, _)| *number).collect()
}

/// All pages of a filter by times, which may end early.
async fn timed(store: &Store, set: &SetKey, filter: &ResultFilter, limit: usize) -> Vec<usize> {
    let (mut found, mut after) = (Vec::new(), Position(0));
    loop {
        let page = read(store, set, PageQuery { filter: filter.clone(), after, ..query(limit) }).await;
        found.extend(numbers(&page.results));
        if !page.more {
            return found;
        }
        assert!(page.reached > after, "it goes on");
        after = page.reached;
    }
}

async fn check(store: &Store, set: &SetKey, model: &Model) {
    for (created, modified) in spans() {
        let filter = ResultFilter { created, modified, ..Default::default() };
        for limit in [20, 1000] {
            let expected = wanted(model, created, modified, |_, _| true);
            assert_eq!(timed(store, set, &filter, limit).await, expected, "{filter:?}");
        }
        let failed = ResultFilter { status: Some(ResultStatus::Failed), ..filter.clone() };
        let expected = wanted(model, created, modified, |_, failed| failed);
        assert_eq!(timed(store, set, &failed, 100).await, expected, "{failed:?}");
        let data_source_ids = vec!["source 1".to_owned(), "source 4".to_owned()];
        let sources = ResultFilter { data_source_ids, ..filter.clone() };
        let expected = wanted(model, created, modified, |number, _| [1, 4].contains(&(number % 5)));
        assert_eq!(timed(store, set, &sources, 100).await, expected, "{sources:?}");
        // Identities are looked up, so that everything is counted.
        let named: Vec<usize> = (0..300).step_by(7).collect();
        let ids = ResultFilter { business_partner_ids: partners(&named), ..filter };
        let expected = wanted(model, created, modified, |number, _| number % 7 == 0);
        assert_eq!(numbers(&paged(store, set, ids, 20).await), expected);
    }
}

/// Of records that were written once. The first moment of a span belongs to it, the last does not; the clock may have
/// gone back.
pub async fn times_select(store: Store) {
    let set = set("s", 1);
    let moments = written(&store, &set, false).await;
    check(&store, &set, &moments.last().expect("thirty").1).await;
    // Nothing is counted for times alone, unless nothing can be there.
    let filter = ResultFilter { created: span(Some(0), None), ..Default::default() };
    let page = store.open_page(&set, PageQuery { filter: filter.clone(), ..query(5) }).await.expect("a page");
    assert_eq!(page.total(), None);
    let filter = ResultFilter { data_source_ids: vec!["other".into()], ..filter };
    let page = store.open_page(&set, PageQuery { filter, ..query(5) }).await.expect("a page");
    assert_eq!(page.total(), Some(0));
}

/// Of records that were written again, some of them often.
pub async fn times_select_among_revisions(store: Store) {
    let set = set("s", 1);
    let moments = written(&store, &set, true).await;
    check(&store, &set, &moments.last().expect("thirty").1).await;
}

/// A snapshot is filtered by the times that its records had at its moment.
pub async fn times_are_those_of_a_snapshot(store: Store) {
    let set = set("s", 1);
    let moments = written(&store, &set, true).await;
    // The driver in memory keeps the last few moments.
    for (at, model) in moments.iter().rev().step_by(5).take(3) {
        for ((created, modified), failed) in spans().into_iter().zip([false, true].into_iter().cycle()) {
            let status = failed.then_some(ResultStatus::Failed);
            let filter = ResultFilter { created, modified, status, ..Default::default() };
            let query = SnapshotQuery { filter, at: Some(*at), ..Default::default() };
            let mut reader = store.open_snapshot(&set, query).await.expect("a snapshot");
            let mut found = Vec::new();
            while let Some(chunk) = reader.next().await.expect("a chunk") {
                assert!(!chunk.rows.is_empty());
                for (row, body) in chunk.iter() {
                    let written: serde_json::Value = serde_json::from_slice(body).expect("JSON");
                    let id = written["externalId"].as_str().and_then(|id| id.strip_prefix("external "));
                    let number: usize = id.and_then(|id| id.parse().ok()).expect("one of ours");
                    assert_eq!((row.created_at, row.modified_at), (now(model[&number].0), now(model[&number].1)));
                    found.push(number);
                }
            }
            let expected = wanted(model, created, modified, |_, has_failed| !failed || has_failed);
            assert_eq!(found, expected, "{created:?} {modified:?}");
        }
    }
}
