use super::*;

fn walk_json(value: &Value, visit: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| {
            visit(key, value);
            walk_json(value, visit);
        }),
        Value::Array(items) => items.iter().for_each(|item| walk_json(item, visit)),
        _ => {}
    }
}

#[test]
fn every_reference_resolves() {
    let document = document();
    let mut references = 0;
    walk_json(document, &mut |key, value| {
        if let ("$ref", Some(reference)) = (key, value.as_str()) {
            references += 1;
            let pointer = reference.strip_prefix('#').expect("a local reference");
            assert!(document.pointer(pointer).is_some(), "{reference}");
        }
    });
    assert!(references > 100);
}

struct Check(Value);

impl Visitor for Check {
    fn visit<O: Operation>(&mut self) {
        let operation = &self.0["paths"][O::PATH][O::METHOD.name().to_ascii_lowercase()];
        assert_eq!(operation["operationId"], O::NAME);
        assert_eq!(operation["x-docket-role"], O::ROLE.name());
        assert_eq!(operation.get("deprecated").is_some(), O::DEPRECATED);
        let ok = &operation["responses"]["200"];
        for (name, output) in O::examples() {
            let example = &ok["content"][O::MEDIA_TYPE]["examples"][name]["value"];
            assert_eq!(*example, serde_json::to_value(output).expect("JSON"), "{}: {name}", O::NAME);
        }
        for code in codes::<O>() {
            let response = &operation["responses"][code.status().to_string()];
            let example = &response["content"]["application/problem+json"]["examples"][code.name()]["value"];
            let problem: Problem = serde_json::from_value(example.clone()).expect("a problem");
            assert_eq!((problem.code, problem.instance.as_str()), (code, O::PATH), "{}", O::NAME);
        }
        let parameters = operation["parameters"].as_array().expect("parameters");
        let named = |name: &str, place: &str| parameters.iter().any(|p| p["name"] == name && p["in"] == place);
        for part in O::PATH.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
            assert!(named(part, "path"), "{}: {part}", O::NAME);
        }
        for name in O::QUERY {
            assert!(named(name, "query"), "{}: {name}", O::NAME);
        }
        for header in O::HEADERS {
            if let Header::Value { header, field } = header {
                assert!(named(header, "header") && named(field, "query"), "{}: {header}", O::NAME);
            }
        }
        for other in O::OTHER_MEDIA_TYPES {
            assert!(ok["content"].get(other).is_some(), "{}: {other}", O::NAME);
        }
        // Whatever the example gives stands in exactly one place.
        let example = serde_json::to_value(O::example().0).expect("JSON");
        let body = &operation["requestBody"]["content"]["application/json"]["example"];
        for (name, value) in example.as_object().expect("an object") {
            let as_parameter = named(name, "path") || named(name, "query");
            assert_ne!(as_parameter, body.get(name) == Some(value), "{}: {name}", O::NAME);
        }
        let schema = value(&O::Input::schema());
        let members = schema["properties"].as_object().into_iter().flatten().map(|(name, _)| name);
        let in_body = members.filter(|name| !named(name, "path") && !named(name, "query")).count() > 0;
        let with_body = matches!(O::METHOD, Method::Post | Method::Put) && (in_body || O::TAKES_FILE);
        assert_eq!(operation.get("requestBody").is_some(), with_body, "{}", O::NAME);
        assert_eq!(named("Idempotency-Key", "header"), O::METHOD == Method::Post, "{}", O::NAME);
    }
}

#[test]
fn every_row_of_the_table_is_described() {
    let mut check = Check(document().clone());
    walk(&mut check);
}

#[test]
fn parameters_are_never_null() {
    let document = document();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for operation in item.as_object().expect("operations").values() {
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                let text = parameter["schema"].to_string();
                assert!(!text.contains("null"), "{path}: {text}");
            }
        }
    }
    let codes: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    assert_eq!(document["components"]["schemas"]["Code"]["enum"], json!(codes));
    assert_eq!(document["components"]["schemas"]["InsertJobResultsRequest"]["required"], json!(["results"]));
    let limit = &document["components"]["schemas"]["InsertJobResultsRequest"]["properties"]["results"]["maxItems"];
    assert_eq!(limit, 1000);
}
