//! Names and addresses as texts: missing, stand-ins, wrong encoding, control characters, white space.

use std::borrow::Cow;

use crate::partners::catalog::{
    ADDRESS_PLACEHOLDER, CITY_MISSING, EXTERNAL_ID_MISSING, NAME_DIGITS_ONLY, NAME_EQUALS_CITY, NAME_MISSING,
    NAME_PLACEHOLDER, NAME_REPEATED_CHARACTER, STREET_MISSING, TEXT_CONTROL_CHARACTER, TEXT_MOJIBAKE, TEXT_WHITESPACE,
};
use crate::partners::findings::Findings;

/// Stand-ins, as `placeholder` folds a text: lower case letters and digits only.
const PLACEHOLDERS: &[&str] = &[
    "abc",
    "asdf",
    "asdfasdf",
    "asdfgh",
    "default",
    "deleted",
    "donotuse",
    "dummy",
    "dummyname",
    "example",
    "foobar",
    "gelöscht",
    "inconnu",
    "keinname",
    "leer",
    "loremipsum",
    "mustermann",
    "na",
    "namenlos",
    "nichtverwenden",
    "nil",
    "noname",
    "notapplicable",
    "notavailable",
    "notused",
    "null",
    "obsolete",
    "placeholder",
    "qwerty",
    "qwertz",
    "sample",
    "sconosciuto",
    "tba",
    "tbc",
    "tbd",
    "temp",
    "test",
    "test1",
    "test123",
    "testag",
    "testcompany",
    "testcustomer",
    "testfirma",
    "testgmbh",
    "testing",
    "testkunde",
    "testpartner",
    "testtest",
    "testvendor",
    "tobedefined",
    "tobedeleted",
    "todo",
    "unbekannt",
    "undefined",
    "unknown",
    "unnamed",
    "wirdgelöscht",
    "xx",
    "xxx",
    "xxxx",
    "xxxxx",
    "xxxxxx",
    "xyz",
    "zzz",
    "zzzz",
];

/// The longest text that can be a stand-in, in bytes when folded.
const MAX_PLACEHOLDER: usize = 24;

/// City states and countries without localities, where an address may lack the city.
const CITY_STATES: &[&str] = &["AQ", "BV", "GI", "HM", "HK", "MC", "MO", "NF", "NR", "PN", "SG", "VA"];

/// Checks that the record can be found again.
pub fn check_external_id(text: &str, found: &mut Findings) {
    if text.trim().is_empty() {
        found.defect(&EXTERNAL_ID_MISSING, "externalId", "the external id is empty".to_owned());
    }
}

/// Checks the name, also against the city.
pub fn check_name(text: &str, city: &str, found: &mut Findings) {
    let name = clean(text, "name", found);
    let name = name.as_ref();
    let mut letters = name.chars().filter(|char| char.is_alphanumeric());
    if name.is_empty() {
        found.defect(&NAME_MISSING, "name", "the name is empty".to_owned());
    } else if placeholder(name) {
        found.defect(&NAME_PLACEHOLDER, "name", format!("\"{name}\" is a stand-in, not a name"));
    } else if repeated(name) {
        let message = format!("\"{name}\" is one character repeated");
        found.defect(&NAME_REPEATED_CHARACTER, "name", message);
    } else if letters.all(char::is_numeric) {
        found.defect(&NAME_DIGITS_ONLY, "name", format!("\"{name}\" has no letters"));
    } else if same(name, city.trim()) {
        let message = format!("the name \"{name}\" is the city");
        found.defect(&NAME_EQUALS_CITY, "name", message);
    }
}

/// Checks the street.
pub fn check_street(text: &str, found: &mut Findings) {
    let street = clean(text, "street", found);
    if street.is_empty() {
        found.defect(&STREET_MISSING, "street", "the street is empty".to_owned());
    } else if placeholder(&street) {
        let message = format!("\"{street}\" is a stand-in, not a street");
        found.defect(&ADDRESS_PLACEHOLDER, "street", message);
    }
}

/// Checks the city; `country` says whether one is needed.
pub fn check_city(text: &str, country: Option<&str>, found: &mut Findings) {
    let city = clean(text, "city", found);
    if city.is_empty() {
        if !country.is_some_and(|country| CITY_STATES.contains(&country)) {
            found.defect(&CITY_MISSING, "city", "the city is empty".to_owned());
        }
    } else if placeholder(&city) {
        let message = format!("\"{city}\" is a stand-in, not a city");
        found.defect(&ADDRESS_PLACEHOLDER, "city", message);
    }
}

