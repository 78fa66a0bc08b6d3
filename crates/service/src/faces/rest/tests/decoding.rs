//! The decoder by itself: whatever an input is written as, it reads back.

use crate::faces::common::decode::{Decoded, decode};
use crate::faces::common::params::{Params, Shape};
use docket_contract::operations::*;
use docket_contract::result::ResultStatus;
use docket_contract::{Error, JobId};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::prelude::*;
use serde_json::{Map, Value};

/// Decodes a request of one operation.
fn read<O: Operation>(path: &str, query: &str, body: Option<&[u8]>) -> Result<Decoded<O::Input>, Error> {
    let shape = Shape::of::<O>();
    let params = Params::read(&shape, path, Some(query))?;
    decode(&shape, &params, body)
}

fn escape(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Writes an input as a client does. `commas` writes arrays in one piece.
fn write<O: Operation>(input: &O::Input, commas: bool) -> (String, String, Option<Vec<u8>>) {
    let Ok(Value::Object(members)) = serde_json::to_value(input) else { panic!("an object") };
    let (mut path, mut query, mut body) = (O::PATH.to_owned(), Vec::new(), Map::new());
    let has_body = matches!(O::METHOD, Method::Post | Method::Put);
    for (name, value) in members {
        let place = format!("{{{name}}}");
        if path.contains(&place) {
            path = path.replace(&place, &escape(&text(&value)));
        } else if has_body && !O::QUERY.contains(&name.as_str()) {
            body.insert(name, value);
        } else if let Value::Array(items) = &value {
            let items: Vec<_> = items.iter().map(|item| escape(&text(item))).collect();
            if commas && !O::LITERAL.contains(&name.as_str()) {
                query.push(format!("{name}={}", items.join(",")));
            } else {
                query.extend(items.iter().map(|item| format!("{name}={item}")));
            }
        } else {
            query.push(format!("{name}={}", escape(&text(&value)).replace("%20", "+")));
        }
    }
    (path, query.join("&"), has_body.then(|| Value::Object(body).to_string().into_bytes()))
}

/// Writes and reads back, by JSON because not every input can be compared.
fn survives<O: Operation>(input: &O::Input, commas: bool) -> Result<(), TestCaseError> {
    let (path, query, body) = write::<O>(input, commas);
    let read = read::<O>(&path, &query, body.as_deref());
    let read = read.map_err(|e| TestCaseError::fail(format!("{path}?{query}: {e:?}")))?;
    prop_assert_eq!(serde_json::to_value(&read.input).ok(), serde_json::to_value(input).ok());
    prop_assert_eq!(read.ignored, Vec::<String>::new());
    Ok(())
}

#[test]
fn every_example_survives() {
    struct Examples;
    impl Visitor for Examples {
        fn visit<O: Operation>(&mut self) {
            for commas in [false, true] {
                survives::<O>(&O::example().0, commas).unwrap_or_else(|e| panic!("{}: {e}", O::NAME));
            }
        }
    }
    walk(&mut Examples);
}

fn some_text() -> impl Strategy<Value = Option<String>> {
    prop::option::of("\\PC{1,20}")
}

/// Items of an array that is split at commas.
fn items() -> impl Strategy<Value = Vec<String>> {
    prop::collection::vec("[^,]{1,10}", 0..5)
}

prop_compose! {
    fn list_results()(
        job in any::<u128>(),
        storage_id in "\\PC{1,20}",
        business_partner_id in items(),
        external_id in prop::collection::vec("\\PC{1,10}", 2..5),
        data_source_id in some_text(),
        start_after in some_text(),
        feature in any::<bool>(),
        failed in any::<bool>(),
        limit in prop::option::of(any::<i32>()),
        include_result_data_fields in items(),
    ) -> ListJobRunResultsInput {
        ListJobRunResultsInput {
            job_id: JobId(uuid::Uuid::from_u128(job)),
            storage_id,
            business_partner_id,
            data_source_id,
            external_id,
            start_after,
            features_on: if feature { vec![ResultsFeature::UseNextStartAfter] } else { Vec::new() },
            job_result_status: failed.then_some(ResultStatus::Failed),
            limit,
            include_result_data_fields,
        }
    }
}

prop_compose! {
    fn update()(
        job in any::<u128>(),
        name in some_text(),
        description in prop::option::of(any::<String>()),
        tags in prop::option::of(prop::collection::vec(any::<String>(), 0..4)),
        priority in prop::option::of(any::<i32>()),
        status_message in prop::option::of(any::<String>()),
        attempt in prop::option::of(any::<i32>()),
    ) -> UpdateJobInput {
        let job_id = JobId(uuid::Uuid::from_u128(job));
        UpdateJobInput {
            job_id, name, description, labels: None, tags, priority, progress: None, status_message, attempt,
        }
    }
}

proptest! {
    #[test]
    fn queries_survive(input in list_results(), commas in any::<bool>()) {
        survives::<ListJobRunResults>(&input, commas)?;
    }

    #[test]
    fn bodies_survive(input in update()) {
        survives::<UpdateJob>(&input, false)?;
    }

    #[test]
    fn records_survive(ids in prop::collection::vec("\\PC{1,20}", 0..20), data in any::<String>()) {
        let results: Vec<_> = ids.iter().map(|id| serde_json::json!({"externalId": id, "resultData": data})).collect();
        let body = serde_json::json!({"results": results}).to_string();
        let read = read::<InsertJobResults>("/jobs/x/results", "storageId=s", Some(body.as_bytes()));
        let back = serde_json::to_value(&read.expect("valid").input).expect("JSON");
        for (record, id) in back["results"].as_array().expect("an array").iter().zip(&ids) {
            prop_assert_eq!(record["externalId"].as_str(), Some(id.as_str()));
            prop_assert_eq!(record["resultData"].as_str(), Some(data.as_str()));
        }
        prop_assert_eq!(back["results"].as_array().map(Vec::len), Some(ids.len()));
    }

    #[test]
    fn damage_is_an_error_of_the_client(
        at in any::<prop::sample::Index>(),
        byte in any::<u8>(),
        cut in any::<bool>(),
        query in "[a-zA-Z=&%+,0-9\\[\\]]{0,40}",
    ) {
        let (path, _, body) = write::<StartJob>(&StartJob::example().0, false);
        let mut body = body.expect("a body");
        let place = at.index(body.len());
        if cut { body.truncate(place) } else { body[place] = byte }
        if let Err(error) = read::<StartJob>(&path, "", Some(&body)) {
            prop_assert_eq!(error.code.status(), 400);
            prop_assert!(!error.detail.is_empty());
        }
        if let Err(error) = read::<ListJobs>("/jobs", &query, None) {
            prop_assert_eq!(error.code.status(), 400);
            prop_assert!(!error.errors.is_empty());
        }
    }
}

#[test]
fn quoted_numbers_and_marks_are_read() {
    let body = b"\xef\xbb\xbf {\"priority\": \"60\", \"dockerImageUrl\": \"a\", \"cpuLimit\": \"0.5\"}";
    let spec = read::<StartJob>("/jobs", "", Some(body)).expect("valid").input;
    assert_eq!((spec.priority, spec.cpu_limit), (Some(60), Some(0.5)));
}

#[test]
fn ignored_names_are_bounded_and_given_once() {
    let many: Vec<_> = (0..500).map(|n| format!("\"x{n}\": 1")).collect();
    let read = read::<StartJob>("/jobs", "y=1&y=2", Some(format!("{{{}}}", many.join(",")).as_bytes()));
    let ignored = read.expect("valid").ignored;
    assert_eq!(ignored.len(), 50);
    assert_eq!(&ignored[..2], ["y", "x0"]);
}
