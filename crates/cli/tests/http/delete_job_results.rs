use crate::support::{Server, record};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn a_storage_is_emptied_at_once_and_ids_go_on() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let (one, two) = (server.idle_job("s").await, server.idle_job("s").await);
    for (job, storage) in [(&one, "s"), (&two, "s"), (&one, "kept")] {
        let path = format!("/jobs/{job}/results?storageId={storage}");
        server.post(&path, &json!({"results": [record("a"), record("b")]})).await.ok();
    }
    let last =
        |page: &serde_json::Value| page["values"][1]["id"].as_str().expect("an id").parse::<u64>().expect("digits");
    let before = last(&server.get(&format!("/jobs/{two}/results?storageId=s")).await.ok());
    assert_eq!(server.delete("/jobs/results/s").await.ok(), json!({"deleted": 4}));
    assert_eq!(server.delete("/jobs/results/s").await.ok(), json!({"deleted": 0}));
    for restarted in [false, true] {
        if restarted {
            server.kill();
            server.restart().await;
        }
        for job in [&one, &two] {
            assert_eq!(server.get(&format!("/jobs/{job}/results?storageId=s")).await.ok()["total"], 0);
        }
        assert_eq!(server.get(&format!("/jobs/{one}/results?storageId=kept")).await.ok()["total"], 2);
    }
    let path = format!("/jobs/{one}/results?storageId=s");
    let again = server.post(&path, &json!({"results": [record("a"), record("b")]})).await.ok();
    assert_eq!(again["created"], 2);
    let page = server.get(&path).await.ok();
    assert!(page["values"][0]["id"].as_str().expect("an id").parse::<u64>().expect("digits") > before);
}
