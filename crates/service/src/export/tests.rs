use super::*;
use crate::store::{SetOwner, Snapshot, SnapshotReader, SnapshotRow, StorageKey};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::record::Field;
use async_trait::async_trait;
use docket_contract::cursor::Position;
use docket_contract::result::{COLUMNS, ResultItem};
use docket_contract::{JobId, ProcessingLogId, Timestamp};
use futures_util::TryStreamExt;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::collections::VecDeque;
use std::sync::Mutex;

fn set(owner: SetOwner) -> SetKey {
    SetKey { storage: StorageKey { organization: "o".into(), storage_id: "a \"storage\", ü".into() }, owner }
}

fn job_set() -> SetKey {
    set(SetOwner::Job(JobId::NONE))
}

/// What a store gives of these records.
fn chunk(first_id: u64, records: &[Value]) -> SnapshotChunk {
    let (mut rows, mut bytes) = (Vec::new(), Vec::new());
    for (number, record) in records.iter().enumerate() {
        let ResultItem::Record(written, _) = ResultItem::parse(&record.to_string()) else { panic!("{record}") };
        let start = bytes.len();
        bytes.extend_from_slice(written.json.as_bytes());
        let at = Timestamp::from_millis(1_790_000_000_000 + number as i64 / 3);
        rows.push(SnapshotRow {
            id: Position(first_id + number as u64),
            identity: [0; 16],
            status: written.status,
            created_at: at,
            modified_at: at.plus_millis(7),
            body: start..bytes.len(),
        });
    }
    SnapshotChunk { rows, bytes: bytes.into() }
}

fn encode(set: &SetKey, form: Form, chunks: &[SnapshotChunk]) -> Vec<u8> {
    let mut encoder = encoder(set, form).expect("an encoder");
    let mut out = Vec::new();
    encoder.begin(&mut out).expect("begun");
    for chunk in chunks {
        encoder.take(chunk, &mut out).expect("encoded");
    }
    encoder.end(&mut out).expect("ended");
    out
}

fn form(format: ExportFormat) -> Form {
    Form { format, ..Form::default() }
}

/// The columns of a record, as texts.
fn flat(set: &SetKey, row: &SnapshotRow, record: &Value) -> Vec<Option<String>> {
    let text = |pointer: &str| match record.pointer(pointer) {
        Some(Value::String(text)) => Some(text.clone()),
        Some(other) => Some(other.to_string()),
        None => None,
    };
    vec![
        Some(row.id.0.to_string()),
        Some(set.storage.storage_id.clone()),
        Some(JobId::NONE.to_string()),
        Some(row.created_at.to_string()),
        Some(row.modified_at.to_string()),
        text("/dataSourceId"),
        text("/businessPartnerId"),
        text("/addressId"),
        text("/externalId"),
        text("/addressExternalId"),
        text("/addressVersion/characterSet/technicalKey"),
        text("/addressVersion/language/technicalKey"),
        text("/jobType"),
        text("/resultData"),
        text("/status").or(Some("OK".to_owned())),
        text("/message"),
        text("/countryShortName"),
        text("/processingStatus/technicalKey"),
        text("/processingStatus/modifiedAt"),
        text("/configuration/id"),
        text("/configuration/version"),
    ]
}

fn full() -> Value {
    json!({
        "dataSourceId": "source, \"one\"", "businessPartnerId": "bp", "addressId": "a", "externalId": "e;1",
        "addressExternalId": "ae", "addressVersion": {"characterSet": {"technicalKey": "INTERNATIONAL"},
            "language": {"technicalKey": "DE"}}, "jobType": "DATA_CURATION_JOB",
        "resultData": "{\"a\":\"x\\\"y\",\"b\":[1,2.50]}", "status": "FAILED", "message": "two\r\nlines, 😀",
        "countryShortName": "CH", "processingStatus": {"technicalKey": "DONE", "modifiedAt": "2026-11-23T16:21:00.123Z"},
        "configuration": {"id": "c", "version": -7},
    })
}

fn csv_rows(bytes: &[u8]) -> Vec<Vec<String>> {
    let mut reader = ::csv::ReaderBuilder::new().has_headers(false).from_reader(bytes);
    reader.records().map(|row| row.expect("a row").iter().map(str::to_owned).collect()).collect()
}

fn parquet_rows(bytes: Vec<u8>) -> (usize, Vec<Vec<Option<String>>>) {
    let reader = SerializedFileReader::new(bytes::Bytes::from(bytes)).expect("a Parquet file");
    let show = |field: &Field| match field {
        Field::Null => None,
        Field::Str(text) => Some(text.clone()),
        Field::Long(number) => Some(number.to_string()),
        Field::Int(number) => Some(number.to_string()),
        Field::TimestampMillis(millis) => Some(Timestamp::from_millis(*millis).to_string()),
        other => panic!("{other:?}"),
    };
    let rows = reader.get_row_iter(None).expect("rows");
    let rows = rows.map(|row| {
        let row = row.expect("a row");
        assert!(row.get_column_iter().map(|(name, _)| name.as_str()).eq(COLUMNS));
        row.get_column_iter().map(|(_, field)| show(field)).collect()
    });
    (reader.num_row_groups(), rows.collect())
}

