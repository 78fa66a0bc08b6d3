//! Walks over JSON bytes without reading them: from a position to the one behind a token or a value.
//!
//! The bytes may be a piece of a longer text: what ends too early is told apart from what is wrong.

/// Why a value was not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    /// The bytes end within it.
    Incomplete,
    /// It is not what the schema says.
    Wrong,
}

/// The position behind what was walked over.
pub(super) type Step = Result<usize, Stop>;

pub(super) fn skip_space(json: &[u8], mut at: usize) -> usize {
    while let Some(b' ' | b'\t' | b'\n' | b'\r') = json.get(at) {
        at += 1;
    }
    at
}

pub(super) fn expect(json: &[u8], at: usize, byte: u8) -> Step {
    match json.get(at) {
        None => Err(Stop::Incomplete),
        Some(found) if *found == byte => Ok(at + 1),
        Some(_) => Err(Stop::Wrong),
    }
}

pub(super) fn literal(json: &[u8], at: usize, word: &[u8]) -> Step {
    match json.get(at..at + word.len()) {
        Some(found) if found == word => Ok(at + word.len()),
        Some(_) => Err(Stop::Wrong),
        None => Err(Stop::Incomplete),
    }
}

/// The end of a number, a boolean or `null`.
pub(super) fn scalar_end(json: &[u8], at: usize) -> Step {
    let length = json[at..].iter().position(|byte| !byte.is_ascii_alphanumeric() && !b"+-.".contains(byte));
    match length {
        None => Err(Stop::Incomplete),
        Some(0) => Err(Stop::Wrong),
        Some(length) => Ok(at + length),
    }
}

/// The end of a string whose content begins at `at`: behind its quotation mark.
pub(super) fn string_end(json: &[u8], mut at: usize) -> Step {
    loop {
        let found = memchr::memchr2(b'"', b'\\', json.get(at..).unwrap_or_default()).ok_or(Stop::Incomplete)?;
        at += found;
        if json[at] == b'"' {
            return Ok(at + 1);
        }
        at += 2;
    }
}

/// The end of any value.
pub(super) fn skip_value(json: &[u8], at: usize) -> Step {
    let mut at = at;
    let mut depth = 0_usize;
    loop {
        at = skip_space(json, at);
        match json.get(at) {
            None => return Err(Stop::Incomplete),
            Some(b'"') => at = string_end(json, at + 1)?,
            Some(b'{' | b'[') => {
                depth += 1;
                at += 1;
                continue;
            }
            Some(b'}' | b']') => {
                depth = depth.checked_sub(1).ok_or(Stop::Wrong)?;
                at += 1;
            }
            Some(b',' | b':') if depth > 0 => {
                at += 1;
                continue;
            }
            // A number at the very end of a piece may go on in the next one.
            Some(_) => at = scalar_end(json, at)?,
        }
        if depth == 0 {
            return Ok(at);
        }
    }
}
