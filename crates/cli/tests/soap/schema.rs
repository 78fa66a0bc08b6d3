//! The WSDL: its form, that its schema is valid, and that real answers keep to it. Needs `xmllint` (Debian libxml2-utils).

use crate::call;
use crate::support::{BINARY, Server, record};
use serde_json::json;
use std::path::Path;
use std::process::Command;

#[test]
fn the_wsdl() {
    let wsdl = wsdl();
    insta::assert_snapshot!("wsdl", wsdl);
}

fn wsdl() -> String {
    let output = Command::new(BINARY)
        .args(["wsdl", "--endpoint", "https://api.example/soap/v2"])
        .env_clear()
        .output()
        .expect("docket wsdl");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// The schema of the WSDL as a file of its own.
fn schema(directory: &Path) -> std::path::PathBuf {
    let wsdl = wsdl();
    let begin = wsdl.find("<xs:schema ").expect("a schema");
    let end = wsdl.find("</xs:schema>").expect("its end") + "</xs:schema>".len();
    let namespaces =
        "<xs:schema xmlns:xs=\"http://www.w3.org/2001/XMLSchema\" xmlns:tns=\"urn:docket:jobs-management:v2\" ";
    let path = directory.join("docket.xsd");
    std::fs::write(&path, wsdl[begin..end].replacen("<xs:schema ", namespaces, 1)).expect("written");
    path
}

/// Checks a document of one element of the schema.
fn validate(schema: &Path, document: &str) {
    let path = schema.with_file_name("document.xml");
    std::fs::write(&path, document).expect("written");
    let checked =
        Command::new("xmllint").args(["--noout", "--schema"]).arg(schema).arg(&path).output().expect("xmllint");
    assert!(checked.status.success(), "{}\n{document}", String::from_utf8_lossy(&checked.stderr));
}

/// What stands in the body of an envelope.
fn body(document: &str) -> &str {
    let begin = document.find("<soap:Body>").expect("a body") + "<soap:Body>".len();
    &document[begin..document.find("</soap:Body>").expect("its end")]
}

#[tokio::test(flavor = "multi_thread")]
async fn real_answers_keep_to_the_schema() {
    let directory = tempfile::tempdir().expect("a directory");
    let schema = schema(directory.path());
    let server = Server::with(&["--slots", "0"]).await;
    let other = server.idle_job("other").await;
    let start = format!(
        "<startJob xmlns=\"urn:docket:jobs-management:v2\"><name>a &lt; b</name><type>DATA_CURATION_JOB</type>\
         <dockerImageUrl>x</dockerImageUrl><commands>a</commands><environmentVariables><name>A</name><value>b</value>\
         </environmentVariables><resultStorageId>s</resultStorageId><jobDependencies><jobId>{other}</jobId>\
         </jobDependencies><tags>t</tags><memoryLimit>100</memoryLimit><startAt>2099-01-01T00:00:00+02:00</startAt></startJob>"
    );
    validate(&schema, &start);
    let started = call(&server, &start).await;
    let job = match started.status.as_u16() {
        200 => {
            validate(&schema, body(&started.text()));
            crate::element(&started.text(), "id").to_owned()
        }
        // Fields that this server refuses to honour yet are named by a fault that keeps to the schema, too.
        _ => server.idle_job("s").await,
    };
    let results: Vec<_> =
        (0..20).map(|n| record(&format!("e{n}"))).chain([json!({"resultData": "no identity"})]).collect();
    server.post(&format!("/jobs/{job}/results?storageId=s"), &json!({"results": results})).await.ok();
    let id = format!("<jobId>{job}</jobId>");
    for call_body in [
        "<listJobTypes/>".to_owned(),
        "<listJobs><limit>2</limit><featuresOn>NUMBER_OF_TOTAL</featuresOn></listJobs>".to_owned(),
        format!("<readJob>{id}</readJob>"),
        format!("<updateJob>{id}<labels><name>a</name><value>b</value></labels></updateJob>"),
        format!("<updateResultData>{id}<resultData>{{}}</resultData></updateResultData>"),
        format!("<readJobLog>{id}</readJobLog>"),
        format!(
            "<listJobRunResults>{id}<storageId>s</storageId><featuresOn>USE_NEXT_START_AFTER</featuresOn><limit>7</limit></listJobRunResults>"
        ),
        format!(
            "<insertJobResults>{id}<storageId>s</storageId><results><externalId>e</externalId><status>OK</status></results><results><resultData>x</resultData></results></insertJobResults>"
        ),
        format!("<readJobStatistics>{id}</readJobStatistics>"),
        format!("<cancelJob>{id}<reason>enough</reason></cancelJob>"),
        "<deleteJobResults><storageId>s</storageId></deleteJobResults>".to_owned(),
        format!("<deleteJob>{id}</deleteJob>"),
    ] {
        let own = call_body.replacen('>', " xmlns=\"urn:docket:jobs-management:v2\">", 1).replace("/ xmlns", " xmlns");
        if !call_body.starts_with("<listJobTypes") {
            validate(&schema, &own);
        }
        let answer = call(&server, &call_body).await;
        assert_eq!(answer.status, 200, "{call_body}: {}", answer.text());
        validate(&schema, body(&answer.text()));
    }
    for refused in [format!("<readJob>{id}</readJob>"), "<listJobs><limit>0</limit></listJobs>".to_owned()] {
        let fault = call(&server, &refused).await.text();
        let begin = fault.find("<problem").expect("a problem");
        let end = fault.find("</problem>").expect("its end") + "</problem>".len();
        validate(&schema, &fault[begin..end]);
    }
}
