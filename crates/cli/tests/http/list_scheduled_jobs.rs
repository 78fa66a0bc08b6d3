use crate::support::Server;
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn pages_begin_with_the_newest() {
    let server = Server::with(&["--slots", "0"]).await;
    let mut made = Vec::new();
    for _ in 0..5 {
        made.push(server.schedule("@daily", "true", json!({})).await);
    }
    let (mut found, mut next) = (Vec::new(), String::new());
    loop {
        let page = server.get(&format!("/scheduledjobs?limit=2{next}")).await.ok();
        assert_eq!(page["limit"], 2);
        found.extend(page["values"].as_array().expect("values").iter().map(|value| value["id"].clone()));
        match page["nextStartAfter"].as_str() {
            Some(token) => next = format!("&startAfter={token}"),
            None => break,
        }
    }
    made.reverse();
    assert_eq!(found, made);
    assert_eq!(server.get("/scheduledjobs?limit=500").await.ok()["limit"], 100);
    server.get("/scheduledjobs?startAfter=forged").await.problem(400, "invalid_page_token");
}
