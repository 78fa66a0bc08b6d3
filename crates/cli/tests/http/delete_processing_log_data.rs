use crate::support::{Server, record};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_emptied_at_once_and_nothing_else() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let body = json!({"dockerImageUrl": "host", "resultStorageId": "s", "processingLogId": "OVERLAP_LOG"});
    let job = server.start_job(body).await;
    let (log, results) = ("/processinglogs/s/OVERLAP_LOG", format!("/jobs/{job}/results?storageId=s"));
    let records = json!({"results": [record("a"), record("b")]});
    server.post(&results, &records).await.ok();
    for path in ["/processinglogs/s/DUPLICATE_LOG", "/processinglogs/t/OVERLAP_LOG"] {
        server.post(path, &records).await.ok();
    }
    let page = server.get(&format!("{log}?limit=1")).await.ok();
    assert_eq!(server.delete(log).await.ok(), json!({"deleted": 2}));
    assert_eq!(server.delete(log).await.ok(), json!({"deleted": 0}));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.restart().await;
        }
        assert_eq!(server.get(log).await.ok()["total"], 0);
        for path in ["/processinglogs/s/DUPLICATE_LOG", "/processinglogs/t/OVERLAP_LOG", &results] {
            assert_eq!(server.get(path).await.ok()["total"], 2, "{path}");
        }
    }
    // What the job writes again is in the log again, behind whatever was there.
    server.post(&results, &records).await.ok();
    let token = page["nextStartAfter"].as_str().expect("a token");
    let next = server.get(&format!("{log}?startAfter={token}")).await.ok();
    assert_eq!((&next["total"], &next["values"][0]["externalId"]), (&json!(2), &json!("a")));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_outlives_the_results_of_its_storage() {
    let server = Server::with(&["--slots", "0"]).await;
    let body = json!({"dockerImageUrl": "host", "resultStorageId": "s", "processingLogId": "OVERLAP_LOG"});
    let (one, two) = (server.start_job(body).await, server.idle_job("s").await);
    let records = json!({"results": [record("a"), record("b")]});
    for job in [&one, &two] {
        server.post(&format!("/jobs/{job}/results?storageId=s"), &records).await.ok();
    }
    let before = server.get("/processinglogs/s/OVERLAP_LOG").await.ok();
    assert_eq!(server.delete("/jobs/results/s").await.ok(), json!({"deleted": 4}));
    assert_eq!(server.delete("/jobs/results/s").await.ok(), json!({"deleted": 0}));
    for job in [&one, &two] {
        assert_eq!(server.get(&format!("/jobs/{job}/results?storageId=s")).await.ok()["total"], 0);
    }
    assert_eq!(server.get("/processinglogs/s/OVERLAP_LOG").await.ok(), before);
    let again = server.post(&format!("/jobs/{one}/results?storageId=s"), &records).await.ok();
    assert_eq!(again["created"], 2);
    assert_eq!(server.get("/processinglogs/s/OVERLAP_LOG").await.ok()["total"], 2);
}
