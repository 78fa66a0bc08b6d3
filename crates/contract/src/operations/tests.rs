//! What must hold for every row of the table.

use super::*;
use crate::validate::Problems;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use utoipa::PartialSchema;

/// Walks the table: what must hold for every row, whatever is added.
#[derive(Default)]
struct Rules {
    names: BTreeSet<&'static str>,
    roads: BTreeSet<(&'static str, String)>,
    rows: usize,
}

impl Visitor for Rules {
    fn visit<O: Operation>(&mut self) {
        self.rows += 1;
        assert!(self.names.insert(O::NAME), "{} stands twice", O::NAME);
        // Two templates that differ only in a parameter's name are one road.
        let shape = O::PATH.split('/').map(|part| if part.starts_with('{') { "{}" } else { part });
        let road = (O::METHOD.name(), shape.collect::<Vec<_>>().join("/"));
        assert!(self.roads.insert(road), "{} has a path that is taken", O::NAME);
        assert!(!O::TITLE.is_empty() && O::DESCRIPTION.ends_with('.'), "{}", O::NAME);
        for code in O::ERRORS {
            assert!(!COMMON_ERRORS.contains(code), "{} repeats the common {code}", O::NAME);
        }

        assert!(!O::TAKES_FILE || O::METHOD == Method::Put && !O::SOAP, "{}", O::NAME);
        assert!(O::TRAILERS.is_empty() || O::GIVES_FILE, "{}: only a file has an end to be told of", O::NAME);
        assert!(!O::GIVES_FILE || O::METHOD == Method::Get && !O::SOAP, "{}", O::NAME);

        let (mut input, output) = O::example();
        let json = serde_json::to_value(&input).expect("an example is JSON");
        let mut problems = Problems::default();
        input.validate(&mut problems);
        problems.into_result().unwrap_or_else(|e| panic!("{}: the example is not valid: {e:?}", O::NAME));
        let text = json.to_string();
        let again: O::Input = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", O::NAME));
        assert_eq!(serde_json::to_value(&again).expect("JSON"), json, "{}", O::NAME);
        for part in O::PATH.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(json.get(part).is_some(), "{}: no input field {part}", O::NAME);
        }
        let in_body = |name: &&String| !O::PATH.contains(&format!("{{{name}}}")) && !O::QUERY.contains(&name.as_str());
        let members = json.as_object().into_iter().flatten().map(|(name, _)| name).filter(in_body);
        assert!(!O::TAKES_FILE || members.count() == 0, "{}: a file has no members", O::NAME);

        let has = |schema: &Value, name: &str| schema.pointer(&format!("/properties/{name}")).is_some();
        let takes = serde_json::to_value(O::Input::schema()).expect("a schema is JSON");
        let gives = serde_json::to_value(O::Output::schema()).expect("a schema is JSON");
        let paged = has(&takes, "startAfter") && has(&gives, "nextStartAfter") && has(&gives, "values");
        assert_eq!(O::PAGING.is_some(), paged, "{}", O::NAME);
        if let Some(feature) = O::PAGING.and_then(|paging| paging.feature) {
            let mut input = json.clone();
            input["featuresOn"] = json!([feature]);
            assert!(serde_json::from_value::<O::Input>(input).is_ok(), "{}: no feature {feature}", O::NAME);
        }

        for header in O::HEADERS {
            let (Header::Value { field, .. } | Header::Accepts { field, .. }) = header;
            assert!(has(&takes, field), "{}: no field {field}", O::NAME);
        }
        assert!(!(O::STREAMS && O::SOAP), "{}: an envelope can't stream", O::NAME);

        let first = serde_json::to_string(&output).expect("an example is JSON");
        let mut names = BTreeSet::new();
        for (place, (name, output)) in O::examples().iter().enumerate() {
            assert!(names.insert(*name), "{} has two examples {name}", O::NAME);
            let plain = |byte: u8| byte.is_ascii_lowercase() || byte == b'-';
            assert!(!name.is_empty() && name.bytes().all(plain), "{}: {name}", O::NAME);
            let text = serde_json::to_string(output).expect("an example is JSON");
            assert_eq!(text == first, place == 0, "{}: {name}", O::NAME);
            let again: O::Output = serde_json::from_str(&text).unwrap_or_else(|e| panic!("{}: {e}: {text}", O::NAME));
            assert_eq!(serde_json::to_string(&again).expect("JSON"), text, "{}: {name}", O::NAME);
        }
        assert!(!names.is_empty(), "{}", O::NAME);
    }
}

#[test]
fn every_row_keeps_the_rules() {
    let mut rules = Rules::default();
    walk(&mut rules);
    assert_eq!(rules.rows, rules.names.len());
    assert!(rules.names.contains("listJobRunResults"));
}