/// Whether two texts are equal without regard to case.
fn same(one: &str, other: &str) -> bool {
    one.chars().flat_map(char::to_lowercase).eq(other.chars().flat_map(char::to_lowercase))
}

/// Whether a text that is not empty stands for nothing.
fn placeholder(text: &str) -> bool {
    let mut folded = [0; MAX_PLACEHOLDER];
    let mut len = 0;
    for char in text.chars().filter(|char| char.is_alphanumeric()).flat_map(char::to_lowercase) {
        let Some(room) = folded.get_mut(len..len + char.len_utf8()) else {
            return false;
        };
        len += char.encode_utf8(room).len();
    }
    // A language and a few places are called Na; the stand-in is NA, na or n/a.
    if text == "Na" {
        return false;
    }
    len == 0 || PLACEHOLDERS.binary_search_by(|known| known.as_bytes().cmp(&folded[..len])).is_ok()
}

/// Whether a text is one letter or digit three times or more.
fn repeated(text: &str) -> bool {
    let mut chars = text.chars().filter(|char| !char.is_whitespace());
    let Some(first) = chars.next() else {
        return false;
    };
    let rest = chars.clone().count();
    rest >= 2 && chars.all(|char| char == first)
}

/// Reports wrong encoding, control characters and white space; gives the text without them.
fn clean<'a>(text: &'a str, field: &'static str, found: &mut Findings) -> Cow<'a, str> {
    if is_plain(text) {
        return Cow::Borrowed(text);
    }
    let mut rule = &TEXT_WHITESPACE;
    let mut clean = Cow::Borrowed(text);
    if text.contains(unwanted) && repair(text).is_none() {
        let message = "the text holds control or invisible characters".to_owned();
        found.defect(&TEXT_CONTROL_CHARACTER, field, message);
        rule = &TEXT_CONTROL_CHARACTER;
        clean = Cow::Owned(text.replace(unwanted, ""));
    }
    if text.contains('\u{fffd}') {
        let message = format!("\"{text}\" holds characters that were lost in a conversion");
        found.defect(&TEXT_MOJIBAKE, field, message);
    } else if let Some(repaired) = repair(text) {
        let message = format!("\"{text}\" is \"{repaired}\" read in the wrong encoding");
        found.defect(&TEXT_MOJIBAKE, field, message);
        rule = &TEXT_MOJIBAKE;
        clean = Cow::Owned(repaired);
    }
    if !is_tidy(&clean) {
        clean = Cow::Owned(clean.split_whitespace().collect::<Vec<_>>().join(" "));
    }
    // An empty text is reported as missing, not corrected.
    if clean != text && !clean.is_empty() {
        found.correction(rule, field, text, &clean);
    }
    clean
}

/// Printable ASCII, tidy: nothing to report.
fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| matches!(byte, b' '..=b'~')) && is_tidy(text)
}

/// Single spaces between words only.
fn is_tidy(text: &str) -> bool {
    let mut before = ' ';
    for char in text.chars() {
        if char.is_whitespace() && (char != ' ' || before == ' ') {
            return false;
        }
        before = char;
    }
    before != ' ' || text.is_empty()
}

/// Control and invisible characters. Tabs and line ends count as white space; the joiners U+200C
/// and U+200D are part of Persian and Indic spelling.
fn unwanted(char: char) -> bool {
    match char {
        '\t' | '\n' | '\r' => false,
        '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' => true,
        '\u{2060}'..='\u{2069}' | '\u{feff}' => true,
        _ => char.is_control() && !char.is_whitespace(),
    }
}

/// The characters of the bytes 80 to 9F in Windows-1252.
const WINDOWS_1252: [char; 32] = [
    '€', '\u{81}', '‚', 'ƒ', '„', '…', '†', '‡', 'ˆ', '‰', 'Š', '‹', 'Œ', '\u{8d}', 'Ž', '\u{8f}', '\u{90}', '‘', '’',
    '“', '”', '•', '–', '—', '˜', '™', 'š', '›', 'œ', '\u{9d}', 'ž', 'Ÿ',
];

