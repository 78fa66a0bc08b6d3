//! The caller's own strings: ids of storages, organizations, data sources, business partners and the like.

use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// What [`check_id`] lets through besides the length, as a regular expression.
pub const ID_PATTERN: &str = r"^[^\u0000-\u001F\u007F-\u009F]*$";

/// Longest id, in characters (api.md section 1, ids).
pub const MAX_ID_CHARS: usize = 255;

/// The schema of an id in an array; values are plain strings.
#[derive(Debug)]
pub struct Id;

impl PartialSchema for Id {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("The caller's own string: any Unicode but control characters."))
            .min_length(Some(1))
            .max_length(Some(MAX_ID_CHARS))
            .pattern(Some(ID_PATTERN))
            .into()
    }
}

impl ToSchema for Id {}

/// A text without the character NUL, as a regular expression: what a process can be given.
pub const ARGUMENT_PATTERN: &str = r"^[^\u0000]*$";

/// The schema of an argument of a command; values are plain strings.
#[derive(Debug)]
pub struct Argument;

impl PartialSchema for Argument {
    fn schema() -> RefOr<Schema> {
        ObjectBuilder::new()
            .schema_type(Type::String)
            .description(Some("An argument: any Unicode but the character NUL."))
            .max_length(Some(65_535))
            .pattern(Some(ARGUMENT_PATTERN))
            .into()
    }
}

impl ToSchema for Argument {}

/// Why a text is not acceptable: a code for programs and a sentence that names the limit and what was found.
pub type TextError = (&'static str, String);

/// Checks an id: 1 to 255 characters, any Unicode but control characters.
pub fn check_id(value: &str) -> Result<(), TextError> {
    check_text(value, 1, MAX_ID_CHARS)?;
    if value.chars().any(char::is_control) {
        return Err(("invalid_characters", "must not hold control characters".to_owned()));
    }
    Ok(())
}

/// Checks a length in characters.
pub fn check_text(value: &str, min: usize, max: usize) -> Result<(), TextError> {
    // A character takes at least one byte: most texts need no count.
    if value.len() >= min.max(1) && value.len() <= max {
        return Ok(());
    }
    let chars = value.chars().count();
    if chars < min {
        Err(("too_short", format!("must have at least {min} characters, has {chars}")))
    } else if chars > max {
        Err(("too_long", format!("must have at most {max} characters, has {chars}")))
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_counted_in_characters() {
        assert!(check_id(&"ü".repeat(255)).is_ok());
        assert_eq!(check_id(&"ü".repeat(256)).expect_err("refused").0, "too_long");
        assert_eq!(check_id("").expect_err("refused").0, "too_short");
        assert_eq!(check_id("a\nb").expect_err("refused").0, "invalid_characters");
        assert!(check_id("../../etc/passwd").is_ok(), "ids are never used in paths, so they may look like one");
    }
}
