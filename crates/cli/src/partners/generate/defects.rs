//! The defects that the generator plants, each with the one rule that finds it. Two are planted
//! together only when they touch different fields, so that neither hides the other.

use fastrand::Rng;

use super::choice;
use super::places::FAMILIES;
use crate::partners::catalog::{
    ADDRESS_PLACEHOLDER, CITY_MISSING, COUNTRY_FORMAT, COUNTRY_MISSING, COUNTRY_NOT_A_CODE, COUNTRY_UNKNOWN,
    DUNS_INVALID, GLN_INVALID, IBAN_CHECK_DIGIT_INVALID, IBAN_COUNTRY_UNKNOWN, IBAN_FORMAT, IBAN_LENGTH_INVALID,
    IBAN_STRUCTURE_INVALID, IDENTIFIER_MALFORMED, LEI_CHECK_DIGIT_INVALID, LEI_FORMAT, LEI_LENGTH_INVALID,
    LEI_STRUCTURE_INVALID, NAME_DIGITS_ONLY, NAME_EQUALS_CITY, NAME_MISSING, NAME_PLACEHOLDER, NAME_REPEATED_CHARACTER,
    POSTAL_CODE_FORMAT, POSTAL_CODE_INVALID, POSTAL_CODE_MISSING, Rule, STREET_MISSING, TEXT_CONTROL_CHARACTER,
    TEXT_MOJIBAKE, TEXT_WHITESPACE, VAT_CHECK_DIGIT_INVALID, VAT_COUNTRY_MISMATCH, VAT_FORMAT, VAT_PREFIX_MISSING,
    VAT_STRUCTURE_INVALID,
};
use crate::partners::partner::Partner;
use crate::partners::rules::text::misread;
use crate::partners::rules::vat;

const NAME: u16 = 1;
const STREET: u16 = 1 << 1;
const POSTAL: u16 = 1 << 2;
const CITY: u16 = 1 << 3;
const COUNTRY: u16 = 1 << 4;
const VAT: u16 = 1 << 5;
const IBAN: u16 = 1 << 6;
const LEI: u16 = 1 << 7;
const IDENTIFIERS: u16 = 1 << 8;

/// A way to spoil a partner.
struct Defect {
    rule: &'static Rule,
    /// The fields that it changes or whose values it needs.
    touches: u16,
    /// Spoils the partner; false, and nothing changed, when the partner has nothing to spoil.
    apply: fn(&mut Rng, &mut Partner) -> bool,
}

const fn defect(rule: &'static Rule, touches: u16, apply: fn(&mut Rng, &mut Partner) -> bool) -> Defect {
    Defect { rule, touches, apply }
}

