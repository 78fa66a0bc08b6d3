//! Values as they are written in the languages of the samples.

use super::{Example, Variable};
use serde_json::Value;

/// How a language writes what JSON has.
pub(super) struct Dialect {
    pub(super) null: &'static str,
    pub(super) yes: &'static str,
    pub(super) no: &'static str,
    /// A text, with its quotes.
    pub(super) text: fn(&str) -> String,
    /// A member's name.
    pub(super) key: fn(&str) -> String,
    /// What the path names, where a text stands.
    pub(super) variable: fn(&Variable) -> String,
}

/// The value over lines; the first line is not indented.
pub(super) fn literal(value: &Value, example: &Example, dialect: &Dialect, step: &str, indent: &str) -> String {
    let inner = format!("{indent}{step}");
    let list = |items: Vec<String>, open: &str, close: &str| match items.is_empty() {
        true => format!("{open}{close}"),
        false => format!("{open}\n{inner}{}\n{indent}{close}", items.join(&format!(",\n{inner}"))),
    };
    match value {
        Value::Null => dialect.null.to_owned(),
        Value::Bool(true) => dialect.yes.to_owned(),
        Value::Bool(false) => dialect.no.to_owned(),
        Value::Number(number) => number.to_string(),
        Value::String(text) => match example.variable(text) {
            Some(variable) => (dialect.variable)(variable),
            None => (dialect.text)(text),
        },
        Value::Array(items) if items.iter().all(|item| item.is_string() || item.is_number()) => {
            let items: Vec<_> = items.iter().map(|item| literal(item, example, dialect, step, &inner)).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Array(items) => {
            list(items.iter().map(|item| literal(item, example, dialect, step, &inner)).collect(), "[", "]")
        }
        Value::Object(members) => {
            let member = |(name, value): (&String, &Value)| {
                format!("{}: {}", (dialect.key)(name), literal(value, example, dialect, step, &inner))
            };
            list(members.iter().map(member).collect(), "{", "}")
        }
    }
}

/// A text as JSON, which is also a text of Python, JavaScript and Java.
pub(super) fn json(text: &str) -> String {
    Value::from(text).to_string()
}

/// JSON with `quote` around what is a variable, and `escape` for the texts.
pub(super) const JSON: Dialect =
    Dialect { null: "null", yes: "true", no: "false", text: json, key: json, variable: |v| json(&v.example) };

pub(super) const PYTHON: Dialect =
    Dialect { null: "None", yes: "True", no: "False", variable: |v| v.snake.clone(), ..JSON };

pub(super) const JAVASCRIPT: Dialect = Dialect {
    variable: |v| v.parameter.clone(),
    key: |name| if name.bytes().all(|byte| byte.is_ascii_alphanumeric()) { name.to_owned() } else { json(name) },
    ..JSON
};

pub(super) const RUST: Dialect = Dialect {
    text: |text| format!("{text:?}"),
    key: |name| format!("{name:?}"),
    variable: |v| v.snake.clone(),
    ..JSON
};

/// JSON in a document of the shell, in which variables count.
pub(super) const SHELL: Dialect = Dialect {
    text: |text| shell(&json(text)),
    key: |name| shell(&json(name)),
    variable: |v| format!("\"${}\"", v.snake),
    ..JSON
};

/// JSON in a text block of Java; the variable is put in afterwards.
pub(super) const JAVA_BLOCK: Dialect =
    Dialect { text: |text| json(text).replace('\\', "\\\\"), variable: |v| format!("\"{{{}}}\"", v.parameter), ..JSON };

/// JSON in a raw text of Kotlin.
pub(super) const KOTLIN_BLOCK: Dialect = Dialect {
    text: |text| json(text).replace('$', "${'$'}"),
    key: |name| json(name).replace('$', "${'$'}"),
    variable: |v| format!("\"${}\"", v.parameter),
    ..JSON
};

fn shell(text: &str) -> String {
    text.replace('\\', "\\\\").replace('$', "\\$").replace('`', "\\`")
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::operations::{Method, Resource};
    use serde_json::json;

    #[test]
    fn texts_are_quoted_as_each_language_wants() {
        let variable = Variable {
            parameter: "jobId".into(),
            environment: "JOB_ID".into(),
            snake: "job_id".into(),
            example: "35f2".into(),
        };
        let example = Example {
            name: "x",
            title: "X",
            method: Method::Post,
            path: "/jobs/{jobId}",
            json: true,
            resource: Resource::Jobs,
            streams: false,
            variables: vec![variable],
            query: Vec::new(),
            body: None,
            errors: &[],
        };
        let value = json!({"a": ["$b", "\"\u{1f}\\"], "e": {}, "i": "35f2", "o": {"t": true, "z": null}});
        let line = |dialect: &Dialect| literal(&value, &example, dialect, "", "").replace('\n', "");
        for (dialect, expected) in [
            (&JSON, r#"{"a": ["$b", "\"\u001f\\"],"e": {},"i": "35f2","o": {"t": true,"z": null}}"#),
            (&PYTHON, r#"{"a": ["$b", "\"\u001f\\"],"e": {},"i": job_id,"o": {"t": True,"z": None}}"#),
            (&JAVASCRIPT, r#"{a: ["$b", "\"\u001f\\"],e: {},i: jobId,o: {t: true,z: null}}"#),
            (&RUST, r#"{"a": ["$b", "\"\u{1f}\\"],"e": {},"i": job_id,"o": {"t": true,"z": null}}"#),
            (&SHELL, r#"{"a": ["\$b", "\\"\\u001f\\\\"],"e": {},"i": "$job_id","o": {"t": true,"z": null}}"#),
            (&JAVA_BLOCK, r#"{"a": ["$b", "\\"\\u001f\\\\"],"e": {},"i": "{jobId}","o": {"t": true,"z": null}}"#),
            (&KOTLIN_BLOCK, r#"{"a": ["${'$'}b", "\"\u001f\\"],"e": {},"i": "$jobId","o": {"t": true,"z": null}}"#),
        ] {
            assert_eq!(line(dialect), expected);
        }
    }
}
