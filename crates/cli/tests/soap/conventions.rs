//! What holds for every call: versions, faults, headers, keys, methods.

use crate::support::Server;
use crate::{SOAP_XML, SOAP11, SOAP12, TEXT, call, element, envelope};
use http::Method;
use serde_json::json;

const UNKNOWN: &str = "<readJob><jobId>35f23c03-1c22-45fe-9484-3ffe769325de</jobId></readJob>";

fn security(key: &str) -> String {
    format!(
        "<w:Security s:mustUnderstand=\"1\" \
         xmlns:w=\"http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd\">\
         <w:UsernameToken><w:Username>x</w:Username><w:Password>{key}</w:Password></w:UsernameToken></w:Security>"
    )
}

async fn server() -> Server {
    Server::with(&["--slots", "0"]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn faults_carry_the_problem_in_either_version() {
    let server = server().await;
    let old = call(&server, UNKNOWN).await;
    assert_eq!((old.status.as_u16(), old.header("content-type")), (500, "text/xml; charset=utf-8"));
    let text = old.text();
    assert_eq!(element(&text, "faultcode"), "soap:Client");
    assert!(text.contains("<detail><problem xmlns=\"urn:docket:jobs-management:v2\">"), "{text}");
    assert_eq!((element(&text, "code"), element(&text, "status")), ("not_found", "404"));
    assert_eq!(element(&text, "instance"), "/jobs/{jobId}");

    let new = server.send(Method::POST, "/soap/v2", &[SOAP_XML], envelope(SOAP12, "", UNKNOWN)).await;
    assert_eq!((new.status.as_u16(), new.header("content-type")), (400, "application/soap+xml; charset=utf-8"));
    let text = new.text();
    assert!(text.contains("<soap:Code><soap:Value>soap:Sender</soap:Value><soap:Subcode>"), "{text}");
    assert!(text.contains("d:not_found</soap:Value>") && text.contains("<soap:Detail><problem "), "{text}");
    assert!(!new.header("x-request-id").is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_as_in_rest() {
    let server = server().await;
    let bad =
        "<listJobs><limit>0</limit><organizationId>a&#10;b</organizationId><jobStatus>LOST</jobStatus></listJobs>";
    let text = call(&server, bad).await.text();
    assert_eq!((element(&text, "code"), element(&text, "pointer")), ("invalid_request", "/jobStatus/0"));
    let bad = "<listJobs><limit>0</limit><organizationId>a&#10;b</organizationId></listJobs>";
    let text = call(&server, bad).await.text();
    let rest = server.get("/jobs?limit=0&organizationId=a%0Ab").await.problem(400, "invalid_request");
    for error in rest["errors"].as_array().expect("errors") {
        let pointer = error["pointer"].as_str().expect("a text");
        assert!(text.contains(&format!("<pointer>{pointer}</pointer>")), "{pointer}: {text}");
        assert!(text.contains(&format!("<detail>{}</detail>", error["detail"].as_str().expect("a text"))), "{text}");
    }
    let text = call(&server, "<startJob/>").await.text();
    assert_eq!(element(&text, "pointer"), "/dockerImageUrl");
    let text = call(&server, "<readJob/>").await.text();
    assert!(text.contains("<pointer>/jobId</pointer><code>required</code>"), "{text}");
    let started = call(&server, "<startJob><dockerImageUrl>a</dockerImageUrl><colour>x</colour></startJob>").await;
    assert_eq!((started.status.as_u16(), started.header("docket-ignored-fields")), (200, "colour"));
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_that_must_be_understood_are_refused() {
    let server = server().await;
    let block = "<a:Do xmlns:a=\"urn:a&amp;b\" s:mustUnderstand=\"1\"/>";
    let old = server.send(Method::POST, "/soap/v2", &[TEXT], envelope(SOAP11, block, "<listJobTypes/>")).await;
    assert_eq!(old.status, 500);
    assert!(old.text().contains("soap:MustUnderstand") && !old.text().contains("<detail>"), "{}", old.text());
    let new = server.send(Method::POST, "/soap/v2", &[SOAP_XML], envelope(SOAP12, block, "<listJobTypes/>")).await;
    assert_eq!(new.status, 500);
    let expected = "<soap:Header><soap:NotUnderstood qname=\"h:Do\" xmlns:h=\"urn:a&amp;b\"/></soap:Header>";
    assert!(new.text().contains(expected), "{}", new.text());
    let other = server.send(Method::POST, "/soap/v2", &[SOAP_XML], envelope("urn:soap:13", "", "")).await;
    assert!(
        other.text().contains("soap:VersionMismatch") && other.text().contains("<soap:Upgrade>"),
        "{}",
        other.text()
    );
    assert_eq!(other.status, 500);
}

#[tokio::test(flavor = "multi_thread")]
async fn methods_and_media_types() {
    let server = server().await;
    let body = || envelope(SOAP11, "", "<listJobTypes/>");
    for media in ["application/json", "text/plain", "multipart/related; boundary=x", ""] {
        let answer = server.send(Method::POST, "/soap/v2", &[("content-type", media)], body()).await;
        assert_eq!(answer.status, 415, "{media}");
        assert!(answer.text().contains("unsupported_media_type"), "{}", answer.text());
    }
    let crossed = server.send(Method::POST, "/soap/v2", &[SOAP_XML], body()).await;
    assert_eq!(crossed.status, 415, "{}", crossed.text());
    let latin = [("content-type", "text/xml; charset=iso-8859-1")];
    assert_eq!(server.send(Method::POST, "/soap/v2", &latin, body()).await.status, 415);
    let put = server.send(Method::PUT, "/soap/v2", &[TEXT], body()).await;
    assert_eq!((put.status.as_u16(), put.header("allow")), (405, "GET, HEAD, POST, OPTIONS"));
    assert_eq!(server.send(Method::OPTIONS, "/soap/v2", &[], "").await.header("allow"), "GET, HEAD, POST, OPTIONS");
    let get = server.get("/soap/v2").await;
    assert!(get.status == 200 && get.text().contains("/soap/v2?wsdl"), "{}", get.text());
    let utf16: Vec<u8> = envelope(SOAP11, "", "<listJobTypes/>")
        .replace("UTF-8", "UTF-16")
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let answer = server.send(Method::POST, "/soap/v2", &[("content-type", "text/xml")], utf16).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_address_follows_the_host_and_a_trusted_proxy() {
    let forwarded = [("host", "inner.example:81"), ("x-forwarded-proto", "https"), ("x-forwarded-host", "api.example")];
    let location = |text: &str| {
        text.split("soap:address location=\"").nth(1).and_then(|rest| rest.split('"').next()).map(str::to_owned)
    };
    let server = server().await;
    let found = server.send(Method::GET, "/soap/v2?WSDL", &forwarded, "").await;
    assert_eq!(found.header("content-type"), "text/xml; charset=utf-8");
    assert_eq!(location(&found.text()).as_deref(), Some("http://inner.example:81/soap/v2"));
    let trusting = Server::with(&["--slots", "0", "--trust-proxy"]).await;
    let found = trusting.send(Method::GET, "/soap/v2?wsdl", &forwarded, "").await;
    assert_eq!(location(&found.text()).as_deref(), Some("https://api.example/soap/v2"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_comes_by_http_or_in_the_envelope() {
    let server = server().await;
    let (operator, reader) = (server.key("acme", "operator"), server.key("acme", "reader"));
    let start = "<startJob><dockerImageUrl>a</dockerImageUrl></startJob>";
    let send = async |headers: &[(&str, &str)], header: &str, body: &str| {
        let headers = [&[TEXT], headers].concat();
        server.send(Method::POST, "/soap/v2", &headers, envelope(SOAP11, header, body)).await
    };
    // The server looks for keys once a second.
    let begin = std::time::Instant::now();
    while send(&[], "", start).await.status == 200 {
        assert!(begin.elapsed() < crate::support::PATIENCE);
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    let none = send(&[], "", start).await;
    assert_eq!((none.status.as_u16(), element(&none.text(), "code")), (500, "unauthenticated"));
    assert_eq!(send(&[("x-api-key", &operator)], "", start).await.status, 200);
    let bearer = format!("Bearer {operator}");
    assert_eq!(send(&[("authorization", &bearer)], "", start).await.status, 200);
    assert_eq!(send(&[], &security(&operator), start).await.status, 200);
    for (header, code) in [(security(&reader), "forbidden"), (security("wrong"), "unauthenticated")] {
        assert_eq!(element(&send(&[], &header, start).await.text(), "code"), code);
    }
    // A long body behind the key is read whole.
    let long = format!(
        "<startJob><dockerImageUrl>a</dockerImageUrl>{}</startJob>",
        "<commands>x</commands>".repeat(100) + &" ".repeat(300_000)
    );
    assert_eq!(send(&[], &security(&operator), &long).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn another_organization_is_told_what_is_told_of_unknown_jobs() {
    let server = server().await;
    let (own, other) = (server.key("acme", "operator"), server.key("globex", "operator"));
    let start = "<startJob><dockerImageUrl>host</dockerImageUrl><resultStorageId>s</resultStorageId></startJob>";
    let headers = [TEXT, ("x-api-key", own.as_str())];
    let started = server.send(Method::POST, "/soap/v2", &headers, envelope(SOAP11, "", start)).await;
    let job = element(&started.text(), "id").to_owned();
    let send = async |key: &str, job: &str, operation: &str, fields: &str| {
        let body = format!("<{operation}><jobId>{job}</jobId>{fields}</{operation}>");
        let headers = [TEXT, ("x-api-key", key)];
        server.send(Method::POST, "/soap/v2", &headers, envelope(SOAP11, "", &body)).await
    };
    let result = "<storageId>s</storageId><results><externalId>e</externalId></results>";
    for (operation, fields) in [
        ("readJob", ""),
        ("readJobLog", ""),
        ("cancelJob", ""),
        ("updateJob", "<name>mine</name>"),
        ("deleteJob", ""),
        ("listJobRunResults", "<storageId>s</storageId>"),
        ("insertJobResults", result),
        ("readJobStatistics", ""),
    ] {
        let unknown = send(&other, "35f23c03-1c22-45fe-9484-3ffe769325de", operation, fields).await;
        let foreign = send(&other, &job, operation, fields).await;
        assert_eq!(element(&foreign.text(), "code"), "not_found", "{operation}");
        assert_eq!((foreign.status, foreign.text()), (unknown.status, unknown.text()), "{operation}");
    }
    let read = send(&own, &job, "readJob", "").await;
    assert_eq!(element(&read.text(), "id"), job);
    assert!(!read.text().contains("mine"), "{}", read.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_with_a_key_of_its_own_is_done_once() {
    let server = server().await;
    let start = |name: &str| {
        envelope(SOAP11, "", &format!("<startJob><dockerImageUrl>a</dockerImageUrl><name>{name}</name></startJob>"))
    };
    let once = [TEXT, ("idempotency-key", "k-1")];
    let first = server.send(Method::POST, "/soap/v2", &once, start("a")).await;
    let again = server.send(Method::POST, "/soap/v2", &once, start("a")).await;
    assert_eq!((first.text(), again.header("idempotency-replayed")), (again.text(), "true"));
    let other = server.send(Method::POST, "/soap/v2", &once, start("b")).await;
    assert_eq!(element(&other.text(), "code"), "idempotency_key_reused");
    assert_eq!(server.get("/jobs?featuresOn=NUMBER_OF_TOTAL").await.ok()["total"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn control_characters_of_results_are_replaced() {
    let server = server().await;
    let job = server.idle_job("s").await;
    let data = "a\u{1}b\u{ffff}c\r\n\td";
    let body = json!({"results": [{"externalId": "e", "resultData": data}]});
    server.post(&format!("/jobs/{job}/results?storageId=s"), &body).await.ok();
    let page =
        call(&server, &format!("<listJobRunResults><jobId>{job}</jobId><storageId>s</storageId></listJobRunResults>"))
            .await;
    assert_eq!(element(&page.text(), "resultData"), "a\u{fffd}b\u{fffd}c&#13;\n\td");
    let log = call(&server, &format!("<readJobLog><jobId>{job}</jobId></readJobLog>")).await;
    assert!(log.text().contains("<result></result>"), "{}", log.text());
    let gzip = server
        .send(Method::POST, "/soap/v2", &[TEXT, ("accept-encoding", "gzip")], envelope(SOAP11, "", "<listJobTypes/>"))
        .await;
    assert_eq!(gzip.status, 200);
}