/// The text whose UTF-8 bytes, read as Windows-1252, give `text`; `None` when there is none. Real
/// words in Latin script do not pass, because an accented letter in front of another letter is
/// never the start of a UTF-8 sequence.
fn repair(text: &str) -> Option<String> {
    if text.is_ascii() {
        return None;
    }
    let bytes: Option<Vec<u8>> = text.chars().map(windows_1252).collect();
    String::from_utf8(bytes?).ok()
}

fn windows_1252(char: char) -> Option<u8> {
    match char {
        '\0'..='\u{7f}' | '\u{a0}'..='\u{ff}' => u8::try_from(u32::from(char)).ok(),
        _ => {
            let index = WINDOWS_1252.iter().position(|&known| known == char)?;
            u8::try_from(index + 0x80).ok()
        }
    }
}

/// What a reader that takes UTF-8 for Windows-1252 makes of a text.
pub fn misread(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            0x80..=0x9f => WINDOWS_1252[usize::from(byte - 0x80)],
            _ => char::from(byte),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules_of(name: &str) -> Vec<&'static str> {
        let mut found = Findings::default();
        check_name(name, "Bern", &mut found);
        found.finish().rules()
    }

    #[test]
    fn placeholders_are_sorted_and_fit() {
        assert!(PLACEHOLDERS.is_sorted());
        assert!(PLACEHOLDERS.iter().all(|known| known.len() <= MAX_PLACEHOLDER));
    }

    #[test]
    fn real_names_pass() {
        for name in [
            "Müller & Söhne AG",
            "NESTLÉ S.A.",
            "1&1 AG",
            "3M",
            "Łódź Sp. z o.o.",
            "AAA Taxi",
            "X",
            "ÅÄÖ AB",
            "ΟΤΕ Α.Ε.",
            "株式会社トヨタ",
            "L'Oréal",
            "Testa SpA",
            "Na",
        ] {
            assert_eq!(rules_of(name), [""; 0], "{name}");
        }
    }

    #[test]
    fn wrong_names_are_found() {
        for (name, rule) in [
            ("", "NAME_MISSING"),
            ("TEST", "NAME_PLACEHOLDER"),
            ("n/a", "NAME_PLACEHOLDER"),
            ("Gelöscht!", "NAME_PLACEHOLDER"),
            ("???", "NAME_PLACEHOLDER"),
            ("xxx", "NAME_PLACEHOLDER"),
            ("aaaa", "NAME_REPEATED_CHARACTER"),
            ("777", "NAME_REPEATED_CHARACTER"),
            ("4711 00", "NAME_DIGITS_ONLY"),
            ("BERN", "NAME_EQUALS_CITY"),
            ("A\u{7}B", "TEXT_CONTROL_CHARACTER"),
            ("\u{200b}Acme", "TEXT_CONTROL_CHARACTER"),
            ("MÃ¼ller", "TEXT_MOJIBAKE"),
            ("M\u{fffd}ller", "TEXT_MOJIBAKE"),
            (" Acme ", "TEXT_WHITESPACE"),
            ("Acme  AG", "TEXT_WHITESPACE"),
            ("Acme\u{a0}AG", "TEXT_WHITESPACE"),
            ("Acme\nAG", "TEXT_WHITESPACE"),
        ] {
            assert_eq!(rules_of(name), [rule], "{name}");
        }
        assert_eq!(rules_of("  "), ["NAME_MISSING"]);
    }

    #[test]
    fn corrections_are_clean() {
        for (text, proposed) in
            [("MÃ¼ller  AG ", "Müller AG"), ("CafÃ© â€ž1â€œ", "Café „1“"), ("A\u{0}cme\tAG", "Acme AG")]
        {
            let mut found = Findings::default();
            assert_eq!(clean(text, "name", &mut found), proposed);
            let validation = found.finish();
            assert_eq!(validation.corrections[0].proposed, proposed);
            assert_eq!(validation.corrections.len(), 1);
        }
        for text in ["Müller", "Œuvre", "日本", "Łódź"] {
            assert_eq!(repair(&misread(text)).as_deref(), Some(text));
        }
    }

    #[test]
    fn city_states_need_no_city() {
        for (country, rules) in [(Some("SG"), &[][..]), (Some("DE"), &["CITY_MISSING"]), (None, &["CITY_MISSING"])] {
            let mut found = Findings::default();
            check_city("", country, &mut found);
            assert_eq!(found.finish().rules(), rules);
        }
    }
}
