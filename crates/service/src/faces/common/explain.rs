//! Turns what the parser says into an error that a client can act on: the field, a stable word, and plain words.

use super::value::TWICE;
use docket_contract::{Code, Error, FieldError};
use serde_path_to_error::{Path, Segment};

/// Longest detail, in characters: it may quote what the client sent.
const MAX_DETAIL_CHARS: usize = 400;

/// The error for a request that could not be read at `path`.
pub(in crate::faces) fn explain(path: &Path, error: &serde_json::Error) -> Error {
    let reason = reason(error);
    let mut pointer = pointer(path);
    if !error.is_data() {
        return malformed(pointer, &reason, error);
    }
    if let Some(name) = between(&reason, "missing field `", "`") {
        push(&mut pointer, name);
        return field(pointer, "required", "is required");
    }
    if let Some(name) = between(&reason, "duplicate field `", "`") {
        push(&mut pointer, name);
        return field(pointer, "too_many", TWICE);
    }
    if let Some(known) = reason.strip_prefix("unknown variant `") {
        let (found, known) = known.rsplit_once("`, expected ").unwrap_or((known, "another one"));
        let known = known.trim_start_matches("one of ").replace('`', "");
        return field(pointer, "unknown_value", &format!("must be one of {known}, not {found}"));
    }
    for kind in ["invalid type: ", "invalid value: ", "invalid length "] {
        if let Some(rest) = reason.strip_prefix(kind) {
            let (found, expected) = rest.rsplit_once(", expected ").unwrap_or((rest, "of another kind"));
            let number = found.starts_with("integer") || found.starts_with("floating point");
            let code = if kind == "invalid value: " && number { "out_of_range" } else { "wrong_type" };
            return field(pointer, code, &format!("must be {}, not {}", plain(expected), plain(found)));
        }
    }
    let code = if reason == TWICE { "too_many" } else { "invalid_format" };
    field(pointer, code, &reason)
}

fn field(pointer: String, code: &str, detail: &str) -> Error {
    let name = if pointer.is_empty() { "The body" } else { pointer.trim_start_matches('/') };
    let detail = cut(&format!("{name} {detail}"));
    Error::field(pointer, code, detail)
}

fn malformed(pointer: String, reason: &str, error: &serde_json::Error) -> Error {
    let reason = if reason.contains("recursion limit") { "it is nested more than 127 levels deep" } else { reason };
    let detail = format!("The body is not valid JSON at line {} column {}: {reason}.", error.line(), error.column());
    let mut malformed = Error::new(Code::MalformedBody, cut(&detail));
    if !pointer.is_empty() {
        let text = ["surrogate", "unicode", "escape", "control character"].iter().any(|sign| reason.contains(sign));
        let code = if text { "invalid_characters" } else { "invalid_format" };
        malformed.errors.push(FieldError { pointer, code: code.to_owned(), detail: malformed.detail.clone() });
    }
    malformed
}

/// The parser's words without the place that it adds.
fn reason(error: &serde_json::Error) -> String {
    let mut reason = error.to_string();
    if let Some(place) = reason.rfind(" at line ") {
        reason.truncate(place);
    }
    reason
}

/// Names of types as JSON has them; a text of the client stays as it is.
fn plain(words: &str) -> &str {
    match words {
        "map" | "a map" => "an object",
        "sequence" | "a sequence" => "an array",
        _ if words.starts_with("struct ") => "an object",
        _ => words,
    }
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    text.strip_prefix(start)?.split(end).next()
}

fn pointer(path: &Path) -> String {
    let mut pointer = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => push(&mut pointer, &index.to_string()),
            Segment::Map { key } => push(&mut pointer, key),
            Segment::Enum { variant } => push(&mut pointer, variant),
            Segment::Unknown => {}
        }
    }
    pointer
}

/// Appends a step to a JSON pointer (RFC 6901).
fn push(pointer: &mut String, step: &str) {
    pointer.push('/');
    pointer.push_str(&step.chars().take(255).collect::<String>().replace('~', "~0").replace('/', "~1"));
}

fn cut(text: &str) -> String {
    match text.char_indices().nth(MAX_DETAIL_CHARS) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}