fn texts(row: Vec<Option<String>>) -> Vec<String> {
    row.into_iter().map(Option::unwrap_or_default).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn every_format_says_what_was_written(
        data in prop::collection::vec((prop::option::of("\\PC{0,12}|[\",\r\n' =+@-]{0,8}"), "[a-z,\"']{1,8}", any::<bool>()), 0..20),
        cut in 0usize..20,
    ) {
        let records: Vec<Value> = data.iter().enumerate().map(|(number, (text, id, is_full))| {
            let mut record = if *is_full { full() } else { json!({"externalId": format!("{id}{number}")}) };
            if let Some(text) = text {
                record["resultData"] = json!(text);
                record["message"] = json!(text);
            }
            record
        }).collect();
        let cut = cut.min(records.len());
        let chunks = [chunk(1000, &records[..cut]), chunk(2000, &records[cut..])];
        let set = job_set();
        let rows = chunks.iter().flat_map(|chunk| &chunk.rows);
        let expected: Vec<_> = rows.zip(&records).map(|(row, record)| flat(&set, row, record)).collect();

        let csv = encode(&set, form(ExportFormat::Csv), &chunks);
        let mut read = csv_rows(&csv);
        prop_assert_eq!(read.remove(0), COLUMNS.map(str::to_owned).to_vec());
        prop_assert_eq!(read, expected.iter().cloned().map(texts).collect::<Vec<_>>());
        prop_assert!(csv.ends_with(b"\r\n"));

        let (_, read) = parquet_rows(encode(&set, form(ExportFormat::Parquet), &chunks));
        prop_assert_eq!(&read, &expected);

        let lines = String::from_utf8(encode(&set, form(ExportFormat::Ndjson), &chunks)).expect("UTF-8");
        prop_assert_eq!(lines.lines().count(), records.len());
        for (line, record) in lines.lines().zip(&records) {
            let read: Value = serde_json::from_str(line).expect("JSON");
            prop_assert_eq!(read.get("resultData"), record.get("resultData"));
            prop_assert_eq!(read["externalId"].as_str(), record["externalId"].as_str());
            prop_assert_eq!(&read["jobId"], &json!(JobId::NONE));
        }
    }
}

#[test]
fn csv_tells_empty_from_absent_and_can_keep_formulas_away() {
    let records = [
        json!({"externalId": "1", "message": ""}),
        json!({"externalId": "=1+1", "resultData": "-1", "message": "a=b"}),
    ];
    let chunk = chunk(7, &records);
    let csv = String::from_utf8(encode(&job_set(), form(ExportFormat::Csv), std::slice::from_ref(&chunk)));
    let csv = csv.expect("UTF-8");
    let lines: Vec<_> = csv.split("\r\n").collect();
    let storage = "\"a \"\"storage\"\", ü\"";
    let times = "2026-09-21T14:13:20.000Z,2026-09-21T14:13:20.007Z";
    let front = |id: u64| format!("{id},{storage},{},{times},,,,", JobId::NONE);
    assert_eq!(lines[1], format!("{}1,,,,,,OK,\"\",,,,,", front(7)));
    assert_eq!(lines[2], format!("{}=1+1,,,,,-1,OK,a=b,,,,,", front(8)));
    assert_eq!(lines[3..], [""]);
    let escaped = Form { escape_formulas: true, ..form(ExportFormat::Csv) };
    let rows = csv_rows(&encode(&job_set(), escaped, &[chunk]));
    assert_eq!((rows[2][8].as_str(), rows[2][13].as_str(), rows[2][15].as_str()), ("'=1+1", "'-1", "a=b"));
}

#[test]
fn only_the_wanted_members_are_shown() {
    let chunk = chunk(1, &[full(), json!({"externalId": "1", "resultData": "no object"})]);
    for format in ExportFormat::ALL {
        let wanted = Form { fields: Some(["b".to_owned()].into()), ..form(format) };
        let bytes = encode(&job_set(), wanted, std::slice::from_ref(&chunk));
        let found: Vec<String> = match format {
            ExportFormat::Ndjson => {
                let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
                let read = |line| serde_json::from_slice::<Value>(line).expect("JSON")["resultData"].clone();
                lines.map(|line| read(line).as_str().expect("a text").to_owned()).collect()
            }
            ExportFormat::Csv => csv_rows(&bytes)[1..].iter().map(|row| row[13].clone()).collect(),
            ExportFormat::Parquet => {
                parquet_rows(bytes).1.into_iter().map(|row| row[13].clone().expect("one")).collect()
            }
        };
        assert_eq!(found, ["{\"b\":[1,2.50]}", "no object"], "{format:?}");
    }
}

