use std::collections::HashSet;

use fastrand::Rng;
use proptest::prelude::{any, prop_assert_eq, proptest};

use super::*;
use crate::partners::catalog::RULES;
use crate::partners::summary::Summary;
use crate::partners::validate::validate;
use crate::partners::writer::PartnerWriter;

/// Rules that only a file or a record beyond the ordinary can break.
const NEVER_PLANTED: [&str; 5] =
    ["ROW_UNREADABLE", "EXTERNAL_ID_MISSING", "POSTAL_CODE_NOT_USED", "VAT_PREFIX_UNKNOWN", "IDENTIFIERS_TOO_MANY"];

#[test]
fn every_rule_that_can_be_planted_is_found_and_nothing_else() {
    let (mut found, mut planted) = (Summary::default(), Summary::default());
    let mut ids = HashSet::new();
    let mut spoiled = 0;
    for (partner, plan) in Generator::new(1, 60_000) {
        let validation = validate(&partner);
        assert_eq!(validation.rules(), plan.rules, "{partner:?} {validation:?}");
        assert!(ids.insert(partner.external_id.clone()));
        assert!(ids.insert(partner.business_partner_id.clone().unwrap()));
        spoiled += u32::from(!plan.rules.is_empty());
        assert!(plan.rules.len() <= 2);
        found.add_validation(&partner, &validation);
        planted.add_planted(&partner, &plan);
    }
    assert_eq!(found.differences(&planted), [""; 0]);
    assert_eq!(found, planted);
    let share = f64::from(spoiled) * 100.0 / 60_000.0;
    assert!((share - f64::from(PLANTED_SHARE_PERCENT)).abs() < 1.0, "{share}");
    for rule in RULES {
        let planted = planted.by_rule.contains_key(rule.code);
        assert_ne!(planted, NEVER_PLANTED.contains(&rule.code), "{}", rule.code);
    }
    assert!(found.by_country.len() > 20);
}

#[test]
fn every_country_with_a_scheme_has_numbers() {
    let mut rng = Rng::with_seed(1);
    for country in COUNTRIES {
        let vat = numbers::vat(&mut rng, country.code);
        assert_eq!(vat.is_some(), country.code != "US", "{}", country.code);
        let iban = numbers::iban(&mut rng, country.code, "");
        assert_eq!(iban.is_some(), !country.banks.is_empty(), "{}", country.code);
    }
    assert!(COUNTRIES.len() >= 20);
}

#[test]
fn bytes_are_the_same_for_ever() {
    let mut writer = PartnerWriter::new(Vec::new()).unwrap();
    for (partner, _) in Generator::new(42, 3) {
        writer.write(&partner).unwrap();
    }
    let text = String::from_utf8(writer.finish().unwrap()).unwrap();
    assert_eq!(text, GOLDEN);
}

const GOLDEN: &str = "\
externalId,businessPartnerId,dataSourceId,name,street,postalCode,city,country,vatNumber,iban,lei,identifiers
ERP-0000001,637b1a279bd6ef9118000000,648824c891d8d2503d651047,Kramer Advies N.V.,Stationsweg 97,5612 AR,Eindhoven,NL,NL796610101B01,,,SUPPLIER:V814942
ERP-0000002,63032ec7117ef0a160000001,648824b191d8d2503d651042,Triton Handel HB,Drottninggatan 54,111 52,Stockholm,SE,SE553019747301,SE7630085555589638218584,213800GPDKYYU7UBLV58,
ERP-0000003,63863f71e435e416a5000002,648824c891d8d2503d651047,Lyra Logistyka Sp. k.,ul. Polna 168,61-739,Poznań,PL,PL6245681958,PL38102010267531809119570226,,
";

proptest! {
    #[test]
    fn validation_finds_what_was_planted(seed in any::<u64>(), index in 0u64..1 << 40) {
        let (partner, planted) = Generator::new(seed, 0).partner(index);
        let validation = validate(&partner);
        prop_assert_eq!(validation.rules(), planted.rules, "{:?}", partner);
    }

    #[test]
    fn a_partner_depends_on_seed_and_index_alone(seed in any::<u64>(), records in 1u64..50) {
        let generator = Generator::new(seed, records);
        let all: Vec<_> = generator.clone().collect();
        prop_assert_eq!(all.len() as u64, records);
        for (index, made) in all.into_iter().enumerate() {
            prop_assert_eq!(made, generator.partner(index as u64));
        }
    }
}
