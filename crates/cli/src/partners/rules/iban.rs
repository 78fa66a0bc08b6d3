//! International bank account numbers by ISO 13616-1 and the SWIFT IBAN registry: country, length,
//! structure of the domestic part (BBAN) and check digits. National check digits inside the BBAN
//! are not checked.
//!
//! The table is here, and not a library's, because messages name the length and structure that a
//! country has, and the generator builds numbers from it. A test holds it against a library.

use std::ops::ControlFlow;

use super::digits::{Compact, mod_97};
use crate::partners::catalog::{
    IBAN_CHECK_DIGIT_INVALID, IBAN_COUNTRY_UNKNOWN, IBAN_FORMAT, IBAN_LENGTH_INVALID, IBAN_STRUCTURE_INVALID, Rule,
};
use crate::partners::findings::Findings;

/// Country and BBAN structure in the registry's notation: a length, `!`, and `n` (digits),
/// `a` (upper-case letters) or `c` (letters and digits). Sorted by country.
#[rustfmt::skip] // Several rows a line are read as a table.
pub static REGISTRY: &[(&str, &str)] = &[
    ("AD", "4!n4!n12!c"), ("AE", "3!n16!n"), ("AL", "8!n16!c"), ("AT", "5!n11!n"),
    ("AZ", "4!a20!c"), ("BA", "3!n3!n8!n2!n"), ("BE", "3!n7!n2!n"), ("BG", "4!a4!n2!n8!c"),
    ("BH", "4!a14!c"), ("BI", "5!n5!n11!n2!n"), ("BR", "8!n5!n10!n1!a1!c"), ("BY", "4!c4!n16!c"),
    ("CH", "5!n12!c"), ("CR", "4!n14!n"), ("CY", "3!n5!n16!c"), ("CZ", "4!n16!n"),
    ("DE", "8!n10!n"), ("DJ", "5!n5!n11!n2!n"), ("DK", "4!n9!n1!n"), ("DO", "4!c20!n"),
    ("EE", "2!n14!n"), ("EG", "4!n4!n17!n"), ("ES", "4!n4!n1!n1!n10!n"), ("FI", "3!n11!n"),
    ("FK", "2!a12!n"), ("FO", "4!n9!n1!n"), ("FR", "5!n5!n11!c2!n"), ("GB", "4!a6!n8!n"),
    ("GE", "2!a16!n"), ("GI", "4!a15!c"), ("GL", "4!n9!n1!n"), ("GR", "3!n4!n16!c"),
    ("GT", "4!c20!c"), ("HN", "4!a20!n"), ("HR", "7!n10!n"), ("HU", "3!n4!n1!n15!n1!n"),
    ("IE", "4!a6!n8!n"), ("IL", "3!n3!n13!n"), ("IQ", "4!a3!n12!n"), ("IS", "4!n2!n6!n10!n"),
    ("IT", "1!a5!n5!n12!c"), ("JO", "4!a4!n18!c"), ("KW", "4!a22!c"), ("KZ", "3!n13!c"),
    ("LB", "4!n20!c"), ("LC", "4!a24!c"), ("LI", "5!n12!c"), ("LT", "5!n11!n"), ("LU", "3!n13!c"),
    ("LV", "4!a13!c"), ("LY", "3!n3!n15!n"), ("MC", "5!n5!n11!c2!n"), ("MD", "2!c18!c"),
    ("ME", "3!n13!n2!n"), ("MK", "3!n10!c2!n"), ("MN", "4!n12!n"), ("MR", "5!n5!n11!n2!n"),
    ("MT", "4!a5!n18!c"), ("MU", "4!a2!n2!n12!n3!n3!a"), ("NI", "4!a20!n"), ("NL", "4!a10!n"),
    ("NO", "4!n6!n1!n"), ("OM", "3!n16!c"), ("PK", "4!a16!c"), ("PL", "8!n16!n"), ("PS", "4!a21!c"),
    ("PT", "4!n4!n11!n2!n"), ("QA", "4!a21!c"), ("RO", "4!a16!c"), ("RS", "3!n13!n2!n"),
    ("RU", "9!n5!n15!c"), ("SA", "2!n18!c"), ("SC", "4!a2!n2!n16!n3!a"), ("SD", "2!n12!n"),
    ("SE", "3!n16!n1!n"), ("SI", "5!n8!n2!n"), ("SK", "4!n6!n10!n"), ("SM", "1!a5!n5!n12!c"),
    ("SO", "4!n3!n12!n"), ("ST", "4!n4!n11!n2!n"), ("SV", "4!a20!n"), ("TL", "3!n14!n2!n"),
    ("TN", "2!n3!n13!n2!n"), ("TR", "5!n1!n16!c"), ("UA", "6!n19!c"), ("VA", "3!n15!n"),
    ("VG", "4!a16!n"), ("XK", "4!n10!n2!n"), ("YE", "4!a4!n18!c"),
];

