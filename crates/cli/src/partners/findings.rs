//! What a validation finds, how it is bounded, and its text for `resultData`. Refuses to look at
//! a partner: that is `validate`.

use serde::Serialize;

use super::catalog::{Kind, Rule};

/// Most defects kept of one record; what is beyond is dropped, but still fails the record.
const MAX_DEFECTS: usize = 40;
/// Most corrections kept of one record.
const MAX_CORRECTIONS: usize = 20;
/// Longest message, in characters; a longer one is cut with `…`.
const MAX_MESSAGE: usize = 160;
/// Longest value in a correction, in characters; a longer one is cut with `…`.
const MAX_VALUE: usize = 128;

/// The weight of a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Severity {
    /// Fails the record.
    Error,
    /// Legal but suspicious.
    Warning,
}

/// Something wrong in a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Defect {
    /// Code of the rule, one of `RULES`.
    pub rule: &'static str,
    /// Name of the column.
    pub field: &'static str,
    /// The rule's weight.
    pub severity: Severity,
    /// What is wrong with which value, at most 160 characters.
    pub message: String,
}

/// A better value for a field. It is proposed only when it fulfils the rules itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Correction {
    /// Name of the column.
    pub field: &'static str,
    /// The value as it stands, at most 128 characters.
    pub original: String,
    /// The value to put in its place, at most 128 characters.
    pub proposed: String,
    /// Code of the rule, one of `RULES`.
    pub rule: &'static str,
}

/// Everything found in one record.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Validation {
    /// In the order of the columns, at most 40.
    #[serde(rename = "dataDefects")]
    pub defects: Vec<Defect>,
    /// In the order of the columns, at most 20.
    pub corrections: Vec<Correction>,
    #[serde(skip)]
    failed: bool,
}

impl Validation {
    /// True when a defect is an error; warnings and corrections do not fail a record.
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// The codes of all defects and corrections, each once, sorted.
    pub fn rules(&self) -> Vec<&'static str> {
        let defects = self.defects.iter().map(|defect| defect.rule);
        let corrections = self.corrections.iter().map(|correction| correction.rule);
        let mut rules: Vec<_> = defects.chain(corrections).collect();
        rules.sort_unstable();
        rules.dedup();
        rules
    }

    /// The JSON text `{"dataDefects":[…],"corrections":[…]}`. The bounds on numbers and lengths
    /// keep it below the 65,535 characters that `resultData` may have (vendor page \[S\]).
    pub fn to_result_data(&self) -> String {
        if self.defects.is_empty() && self.corrections.is_empty() {
            return r#"{"dataDefects":[],"corrections":[]}"#.to_owned();
        }
        // Texts and lists under fixed keys always have a JSON form.
        serde_json::to_string(self).expect("texts and lists can be serialized")
    }
}

/// Collects what the rules find. Made of table entries, so that no unknown code can be emitted.
#[derive(Debug, Default)]
pub(super) struct Findings(Validation);

impl Findings {
    /// Adds a defect. A rule that only corrects has none to add.
    pub fn defect(&mut self, rule: &'static Rule, field: &'static str, message: String) {
        let severity = match rule.kind {
            Kind::Error => Severity::Error,
            Kind::Warning => Severity::Warning,
            Kind::Correction => return,
        };
        self.0.failed |= severity == Severity::Error;
        if self.0.defects.len() < MAX_DEFECTS {
            // Control characters would grow sixfold in JSON and garble a terminal.
            let message = message.replace(char::is_control, "\u{fffd}");
            self.0.defects.push(Defect { rule: rule.code, field, severity, message: cut(message, MAX_MESSAGE) });
        }
    }

    /// Adds a correction.
    pub fn correction(&mut self, rule: &'static Rule, field: &'static str, original: &str, proposed: &str) {
        if self.0.corrections.len() < MAX_CORRECTIONS {
            self.0.corrections.push(Correction {
                field,
                original: cut(original.to_owned(), MAX_VALUE),
                proposed: cut(proposed.to_owned(), MAX_VALUE),
                rule: rule.code,
            });
        }
    }

    /// What was found.
    pub fn finish(self) -> Validation {
        self.0
    }
}

/// At most `limit` characters, the last one `…` when something was cut.
fn cut(mut text: String, limit: usize) -> String {
    if text.len() > limit
        && let Some((end, _)) = text.char_indices().nth(limit - 1)
        && text[end..].chars().nth(1).is_some()
    {
        text.truncate(end);
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::catalog::{IBAN_LENGTH_INVALID, TEXT_WHITESPACE};

    #[test]
    fn the_bounds_keep_the_text_within_the_limit() {
        let mut found = Findings::default();
        for _ in 0..100 {
            found.defect(&IBAN_LENGTH_INVALID, "iban", "\"".repeat(500));
            found.correction(&TEXT_WHITESPACE, "name", &"\u{1}".repeat(500), &"\"".repeat(500));
        }
        assert!(found.finish().to_result_data().chars().count() <= 65_535);
    }

    #[test]
    fn cut_counts_characters() {
        assert_eq!(cut("äöü".to_owned(), 3), "äöü");
        assert_eq!(cut("äöüx".to_owned(), 3), "äö…");
        assert_eq!(cut("".to_owned(), 3), "");
    }
}
