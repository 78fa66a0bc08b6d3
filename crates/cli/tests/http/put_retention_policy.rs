use crate::run_retention::{call, ended, left, round};
use crate::support::Server;
use http::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_policy_is_kept_and_replaced_as_a_whole() {
    let mut server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let given = json!({"storageId": "s", "type": "A_JOB", "keepDays": 90, "keepRuns": "30"});
    let put = server.put("/retention", &given).await.ok();
    assert_eq!((&put["keepDays"], &put["keepRuns"], &put["source"]), (&json!(90), &json!(30), &json!("API")));
    assert_eq!(put["user"], "local");
    let again = server.put("/retention", &json!({"storageId": "s", "type": "A_JOB", "keepRuns": 5})).await.ok();
    assert_eq!((&again["keepDays"], &again["keepRuns"]), (&json!(null), &json!(5)));
    assert!(again["modifiedAt"].as_str() >= put["modifiedAt"].as_str());
    let logs = server.put("/retention", &json!({"keepLogDays": 365, "storageId": null})).await.ok();
    server.kill();
    server.restart().await;
    assert_eq!(server.get("/retention").await.ok()["values"], json!([logs, again]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_limit() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    for (body, pointer, sign) in [
        (json!({}), "/keepDays", "neither keepRuns nor keepLogDays"),
        (json!({"storageId": "s"}), "/keepDays", "required"),
        (json!({"keepDays": 0}), "/keepDays", "from 1 to 36500, is 0"),
        (json!({"keepDays": 36501}), "/keepDays", "from 1 to 36500"),
        (json!({"keepRuns": 1_000_001}), "/keepRuns", "from 1 to 1000000"),
        (json!({"keepLogDays": -1}), "/keepLogDays", "from 1 to 36500"),
        (json!({"keepLogDays": 5, "type": "A_JOB"}), "/keepLogDays", "without type"),
        (json!({"keepDays": 5, "type": "nightly"}), "/type", "_JOB"),
        (json!({"keepDays": 5, "storageId": ""}), "/storageId", "1"),
        (json!({"keepDays": 5, "storageId": "x".repeat(256)}), "/storageId", "255"),
        (json!({"keepDays": "many"}), "/keepDays", "integer"),
    ] {
        let problem = server.put("/retention", &body).await.problem(400, "invalid_request");
        let error = &problem["errors"][0];
        assert_eq!(error["pointer"], pointer, "{body}: {problem}");
        assert!(error["detail"].as_str().is_some_and(|detail| detail.contains(sign)), "{body}: {problem}");
    }
    assert_eq!(server.get("/retention").await.ok()["values"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_most_specific_policy_counts() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    for policy in [
        json!({"keepRuns": 1}),
        json!({"type": "A_JOB", "keepRuns": 2}),
        json!({"storageId": "s", "keepRuns": 3}),
        json!({"storageId": "s", "type": "A_JOB", "keepRuns": 4}),
    ] {
        server.put("/retention", &policy).await.ok();
    }
    let specs = [
        json!({}),
        json!({"type": "A_JOB"}),
        json!({"resultStorageId": "s"}),
        json!({"resultStorageId": "s", "type": "A_JOB"}),
        json!({"resultStorageId": "r", "type": "B_JOB"}),
    ];
    let mut jobs: Vec<Vec<String>> = Vec::new();
    for spec in &specs {
        let mut group = Vec::new();
        for _ in 0..5 {
            group.push(ended(&server, spec.clone()).await);
        }
        jobs.push(group);
    }
    assert_eq!(round(&server).await["jobs"], 4 + 3 + 2 + 1 + 4);
    for (group, kept) in jobs.iter().zip([1, 2, 3, 4, 1]) {
        let expected: Vec<bool> = (0..5).map(|place| place >= 5 - kept).collect();
        assert_eq!(left(&server, group).await, expected);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn policies_are_made_by_administrators_and_are_their_organizations() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let (admin, operator) = (server.key("acme", "admin"), server.key("acme", "operator"));
    let stranger = server.key("other", "admin");
    let policy = json!({"keepRuns": 1});
    call(&server, &operator, Method::PUT, "/retention", &policy).await.problem(403, "forbidden");
    call(&server, &admin, Method::PUT, "/retention", &policy).await.ok();
    let listed = async |key: &str| -> Value { call(&server, key, Method::GET, "/retention", &json!({})).await.ok() };
    assert_eq!(listed(&operator).await["values"][0]["keepRuns"], 1);
    assert_eq!(listed(&stranger).await["values"], json!([]));
    let gone = call(&server, &stranger, Method::DELETE, "/retention", &json!({})).await;
    gone.problem(404, "not_found");
}
