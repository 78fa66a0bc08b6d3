use crate::support::Server;
use crate::support::stream::Event;
use serde_json::json;
use std::time::Instant;

/// Names, ids and statuses of events, in short.
fn lines(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        let data = event.json();
        let status = data["to"].as_str().or(data["status"].as_str()).unwrap_or_default().to_owned();
        format!("{} {status}", event.name)
    };
    events.iter().map(line).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_life_of_a_job_is_followed_to_its_end() {
    let server = Server::start().await;
    let job = server.shell("while [ ! -e go ]; do sleep 0.02; done").await;
    let mut stream = server.open(&format!("/jobs/{job}/events"), &[("accept-encoding", "gzip")]).await;
    assert_eq!(stream.status, 200);
    for (name, value) in [("content-type", "text/event-stream"), ("cache-control", "no-store")] {
        assert_eq!(stream.headers[name], value);
    }
    assert!(!stream.headers.contains_key("content-encoding"), "compression would gather events");
    let mut events = Vec::new();
    while !events.last().is_some_and(|event: &Event| event.json()["to"] == "RUNNING") {
        events.push(stream.event().await.expect("an event"));
    }
    std::fs::write(server.data().join(format!("jobs/{job}/1/go")), "").expect("written");
    events.extend(stream.events().await);
    let expected =
        ["transition PERSISTED", "transition SCHEDULED", "transition RUNNING", "transition FINISHED", "end FINISHED"];
    assert_eq!(lines(&events), expected);
    assert_eq!(events[0].id.as_deref(), Some("0"));
    // The history says the same.
    let history = server.get(&format!("/jobs/{job}/history")).await.ok();
    let told: Vec<_> = events.iter().filter(|event| event.name == "transition").map(Event::json).collect();
    assert_eq!(history["values"], json!(told));
    for event in &events[..4] {
        assert_eq!(event.id.as_deref(), event.json()["id"].as_str());
    }
    // Once more, when all is over.
    assert_eq!(server.open(&format!("/jobs/{job}/events"), &[]).await.events().await, events);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_comes_again_gets_exactly_what_it_missed() {
    let mut server = Server::start().await;
    let job = server.shell("exec sleep 100").await;
    server.until(&job, &["RUNNING"]).await;
    let path = format!("/jobs/{job}/events");
    let mut stream = server.open(&path, &[]).await;
    let mut seen = Vec::new();
    while seen.len() < 3 {
        seen.push(stream.event().await.expect("an event"));
    }
    // The server is killed under the stream, and the job goes on.
    server.kill();
    drop(stream);
    server.restart().await;
    let last = seen.last().and_then(|event| event.id.clone()).expect("an id");
    let mut again = server.open(&path, &[("last-event-id", &last)]).await;
    server.post(&format!("/jobs/{job}/cancel"), &json!({"gracePeriodSeconds": 1})).await.ok();
    let rest = again.events().await;
    assert_eq!(lines(&rest), ["transition CANCELED", "end CANCELED"]);
    // The whole in one go is the same; a query parameter says what the header does.
    let whole = server.open(&path, &[]).await.events().await;
    assert_eq!(whole, [seen, rest].concat());
    for from in 0..whole.len() - 1 {
        let id = whole[from].id.as_deref().expect("an id");
        let behind = server.open(&format!("{path}?lastEventId={id}"), &[]).await.events().await;
        assert_eq!(behind, whole[from + 1..], "behind {id}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_place_that_is_none_is_refused_and_an_unknown_job_is_not_found() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("storage").await;
    for bad in ["x", "-1", "1.5", "99999999999999999999", "1:2"] {
        let answer =
            server.send(http::Method::GET, &format!("/jobs/{job}/events"), &[("last-event-id", bad)], "").await;
        answer.problem(400, "invalid_page_token");
    }
    server.get("/jobs/00000000-0000-7000-8000-000000000000/events").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn progress_is_told_and_thinned_out() {
    let server = Server::start().await;
    let job = server.shell("exec sleep 100").await;
    server.until(&job, &["RUNNING"]).await;
    let mut stream = server.open(&format!("/jobs/{job}/events"), &[]).await;
    while stream.event().await.expect("an event").json()["to"] != "RUNNING" {}
    let path = format!("/jobs/{job}");
    let begin = Instant::now();
    for progress in 1..=50 {
        server.put(&path, &json!({"progress": progress, "statusMessage": format!("step {progress}")})).await.ok();
    }
    server.post(&format!("{path}/cancel"), &json!({"gracePeriodSeconds": 1})).await.ok();
    let events = stream.events().await;
    let (end, progress) = (&events[events.len() - 2..], &events[..events.len() - 2]);
    assert_eq!(lines(end), ["transition CANCELED", "end CANCELED"]);
    // One a second, the first one, and the last one before what comes behind it.
    assert!((2..=begin.elapsed().as_secs() + 2).contains(&(progress.len() as u64)), "{progress:?}");
    assert!(progress.iter().all(|event| event.name == "progress" && event.id.is_none()));
    assert_eq!(progress[0].json()["progress"], 1);
    let last = progress[progress.len() - 1].json();
    assert_eq!((&last["progress"], &last["statusMessage"]), (&json!(50), &json!("step 50")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_stops_ends_its_streams() {
    let mut server = Server::start().await;
    let job = server.shell("echo one; exec sleep 100").await;
    server.until(&job, &["RUNNING"]).await;
    let mut streams = Vec::new();
    for path in ["/jobs/events".to_owned(), format!("/jobs/{job}/events"), format!("/jobs/{job}/log?follow=true")] {
        streams.push(server.open(&path, &[]).await);
    }
    assert_eq!(streams[2].piece().await.as_deref(), Some("one\n"));
    let begin = Instant::now();
    let stopped = tokio::task::spawn_blocking(move || (server.terminate(), server));
    for mut stream in streams {
        // Not broken off: the body has its end.
        stream.rest().await;
    }
    let (code, _server) = stopped.await.expect("no panic");
    assert_eq!(code, Some(0));
    // The drain would wait 20 s for a request that has no end.
    assert!(begin.elapsed().as_secs() < 10, "{:?}", begin.elapsed());
}
