use crate::support::{Server, record};
use http::{HeaderValue, Method};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::Field;
use serde_json::{Value, json};

const TRAILERS: &[(&str, &str)] = &[("te", "trailers")];

/// A server with a job, and the path of its results' export.
async fn with_records(flags: &[&str], records: &[Value]) -> (Server, String, String) {
    let server = Server::with(&[&["--slots", "0"], flags].concat()).await;
    let job = server.idle_job("s").await;
    let path = format!("/jobs/{job}/results?storageId=s");
    write(&server, &path, records).await;
    (server, path, format!("/jobs/{job}/results/export?storageId=s"))
}

async fn write(server: &Server, path: &str, records: &[Value]) {
    for batch in records.chunks(500) {
        server.post(path, &json!({"results": batch})).await.ok();
    }
}

fn some(count: usize, data: &str) -> Vec<Value> {
    let one = |number: usize| {
        let mut record = record(&format!("r{number}"));
        record["status"] = json!(if number.is_multiple_of(3) { "FAILED" } else { "OK" });
        record["resultData"] = json!(data);
        record
    };
    (0..count).map(one).collect()
}

/// So many that sockets and buffers do not hold them.
fn many(data: &str) -> Vec<Value> {
    some(2500, &data.repeat(10_000))
}

/// What a listing shows, one after another.
async fn listed(server: &Server, path: &str) -> Vec<String> {
    let page = server.get(&format!("{path}&limit=5000")).await.text();
    let page: std::collections::BTreeMap<String, Box<serde_json::value::RawValue>> =
        serde_json::from_str(&page).expect("JSON");
    let values: Vec<Box<serde_json::value::RawValue>> = serde_json::from_str(page["values"].get()).expect("values");
    values.iter().map(|value| value.get().to_owned()).collect()
}

fn lines(bytes: &[u8]) -> Vec<String> {
    String::from_utf8(bytes.to_vec()).expect("UTF-8").lines().map(str::to_owned).collect()
}

fn digest(bytes: &[u8]) -> String {
    use base64::Engine as _;
    let digest = <sha2::Sha256 as sha2::Digest>::digest(bytes);
    format!("sha-256=:{}:", base64::engine::general_purpose::STANDARD.encode(digest))
}

