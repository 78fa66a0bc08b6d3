use super::testing::{answer, scripted};
use super::*;
use docket_contract::Job;
use docket_contract::job::JobSpec;
use docket_contract::operations::{
    CancelJob, DeleteJob, DeleteJobResults, DeleteJobResultsInput, InsertJobResults, ListJobRunResults,
    ListJobRunResultsInput, ListJobTypes, ListJobs, ListJobsInput, NoInput, ReadJobLog, ResultsFeature, StartJob,
    Visitor, walk,
};
use futures_util::TryStreamExt;
use http::Method;
use tokio::net::TcpListener;

/// Walks the table: every operation's example can be sent.
#[derive(Default)]
struct Sendable(usize);

impl Visitor for Sendable {
    fn visit<O: Operation>(&mut self) {
        let (input, _) = O::example();
        let request = Request::of::<O>(&input).unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(request.method.as_str(), O::METHOD.name());
        assert!(request.target.starts_with('/') && !request.target.contains(['{', '}', ' ']), "{}", request.target);
        let path = request.target.split('?').next().unwrap_or_default();
        assert_eq!(path.split('/').count(), O::PATH.split('/').count(), "{path}");
        let base = Base::parse("http://127.0.0.1:8080/v2/").expect("a URL");
        let message = request.message(&base, None, true).expect("a message");
        assert_eq!(message.uri().path(), format!("/v2{path}"));

        // No field is lost: each stands in the path, the query or the body.
        let fields = serde_json::to_value(&input).expect("JSON");
        let has_body = matches!(request.method, Method::POST | Method::PUT);
        assert_eq!(request.body.is_some(), has_body, "{}", O::NAME);
        let body = request.body.as_ref().filter(|_| !O::TAKES_FILE);
        let body: Value = body.map_or(serde_json::json!({}), |body| serde_json::from_slice(body).expect("JSON"));
        for (name, value) in fields.as_object().expect("an object") {
            let in_path = O::PATH.contains(&format!("{{{name}}}"));
            let in_query =
                request.target.contains(&format!("?{name}=")) || request.target.contains(&format!("&{name}="));
            let in_body = body.get(name) == Some(value);
            assert_eq!(usize::from(in_path) + usize::from(in_query) + usize::from(in_body), 1, "{}: {name}", O::NAME);
        }
        self.0 += 1;
    }
}

#[test]
fn every_operation_can_be_sent() {
    let mut rows = Sendable::default();
    walk(&mut rows);
    assert!(rows.0 >= 13);
}

#[test]
fn values_are_encoded_and_arrays_repeated() {
    let input = ListJobRunResultsInput {
        job_id: docket_contract::JobId::NONE,
        storage_id: "a b/ü&c".to_owned(),
        business_partner_id: vec!["1,2".to_owned(), "3+4".to_owned()],
        data_source_id: None,
        external_id: Vec::new(),
        start_after: None,
        features_on: vec![ResultsFeature::UseNextStartAfter],
        job_result_status: None,
        limit: Some(5),
        include_result_data_fields: Vec::new(),
    };
    let request = Request::of::<ListJobRunResults>(&input).expect("a request");
    let (path, query) = request.target.split_once('?').expect("a query");
    assert_eq!(path, "/jobs/00000000-0000-0000-0000-000000000000/results");
    let mut parameters: Vec<_> = query.split('&').collect();
    parameters.sort_unstable();
    assert_eq!(
        parameters,
        [
            "businessPartnerId=1%2C2",
            "businessPartnerId=3%2B4",
            "featuresOn=USE_NEXT_START_AFTER",
            "limit=5",
            "storageId=a%20b%2F%C3%BC%26c",
        ]
    );
    let request = Request::of::<DeleteJobResults>(&DeleteJobResultsInput { storage_id: "../x?".to_owned() });
    assert_eq!(request.expect("a request").target, "/jobs/results/..%2Fx%3F");
}

#[test]
fn urls_are_checked() {
    let base = Base::parse("http://localhost").expect("a URL");
    assert_eq!((base.socket_name().as_str(), base.url("/jobs").as_str()), ("localhost:80", "http://localhost/jobs"));
    assert_eq!(Base::parse("http://[::1]:8080/").expect("a URL").socket_name(), "[::1]:8080");
    for wrong in ["", "localhost:8080", "https://localhost", "http://", "/jobs", "http://a/?b=c", "ftp://a"] {
        assert!(matches!(Base::parse(wrong), Err(ClientError::Url(_))), "{wrong}");
    }
    assert!(Client::new("http://localhost", Some("a\nb")).is_err());
}

fn job() -> String {
    serde_json::to_string(&StartJob::example().1).expect("JSON")
}

fn spec() -> JobSpec {
    JobSpec { docker_image_url: "image".to_owned(), ..JobSpec::default() }
}

fn key_of(request: &str) -> Option<&str> {
    request.split("idempotency-key: ").nth(1)?.split("\r\n").next()
}

