use super::*;
use crate::validate::{Problems, Validate};

fn spec(json: &str) -> JobSpec {
    serde_json::from_str(json).unwrap_or_else(|e| panic!("{json}: {e}"))
}

fn errors(mut spec: JobSpec) -> Vec<String> {
    let mut problems = Problems::default();
    spec.validate(&mut problems);
    problems.into_result().err().map_or_else(Vec::new, |e| e.errors.into_iter().map(|e| e.pointer).collect())
}

#[test]
fn an_image_is_enough_and_nulls_are_absent() {
    let full = spec(r#"{"dockerImageUrl": "a", "commands": null, "labels": null, "priority": null, "name": null}"#);
    assert_eq!(errors(full), Vec::<String>::new());
    assert_eq!(errors(spec("{}")), ["/dockerImageUrl"]);
}

#[test]
fn limits_name_their_fields() {
    let mut many = spec(r#"{"dockerImageUrl": "a", "priority": "101", "type": "job", "cpuLimit": 0}"#);
    many.commands = vec![String::new(); 101];
    let variable = |name: &str| NameValue { name: name.into(), value: "x".repeat(MAX_TEXT_CHARS) };
    many.environment_variables = ["A=B", "C", "D", "E", "F", "G", "H", "I", "J"].map(variable).to_vec();
    let expected =
        ["/type", "/commands", "/environmentVariables", "/environmentVariables/0/name", "/cpuLimit", "/priority"];
    assert_eq!(errors(many), expected);
}

#[test]
fn types() {
    for known in KNOWN_TYPES {
        assert!(is_job_type(known), "{known}");
    }
    assert!(is_job_type("X_JOB"));
    assert!(is_job_type(&format!("{}_JOB", "A".repeat(63))));
    for wrong in ["_JOB", "JOB", "x_JOB", "1_JOB", "A-B_JOB", &format!("{}_JOB", "A".repeat(64))] {
        assert!(!is_job_type(wrong), "{wrong}");
    }
}

#[test]
fn secrets_are_masked() {
    let open = spec(
        r#"{"dockerImageUrl": "a", "environmentVariables": [{"name": "db_password", "value": "x"}, {"name": "A", "value": "y"}]}"#,
    );
    let values = |spec: JobSpec| spec.environment_variables.into_iter().map(|v| v.value).collect::<Vec<_>>();
    assert_eq!(values(open.clone().masked(false)), ["***", "y"]);
    assert_eq!(values(open.masked(true)), ["***", "***"]);
}

#[test]
fn webhooks_name_their_fields_and_hide_their_secrets() {
    let hooks = |json: &str| spec(&format!(r#"{{"dockerImageUrl": "a", "webhooks": {json}}}"#));
    let wrong = hooks(r#"[{"url": "https://a.example", "events": null}, {"url": "ftp://a"}, {"url": ""}]"#);
    assert_eq!(errors(wrong), ["/webhooks/1/url", "/webhooks/2/url"]);
    let long = format!(r#"[{{"url": "https://a.example/{}"}}]"#, "x".repeat(2048));
    assert_eq!(errors(hooks(&long)), ["/webhooks/0/url"]);
    let nine = [r#"{"url": "https://a.example"}"#; 9].join(",");
    assert_eq!(errors(hooks(&format!("[{nine}]"))), ["/webhooks"]);
    let secret = hooks(r#"[{"url": "https://a.example:8443/T0/B1?k=s"}]"#);
    assert_eq!(secret.clone().masked(false), secret);
    assert_eq!(secret.masked(true).webhooks[0].url, "https://a.example:8443/***");
}
