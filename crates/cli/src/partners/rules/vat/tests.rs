use super::*;
use crate::partners::findings::Validation;

fn found(text: &str, country: Option<&str>) -> Validation {
    let mut found = Findings::default();
    check(text, country, "vatNumber", &mut found);
    found.finish()
}

/// Sample numbers in common use; an independent implementation accepts them as well.
const VALID: &[(&str, &str)] = &[
    ("AT", "ATU13585627"),
    ("AT", "ATU10223006"),
    ("BE", "BE0403019261"),
    ("BE", "BE0428759497"),
    ("BG", "BG175074752"),
    ("BG", "BG7523169263"),
    ("CH", "CHE107787577IVA"),
    ("CH", "CHE116281710MWST"),
    ("CH", "CHE100155212"),
    ("CY", "CY10259033P"),
    ("CZ", "CZ25123891"),
    ("CZ", "CZ7103192745"),
    ("CZ", "CZ640903926"),
    ("DE", "DE136695976"),
    ("DE", "DE129273398"),
    ("DK", "DK13585628"),
    ("EE", "EE100931558"),
    ("EE", "EE100594102"),
    ("GR", "EL094259216"),
    ("GR", "EL023456780"),
    ("ES", "ES54362315K"),
    ("ES", "ESX2482300W"),
    ("ES", "ESJ99216582"),
    ("ES", "ESA13585625"),
    ("FI", "FI20774740"),
    ("FR", "FR40303265045"),
    ("FR", "FR23334175221"),
    ("FR", "FRK7399859412"),
    ("FR", "FR83404833048"),
    ("MC", "FR53000004605"),
    ("GB", "GB980780684"),
    ("GB", "GB802311782"),
    ("GB", "GBGD001"),
    ("GB", "GBHA500"),
    ("HR", "HR33392005961"),
    ("HU", "HU12892312"),
    ("IE", "IE6433435F"),
    ("IE", "IE6433435OA"),
    ("IE", "IE8D79739I"),
    ("IT", "IT00743110157"),
    ("LT", "LT119511515"),
    ("LT", "LT100001919017"),
    ("LU", "LU15027442"),
    ("LV", "LV40003521600"),
    ("LV", "LV16117519997"),
    ("MT", "MT11679112"),
    ("NL", "NL004495445B01"),
    ("NL", "NL002455799B11"),
    ("NO", "NO995525828MVA"),
    ("PL", "PL8567346215"),
    ("PT", "PT501964843"),
    ("RO", "RO18547290"),
    ("SE", "SE123456789701"),
    ("SI", "SI50223054"),
    ("SK", "SK2022749619"),
];

#[test]
fn sample_numbers_are_valid() {
    for (country, number) in VALID {
        assert_eq!(found(number, Some(country)), Validation::default(), "{number}");
    }
    let countries: std::collections::HashSet<_> = VALID.iter().map(|(country, _)| country).collect();
    assert!(countries.len() >= 30);
}

#[test]
fn a_changed_last_digit_is_found() {
    for (country, number) in VALID {
        let number = number.trim_end_matches("IVA").trim_end_matches("MWST").trim_end_matches("MVA");
        let (body, last) = number.split_at(number.len() - 1);
        let wrong = match last {
            _ if number.starts_with("GBGD") || number.starts_with("GBHA") => continue,
            // The last digit of a Dutch or a Swedish number only counts businesses.
            _ if *country == "NL" => format!("{}9{}", &number[..2], &number[3..]),
            _ if *country == "SE" => format!("{}9{}", &number[..2], &number[3..]),
            "A" => format!("{body}B"),
            digit if digit.as_bytes()[0].is_ascii_digit() => {
                format!("{body}{}", (digit.as_bytes()[0] - b'0' + 1) % 10)
            }
            _ => format!("{body}A"),
        };
        assert_eq!(found(&wrong, Some(country)).rules(), ["VAT_CHECK_DIGIT_INVALID"], "{wrong}");
    }
}

#[test]
fn structures_are_checked_before_digits() {
    for (country, number) in [
        ("AT", "AT13585627"),
        ("BE", "BE403019261"),
        ("BE", "BE2403019261"),
        ("CH", "CH107787577"),
        ("CH", "CHE107787577XYZ"),
        ("DE", "DE036695976"),
        ("DE", "DE1366959766"),
        ("NL", "NL004495445A01"),
        ("NO", "NO123456785MVA"),
        ("DE", "DE"),
        ("DE", "DE13669597é"),
    ] {
        let rules = found(number, Some(country)).rules();
        assert_eq!(rules, ["VAT_STRUCTURE_INVALID"], "{number}");
    }
}

#[test]
fn other_spellings_are_corrected() {
    for (country, number, proposed) in [
        ("CH", "CHE-116.281.710 MWST", "CHE116281710MWST"),
        ("DE", "de 136 695 976", "DE136695976"),
        ("GR", "GR094259216", "EL094259216"),
        ("NL", "NL 0044.95.445.B01", "NL004495445B01"),
    ] {
        let validation = found(number, Some(country));
        assert_eq!(validation.rules(), ["VAT_FORMAT"], "{number}");
        assert_eq!(validation.corrections[0].proposed, proposed);
    }
}

#[test]
fn the_prefix_is_compared_with_the_address() {
    let missing = found("136695976", Some("DE"));
    assert_eq!(missing.rules(), ["VAT_PREFIX_MISSING"]);
    assert_eq!(missing.corrections[0].proposed, "DE136695976");
    assert!(!missing.failed());
    assert_eq!(found("136695978", Some("DE")).rules(), ["VAT_CHECK_DIGIT_INVALID"]);
    assert_eq!(found("XY136695976", Some("DE")).rules(), ["VAT_PREFIX_UNKNOWN"]);
    assert_eq!(found("DE136695976", Some("FR")).rules(), ["VAT_COUNTRY_MISMATCH"]);
    assert_eq!(found("FR40303265045", Some("MC")), Validation::default());
    assert_eq!(found("XI980780684", Some("GB")), Validation::default());
    assert_eq!(found("DE136695976", None), Validation::default());
}

#[test]
fn what_has_no_scheme_is_not_judged() {
    for number in ["12-3456789", "US123", "é", "-", ""] {
        assert_eq!(found(number, Some("US")), Validation::default(), "{number}");
    }
    assert_eq!(found(" ", Some("DE")), Validation::default());
    assert_eq!(found("DE136695978", Some("US")).rules(), ["VAT_CHECK_DIGIT_INVALID"]);
}