/// The BBAN structure of a country, in the registry's notation.
pub fn structure(country: &str) -> Option<&'static str> {
    REGISTRY.binary_search_by(|(code, _)| (*code).cmp(country)).ok().map(|index| REGISTRY[index].1)
}

/// The parts of a structure: length and class (`n`, `a`, `c`).
pub fn parts(structure: &str) -> impl Iterator<Item = (usize, u8)> {
    let mut bytes = structure.bytes();
    std::iter::from_fn(move || {
        let mut length = 0;
        let class = bytes.try_for_each(|byte| match byte {
            b'0'..=b'9' => {
                length = length * 10 + usize::from(byte - b'0');
                ControlFlow::Continue(())
            }
            b'!' => ControlFlow::Continue(()),
            class => ControlFlow::Break(class),
        });
        class.break_value().map(|class| (length, class))
    })
}

/// The two check digits of an IBAN with this country and BBAN (upper case, no separators).
pub fn check_digits(country: &str, bban: &str) -> u32 {
    98 - mod_97(&[bban.as_bytes(), country.as_bytes(), b"00"])
}

/// Checks an IBAN that stands in `field`; an empty one is no defect.
pub fn check(text: &str, field: &'static str, found: &mut Findings) {
    if text.trim().is_empty() {
        return;
    }
    let Some(compact) = Compact::new(text) else {
        found.defect(
            &IBAN_STRUCTURE_INVALID,
            field,
            format!("\"{text}\" is not an IBAN: only letters and digits are allowed"),
        );
        return;
    };
    let iban = compact.as_str();
    // Paper forms print the word in front of the number.
    let iban = iban.strip_prefix("IBAN").unwrap_or(iban);
    match verdict(iban) {
        Ok(()) if iban != text => found.correction(&IBAN_FORMAT, field, text, iban),
        Ok(()) => {}
        Err(rule) => {
            let why = why(iban, rule);
            found.defect(rule, field, format!("IBAN \"{text}\": {why}"));
        }
    }
}

fn why(iban: &str, rule: &'static Rule) -> String {
    let country = iban.get(..2).unwrap_or_default();
    let bban = structure(country).unwrap_or_default();
    if rule == &IBAN_COUNTRY_UNKNOWN {
        format!("{country} is not in the IBAN registry")
    } else if rule == &IBAN_LENGTH_INVALID {
        let length: usize = parts(bban).map(|(length, _)| length).sum();
        let expected = length + 4;
        format!("it has {} characters, {country} has {expected}", iban.len())
    } else if rule == &IBAN_CHECK_DIGIT_INVALID {
        "its check digits are wrong".to_owned()
    } else if bban.is_empty() {
        "it does not start with a country code and two digits".to_owned()
    } else {
        format!("it does not have the structure of {country}: {country}2!n{bban}")
    }
}

/// The verdict on an upper-case IBAN without separators.
fn verdict(iban: &str) -> Result<(), &'static Rule> {
    let bytes = iban.as_bytes();
    let [first, second, tens, ones, bban @ ..] = bytes else {
        return Err(&IBAN_STRUCTURE_INVALID);
    };
    if !first.is_ascii_uppercase() || !second.is_ascii_uppercase() {
        return Err(&IBAN_STRUCTURE_INVALID);
    }
    let Some(structure) = structure(&iban[..2]) else {
        return Err(&IBAN_COUNTRY_UNKNOWN);
    };
    if parts(structure).map(|(length, _)| length).sum::<usize>() != bban.len() {
        return Err(&IBAN_LENGTH_INVALID);
    }
    if !tens.is_ascii_digit() || !ones.is_ascii_digit() || !fits(structure, bban) {
        return Err(&IBAN_STRUCTURE_INVALID);
    }
    // 00, 01 and 99 have the remainder of 97, 98 and 02 but are never computed as check digits.
    let never = matches!([*tens, *ones], [b'0', b'0' | b'1'] | [b'9', b'9']);
    if never || mod_97(&[bban, &bytes[..4]]) != 1 {
        return Err(&IBAN_CHECK_DIGIT_INVALID);
    }
    Ok(())
}

