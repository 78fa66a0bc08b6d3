//! The documentation: every operation and every error has its page, and the rules of its answers.

use crate::support::{Response, Server};
use bytes::Bytes;
use docket_contract::Code;
use docket_contract::operations::{Operation, Visitor, walk};
use http::{Method, StatusCode};
use std::collections::BTreeSet;

#[derive(Default)]
struct Rows(Vec<(&'static str, &'static str, &'static str)>);

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        self.0.push((O::NAME, O::TITLE, O::PATH));
    }
}

/// The text of a page, with what every page answers.
#[track_caller]
fn page(answer: &Response) -> String {
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
    assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    assert_eq!(answer.header("cache-control"), "no-cache");
    let policy = answer.header("content-security-policy");
    assert!(policy.starts_with("default-src 'none'; ") && !policy.contains("unsafe"), "{policy}");
    let text = answer.text();
    assert!(
        !text.contains("<style") && !text.contains(" style=") && !text.contains("<script>"),
        "the policy forbids it"
    );
    text
}

/// The values of an attribute.
fn values(html: &str, attribute: &str) -> BTreeSet<String> {
    let opening = format!("{attribute}=\"");
    let parts = html.split(&opening).skip(1);
    parts.filter_map(|part| part.split('"').next()).map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_operation_and_every_code_has_its_page_and_no_key_is_needed() {
    let server = Server::with(&["--slots", "0"]).await;
    server.key("acme", "reader");
    let mut rows = Rows::default();
    walk(&mut rows);
    assert!(!rows.0.is_empty());
    let home = page(&server.get("/docs").await);
    for (name, title, path) in rows.0 {
        let html = page(&server.get(&format!("/docs/operations/{name}")).await);
        assert!(html.contains(&format!("<h1>{title}</h1>")) && html.contains(path), "{name}");
        assert!(home.contains(&format!("/docs/operations/{name}\"")), "{name} stands on the first page");
        for language in ["curl", "python", "javascript", "java", "kotlin", "rust"] {
            assert!(html.contains(&format!("id=\"sample-{language}\"")), "{name}: {language}");
        }
    }
    for code in Code::ALL {
        let html = page(&server.get(&code.type_uri()).await);
        assert!(html.contains(&format!("<h1><code>{code}</code></h1>")), "{code}");
        assert!(html.contains(&format!("<strong>{}</strong>", code.status())), "{code}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_link_resolves() {
    let server = Server::with(&["--slots", "0"]).await;
    let mut open = vec!["/docs".to_owned()];
    let mut seen: BTreeSet<String> = open.iter().cloned().collect();
    let mut wanted: Vec<(String, String)> = Vec::new();
    let mut anchors: BTreeSet<String> = BTreeSet::new();
    while let Some(path) = open.pop() {
        let answer = server.get(&path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}");
        if !answer.header("content-type").starts_with("text/html") {
            continue;
        }
        let html = answer.text();
        anchors.extend(values(&html, " id").into_iter().map(|id| format!("{path}#{id}")));
        let links = values(&html, "href").into_iter().filter(|link| !link.starts_with("https://"));
        for link in links.chain(values(&html, "src")) {
            let (target, anchor) = link.split_once('#').unwrap_or((link.as_str(), ""));
            let target = if target.is_empty() { path.as_str() } else { target };
            assert!(target.starts_with('/'), "{path} leads away, to {link}");
            if !anchor.is_empty() {
                wanted.push((path.clone(), format!("{target}#{anchor}")));
            }
            if seen.insert(target.to_owned()) {
                open.push(target.to_owned());
            }
        }
    }
    assert!(seen.len() > 50, "{seen:?}");
    for (path, anchor) in wanted {
        assert!(anchors.contains(&anchor), "{path} leads to {anchor}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_client_has_already_is_not_sent_again() {
    let server = Server::with(&["--slots", "0"]).await;
    let html = page(&server.get("/docs").await);
    let assets = values(&html, "href").into_iter().chain(values(&html, "src"));
    let assets: Vec<_> = assets.filter(|path| path.starts_with("/docs/assets/")).collect();
    assert!(assets.len() >= 4, "{assets:?}");
    for path in assets.iter().map(String::as_str).chain(["/docs", "/docs/", "/docs/search.json"]) {
        let first = server.get(path).await;
        assert_eq!(first.status, StatusCode::OK, "{path}");
        assert_eq!(first.header("x-content-type-options"), "nosniff", "{path}");
        let immutable = first.header("cache-control").contains("immutable");
        assert_eq!(immutable, path.starts_with("/docs/assets/"), "{path}");
        let tag = first.header("etag").to_owned();
        for sent in [tag.clone(), tag.trim_start_matches("W/").to_owned(), format!("\"other\", {tag}"), "*".to_owned()]
        {
            let again = server.send(Method::GET, path, &[("if-none-match", &sent)], Bytes::new()).await;
            assert_eq!(again.status, StatusCode::NOT_MODIFIED, "{path}: {sent}");
            assert_eq!((again.header("etag"), again.body.len()), (tag.as_str(), 0), "{path}");
        }
        let other = server.send(Method::GET, path, &[("if-none-match", "\"other\"")], Bytes::new()).await;
        assert_eq!((other.status, other.body), (StatusCode::OK, first.body), "{path}");
        let head = server.send(Method::HEAD, path, &[], Bytes::new()).await;
        assert_eq!((head.status, head.body.len()), (StatusCode::OK, 0), "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_that_is_not_there_is_a_page() {
    let server = Server::with(&["--slots", "0"]).await;
    for path in
        ["/docs/nothing", "/docs/errors/nothing", "/docs/operations/", "/docs/assets/0/docs.css", "/docs/%2e%2e/x"]
    {
        let answer = server.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8", "{path}");
        assert!(answer.text().contains("<h1>Not found</h1>"), "{path}");
        assert_eq!(answer.header("cache-control"), "no-store", "{path}");
        assert!(!answer.header("content-security-policy").is_empty(), "{path}");
    }
    let wrong = server.send(Method::POST, "/docs", &[], Bytes::new()).await;
    wrong.problem(405, "method_not_allowed");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_is_led_from_the_root_to_the_documentation() {
    let server = Server::with(&["--slots", "0"]).await;
    let browser = server.send(Method::GET, "/", &[("accept", "text/html,*/*;q=0.8")], Bytes::new()).await;
    assert_eq!((browser.status, browser.header("location")), (StatusCode::FOUND, "/docs"));
    server.get("/").await.problem(404, "not_found");
}
