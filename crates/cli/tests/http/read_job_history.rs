use crate::support::Server;
use serde_json::{Value, json};

fn told(page: &Value) -> Vec<(String, String, String)> {
    let text = |event: &Value, name: &str| event[name].as_str().expect("a text").to_owned();
    let values = page["values"].as_array().expect("values");
    values.iter().map(|e| (text(e, "from"), text(e, "to"), text(e, "cause"))).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_transition_is_told_with_its_cause() {
    let server = Server::start().await;
    let body = json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", "exit 3"]});
    let job = server.start_job(body).await;
    let ended = server.until(&job, &["FAILED"]).await;
    let history = server.get(&format!("/jobs/{job}/history")).await.ok();
    let expected = [
        ("CREATED", "PERSISTED", "PERSISTED"),
        ("PERSISTED", "SCHEDULED", "QUEUED"),
        ("SCHEDULED", "RUNNING", "STARTED"),
        ("RUNNING", "FAILED", "EXITED"),
    ];
    let told = told(&history);
    let seen: Vec<_> = told.iter().map(|(from, to, cause)| (from.as_str(), to.as_str(), cause.as_str())).collect();
    assert_eq!(seen, expected, "also where the end came before anybody was told of the start");
    let last = history["values"].as_array().expect("values").last().expect("an event");
    assert_eq!((&last["exitCode"], &last["at"], &last["attempt"]), (&json!(3), &ended["finishedAt"], &json!(1)));
    assert_eq!(last["actor"], json!({"kind": "EXECUTOR"}));
    assert_eq!(history["values"][0]["actor"], json!({"kind": "USER", "name": "local"}));
    assert_eq!((&history["limit"], history.get("nextStartAfter")), (&json!(1000), None));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_follow_each_other() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    server.post(&format!("/jobs/{job}/cancel"), &json!({"reason": "enough"})).await.ok();
    let whole = server.get(&format!("/jobs/{job}/history")).await.ok();
    let mut paged = Vec::new();
    let mut path = format!("/jobs/{job}/history?limit=1");
    loop {
        let page = server.get(&path).await.ok();
        paged.extend(page["values"].as_array().expect("values").clone());
        let Some(next) = page["nextStartAfter"].as_str() else { break };
        path = format!("/jobs/{job}/history?limit=1&startAfter={next}");
    }
    assert_eq!(Value::Array(paged.clone()), whole["values"]);
    let last = paged.last().expect("an event");
    assert_eq!((&last["cause"], &last["message"]), (&json!("CANCELED"), &json!("Canceled: enough")));
    assert_eq!(last["actor"], json!({"kind": "USER", "name": "local"}));

    for bad in ["x", "-1", "+1", "99999999999999999999"] {
        let path = format!("/jobs/{job}/history?startAfter={bad}");
        server.get(&path).await.problem(400, "invalid_page_token");
    }
    let problem = server.get(&format!("/jobs/{job}/history?limit=0")).await.problem(400, "invalid_request");
    assert_eq!(problem["errors"][0]["pointer"], "/limit");
}
