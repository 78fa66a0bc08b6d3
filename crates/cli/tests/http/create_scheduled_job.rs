use crate::support::{Server, scheduled};
use serde_json::{Value, json};

/// A body with other fields of the scheduled job.
fn with(more: Value) -> Value {
    let mut body = scheduled("30 6 * * MON-FRI", "true");
    let fields = more.as_object().expect("fields").clone();
    body["scheduledJob"].as_object_mut().expect("fields").extend(fields);
    body
}

#[tokio::test(flavor = "multi_thread")]
async fn it_is_answered_as_written_with_defaults_and_in_words() {
    let server = Server::with(&["--slots", "0"]).await;
    let body = with(json!({"cronExpression": " 30  6 * * MON-FRI", "timeZone": "Europe/Zurich", "clientId": "c"}));
    let made = server.post("/scheduledjobs", &body).await.ok();
    assert_eq!(made["cronExpression"], " 30  6 * * MON-FRI", "{made}");
    assert_eq!(made["cronInWords"], "every weekday at 06:30, Europe/Zurich");
    let defaults = json!({"overlapPolicy": "SKIP", "misfirePolicy": "LAST", "maxCatchUp": 100, "jitterSeconds": 0,
        "paused": false, "organizationId": "default", "clientId": "c"});
    for (name, value) in defaults.as_object().expect("fields") {
        assert_eq!(&made[name], value, "{name}");
    }
    let next: docket_contract::Timestamp = made["nextFireAt"].as_str().expect("a time").parse().expect("a time");
    let created: docket_contract::Timestamp = made["createdAt"].as_str().expect("a time").parse().expect("a time");
    assert!(next > created && next < created.plus_millis(4 * 86_400_000), "{made}");
    assert_eq!(server.get(&format!("/scheduledjobs/{}", made["id"].as_str().expect("an id"))).await.ok(), made);
    let plain = server.post("/scheduledjobs", &scheduled("@hourly", "true")).await.ok();
    assert_eq!(plain["timeZone"], "UTC");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named() {
    let server = Server::with(&["--slots", "0", "--allow-image", "host"]).await;
    for (more, pointer, code) in [
        (json!({"cronExpression": ""}), "/scheduledJob/cronExpression", "required"),
        (json!({"cronExpression": "61 * * * *"}), "/scheduledJob/cronExpression", "invalid_format"),
        (json!({"cronExpression": "0 0 30 2 *"}), "/scheduledJob/cronExpression", "never_fires"),
        (json!({"timeZone": "Europe/Atlantis"}), "/scheduledJob/timeZone", "unknown_value"),
        (json!({"maxCatchUp": 1001}), "/scheduledJob/maxCatchUp", "out_of_range"),
        (json!({"jitterSeconds": -1}), "/scheduledJob/jitterSeconds", "out_of_range"),
        (json!({"startAt": "2027-01-02T00:00Z", "endAt": "2027-01-01T00:00Z"}), "/scheduledJob/endAt", "out_of_range"),
        (json!({"job": {"dockerImageUrl": "host", "priority": 101}}), "/scheduledJob/job/priority", "out_of_range"),
        // What only this server can know is told where it stands, too.
        (json!({"job": {"dockerImageUrl": "other"}}), "/scheduledJob/job/dockerImageUrl", "not_allowed"),
    ] {
        let problem = server.post("/scheduledjobs", &with(more.clone())).await.problem(400, "invalid_request");
        assert_eq!((&problem["errors"][0]["pointer"], &problem["errors"][0]["code"]), (&json!(pointer), &json!(code)));
    }
    let unsupported = with(json!({"job": {"dockerImageUrl": "host", "executor": "kubernetes"}}));
    let refused = server.post("/scheduledjobs", &unsupported).await.problem(422, "not_supported");
    assert_eq!(refused["errors"][0]["pointer"], "/scheduledJob/job/executor", "{refused}");
}

#[tokio::test(flavor = "multi_thread")]
async fn only_administrators_schedule_for_others() {
    let server = Server::with(&["--slots", "0"]).await;
    let body = with(json!({"organizationId": "other"})).to_string();
    for (role, allowed) in [("operator", false), ("admin", true)] {
        let key = server.key("acme", role);
        let headers = [("x-api-key", key.as_str()), ("content-type", "application/json")];
        let answer = server.send(http::Method::POST, "/scheduledjobs", &headers, body.clone()).await;
        if allowed {
            assert_eq!(answer.ok()["organizationId"], "other");
        } else {
            answer.problem(403, "forbidden");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repeated_request_makes_one() {
    let server = Server::with(&["--slots", "0"]).await;
    let headers = [("idempotency-key", "k"), ("content-type", "application/json")];
    let body = scheduled("@daily", "true").to_string();
    let first = server.send(http::Method::POST, "/scheduledjobs", &headers, body.clone()).await.ok();
    let again = server.send(http::Method::POST, "/scheduledjobs", &headers, body).await.ok();
    assert_eq!(first, again);
    let listed = server.get("/scheduledjobs").await.ok();
    assert_eq!(listed["values"].as_array().map(Vec::len), Some(1));
}

#[tokio::test(flavor = "multi_thread")]
async fn its_jobs_know_their_slot() {
    let server = Server::start().await;
    let script = "echo $DOCKET_SCHEDULED_JOB_ID $DOCKET_SCHEDULED_FOR";
    let id = server.schedule("* * * * * *", script, json!({"overlapPolicy": "ALLOW", "workspaceId": "w"})).await;
    let run = server.until_runs(&id, 1).await.pop().expect("a run");
    let job = server.until_ended(run["jobId"].as_str().expect("a job")).await;
    assert_eq!((&job["status"], &job["scheduledJobId"]), (&json!("FINISHED"), &json!(id)), "{job}");
    assert_eq!((&job["scheduledFor"], &job["name"]), (&run["slotAt"], &json!("nightly")), "{job}");
    assert_eq!(job["workspaceId"], "w");
    let log = server.log(job["id"].as_str().expect("an id")).await;
    assert_eq!(log.trim(), format!("{id} {}", run["slotAt"].as_str().expect("a time")));
}
