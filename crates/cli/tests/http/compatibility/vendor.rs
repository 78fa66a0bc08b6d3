//! The examples of the vendor's page, literally: only the id of the job is ours, because the server makes it.

use super::{Shape, Stock};
use crate::support::Server;
use serde_json::{Value, json};

const STORAGE: &str = "72d6900fce6b326088f5d9d91049e3e6";

/// The body of the example of Insert Job Results, without the quoting of the shell.
const INSERT: &str = r#"{
    "results": [
      {
        "dataSourceId": "648824a691d8d2503d65103e",
        "businessPartnerId": "63e635235c06b7396330fe40",
        "addressId": "address-id",
        "externalId": "The ID managed in the customer's SAP systems.",
        "addressExternalId": "1",
        "addressVersion": {
          "characterSet": {
            "technicalKey": "INTERNATIONAL"
          },
          "language": {
            "technicalKey": "DE"
          }
        },
        "jobType": "DATA_CURATION_JOB",
        "resultData": "{'param1': 'value1'}",
        "status": "OK",
        "message": "Missing storageId.\"",
        "countryShortName": "CH",
        "processingStatus": {
          "technicalKey": "IN_PROGRESS",
          "modifiedAt": "2020-08-31T16:47+00:00"
        },
        "configuration": {
          "id": "c074b9f3-abf0-4f8e-9a20-74deb6cfa2a4",
          "version": 1
        },
        "jobId": "{job}"
      }
    ],
    "featuresOn": [
      "LAB_USE_QUEUES"
    ]
  }"#;

/// The headers that curl adds to those of the examples.
fn curl(shape: Shape) -> Shape {
    shape.header("User-Agent: curl/8.5.0").header("Accept: */*")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_example_works() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job(STORAGE).await;
    let stock = Stock { server, job };
    let of = |what, line: &str| curl(Shape::of(what, &line.replace("{storage}", STORAGE)));
    let results = |what, query: &str| {
        of(what, &format!("GET /jobs/{{job}}/results?storageId={{storage}}{query}")).gives("/total", 1)
    };
    let insert = |what, body: &str| {
        let body = body.replace("{job}", &stock.job);
        let line = format!("POST /jobs/{{job}}/results?storageId={STORAGE}");
        curl(Shape::of(what, &line)).header("Content-Type: application/json").body(body.as_bytes())
    };
    stock
        .play(vec![
            of("Delete, as on the page", "DELETE /jobs/results/{storage}"),
            insert("Insert, as on the page", INSERT).gives("/failed", 0),
            insert("Insert with quoted integers", &INSERT.replace(r#""version": 1"#, r#""version": "1""#))
                .gives("/failed", 0),
            results("List, as on the page", "")
                .lacks("/startAfter")
                .lacks("/nextStartAfter")
                .gives("/limit", 500)
                .gives("/values/0/dataSourceId", "648824a691d8d2503d65103e")
                .gives(
                    "/values/0/addressVersion",
                    json!({"characterSet": {"technicalKey": "INTERNATIONAL"}, "language": {"technicalKey": "DE"}}),
                )
                .gives("/values/0/resultData", "{'param1': 'value1'}")
                .gives("/values/0/message", "Missing storageId.\"")
                .gives("/values/0/processingStatus/modifiedAt", "2020-08-31T16:47:00.000Z")
                .gives("/values/0/configuration/version", 1)
                .gives("/values/0/storageId", STORAGE)
                .gives("/values/0/jobId", stock.job.as_str()),
            results("example of businessPartnerId", "&businessPartnerId=63e635235c06b7396330fe40"),
            results("example of dataSourceId", "&dataSourceId=648824a691d8d2503d65103e"),
            results("example of externalId", "&externalId=The%20ID%20managed%20in%20the%20customer's%20SAP%20systems."),
            results("example of externalId, as a form", "&externalId=The+ID+managed+in+the+customer%27s+SAP+systems."),
            results("example of jobResultStatus", "&jobResultStatus=OK"),
            results("example of limit", "&limit=500").gives("/limit", 500),
            results("example of featuresOn", "&featuresOn=USE_NEXT_START_AFTER").lacks("/nextStartAfter"),
            results("example of includeResultDataFields", "&includeResultDataFields=dataDefects")
                .gives("/values/0/resultData", "{'param1': 'value1'}"),
            results("example of startAfter", "&startAfter=5712566172571652")
                .gives("/startAfter", "5712566172571652")
                .gives("/values", json!([])),
            of("Delete, with something to delete", "DELETE /jobs/results/{storage}").gives("/deleted", 1),
            of("a job that is not there", "GET /jobs/35f23c03-1c22-45fe-9484-3ffe769325de/results?storageId={storage}")
                .status(404)
                .answers("content-type", "application/problem+json"),
        ])
        .await;
}

/// The examples of answers have quoted integers, which our own client reads; what we send are integers, as the page's
/// types say.
#[tokio::test(flavor = "multi_thread")]
async fn answers_have_the_members_of_the_page_and_no_others() {
    let stock = Stock::new().await;
    let page = r#"{ "startAfter": "5712566172571652", "nextStartAfter": "5712566172571652", "limit": "100", "total": "67", "values": [ {} ] }"#;
    let page: docket_contract::operations::JobResultsPage = serde_json::from_str(page).expect("the page's example");
    assert_eq!((page.limit, page.total, page.values.len()), (100, 67, 1));
    let summary = r#"{ "created": "1", "updated": "1", "failed": "1" }"#;
    let summary: docket_contract::operations::InsertSummary =
        serde_json::from_str(summary).expect("the page's example");
    assert_eq!((summary.created, summary.updated, summary.failed), (1, 1, 1));

    let names = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    let path = format!("/jobs/{}/results?storageId=s&featuresOn=USE_NEXT_START_AFTER&limit=5", stock.job);
    let first = stock.server.get(&path).await.ok();
    assert_eq!(names(&first), ["limit", "nextStartAfter", "total", "values"]);
    let token = first["nextStartAfter"].as_str().expect("a token");
    let second = stock.server.get(&format!("{path}&startAfter={token}")).await.ok();
    assert_eq!(names(&second), ["limit", "nextStartAfter", "startAfter", "total", "values"]);
    assert_eq!(second["startAfter"], token);
    let done =
        stock.server.post(&format!("/jobs/{}/results?storageId=t", stock.job), &json!({"results": []})).await.ok();
    assert_eq!(names(&done), ["created", "failed", "updated"]);
}
