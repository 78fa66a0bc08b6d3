//! Schemas as people read them: a name, a kind, limits in words, the values that are allowed.

use super::markdown;
use docket_contract::text::ID_PATTERN;
use serde_json::{Map, Value};

/// A part of a kind: words, and the schema that they name.
pub(super) struct Piece {
    pub(super) text: String,
    pub(super) schema: Option<String>,
}

/// A parameter, or a member of an object.
pub(super) struct Field {
    pub(super) name: String,
    pub(super) required: bool,
    pub(super) kind: Vec<Piece>,
    pub(super) limits: Vec<String>,
    pub(super) values: Vec<String>,
    pub(super) default: Option<String>,
    pub(super) example: Option<String>,
    /// HTML.
    pub(super) description: String,
}

/// The schemas of the document, by name.
#[derive(Clone, Copy)]
pub(super) struct Schemas<'a>(pub(super) &'a Value);

impl<'a> Schemas<'a> {
    pub(super) fn names(self) -> Vec<&'a str> {
        self.0.as_object().map(|schemas| schemas.keys().map(String::as_str).collect()).unwrap_or_default()
    }

    pub(super) fn get(self, name: &str) -> Option<&'a Value> {
        self.0.get(name)
    }

    fn follow(self, schema: &'a Value) -> &'a Value {
        let schema = present(schema);
        reference(schema).and_then(|name| self.get(name)).unwrap_or(schema)
    }

    /// The members of an object, the required ones first; those of its parts, too.
    pub(super) fn fields(self, schema: &'a Value) -> Vec<Field> {
        let mut fields = Vec::new();
        self.collect(schema, &mut fields);
        fields.sort_by_key(|field| !field.required);
        fields
    }

    fn collect(self, schema: &'a Value, fields: &mut Vec<Field>) {
        let schema = self.follow(schema);
        for part in schema["allOf"].as_array().into_iter().flatten() {
            self.collect(part, fields);
        }
        let required = |name: &str| schema["required"].as_array().is_some_and(|names| names.iter().any(|n| n == name));
        for (name, member) in schema["properties"].as_object().into_iter().flatten() {
            fields.push(self.field(name, required(name), member));
        }
    }

    /// One field.
    pub(super) fn field(self, name: &str, required: bool, schema: &'a Value) -> Field {
        let description = [schema, present(schema), self.follow(schema)]
            .iter()
            .find_map(|schema| schema["description"].as_str())
            .unwrap_or_default();
        let target = self.follow(schema);
        Field {
            name: name.to_owned(),
            required,
            kind: self.kind(schema),
            limits: self.limits(target),
            values: self.values(target),
            default: target.get("default").map(plain),
            example: schema.get("example").map(plain),
            description: markdown::inline(description),
        }
    }

    /// The values of an enumeration, or of an array of one.
    pub(super) fn values(self, schema: &'a Value) -> Vec<String> {
        let items = match schema.get("items") {
            Some(items) => self.follow(items),
            None => schema,
        };
        items["enum"].as_array().into_iter().flatten().map(plain).collect()
    }

    /// What kind of value it is.
    pub(super) fn kind(self, schema: &'a Value) -> Vec<Piece> {
        let schema = present(schema);
        if let Some(name) = reference(schema) {
            // A plain value with a name shows what it is; an object or a choice of values shows the name.
            let target = self.get(name).unwrap_or(&Value::Null);
            let plain = target.get("type").is_some_and(|kind| kind != "object") && target.get("enum").is_none();
            let text = match plain {
                true => self.kind(target).into_iter().map(|piece| piece.text).collect(),
                false => name.to_owned(),
            };
            return vec![Piece { text, schema: Some(name.to_owned()) }];
        }
        let word = |text: &str| vec![Piece { text: text.to_owned(), schema: None }];
        let kind = match &schema["type"] {
            Value::Array(kinds) => kinds.iter().find(|kind| *kind != "null").and_then(Value::as_str),
            kind => kind.as_str(),
        };
        match kind {
            Some("array") => {
                let mut pieces = word("array of ");
                pieces.extend(schema.get("items").map(|items| self.kind(items)).unwrap_or_default());
                pieces
            }
            Some(kind) => match schema["format"].as_str() {
                Some(format) => word(&format!("{kind} ({format})")),
                None => word(kind),
            },
            None => word("any value"),
        }
    }

    /// The limits, in words.
    pub(super) fn limits(self, schema: &'a Value) -> Vec<String> {
        let Some(schema) = schema.as_object() else { return Vec::new() };
        let mut limits = Vec::new();
        limits.extend(bounds(schema, "minLength", "maxLength", "character"));
        limits.extend(bounds(schema, "minItems", "maxItems", "item"));
        limits.extend(bounds(schema, "minimum", "maximum", ""));
        match schema.get("pattern").and_then(Value::as_str) {
            Some(ID_PATTERN) => limits.push("no control characters".to_owned()),
            // That an empty parameter counts as none is a rule for all of them.
            Some(pattern) => limits.push(format!("matches {}", pattern.strip_prefix("^$|").unwrap_or(pattern))),
            None => {}
        }
        if let Some(items) = schema.get("items") {
            let each = self.limits(self.follow(items));
            limits.extend((!each.is_empty()).then(|| format!("each: {}", each.join(", "))));
        }
        limits
    }
}

