//! The free-form identifiers: known types go to their rules, others are not judged.

use super::digits::{Compact, digit};
use super::{iban, lei, vat};
use crate::partners::catalog::{DUNS_INVALID, GLN_INVALID, IDENTIFIER_MALFORMED, IDENTIFIERS_TOO_MANY};
use crate::partners::findings::Findings;

/// Most entries that are checked.
const MAX_ENTRIES: usize = 20;
const FIELD: &str = "identifiers";

/// Checks each entry by its type: LEI, VAT, IBAN, GLN and DUNS are known.
pub fn check(text: &str, found: &mut Findings) {
    for (index, (kind, value)) in entries(text).enumerate() {
        if index == MAX_ENTRIES {
            let message = format!("more than {MAX_ENTRIES} entries; the rest is not checked");
            return found.defect(&IDENTIFIERS_TOO_MANY, FIELD, message);
        }
        match kind {
            None | Some("") => malformed(value, found),
            Some(kind) if value.is_empty() => malformed(kind, found),
            Some(kind) => match known(kind) {
                Some(Known::Lei) => lei::check(value, FIELD, found),
                Some(Known::Vat) => vat::check(value, None, FIELD, found),
                Some(Known::Iban) => iban::check(value, FIELD, found),
                Some(Known::Gln) if !gln(value) => {
                    let message = format!("GLN \"{value}\" is not 13 digits with a right check digit");
                    found.defect(&GLN_INVALID, FIELD, message);
                }
                Some(Known::Duns) if !duns(value) => {
                    let message = format!("D-U-N-S number \"{value}\" is not nine digits");
                    found.defect(&DUNS_INVALID, FIELD, message);
                }
                Some(Known::Gln | Known::Duns) | None => {}
            },
        }
    }
}

/// Type and value of each entry, trimmed; without a colon there is no type. Empty entries are left
/// out.
fn entries(text: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    text.split(';').map(str::trim).filter(|entry| !entry.is_empty()).map(|entry| match entry.split_once(':') {
        Some((kind, value)) => (Some(kind.trim()), value.trim()),
        None => (None, entry),
    })
}

fn malformed(entry: &str, found: &mut Findings) {
    let message = format!("\"{entry}\" is not of the form TYPE:value");
    found.defect(&IDENTIFIER_MALFORMED, FIELD, message);
}

enum Known {
    Lei,
    Vat,
    Iban,
    Gln,
    Duns,
}

fn known(kind: &str) -> Option<Known> {
    let is = |name: &str| kind.eq_ignore_ascii_case(name);
    if is("LEI") || is("LEI_ID") {
        Some(Known::Lei)
    } else if is("VAT") || is("EU_VAT") || is("VAT_NUMBER") || is("EU_VAT_ID") {
        Some(Known::Vat)
    } else if is("IBAN") {
        Some(Known::Iban)
    } else if is("GLN") {
        Some(Known::Gln)
    } else if is("DUNS") || is("D-U-N-S") || is("DUNS_ID") {
        Some(Known::Duns)
    } else {
        None
    }
}

/// GS1 global location number: 13 digits, weights 1 and 3, modulo 10.
fn gln(text: &str) -> bool {
    let Some(compact) = Compact::new(text) else {
        return false;
    };
    let digits = compact.as_bytes();
    let sum: u32 =
        digits.iter().enumerate().map(|(place, &byte)| digit(byte) * if place % 2 == 0 { 1 } else { 3 }).sum();
    digits.len() == 13 && digits.iter().all(u8::is_ascii_digit) && sum.is_multiple_of(10)
}

fn duns(text: &str) -> bool {
    Compact::new(text)
        .is_some_and(|compact| compact.as_bytes().len() == 9 && compact.as_bytes().iter().all(u8::is_ascii_digit))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::findings::Validation;

    fn found(identifiers: &str) -> Validation {
        let mut found = Findings::default();
        check(identifiers, &mut found);
        found.finish()
    }

    #[test]
    fn entries_are_split_and_trimmed() {
        let split: Vec<_> = entries(" LEI: X1 ;;GLN:1; loose ;A:b:c;").collect();
        let expected = [(Some("LEI"), "X1"), (Some("GLN"), "1"), (None, "loose"), (Some("A"), "b:c")];
        assert_eq!(split, expected);
    }

    #[test]
    fn known_types_are_checked_and_others_left_alone() {
        let right = "LEI:506700GE1G29325QX363;GLN:4012345000009;DUNS:15-048-3782;SAP:??;VAT:DE136695976";
        assert_eq!(found(right), Validation::default());
        let wrong = "lei:506700GE1G29325QX364;gln:4012345000008;duns:1504;vat:DE136695978;iban:DE1;x;:1";
        assert_eq!(
            found(wrong).rules(),
            [
                "DUNS_INVALID",
                "GLN_INVALID",
                "IBAN_STRUCTURE_INVALID",
                "IDENTIFIER_MALFORMED",
                "LEI_CHECK_DIGIT_INVALID",
                "VAT_CHECK_DIGIT_INVALID",
            ]
        );
    }

    #[test]
    fn the_number_of_entries_is_bounded() {
        assert_eq!(found(&"A:1;".repeat(20)), Validation::default());
        assert_eq!(found(&"A:1;".repeat(21)).rules(), ["IDENTIFIERS_TOO_MANY"]);
    }
}
