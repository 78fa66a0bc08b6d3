//! Random answers that are true to the schema: every limit, format, pattern and enum of the operation's output holds,
//! and whatever the schema leaves open stays near the example. The same seed gives the same answer.

use crate::faces::openapi;
use docket_contract::operations::Operation;
use docket_contract::text::{ARGUMENT_PATTERN, ID_PATTERN};
use docket_contract::{Code, Error, Timestamp};
use fastrand::Rng;
use regex_syntax::hir::{Class, ClassUnicode, ClassUnicodeRange, Hir, HirKind};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use utoipa::{PartialSchema, ToSchema};

/// Deepest nesting; what lies deeper and may be absent is left out.
const MAX_DEPTH: usize = 8;
/// Most items of an array, unless the schema wants more.
const MOST_ITEMS: u64 = 3;
/// Most repetitions in a text made from a pattern, unless the pattern wants more.
const MOST_REPEATED: u32 = 8;
/// Texts that are made from a pattern until one has the right length.
const TRIES: usize = 50;
/// The time near which random times lie: that of the examples.
const ERA: i64 = 1_598_892_420_000;

/// A random output like `example`.
pub(super) fn vary<O: Operation>(example: &O::Output, seed: u64) -> Result<O::Output, Error> {
    let fail = |error: serde_json::Error| {
        tracing::error!(%error, operation = O::NAME, seed, "a random answer is none of the operation's");
        Error::new(Code::Internal, "The mock failed to make a random answer; its log has the reason.")
    };
    let mut found = Vec::new();
    O::Output::schemas(&mut found);
    let schemas = found.iter().map(|(name, schema)| (name.clone(), openapi::value(schema))).collect();
    let mut maker = Maker { schemas, random: Rng::with_seed(seed) };
    let example = serde_json::to_value(example).map_err(fail)?;
    let made = maker.make(&openapi::value(&O::Output::schema()), Some(&example), 0);
    serde_json::from_value(made).map_err(fail)
}

struct Maker {
    schemas: BTreeMap<String, Value>,
    random: Rng,
}

impl Maker {
    fn make(&mut self, schema: &Value, example: Option<&Value>, depth: usize) -> Value {
        let schema = self.plain(schema);
        let example = example.or(schema.get("example")).cloned();
        if let Some(values) = schema["enum"].as_array() {
            return self.random.choice(values).cloned().unwrap_or_default();
        }
        match kind(&schema) {
            "object" => self.object(&schema, example.as_ref(), depth),
            "array" => self.array(&schema, example.as_ref(), depth),
            "string" => Value::String(self.text(&schema, example.as_ref().and_then(Value::as_str))),
            "integer" => self.integer(&schema, example.as_ref().and_then(Value::as_i64)),
            "number" => self.number(&schema, example.as_ref().and_then(Value::as_f64)),
            "boolean" => Value::Bool(self.random.bool()),
            _ => example.unwrap_or_default(),
        }
    }

