//! Cron expressions in English: short sentences for the common forms, and the fields named one by one for the rest.

use super::fields::{Field, Fields, Item};

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// Most times of a day that are listed one by one.
const LISTED: usize = 6;

/// The expression in words.
pub(super) fn say(fields: &Fields) -> String {
    let days = days(fields);
    match times(fields) {
        Times::At(list) => format!("{} at {list}", days.unwrap_or_else(|| format!("every day{}", in_months(fields)))),
        Times::Every(beat) => match days {
            Some(days) => format!("{beat}, {days}"),
            None if fields.months.any => beat,
            None => format!("{beat},{}", in_months(fields)),
        },
    }
}

enum Times {
    /// Times of the day, such as `06:30 and 18:30`.
    At(String),
    /// A beat through the day, such as `every 15 minutes`.
    Every(String),
}

fn times(fields: &Fields) -> Times {
    let (seconds, minutes, hours) = (fields.seconds.values(), fields.minutes.values(), fields.hours.values());
    let full = seconds == [0];
    if hours.len() < 24 && seconds.len() * minutes.len() * hours.len() <= LISTED {
        let mut list = Vec::new();
        for hour in &hours {
            for minute in &minutes {
                list.extend(seconds.iter().map(|second| clock(*hour, *minute, *second, full)));
            }
        }
        return Times::At(join(&list));
    }
    let (first, last) =
        (clock_of(&hours, &minutes, &seconds, full, true), clock_of(&hours, &minutes, &seconds, full, false));
    let (second_beat, minute_beat, hour_beat) = (beat(&seconds, 60), beat(&minutes, 60), beat(&hours, 24));
    // A beat that fills its hours can be said with its first and its last time.
    let run = hours.windows(2).all(|pair| matches!(pair, [a, b] if a + 1 == *b));
    let span = if hours.len() == 24 { String::new() } else { format!(" from {first} to {last}") };
    let whole = run || hours.len() == 24;
    Times::Every(match (second_beat, minute_beat, hour_beat) {
        (Some(step), Some(1), _) if whole => format!("{}{span}", every(step, "second")),
        (None, Some(step), _) if full && whole => format!("{}{span}", every(step, "minute")),
        (None, None, Some(1)) if full && minutes == [0] => "every hour".to_owned(),
        (None, None, _) if full && run && minutes.len() == 1 && hours.len() < 24 => format!("every hour{span}"),
        (None, None, Some(step)) if full && minutes.len() == 1 && step > 1 => {
            format!("{} from {first} on", every(step, "hour"))
        }
        _ => named(&seconds, &minutes, &hours),
    })
}

/// The three fields one by one: `at second 30 of minutes 0 and 15 of every hour`.
fn named(seconds: &[u8], minutes: &[u8], hours: &[u8]) -> String {
    let mut parts = Vec::new();
    if seconds != [0] {
        parts.push(match beat(seconds, 60) {
            Some(step) => every(step, "second"),
            None => numbered("at second", seconds),
        });
    }
    let lead = if parts.is_empty() { "at minute" } else { "minute" };
    parts.push(match beat(minutes, 60) {
        Some(step) if parts.is_empty() => every(step, "minute"),
        Some(1) => "every minute".to_owned(),
        _ => numbered(lead, minutes),
    });
    parts.push(if hours.len() == 24 { "every hour".to_owned() } else { numbered("hour", hours) });
    parts.join(" of ")
}

/// The step of numbers that go evenly through their whole range from 0 on; 1 when they are all of it.
fn beat(values: &[u8], range: u8) -> Option<u8> {
    let [0, step, ..] = *values else { return None };
    let even = range.is_multiple_of(step) && values.iter().copied().eq((0..range).step_by(usize::from(step)));
    even.then_some(step)
}

fn every(step: u8, unit: &str) -> String {
    if step == 1 { format!("every {unit}") } else { format!("every {step} {unit}s") }
}

/// The first or the last time of a day.
fn clock_of(hours: &[u8], minutes: &[u8], seconds: &[u8], full: bool, first: bool) -> String {
    let pick = |values: &[u8]| if first { values.first() } else { values.last() }.copied().unwrap_or_default();
    clock(pick(hours), pick(minutes), pick(seconds), full)
}

