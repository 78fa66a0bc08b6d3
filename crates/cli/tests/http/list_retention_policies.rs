use crate::run_retention::{ended, left, round};
use crate::support::Server;
use serde_json::json;

/// What a server with this file lists.
async fn configured(file: &str) -> (tempfile::TempDir, Server) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("docket.toml");
    std::fs::write(&path, file).expect("written");
    let flags = ["--slots", "0", "--config", path.to_str().expect("UTF-8")];
    (directory, Server::with(&flags).await)
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_of_the_configuration_are_listed_and_give_way() {
    let (_directory, server) = configured(
        "retention-every = 0\n[[retention]]\nkeep-runs = 3\n[[retention]]\nstorage-id = \"s\"\nkeep-runs = 4\n\
         [[retention]]\norganization = \"default\"\nkeep-runs = 2\n[[retention]]\norganization = \"other\"\nkeep-days = 1",
    )
    .await;
    let listed = server.get("/retention").await.ok();
    let configured = |runs: i32| json!({"keepRuns": runs, "source": "CONFIGURATION"});
    let of_s = json!({"storageId": "s", "keepRuns": 4, "source": "CONFIGURATION"});
    assert_eq!(listed, json!({"values": [configured(2), of_s], "goingOn": false}));
    let mut jobs = Vec::new();
    for _ in 0..4 {
        jobs.push(ended(&server, json!({})).await);
    }
    // The API's goes before it, and when that is gone it counts again.
    let put = server.put("/retention", &json!({"keepRuns": 3})).await.ok();
    assert_eq!(server.get("/retention").await.ok()["values"][0], put);
    assert_eq!(round(&server).await["jobs"], 1);
    server.delete("/retention").await.ok();
    server.delete("/retention").await.problem(404, "not_found");
    assert_eq!(server.get("/retention").await.ok()["values"][0], configured(2));
    assert_eq!(round(&server).await["jobs"], 1);
    assert_eq!(left(&server, &jobs).await, [false, false, true, true]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_round_goes_on_by_itself_and_is_told_of() {
    let (_directory, server) = configured("retention-every = 1\n[[retention]]\nkeep-runs = 1").await;
    let jobs = [ended(&server, json!({})).await, ended(&server, json!({})).await];
    let begin = std::time::Instant::now();
    while left(&server, &jobs).await != [false, true] {
        assert!(begin.elapsed() < crate::support::PATIENCE, "no round goes on");
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    let told = round(&server).await;
    assert!(told["startedAt"].as_str() <= told["endedAt"].as_str(), "{told}");
}
