use crate::support::{Response, Server};
use serde_json::{Value, json};

fn names(page: &Value) -> Vec<String> {
    let jobs = page["values"].as_array().expect("jobs");
    jobs.iter().map(|job| job["name"].as_str().expect("a name").to_owned()).collect()
}

async fn stocked() -> Server {
    let server = Server::with(&["--slots", "0"]).await;
    for (name, job_type, storage, tags) in [
        ("a", "A_JOB", "one", json!(["x", "y"])),
        ("b", "B_JOB", "one", json!(["x"])),
        ("c", "A_JOB", "two", json!(["y"])),
        ("d", "C_JOB", "two", json!([])),
    ] {
        let body =
            json!({"dockerImageUrl": "i", "name": name, "type": job_type, "resultStorageId": storage, "tags": tags});
        server.start_job(body).await;
    }
    server
}

#[tokio::test(flavor = "multi_thread")]
async fn filters_and_sorts() {
    let server = stocked().await;
    for (query, expected) in [
        ("", "dcba"),
        ("sort=createdAt", "abcd"),
        ("sort=+createdAt", "abcd"),
        ("sort=%2BcreatedAt", "abcd"),
        ("sort=-createdAt", "dcba"),
        ("jobType=A_JOB", "ca"),
        ("jobType=A_JOB&jobType=B_JOB", "cba"),
        ("jobType=A_JOB,C_JOB", "dca"),
        ("storageId=one", "ba"),
        ("storageId=nowhere", ""),
        ("tags=x", "ba"),
        ("tags=x,y", "cba"),
        ("tags=x,y&featuresOn=TAGS_CONJUNCTION", "a"),
        ("jobStatus=PERSISTED,SCHEDULED", "dcba"),
        ("jobStatus=RUNNING", ""),
        ("user=local", "dcba"),
        ("user=nobody", ""),
        ("organizationId=default", "dcba"),
        ("organizationId=elsewhere", ""),
        ("jobType=A_JOB&storageId=two&tags=y&sort=createdAt", "c"),
    ] {
        let page = server.get(&format!("/jobs?featuresOn=NUMBER_OF_TOTAL&{query}")).await.ok();
        assert_eq!(names(&page).concat(), expected, "{query}");
        assert_eq!(page["total"], expected.len(), "{query}");
    }
    let page = server.get("/jobs").await.ok();
    assert_eq!((page.get("total"), &page["limit"]), (None, &json!(100)));
}

#[tokio::test(flavor = "multi_thread")]
async fn pages_show_each_job_once() {
    let server = stocked().await;
    for sort in ["createdAt", "-createdAt"] {
        let whole = names(&server.get(&format!("/jobs?sort={sort}")).await.ok());
        let mut found = Vec::new();
        let mut path = format!("/jobs?sort={sort}&limit=3");
        loop {
            let page = server.get(&path).await.ok();
            found.extend(names(&page));
            let Some(next) = page["nextStartAfter"].as_str() else { break };
            path = format!("/jobs?sort={sort}&limit=3&startAfter={next}");
        }
        assert_eq!(found, whole, "{sort}");
    }
    let next = server.get("/jobs?limit=1").await.ok()["nextStartAfter"].as_str().expect("another page").to_owned();
    for query in ["tags=x", "sort=createdAt", "user=local"] {
        let answer: Response = server.get(&format!("/jobs?{query}&startAfter={next}")).await;
        answer.problem(400, "invalid_page_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_are_lowered_and_wrong_values_named() {
    let server = Server::with(&["--slots", "0"]).await;
    assert_eq!(server.get("/jobs?limit=1000").await.ok()["limit"], 100);
    for (query, pointer) in [
        ("limit=0", "/limit"),
        ("limit=ten", "/limit"),
        ("sort=name", "/sort"),
        ("jobStatus=DONE", "/jobStatus"),
        ("featuresOn=MAGIC", "/featuresOn"),
        (&format!("jobType={}", vec!["A_JOB"; 101].join(",")), "/jobType"),
    ] {
        let problem = server.get(&format!("/jobs?{query}")).await.problem(400, "invalid_request");
        let found = problem["errors"][0]["pointer"].as_str().expect("a pointer");
        assert!(found.starts_with(pointer), "{query}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn administrators_may_look_into_every_organization() {
    let server = Server::with(&["--slots", "0"]).await;
    let (admin, operator) = (server.key("head", "admin"), server.key("acme", "operator"));
    let send = async |method, path: &str, key: &str, body: &str| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        server.send(method, path, &headers, body.to_owned()).await
    };
    send(http::Method::POST, "/jobs", &operator, r#"{"dockerImageUrl": "i", "name": "a"}"#).await.ok();
    let everywhere = "/jobs?featuresOn=IGNORE_ORGANIZATION_RESTRICTIONS";
    assert_eq!(names(&send(http::Method::GET, "/jobs", &admin, "").await.ok()), Vec::<String>::new());
    assert_eq!(names(&send(http::Method::GET, everywhere, &admin, "").await.ok()), ["a"]);
    send(http::Method::GET, everywhere, &operator, "").await.problem(403, "forbidden");
    let foreign = r#"{"dockerImageUrl": "i", "organizationId": "head"}"#;
    send(http::Method::POST, "/jobs", &operator, foreign).await.problem(403, "forbidden");
}
