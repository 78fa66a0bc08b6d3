use crate::run_retention::{call, ended, left, round};
use crate::support::Server;
use http::Method;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn it_tells_what_a_round_removes_and_removes_nothing() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let nothing = server.get("/retention/preview").await.ok();
    assert_eq!((&nothing["values"], &nothing["complete"]), (&json!([]), &json!(true)));
    let mut jobs = Vec::new();
    for spec in [json!({}), json!({"resultStorageId": "s"}), json!({"resultStorageId": "s", "type": "A_JOB"})] {
        for _ in 0..3 {
            jobs.push(ended(&server, spec.clone()).await);
        }
    }
    server.put("/retention", &json!({"keepRuns": 2})).await.ok();
    server.put("/retention", &json!({"storageId": "s", "keepRuns": 1})).await.ok();
    server.put("/retention", &json!({"type": "B_JOB", "keepDays": 1})).await.ok();
    server.put("/retention", &json!({"storageId": "t", "keepLogDays": 1})).await.ok();
    let previewed = server.get("/retention/preview").await.ok();
    let expected = json!([{"jobs": 1}, {"type": "B_JOB", "jobs": 0}, {"storageId": "s", "jobs": 4}]);
    assert_eq!((&previewed["values"], &previewed["complete"]), (&expected, &json!(true)), "{previewed}");
    assert_eq!(left(&server, &jobs).await, [true; 9]);
    assert_eq!(round(&server).await["jobs"], 5);
    let after = server.get("/retention/preview").await.ok();
    assert!(after["values"].as_array().expect("policies").iter().all(|policy| policy["jobs"] == 0), "{after}");
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_see_that_of_their_organization() {
    let server = Server::with(&["--slots", "0", "--retention-every", "0"]).await;
    let (admin, reader) = (server.key("acme", "admin"), server.key("acme", "reader"));
    let stranger = server.key("other", "reader");
    call(&server, &admin, Method::PUT, "/retention", &json!({"keepRuns": 1})).await.ok();
    for _ in 0..2 {
        let job = call(&server, &admin, Method::POST, "/jobs", &json!({"dockerImageUrl": "host"})).await.ok();
        let cancel = format!("/jobs/{}/cancel", job["id"].as_str().expect("an id"));
        call(&server, &admin, Method::POST, &cancel, &json!({})).await.ok();
    }
    let preview = async |key: &str| call(&server, key, Method::GET, "/retention/preview", &json!({})).await.ok();
    assert_eq!(preview(&reader).await["values"], json!([{"jobs": 1}]));
    assert_eq!(preview(&stranger).await["values"], json!([]));
}