fn fits(structure: &str, mut bban: &[u8]) -> bool {
    parts(structure).all(|(length, class)| {
        let Some((part, rest)) = bban.split_at_checked(length) else {
            return false;
        };
        bban = rest;
        part.iter().all(|byte| match class {
            b'n' => byte.is_ascii_digit(),
            b'a' => byte.is_ascii_uppercase(),
            _ => byte.is_ascii_digit() || byte.is_ascii_uppercase(),
        })
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The customary example of each country, as in the IBAN registry.
    const EXAMPLES: &[&str] = &[
        "AD1200012030200359100100",
        "AE070331234567890123456",
        "AL47212110090000000235698741",
        "AT611904300234573201",
        "AZ21NABZ00000000137010001944",
        "BA391290079401028494",
        "BE68539007547034",
        "BG80BNBG96611020345678",
        "BH67BMAG00001299123456",
        "BR1800360305000010009795493C1",
        "CH9300762011623852957",
        "CR05015202001026284066",
        "CY17002001280000001200527600",
        "CZ6508000000192000145399",
        "DE89370400440532013000",
        "DK5000400440116243",
        "DO28BAGR00000001212453611324",
        "EE382200221020145685",
        "ES9121000418450200051332",
        "FI2112345600000785",
        "FO6264600001631634",
        "FR1420041010050500013M02606",
        "GB29NWBK60161331926819",
        "GE29NB0000000101904917",
        "GI75NWBK000000007099453",
        "GL8964710001000206",
        "GR1601101250000000012300695",
        "GT82TRAJ01020000001210029690",
        "HR1210010051863000160",
        "HU42117730161111101800000000",
        "IE29AIBK93115212345678",
        "IL620108000000099999999",
        "IS140159260076545510730339",
        "IT60X0542811101000000123456",
        "JO94CBJO0010000000000131000302",
        "KW81CBKU0000000000001234560101",
        "KZ86125KZT5004100100",
        "LB62099900000001001901229114",
        "LI21088100002324013AA",
        "LT121000011101001000",
        "LU280019400644750000",
        "LV80BANK0000435195001",
        "MC5811222000010123456789030",
        "MD24AG000225100013104168",
        "ME25505000012345678951",
        "MK07250120000058984",
        "MR1300020001010000123456753",
        "MT84MALT011000012345MTLCAST001S",
        "MU17BOMM0101101030300200000MUR",
        "NL91ABNA0417164300",
        "NO9386011117947",
        "PK36SCBL0000001123456702",
        "PL61109010140000071219812874",
        "PS92PALS000000000400123456702",
        "PT50000201231234567890154",
        "QA58DOHB00001234567890ABCDEFG",
        "RO49AAAA1B31007593840000",
        "RS35260005601001611379",
        "SA0380000000608010167519",
        "SE4550000000058398257466",
        "SI56263300012039086",
        "SK3112000000198742637541",
        "SM86U0322509800000000270100",
        "TN5910006035183598478831",
        "TR330006100519786457841326",
        "UA213223130000026007233566001",
        "VA59001123000012345678",
        "VG96VPVG0000012345678901",
        "XK051212012345678906",
    ];

    #[test]
    fn registry_is_sorted_and_well_formed() {
        assert!(REGISTRY.is_sorted_by(|a, b| a.0 < b.0));
        for (country, structure) in REGISTRY {
            let length: usize = parts(structure).map(|(length, _)| length).sum();
            assert!((11..=30).contains(&length), "{country}");
        }
    }

    #[test]
    fn examples_are_valid() {
        for iban in EXAMPLES {
            assert_eq!(verdict(iban), Ok(()), "{iban}");
            let check: u32 = iban[2..4].parse().unwrap();
            assert_eq!(check_digits(&iban[..2], &iban[4..]), check, "{iban}");
        }
    }

    #[test]
    fn each_way_to_be_wrong_has_its_rule() {
        for (iban, rule) in [
            ("DE8", &IBAN_STRUCTURE_INVALID),
            ("1289370400440532013000", &IBAN_STRUCTURE_INVALID),
            ("US89370400440532013000", &IBAN_COUNTRY_UNKNOWN),
            ("DE8937040044053201300", &IBAN_LENGTH_INVALID),
            ("DEA9370400440532013000", &IBAN_STRUCTURE_INVALID),
            ("DE8937040044053201300A", &IBAN_STRUCTURE_INVALID),
            ("DE88370400440532013000", &IBAN_CHECK_DIGIT_INVALID),
        ] {
            assert_eq!(verdict(iban), Err(rule), "{iban}");
        }
    }

    /// The other implementation follows an older release of the registry.
    #[test]
    fn structures_agree_with_an_independent_implementation() {
        let mut unknown = Vec::new();
        for (country, structure) in REGISTRY {
            let bban: String =
                parts(structure).map(|(length, class)| if class == b'n' { "7" } else { "Q" }.repeat(length)).collect();
            let iban = format!("{country}{:02}{bban}", check_digits(country, &bban));
            assert_eq!(verdict(&iban), Ok(()), "{iban}");
            match iban.parse::<::iban::Iban>() {
                Ok(_) => {}
                Err(::iban::ParseIbanError::UnknownCountry(_)) => unknown.push(*country),
                Err(error) => panic!("{iban}: {error}"),
            }
        }
        assert_eq!(unknown, ["HN", "PK"]);
    }

    proptest! {
        #[test]
        fn one_changed_digit_is_found(which in 0..EXAMPLES.len(), place in 0usize..40, by in 1u8..10) {
            let mut iban = EXAMPLES[which].as_bytes().to_vec();
            let digits: Vec<_> = (2..iban.len()).filter(|&place| iban[place].is_ascii_digit()).collect();
            let place = digits[place % digits.len()];
            iban[place] = b'0' + (iban[place] - b'0' + by) % 10;
            let iban = String::from_utf8(iban).unwrap();
            prop_assert_eq!(verdict(&iban), Err(&IBAN_CHECK_DIGIT_INVALID), "{}", iban);
        }
    }
}
