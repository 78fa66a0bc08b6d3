//! Check-digit arithmetic on ASCII text. Callers have checked the characters before; other
//! characters give some remainder and never a panic.

/// The value of an ASCII digit.
pub fn digit(byte: u8) -> u32 {
    u32::from(byte.wrapping_sub(b'0') & 15)
}

/// The decimal value of at most 18 digits.
pub fn number(digits: &[u8]) -> u64 {
    digits.iter().fold(0, |sum, &byte| sum * 10 + u64::from(digit(byte)))
}

/// The sum of each digit times its weight; further digits or weights are left out.
pub fn weighted(digits: &[u8], weights: &[u32]) -> u32 {
    digits.iter().zip(weights).map(|(&byte, weight)| digit(byte) * weight).sum()
}

/// The remainder by 97 of the number that digits and letters (A = 10 … Z = 35) spell, as in
/// ISO/IEC 7064 MOD 97-10.
pub fn mod_97(parts: &[&[u8]]) -> u32 {
    let mut rest: u64 = 0;
    for &byte in parts.iter().copied().flatten() {
        rest = if byte.is_ascii_digit() {
            rest * 10 + u64::from(digit(byte))
        } else {
            rest * 100 + u64::from(byte.wrapping_sub(b'A') & 31) + 10
        };
        // Far below overflow, and the division is rare.
        if rest > 1 << 48 {
            rest %= 97;
        }
    }
    // A remainder by 97 fits.
    (rest % 97) as u32
}

/// ISO/IEC 7812-1 annex B (Luhn): true when the last digit is right.
pub fn luhn(digits: &[u8]) -> bool {
    let sum: u32 = digits
        .iter()
        .rev()
        .enumerate()
        .map(|(place, &byte)| {
            let value = digit(byte) << (place % 2);
            if value > 9 { value - 9 } else { value }
        })
        .sum();
    sum.is_multiple_of(10)
}

/// ISO/IEC 7064 MOD 11,10: true when the last digit is right.
pub fn mod_11_10(digits: &[u8]) -> bool {
    let Some((&check, body)) = digits.split_last() else {
        return false;
    };
    let product = body.iter().fold(10, |product, &byte| {
        let sum = (product + digit(byte)) % 10;
        (if sum == 0 { 10 } else { sum }) * 2 % 11
    });
    (product + digit(check)) % 10 == 1
}

/// Upper-case ASCII text without separators, on the stack.
#[derive(Debug, Clone, Copy)]
pub struct Compact {
    bytes: [u8; Compact::CAPACITY],
    len: usize,
}

impl Compact {
    /// The longest text that is kept; no number that is checked here comes near it.
    pub const CAPACITY: usize = 48;

    /// `text` in upper case without white space and the separators `.`, `-`, `/`, `,`, `_`, `:`
    /// and parentheses. `None` when another non-ASCII or control character is in it, or when it is
    /// longer than [`Compact::CAPACITY`].
    pub fn new(text: &str) -> Option<Self> {
        let mut compact = Self { bytes: [0; Self::CAPACITY], len: 0 };
        for char in text.chars() {
            let byte = match char {
                '.' | '-' | '/' | ',' | '_' | ':' | '(' | ')' => continue,
                '\u{2010}'..='\u{2015}' | '\u{200b}' | '\u{feff}' => continue,
                _ if char.is_whitespace() => continue,
                '!'..='~' => char.to_ascii_uppercase() as u8,
                _ => return None,
            };
            *compact.bytes.get_mut(compact.len)? = byte;
            compact.len += 1;
        }
        Some(compact)
    }

    /// The bytes, all printable ASCII.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        // Only printable ASCII is ever stored, so the text is never replaced by the empty one.
        str::from_utf8(self.as_bytes()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn compact_drops_separators_and_refuses_the_rest() {
        let compact = |text| Compact::new(text).map(|compact| compact.as_str().to_owned());
        assert_eq!(compact(" che-123.456\u{a0}788 mwst").as_deref(), Some("CHE123456788MWST"));
        assert_eq!(compact("").as_deref(), Some(""));
        assert_eq!(compact("DE1234é"), None);
        assert_eq!(compact("DE1234\u{7}"), None);
        assert_eq!(compact(&"1".repeat(49)), None);
    }

    #[test]
    fn published_examples() {
        assert!(luhn(b"49927398716"));
        assert!(!luhn(b"49927398717"));
        assert!(mod_11_10(b"136695976"));
        assert!(!mod_11_10(b"136695978"));
        assert!(!mod_11_10(b""));
        assert_eq!(mod_97(&[b"WEST12345698765432GB", b"82"]), 1);
        assert_eq!(number(b"0123"), 123);
        assert_eq!(weighted(b"123", &[3, 2, 1]), 10);
    }
}
