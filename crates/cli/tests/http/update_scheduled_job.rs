use crate::support::{Server, scheduled};
use serde_json::{Value, json};

fn body(spec: Value) -> Value {
    json!({"scheduledJob": spec})
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_read_can_be_written_again() {
    let server = Server::start().await;
    let mut given = scheduled("@yearly", "test \"$DB_PASSWORD\" = hidden")["scheduledJob"].clone();
    given["job"]["environmentVariables"] = json!([{"name": "DB_PASSWORD", "value": "hidden"}]);
    given["paused"] = json!(true);
    let made = server.post("/scheduledjobs", &body(given)).await.ok();
    let path = format!("/scheduledjobs/{}", made["id"].as_str().expect("an id"));
    let mut read = server.get(&path).await.ok();
    assert_eq!(read["job"]["environmentVariables"][0]["value"], "***");
    read["description"] = json!("changed");
    read.as_object_mut().expect("fields").remove("paused");
    let written = server.put(&path, &body(read)).await.ok();
    assert_eq!((&written["description"], &written["paused"]), (&json!("changed"), &json!(true)), "{written}");
    assert!(written["modifiedAt"].as_str() > made["modifiedAt"].as_str());
    // The value that was masked is still the one that was given.
    let job = server.post(&format!("{path}/trigger"), &json!({})).await.ok();
    let job = server.until_ended(job["id"].as_str().expect("an id")).await;
    assert_eq!(job["status"], "FINISHED", "{job}");
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_replaced_as_a_whole_and_fires_no_slot_again() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.schedule("* * * * * *", "true", json!({"description": "old", "overlapPolicy": "ALLOW"})).await;
    let before = server.until_runs(&id, 1).await;
    let path = format!("/scheduledjobs/{id}");
    for cron in ["*/1 * * * * *", "* * * * * *", "*/1 * * * * *"] {
        let mut other = scheduled(cron, "true");
        other["scheduledJob"]["overlapPolicy"] = json!("ALLOW");
        let changed = server.put(&path, &other).await.ok();
        assert_eq!((&changed["cronExpression"], &changed["description"]), (&json!(cron), &json!(null)));
    }
    let runs = server.until_runs(&id, before.len() + 3).await;
    let mut slots: Vec<_> = runs.iter().map(|run| run["slotAt"].to_string()).collect();
    let all = slots.len();
    assert!(slots.is_sorted_by(|newer, older| newer > older), "{slots:?}");
    slots.dedup();
    assert_eq!(slots.len(), all);
    let foreign =
        body(json!({"organizationId": "other", "cronExpression": "@daily", "job": {"dockerImageUrl": "host"}}));
    let problem = server.put(&path, &foreign).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/scheduledJob/organizationId");
    let done = server.put(&path, &scheduled("@yearly", "true")).await.ok();
    assert!(done["nextFireAt"].as_str().is_some_and(|next| next.contains("-01-01T00:00:00")), "{done}");
}
