//! Legal entity identifiers by ISO 17442-1: 18 letters or digits and two check digits by
//! ISO/IEC 7064 MOD 97-10.

use super::digits::{Compact, mod_97};
use crate::partners::catalog::{LEI_CHECK_DIGIT_INVALID, LEI_FORMAT, LEI_LENGTH_INVALID, LEI_STRUCTURE_INVALID, Rule};
use crate::partners::findings::Findings;

/// Checks a LEI that stands in `field`; an empty one is no defect.
pub fn check(text: &str, field: &'static str, found: &mut Findings) {
    if text.trim().is_empty() {
        return;
    }
    let Some(compact) = Compact::new(text) else {
        found.defect(
            &LEI_STRUCTURE_INVALID,
            field,
            format!("\"{text}\" is not a LEI: only letters and digits are allowed"),
        );
        return;
    };
    match verdict(compact.as_bytes()) {
        Ok(()) if compact.as_str() != text => {
            found.correction(&LEI_FORMAT, field, text, compact.as_str());
        }
        Ok(()) => {}
        Err(rule) => {
            let why = if rule == &LEI_LENGTH_INVALID {
                format!("it has {} characters, not 20", compact.as_bytes().len())
            } else if rule == &LEI_STRUCTURE_INVALID {
                "it is not 18 letters or digits and two digits".to_owned()
            } else {
                "its check digits are wrong".to_owned()
            };
            found.defect(rule, field, format!("LEI \"{text}\": {why}"));
        }
    }
}

/// The verdict on an upper-case LEI without separators.
fn verdict(lei: &[u8]) -> Result<(), &'static Rule> {
    if lei.len() != 20 {
        return Err(&LEI_LENGTH_INVALID);
    }
    let letters_or_digits = |bytes: &[u8]| bytes.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit());
    let (body, check) = lei.split_at(18);
    if !letters_or_digits(body) || !check.iter().all(u8::is_ascii_digit) {
        return Err(&LEI_STRUCTURE_INVALID);
    }
    // 00, 01 and 99 have the remainder of 97, 98 and 02 but are never computed as check digits.
    if matches!(check, b"00" | b"01" | b"99") || mod_97(&[lei]) != 1 {
        return Err(&LEI_CHECK_DIGIT_INVALID);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn examples_are_valid() {
        for lei in [
            "5493001KJTIIGC8Y1R12",
            "7LTWFZYICNSX8D621K86",
            "HWUPKR0MPOU8FGXBT394",
            "506700GE1G29325QX363",
            "213800WSGIIZCXF1P572",
        ] {
            assert_eq!(verdict(lei.as_bytes()), Ok(()), "{lei}");
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_rule() {
        assert_eq!(verdict(b"5493001KJTIIGC8Y1R1"), Err(&LEI_LENGTH_INVALID));
        assert_eq!(verdict(b"5493001KJTIIGC8Y1RAB"), Err(&LEI_STRUCTURE_INVALID));
        assert_eq!(verdict(b"5493001KJTIIGC8Y1R13"), Err(&LEI_CHECK_DIGIT_INVALID));
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_found(place in 0usize..20, by in 1u8..10) {
            let mut lei = *b"529900T8BM49AURSDO55";
            prop_assert_eq!(verdict(&lei), Ok(()));
            // A digit for a letter moves the others, and one such exchange in 97 goes unnoticed.
            let digits: Vec<_> = (0..20).filter(|&place| lei[place].is_ascii_digit()).collect();
            let place = digits[place % digits.len()];
            lei[place] = b'0' + (lei[place] - b'0' + by) % 10;
            prop_assert_eq!(verdict(&lei), Err(&LEI_CHECK_DIGIT_INVALID));
        }
    }
}
