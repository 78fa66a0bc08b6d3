//! The fields of a cron expression, as written: checked one by one, so that an error names the field, and kept for the words.
//! When they match is croner's business; [`Fields::for_croner`] hands them over with every short form resolved.

use super::CronError;
use std::fmt::Write as _;

/// What a field counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unit {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const MONTHS: [&str; 12] = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Self::Second => "second",
            Self::Minute => "minute",
            Self::Hour => "hour",
            Self::Day => "day of month",
            Self::Month => "month",
            Self::Weekday => "day of week",
        }
    }

    /// The smallest and the largest number; 7 is Sunday once more.
    fn range(self) -> (u8, u8) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 7),
        }
    }

    fn names(self) -> &'static [&'static str] {
        match self {
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
            _ => &[],
        }
    }

    fn wrong(self, reason: String) -> CronError {
        CronError { field: Some(self.name()), reason }
    }
}

/// One item of a field's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Item {
    /// Every `step`th from `from` to `to`.
    Values { from: u8, to: u8, step: u8 },
    /// `L`: the month's last day.
    LastDay,
    /// `LW`: the month's last day from Monday to Friday.
    LastWorkday,
    /// `15W`: the day from Monday to Friday nearest to that day, within the month.
    NearestWorkday(u8),
    /// `1#2`: those weekdays' `nth` in the month.
    Nth { from: u8, to: u8, nth: u8 },
    /// `5L`: those weekdays' last in the month.
    LastOf { from: u8, to: u8 },
}

/// A field: a list of items.
#[derive(Debug)]
pub(super) struct Field {
    pub unit: Unit,
    /// `*`, `?` or `*/1`: the field restricts nothing.
    pub any: bool,
    pub items: Vec<Item>,
}

impl Field {
    fn read(unit: Unit, text: &str) -> Result<Self, CronError> {
        let days = matches!(unit, Unit::Day | Unit::Weekday);
        let any = text == "*" || text == "*/1" || (days && text == "?");
        let text = if any { "*" } else { text };
        let items = text.split(',').map(|item| read_item(unit, item)).collect::<Result<Vec<_>, _>>()?;
        // croner reads the two as the latter.
        if items.contains(&Item::LastDay) && items.contains(&Item::LastWorkday) {
            return Err(unit.wrong("cannot have both L and LW".to_owned()));
        }
        Ok(Self { unit, any, items })
    }

    /// The plain numbers of the field, in ascending order; Sunday is 0.
    pub fn values(&self) -> Vec<u8> {
        let mut values = Vec::new();
        for item in &self.items {
            if let Item::Values { from, to, step } = *item {
                let each = (from..=to).step_by(usize::from(step));
                values.extend(each.map(|value| if self.unit == Unit::Weekday { value % 7 } else { value }));
            }
        }
        values.sort_unstable();
        values.dedup();
        values
    }

    fn write(&self, out: &mut String) {
        if self.any {
            out.push('*');
            return;
        }
        for (i, item) in self.items.iter().enumerate() {
            if i > 0 {
                out.push(',');
            }
            // Writing to a string cannot fail.
            let _ = match *item {
                Item::Values { from, to, step: 1 } if from == to => write!(out, "{from}"),
                Item::Values { from, to, step } => write!(out, "{from}-{to}/{step}"),
                Item::LastDay => write!(out, "L"),
                Item::LastWorkday => write!(out, "LW"),
                Item::NearestWorkday(day) => write!(out, "{day}W"),
                Item::Nth { from, to, nth } => write!(out, "{from}-{to}#{nth}"),
                Item::LastOf { from, to } => write!(out, "{from}-{to}#L"),
            };
        }
    }
}

fn read_item(unit: Unit, item: &str) -> Result<Item, CronError> {
    if item.is_empty() {
        return Err(unit.wrong("has an empty item in its list".to_owned()));
    }
    match unit {
        Unit::Day if item == "L" => return Ok(Item::LastDay),
        Unit::Day if item == "LW" => return Ok(Item::LastWorkday),
        Unit::Day => {
            if let Some(day) = item.strip_suffix('W') {
                return Ok(Item::NearestWorkday(read_value(unit, day)?));
            }
        }
        Unit::Weekday if item == "L" => {
            return Err(unit.wrong("must say whose last: 5L is the month's last Friday".to_owned()));
        }
        Unit::Weekday => {
            if let Some(days) = item.strip_suffix("#L").or_else(|| item.strip_suffix('L')) {
                let (from, to) = read_range(unit, days)?;
                return Ok(Item::LastOf { from, to });
            }
            if let Some((days, nth)) = item.split_once('#') {
                let (from, to) = read_range(unit, days)?;
                let nth = number(nth).filter(|nth| (1..=5).contains(nth));
                let nth = nth.ok_or_else(|| unit.wrong(format!("must have 1 to 5 or L behind the # of {item:?}")))?;
                return Ok(Item::Nth { from, to, nth });
            }
        }
        _ => {}
    }
    let (min, max) = unit.range();
    let (base, step) = match item.split_once('/') {
        None => (item, None),
        Some((base, step)) => {
            let read = number(step).filter(|step| (1..=max).contains(step));
            let wrong = || unit.wrong(format!("must have a step from 1 to {max} behind the slash, not {step:?}"));
            (base, Some(read.ok_or_else(wrong)?))
        }
    };
    // Sunday is 0 in steps through the whole week; `*` alone takes it either way.
    let whole = (min, if unit == Unit::Weekday { 6 } else { max });
    let (from, to) = match (base, step) {
        ("*", _) => whole,
        (base, Some(_)) if !base.contains('-') => {
            let from = read_value(unit, base)?;
            (from, whole.1.max(from))
        }
        (base, _) => read_range(unit, base)?,
    };
    Ok(Item::Values { from, to, step: step.unwrap_or(1) })
}

