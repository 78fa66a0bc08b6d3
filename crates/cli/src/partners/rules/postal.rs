//! Postal codes: whether a country has them, whether one fits, and how it is properly written.

use super::digits::{Compact, number};
use super::pattern::{fill, matches};
use super::postal_formats::{FORMATS, Use};
use crate::partners::catalog::{POSTAL_CODE_FORMAT, POSTAL_CODE_INVALID, POSTAL_CODE_MISSING, POSTAL_CODE_NOT_USED};
use crate::partners::findings::Findings;

const FIELD: &str = "postalCode";

/// Letters that are put in front of codes in international mail besides the alpha-2 code.
const VEHICLE_CODES: &[(&str, &str)] = &[
    ("AT", "A"),
    ("BE", "B"),
    ("DE", "D"),
    ("ES", "E"),
    ("FI", "FIN"),
    ("FR", "F"),
    ("HU", "H"),
    ("IT", "I"),
    ("LI", "FL"),
    ("LU", "L"),
    ("NO", "N"),
    ("PT", "P"),
    ("SE", "S"),
    ("SI", "SLO"),
];

/// Checks a postal code by the rules of `country`; without a known country nothing is said.
pub fn check(text: &str, country: Option<&str>, found: &mut Findings) {
    let Some((country, used, forms)) = country.and_then(format) else {
        return;
    };
    let trimmed = text.trim();
    if trimmed.is_empty() {
        if used == Use::Always {
            let message = format!("the postal code is empty; every address in {country} has one");
            found.defect(&POSTAL_CODE_MISSING, FIELD, message);
        }
        return;
    }
    if used == Use::Never {
        let message = format!("postal code \"{trimmed}\", but {country} has none");
        found.defect(&POSTAL_CODE_NOT_USED, FIELD, message);
        return;
    }
    if forms.iter().any(|form| matches(form, text.as_bytes())) && plausible(country, text) {
        return;
    }
    if let Some(proposed) = normalize(trimmed, country, forms) {
        return found.correction(&POSTAL_CODE_FORMAT, FIELD, text, &proposed);
    }
    let forms_text: Vec<_> = forms.iter().map(|form| form_text(form)).collect();
    let forms_text = forms_text.join(" or ");
    let message = format!("postal code \"{trimmed}\" does not fit {country}: {forms_text}");
    found.defect(&POSTAL_CODE_INVALID, FIELD, message);
    // Spreadsheets drop the leading zero.
    let zero = format!("0{trimmed}");
    if let Some(form) = forms.first()
        && form.bytes().all(|class| class == b'n')
        && matches(form, zero.as_bytes())
        && plausible(country, &zero)
    {
        found.correction(&POSTAL_CODE_INVALID, FIELD, text, &zero);
    }
}

