use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn it_goes_and_its_jobs_stay() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.schedule("* * * * * *", "true", json!({})).await;
    let runs = server.until_runs(&id, 1).await;
    let path = format!("/scheduledjobs/{id}");
    assert_eq!(server.delete(&path).await.ok()["id"], id);
    for path in [path.clone(), format!("{path}/runs"), format!("{path}/preview")] {
        server.get(&path).await.problem(404, "not_found");
    }
    server.delete(&path).await.problem(404, "not_found");
    let job = runs[runs.len() - 1]["jobId"].as_str().expect("a job");
    let job = server.get(&format!("/jobs/{job}")).await.ok();
    assert_eq!(job["scheduledJobId"], id);
}
