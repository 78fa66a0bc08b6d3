//! The caller's own strings: ids of storages, organizations, data sources, business partners and the like.

/// Longest id, in characters (api.md section 1, ids).
pub const MAX_ID_CHARS: usize = 255;

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
        assert_eq!(check_id(&"ü".repeat(256)).unwrap_err().0, "too_long");
        assert_eq!(check_id("").unwrap_err().0, "too_short");
        assert_eq!(check_id("a\nb").unwrap_err().0, "invalid_characters");
        assert!(check_id("../../etc/passwd").is_ok(), "ids are never used in paths, so they may look like one");
    }
}
