//! Counts over many records, made from validations, from planted defects or from results read
//! back, so that they can be compared.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::{error, fmt};

use serde::Deserialize;

use super::findings::Validation;
use super::generate::Planted;
use super::partner::Partner;

/// Records of one country.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CountryCount {
    /// All records.
    pub records: u64,
    /// Those with an error.
    pub failed: u64,
}

/// Counts over many records.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Summary {
    /// All records.
    pub records: u64,
    /// Those with at least one error.
    pub failed: u64,
    /// For each rule, the records in which it struck at least once, corrections included.
    pub by_rule: BTreeMap<String, u64>,
    /// For each country (alpha-2 code), its records; `-` stands for a country that is not known.
    pub by_country: BTreeMap<String, CountryCount>,
}

/// A `resultData` that is not of the form of `Validation::to_result_data`.
#[derive(Debug)]
pub struct ResultDataError(serde_json::Error);

impl fmt::Display for ResultDataError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "resultData is not the text of a validation: {}", self.0)
    }
}

impl error::Error for ResultDataError {}

/// The part of `resultData` that is counted.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ResultData<'a> {
    #[serde(borrow)]
    data_defects: Vec<Entry<'a>>,
    #[serde(borrow, default)]
    corrections: Vec<Entry<'a>>,
}

#[derive(Deserialize)]
struct Entry<'a> {
    #[serde(borrow)]
    rule: Cow<'a, str>,
}

impl Summary {
    /// Counts one record. `rules` may name a rule several times; it counts once.
    pub fn add<'a>(&mut self, country: Option<&str>, failed: bool, rules: impl IntoIterator<Item = &'a str>) {
        self.records += 1;
        self.failed += u64::from(failed);
        change(&mut self.by_country, country.unwrap_or("-"), |count| {
            count.records += 1;
            count.failed += u64::from(failed);
        });
        let mut rules: Vec<_> = rules.into_iter().collect();
        rules.sort_unstable();
        rules.dedup();
        for rule in rules {
            change(&mut self.by_rule, rule, |count| *count += 1);
        }
    }

    /// Counts a record that was validated.
    pub fn add_validation(&mut self, partner: &Partner, validation: &Validation) {
        self.add(partner.country_code(), validation.failed(), validation.rules());
    }

    /// Counts a generated record as its validation should be.
    pub fn add_planted(&mut self, partner: &Partner, planted: &Planted) {
        self.add(partner.country_code(), planted.fails(), planted.rules.iter().copied());
    }

    /// Counts a result that was read back: its `countryShortName`, whether its status is FAILED,
    /// and its `resultData`.
    ///
    /// # Errors
    /// Fails, and counts nothing, when `result_data` is not the text of a validation.
    pub fn add_result(
        &mut self,
        country: Option<&str>,
        failed: bool,
        result_data: &str,
    ) -> Result<(), ResultDataError> {
        let data: ResultData<'_> = serde_json::from_str(result_data).map_err(ResultDataError)?;
        let entries = data.data_defects.iter().chain(&data.corrections);
        self.add(country, failed, entries.map(|entry| entry.rule.as_ref()));
        Ok(())
    }

    /// What differs from `expected`, one line a figure; empty when the summaries are equal.
    pub fn differences(&self, expected: &Self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut compare = |what: String, found: u64, expected: u64| {
            if found != expected {
                lines.push(format!("{what}: {found}, expected {expected}"));
            }
        };
        compare("records".to_owned(), self.records, expected.records);
        compare("failed".to_owned(), self.failed, expected.failed);
        for code in keys(&self.by_rule, &expected.by_rule) {
            let count = |summary: &Self| summary.by_rule.get(code).copied().unwrap_or_default();
            compare(format!("rule {code}"), count(self), count(expected));
        }
        for code in keys(&self.by_country, &expected.by_country) {
            let count = |summary: &Self| summary.by_country.get(code).copied().unwrap_or_default();
            let (found, expected) = (count(self), count(expected));
            compare(format!("country {code}"), found.records, expected.records);
            compare(format!("country {code}, failed"), found.failed, expected.failed);
        }
        lines
    }
}

/// Changes the value at a key, made when it is not there; the key is copied only then.
fn change<V: Default>(map: &mut BTreeMap<String, V>, key: &str, change: impl FnOnce(&mut V)) {
    match map.get_mut(key) {
        Some(value) => change(value),
        None => change(map.entry(key.to_owned()).or_default()),
    }
}

fn keys<'a, V>(one: &'a BTreeMap<String, V>, other: &'a BTreeMap<String, V>) -> Vec<&'a str> {
    let mut keys: Vec<_> = one.keys().chain(other.keys()).map(String::as_str).collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_counted_by_their_text() {
        let mut summary = Summary::default();
        let text = r#"{"dataDefects":[{"rule":"A","x":1},{"rule":"A"}],"corrections":[{"rule":"B"}]}"#;
        summary.add_result(Some("DE"), true, text).unwrap();
        assert_eq!(summary.by_rule.len(), 2);
        assert_eq!(summary.by_rule["A"], 1);
        assert!(summary.add_result(None, false, "[]").is_err());
        assert_eq!(summary.records, 1);
    }
}