    /// A schema without references and unions: of a choice the first that is not null, all parts of a sum in one.
    fn plain(&self, schema: &Value) -> Value {
        let mut schema = schema.clone();
        for _ in 0..MAX_DEPTH {
            if let Some(name) = schema["$ref"].as_str().and_then(|path| path.rsplit('/').next()) {
                schema = self.schemas.get(name).cloned().unwrap_or_default();
            } else if let Some(choice) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
                schema = choice.iter().find(|one| one["type"] != "null").cloned().unwrap_or_default();
            } else if let Some(parts) = schema["allOf"].as_array() {
                schema = self.sum(parts);
            } else {
                break;
            }
        }
        schema
    }

    fn sum(&self, parts: &[Value]) -> Value {
        let (mut properties, mut required) = (Map::new(), Vec::new());
        for part in parts {
            let mut part = self.plain(part);
            if let Value::Object(members) = part["properties"].take() {
                properties.extend(members);
            }
            if let Value::Array(names) = part["required"].take() {
                required.extend(names);
            }
        }
        json!({"type": "object", "properties": properties, "required": required})
    }

    fn object(&mut self, schema: &Value, example: Option<&Value>, depth: usize) -> Value {
        let required = schema["required"].as_array().cloned().unwrap_or_default();
        let mut made = Map::new();
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            let shown = example.and_then(|example| example.get(name));
            let needed = required.iter().any(|required| required == name);
            if needed || depth < MAX_DEPTH && (shown.is_some() || self.random.bool()) {
                made.insert(name.clone(), self.make(member, shown, depth + 1));
            }
        }
        Value::Object(made)
    }

    fn array(&mut self, schema: &Value, example: Option<&Value>, depth: usize) -> Value {
        let least = schema["minItems"].as_u64().unwrap_or(0);
        let most = schema["maxItems"].as_u64().unwrap_or(MOST_ITEMS).min(MOST_ITEMS).max(least);
        let count = if depth < MAX_DEPTH { self.random.u64(least..=most) } else { least };
        let shown = example.and_then(Value::as_array).cloned().unwrap_or_default();
        let mut item = |_| {
            let shown = self.random.choice(&shown);
            self.make(&schema["items"], shown, depth + 1)
        };
        (0..count).map(&mut item).collect()
    }

    fn integer(&mut self, schema: &Value, example: Option<i64>) -> Value {
        let widest = if schema["format"] == "int64" { i64::MAX } else { i64::from(i32::MAX) };
        let near = example.unwrap_or(50).saturating_mul(2).saturating_add(10);
        let least = whole(&schema["minimum"]).unwrap_or(0);
        let most = whole(&schema["maximum"]).unwrap_or(near.clamp(least, widest.max(least)));
        json!(self.random.i64(least..=most.max(least)))
    }

    fn number(&mut self, schema: &Value, example: Option<f64>) -> Value {
        let least = schema["minimum"].as_f64().unwrap_or(0.0);
        let most = schema["maximum"].as_f64().unwrap_or(f64::INFINITY);
        let most = most.min(example.unwrap_or(10.0).abs() * 2.0 + 1.0).max(least);
        // Two decimals, as people write them, but never outside.
        let number = (least + self.random.f64() * (most - least)) * 100.0;
        json!((number.round() / 100.0).clamp(least, most))
    }

    fn text(&mut self, schema: &Value, example: Option<&str>) -> String {
        match schema["format"].as_str() {
            Some("date-time") => {
                let day = 24 * 60 * 60 * 1000;
                return Timestamp::from_millis(ERA + self.random.i64(0..90 * day)).to_string();
            }
            Some("uuid") => {
                return uuid::Builder::from_random_bytes(self.random.u128(..).to_le_bytes()).into_uuid().to_string();
            }
            _ => {}
        }
        let length = |name: &str| schema[name].as_u64().and_then(|length| usize::try_from(length).ok());
        let (least, most) = (length("minLength").unwrap_or(0), length("maxLength").unwrap_or(255));
        if let Some(pattern) = schema["pattern"].as_str()
            && let Some(text) = self.patterned(pattern, least..=most)
        {
            return text;
        }
        let text: String = self.respelled(example.unwrap_or("text")).chars().take(most).collect();
        let missing = least.saturating_sub(text.chars().count());
        text + &"x".repeat(missing)
    }

    /// The example with other digits, or a number behind it. JSON inside a text stays as it is: its reader expects it.
    fn respelled(&mut self, example: &str) -> String {
        if example.starts_with(['{', '[']) {
            return example.to_owned();
        }
        if !example.contains(|char: char| char.is_ascii_digit()) {
            let end = example.len() - example.chars().rev().take_while(|char| char.is_whitespace()).count();
            return format!("{} {}{}", &example[..end], self.random.u16(..), &example[end..]);
        }
        example.chars().map(|char| if char.is_ascii_digit() { self.random.digit(10) } else { char }).collect()
    }

    /// A text of such a length that a pattern matches; `None` if none is found soon, and for a pattern that says no more
    /// than "no control characters".
    fn patterned(&mut self, pattern: &str, length: RangeInclusive<usize>) -> Option<String> {
        if [ID_PATTERN, ARGUMENT_PATTERN].contains(&pattern) {
            return None;
        }
        let parsed = regex_syntax::Parser::new().parse(pattern).ok()?;
        let sample = |_| {
            let mut text = String::new();
            self.sample(&parsed, &mut text);
            text
        };
        (0..TRIES).map(sample).find(|text| length.contains(&text.chars().count()))
    }

    fn sample(&mut self, pattern: &Hir, text: &mut String) {
        match pattern.kind() {
            HirKind::Literal(literal) => text.push_str(&String::from_utf8_lossy(&literal.0)),
            HirKind::Class(Class::Unicode(class)) => text.extend(self.member(class)),
            HirKind::Repetition(repetition) => {
                let least = repetition.min;
                let most = repetition.max.unwrap_or(u32::MAX).min(least.max(MOST_REPEATED));
                for _ in 0..self.random.u32(least..=most) {
                    self.sample(&repetition.sub, text);
                }
            }
            HirKind::Capture(group) => self.sample(&group.sub, text),
            HirKind::Concat(parts) => parts.iter().for_each(|part| self.sample(part, text)),
            HirKind::Alternation(parts) => {
                if let Some(part) = self.random.choice(parts) {
                    self.sample(part, text);
                }
            }
            // Anchors: the text is all that there is. Classes of bytes are not in patterns of texts.
            HirKind::Empty | HirKind::Look(_) | HirKind::Class(Class::Bytes(_)) => {}
        }
    }

    /// A character of the class; a letter or digit where it has some.
    fn member(&mut self, class: &ClassUnicode) -> Option<char> {
        let plain = [('0', '9'), ('A', 'Z'), ('a', 'z')].map(|(from, to)| ClassUnicodeRange::new(from, to));
        let mut readable = class.clone();
        readable.intersect(&ClassUnicode::new(plain));
        let class = if readable.ranges().is_empty() { class } else { &readable };
        let range = self.random.choice(class.ranges())?;
        Some(self.random.char(range.start()..=range.end()))
    }
}

/// The type of a schema; of several the first that is not null.
fn kind(schema: &Value) -> &str {
    match &schema["type"] {
        Value::String(kind) => kind,
        Value::Array(kinds) => kinds.iter().filter_map(Value::as_str).find(|kind| *kind != "null").unwrap_or_default(),
        _ if schema["properties"].is_object() => "object",
        _ => "",
    }
}

/// A bound that may be written as a decimal number.
fn whole(bound: &Value) -> Option<i64> {
    // Bounds of the schemas are far below the precision of a double.
    bound.as_i64().or_else(|| bound.as_f64().map(|bound| bound as i64))
}
