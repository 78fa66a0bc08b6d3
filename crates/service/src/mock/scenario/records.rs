//! Plausible results of records. The record of a number is the same for the same seed, however it is asked for.

use docket_contract::result::ResultItem;
use serde_json::json;

const COUNTRIES: [&str; 12] = ["CH", "DE", "FR", "IT", "AT", "NL", "GB", "US", "ES", "SE", "PL", "JP"];
const SOURCES: [&str; 3] = ["648824a691d8d2503d65103e", "64a1f0c2b7e94d1f30a2c9d4", "65c03b9e12f87a6d4405be71"];
const DEFECTS: [(&str, &str, &str); 5] = [
    ("LEGAL_NAME_TOO_SHORT", "name.local", "The legal name is shorter than three characters."),
    ("POSTAL_CODE_FORMAT", "address.postCode", "The postal code does not have the format of its country."),
    ("VAT_NUMBER_CHECK_DIGIT", "identifiers[0].value", "The check digit of the VAT number is wrong."),
    ("IBAN_COUNTRY", "bankAccounts[0].iban", "The IBAN belongs to another country than the bank."),
    ("STREET_MISSING", "address.thoroughfares", "The address has no street."),
];

/// What the records of a run have in common.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Recipe {
    /// What they are made from.
    pub(super) seed: u64,
    /// The share of FAILED ones.
    pub(super) failed: f64,
    /// The type in the records.
    pub(super) job_type: Option<String>,
}

impl Recipe {
    /// The records from `first` on.
    pub(super) fn records(&self, first: u32, count: u32) -> Vec<ResultItem> {
        (first..first.saturating_add(count)).map(|number| ResultItem::parse(&self.record(number).to_string())).collect()
    }

    fn record(&self, number: u32) -> serde_json::Value {
        // Numbers that follow each other must not give seeds that do.
        let mut random = fastrand::Rng::with_seed(self.seed ^ u64::from(number).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let failed = random.f64() < self.failed;
        let country = COUNTRIES[random.usize(..COUNTRIES.len())];
        let defects: Vec<_> = if failed {
            (0..random.usize(1..=2)).map(|_| DEFECTS[random.usize(..DEFECTS.len())]).collect()
        } else {
            Vec::new()
        };
        let shown: Vec<_> = defects
            .iter()
            .map(|(key, path, message)| json!({"violationLevel": {"technicalKey": "ERROR"}, "key": key, "path": path, "message": message}))
            .collect();
        let data = json!({"dataDefects": shown, "corrections": [], "qualityScore": random.u8(if failed { 40..80 } else { 80..101 })});
        let mut record = json!({
            "dataSourceId": SOURCES[random.usize(..SOURCES.len())],
            "businessPartnerId": format!("{:016x}{number:08x}", random.u64(..)),
            "externalId": format!("ERP-{:07}", u64::from(number) + 1),
            "countryShortName": country,
            "status": if failed { "FAILED" } else { "OK" },
            "resultData": data.to_string(),
        });
        if let Some(job_type) = &self.job_type {
            record["jobType"] = json!(job_type);
        }
        if let Some((_, _, message)) = defects.first() {
            record["message"] = json!(message);
        }
        record
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::result::ResultStatus;
    use std::collections::HashSet;

    fn recipe(seed: u64, failed: f64) -> Recipe {
        Recipe { seed, failed, job_type: Some("DATA_VALIDATION_JOB".to_owned()) }
    }

    #[test]
    fn records_repeat_with_their_seed_however_they_are_cut() {
        let whole = recipe(1, 0.1).records(0, 100);
        let parts = [recipe(1, 0.1).records(0, 33), recipe(1, 0.1).records(33, 67)].concat();
        assert_eq!(whole, parts);
        assert_ne!(whole, recipe(2, 0.1).records(0, 100));
    }

    #[test]
    fn records_are_valid_different_and_fail_at_their_share() {
        let records = recipe(7, 0.2).records(0, 5000);
        let (mut failed, mut identities, mut countries) = (0, HashSet::new(), HashSet::new());
        for item in records {
            let ResultItem::Record(record, ignored) = item else { panic!("{item:?}") };
            assert!(ignored.is_empty(), "{ignored:?}");
            failed += usize::from(record.status == ResultStatus::Failed);
            identities.insert(record.identity);
            countries.insert(record.country);
        }
        assert_eq!((identities.len(), countries.len()), (5000, COUNTRIES.len()));
        assert!((900..1100).contains(&failed), "{failed}");
        for (share, expected) in [(0.0, 0), (1.0, 50)] {
            let records = recipe(7, share).records(0, 50);
            let is_failed = |item: &&ResultItem| matches!(item, ResultItem::Record(record, _) if record.status == ResultStatus::Failed);
            assert_eq!(records.iter().filter(is_failed).count(), expected);
        }
    }
}
