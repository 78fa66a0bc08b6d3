//! The machine's clock is set while jobs run: no lease and no time limit may notice. `libfaketime` sets the clock that the
//! server and its supervisor see, as a file says; the monotonic clock goes on, as it does on a real machine.

use crate::support::Server;
use crate::workers::{claim, complete, heartbeat, pull_job};
use docket_contract::Timestamp;
use serde_json::json;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Where Debian's package has the library, on any architecture.
fn library() -> PathBuf {
    let places = std::fs::read_dir("/usr/lib").expect("libraries");
    let mut found = places.map(|place| place.expect("a place").path().join("faketime/libfaketimeMT.so.1"));
    found.find(|path| path.exists()).expect("the package libfaketime")
}

pub fn set(file: &Path, offset: &str) {
    // It is read at any moment: never half written.
    let next = file.with_extension("next");
    std::fs::write(&next, format!("{offset}\n")).expect("written");
    std::fs::rename(next, file).expect("renamed");
}

/// The environment of a server whose clock is set by a file.
pub fn environment(file: &Path) -> [(&'static str, String); 4] {
    let text = |path: &Path| path.to_str().expect("UTF-8").to_owned();
    [
        ("LD_PRELOAD", text(&library())),
        ("DONT_FAKE_MONOTONIC", "1".to_owned()),
        ("FAKETIME_NO_CACHE", "1".to_owned()),
        ("FAKETIME_TIMESTAMP_FILE", text(file)),
    ]
}

/// How far the server's clock is from the real one, in seconds, as a new job tells.
async fn offset_of(server: &Server) -> i64 {
    let job = pull_job(server, json!({"type": "NOBODYS_JOB"})).await;
    let job = server.get(&format!("/jobs/{job}")).await.ok();
    let created: Timestamp = job["createdAt"].as_str().expect("a time").parse().expect("a time");
    let real = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970");
    created.as_millis() / 1000 - i64::try_from(real.as_secs()).expect("seconds")
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_ends_no_job_and_no_lease() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("offset");
    set(&file, "+0");
    let environment = environment(&file);
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::with_environment(&["--slots", "4"], &environment).await;
    let limited = |command: &str, seconds: i32| {
        json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", command], "timeoutSeconds": seconds,
            "gracePeriodSeconds": 0})
    };
    for (n, (jump, seconds)) in [("+3600", 3600), ("-3600", -3600)].into_iter().enumerate() {
        set(&file, "+0");
        let gate = format!("go{n}");
        let held = server.held(&gate, "exit 0", json!({"timeoutSeconds": 600})).await;
        let hangs = server.start_job(limited("sleep 600", 2)).await;
        let begun = Instant::now();
        let (kept, forgotten) = (pull_job(&server, json!({})).await, pull_job(&server, json!({})).await);
        let types = json!({"types": [], "max": 1});
        let mut lease = types.clone();
        lease["leaseSeconds"] = json!(60);
        assert_eq!(claim(&server, lease.clone()).await[0]["job"]["id"], kept);
        lease["leaseSeconds"] = json!(2);
        assert_eq!(claim(&server, lease).await[0]["job"]["id"], forgotten);
        for job in [&held, &hangs] {
            server.until(job, &["RUNNING"]).await;
        }

        set(&file, jump);
        let found = offset_of(&server).await;
        assert!((found - seconds).abs() < 60, "the clock of the server is off by {found} s");

        // What has no heartbeat and what hangs ends in its time: neither at once nor an hour later.
        let hung = server.until_ended(&hangs).await;
        assert_eq!(hung["status"], "FAILED", "{jump}: {hung}");
        assert!(hung["statusMessage"].as_str().is_some_and(|told| told.contains("time limit")), "{jump}: {hung}");
        let died = server.until_ended(&forgotten).await;
        assert_eq!(died["status"], "DIED", "{jump}: {died}");
        let passed = begun.elapsed();
        assert!(passed >= Duration::from_secs(2), "{jump}: ended before their time, after {passed:?}");

        // What has time left goes on, and ends as it will.
        assert_eq!(server.get(&format!("/jobs/{held}")).await.ok()["status"], "RUNNING", "{jump}");
        server.open_gate(&gate);
        let ended = server.until_ended(&held).await;
        assert_eq!((&ended["status"], &ended["exitCode"]), (&json!("FINISHED"), &json!(0)), "{jump}: {ended}");
        assert_eq!(heartbeat(&server, &kept, 1).await.ok()["cancelRequested"], false, "{jump}");
        assert_eq!(complete(&server, &kept, 1, 0).await.ok()["status"], "FINISHED", "{jump}");
        println!("survived: the clock set by {jump} s under 4 running jobs: each ended as it would have");
    }
}
