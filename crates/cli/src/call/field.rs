//! The fields of an operation's input, as its schema tells: what they take, their limits, and how they are read from
//! the command line.

use crate::failure::Failure;
use docket_contract::Operation;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use utoipa::{PartialSchema, ToSchema};

/// What a field takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A text, given as it is.
    Text,
    /// A whole number.
    Integer,
    /// A number.
    Number,
    /// `true` or `false`.
    Boolean,
    /// Anything else: JSON.
    Json,
}

/// One field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What it takes; for a list what each item is.
    pub kind: Kind,
    /// Whether it may be given many times.
    pub list: bool,
    /// Whether it must be given.
    pub required: bool,
    /// Its limits, for people.
    pub limits: String,
    /// What it is for.
    pub description: String,
}

/// The fields of an operation, the required ones first.
pub fn fields<O: Operation>() -> Vec<Field> {
    let mut found = Vec::new();
    O::Input::schemas(&mut found);
    let json = |schema| serde_json::to_value(schema).unwrap_or_default();
    let known: BTreeMap<String, Value> = found.into_iter().map(|(name, schema)| (name, json(schema))).collect();
    let schema = json(O::Input::schema());
    let named = |name: &str| O::PATH.contains(&format!("{{{name}}}"));
    let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|one| one == name));
    let mut fields: Vec<Field> = schema["properties"]
        .as_object()
        .into_iter()
        .flatten()
        .map(|(name, schema)| Field::new(name, schema, &known, named(name) || required(name)))
        .collect();
    fields.sort_by_key(|field| !field.required);
    fields
}

impl Field {
    fn new(name: &str, schema: &Value, known: &BTreeMap<String, Value>, required: bool) -> Self {
        let (whole, own) = resolve(schema, known);
        let list = types(&whole).contains(&"array");
        let item = if list { resolve(&whole["items"], known).0 } else { whole.clone() };
        let kind = match types(&item)[..] {
            ["string"] => Kind::Text,
            ["integer"] => Kind::Integer,
            ["number"] => Kind::Number,
            ["boolean"] => Kind::Boolean,
            _ => Kind::Json,
        };
        let mut limits = limits(&item);
        if let (true, Some(most)) = (list, whole["maxItems"].as_u64()) {
            limits.insert(0, format!("at most {most} items"));
        }
        let description = own.or_else(|| Some(whole["description"].as_str()?.to_owned())).unwrap_or_default();
        Self { name: name.to_owned(), kind, list, required, limits: limits.join(", "), description }
    }

    /// The word for what it takes.
    pub fn takes(&self) -> &'static str {
        match (self.kind, self.list) {
            (Kind::Text, false) => "text",
            (Kind::Text, true) => "texts",
            (Kind::Integer, false) => "integer",
            (Kind::Integer, true) => "integers",
            (Kind::Number, false) => "number",
            (Kind::Number, true) => "numbers",
            (Kind::Boolean, false) => "true or false",
            (Kind::Boolean, true) => "true or false, many",
            (Kind::Json, false) => "JSON object",
            (Kind::Json, true) => "JSON objects",
        }
    }

    /// Adds what `name=text` says to the fields of a request.
    pub fn give(&self, text: &str, fields: &mut Map<String, Value>) -> Result<(), Failure> {
        if !self.list {
            return match fields.insert(self.name.clone(), self.read(text)?) {
                None => Ok(()),
                Some(_) => Err(Failure::usage(format!("{} takes one value and was given two", self.name))),
            };
        }
        // A whole list in one go, or one more item.
        let many = text.trim_start().starts_with('[').then(|| serde_json::from_str::<Vec<Value>>(text).ok()).flatten();
        let items = match many {
            Some(items) => items,
            None => vec![self.read(text)?],
        };
        let list = fields.entry(self.name.clone()).or_insert_with(|| Value::Array(Vec::new()));
        if let Value::Array(list) = list {
            list.extend(items);
        }
        Ok(())
    }

    fn read(&self, text: &str) -> Result<Value, Failure> {
        let wrong = |what: &str| Failure::usage(format!("{} takes {what}, not {text:?}", self.name));
        match self.kind {
            Kind::Text => Ok(Value::String(text.to_owned())),
            Kind::Integer => text.parse::<i64>().map(Value::from).map_err(|_| wrong("a whole number")),
            Kind::Number => serde_json::from_str(text).ok().filter(Value::is_number).ok_or_else(|| wrong("a number")),
            Kind::Boolean => text.parse::<bool>().map(Value::from).map_err(|_| wrong("true or false")),
            Kind::Json => serde_json::from_str(text).map_err(|error| wrong(&format!("JSON ({error})"))),
        }
    }
}

