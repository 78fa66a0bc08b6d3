use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn slots_are_fired_or_skipped_with_a_reason() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.schedule("* * * * * *", "true", json!({})).await;
    let runs = server.until_runs(&id, 3).await;
    let oldest: Vec<_> = runs.iter().rev().take(3).collect();
    assert_eq!(oldest[0]["kind"], "FIRED");
    assert!(oldest[0]["latenessMs"].as_i64().is_some_and(|late| late >= 0), "{}", oldest[0]);
    let job = oldest[0]["jobId"].as_str().expect("a job");
    for skipped in &oldest[1..] {
        assert_eq!((&skipped["kind"], &skipped["reason"]), (&json!("SKIPPED"), &json!("OVERLAP")), "{skipped}");
        assert_eq!(skipped["message"], format!("The job {job} has not ended."));
    }
    let path = format!("/scheduledjobs/{id}");
    server.post(&format!("{path}/pause"), &json!({})).await.ok();
    let all = server.get(&format!("{path}/runs")).await.ok()["values"].clone();
    let (mut paged, mut next) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("{path}/runs?limit=2{next}")).await.ok();
        paged.extend(page["values"].as_array().expect("values").clone());
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => break,
        }
    }
    assert_eq!(json!(paged), all);
    // A token is for the scheduled job that gave it.
    let other = server.schedule("@daily", "true", json!({})).await;
    server.get(&format!("/scheduledjobs/{other}/runs?limit=2{next}")).await.problem(400, "invalid_page_token");
}
