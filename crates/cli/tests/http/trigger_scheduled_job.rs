use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_starts_now_and_the_timetable_goes_on() {
    let server = Server::start().await;
    let id = server.schedule("@yearly", "true", json!({"paused": true})).await;
    let path = format!("/scheduledjobs/{id}");
    let before = server.get(&path).await.ok();
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    let trigger = format!("{path}/trigger");
    let job = server.send(http::Method::POST, &trigger, &headers, "{}").await.ok();
    assert_eq!((&job["status"], &job["scheduledJobId"]), (&json!("PERSISTED"), &json!(id)), "{job}");
    let again = server.send(http::Method::POST, &trigger, &headers, "{}").await.ok();
    assert_eq!(again, job);
    server.until(job["id"].as_str().expect("an id"), &["FINISHED"]).await;
    let runs = server.until_runs(&id, 1).await;
    assert_eq!((runs.len(), &runs[0]["kind"], &runs[0]["jobId"]), (1, &json!("TRIGGERED"), &job["id"]));
    assert_eq!(server.get(&path).await.ok(), before);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_overlap_policy_holds() {
    let server = Server::with(&["--slots", "4"]).await;
    let gate = server.data().join("gate");
    let script = format!("while [ ! -e {} ]; do sleep 0.01; done", gate.display());
    for (policy, second) in [("SKIP", None), ("QUEUE_ONE", Some("WAITING")), ("ALLOW", Some("RUNNING"))] {
        let id = server.schedule("@yearly", &script, json!({"overlapPolicy": policy})).await;
        let trigger = format!("/scheduledjobs/{id}/trigger");
        let first = server.post(&trigger, &json!({})).await.ok();
        let first = first["id"].as_str().expect("an id");
        server.until(first, &["RUNNING"]).await;
        let answer = server.post(&trigger, &json!({})).await;
        match second {
            None => {
                answer.problem(409, "run_not_ended");
            }
            Some(status) => {
                let job = answer.ok();
                let job = job["id"].as_str().expect("an id");
                server.until(job, &[status]).await;
                if policy == "QUEUE_ONE" {
                    server.post(&trigger, &json!({})).await.problem(409, "run_not_ended");
                    server.until_told(job, &format!("Waits for job {first} to end.")).await;
                }
            }
        }
        server.open_gate("gate");
        for run in server.until_runs(&id, 1).await {
            server.until(run["jobId"].as_str().expect("a job"), &["FINISHED"]).await;
        }
        std::fs::remove_file(&gate).expect("closed");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_is_canceled_before_the_next_starts() {
    let server = Server::with(&["--slots", "4"]).await;
    let more = json!({"overlapPolicy": "CANCEL_RUNNING"});
    let id = server.schedule("@yearly", "exec sleep 600", more).await;
    let trigger = format!("/scheduledjobs/{id}/trigger");
    let first = server.post(&trigger, &json!({})).await.ok();
    let first = first["id"].as_str().expect("an id");
    server.until(first, &["RUNNING"]).await;
    let second = server.post(&trigger, &json!({})).await.ok();
    let second = server.until(second["id"].as_str().expect("an id"), &["RUNNING"]).await;
    let first = server.get(&format!("/jobs/{first}")).await.ok();
    assert_eq!(first["status"], "CANCELED", "{first}");
    assert!(first["finishedAt"].as_str() <= second["startedAt"].as_str(), "{first} {second}");
}