fn format(country: &str) -> Option<(&'static str, Use, &'static [&'static str])> {
    FORMATS.binary_search_by(|(code, _, _)| (*code).cmp(country)).ok().map(|index| FORMATS[index])
}

/// The code in the country's form: separators put in or taken out, upper case, the country's
/// letters in front taken off or, where they belong to the code, put on.
fn normalize(text: &str, country: &str, forms: &[&str]) -> Option<String> {
    let compact = Compact::new(text)?;
    let compact = compact.as_str();
    let vehicle =
        VEHICLE_CODES.iter().find(|(code, _)| *code == country).and_then(|(_, letters)| compact.strip_prefix(letters));
    let with_country = format!("{country}{compact}");
    let candidates = [Some(compact), compact.strip_prefix(country), vehicle, Some(with_country.as_str())];
    candidates
        .into_iter()
        .flatten()
        .flat_map(|candidate| forms.iter().map(move |form| fill(form, candidate.as_bytes())))
        .flatten()
        .find(|code| plausible(country, code))
}

/// Whether a code that fits the country's form lies in a range that is given out.
fn plausible(country: &str, code: &str) -> bool {
    let digits = code.as_bytes();
    let mut used = digits.iter().filter(|byte| byte.is_ascii_digit()).peekable();
    // The one real code whose only digit is a zero is GIR 0AA.
    if used.peek().is_some() && used.all(|&byte| byte == b'0') && country != "GB" {
        return false;
    }
    let range = match country {
        "DE" => 1_001..=99_998,
        "FR" => 1_000..=98_999,
        "ES" => 1_001..=52_999,
        "CH" => 1_000..=9_699,
        "LI" => 9_485..=9_498,
        "HR" => 10_000..=59_999,
        "US" => {
            // ZIP+4: the range is that of the first five digits.
            return number(&digits[..digits.len().min(5)]) >= 501;
        }
        _ => return true,
    };
    range.contains(&number(digits))
}

/// A form as people read it: 9 for a digit, X for a letter, * for either.
fn form_text(form: &str) -> String {
    form.chars()
        .map(|class| match class {
            'n' | 'd' => '9',
            'a' | 'l' | 'f' => 'X',
            'c' => '*',
            literal => literal,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::findings::Validation;
    use crate::partners::rules::country::code;

    fn found(text: &str, country: &str) -> Validation {
        let mut found = Findings::default();
        check(text, Some(country), &mut found);
        found.finish()
    }

    #[test]
    fn table_is_sorted_and_of_real_countries() {
        assert!(FORMATS.is_sorted_by(|a, b| a.0 < b.0));
        for (country, used, forms) in FORMATS {
            assert!(code(country).is_some(), "{country}");
            assert_eq!(forms.is_empty(), *used == Use::Never, "{country}");
        }
    }

    #[test]
    fn right_codes_pass() {
        for (country, text) in [
            ("AT", "1010"),
            ("AU", "2000"),
            ("BE", "1000"),
            ("BR", "01310-100"),
            ("CA", "K1A 0B1"),
            ("CH", "8001"),
            ("CN", "100000"),
            ("CZ", "110 00"),
            ("DE", "01067"),
            ("DK", "1050"),
            ("EE", "10111"),
            ("ES", "28001"),
            ("FI", "00100"),
            ("FR", "75001"),
            ("GB", "SW1A 1AA"),
            ("GB", "M1 1AE"),
            ("GB", "EC1A 1BB"),
            ("GB", "GIR 0AA"),
            ("GB", "BFPO 61"),
            ("GR", "105 57"),
            ("HR", "10000"),
            ("HU", "1051"),
            ("IE", "D02 AF30"),
            ("IE", "D6W XY00"),
            ("IN", "110001"),
            ("IT", "00118"),
            ("JP", "100-0001"),
            ("LT", "LT-01100"),
            ("LU", "1009"),
            ("LV", "LV-1050"),
            ("MT", "VLT 1117"),
            ("NL", "1012 AB"),
            ("NO", "0150"),
            ("PL", "00-001"),
            ("PT", "1100-148"),
            ("RO", "010011"),
            ("SE", "111 52"),
            ("SI", "1000"),
            ("SK", "811 01"),
            ("US", "10001"),
            ("US", "10001-0001"),
            ("HK", ""),
            ("IE", ""),
            ("AE", ""),
            ("LI", "9490"),
            ("MC", "98000"),
        ] {
            assert_eq!(found(text, country), Validation::default(), "{country} {text}");
        }
    }

    #[test]
    fn corrections_bring_the_proper_form() {
        for (country, text, proposed) in [
            ("CH", "8001 ", "8001"),
            ("CH", "CH-8001", "8001"),
            ("SE", "SE 12345", "123 45"),
            ("SE", "S-11152", "111 52"),
            ("DE", "D-80331", "80331"),
            ("PL", "00001", "00-001"),
            ("NL", "1012ab", "1012 AB"),
            ("GB", "sw1a1aa", "SW1A 1AA"),
            ("GB", "bfpo61", "BFPO 61"),
            ("LV", "1050", "LV-1050"),
            ("LT", "LT01100", "LT-01100"),
            ("PT", "1100148", "1100-148"),
            ("CA", "k1a0b1", "K1A 0B1"),
        ] {
            let validation = found(text, country);
            assert_eq!(validation.rules(), ["POSTAL_CODE_FORMAT"], "{country} {text}");
            assert_eq!(validation.corrections[0].proposed, proposed);
        }
    }

    #[test]
    fn wrong_codes_are_found() {
        for (country, text, rule) in [
            ("DE", "8033", "POSTAL_CODE_INVALID"),
            ("DE", "00000", "POSTAL_CODE_INVALID"),
            ("LV", "0000", "POSTAL_CODE_INVALID"),
            ("CH", "0800", "POSTAL_CODE_INVALID"),
            ("NL", "0123 AB", "POSTAL_CODE_INVALID"),
            ("CA", "D1A 0B1", "POSTAL_CODE_INVALID"),
            ("ES", "99001", "POSTAL_CODE_INVALID"),
            ("GB", "12345", "POSTAL_CODE_INVALID"),
            ("DE", " ", "POSTAL_CODE_MISSING"),
            ("HK", "999077", "POSTAL_CODE_NOT_USED"),
        ] {
            assert_eq!(found(text, country).rules(), [rule], "{country} {text}");
        }
        assert_eq!(found("8033", "DE").corrections[0].proposed, "08033");
        assert_eq!(found("anything", "XX"), Validation::default());
    }
}