#[test]
fn records_of_logs_name_their_jobs() {
    let log = set(SetOwner::Log(ProcessingLogId::DuplicateLog));
    let mut chunk = chunk(1, &[json!({"externalId": "1"})]);
    let job = "35f23c03-1c22-45fe-9484-3ffe769325de";
    let body = format!("{{\"jobId\":\"{job}\",\"externalId\":\"1\",\"status\":\"OK\"}}");
    chunk.rows[0].body = 0..body.len();
    chunk.bytes = body.into();
    let chunks = [chunk];
    assert_eq!(csv_rows(&encode(&log, form(ExportFormat::Csv), &chunks))[1][2], job);
    assert_eq!(parquet_rows(encode(&log, form(ExportFormat::Parquet), &chunks)).1[0][2].as_deref(), Some(job));
}

#[test]
fn row_groups_are_bounded() {
    let data = "x".repeat(60_000);
    let records: Vec<_> =
        (0..50).map(|n| json!({"externalId": n.to_string(), "resultData": data, "message": data})).collect();
    let chunks: Vec<_> = (0..6).map(|number| chunk(1 + number * 50, &records)).collect();
    let (groups, rows) = parquet_rows(encode(&job_set(), form(ExportFormat::Parquet), &chunks));
    // 300 records of 120 kB: 36 MB, and 8 MiB a group.
    assert_eq!((groups, rows.len()), (5, 300));
    assert!(rows.iter().all(|row| row[13].as_deref() == Some(data.as_str()) && row[6].is_none()));
    assert!(rows.iter().zip(1..).all(|(row, id)| row[0] == Some(id.to_string())));
    let none = parquet_rows(encode(&job_set(), form(ExportFormat::Parquet), &[]));
    assert_eq!(none, (0, Vec::new()));
}

/// Gives what it was told to.
struct Script(VecDeque<Result<SnapshotChunk, StoreError>>);

#[async_trait]
impl SnapshotReader for Script {
    fn snapshot(&self) -> Snapshot {
        Snapshot::default()
    }

    fn total(&self) -> Option<u64> {
        None
    }

    async fn next(&mut self) -> Result<Option<SnapshotChunk>, StoreError> {
        self.0.pop_front().transpose()
    }
}

async fn piped(format: ExportFormat, chunks: Vec<Result<SnapshotChunk, StoreError>>) -> (Vec<u8>, bool, Option<Whole>) {
    let heard = Arc::new(Mutex::new(None));
    let hears = Arc::clone(&heard);
    let ended = move |whole| *hears.lock().expect("no panic") = Some(whole);
    let mut reader = Box::new(Script(chunks.into()));
    let first = reader.next().await.expect("a chunk");
    let stream = pieces(&job_set(), form(format), first, reader, (), ended).expect("begun");
    let mut bytes = Vec::new();
    let mut stream = std::pin::pin!(stream);
    let whole = loop {
        match stream.try_next().await {
            Ok(Some(piece)) => bytes.extend_from_slice(&piece),
            Ok(None) => break true,
            Err(_) => break false,
        }
    };
    let heard = *heard.lock().expect("no panic");
    (bytes, whole, heard)
}

#[tokio::test]
async fn a_whole_file_is_told_of_and_a_broken_one_is_not() {
    let records: Vec<_> = (0..10).map(|n| json!({"externalId": n.to_string(), "message": "m"})).collect();
    for format in ExportFormat::ALL {
        let chunks: Vec<_> = (0..5).map(|number| chunk(1 + number * 10, &records)).collect();
        let (bytes, whole, told) = piped(format, chunks.iter().cloned().map(Ok).collect()).await;
        assert!(whole);
        assert_eq!(bytes, encode(&job_set(), form(format), &chunks));
        assert_eq!(told, Some(Whole { count: 50, digest: Sha256::digest(&bytes).into() }));

        let (bytes, whole, told) = piped(format, Vec::new()).await;
        assert!(whole);
        assert_eq!(told.map(|told| told.count), Some(0));
        assert_eq!(bytes, encode(&job_set(), form(format), &[]));

        let broken = vec![Ok(chunks[0].clone()), Ok(chunks[1].clone()), Err(StoreError::Gone)];
        let (_, whole, told) = piped(format, broken).await;
        assert_eq!((whole, told), (false, None));
    }
    // A row that makes no sense.
    let mut bad = chunk(1, &records);
    bad.bytes = bytes::Bytes::from(vec![b'{'; bad.bytes.len()]);
    for format in ExportFormat::ALL {
        let (_, whole, told) = piped(format, vec![Ok(chunk(1, &records)), Ok(bad.clone())]).await;
        assert_eq!((whole, told), (false, None));
    }
}
