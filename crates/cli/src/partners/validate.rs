//! The order in which a partner's fields go through the rules.

use super::findings::{Findings, Validation};
use super::partner::Partner;
use super::rules::{country, iban, identifiers, lei, postal, text, vat};

/// Checks a partner by every rule. Never fails: whatever the text, it gets a verdict.
pub fn validate(partner: &Partner) -> Validation {
    let mut found = Findings::default();
    text::check_external_id(&partner.external_id, &mut found);
    text::check_name(&partner.name, &partner.city, &mut found);
    text::check_street(&partner.street, &mut found);
    let country = country::check(&partner.country, &mut found);
    postal::check(&partner.postal_code, country, &mut found);
    text::check_city(&partner.city, country, &mut found);
    vat::check(&partner.vat_number, country, "vatNumber", &mut found);
    iban::check(&partner.iban, "iban", &mut found);
    lei::check(&partner.lei, "lei", &mut found);
    identifiers::check(&partner.identifiers, &mut found);
    found.finish()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::partners::catalog::rule;
    use crate::partners::findings::Severity;

    fn partner() -> Partner {
        Partner {
            external_id: "1".to_owned(),
            name: "Muster AG".to_owned(),
            street: "Bahnhofstrasse 1".to_owned(),
            postal_code: "8001".to_owned(),
            city: "Zürich".to_owned(),
            country: "CH".to_owned(),
            vat_number: "CHE116281710MWST".to_owned(),
            iban: "CH9300762011623852957".to_owned(),
            lei: "506700GE1G29325QX363".to_owned(),
            ..Partner::default()
        }
    }

    #[test]
    fn a_right_partner_has_an_empty_result() {
        let validation = validate(&partner());
        assert_eq!(validation, Validation::default());
        assert!(!validation.failed());
        assert_eq!(validation.to_result_data(), r#"{"dataDefects":[],"corrections":[]}"#);
    }

    #[test]
    fn result_data_has_the_documented_form() {
        let validation = validate(&Partner {
            iban: "ch93 0076 2011 6238 5295 7".to_owned(),
            lei: "506700GE1G29325QX364".to_owned(),
            ..partner()
        });
        assert!(validation.failed());
        assert_eq!(
            validation.to_result_data(),
            concat!(
                r#"{"dataDefects":[{"rule":"LEI_CHECK_DIGIT_INVALID","field":"lei","#,
                r#""severity":"ERROR","message":"LEI \"506700GE1G29325QX364\": "#,
                r#"its check digits are wrong"}],"corrections":[{"field":"iban","#,
                r#""original":"ch93 0076 2011 6238 5295 7","#,
                r#""proposed":"CH9300762011623852957","rule":"IBAN_FORMAT"}]}"#
            )
        );
    }

    #[test]
    fn warnings_and_corrections_do_not_fail() {
        let validation = validate(&Partner { street: String::new(), postal_code: "CH-8001".to_owned(), ..partner() });
        assert_eq!(validation.rules(), ["POSTAL_CODE_FORMAT", "STREET_MISSING"]);
        assert!(!validation.failed());
    }

    #[test]
    fn the_worst_record_stays_within_the_limit() {
        let bad = "\u{1}\"\\ ".repeat(5000);
        let long = bad.as_str();
        let wrong = "\u{1}LEI".repeat(20);
        let mut identifiers = format!("LEI:{wrong};").repeat(20);
        identifiers.push_str(&"506700 GE1G29325QX363;".repeat(50));
        let partner = Partner {
            external_id: String::new(),
            business_partner_id: None,
            data_source_id: None,
            name: long.to_owned(),
            street: long.to_owned(),
            postal_code: long.to_owned(),
            city: long.to_owned(),
            country: long.to_owned(),
            vat_number: long.to_owned(),
            iban: long.to_owned(),
            lei: long.to_owned(),
            identifiers,
        };
        let validation = validate(&partner);
        assert!(validation.defects.len() > 25);
        assert!(validation.to_result_data().chars().count() <= 65_535);
    }

    proptest! {
        #[test]
        fn any_text_gets_a_verdict_of_known_rules(
            fields in proptest::collection::vec("\\PC{0,24}|[A-Z0-9 .:;+*-]{0,24}", 12),
            country in "[A-Z]{2}|AT|BE|CH|DE|FR|GB|IE|NL|NO|SE",
        ) {
            let mut partner = Partner::default();
            for (index, field) in fields.iter().enumerate() {
                partner.set(index, field);
            }
            partner.country = country;
            let validation = validate(&partner);
            for code in validation.rules() {
                prop_assert!(rule(code).is_some(), "{}", code);
            }
            let errors = validation.defects.iter().any(|defect| defect.severity == Severity::Error);
            prop_assert_eq!(validation.failed(), errors);
        }

        #[test]
        fn a_vat_number_of_any_shape_gets_a_verdict(
            prefix in "AT|BE|BG|CHE|CY|CZ|DE|DK|EE|EL|ES|FI|FR|GB|HR|HU|IE|IT|LT|LU|LV|MT|NL|NO|PL|PT|RO|SE|SI|SK",
            rest in "[0-9]{1,12}|[A-Z0-9+*]{7,13}",
        ) {
            let validation = validate(&Partner { vat_number: format!("{prefix}{rest}"), ..partner() });
            for code in validation.rules() {
                prop_assert!(code.starts_with("VAT_"), "{}", code);
            }
        }
    }
}
