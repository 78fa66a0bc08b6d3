//! Patterns of JSON schemas (ECMA-262) as XSD has them: always anchored, without escapes by number.

/// The last code point.
const LAST: u32 = 0x10_ffff;

/// The same pattern in XSD; `None` for one that says nothing there, or that has no such form. The service checks its
/// inputs by itself: a missing facet lets nothing through.
pub(super) fn to_xsd(pattern: &str) -> Option<String> {
    let inner = pattern.strip_prefix('^')?.strip_suffix('$')?;
    let mut chars = inner.chars().peekable();
    let mut out = String::new();
    let mut depth = 0_usize;
    while let Some(char) = chars.next() {
        match char {
            '[' => out.push_str(&class(&mut chars)?),
            '\\' => match escape(&mut chars)? {
                Item::Char(char) => out.push_str(&literal(char)?),
                Item::Digit => out.push_str("[0-9]"),
            },
            '^' | '$' => return None,
            // Anchors bind tighter than an alternative outside of brackets.
            '|' if depth == 0 => return None,
            '(' if chars.peek() == Some(&'?') => return None,
            '(' => {
                depth += 1;
                out.push(char);
            }
            ')' => {
                depth = depth.checked_sub(1)?;
                out.push(char);
            }
            // Lazy and possessive quantifiers have no form.
            '?' | '+' if out.ends_with(['*', '+', '?', '}']) => return None,
            _ => out.push(char),
        }
    }
    Some(out)
}

enum Item {
    Char(u32),
    Digit,
}

type Chars<'a> = std::iter::Peekable<std::str::Chars<'a>>;

/// What stands behind a backslash.
fn escape(chars: &mut Chars<'_>) -> Option<Item> {
    Some(match chars.next()? {
        'u' => {
            let digits: String = chars.take(4).collect();
            Item::Char(u32::from_str_radix(&digits, 16).ok().filter(|_| digits.len() == 4)?)
        }
        'd' => Item::Digit,
        't' => Item::Char(9),
        'n' => Item::Char(10),
        'r' => Item::Char(13),
        char if char.is_ascii_alphanumeric() => return None,
        char => Item::Char(char.into()),
    })
}

/// A class, less the characters that XML has not.
fn class(chars: &mut Chars<'_>) -> Option<String> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    loop {
        let from = match chars.next()? {
            ']' => break,
            '\\' => match escape(chars)? {
                Item::Char(char) => char,
                Item::Digit => {
                    ranges.push(('0'.into(), '9'.into()));
                    continue;
                }
            },
            char => char.into(),
        };
        let mut ahead = chars.clone();
        let is_range = ahead.next() == Some('-') && ahead.peek() != Some(&']');
        if !is_range {
            ranges.push((from, from));
            continue;
        }
        chars.next();
        let to = match chars.next()? {
            '\\' => match escape(chars)? {
                Item::Char(char) => char,
                Item::Digit => return None,
            },
            char => char.into(),
        };
        ranges.push((from, to));
    }
    let mut inner = String::new();
    for (from, to) in ranges {
        for (first, last) in [(9, 10), (13, 13), (0x20, 0xd7ff), (0xe000, 0xfffd), (0x1_0000, LAST)] {
            let (from, to) = (from.max(first), to.min(last));
            if from > to {
                continue;
            }
            inner.push_str(&literal(from)?);
            if to > from {
                inner.push('-');
                inner.push_str(&literal(to)?);
            }
        }
    }
    // A class that excludes nothing, or that nothing is in.
    (!inner.is_empty()).then(|| format!("[{}{inner}]", if negated { "^" } else { "" }))
}

/// One character, escaped where XSD needs it.
fn literal(char: u32) -> Option<String> {
    let char = char::from_u32(char)?;
    Some(match char {
        '\t' => "\\t".to_owned(),
        '\n' => "\\n".to_owned(),
        '\r' => "\\r".to_owned(),
        '\\' | '|' | '.' | '-' | '^' | '?' | '*' | '+' | '{' | '}' | '(' | ')' | '[' | ']' => format!("\\{char}"),
        _ => char.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::text::{ARGUMENT_PATTERN, ID_PATTERN};

    #[test]
    fn patterns_keep_their_meaning() {
        for (json, xsd) in [
            ("^[A-Z][A-Z0-9_]{0,62}_JOB$", Some("[A-Z][A-Z0-9_]{0,62}_JOB")),
            ("^[+ -]?createdAt$", Some("[\\+ \\-]?createdAt")),
            ("^(A|B)_LOG$", Some("(A|B)_LOG")),
            ("^[1-9][0-9]*$", Some("[1-9][0-9]*")),
            (ID_PATTERN, Some("[^\\t-\\n\\r\u{7f}-\u{9f}]*")),
            (ARGUMENT_PATTERN, None),
            ("^a|b$", None),
            ("abc", None),
            ("^\\w$", None),
            ("^a*?$", None),
            ("^\\d\\.$", Some("[0-9]\\.")),
            ("^[", None),
        ] {
            assert_eq!(to_xsd(json).as_deref(), xsd, "{json}");
        }
    }
}