fn clock(hour: u8, minute: u8, second: u8, full: bool) -> String {
    if full { format!("{hour:02}:{minute:02}") } else { format!("{hour:02}:{minute:02}:{second:02}") }
}

/// On which days; none when on every day of every month that counts.
fn days(fields: &Fields) -> Option<String> {
    match (fields.days.any, fields.weekdays.any) {
        (true, true) => None,
        (false, true) => Some(days_of_month(fields)),
        (true, false) => Some(days_of_week(fields)),
        (false, false) => Some(format!("{} and also {}", days_of_month(fields), days_of_week(fields))),
    }
}

/// `on day 1 and 15 of every month`.
fn days_of_month(fields: &Fields) -> String {
    let mut parts = Vec::new();
    let values = fields.days.values();
    if !values.is_empty() {
        parts.push(format!("day {}", series(&values)));
    }
    for item in &fields.days.items {
        match *item {
            Item::LastDay => parts.push("the last day".to_owned()),
            Item::LastWorkday => parts.push("the last weekday".to_owned()),
            Item::NearestWorkday(day) => parts.push(format!("the weekday nearest to day {day}")),
            _ => {}
        }
    }
    format!("on {} of {}", join(&parts), of_months(&fields.months))
}

/// `every weekday`, `on Monday and Thursday`, `on the first Monday of every month`.
fn days_of_week(fields: &Fields) -> String {
    let mut parts = Vec::new();
    let values = fields.weekdays.values();
    let name = |day: u8| WEEKDAYS.get(usize::from(day % 7)).copied().unwrap_or_default();
    if !values.is_empty() {
        let days = match values[..] {
            [_, _, _, _, _, _, _] => "every day".to_owned(),
            [1, 2, 3, 4, 5] => "every weekday".to_owned(),
            [day] => format!("every {}", name(day)),
            _ => {
                // A week begins on Monday.
                let week = (1..=7).filter(|day| values.contains(&(day % 7)));
                format!("on {}", join(&week.map(name).collect::<Vec<_>>()))
            }
        };
        parts.push(format!("{days}{}", in_months(fields)));
    }
    let mut of_month = Vec::new();
    for item in &fields.weekdays.items {
        let (from, to, which) = match *item {
            Item::Nth { from, to, nth } => (from, to, ORDINALS.get(usize::from(nth) - 1).copied().unwrap_or_default()),
            Item::LastOf { from, to } => (from, to, "last"),
            _ => continue,
        };
        of_month.extend((from..=to).map(|day| format!("the {which} {}", name(day))));
    }
    if !of_month.is_empty() {
        parts.push(format!("on {} of {}", join(&of_month), of_months(&fields.months)));
    }
    parts.join(" and ")
}

/// ` in January and July`; nothing when every month counts.
fn in_months(fields: &Fields) -> String {
    if fields.months.any { String::new() } else { format!(" in {}", month_names(&fields.months)) }
}

fn of_months(months: &Field) -> String {
    if months.any { "every month".to_owned() } else { month_names(months) }
}

fn month_names(months: &Field) -> String {
    let name = |month: &u8| MONTHS.get(usize::from(*month) - 1).copied().unwrap_or_default();
    join(&months.values().iter().map(name).collect::<Vec<_>>())
}

/// `at minute 5`, `at minutes 5 and 10`.
fn numbered(what: &str, values: &[u8]) -> String {
    let plural = if values.len() == 1 { "" } else { "s" };
    format!("{what}{plural} {}", series(values))
}

/// Numbers with their longer runs drawn together: `1, 4 to 9 and 20`.
fn series(values: &[u8]) -> String {
    let mut parts: Vec<String> = Vec::new();
    for run in values.chunk_by(|a, b| a + 1 == *b) {
        match *run {
            [first, _, .., last] => parts.push(format!("{first} to {last}")),
            _ => parts.extend(run.iter().map(u8::to_string)),
        }
    }
    join(&parts)
}

/// `a, b and c`.
fn join<T: AsRef<str>>(parts: &[T]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.as_ref().to_owned(),
        [most @ .., last] => {
            let most: Vec<&str> = most.iter().map(AsRef::as_ref).collect();
            format!("{} and {}", most.join(", "), last.as_ref())
        }
    }
}
