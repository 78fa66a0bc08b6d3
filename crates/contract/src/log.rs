//! Processing logs: the newest result of each record for a monitor, across jobs (api.md section 4).

use serde::{Deserialize, Serialize};
use std::fmt;
use utoipa::ToSchema;

// (P)
/// A processing log. Every storage has one of each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum ProcessingLogId {
    /// Data curation.
    CurationLog = 1,
    /// Data validation.
    ValidationLog = 2,
    /// Data validation among sharing partners.
    ValidationSharingLog = 3,
    /// Sanction lists and watch lists.
    SanctionAndWatchlistsLog = 4,
    /// Verification of bank accounts.
    BankAccountDataVerificationLog = 5,
    /// Overlaps between data sources.
    OverlapLog = 6,
    /// Duplicates.
    DuplicateLog = 7,
    /// Qualification of business partners.
    QualificationLog = 8,
}

impl ProcessingLogId {
    /// All of them, in the order of their numbers.
    pub const ALL: [Self; 8] = [
        Self::CurationLog,
        Self::ValidationLog,
        Self::ValidationSharingLog,
        Self::SanctionAndWatchlistsLog,
        Self::BankAccountDataVerificationLog,
        Self::OverlapLog,
        Self::DuplicateLog,
        Self::QualificationLog,
    ];

    /// The number that stands for it in files: 1 to 8, never changed.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The log of a number.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|log| log.number() == number)
    }

    /// Its name, as it is sent.
    pub fn name(self) -> &'static str {
        match self {
            Self::CurationLog => "CURATION_LOG",
            Self::ValidationLog => "VALIDATION_LOG",
            Self::ValidationSharingLog => "VALIDATION_SHARING_LOG",
            Self::SanctionAndWatchlistsLog => "SANCTION_AND_WATCHLISTS_LOG",
            Self::BankAccountDataVerificationLog => "BANK_ACCOUNT_DATA_VERIFICATION_LOG",
            Self::OverlapLog => "OVERLAP_LOG",
            Self::DuplicateLog => "DUPLICATE_LOG",
            Self::QualificationLog => "QUALIFICATION_LOG",
        }
    }
}

impl fmt::Display for ProcessingLogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_numbers_are_whole() {
        for (place, log) in ProcessingLogId::ALL.into_iter().enumerate() {
            assert_eq!(usize::from(log.number()), place + 1);
            assert_eq!(ProcessingLogId::from_number(log.number()), Some(log));
            assert_eq!(serde_json::to_value(log).expect("JSON"), log.name());
        }
        assert_eq!((ProcessingLogId::from_number(0), ProcessingLogId::from_number(9)), (None, None));
    }
}