#[tokio::test]
async fn a_start_is_repeated_under_one_key() {
    let busy = r#"{"type":"/docs/errors/overloaded","title":"","status":503,"detail":"busy","instance":"","code":"overloaded"}"#;
    let (url, requests) =
        scripted(vec![answer("503 Busy", "retry-after: 0\r\n", busy), String::new(), answer("200 OK", "", &job())])
            .await;
    let client = Client::new(&url, Some("secret")).expect("a client");
    let started = client.call::<StartJob>(&spec()).await.expect("started at last");
    assert_eq!(started, StartJob::example().1);
    let requests = requests.lock().expect("no panic");
    assert_eq!(requests.len(), 3);
    assert!(requests.iter().all(|request| request.contains("x-api-key: secret\r\n")));
    let keys: Vec<_> = requests.iter().map(|request| key_of(request)).collect();
    assert!(keys[0].is_some() && keys.iter().all(|key| *key == keys[0]), "{keys:?}");
}

#[tokio::test]
async fn reads_carry_no_key_and_problems_are_told() {
    let problem = r#"{"type":"/docs/errors/brand_new","title":"t","status":400,"detail":"limit must be from 1","instance":"/",
        "code":"brand_new","errors":[{"pointer":"/limit","code":"out_of_range","detail":"limit must be from 1"}]}"#;
    let (url, requests) = scripted(vec![answer("400 Bad", "", problem), answer("500 Bad", "", "<html>")]).await;
    let client = Client::new(&url, None).expect("a client");
    let error = client.call::<ListJobTypes>(&NoInput {}).await.expect_err("a problem");
    assert_eq!(error.code(), Some("brand_new"));
    assert_eq!(error.to_string(), "limit must be from 1 (HTTP 400, brand_new)");
    let error = client.call::<ListJobTypes>(&NoInput {}).await.expect_err("no problem document");
    assert_eq!(error.to_string(), "<html> (HTTP 500, unknown)");
    let requests = requests.lock().expect("no panic");
    assert_eq!(requests.len(), 2, "neither is repeated");
    assert_eq!(key_of(&requests[0]), None);
}

#[tokio::test]
async fn patience_ends() {
    let full = r#"{"code":"storage_full","detail":"The disk is full."}"#;
    let (url, requests) = scripted(vec![answer("507 Full", "retry-after: 30\r\n", full); 4]).await;
    let policy = RetryPolicy { retries: 3, budget: Duration::from_secs(1) };
    let client = Client::new(&url, None).expect("a client").with_retry(policy);
    let error = client.call::<ListJobTypes>(&NoInput {}).await.expect_err("still full");
    assert_eq!(error.code(), Some("storage_full"));
    assert_eq!(requests.lock().expect("no panic").len(), 1, "the server wishes a longer wait than the budget");

    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    drop(listener);
    let policy = RetryPolicy { retries: 2, budget: Duration::from_secs(10) };
    let client = Client::new(&url, None).expect("a client").with_retry(policy);
    let error = client.call::<StartJob>(&spec()).await.expect_err("nobody listens");
    assert!(matches!(error, ClientError::Connect(..)), "{error}");
}

#[tokio::test]
async fn a_lost_answer_is_repeated_only_where_twice_is_once() {
    assert!([ListJobs::REPEATABLE, CancelJob::REPEATABLE, InsertJobResults::REPEATABLE].iter().all(|yes| *yes));
    assert!(![StartJob::REPEATABLE, DeleteJob::REPEATABLE].contains(&true));

    let (url, requests) = scripted(vec![String::new(), answer("504 Late", "", ""), answer("200 OK", "", &job())]).await;
    let client = Client::new(&url, None).expect("a client");
    client.call::<CancelJob>(&CancelJob::example().0).await.expect("canceled at last");
    assert_eq!(requests.lock().expect("no panic").len(), 3);
    assert_eq!(key_of(&requests.lock().expect("no panic")[0]), None, "it needs no key");

    let (url, requests) = scripted(vec![String::new(); 3]).await;
    let client = Client::new(&url, None).expect("a client");
    let error = client.call::<DeleteJob>(&DeleteJob::example().0).await.expect_err("lost");
    assert!(matches!(error, ClientError::Transport(_)), "{error}");
    assert_eq!(requests.lock().expect("no panic").len(), 1);
}

