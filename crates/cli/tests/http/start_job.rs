use crate::support::Server;
use bytes::Bytes;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_job_runs_and_says_how_it_ended() {
    let server = Server::start().await;
    let body = json!({
        "dockerImageUrl": "registry.example/validation:7",
        "commands": ["/bin/sh", "-c", "test \"$COLOUR\" = blue && echo \"$0 $1\"", "zero", "a b"],
        "environmentVariables": [{"name": "COLOUR", "value": "blue"}],
        "type": "DATA_VALIDATION_JOB",
        "labels": [{"name": "team", "value": "x"}],
        "tags": ["nightly"],
        "priority": "70",
        "memoryLimit": 1024,
    });
    let job = server.post("/jobs", &body).await.ok();
    assert_eq!(job["status"], "PERSISTED");
    assert_eq!(job["attempt"], 0);
    assert_eq!(job["priority"], 70);
    assert_eq!(job["organizationId"], "default");
    let id = job["id"].as_str().expect("an id");
    assert_eq!(uuid::Uuid::parse_str(id).expect("a UUID").get_version_num(), 7);
    let ended = server.until_ended(id).await;
    assert_eq!(ended["status"], "FINISHED", "{ended}");
    assert_eq!((&ended["exitCode"], &ended["progress"], &ended["attempt"]), (&json!(0), &json!(100), &json!(1)));
    assert!(ended["startedAt"].as_str() <= ended["finishedAt"].as_str());
    assert_eq!(server.log(id).await, "zero a b\n");
}

