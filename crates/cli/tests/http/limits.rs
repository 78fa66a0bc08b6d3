//! Limits of jobs, from the request to the job's end.

use crate::support::{BINARY, Server};
use serde_json::json;
use std::process::Command;

fn shell(script: &str) -> serde_json::Value {
    json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script]})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_its_time_limit_fails_and_says_so() {
    let server = Server::start().await;
    let mut job = shell("trap '' TERM; while :; do sleep 0.01; done");
    job["timeoutSeconds"] = json!(1);
    job["gracePeriodSeconds"] = json!(0);
    let id = server.start_job(job).await;
    let ended = server.until_ended(&id).await;
    assert_eq!(ended["status"], "FAILED");
    let message = ended["statusMessage"].as_str().expect("a message");
    assert!(message.contains("time limit"), "{message}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_over_its_memory_limit_dies_and_says_so_or_is_refused() {
    let server = Server::start().await;
    let mut job = shell("tail /dev/zero");
    job["memoryLimit"] = json!(48);
    let id = server.start_job(job).await;
    let ended = server.until_ended(&id).await;
    let message = ended["statusMessage"].as_str().expect("a message");
    match ended["status"].as_str() {
        Some("DIED") => assert!(message.contains("more memory than its limit"), "{message}"),
        // A machine without a control group for it.
        Some("CANCELED") => assert!(message.contains("memoryLimit can't be enforced"), "{message}"),
        other => panic!("{other:?}: {message}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_is_root_gives_a_job_a_user_that_sees_nothing_of_the_server() {
    if !rustix::process::geteuid().is_root() {
        return;
    }
    let server = Server::with(&["--job-user", "80000-89999"]).await;
    let data = server.data().display();
    let id = server
        .shell(&format!(
            "id -u; for f in secret.key control.db control.db-wal server.lock supervisor/journal; do cat {data}/$f && echo $f; done 2>/dev/null; \
             ls {data} 2>/dev/null; echo end"
        ))
        .await;
    assert_eq!(server.until_ended(&id).await["status"], "FINISHED");
    let log = server.log(&id).await;
    let (user, rest) = log.split_once('\n').expect("lines");
    assert!((80_000..90_000).contains(&user.parse::<u32>().expect("a number")), "{log}");
    assert_eq!(rest, "end\n");
}

#[test]
fn a_user_that_is_none_is_refused_at_the_start() {
    let data = tempfile::tempdir().expect("a directory");
    let output = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--job-user", "no such user", "--data"])
        .arg(data.path())
        .output()
        .expect("the program");
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("job-user no such user: there is no user of that name"), "{said}");
}