#[tokio::test(flavor = "multi_thread")]
async fn every_format_holds_what_a_listing_shows() {
    let mut records = some(700, "{\"a\":\"x, \\\"y\\\"\"}");
    records[0]["message"] = json!("two\r\nlines, \"quotes\", 😀");
    records[1]["message"] = json!("");
    records[2]["configuration"] = json!({"id": "c", "version": 3});
    let (server, path, export) = with_records(&[], &records).await;
    let expected = listed(&server, &path).await;
    let values: Vec<Value> = expected.iter().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    for format in ["ndjson", "csv", "parquet"] {
        let headers = [("te", "trailers"), ("accept-encoding", "gzip, br")];
        let answer = server.send(Method::GET, &format!("{export}&format={format}"), &headers, "").await;
        assert_eq!(answer.header("docket-count"), "700");
        assert_eq!(answer.header("trailer"), "Docket-Count, Repr-Digest");
        assert_eq!(answer.header("content-encoding"), "");
        assert_eq!(answer.header("content-disposition"), format!("attachment; filename*=UTF-8''results.{format}"));
        assert_eq!(answer.trailers["docket-count"], "700");
        assert_eq!(answer.trailers["repr-digest"], digest(&answer.body));
        match format {
            "ndjson" => {
                assert_eq!(answer.header("content-type"), "application/x-ndjson");
                assert_eq!(lines(&answer.body), expected);
            }
            "csv" => {
                assert_eq!(answer.header("content-type"), "text/csv");
                let mut reader = csv::Reader::from_reader(&answer.body[..]);
                let header = reader.headers().expect("a header").clone();
                let rows: Vec<csv::StringRecord> = reader.records().map(|row| row.expect("a row")).collect();
                assert_eq!(rows.len(), 700);
                for (row, value) in rows.iter().zip(&values) {
                    let plain = |name: &&str| !["configurationId", "configurationVersion"].contains(name);
                    for (name, cell) in header.iter().zip(row).filter(|(name, _)| plain(name)) {
                        assert_eq!(cell, value[name].as_str().unwrap_or_default(), "{name}");
                    }
                }
                assert_eq!((&rows[2][19], &rows[2][20]), ("c", "3"));
            }
            _ => {
                assert_eq!(answer.header("content-type"), "application/vnd.apache.parquet");
                let reader = SerializedFileReader::new(answer.body).expect("Parquet");
                let rows: Vec<_> = reader.get_row_iter(None).expect("rows").map(|row| row.expect("a row")).collect();
                assert_eq!(rows.len(), 700);
                for (row, value) in rows.iter().zip(&values) {
                    for (name, field) in row.get_column_iter() {
                        match field {
                            Field::Str(text) if !name.starts_with("configuration") => assert_eq!(value[name], *text),
                            Field::Long(id) => assert_eq!(value[name], id.to_string()),
                            Field::Null => assert!(value.get(name).is_none(), "{name}"),
                            _ => {}
                        }
                    }
                }
            }
        }
        let plain = server.get(&format!("{export}&format={format}")).await;
        assert!(plain.trailers.is_empty(), "only for who asks");
    }
    let failed = server.send(Method::GET, &format!("{export}&jobResultStatus=FAILED"), TRAILERS, "").await;
    assert_eq!((failed.header("docket-count"), lines(&failed.body).len()), ("234", 234));
    let two = server.get(&format!("{export}&externalId=r1,r2&includeResultDataFields=b")).await;
    assert_eq!(lines(&two.body), listed(&server, &format!("{path}&externalId=r1,r2&includeResultDataFields=b")).await);
    assert_eq!(two.header("docket-count"), "", "ids are not counted before");
    let nothing = server.send(Method::GET, &export.replace("storageId=s", "storageId=t"), TRAILERS, "").await;
    assert_eq!((nothing.text().as_str(), &nothing.trailers["docket-count"]), ("", &HeaderValue::from_static("0")));
    server.get(&format!("{export}&format=xml")).await.problem(400, "invalid_request");
    server.get(&format!("{export}&startAfter=x")).await.problem(400, "invalid_request");
    server.get("/jobs/unknown/results/export?storageId=s").await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_show_their_moments_while_writers_run() {
    let (server, path, export) = with_records(&[], &many("a")).await;
    let before = listed(&server, &path).await;
    let one = server.open(&export, TRAILERS).await;
    write(&server, &path, &many("b")[..1200]).await;
    let between = listed(&server, &path).await;
    let other = server.open(&export, TRAILERS).await;
    let more = some(300, "new").into_iter().map(|mut record| {
        record["externalId"] = json!(format!("new {}", record["externalId"]));
        record
    });
    let more: Vec<Value> = more.collect();
    // The writer runs beside both.
    let (_, one, other) = tokio::join!(write(&server, &path, &more), one.into_end(), other.into_end());
    for ((bytes, whole, trailers), expected) in [(one, before), (other, between)] {
        assert!(whole);
        assert_eq!(trailers["repr-digest"], digest(&bytes));
        let found = lines(&bytes);
        assert_eq!(found.len(), 2500);
        assert!(found == expected, "an export is not what was listed at its beginning");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_deleted_breaks_its_export_off() {
    for format in ["ndjson", "csv"] {
        let (server, _, export) = with_records(&[], &many("a")).await;
        let begun = server.open(&format!("{export}&format={format}"), TRAILERS).await;
        let mark = begun.headers["docket-snapshot"].to_str().expect("a mark").to_owned();
        server.delete("/jobs/results/s").await.ok();
        let (_, whole, trailers) = begun.into_end().await;
        assert!(!whole && trailers.is_empty(), "{format}");
        server.get(&format!("{export}&snapshot={mark}")).await.problem(404, "not_found");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn lines_go_on_at_the_same_moment() {
    let (mut server, path, export) = with_records(&[], &some(100, "a")).await;
    let whole = server.get(&export).await;
    let expected = lines(&whole.body);
    let mark = whole.header("docket-snapshot").to_owned();
    write(&server, &path, &some(150, "b")).await;
    server.kill();
    server.restart().await;
    let id = |line: &str| serde_json::from_str::<Value>(line).expect("JSON")["id"].as_str().expect("an id").to_owned();
    let rest = format!("{export}&startAfter={}&snapshot={mark}", id(&expected[39]));
    let rest = server.send(Method::GET, &rest, TRAILERS, "").await;
    assert_eq!(lines(&rest.body), expected[40..]);
    assert_eq!(rest.trailers["docket-count"], "60");
    assert_eq!(rest.header("docket-snapshot").len(), mark.len());
    let csv = server.get(&format!("{export}&format=csv&snapshot={mark}")).await;
    assert_eq!(lines(&csv.body).len(), 101, "another format of the same moment");
    assert_eq!(lines(&server.get(&export).await.body).len(), 150);

    let other = server.idle_job("s").await;
    for wrong in [
        format!("/jobs/{other}/results/export?storageId=s&snapshot={mark}"),
        format!("{}&snapshot={mark}", export.replace("storageId=s", "storageId=t")),
        format!("{export}&snapshot={}x", &mark[..mark.len() - 1]),
        format!("{export}&snapshot=x"),
    ] {
        server.get(&wrong).await.problem(400, "invalid_page_token");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn exports_at_once_are_bounded() {
    let (server, _, export) = with_records(&["--max-exports", "1"], &many("a")).await;
    let begun = server.open(&export, TRAILERS).await;
    let refused = server.get(&export).await;
    refused.problem(503, "overloaded");
    assert_eq!(refused.header("retry-after"), "1");
    let (_, whole, _) = begun.into_end().await;
    assert!(whole);
    // Its turn is free again: also when somebody goes away in the middle.
    drop(server.open(&export, TRAILERS).await);
    assert_eq!(server.get(&export).await.header("docket-count"), "2500");
}