#[tokio::test]
async fn a_date_to_come_back_at_is_kept() {
    let headers = "date: Mon, 23 Nov 2026 20:00:00 GMT\r\nretry-after: Mon, 23 Nov 2026 20:01:00 GMT\r\n";
    let (url, _) = scripted(vec![answer("503 Busy", headers, r#"{"code":"overloaded","detail":"busy"}"#)]).await;
    let client = Client::new(&url, None).expect("a client");
    match client.call::<ListJobTypes>(&NoInput {}).await.expect_err("it is beyond the budget") {
        ClientError::Problem { retry_after, .. } => assert_eq!(retry_after, Some(Duration::from_secs(60))),
        other => panic!("{other}"),
    }
}

#[tokio::test]
async fn pages_follow_their_tokens() {
    let page = |next: &str| answer("200 OK", "", &format!(r#"{{"limit":1,"total":2,"values":[]{next}}}"#));
    let (url, requests) = scripted(vec![page(r#","nextStartAfter":"to-2""#), page("")]).await;
    let client = Client::new(&url, None).expect("a client");
    let (input, _) = ListJobRunResults::example();
    let mut pages = client.pages::<ListJobRunResults>(&input).expect("pages");
    let mut bodies = Vec::new();
    while let Some(page) = pages.next().await.expect("a page") {
        bodies.push(page.output().expect("a page of results"));
    }
    assert_eq!(bodies.len(), 2);
    let requests = requests.lock().expect("no panic");
    assert!(requests[0].contains("featureson=use_next_start_after") && requests[1].contains("startafter=to-2"));
}

#[tokio::test]
async fn the_items_of_all_pages_are_one_stream() {
    let page = |next: &str| {
        let next = if next.is_empty() { String::new() } else { format!(r#""nextStartAfter":"{next}","#) };
        answer("200 OK", "", &format!(r#"{{{next}"limit":2,"values":[{},{}]}}"#, job(), job()))
    };
    let (url, requests) = scripted(vec![page("two"), String::new(), page("three"), page("")]).await;
    let client = Client::new(&url, None).expect("a client");
    let jobs = client.pages::<ListJobs>(&ListJobsInput::default()).expect("pages").items::<Job>();
    let jobs: Vec<Job> = jobs.try_collect().await.expect("all pages");
    assert_eq!(jobs.len(), 6);
    assert_eq!(requests.lock().expect("no panic").len(), 4, "the page that was lost is asked for again");

    let (url, _) = scripted(vec![page("same"), page("same")]).await;
    let client = Client::new(&url, None).expect("a client");
    let pages = client.pages::<ListJobs>(&ListJobsInput::default()).expect("pages");
    let error = pages.items::<Job>().try_collect::<Vec<_>>().await.expect_err("it would never end");
    assert!(matches!(error, ClientError::Decode(_)), "{error}");
    assert!(client.pages_of::<StartJob>(Map::new()).is_err(), "a start has no pages");
}

#[tokio::test]
async fn a_long_answer_streams() {
    let text = "a line of a log\n".repeat(100_000);
    let (url, _) = scripted(vec![
        answer("503 Busy", "retry-after: 0\r\n", r#"{"code":"overloaded","detail":"busy"}"#),
        answer("200 OK", "content-type: text/plain; charset=utf-8\r\n", &text),
        answer("404 No", "", r#"{"code":"not_found","detail":"no"}"#),
    ])
    .await;
    let client = Client::new(&url, None).expect("a client");
    let (input, _) = ReadJobLog::example();
    let answer = client.open::<ReadJobLog>(&input).await.expect("a log");
    assert_eq!(answer.headers["content-type"], "text/plain; charset=utf-8");
    let parts: Vec<Bytes> = answer.into_stream().try_collect().await.expect("the whole log");
    assert!(parts.len() > 1);
    assert_eq!(parts.concat(), text.as_bytes());
    assert_eq!(client.open::<ReadJobLog>(&input).await.expect_err("no job").code(), Some("not_found"));
}

#[tokio::test]
async fn a_connection_is_kept_and_opened_again() {
    let page = r#"{"limit":1,"total":7,"values":[{"createdAt":"x"}],"nextStartAfter":"n"}"#;
    let (url, requests) = scripted(vec![
        answer("200 OK", "", page),
        answer("404 No", "", r#"{"code":"not_found","detail":"no"}"#),
        String::new(),
        answer("200 OK", "", "[]"),
    ])
    .await;
    let mut connection = Connection::new(&url, None).expect("a connection");
    let request = Request::get("/jobs".to_owned());
    let scan = connection.scan(&request, true).await.expect("a page");
    assert_eq!((scan.results, scan.total(), scan.next_start_after()), (Some(1), Ok(7), Some("n")));
    assert_eq!(connection.scan(&request, false).await.expect_err("404").code(), Some("not_found"));
    assert!(matches!(connection.scan(&request, false).await, Err(ClientError::Transport(_))));
    assert_eq!(connection.scan(&request, false).await.expect("again").head, b"[]");
    assert_eq!(requests.lock().expect("no panic").len(), 4);
}

#[test]
fn a_file_goes_as_it_is() {
    use docket_contract::operations::{AttachmentInput, PutAttachment};
    let input = AttachmentInput { job_id: docket_contract::JobId::NONE, name: "a b/ü".to_owned() };
    let request = Request::of::<PutAttachment>(&input).expect("a request");
    assert_eq!(request.target, "/jobs/00000000-0000-0000-0000-000000000000/attachments/a%20b%2F%C3%BC");
    let base = Base::parse("http://127.0.0.1:8080").expect("a URL");
    for (request, media_type, body) in [
        (request.clone(), "application/octet-stream", &b""[..]),
        (request.with_file("image/png", Bytes::from_static(b"\x89PNG")), "image/png", b"\x89PNG"),
    ] {
        let message = request.message(&base, None, true).expect("a message");
        assert_eq!(message.headers()["content-type"], media_type);
        assert_eq!(request.body.as_deref(), Some(body));
    }
}