#[tokio::test(flavor = "multi_thread")]
async fn each_end_has_its_status() {
    let server = Server::start().await;
    for (script, status, exit_code, message) in
        [("exit 3", "FAILED", json!(3), "exit code 3"), ("kill -9 $$", "DIED", json!(null), "signal 9")]
    {
        let job = server.until_ended(&server.shell(script).await).await;
        assert_eq!((job["status"].as_str(), &job["exitCode"]), (Some(status), &exit_code), "{job}");
        assert!(job["statusMessage"].as_str().expect("a message").contains(message), "{job}");
    }
    for commands in [json!(["/no/such/program"]), json!([])] {
        let id = server.start_job(json!({"dockerImageUrl": "host", "commands": commands})).await;
        let job = server.until_ended(&id).await;
        assert_eq!(job["status"], "CANCELED", "{job}");
        assert!(job["statusMessage"].as_str().expect("a reason").starts_with("The job can't be started"), "{job}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_input_names_the_field() {
    let server = Server::with(&["--slots", "0"]).await;
    for (body, pointer) in [
        (json!({}), "/dockerImageUrl"),
        (json!({"dockerImageUrl": ""}), "/dockerImageUrl"),
        (json!({"dockerImageUrl": 5}), "/dockerImageUrl"),
        (json!({"dockerImageUrl": "a", "commands": vec!["x"; 101]}), "/commands"),
        (json!({"dockerImageUrl": "a", "commands": "ls"}), "/commands"),
        (json!({"dockerImageUrl": "a", "priority": 101}), "/priority"),
        (json!({"dockerImageUrl": "a", "type": "nightly"}), "/type"),
        (json!({"dockerImageUrl": "a", "tags": vec!["x"; 51]}), "/tags"),
        (json!({"dockerImageUrl": "a", "labels": [{"name": ""}]}), "/labels/0/name"),
        (json!({"dockerImageUrl": "a", "resultStorageId": "x".repeat(256)}), "/resultStorageId"),
        (json!({"dockerImageUrl": "a", "processingLogId": "OTHER_LOG"}), "/processingLogId"),
        (
            json!({"dockerImageUrl": "a", "environmentVariables": [{"name": "A", "value": "x".repeat(524_288)}]}),
            "/environmentVariables",
        ),
    ] {
        let problem = server.post("/jobs", &body).await.problem(400, "invalid_request");
        let pointers: Vec<_> = problem["errors"].as_array().expect("errors").iter().map(|e| &e["pointer"]).collect();
        assert!(pointers.iter().any(|found| *found == pointer), "{pointer}: {problem}");
    }
    let listed = server.get("/jobs?featuresOn=NUMBER_OF_TOTAL").await.ok();
    assert_eq!(listed["total"], 0, "nothing was stored");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_honoured_is_refused() {
    let server = Server::with(&["--slots", "0"]).await;
    let body = json!({"dockerImageUrl": "a", "executor": "docker"});
    let problem = server.post("/jobs", &body).await.problem(422, "not_supported");
    assert_eq!(problem["errors"][0]["pointer"], "/executor");
}

#[tokio::test(flavor = "multi_thread")]
async fn images_can_be_limited() {
    let server = Server::with(&["--slots", "0", "--allow-image", "good/*,other:1"]).await;
    for image in ["good/a", "other:1"] {
        server.post("/jobs", &json!({"dockerImageUrl": image})).await.ok();
    }
    let problem = server.post("/jobs", &json!({"dockerImageUrl": "other:2"})).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/dockerImageUrl");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idempotency_key_starts_one_job_also_over_a_restart() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let body = json!({"dockerImageUrl": "a", "name": "once"}).to_string();
    let headers = [("content-type", "application/json"), ("idempotency-key", "night-1")];
    let first = server.send(Method::POST, "/jobs", &headers, body.clone()).await;
    let again = server.send(Method::POST, "/jobs", &headers, body.clone()).await;
    assert_eq!(first.ok(), again.ok());
    assert_eq!((first.header("idempotency-replayed"), again.header("idempotency-replayed")), ("", "true"));
    server.kill();
    server.restart().await;
    assert_eq!(server.send(Method::POST, "/jobs", &headers, body).await.body, first.body);
    let other = json!({"dockerImageUrl": "b"}).to_string();
    server.send(Method::POST, "/jobs", &headers, other).await.problem(422, "idempotency_key_reused");
    assert_eq!(server.get("/jobs?featuresOn=NUMBER_OF_TOTAL").await.ok()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_conventions_of_the_api_hold() {
    let server = Server::with(&["--slots", "0"]).await;
    let body = r#"{"dockerImageUrl": "a", "colour": 1, "labels": [{"name": "a", "value": "b", "shade": 2}]}"#;
    let headers = [("content-type", "application/json"), ("x-request-id", "night-7")];
    let started = server.send(Method::POST, "/v2/jobs", &headers, body).await;
    started.ok();
    assert_eq!(started.header("x-request-id"), "night-7");
    let ignored = started.header("docket-ignored-fields");
    assert!(ignored.contains("colour") && ignored.contains("shade"), "{ignored}");
    for (body, code) in
        [(&b"{"[..], "malformed_body"), (b"[]", "malformed_body"), (b"{\"a\": \"\xFF\"}", "malformed_body")]
    {
        let answer = server.send(Method::POST, "/jobs", &headers, Bytes::copy_from_slice(body)).await;
        answer.problem(400, code);
    }
    let text = [("content-type", "text/plain")];
    server.send(Method::POST, "/jobs", &text, "{}").await.problem(415, "unsupported_media_type");
    // What a web page of another origin can send without being asked, and with a name of its own that points here.
    let body = r#"{"dockerImageUrl": "a"}"#;
    let page = [("origin", "http://evil.example")];
    server.send(Method::POST, "/jobs", &page, body).await.problem(415, "unsupported_media_type");
    let rebound = [("host", "evil.example"), ("content-type", "application/json")];
    server.send(Method::POST, "/jobs", &rebound, body).await.problem(403, "forbidden");
    server.send(Method::POST, "/jobs", &[], body).await.ok();
    server.send(Method::PUT, "/jobs", &headers, "{}").await.problem(405, "method_not_allowed");
    server.get("/nothing").await.problem(404, "not_found");
}