/// The schema itself where it is a choice between it and nothing.
fn present(schema: &Value) -> &Value {
    let choice = ["oneOf", "anyOf"].iter().find_map(|key| schema.get(key)?.as_array());
    choice.and_then(|choice| choice.iter().find(|one| one["type"] != "null")).unwrap_or(schema)
}

fn reference(schema: &Value) -> Option<&str> {
    schema["$ref"].as_str()?.rsplit('/').next()
}

/// A value as it is typed: a text without its quotes.
pub(super) fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn bounds(schema: &Map<String, Value>, least: &str, most: &str, unit: &str) -> Option<String> {
    let (least, most) = (schema.get(least).map(grouped), schema.get(most).map(grouped));
    let unit = |number: &str| match (unit, number) {
        ("", _) => String::new(),
        (unit, "1") => format!(" {unit}"),
        (unit, _) => format!(" {unit}s"),
    };
    Some(match (least, most) {
        (Some(least), Some(most)) if least == most => format!("exactly {most}{}", unit(&most)),
        (Some(least), Some(most)) => format!("{least} to {most}{}", unit(&most)),
        (Some(least), None) => format!("at least {least}{}", unit(&least)),
        (None, Some(most)) => format!("at most {most}{}", unit(&most)),
        (None, None) => return None,
    })
}

/// A number with its thousands apart.
fn grouped(number: &Value) -> String {
    let text = number.to_string();
    let digits = text.trim_end_matches(".0");
    if digits.len() < 5 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return digits.to_owned();
    }
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_are_in_words() {
        let schemas = json!({
            "Colour": {"type": "string", "enum": ["RED", "BLUE"], "description": "A colour."},
            "Base": {"properties": {"limit": {"type": ["integer", "null"], "format": "int32", "minimum": 1, "maximum": 65535,
                "default": 500}}},
            "Thing": {"allOf": [{"$ref": "#/components/schemas/Base"}, {"required": ["colours"], "properties": {
                "colours": {"type": "array", "maxItems": 1, "items": {"$ref": "#/components/schemas/Colour"}},
                "one": {"oneOf": [{"$ref": "#/components/schemas/Colour", "description": "Its `colour`."}, {"type": "null"}]},
                "name": {"type": "string", "minLength": 1, "maxLength": 255, "pattern": ID_PATTERN},
            }}]},
        });
        let schemas = Schemas(&schemas);
        let fields = schemas.fields(schemas.get("Thing").expect("there"));
        let shown: Vec<_> = fields
            .iter()
            .map(|f| {
                let kind: String = f.kind.iter().map(|piece| piece.text.as_str()).collect();
                format!(
                    "{} {} [{}] [{}] {:?} {}",
                    f.name,
                    kind,
                    f.limits.join("; "),
                    f.values.join(" "),
                    f.default,
                    f.description
                )
            })
            .collect();
        assert_eq!(
            shown,
            [
                "colours array of Colour [at most 1 item] [RED BLUE] None ",
                "limit integer (int32) [1 to 65,535] [] Some(\"500\") ",
                "name string [1 to 255 characters; no control characters] [] None ",
                "one Colour [] [RED BLUE] None Its <code>colour</code>.",
            ]
        );
    }
}