/// The schema that a reference or a choice with `null` stands for, and the description beside the reference.
fn resolve(schema: &Value, known: &BTreeMap<String, Value>) -> (Value, Option<String>) {
    let described = |schema: &Value| schema["description"].as_str().map(str::to_owned);
    let choice = schema["oneOf"].as_array().into_iter().flatten().find(|one| one["type"] != "null");
    let chosen = choice.unwrap_or(schema);
    let name = chosen["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    match name.and_then(|name| known.get(name)) {
        Some(target) => (target.clone(), described(chosen).or_else(|| described(schema))),
        None => (chosen.clone(), described(chosen)),
    }
}

/// The types of a schema, apart from `null`.
fn types(schema: &Value) -> Vec<&str> {
    match &schema["type"] {
        Value::String(one) => vec![one],
        Value::Array(many) => many.iter().filter_map(Value::as_str).filter(|one| *one != "null").collect(),
        _ => Vec::new(),
    }
}

fn limits(schema: &Value) -> Vec<String> {
    let number = |name: &str| schema.get(name).filter(|value| value.is_number()).map(Value::to_string);
    let range = |unit: &str, least: Option<String>, most: Option<String>| match (least, most) {
        (Some(least), Some(most)) => Some(format!("{least} to {most}{unit}")),
        (Some(least), None) => Some(format!("from {least}{unit}")),
        (None, Some(most)) => Some(format!("up to {most}{unit}")),
        (None, None) => None,
    };
    let mut limits = Vec::new();
    if let Some(values) = schema["enum"].as_array() {
        let values: Vec<_> = values.iter().filter_map(Value::as_str).collect();
        limits.push(format!("one of {}", values.join(", ")));
    }
    limits.extend(range(" characters", number("minLength"), number("maxLength")));
    limits.extend(range("", number("minimum"), number("maximum")));
    limits.extend(
        schema["format"].as_str().filter(|format| !format.starts_with("int") && *format != "double").map(str::to_owned),
    );
    // What ids may not hold is one rule for all of them, and not for people to read.
    limits.extend(
        schema["pattern"]
            .as_str()
            .filter(|pattern| pattern.is_ascii() && !pattern.contains("\\u"))
            .map(|pattern| format!("like {pattern}")),
    );
    limits.extend(
        schema
            .get("default")
            .filter(|value| value.is_number() || value.is_boolean())
            .map(|value| format!("default {value}")),
    );
    limits
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::operations::{ListJobs, StartJob};
    use serde_json::json;

    fn given(fields: &[Field], arguments: &[(&str, &str)]) -> Result<Value, String> {
        let mut given = Map::new();
        for (name, text) in arguments {
            let field = fields.iter().find(|field| field.name == *name).unwrap_or_else(|| panic!("{name}"));
            field.give(text, &mut given).map_err(|failure| failure.message)?;
        }
        Ok(Value::Object(given))
    }

    #[test]
    fn fields_are_read_as_their_schema_says() {
        let fields = fields::<StartJob>();
        assert_eq!(fields.iter().map(|field| field.required).filter(|required| *required).count(), 1);
        assert_eq!(fields[0].name, "dockerImageUrl");
        let read = given(
            &fields,
            &[
                ("dockerImageUrl", "7"),
                ("commands", "/bin/sh"),
                ("commands", r#"["-c","[x]"]"#),
                ("priority", "60"),
                ("cpuLimit", "0.5"),
                ("labels", r#"{"name":"a","value":"b"}"#),
                ("retry", r#"{"maxAttempts":1}"#),
                ("executor", "process"),
            ],
        );
        let expected = json!({"dockerImageUrl": "7", "commands": ["/bin/sh", "-c", "[x]"], "priority": 60, "cpuLimit": 0.5,
            "labels": [{"name": "a", "value": "b"}], "retry": {"maxAttempts": 1}, "executor": "process"});
        assert_eq!(read, Ok(expected));
        for (arguments, sign) in [
            (&[("priority", "high")][..], "priority takes a whole number"),
            (&[("cpuLimit", "NaN")], "cpuLimit takes a number"),
            (&[("labels", "a")], "labels takes JSON"),
            (&[("name", "a"), ("name", "b")], "name takes one value"),
        ] {
            let message = given(&fields, arguments).expect_err(sign);
            assert!(message.contains(sign), "{message}");
        }
    }

    #[test]
    fn limits_are_told() {
        let fields = fields::<ListJobs>();
        let limits = |name: &str| {
            let field = fields.iter().find(|field| field.name == name).unwrap_or_else(|| panic!("{name}"));
            format!("{}, {}", field.takes(), field.limits)
        };
        assert_eq!(limits("tags"), "texts, at most 50 items, 1 to 255 characters");
        assert_eq!(limits("limit"), "integer, from 1, default 100");
        assert!(limits("jobStatus").starts_with("texts, at most 50 items, one of UNKNOWN, CREATED, "));
    }
}
