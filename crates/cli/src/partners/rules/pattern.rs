//! A small pattern language for numbers and postal codes, matched without allocation.
//!
//! | letter | stands for |
//! |---|---|
//! | `n` | a digit |
//! | `d` | a digit except 0 |
//! | `a` | a letter |
//! | `c` | a letter or digit |
//! | `i` | a letter, `+` or `*` (old Irish VAT numbers) |
//! | `l` | a letter except D F I O Q U (Canadian postal codes) |
//! | `f` | as `l`, and not W Z (their first letter) |
//!
//! Everything else stands for itself; letters that stand for themselves are upper case.

/// Whether one byte (upper case) fits one letter of a pattern.
pub fn fits(class: u8, byte: u8) -> bool {
    match class {
        b'n' => byte.is_ascii_digit(),
        b'd' => matches!(byte, b'1'..=b'9'),
        b'a' => byte.is_ascii_uppercase(),
        b'c' => byte.is_ascii_uppercase() || byte.is_ascii_digit(),
        b'i' => byte.is_ascii_uppercase() || matches!(byte, b'+' | b'*'),
        b'l' => byte.is_ascii_uppercase() && !b"DFIOQU".contains(&byte),
        b'f' => byte.is_ascii_uppercase() && !b"DFIOQUWZ".contains(&byte),
        literal => byte == literal,
    }
}

/// Whether the whole text fits the pattern.
pub fn matches(pattern: &str, text: &[u8]) -> bool {
    pattern.len() == text.len() && pattern.bytes().zip(text).all(|(class, &byte)| fits(class, byte))
}

/// Fits `compact`, a text without separators, into a pattern that may hold ` ` and `-`. Gives the
/// text with the pattern's separators.
pub fn fill(pattern: &str, compact: &[u8]) -> Option<String> {
    let separator = |class: &u8| matches!(class, b' ' | b'-');
    if pattern.bytes().filter(|class| !separator(class)).count() != compact.len() {
        return None;
    }
    let mut rest = compact.iter();
    let mut filled = String::with_capacity(pattern.len());
    for class in pattern.bytes() {
        if separator(&class) {
            filled.push(char::from(class));
            continue;
        }
        let &byte = rest.next()?;
        if !fits(class, byte) {
            return None;
        }
        filled.push(char::from(byte));
    }
    Some(filled)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_text_must_fit() {
        assert!(matches("Unnnnnnnn", b"U13585627"));
        assert!(!matches("Unnnnnnnn", b"U1358562"));
        assert!(!matches("Unnnnnnnn", b"X13585627"));
        assert!(!matches("dnnn", b"0123"));
    }

    #[test]
    fn separators_are_put_in() {
        assert_eq!(fill("nnn nn", b"12345").as_deref(), Some("123 45"));
        assert_eq!(fill("nn-nnn", b"12345").as_deref(), Some("12-345"));
        assert_eq!(fill("nn-nnn", b"1234"), None);
        assert_eq!(fill("fnl nln", b"K1A0B1").as_deref(), Some("K1A 0B1"));
        assert_eq!(fill("fnl nln", b"D1A0B1"), None);
    }
}
