//! Samples: for each operation and language a whole program that sends the operation's example and prints the answer.
//!
//! One template a language, and nothing of one operation: what differs comes from the table. A program reads the
//! server's address from `DOCKET_URL`, a key from `DOCKET_KEY`, and what the path names from variables such as `JOB_ID`;
//! a value of the example that stands in the path, too, follows the variable.

mod languages;
mod literal;

use crate::faces::openapi::FILE_EXAMPLE;
use docket_contract::Code;
use docket_contract::operations::{Method, Operation, Resource, Visitor, walk};
use serde_json::{Map, Value};

pub use self::languages::LANGUAGES;

/// Where the samples look for a server that nobody names.
pub const DEFAULT_URL: &str = "http://127.0.0.1:8080";

/// One program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    /// The language's name in file names and menus' ids.
    pub language: &'static str,
    /// The language's name as it is written.
    pub label: &'static str,
    /// The file's name, with the ending that the language wants.
    pub file: String,
    /// The text.
    pub code: String,
}

/// What the path names: given to a sample by an environment variable.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Variable {
    /// The parameter's name.
    pub parameter: String,
    /// The environment variable's.
    pub environment: String,
    /// The name in languages that write small letters with underscores.
    pub snake: String,
    /// The value of the example.
    pub example: String,
}

/// What a sample sends: the operation's example, taken apart.
#[derive(Clone, Debug)]
pub struct Example {
    /// The operation's name.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it belongs to.
    pub resource: Resource,
    /// Its method.
    pub method: Method,
    /// Its path template.
    pub path: &'static str,
    /// Whether the answer is JSON.
    pub json: bool,
    /// Whether the answer goes on.
    pub streams: bool,
    /// What the path names.
    pub variables: Vec<Variable>,
    /// The query; an array is repeated.
    pub query: Vec<(String, String)>,
    /// The members of the body.
    pub body: Option<Value>,
    /// The codes that the operation can answer with, besides those that any can.
    pub errors: &'static [Code],
}

impl Example {
    /// The example of an operation.
    pub fn of<O: Operation>() -> Self {
        let with_body = matches!(O::METHOD, Method::Post | Method::Put);
        let input = serde_json::to_value(O::example().0).unwrap_or_default();
        let (mut variables, mut query, mut body) = (Vec::new(), Vec::new(), Map::new());
        for (name, value) in input.as_object().cloned().unwrap_or_default() {
            if O::PATH.contains(&format!("{{{name}}}")) {
                let snake = snake(&name);
                let environment = snake.to_ascii_uppercase();
                variables.push(Variable { parameter: name, environment, snake, example: super::schema::plain(&value) });
            } else if !with_body || O::QUERY.contains(&name.as_str()) {
                let values = match value {
                    Value::Array(values) => values,
                    value => vec![value],
                };
                query.extend(values.iter().map(|value| (name.clone(), super::schema::plain(value))));
            } else {
                body.insert(name, value);
            }
        }
        Self {
            name: O::NAME,
            title: O::TITLE,
            method: O::METHOD,
            path: O::PATH,
            json: O::MEDIA_TYPE == "application/json",
            resource: O::RESOURCE,
            streams: O::STREAMS,
            variables,
            query,
            body: if O::TAKES_FILE {
                serde_json::from_str(FILE_EXAMPLE).ok()
            } else {
                with_body.then_some(Value::Object(body))
            },
            errors: O::ERRORS,
        }
    }

    /// The programs for a server, one a language.
    pub fn samples(&self, url: &str) -> Vec<Sample> {
        LANGUAGES
            .iter()
            .map(|language| Sample {
                language: language.name,
                label: language.label,
                file: (language.file)(self.name),
                code: (language.code)(self, url),
            })
            .collect()
    }

    fn variable(&self, value: &str) -> Option<&Variable> {
        self.variables.iter().find(|variable| variable.example == value)
    }
}

/// The example of every operation, in the order of the table.
pub fn examples() -> Vec<Example> {
    struct Collect(Vec<Example>);

    impl Visitor for Collect {
        fn visit<O: Operation>(&mut self) {
            self.0.push(Example::of::<O>());
        }
    }

    let mut collect = Collect(Vec::new());
    walk(&mut collect);
    collect.0
}

/// `jobId` as `job_id`.
fn snake(name: &str) -> String {
    let mut out = String::new();
    for char in name.chars() {
        if char.is_ascii_uppercase() && !out.is_empty() {
            out.push('_');
        }
        out.push(char.to_ascii_lowercase());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Check;

    impl Visitor for Check {
        fn visit<O: Operation>(&mut self) {
            let example = Example::of::<O>();
            let samples = example.samples("http://example.test:1");
            assert_eq!(samples.len(), LANGUAGES.len());
            for Sample { language, code, .. } in samples {
                let name = format!("{language} {}", O::NAME);
                assert!(code.contains("http://example.test:1") && code.contains("DOCKET_KEY"), "{name}: {code}");
                for variable in &example.variables {
                    // Once as the default of the variable; everywhere else the variable itself stands.
                    assert_eq!(code.matches(&variable.example).count(), 1, "{name}: {code}");
                    assert!(code.contains(&variable.environment), "{name}: {code}");
                }
                for (parameter, _) in &example.query {
                    assert!(code.contains(parameter.as_str()), "{name}: {parameter}: {code}");
                }
                for member in example.body.iter().flat_map(|body| body.as_object()).flat_map(Map::keys) {
                    assert!(code.contains(member.as_str()), "{name}: {member}: {code}");
                }
            }
        }
    }

    #[test]
    fn every_operation_has_a_sample_in_every_language() {
        walk(&mut Check);
    }
}
