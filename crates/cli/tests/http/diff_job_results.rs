use crate::support::{Response, Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

const CHANGES: [&str; 5] = ["NEWLY_FAILED", "FIXED", "CHANGED", "MISSING", "NEW"];

async fn write(server: &Server, job: &str, storage: &str, records: impl IntoIterator<Item = Value>) {
    let records: Vec<Value> = records.into_iter().collect();
    for some in records.chunks(1000) {
        server.post(&format!("/jobs/{job}/results?storageId={storage}"), &json!({"results": some})).await.ok();
    }
}

fn with(number: u64, failed: bool, data: u64) -> Value {
    let mut record = record(&number.to_string());
    record["status"] = json!(if failed { "FAILED" } else { "OK" });
    record["resultData"] = json!(json!({"found": data, "number": number}).to_string());
    record
}

/// Both nights of 100 times `scale` records: of each 100 the first 2 fail newly, 3 are fixed, 4 change; 5 go, 6 come.
fn night(scale: u64, after: bool) -> impl Iterator<Item = Value> {
    let records = (0..scale * 106).filter_map(move |number| {
        let place = number % 106;
        let is_there = if after { !(9..14).contains(&place) } else { place < 100 };
        let failed = if after { place < 2 } else { (2..5).contains(&place) } || place > 90;
        is_there.then(|| with(number, failed, u64::from(after && (5..9).contains(&place))))
    });
    records.collect::<Vec<_>>().into_iter()
}

fn counts(scale: u64) -> Value {
    json!({
        "newlyFailed": 2 * scale, "fixed": 3 * scale, "changed": 4 * scale, "unchanged": 86 * scale,
        "missing": 5 * scale, "new": 6 * scale,
    })
}

async fn nights(server: &Server, scale: u64) -> (String, String) {
    let (before, after) = (server.idle_job("s").await, server.idle_job("s").await);
    write(server, &before, "s", night(scale, false)).await;
    write(server, &after, "s", night(scale, true)).await;
    (before, after)
}

/// All pages, from a token on if there is one: the values, and the counts that each page repeats.
async fn pages(server: &Server, path: &str, token: Option<&str>) -> (Vec<Value>, Value) {
    let from = token.map(|token| format!("&startAfter={token}")).unwrap_or_default();
    let first = server.get(&format!("{path}{from}")).await.ok();
    let (counts, total) = (first["counts"].clone(), first["total"].clone());
    let (mut values, mut page) = (Vec::new(), first);
    loop {
        assert_eq!((&page["counts"], &page["total"]), (&counts, &total));
        values.extend(page["values"].as_array().expect("values").iter().cloned());
        let Some(token) = page["nextStartAfter"].as_str() else { break };
        let next = server.get(&format!("{path}&startAfter={token}")).await.ok();
        assert_eq!(next["startAfter"], *token);
        page = next;
    }
    if token.is_none() {
        assert_eq!(values.len() as u64, total.as_u64().expect("a number"));
    }
    (values, counts)
}

fn number(value: &Value) -> u64 {
    let result = value.get("after").or(value.get("before")).expect("a result");
    result["externalId"].as_str().expect("an id").parse().expect("a number")
}

fn files(directory: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(directory).into_iter().flatten() {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path.to_string_lossy().into_owned());
        }
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn each_record_is_counted_and_listed_once() {
    let server = Server::with(&["--slots", "0"]).await;
    let (before, after) = nights(&server, 20).await;
    let path = format!("/jobs/{after}/results/diff?against={before}");
    let (values, found) = pages(&server, &format!("{path}&limit=37"), None).await;
    assert_eq!(found, counts(20));
    let mut by_change: BTreeMap<&str, Vec<u64>> = BTreeMap::new();
    for value in &values {
        let change = value["change"].as_str().expect("a change");
        let (older, newer) = (value.get("before"), value.get("after"));
        assert_eq!((older.is_none(), newer.is_none()), (change == "NEW", change == "MISSING"), "{value}");
        for (result, job) in [(older, &before), (newer, &after)] {
            let Some(result) = result else { continue };
            assert_eq!((&result["jobId"], &result["storageId"]), (&json!(job), &json!("s")));
            assert_eq!(result["externalId"], number(value).to_string());
        }
        if let (Some(older), Some(newer)) = (older, newer) {
            let failed = [older["status"] == "FAILED", newer["status"] == "FAILED"];
            let expected = match change {
                "NEWLY_FAILED" => [false, true],
                "FIXED" => [true, false],
                _ => [failed[0], failed[0]],
            };
            assert_eq!(failed, expected, "{value}");
        }
        by_change.entry(change).or_default().push(number(value));
    }
    let of = |places: std::ops::Range<u64>| -> Vec<u64> {
        (0..20 * 106).filter(|number| places.contains(&(number % 106))).collect()
    };
    let expected = [of(0..2), of(2..5), of(5..9), of(9..14), of(100..106)];
    assert_eq!(by_change, CHANGES.into_iter().zip(expected).collect());
    let order: Vec<usize> =
        values.iter().map(|value| CHANGES.iter().position(|change| value["change"] == *change).expect("one")).collect();
    assert!(order.is_sorted());

    for (change, size) in [("FIXED", 60), ("NEW&change=MISSING", 220), ("MISSING,NEW", 220)] {
        assert_eq!(pages(&server, &format!("{path}&change={change}&limit=50"), None).await.0.len(), size);
    }
    let shown = server.get(&format!("{path}&change=CHANGED&limit=1&includeResultDataFields=found")).await.ok();
    assert_eq!(shown["values"][0]["after"]["resultData"], "{\"found\":1}");
    assert_eq!(shown["limit"], 1);
    let back = server.get(&format!("/jobs/{before}/results/diff?against={after}")).await.ok();
    assert_eq!((&back["counts"]["missing"], &back["counts"]["newlyFailed"]), (&json!(120), &json!(60)));
}

#[tokio::test(flavor = "multi_thread")]
async fn times_and_jobs_are_no_difference() {
    let server = Server::with(&["--slots", "0"]).await;
    let (before, after) = (server.idle_job("s").await, server.idle_job("t").await);
    let at = |time: &str| {
        let mut record = with(1, false, 1);
        record["processingStatus"] = json!({"technicalKey": "DONE", "modifiedAt": time});
        record
    };
    write(&server, &before, "s", [at("2026-11-01T00:00:00Z")]).await;
    let mut second = at("2026-11-02T00:00:00Z");
    second["jobId"] = json!(after);
    write(&server, &after, "t", [second]).await;
    let none = json!({"newlyFailed": 0, "fixed": 0, "changed": 0, "unchanged": 1, "missing": 0, "new": 0});
    // Each job's own storage is found.
    let diff = server.get(&format!("/jobs/{after}/results/diff?against={before}")).await.ok();
    assert_eq!((&diff["counts"], &diff["values"], diff.get("nextStartAfter")), (&none, &json!([]), None));
    let named = format!("/jobs/{after}/results/diff?against={before}&storageId=t&againstStorageId=s");
    assert_eq!(server.get(&named).await.ok()["counts"], none);
    // Where the older job has written to the newer one's storage, too, that is meant.
    write(&server, &before, "t", [with(7, false, 0)]).await;
    let diff = server.get(&format!("/jobs/{after}/results/diff?against={before}")).await.ok();
    assert_eq!((&diff["counts"]["missing"], &diff["counts"]["new"]), (&json!(1), &json!(1)));
    let same = server.get(&format!("/jobs/{after}/results/diff?against={after}")).await.ok();
    assert_eq!(same["counts"], none);
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_are_of_one_moment_after_a_restart_and_when_nothing_is_kept() {
    let mut server = Server::with(&["--slots", "0", "--compare-cache", "0"]).await;
    let (before, after) = nights(&server, 10).await;
    let path = format!("/jobs/{after}/results/diff?against={before}&limit=40");
    let all = pages(&server, &path, None).await;
    let first = server.get(&path).await.ok();
    let token = first["nextStartAfter"].as_str().expect("a token").to_owned();
    // Writers go on, and each first page is of a later moment.
    write(&server, &after, "s", night(10, false)).await;
    write(&server, &before, "s", [with(5_000_000, true, 1)]).await;
    let later = server.get(&path).await.ok();
    assert_eq!((&later["counts"]["fixed"], &later["counts"]["missing"]), (&json!(0), &json!(1)));
    let begun = server.data().join("comparisons/docket-1-2.part");
    for killed in [false, true] {
        if killed {
            server.kill();
            std::fs::write(&begun, "half").expect("written");
            server.restart().await;
            assert!(!begun.exists(), "what was not whole is swept");
        }
        let rest = pages(&server, &path, Some(&token)).await;
        assert_eq!(rest.1, all.1);
        assert_eq!(rest.0[..], all.0[40..]);
    }
    // It is another comparison's, or none.
    for other in [
        format!("/jobs/{after}/results/diff?against={before}&change=NEW&startAfter={token}"),
        format!("/jobs/{before}/results/diff?against={after}&startAfter={token}"),
        format!("{path}&startAfter=nonsense"),
        format!("{path}&startAfter=1"),
    ] {
        server.get(&other).await.problem(400, "invalid_page_token");
    }
    let listed =
        server.get(&format!("/jobs/{after}/results?storageId=s&featuresOn=USE_NEXT_START_AFTER&limit=1")).await.ok();
    let token_of_list = listed["nextStartAfter"].as_str().expect("a token");
    server.get(&format!("{path}&startAfter={token_of_list}")).await.problem(400, "invalid_page_token");
    // What is gone can't be compared any more, and a new set is another one.
    server.delete("/jobs/results/s").await.ok();
    let gone = server.get(&format!("{path}&startAfter={token}")).await.problem(404, "not_found");
    assert!(gone["detail"].as_str().expect("a text").contains("deleted"), "{gone}");
    write(&server, &after, "s", night(1, true)).await;
    server.get(&format!("{path}&startAfter={token}")).await.problem(404, "not_found");
    assert_eq!(server.get(&path).await.ok()["counts"]["new"], 101);
}

#[tokio::test(flavor = "multi_thread")]
async fn comparisons_are_kept_within_bounds_and_hold_no_contents() {
    let mut server = Server::with(&["--slots", "0", "--compare-cache", "3000"]).await;
    let (before, after) = nights(&server, 5).await;
    let kept = server.data().join("comparisons");
    let path = format!("/jobs/{after}/results/diff?against={before}");
    server.get(&path).await.ok();
    let first = files(&kept);
    assert_eq!(first.len(), 1);
    server.get(&path).await.ok();
    server.kill();
    server.restart().await;
    assert_eq!(server.get(&path).await.ok()["counts"], counts(5));
    assert_eq!(files(&kept), first, "it is used again, also by another server");
    let content = std::fs::read(&first[0]).expect("read");
    assert!(content.len() < 3000 && !content.windows(5).any(|some| some == b"found"));
    server.get(&format!("/jobs/{before}/results/diff?against={after}")).await.ok();
    let second = files(&kept);
    assert!(second.len() == 1 && second != first, "the other one had to go: {second:?}");
    // Whoever damages it gets a new one.
    server.kill();
    std::fs::write(&second[0], "damaged").expect("written");
    server.restart().await;
    assert_eq!(server.get(&path).await.ok()["counts"], counts(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_dies_while_it_compares_leaves_nothing_behind() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let (before, after) = nights(&server, 5).await;
    let path = format!("/jobs/{after}/results/diff?against={before}");
    let kept = server.data().join("comparisons");
    server.kill();
    assert!(server.restart_to_die_at("compare.written:1").await);
    assert!(server.try_get(&path).await.is_none(), "it died");
    assert_eq!(files(&kept).len(), 1, "written, and not kept yet");
    server.restart().await;
    assert_eq!(files(&kept), [""; 0]);
    assert_eq!(server.get(&path).await.ok()["counts"], counts(5));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_not_or_asks_wrongly_is_told() {
    let server = Server::with(&["--slots", "0", "--compare-wait", "0"]).await;
    let (ours, stranger) = (server.key("acme", "operator"), server.key("other", "admin"));
    let start = async |key: &str| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        let body = json!({"dockerImageUrl": "host", "resultStorageId": "s"}).to_string();
        let job = server.send(Method::POST, "/jobs", &headers, body).await.ok();
        job["id"].as_str().expect("an id").to_owned()
    };
    let (first, second, foreign) = (start(&ours).await, start(&ours).await, start(&stranger).await);
    let ask = async |key: &str, job: &str, query: &str| -> Response {
        server.send(Method::GET, &format!("/jobs/{job}/results/diff{query}"), &[("x-api-key", key)], Bytes::new()).await
    };
    let unknown = ask(&ours, &first, "?against=00000000-0000-7000-8000-000000000000").await;
    unknown.problem(404, "not_found");
    for (job, against) in [(&first, &foreign), (&foreign, &first)] {
        let answer = ask(&ours, job, &format!("?against={against}")).await;
        assert_eq!((answer.status, &answer.body), (unknown.status, &unknown.body));
    }
    let wrong = async |query: &str, pointer: &str| {
        let problem = ask(&ours, &first, query).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    };
    wrong("", "/against").await;
    wrong(&format!("?against={second}&change=UNCHANGED"), "/change/0").await;
    wrong(&format!("?against={second}&limit=0"), "/limit").await;
    wrong(&format!("?against={second}&storageId=%01"), "/storageId").await;
    wrong(&format!("?against={second}&change=NEW,NEW,NEW,NEW,NEW,NEW"), "/change").await;
    // A request that waits for nothing is told to come again, until what it asks for is there.
    let answer = loop {
        let answer = ask(&ours, &first, &format!("?against={second}")).await;
        if answer.status != 503 {
            break answer;
        }
        answer.problem(503, "overloaded");
        assert_eq!(answer.header("retry-after"), "2");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    };
    assert_eq!(answer.ok()["total"], 0);
}
