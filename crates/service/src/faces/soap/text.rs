//! Texts of JSON as texts of XML.
//!
//! XML 1.0 has no control characters but tab, line feed and carriage return, and no U+FFFE and U+FFFF: each is replaced
//! by U+FFFD.

use super::scan::{Step, Stop};

/// What stands for a character that XML does not have.
pub(super) const REPLACEMENT: &str = "\u{fffd}";

/// A text as it stands between tags.
pub(in crate::faces) fn text(text: &str, out: &mut Vec<u8>) {
    let mut run = 0;
    for (at, char) in text.char_indices() {
        let escape = match char {
            '<' => "&lt;",
            '>' => "&gt;",
            '&' => "&amp;",
            '"' => "&quot;",
            '\r' => "&#13;",
            '\t' | '\n' => continue,
            char if !super::xml::is_char(char) => REPLACEMENT,
            _ => continue,
        };
        out.extend_from_slice(&text.as_bytes()[run..at]);
        out.extend_from_slice(escape.as_bytes());
        run = at + char.len_utf8();
    }
    out.extend_from_slice(&text.as_bytes()[run..]);
}

/// What a byte of a JSON string needs in XML.
const fn classes() -> [u8; 256] {
    let mut classes = [0; 256];
    let special = b"\"\\<>&\r\xef";
    let mut at = 0;
    while at < special.len() {
        classes[special[at] as usize] = special[at];
        at += 1;
    }
    classes
}
const CLASSES: [u8; 256] = classes();

/// The string whose content begins at `at` as a text; answers where it ends, behind its quotation mark.
pub(super) fn string(json: &[u8], mut at: usize, out: &mut Vec<u8>) -> Step {
    loop {
        let run = at;
        let rest = json.get(at..).unwrap_or_default();
        at += rest.iter().position(|byte| CLASSES[usize::from(*byte)] != 0).ok_or(Stop::Incomplete)?;
        out.extend_from_slice(&json[run..at]);
        match json[at] {
            b'"' => return Ok(at + 1),
            b'\\' => {
                at = escape(json, at, out)?;
                continue;
            }
            0xef => match json.get(at..at + 3) {
                None => return Err(Stop::Incomplete),
                Some([_, 0xbf, 0xbe | 0xbf]) => out.extend_from_slice(REPLACEMENT.as_bytes()),
                Some(char) => out.extend_from_slice(char),
            },
            byte => out.extend_from_slice(entity(byte)),
        }
        at += if json[at] == 0xef { 3 } else { 1 };
    }
}

fn entity(byte: u8) -> &'static [u8] {
    match byte {
        b'<' => b"&lt;",
        b'>' => b"&gt;",
        b'&' => b"&amp;",
        _ => b"&#13;",
    }
}

/// The escape at `at`.
fn escape(json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    match json.get(at + 1) {
        None => return Err(Stop::Incomplete),
        Some(byte @ (b'"' | b'\\' | b'/')) => out.push(*byte),
        Some(b'n') => out.push(b'\n'),
        Some(b't') => out.push(b'\t'),
        Some(b'r') => out.extend_from_slice(b"&#13;"),
        Some(b'b' | b'f') => out.extend_from_slice(REPLACEMENT.as_bytes()),
        Some(b'u') => return unicode(json, at, out),
        Some(_) => return Err(Stop::Wrong),
    }
    Ok(at + 2)
}

/// The escape `\uXXXX` at `at`, or the two that stand for one character.
fn unicode(json: &[u8], at: usize, out: &mut Vec<u8>) -> Step {
    let unit = |at: usize| {
        let digits = json.get(at + 2..at + 6).ok_or(Stop::Incomplete)?;
        let digits = std::str::from_utf8(digits).map_err(|_| Stop::Wrong)?;
        u16::from_str_radix(digits, 16).map_err(|_| Stop::Wrong)
    };
    let first = unit(at)?;
    let mut end = at + 6;
    let mut units = [first, 0];
    let mut length = 1;
    if (0xd800..0xdc00).contains(&first) {
        let behind = json.get(end..end + 2).ok_or(Stop::Incomplete)?;
        if behind == b"\\u" {
            let second = unit(end)?;
            if (0xdc00..0xe000).contains(&second) {
                units[1] = second;
                length = 2;
                end += 6;
            }
        }
    }
    for char in char::decode_utf16(units.into_iter().take(length)) {
        // Half a pair is no character at all.
        text(char.unwrap_or(char::REPLACEMENT_CHARACTER).encode_utf8(&mut [0; 4]), out);
    }
    Ok(end)
}
