use crate::clock;
use crate::support::{PATIENCE, Response, Server, record};
use bytes::Bytes;
use http::Method;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

/// A job that has ended.
pub async fn ended(server: &Server, body: Value) -> String {
    let mut job = json!({"dockerImageUrl": "host"});
    job.as_object_mut().expect("a job").extend(body.as_object().expect("fields").clone());
    let id = server.start_job(job).await;
    server.post(&format!("/jobs/{id}/cancel"), &json!({})).await.ok();
    server.until_ended(&id).await;
    id
}

/// Makes a round; answers what became of it.
pub async fn round(server: &Server) -> Value {
    server.post("/retention/run", &json!({})).await.ok();
    let begin = Instant::now();
    loop {
        let listed = server.get("/retention").await.ok();
        if listed["goingOn"] == json!(false) {
            assert!(listed["lastRound"]["endedAt"].is_string(), "{listed}");
            return listed["lastRound"].clone();
        }
        assert!(begin.elapsed() < PATIENCE, "the round does not end: {listed}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A call with a key.
pub async fn call(server: &Server, key: &str, method: Method, path: &str, body: &Value) -> Response {
    let headers = [("content-type", "application/json"), ("x-api-key", key)];
    let body = if method == Method::GET { Bytes::new() } else { Bytes::from(body.to_string()) };
    server.send(method, path, &headers, body).await
}

/// Which of some jobs are there.
pub async fn left(server: &Server, jobs: &[String]) -> Vec<bool> {
    let mut left = Vec::new();
    for job in jobs {
        left.push(server.get(&format!("/jobs/{job}")).await.status == 200);
    }
    left
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_runs_stay_and_the_others_go_with_all_they_left() {
    let mut server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let spec = json!({"resultStorageId": "s", "type": "NIGHTLY_JOB", "tags": ["nightly"]});
    let mut jobs = Vec::new();
    for _ in 0..5 {
        let job = ended(&server, spec.clone()).await;
        let records = json!({"results": [record("a"), record("b")]});
        server.post(&format!("/jobs/{job}/results?storageId=s"), &records).await.ok();
        jobs.push(job);
    }
    let other = ended(&server, json!({"resultStorageId": "s", "type": "OTHER_JOB"})).await;
    let mut waiting = json!({"dockerImageUrl": "host"});
    waiting.as_object_mut().expect("fields").extend(spec.as_object().expect("fields").clone());
    let waiting = server.start_job(waiting).await;

    assert_eq!(round(&server).await["jobs"], 0, "there is no policy");
    server.put("/retention", &json!({"storageId": "s", "type": "NIGHTLY_JOB", "keepRuns": 2})).await.ok();
    let told = round(&server).await;
    assert_eq!((&told["jobs"], &told["results"], &told["logEntries"]), (&json!(3), &json!(6), &json!(0)), "{told}");
    assert_eq!(told["error"], json!(null));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.restart().await;
        }
        assert_eq!(left(&server, &jobs).await, [false, false, false, true, true]);
        assert_eq!(left(&server, &[other.clone(), waiting.clone()]).await, [true, true]);
        let listed = server.get("/jobs?tags=nightly&featuresOn=NUMBER_OF_TOTAL").await.ok();
        assert_eq!((&listed["total"], listed["values"].as_array().map(Vec::len)), (&json!(3), Some(3)));
        for path in ["results?storageId=s", "log", "history"] {
            server.get(&format!("/jobs/{}/{path}", jobs[0])).await.problem(404, "not_found");
        }
        assert_eq!(server.get(&format!("/jobs/{}/results?storageId=s", jobs[4])).await.ok()["total"], 2);
        assert_eq!(server.get("/retention").await.ok()["lastRound"], told);
    }
    assert_eq!(round(&server).await["jobs"], 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_too_old_goes_by_itself() {
    let directory = tempfile::tempdir().expect("a directory");
    let file = directory.path().join("offset");
    clock::set(&file, "+0");
    let environment = clock::environment(&file);
    let environment = environment.each_ref().map(|(name, value)| (*name, value.as_str()));
    let server = Server::with_environment(&["--slots", "0", "--retention-every", "1"], &environment).await;
    let log = "/processinglogs/s/VALIDATION_LOG";
    let write = async |ids: [&str; 2]| {
        server.post(log, &json!({"results": ids.map(record)})).await.ok();
    };
    let old = ended(&server, json!({"resultStorageId": "s"})).await;
    let elsewhere = ended(&server, json!({"resultStorageId": "r"})).await;
    write(["a", "b"]).await;
    server.put("/retention", &json!({"storageId": "s", "keepDays": 7, "keepLogDays": 7})).await.ok();
    clock::set(&file, "+5d");
    let newer = ended(&server, json!({"resultStorageId": "s"})).await;
    write(["b", "c"]).await;
    assert_eq!(left(&server, &[old.clone(), newer.clone()]).await, [true, true]);
    clock::set(&file, "+8d");
    let begin = Instant::now();
    loop {
        let entries = server.get(log).await.ok();
        if left(&server, std::slice::from_ref(&old)).await == [false] && entries["total"] == 2 {
            let ids = entries["values"].as_array().expect("entries").iter().map(|entry| entry["externalId"].clone());
            assert_eq!(ids.collect::<Vec<_>>(), ["b", "c"]);
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{entries}, {}", server.get("/retention").await.text());
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert_eq!(left(&server, &[newer, elsewhere]).await, [true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_is_of_the_callers_organization() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let [ours, theirs] = ["acme", "other"].map(|organization| server.key(organization, "admin"));
    for key in [&ours, &theirs] {
        for _ in 0..3 {
            let job = call(&server, key, Method::POST, "/jobs", &json!({"dockerImageUrl": "host"})).await.ok();
            let cancel = format!("/jobs/{}/cancel", job["id"].as_str().expect("an id"));
            call(&server, key, Method::POST, &cancel, &json!({})).await.ok();
        }
        call(&server, key, Method::PUT, "/retention", &json!({"keepRuns": 1})).await.ok();
    }
    let started = call(&server, &ours, Method::POST, "/retention/run", &json!({})).await.ok();
    assert_eq!(started["alreadyGoingOn"], false, "{started}");
    let begin = Instant::now();
    loop {
        let listed = call(&server, &ours, Method::GET, "/retention", &json!({})).await.ok();
        if listed["lastRound"]["endedAt"].is_string() {
            assert_eq!(listed["lastRound"]["jobs"], 2);
            assert!(listed["lastRound"]["startedAt"].as_str() >= started["askedAt"].as_str(), "{listed}");
            break;
        }
        assert!(begin.elapsed() < PATIENCE, "{listed}");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let total = async |key| call(&server, key, Method::GET, "/jobs?featuresOn=NUMBER_OF_TOTAL", &json!({})).await.ok();
    assert_eq!((&total(&ours).await["total"], &total(&theirs).await["total"]), (&json!(1), &json!(3)));
    let listed = call(&server, &theirs, Method::GET, "/retention", &json!({})).await.ok();
    assert_eq!(listed["lastRound"], json!(null));
    let operator = server.key("acme", "operator");
    call(&server, &operator, Method::POST, "/retention/run", &json!({})).await.problem(403, "forbidden");
}