fn read_range(unit: Unit, text: &str) -> Result<(u8, u8), CronError> {
    let Some((from, to)) = text.split_once('-') else {
        let value = read_value(unit, text)?;
        return Ok((value, value));
    };
    let (low, mut high) = (read_value(unit, from)?, read_value(unit, to)?);
    // `FRI-SUN` ends on the Sunday behind.
    if unit == Unit::Weekday && high == 0 && low > 0 {
        high = 7;
    }
    if low > high {
        return Err(unit.wrong(format!("has a range that runs backwards: {text:?}")));
    }
    Ok((low, high))
}

fn read_value(unit: Unit, text: &str) -> Result<u8, CronError> {
    let (min, max) = unit.range();
    if let Some(at) = unit.names().iter().position(|name| *name == text) {
        return Ok(min.saturating_add(u8::try_from(at).unwrap_or(u8::MAX)));
    }
    match number(text).filter(|value| (min..=max).contains(value)) {
        Some(value) => Ok(value),
        None if unit.names().is_empty() => Err(unit.wrong(format!("must count from {min} to {max}, not {text:?}"))),
        None => {
            let (first, last) = (unit.names().first().unwrap_or(&""), unit.names().last().unwrap_or(&""));
            Err(unit.wrong(format!("must count from {min} to {max} or from {first} to {last}, not {text:?}")))
        }
    }
}

/// Digits only; the parser of the library takes a sign as well.
fn number(text: &str) -> Option<u8> {
    if text.bytes().all(|b| b.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// The six fields of an expression.
#[derive(Debug)]
pub(super) struct Fields {
    pub seconds: Field,
    pub minutes: Field,
    pub hours: Field,
    pub days: Field,
    pub months: Field,
    pub weekdays: Field,
}

impl Fields {
    pub fn read(text: &str) -> Result<Self, CronError> {
        let text = text.to_ascii_uppercase();
        let text = match text.trim_ascii() {
            "@YEARLY" | "@ANNUALLY" => "0 0 1 1 *",
            "@MONTHLY" => "0 0 1 * *",
            "@WEEKLY" => "0 0 * * 0",
            "@DAILY" | "@MIDNIGHT" => "0 0 * * *",
            "@HOURLY" => "0 * * * *",
            other => other,
        };
        let whole = |reason: String| CronError { field: None, reason };
        if text.starts_with('@') {
            let known = "@yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly";
            return Err(whole(format!("must not be {:?}: the short names are {known}", text.to_ascii_lowercase())));
        }
        let fields: Vec<&str> = text.split_ascii_whitespace().collect();
        let (seconds, rest) = match fields[..] {
            [_, _, _, _, _] => ("0", &fields[..]),
            [seconds, _, _, _, _, _] => (seconds, &fields[1..]),
            _ => {
                let count = fields.len();
                return Err(whole(format!("must have 5 fields, or 6 with the seconds in front, not {count}")));
            }
        };
        Ok(Self {
            seconds: Field::read(Unit::Second, seconds)?,
            minutes: Field::read(Unit::Minute, rest[0])?,
            hours: Field::read(Unit::Hour, rest[1])?,
            days: Field::read(Unit::Day, rest[2])?,
            months: Field::read(Unit::Month, rest[3])?,
            weekdays: Field::read(Unit::Weekday, rest[4])?,
        })
    }

    /// The expression for croner: six fields of numbers.
    pub fn for_croner(&self) -> String {
        let mut out = String::new();
        for field in [&self.seconds, &self.minutes, &self.hours, &self.days, &self.months, &self.weekdays] {
            if !out.is_empty() {
                out.push(' ');
            }
            field.write(&mut out);
        }
        out
    }

    /// Whether the hour field names every hour of the day.
    pub fn every_hour(&self) -> bool {
        self.hours.values().len() == 24
    }

    /// Whether no date can fit, such as 30 February. Croner would look for it until the year 5000.
    pub fn never(&self) -> bool {
        if self.days.any || !self.weekdays.any {
            return false;
        }
        let months = self.months.values();
        let longest = months.iter().map(|month| longest(*month)).max().unwrap_or(0);
        self.days.items.iter().all(|item| match *item {
            Item::Values { from, .. } | Item::NearestWorkday(from) => from > longest,
            _ => false,
        })
    }
}

/// The days of a month, of February in a leap year.
fn longest(month: u8) -> u8 {
    match month {
        2 => 29,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}
