//! Cron expressions in a time zone: what Docket reads, when it fires, and how it is said in words.
//!
//! The arithmetic of the calendar is `croner`'s, the time zones are `jiff`'s; this room owns the policy.
//!
//! **Syntax** (api.md section 5): five fields (minute, hour, day of month, month, day of week) or six with the seconds in
//! front, or one of `@yearly @annually @monthly @weekly @daily @midnight @hourly`. `*`, lists, ranges, steps (`*/15`,
//! `8-18/2`, `5/15`: from 5 on), names of months and weekdays; `?` for `*` in the two day fields; `L`, `LW` and `15W` in the
//! day of month; `5L` (the last Friday) and `1#2` (the second Monday) in the day of week. When both day fields are
//! restricted, a day counts that fits either; restricted is whatever is not `*`, `?` or `*/1`.
//!
//! **When the clocks change** (D, from api.md section 5: in a gap once, at the first instant after it; in an overlap once):
//!
//! - An expression that restricts the hour follows **the clock on the wall**: a slot fires at the first instant at which the
//!   clock shows it or has passed it. A slot in a gap so fires at the gap's end (several slots of one gap: once, together),
//!   and one that the clock shows twice fires the first time.
//! - An expression whose hour field names every hour (`*/15 * * * *`, `0 * * * *`) follows **elapsed time**: it fires at every
//!   instant at which the clock shows a slot. Every real quarter of an hour counts once: nothing is made up for a gap,
//!   in which no time passes, and the hour that the clock shows twice counts twice, because it is two hours.
//!
//! `croner` takes only expressions with a single time of day for the first kind, leaves slots out whose day ends in the gap,
//! and gives up on gaps of more than two hours; so it is asked about the calendar alone, without a zone.
//!
//! Nothing here reads a clock. The finest unit is a second, so no expression fires more often.

mod fields;
#[cfg(test)]
mod tests;
mod words;
mod zone;

use crate::Timestamp;
use fields::Fields;
use jiff::civil::DateTime;
use std::fmt;
use std::sync::Arc;

pub use zone::{Zone, ZoneError};

/// Longest expression, in characters.
pub const MAX_CRON_CHARS: usize = 255;

/// A cron expression, parsed. A clone is a pointer; parsing costs more than ten times as much as [`Cron::next_after`], and a
/// parsed expression about 6 KB, so keep it and share it.
#[derive(Clone)]
pub struct Cron(Arc<Parsed>);

struct Parsed {
    text: Box<str>,
    fields: Fields,
    pattern: croner::Cron,
}

/// Why a text is no cron expression.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CronError {
    /// The field in question, such as `hour`; none when it is the expression as a whole.
    pub field: Option<&'static str>,
    /// What is wrong with it, with the limit.
    pub reason: String,
}

impl fmt::Display for CronError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.field {
            Some(field) => write!(f, "the field {field} {}", self.reason),
            None => write!(f, "the cron expression {}", self.reason),
        }
    }
}

impl std::error::Error for CronError {}

impl Cron {
    /// Reads an expression of at most [`MAX_CRON_CHARS`] characters.
    ///
    /// # Errors
    /// Names the field and what is wrong with it.
    pub fn parse(text: &str) -> Result<Self, CronError> {
        let whole = |reason: String| CronError { field: None, reason };
        if text.chars().nth(MAX_CRON_CHARS).is_some() {
            return Err(whole(format!("must have at most {MAX_CRON_CHARS} characters")));
        }
        let fields = Fields::read(text)?;
        // What `Fields` lets through is a part of what croner reads.
        let pattern = fields.for_croner().parse().map_err(|e: croner::errors::CronError| whole(e.to_string()))?;
        Ok(Self(Arc::new(Parsed { text: text.into(), fields, pattern })))
    }

    /// The expression as it was written.
    pub fn as_written(&self) -> &str {
        &self.0.text
    }

    /// The first time after `after` at which the expression fires in `zone`; none when it never does again (30 February), or
    /// not before the year 5000. Always on a full second.
    pub fn next_after(&self, after: Timestamp, zone: &Zone) -> Option<Timestamp> {
        if self.0.fields.never() {
            return None;
        }
        let after = jiff::Timestamp::from_second(after.as_millis().div_euclid(1000)).ok()?;
        let found = self.next_instant(after, zone.rules())?;
        Some(Timestamp::from_millis(found.as_millisecond()))
    }

    /// Goes from one change of the offset to the next; in between the clock on the wall runs evenly.
    fn next_instant(&self, after: jiff::Timestamp, rules: &jiff::tz::TimeZone) -> Option<jiff::Timestamp> {
        let by_the_wall = !self.0.fields.every_hour();
        let mut at = after;
        let mut offset = rules.to_offset(at);
        let mut slot = match by_the_wall.then(|| shown_before(rules, at)).flatten() {
            // The clock was put back a moment ago and shows again what has fired.
            Some(shown) if shown > offset.to_datetime(at) => self.slot(shown, true)?,
            _ => self.slot(offset.to_datetime(at), false)?,
        };
        loop {
            let Some(change) = rules.following(at).next() else {
                return offset.to_timestamp(slot).ok();
            };
            at = change.timestamp();
            let (old, new) = (offset.to_datetime(at), change.offset().to_datetime(at));
            if slot < old {
                return offset.to_timestamp(slot).ok();
            }
            if by_the_wall && slot < new {
                // In the gap.
                return Some(at);
            }
            let from = if by_the_wall { old.max(new) } else { new };
            if slot < from || from < old {
                slot = self.slot(from, true)?;
            }
            offset = change.offset();
        }
    }

    /// The first slot behind `from` (or at it) on a calendar without time zones.
    fn slot(&self, from: DateTime, inclusive: bool) -> Option<DateTime> {
        self.0.pattern.find_next_occurrence(&from, inclusive).ok()
    }

    /// The expression in words: `every weekday at 06:30`.
    pub fn words(&self) -> String {
        words::say(&self.0.fields)
    }
}

/// What the clock showed when it was last changed, at `at` or before, in the moment before the change.
fn shown_before(rules: &jiff::tz::TimeZone, at: jiff::Timestamp) -> Option<DateTime> {
    let second = jiff::SignedDuration::from_secs(1);
    let change = rules.preceding(at.checked_add(second).ok()?).next()?.timestamp();
    Some(rules.to_offset(change.checked_sub(second).ok()?).to_datetime(change))
}

/// An expression and its zone in words: `every weekday at 06:30, Europe/Zurich`.
pub fn in_words(cron: &Cron, zone: &Zone) -> String {
    format!("{}, {}", cron.words(), zone.name())
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.as_written()).finish()
    }
}

/// Equal when written equally.
impl PartialEq for Cron {
    fn eq(&self, other: &Self) -> bool {
        self.as_written() == other.as_written()
    }
}

impl Eq for Cron {}
