use crate::support::stream::Event;
use crate::support::{PATIENCE, Server};
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

const JSON: (&str, &str) = ("content-type", "application/json");

async fn start(server: &Server, key: &str) -> String {
    let body = json!({"dockerImageUrl": "host", "commands": ["/bin/true"]}).to_string();
    let job = server.send(Method::POST, "/jobs", &[("x-api-key", key), JSON], body).await.ok();
    job["id"].as_str().expect("an id").to_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_organization_hears_of_its_own_jobs() {
    let server = Server::start().await;
    let (ours, theirs, admin) =
        (server.key("acme", "operator"), server.key("other", "operator"), server.key("acme", "admin"));
    let reader = server.key("acme", "reader");
    let mut own = server.open("/jobs/events", &[("x-api-key", &reader)]).await;
    let mut foreign = server.open("/jobs/events", &[("x-api-key", &theirs)]).await;
    let everything = "/jobs/events?featuresOn=IGNORE_ORGANIZATION_RESTRICTIONS&jobStatus=FINISHED";
    let refused = server.send(Method::GET, everything, &[("x-api-key", &ours)], "").await;
    refused.problem(403, "forbidden");
    let mut all = server.open(everything, &[("x-api-key", &admin)]).await;

    let mut jobs = [Vec::new(), Vec::new()];
    for _ in 0..5 {
        jobs[0].push(start(&server, &ours).await);
        jobs[1].push(start(&server, &theirs).await);
    }
    for (stream, expected) in [(&mut own, &jobs[0]), (&mut foreign, &jobs[1])] {
        let mut finished = BTreeSet::new();
        let mut last = 0;
        while finished.len() < expected.len() {
            let event = stream.event().await.expect("an event");
            let data = event.json();
            let job = data["jobId"].as_str().expect("an id").to_owned();
            assert!(expected.contains(&job), "{data}");
            let id: u64 = event.id.expect("an id").parse().expect("a number");
            assert!(id > last, "each once, in order");
            last = id;
            if data["to"] == "FINISHED" {
                finished.insert(job);
            }
        }
    }
    let mut finished = BTreeSet::new();
    while finished.len() < 10 {
        let data = all.event().await.expect("an event").json();
        assert_eq!(data["to"], "FINISHED");
        finished.insert(data["jobId"].as_str().expect("an id").to_owned());
    }
    assert_eq!(finished, jobs.concat().into_iter().collect());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_comes_from_the_store_also_after_a_kill() {
    let mut server = Server::start().await;
    let mut stream = server.open("/jobs/events", &[]).await;
    let mut jobs = vec![server.shell("true").await];
    let mut seen = vec![stream.event().await.expect("an event")];
    assert_eq!(seen[0].json()["jobId"], jobs[0].as_str());
    for _ in 0..20 {
        let job = server.shell("exit 3").await;
        server.until_ended(&job).await;
        jobs.push(job);
    }
    server.kill();
    drop(stream);
    server.restart().await;
    let last = seen[0].id.clone().expect("an id");
    let mut stream = server.open("/jobs/events", &[("last-event-id", &last)]).await;
    let newest = server.shell("true").await;
    while !seen.last().is_some_and(|event| event.json()["jobId"] == newest.as_str() && event.json()["to"] == "FINISHED")
    {
        seen.push(stream.event().await.expect("an event"));
    }
    jobs.push(newest);
    // All of all jobs, each once, in order.
    let mut expected = Vec::new();
    for job in jobs {
        let history = server.get(&format!("/jobs/{job}/history")).await.ok();
        expected.extend(history["values"].as_array().expect("events")[1..].iter().cloned());
    }
    let number = |event: &Value| event["id"].as_str().expect("an id").parse::<u64>().expect("a number");
    expected.sort_by_key(number);
    assert_eq!(seen.iter().map(Event::json).collect::<Vec<_>>(), expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_key_hears_no_more() {
    let server = Server::with(&["--slots", "0"]).await;
    let (operator, reader) = (server.key("acme", "operator"), server.key("acme", "reader"));
    let mut stream = server.open("/jobs/events", &[("x-api-key", &reader)]).await;
    start(&server, &operator).await;
    assert!(stream.event().await.is_some());
    let data = server.data().to_str().expect("UTF-8");
    let id = reader.split('_').nth(1).expect("an id");
    let revoked =
        std::process::Command::new(crate::support::BINARY).args(["keys", "--data", data, "revoke", id]).status();
    assert!(revoked.expect("docket keys").success());
    // It is looked at with the next heartbeat at the latest.
    let ended = tokio::time::timeout(PATIENCE, async { while stream.event().await.is_some() {} }).await;
    assert!(ended.is_ok(), "the stream goes on");
}

/// A client that takes little and then nothing.
fn slow_reader(server: &Server) -> TcpStream {
    let address = server.url.strip_prefix("http://").expect("HTTP");
    let socket = TcpStream::connect(address).expect("a connection");
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 4096).expect("a small window");
    let mut writer = &socket;
    write!(writer, "GET /jobs/events HTTP/1.1\r\nhost: localhost\r\n\r\n").expect("sent");
    let mut head = [0; 64];
    (&socket).read_exact(&mut head).expect("an answer");
    assert!(head.starts_with(b"HTTP/1.1 200"));
    socket
}

fn resident_kib(pid: u32) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a size");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_reader_is_cut_off_and_harms_nobody() {
    let server = Server::with(&["--slots", "0", "--stall-timeout", "2"]).await;
    let slow: Vec<_> = (0..50).map(|_| slow_reader(&server)).collect();
    let mut swift = server.open("/jobs/events", &[]).await;
    let job = server.idle_job("storage").await;
    assert_eq!(swift.event().await.expect("an event").json()["jobId"], job.as_str());
    let before = resident_kib(server.pid());
    // More than a MB for each of them, were it kept for each.
    let count = 300;
    let told = tokio::spawn(async move {
        let mut canceled = 0;
        while canceled < count {
            let event = swift.event().await.expect("an event").json();
            canceled += u32::from(event["to"] == "CANCELED");
        }
    });
    let reason = json!({"reason": "x".repeat(4000)});
    for _ in 0..count {
        let job = server.idle_job("storage").await;
        server.post(&format!("/jobs/{job}/cancel"), &reason).await.ok();
    }
    told.await.expect("all were told");
    let grown = resident_kib(server.pid()).saturating_sub(before);
    assert!(grown < 40 * 1024, "{grown} KiB more");
    // The kernel ends the connections whose peer takes nothing.
    let ports: Vec<u16> = slow.iter().map(|socket| socket.local_addr().expect("bound").port()).collect();
    let begin = std::time::Instant::now();
    while ports.iter().any(|port| is_served(&server, *port)) {
        assert!(begin.elapsed() < PATIENCE, "the slow ones are still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(server.get("/healthz").await.status, 200);
}

/// Whether the server has a connection with this port of ours.
fn is_served(server: &Server, port: u16) -> bool {
    let own: u16 = server.url.rsplit(':').next().and_then(|port| port.parse().ok()).expect("a port");
    let sockets = std::fs::read_to_string(format!("/proc/{}/net/tcp", server.pid())).expect("Linux");
    sockets.lines().any(|line| {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let mut ends_with = |port: u16| fields.next().is_some_and(|field| field.ends_with(&format!(":{port:04X}")));
        ends_with(own) && ends_with(port) && fields.next() == Some("01")
    })
}
