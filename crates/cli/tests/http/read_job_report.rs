use crate::support::{Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};

async fn report(server: &Server, job: &str) -> Value {
    server.get(&format!("/jobs/{job}/report")).await.ok()
}

fn causes(report: &Value) -> Vec<&str> {
    let transitions = report["transitions"].as_array().expect("transitions");
    transitions.iter().map(|event| event["cause"].as_str().expect("a cause")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_job_tells_how_it_ended() {
    let server = Server::start().await;
    let script = "i=0; while [ $i -lt 70 ]; do echo line $i; i=$((i+1)); done; printf 'last \\377'; exit 3";
    let body = json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script], "memoryLimit": 64});
    let job = server.start_job(body).await;
    let ended = server.until(&job, &["FAILED"]).await;
    let failed = json!({"externalId": "b", "businessPartnerId": "p", "status": "FAILED", "message": "no country"});
    let first = json!({"results": [record("a")]});
    server.post(&format!("/jobs/{job}/results?storageId=one"), &first).await.ok();
    let second = json!({"results": [record("a"), failed]});
    server.post(&format!("/jobs/{job}/results?storageId=two"), &second).await.ok();

    let report = report(&server, &job).await;
    assert_eq!((&report["jobId"], &report["status"], &report["exitCode"]), (&json!(job), &json!("FAILED"), &json!(3)));
    assert_eq!(report["statusMessage"], "The job ended with exit code 3.");
    assert_eq!((&report["outOfMemory"], &report["timedOut"]), (&json!(false), &json!(false)));
    assert_eq!((&report["attempt"], report.get("signal")), (&json!(1), None));
    assert_eq!(report["memoryLimitBytes"], 64 << 20);
    for time in ["createdAt", "startedAt", "finishedAt"] {
        assert_eq!(report[time], ended[time], "{time}");
    }
    assert!(report["queueTimeMs"].as_i64().is_some() && report["runTimeMs"].as_i64().is_some(), "{report}");
    let lines = report["logLines"].as_array().expect("lines");
    assert_eq!((lines.len(), &lines[0], &lines[49]), (50, &json!("line 21"), &json!("last \u{fffd}")));
    assert_eq!((&report["resultsWritten"], &report["resultsFailed"]), (&json!(3), &json!(1)));
    let last = &report["lastRecord"];
    assert_eq!(
        (&last["storageId"], &last["externalId"], &last["status"]),
        (&json!("two"), &json!("b"), &json!("FAILED"))
    );
    assert_eq!((&last["businessPartnerId"], &last["message"]), (&json!("p"), &json!("no country")));
    let causes = causes(&report);
    assert_eq!((causes[0], causes.last()), ("PERSISTED", Some(&"EXITED")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_a_signal_ended_names_it() {
    let server = Server::start().await;
    let job = server.shell("echo about to die; kill -9 $$").await;
    server.until(&job, &["DIED"]).await;
    let report = report(&server, &job).await;
    assert_eq!((&report["signal"], report.get("exitCode")), (&json!(9), None));
    assert_eq!((&report["outOfMemory"], &report["logLines"]), (&json!(false), &json!(["about to die"])));
    assert_eq!((&report["resultsWritten"], report.get("lastRecord")), (&json!(0), None));
    assert_eq!(causes(&report).last(), Some(&"SIGNALED"));
}

#[tokio::test(flavor = "multi_thread")]
async fn there_is_none_before_the_end_and_one_for_every_end() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let problem = server.get(&format!("/jobs/{job}/report")).await.problem(409, "job_not_ended");
    assert!(problem["detail"].as_str().expect("a text").contains("SCHEDULED"), "{problem}");
    server.post(&format!("/jobs/{job}/cancel"), &json!({"reason": "enough"})).await.ok();
    let report = report(&server, &job).await;
    assert_eq!((&report["status"], &report["statusMessage"]), (&json!("CANCELED"), &json!("Canceled: enough")));
    assert_eq!((&report["attempt"], &report["logLines"], report.get("runTimeMs")), (&json!(0), &json!([]), None));
    assert_eq!(causes(&report), ["PERSISTED", "QUEUED", "CANCELED"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_learns_nothing() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let stranger = server.key("other", "admin");
    server.kill();
    server.restart().await;
    let ask = async |job: &str| {
        let headers = [("x-api-key", stranger.as_str())];
        server.send(Method::GET, &format!("/jobs/{job}/report"), &headers, Bytes::new()).await
    };
    let foreign = ask(&job).await;
    foreign.problem(404, "not_found");
    assert_eq!(foreign.body, ask("00000000-0000-7000-8000-000000000000").await.body);
}
