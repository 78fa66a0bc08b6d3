//! The values in a scenario, each with its limits.

use docket_contract::job::is_job_type;
use docket_contract::text::check_id;
use serde::{Deserialize, Deserializer};
use std::time::Duration;

/// Longest time in a scenario.
const MAX_TIME: Duration = Duration::from_secs(24 * 60 * 60);
/// Most results of a job.
const MAX_RESULTS: u32 = 1_000_000;
/// Most entries of a list.
const MAX_ENTRIES: usize = 1000;

/// What is wrong, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) field: String,
    pub(super) reason: String,
}

impl Wrong {
    pub(super) fn new(field: &str, reason: impl Into<String>) -> Self {
        Self { field: field.to_owned(), reason: reason.into() }
    }

    /// The same, seen from outside the list that holds the entry.
    pub(super) fn within(self, list: &str, place: usize) -> Self {
        Self { field: format!("{list}[{place}].{}", self.field), reason: self.reason }
    }
}

/// A span of time: `500ms`, `2s`, `1m 30s`.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(try_from = "String")]
pub struct Time(pub Duration);

impl TryFrom<String> for Time {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let fail = || format!("must be a time from 0s to 24h, such as 500ms, 2s or 1m 30s; not {text:?}");
        let time: jiff::SignedDuration = text.parse().map_err(|_| fail())?;
        let time = Duration::try_from(time).map_err(|_| fail())?;
        if time > MAX_TIME { Err(fail()) } else { Ok(Self(time)) }
    }
}

/// Checks that a number lies within its bounds, both included.
pub(super) fn within<N: PartialOrd + std::fmt::Display>(value: N, least: N, most: N) -> Result<N, String> {
    if value >= least && value <= most {
        return Ok(value);
    }
    Err(format!("must be from {least} to {most}, is {value}"))
}

fn checked<'de, D, T>(deserializer: D, check: impl FnOnce(T) -> Result<T, String>) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de>,
{
    check(T::deserialize(deserializer)?).map_err(serde::de::Error::custom)
}

pub(super) fn slots<'de, D: Deserializer<'de>>(deserializer: D) -> Result<usize, D::Error> {
    checked(deserializer, |slots| within(slots, 1, 10_000))
}

pub(super) fn percent<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i32>, D::Error> {
    checked(deserializer, |percent| within(percent, 0, 100)).map(Some)
}

pub(super) fn count<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u32, D::Error> {
    checked(deserializer, |count| within(count, 1, MAX_RESULTS))
}

pub(super) fn rate<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<f64>, D::Error> {
    checked(deserializer, |rate| within(rate, 0.001, 1e6)).map(Some)
}

pub(super) fn share<'de, D: Deserializer<'de>>(deserializer: D) -> Result<f64, D::Error> {
    checked(deserializer, |share| within(share, 0.0, 1.0))
}

pub(super) fn storage<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    checked(deserializer, |id: String| check_id(&id).map_err(|(_, detail)| detail).map(|()| id)).map(Some)
}

pub(super) fn job_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let check = |text: String| {
        if is_job_type(&text) { Ok(text) } else { Err("must match [A-Z][A-Z0-9_]{0,62}_JOB".to_owned()) }
    };
    checked(deserializer, check).map(Some)
}

pub(super) fn entries<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    checked(deserializer, |entries: Vec<T>| {
        if entries.len() <= MAX_ENTRIES {
            return Ok(entries);
        }
        Err(format!("must have at most {MAX_ENTRIES} entries, has {}", entries.len()))
    })
}
