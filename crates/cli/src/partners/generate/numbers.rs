//! Random numbers with right check digits: VAT numbers, IBANs and LEIs that pass the rules. None
//! is meant to belong to anybody, and by chance some do.

use std::fmt::Write;

use fastrand::Rng;

use crate::partners::rules::digits::{luhn, mod_97, number, weighted};
use crate::partners::rules::{iban, vat};

/// Appends random digits.
pub fn digits(rng: &mut Rng, count: usize, text: &mut String) {
    for _ in 0..count {
        text.push(char::from(b'0' + rng.u8(..10)));
    }
}

/// A VAT number of the country, with its prefix; `None` where there is no scheme, or none of a
/// hundred bodies has a check digit.
pub fn vat(rng: &mut Rng, country: &str) -> Option<String> {
    let scheme = vat::by_country(country)?;
    let mut text = String::with_capacity(18);
    for _ in 0..100 {
        text.clear();
        text.push_str(scheme.prefix);
        let prefix = text.len();
        // The two check digits that would take a hundred tries are computed, one digit is tried.
        match country {
            "BE" => {
                let body = rng.u64(2_000_000..9_999_999);
                let _ = write!(text, "0{body}{:02}", 97 - body % 97);
            }
            "LU" => {
                let body = rng.u64(100_000..999_999);
                let _ = write!(text, "{body}{:02}", body % 89);
            }
            "FR" => {
                text.push_str("00");
                body(rng, "dnnnnnnn", &mut text);
                last_digit(&mut text, |text| luhn(&text.as_bytes()[prefix + 2..]));
                let key = (number(&text.as_bytes()[prefix + 2..]) * 100 + 12) % 97;
                text.replace_range(prefix..prefix + 2, &format!("{key:02}"));
            }
            "GB" => {
                let body = rng.u64(1_000_000..9_999_999);
                let weights = [8, 7, 6, 5, 4, 3, 2];
                let _ = write!(text, "{body}");
                let sum = weighted(&text.as_bytes()[prefix..], &weights);
                let _ = write!(text, "{:02}", (97 - sum % 97) % 97);
            }
            "IE" => {
                body(rng, "dnnnnnn", &mut text);
                last(&mut text, b'A'..=b'W', |text| valid(scheme, text, prefix));
            }
            "ES" => {
                text.push(rng.choice(['A', 'B']).unwrap_or('B'));
                body(rng, "nnnnnnn", &mut text);
                last_digit(&mut text, |text| valid(scheme, text, prefix));
            }
            "NL" => {
                body(rng, "dnnnnnnn", &mut text);
                last_digit(&mut text, |text| scheme.verdict(format!("{}B01", &text[prefix..]).as_bytes()).is_ok());
                text.push_str("B01");
            }
            "SE" => {
                text.push_str("55");
                body(rng, "nnnnnnn", &mut text);
                last_digit(&mut text, |text| luhn(&text.as_bytes()[prefix..]));
                text.push_str("01");
            }
            _ => {
                body(rng, template(country), &mut text);
                last_digit(&mut text, |text| valid(scheme, text, prefix));
                if country == "CH" {
                    text.push_str("MWST");
                } else if country == "NO" {
                    text.push_str("MVA");
                }
            }
        }
        // Some bodies have no check digit; the next one has.
        if valid(scheme, &text, prefix) {
            return Some(text);
        }
    }
    None
}

/// The number without its last digit, for countries where one check digit stands at the end.
fn template(country: &str) -> &'static str {
    match country {
        "AT" => "Unnnnnnn",
        "CH" => "E1nnnnnnn",
        "CZ" => "2nnnnnn",
        "EE" => "10nnnnnn",
        "GR" => "09nnnnnn",
        "IT" => "0nnnnnn001",
        "LT" => "dnnnnnn1",
        "LV" => "4000nnnnnn",
        "NO" => "9nnnnnnn",
        "HR" => "nnnnnnnnnn",
        "PL" => "dnnnnnnnn",
        "PT" => "5nnnnnnn",
        "SK" => "202nnnnnn",
        "DE" | "RO" => "dnnnnnnn",
        // DK, FI, HU, SI and whatever else has eight digits.
        _ => "dnnnnnn",
    }
}

/// Appends a text of the given form, in the language of `pattern` (`n`, `d` and literals).
fn body(rng: &mut Rng, form: &str, text: &mut String) {
    for class in form.chars() {
        text.push(match class {
            'n' => char::from(b'0' + rng.u8(..10)),
            'd' => char::from(b'0' + rng.u8(1..10)),
            literal => literal,
        });
    }
}

fn valid(scheme: &vat::Scheme, text: &str, prefix: usize) -> bool {
    scheme.verdict(&text.as_bytes()[prefix..]).is_ok()
}

fn last_digit(text: &mut String, right: impl Fn(&str) -> bool) {
    last(text, b'0'..=b'9', right);
}

/// Appends the first character of a range that is right; the last of them when none is.
fn last(text: &mut String, range: impl Iterator<Item = u8>, right: impl Fn(&str) -> bool) {
    let len = text.len();
    for byte in range {
        text.truncate(len);
        text.push(char::from(byte));
        if right(text) {
            return;
        }
    }
}

/// An IBAN of the country whose domestic part starts with `bank`; `None` for countries that are
/// not in the registry.
pub fn iban(rng: &mut Rng, country: &str, bank: &str) -> Option<String> {
    let structure = iban::structure(country)?;
    let mut bban = String::with_capacity(32);
    bban.push_str(bank);
    let mut place = 0;
    for (length, class) in iban::parts(structure) {
        for _ in 0..length {
            place += 1;
            if place > bank.len() {
                // Letters are allowed in more places than banks use them.
                bban.push(char::from(match class {
                    b'a' => rng.u8(b'A'..=b'Z'),
                    _ => rng.u8(b'0'..=b'9'),
                }));
            }
        }
    }
    let check = iban::check_digits(country, &bban);
    Some(format!("{country}{check:02}{bban}"))
}

/// A LEI of one of a few issuers.
pub fn lei(rng: &mut Rng) -> String {
    const ISSUERS: [&str; 5] = ["5299", "5493", "9695", "2138", "5067"];
    const ALPHABET: &[u8; 36] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
    let mut lei = String::with_capacity(20);
    lei.push_str(rng.choice(ISSUERS).unwrap_or(ISSUERS[0]));
    lei.push_str("00");
    for _ in 0..12 {
        lei.push(char::from(ALPHABET[rng.usize(..ALPHABET.len())]));
    }
    let check = 98 - mod_97(&[lei.as_bytes(), b"00"]);
    let _ = write!(lei, "{check:02}");
    lei
}