/// Every defect, each as likely as the others where it can be applied.
static DEFECTS: &[Defect] = &[
    defect(&NAME_MISSING, NAME, |_, partner| set(&mut partner.name, "")),
    defect(&NAME_PLACEHOLDER, NAME, |rng, partner| {
        set(&mut partner.name, choice(rng, &["TEST", "N/A", "xxx", "unknown", "Dummy", "tbd"]))
    }),
    defect(&NAME_REPEATED_CHARACTER, NAME, |rng, partner| {
        set(&mut partner.name, choice(rng, &["aaaa", "111", "BBBBB"]))
    }),
    defect(&NAME_DIGITS_ONLY, NAME, |rng, partner| set(&mut partner.name, &format!("40{}", rng.u32(10_000..99_999)))),
    defect(&NAME_EQUALS_CITY, NAME | CITY, |_, partner| {
        let city = partner.city.to_uppercase();
        set(&mut partner.name, &city)
    }),
    defect(&TEXT_MOJIBAKE, NAME, |rng, partner| {
        let name = misread(&format!("{} {}", choice(rng, FAMILIES), partner.name));
        set(&mut partner.name, &name)
    }),
    defect(&TEXT_CONTROL_CHARACTER, NAME, |_, partner| {
        // DOS ended its files with it.
        partner.name.push('\u{1a}');
        true
    }),
    defect(&TEXT_WHITESPACE, STREET, |_, partner| {
        let street = format!(" {}  ", partner.street.replace(' ', "  "));
        set(&mut partner.street, &street)
    }),
    defect(&STREET_MISSING, STREET, |_, partner| set(&mut partner.street, "")),
    defect(&ADDRESS_PLACEHOLDER, STREET, |rng, partner| {
        set(&mut partner.street, choice(rng, &["N/A", "xxx", "-", "unbekannt"]))
    }),
    defect(&CITY_MISSING, CITY, |_, partner| set(&mut partner.city, "")),
    defect(&COUNTRY_MISSING, COUNTRY, |_, partner| set(&mut partner.country, "")),
    defect(&COUNTRY_UNKNOWN, COUNTRY, |rng, partner| {
        set(&mut partner.country, choice(rng, &["XX", "ZZ", "QQ", "Utopia"]))
    }),
    defect(&COUNTRY_NOT_A_CODE, COUNTRY, |_, partner| {
        let name = match partner.country.as_str() {
            "AT" => "Österreich",
            "CH" => "Schweiz",
            "DE" => "Germany",
            "FR" => "FRA",
            "GB" => "UK",
            "IT" => "Italia",
            "NL" => "Holland",
            "US" => "USA",
            _ => return false,
        };
        set(&mut partner.country, name)
    }),
    defect(&COUNTRY_FORMAT, COUNTRY, |_, partner| {
        partner.country.make_ascii_lowercase();
        true
    }),
    defect(&POSTAL_CODE_MISSING, POSTAL | COUNTRY, |_, partner| {
        partner.country != "IE" && set(&mut partner.postal_code, "")
    }),
    defect(&POSTAL_CODE_INVALID, POSTAL | COUNTRY, |rng, partner| {
        set(&mut partner.postal_code, choice(rng, &["12", "ABCDEFGH", "1234567890", "0000"]))
    }),
    defect(&POSTAL_CODE_FORMAT, POSTAL | COUNTRY, |_, partner| {
        let code = match partner.postal_code.replace([' ', '-'], "") {
            plain if plain == partner.postal_code => format!("{}-{plain}", partner.country),
            plain => plain.to_lowercase(),
        };
        set(&mut partner.postal_code, &code)
    }),
    defect(&VAT_CHECK_DIGIT_INVALID, VAT | COUNTRY, |_, partner| wrong_vat_check_digit(partner)),
    defect(&VAT_STRUCTURE_INVALID, VAT | COUNTRY, |_, partner| {
        has(&partner.vat_number) && push(&mut partner.vat_number, "00000")
    }),
    defect(&VAT_PREFIX_MISSING, VAT | COUNTRY, |_, partner| {
        has(&partner.vat_number) && {
            partner.vat_number.drain(..2);
            true
        }
    }),
    defect(&VAT_COUNTRY_MISMATCH, VAT | COUNTRY, |_, partner| {
        let other = if partner.country == "AT" { "DE136695976" } else { "ATU13585627" };
        set(&mut partner.vat_number, other)
    }),
    defect(&VAT_FORMAT, VAT, |_, partner| {
        has(&partner.vat_number) && {
            partner.vat_number.insert(2, ' ');
            partner.vat_number.insert(6, '.');
            true
        }
    }),
    defect(&IBAN_CHECK_DIGIT_INVALID, IBAN, |_, partner| has(&partner.iban) && next_digit(&mut partner.iban)),
    defect(&IBAN_LENGTH_INVALID, IBAN, |_, partner| partner.iban.pop().is_some()),
    defect(&IBAN_STRUCTURE_INVALID, IBAN, |_, partner| {
        has(&partner.iban) && {
            partner.iban.replace_range(2..3, "O");
            true
        }
    }),
    defect(&IBAN_COUNTRY_UNKNOWN, IBAN, |_, partner| {
        has(&partner.iban) && {
            partner.iban.replace_range(..2, "US");
            true
        }
    }),
    defect(&IBAN_FORMAT, IBAN, |_, partner| {
        has(&partner.iban) && {
            let groups: Vec<_> = partner.iban.as_bytes().chunks(4).map(String::from_utf8_lossy).collect();
            let printed = groups.join(" ");
            set(&mut partner.iban, &printed)
        }
    }),
    defect(&LEI_CHECK_DIGIT_INVALID, LEI, |_, partner| has(&partner.lei) && next_digit(&mut partner.lei)),
    defect(&LEI_LENGTH_INVALID, LEI, |_, partner| partner.lei.pop().is_some()),
    defect(&LEI_STRUCTURE_INVALID, LEI, |_, partner| partner.lei.pop().is_some() && push(&mut partner.lei, "X")),
    defect(&LEI_FORMAT, LEI, |_, partner| {
        has(&partner.lei) && {
            partner.lei.insert(4, '-');
            true
        }
    }),
    defect(&GLN_INVALID, IDENTIFIERS, |_, partner| set(&mut partner.identifiers, "GLN:4012345000008")),
    defect(&DUNS_INVALID, IDENTIFIERS, |_, partner| set(&mut partner.identifiers, "DUNS:1504837")),
    defect(&IDENTIFIER_MALFORMED, IDENTIFIERS, |_, partner| set(&mut partner.identifiers, "V123456")),
];

