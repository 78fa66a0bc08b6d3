use super::*;
use proptest::prelude::*;

fn record(json: &str) -> Record {
    match ResultItem::parse(json) {
        ResultItem::Record(record, _) => record,
        ResultItem::Rejected(failure) => panic!("{json}: {failure:?}"),
    }
}

fn rejected(json: &str) -> (String, String) {
    match ResultItem::parse(json) {
        ResultItem::Rejected(failure) => (failure.code, failure.detail),
        ResultItem::Record(record, _) => panic!("{json}: {record:?}"),
    }
}

const VENDOR: &str = r#"{ "dataSourceId": "648824a691d8d2503d65103e", "businessPartnerId": "63e635235c06b7396330fe40",
    "addressId": "address-id", "externalId": "The ID managed in the customer's SAP systems.", "addressExternalId": "1",
    "addressVersion": { "characterSet": { "technicalKey": "INTERNATIONAL" }, "language": { "technicalKey": "DE" } },
    "jobType": "DATA_CURATION_JOB", "resultData": "{'param1': 'value1'}", "status": "OK", "message": "Missing storageId.\"",
    "countryShortName": "CH", "processingStatus": { "technicalKey": "IN_PROGRESS", "modifiedAt": "2020-08-31T16:47+00:00" },
    "configuration": { "id": "c074b9f3-abf0-4f8e-9a20-74deb6cfa2a4", "version": "1" },
    "jobId": "35f23c03-1c22-45fe-9484-3ffe769325de", "unknown": 1 }"#;

#[test]
fn the_vendors_example_is_a_record() {
    let ResultItem::Record(record, ignored) = ResultItem::parse(VENDOR) else { panic!("valid") };
    assert_eq!(ignored, ["unknown"]);
    assert_eq!(record.identity.data_source_id(), Some("648824a691d8d2503d65103e"));
    assert_eq!(record.identity.business_partner_id(), Some("63e635235c06b7396330fe40"));
    assert_eq!(record.identity.external_id(), Some("The ID managed in the customer's SAP systems."));
    assert_eq!(record.country, Some(*b"CH"));
    let value: serde_json::Value = serde_json::from_str(&record.json).expect("JSON");
    assert_eq!(value["resultData"], "{'param1': 'value1'}");
    assert_eq!(value["processingStatus"]["modifiedAt"], "2020-08-31T16:47:00.000Z");
    assert_eq!(value["configuration"]["version"], 1);
    assert_eq!(value.get("jobId"), None);
    assert_eq!(read_result_data(&record.json).as_deref(), Some("{'param1': 'value1'}"));
}

#[test]
fn nulls_are_absent() {
    let record =
        record(r#"{"externalId": "a", "status": null, "resultData": null, "configuration": null, "jobId": null}"#);
    assert_eq!(record.json, r#"{"externalId":"a","status":"OK"}"#);
}

#[test]
fn bad_records_say_what_is_wrong() {
    let long = format!(r#"{{"externalId": "a", "resultData": "{}"}}"#, "x".repeat(65_536));
    assert_eq!(rejected(&long), ("too_long".into(), "resultData must have at most 65535 characters, has 65536".into()));
    for (json, code, field) in [
        (r#"{"dataSourceId": "a"}"#, "required", "businessPartnerId"),
        (r#"{"externalId": ""}"#, "too_short", "externalId"),
        (r#"{"externalId": "a\u0000"}"#, "invalid_characters", "externalId"),
        (r#"{"externalId": "\ud800"}"#, "invalid_characters", "externalId"),
        (r#"{"externalId": "a", "resultData": "\ud800"}"#, "invalid_characters", "resultData"),
        (r#"{"externalId": "a", "resultData": {}}"#, "wrong_type", "resultData"),
        (r#"{"externalId": 1}"#, "wrong_type", "externalId"),
        (r#"{"externalId": "a", "status": "GOOD"}"#, "wrong_type", "status"),
        (r#"{"externalId": "a", "countryShortName": "CHE"}"#, "invalid_format", "countryShortName"),
        (r#"{"externalId": "a", "jobType": "x"}"#, "invalid_format", "jobType"),
        (
            r#"{"externalId": "a", "processingStatus": {"technicalKey": "a", "modifiedAt": "x"}}"#,
            "wrong_type",
            "modifiedAt",
        ),
        ("42", "wrong_type", "record"),
    ] {
        let (found, detail) = rejected(json);
        assert_eq!(found, code, "{json}: {detail}");
        assert!(detail.contains(field), "{json}: {detail}");
    }
}

#[test]
fn lengths_are_characters_not_bytes() {
    let data = "ü".repeat(MAX_RESULT_DATA_CHARS);
    record(&format!(r#"{{"externalId": "a", "resultData": "{data}"}}"#));
    let escaped = "\\u00fc".repeat(MAX_RESULT_DATA_CHARS);
    record(&format!(r#"{{"externalId": "a", "resultData": "{escaped}"}}"#));
}

proptest! {
    #[test]
    fn what_is_written_is_read(external in "\\PC{1,40}", data in ".{0,60}", message in ".{0,20}") {
        let sent = JobResultDataUpsert {
            external_id: Some(external.clone()),
            result_data: Some(data.clone()),
            message: Some(message.clone()),
            ..Default::default()
        };
        let record = record(&serde_json::to_string(&sent).expect("JSON"));
        let read: JobResultDataUpsert = serde_json::from_str(&record.json).expect("JSON");
        prop_assert_eq!(read.external_id.as_deref(), Some(external.as_str()));
        prop_assert_eq!(read.result_data, Some(data));
        prop_assert_eq!(read.message, Some(message));
        prop_assert_eq!(record.identity.external_id(), Some(external.as_str()));
    }

    #[test]
    fn identities_are_equal_only_when_their_parts_are(
        a in prop::array::uniform7(prop::option::of("[ab]{1,2}")),
        b in prop::array::uniform7(prop::option::of("[ab]{1,2}")),
    ) {
        let identity = |parts: &[Option<String>; 7]| Identity::new(std::array::from_fn(|i| parts[i].as_deref()));
        prop_assert_eq!(identity(&a) == identity(&b), a == b);
    }
}
