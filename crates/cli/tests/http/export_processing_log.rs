use crate::support::{Server, record};
use http::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn a_log_without_results_is_an_empty_file() {
    let server = Server::with(&["--slots", "0"]).await;
    let path = "/processinglogs/s/DUPLICATE_LOG/export";
    let answer = server.send(Method::GET, path, &[("te", "trailers")], "").await;
    assert_eq!((answer.status.as_u16(), answer.text().as_str()), (200, ""));
    assert_eq!(answer.trailers["docket-count"], "0");
    assert_eq!(answer.header("content-disposition"), "attachment; filename*=UTF-8''duplicate_log.ndjson");
    let csv = server.get(&format!("{path}?format=csv")).await;
    assert!(csv.text().starts_with("id,storageId,jobId,") && csv.text().ends_with("\r\n"));
    assert_eq!(csv.text().lines().count(), 1);
    let mark = answer.header("docket-snapshot");
    server.get(&format!("{path}?snapshot={mark}")).await;
    server
        .get(&format!("/processinglogs/t/DUPLICATE_LOG/export?snapshot={mark}"))
        .await
        .problem(400, "invalid_page_token");
    server
        .get(&format!("/processinglogs/s/OVERLAP_LOG/export?snapshot={mark}"))
        .await
        .problem(400, "invalid_page_token");
    server.get("/processinglogs/s/NO_LOG/export").await.problem(400, "invalid_request");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_log_is_exported_as_it_is_listed() {
    let server = Server::with(&["--slots", "0"]).await;
    let job = server.idle_job("s").await;
    let path = "/processinglogs/s/VALIDATION_LOG";
    let records: Vec<Value> = (0..40)
        .map(|number| {
            let mut record = record(&format!("r{number}"));
            record["jobId"] = json!(job);
            record["dataSourceId"] = json!(format!("source-{}", number % 4));
            record["status"] = json!(if number % 8 == 0 { "FAILED" } else { "OK" });
            record
        })
        .collect();
    server.post(path, &json!({"results": records})).await.ok();
    for (filter, expected) in [
        ("", 40),
        ("&status=FAILED", 5),
        ("&dataSourceId=source-1,source-2", 20),
        ("&externalId=r1,r2&dataSourceId=source-2", 1),
        ("&modifiedFrom=2020-01-01T00:00Z", 40),
        ("&createdTo=2020-01-01T00:00Z", 0),
    ] {
        let page = server.get(&format!("{path}?limit=100{filter}")).await.ok();
        let file =
            server.send(Method::GET, &format!("{path}/export?format=ndjson{filter}"), &[("te", "trailers")], "").await;
        let values: Vec<Value> = file.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
        assert_eq!(json!(values), page["values"], "{filter}");
        assert_eq!(
            (values.len(), file.trailers["docket-count"].to_str().expect("digits")),
            (expected, &*expected.to_string())
        );
        assert!(values.iter().all(|value| value["jobId"] == job));
        let csv = server.get(&format!("{path}/export?format=csv{filter}")).await;
        let mut rows = csv::Reader::from_reader(&csv.body[..]);
        let rows: Vec<csv::StringRecord> = rows.records().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), expected);
        assert!(rows.iter().all(|row| row[2] == job));
    }
    let wrong = format!("{path}/export?createdFrom=2021-01-01T00:00Z&createdTo=2020-01-01T00:00Z");
    server.get(&wrong).await.problem(400, "invalid_request");
}
