use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_given_changes_and_the_rest_stays() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.start_job(json!({"dockerImageUrl": "i", "name": "a", "tags": ["x"], "description": "d"})).await;
    let path = format!("/jobs/{id}");
    let job = server.put(&path, &json!({"name": "b", "tags": ["y"], "priority": 90})).await.ok();
    assert_eq!(
        (&job["name"], &job["tags"], &job["priority"], &job["description"]),
        (&json!("b"), &json!(["y"]), &json!(90), &json!("d"))
    );
    assert_eq!(server.get("/jobs?tags=x").await.ok()["values"], json!([]));
    assert_eq!(server.get("/jobs?tags=y").await.ok()["values"][0]["id"], id);
    for (body, pointer) in [(json!({"progress": 101}), "/progress"), (json!({"name": "x".repeat(256)}), "/name")] {
        let problem = server.put(&path, &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_running_job_reports_and_an_ended_one_does_not() {
    let server = Server::start().await;
    let id = server.shell("exec sleep 100").await;
    server.until(&id, &["RUNNING"]).await;
    let path = format!("/jobs/{id}");
    let job = server.put(&path, &json!({"progress": 40, "statusMessage": "12 of 30", "attempt": 1})).await.ok();
    assert_eq!((&job["progress"], &job["statusMessage"]), (&json!(40), &json!("12 of 30")));
    server.put(&path, &json!({"progress": 41, "attempt": 2})).await.problem(409, "stale_attempt");
    server.post(&format!("{path}/cancel"), &json!({"gracePeriodSeconds": 0})).await.ok();
    server.until_ended(&id).await;
    server.put(&path, &json!({"progress": 50})).await.problem(409, "job_ended");
    assert_eq!(server.put(&path, &json!({"name": "late"})).await.ok()["name"], "late");
}

#[tokio::test(flavor = "multi_thread")]
async fn priority_decides_who_runs_next() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let order = server.data().join("order");
    let mut ids = Vec::new();
    for (name, priority) in [("low", 10), ("first", 50), ("second", 50), ("high", 90)] {
        let script = format!("echo {name} >> {}", order.display());
        let body = json!({"dockerImageUrl": "i", "priority": priority, "commands": ["/bin/sh", "-c", script]});
        ids.push(server.start_job(body).await);
    }
    server.until(&ids[3], &["SCHEDULED"]).await;
    server.terminate();
    server.set_flags(&["--slots", "1"]);
    server.restart().await;
    for id in &ids {
        server.until(id, &["FINISHED"]).await;
    }
    assert_eq!(std::fs::read_to_string(order).expect("written"), "high\nfirst\nsecond\nlow\n");
}