fn has(text: &str) -> bool {
    !text.is_empty()
}

fn set(field: &mut String, value: &str) -> bool {
    field.clear();
    field.push_str(value);
    true
}

fn push(field: &mut String, end: &str) -> bool {
    field.push_str(end);
    true
}

/// Makes the last digit one greater (9 becomes 0), which MOD 97-10 always notices.
fn next_digit(field: &mut String) -> bool {
    let Some(place) = field.rfind(|char: char| char.is_ascii_digit()) else {
        return false;
    };
    let digit = field.as_bytes()[place] - b'0';
    let next = char::from(b'0' + (digit + 1) % 10);
    field.replace_range(place..=place, next.encode_utf8(&mut [0; 4]));
    true
}

/// Changes the first digit that leaves the structure right and the check digits wrong. Where the
/// Dutch rule has two algorithms or the Romanian number any length, some digits do neither.
fn wrong_vat_check_digit(partner: &mut Partner) -> bool {
    let Some(scheme) = vat::by_country(&partner.country).filter(|_| has(&partner.vat_number)) else {
        return false;
    };
    let prefix = scheme.prefix.len();
    let mut number = partner.vat_number.clone();
    for place in (prefix..number.len()).rev() {
        let old = number.as_bytes()[place];
        if !old.is_ascii_digit() {
            continue;
        }
        for by in 1..10 {
            let new = char::from(b'0' + (old - b'0' + by) % 10);
            number.replace_range(place..=place, new.encode_utf8(&mut [0; 4]));
            if scheme.verdict(&number.as_bytes()[prefix..]) == Err(&VAT_CHECK_DIGIT_INVALID) {
                partner.vat_number = number;
                return true;
            }
        }
        number.clone_from(&partner.vat_number);
    }
    false
}

/// Plants up to `count` defects and gives the sorted codes of their rules; at least one, since any
/// name can be spoiled.
pub fn plant(rng: &mut Rng, partner: &mut Partner, count: usize) -> Vec<&'static str> {
    let mut codes = Vec::with_capacity(count);
    let mut touched = 0;
    let start = rng.usize(..DEFECTS.len());
    // A stride that shares no factor with the length visits every defect once.
    let stride = rng.choice([1, 11, 13, 17, 23]).unwrap_or(1);
    for step in 0..DEFECTS.len() {
        if codes.len() == count {
            break;
        }
        let defect = &DEFECTS[(start + step * stride) % DEFECTS.len()];
        if touched & defect.touches == 0 && (defect.apply)(rng, partner) {
            touched |= defect.touches;
            codes.push(defect.rule.code);
        }
    }
    codes.sort_unstable();
    codes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strides_visit_every_defect() {
        for stride in [1, 11, 13, 17, 23] {
            let mut seen: Vec<_> = (0..DEFECTS.len()).map(|step| step * stride % DEFECTS.len()).collect();
            seen.sort_unstable();
            seen.dedup();
            assert_eq!(seen.len(), DEFECTS.len(), "{stride}");
        }
    }
}
