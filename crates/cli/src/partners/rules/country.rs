//! Countries by ISO 3166-1: which text is a code, and which code another text stands for.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::names::{ALIASES, COUNTRIES};
use crate::partners::catalog::{COUNTRY_FORMAT, COUNTRY_MISSING, COUNTRY_NOT_A_CODE, COUNTRY_UNKNOWN};
use crate::partners::findings::Findings;

/// Names, alpha-3 codes and aliases, folded, with the alpha-2 code each stands for.
static NAMES: LazyLock<HashMap<String, &'static str>> = LazyLock::new(|| {
    let names = COUNTRIES.iter().flat_map(|(code, alpha3, name)| [(fold(alpha3), *code), (fold(name), *code)]);
    let aliases = ALIASES.iter().map(|(name, code)| ((*name).to_owned(), *code));
    names.chain(aliases).collect()
});

/// The longest text that is looked up as a name, in bytes; the longest names have about 60.
const MAX_NAME_BYTES: usize = 128;

/// The alpha-2 code, when `text` is exactly one.
pub fn code(text: &str) -> Option<&'static str> {
    COUNTRIES.binary_search_by(|(code, _, _)| (*code).cmp(text)).ok().map(|index| COUNTRIES[index].0)
}

/// The English short name of an alpha-2 code.
fn name(code: &str) -> &'static str {
    COUNTRIES.binary_search_by(|(alpha2, _, _)| (*alpha2).cmp(code)).map_or("", |index| COUNTRIES[index].2)
}

/// The alpha-2 code that `text` stands for: a code in any case, an alpha-3 code, or a name.
pub fn resolve(text: &str) -> Option<&'static str> {
    let trimmed = text.trim();
    code(text).or_else(|| lenient_code(trimmed)).or_else(|| named(trimmed))
}

fn lenient_code(trimmed: &str) -> Option<&'static str> {
    if trimmed.len() != 2 {
        return None;
    }
    code(&trimmed.to_ascii_uppercase())
}

fn named(trimmed: &str) -> Option<&'static str> {
    if trimmed.len() > MAX_NAME_BYTES {
        return None;
    }
    NAMES.get(&fold(trimmed)).copied()
}

/// Lower case letters and digits only, so that spaces, dots and dashes do not matter.
fn fold(text: &str) -> String {
    text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// Checks the country; gives the alpha-2 code that the other rules go by, if there is one.
pub fn check(text: &str, found: &mut Findings) -> Option<&'static str> {
    if let Some(code) = code(text) {
        return Some(code);
    }
    let trimmed = text.trim();
    if trimmed.is_empty() {
        found.defect(&COUNTRY_MISSING, "country", "the country is empty".to_owned());
        return None;
    }
    if let Some(code) = lenient_code(trimmed) {
        found.correction(&COUNTRY_FORMAT, "country", text, code);
        return Some(code);
    }
    let code = named(trimmed);
    match code {
        Some(code) => {
            let message = format!("\"{trimmed}\" is not an ISO 3166-1 alpha-2 code; {code} is {}", name(code));
            found.defect(&COUNTRY_NOT_A_CODE, "country", message);
            found.correction(&COUNTRY_NOT_A_CODE, "country", text, code);
        }
        None => {
            let message = format!("\"{trimmed}\" is neither an ISO 3166-1 code nor a known name");
            found.defect(&COUNTRY_UNKNOWN, "country", message);
        }
    }
    code
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_are_sorted_and_folded() {
        assert!(COUNTRIES.is_sorted_by(|a, b| a.0 < b.0));
        for (alias, country) in ALIASES {
            assert_eq!(&fold(alias), alias);
            assert_eq!(code(country), Some(*country), "{alias}");
        }
        for (alpha2, alpha3, name) in COUNTRIES {
            assert_eq!(resolve(alpha3), Some(alpha2));
            assert_eq!(resolve(name), Some(alpha2), "{name}");
        }
    }

    #[test]
    fn other_forms_are_resolved() {
        for (text, expected) in [
            ("DE", Some("DE")),
            (" de ", Some("DE")),
            ("Germany", Some("DE")),
            ("DEU", Some("DE")),
            ("UK", Some("GB")),
            ("U.S.A.", Some("US")),
            ("ÖSTERREICH", Some("AT")),
            ("XX", None),
            ("", None),
            ("é", None),
            ("Atlantis", None),
        ] {
            assert_eq!(resolve(text), expected, "{text}");
        }
    }
}
