use crate::support::Server;
use crate::support::stream::Event;
use serde_json::json;

const EVENTS: [(&str, &str); 1] = [("accept", "text/event-stream")];

/// The text of the log in events.
fn text(events: &[Event]) -> String {
    events.iter().filter(|event| event.name == "log").map(|event| event.data.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_followed_while_it_is_written() {
    let server = Server::start().await;
    let job =
        server.shell("echo one; while [ ! -e go ]; do sleep 0.02; done; printf 'tw\\303'; printf '\\274o\\377'").await;
    let path = format!("/jobs/{job}/log");
    let mut plain = server.open(&format!("{path}?follow=true"), &[("accept-encoding", "gzip")]).await;
    let mut events = server.open(&path, &EVENTS).await;
    assert_eq!(plain.headers["content-type"], "text/plain; charset=utf-8");
    assert_eq!(events.headers["content-type"], "text/event-stream");
    assert!(!plain.headers.contains_key("content-encoding"));
    // They have come before the job goes on.
    assert_eq!(plain.piece().await.as_deref(), Some("one\n"));
    let first = events.event().await.expect("an event");
    assert_eq!((first.id.as_deref(), first.data.as_str()), (Some("1:4"), "one\n"));
    std::fs::write(server.data().join(format!("jobs/{job}/1/go")), "").expect("written");
    assert_eq!(plain.rest().await, "tw\u{fc}o\u{fffd}");
    let rest = events.events().await;
    assert_eq!(text(&rest), "tw\u{fc}o\u{fffd}");
    let end = rest.last().expect("an end");
    assert_eq!((end.name.as_str(), end.json()["status"].as_str()), ("end", Some("FINISHED")));
    // From any place that was told, the rest is the same.
    let whole = server.log(&job).await;
    let again = server.open(&path, &[EVENTS[0], ("last-event-id", "1:4")]).await.events().await;
    assert_eq!(format!("one\n{}", text(&again)), whole);
    let last = rest.iter().rev().find_map(|event| event.id.clone()).expect("an id");
    assert_eq!(last, "1:10");
    assert_eq!(text(&server.open(&path, &[EVENTS[0], ("last-event-id", &last)]).await.events().await), "");
    let behind = server.get(&format!("{path}?lastEventId=1:5")).await;
    assert_eq!(behind.text(), "w\u{fc}o\u{fffd}", "without following, too");
    let tail = server.open(&format!("{path}?follow=true&tail=1"), &[]).await.rest().await;
    assert_eq!(tail, "tw\u{fc}o\u{fffd}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reader_that_keeps_up_sees_what_is_cut_later() {
    let server = Server::with(&["--log-limit", "20000"]).await;
    let script = "for i in 1 2 3 4 5 6; do seq ${i}00000 ${i}01000; while [ ! -e go$i ]; do sleep 0.02; done; done";
    let job = server.shell(script).await;
    let mut stream = server.open(&format!("/jobs/{job}/log"), &EVENTS).await;
    let mut events = Vec::new();
    for part in 1..=6 {
        while !text(&events).ends_with(&format!("{part}01000\n")) {
            events.push(stream.event().await.expect("an event"));
        }
        std::fs::write(server.data().join(format!("jobs/{job}/1/go{part}")), "").expect("written");
    }
    events.extend(stream.events().await);
    let expected: String =
        (1..=6).flat_map(|part| part * 100_000..=part * 100_000 + 1000).map(|n| format!("{n}\n")).collect();
    assert_eq!(text(&events), expected);
    assert_ne!(server.log(&job).await, expected, "it was cut");
    // Whoever resumes where there is nothing any more is told so.
    let mut again = server.open(&format!("/jobs/{job}/log"), &[EVENTS[0], ("last-event-id", "1:15000")]).await;
    let again = text(&again.events().await);
    assert!(again.trim_start().starts_with("[docket: ") && again.ends_with("600999\n601000\n"), "{again}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_has_not_begun_is_waited_for() {
    let mut server = Server::with(&["--slots", "1"]).await;
    let first = server.shell("exec sleep 100").await;
    server.until(&first, &["RUNNING"]).await;
    let second = server.shell("echo at last").await;
    let mut stream = server.open(&format!("/jobs/{second}/log?follow=true"), &[]).await;
    server.post(&format!("/jobs/{first}/cancel"), &json!({"gracePeriodSeconds": 0})).await.ok();
    assert_eq!(stream.rest().await, "at last\n");
    // One that is canceled before it begins has an end, too.
    server.set_flags(&["--slots", "0"]);
    server.kill();
    server.restart().await;
    let third = server.shell("echo never").await;
    let mut stream = server.open(&format!("/jobs/{third}/log"), &EVENTS).await;
    server.post(&format!("/jobs/{third}/cancel"), &json!({})).await.ok();
    let events = stream.events().await;
    assert_eq!(events.len(), 1);
    assert_eq!(events[0].json()["status"], "CANCELED");
}

#[tokio::test(flavor = "multi_thread")]
async fn wrong_places_are_refused() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("storage").await;
    for bad in ["1", "a:b", "0:0", "1:-1"] {
        server.get(&format!("/jobs/{job}/log?follow=true&lastEventId={bad}")).await.problem(400, "invalid_page_token");
    }
    server.get(&format!("/jobs/{job}/log?follow=true&lastEventId=1:0")).await.problem(404, "not_found");
    server.get(&format!("/jobs/{job}/log?follow=perhaps")).await.problem(400, "invalid_request");
    server.get("/jobs/00000000-0000-7000-8000-000000000000/log?follow=true").await.problem(404, "not_found");
}
