//! When expressions fire, against a walk through time minute by minute; and what they are called.

use super::*;
use croner::Cron as Calendar;
use proptest::prelude::*;

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|e| panic!("{text}: {e}"))
}

fn zone(name: &str) -> Zone {
    Zone::parse(name).unwrap()
}

fn time(text: &str) -> Timestamp {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The next `count` times, in the zone's own clock with the offset.
fn next(text: &str, name: &str, after: &str, count: usize) -> Vec<String> {
    let (cron, zone) = (cron(text), zone(name));
    let mut at = time(after);
    let mut found = Vec::new();
    while found.len() < count {
        at = cron.next_after(at, &zone).unwrap();
        let instant = jiff::Timestamp::from_millisecond(at.as_millis()).unwrap();
        found.push(instant.to_zoned(zone.rules().clone()).strftime("%F %H:%M%:z").to_string());
    }
    found
}

#[test]
fn slots_in_a_gap_fire_once_at_its_end() {
    let zurich = |text, count| next(text, "Europe/Zurich", "2025-03-29T12:00:00Z", count);
    assert_eq!(zurich("30 2 * * *", 2), ["2025-03-30 03:00+02:00", "2025-03-31 02:30+02:00"]);
    // Four slots in the gap, and one at its end: once.
    let four = ["2025-03-30 03:00+02:00", "2025-03-30 03:15+02:00", "2025-03-30 03:30+02:00"];
    assert_eq!(zurich("*/15 2-3 30 * *", 3), four);
    assert_eq!(zurich("0 0 3 * * *", 1), ["2025-03-30 03:00+02:00"]);
    // The slot's own day counts, not that of the gap's end: on Friday, 30 December 2011, Apia had no Friday.
    assert_eq!(next("30 23 * * FRI", "Pacific/Apia", "2011-12-29T00:00:00Z", 1), ["2011-12-31 00:00+14:00"]);
    // Half an hour, and midnight.
    assert_eq!(next("10 2 * * *", "Australia/Lord_Howe", "2025-10-04T00:00:00Z", 1), ["2025-10-05 02:30+11:00"]);
    assert_eq!(next("0 0 4 11 *", "America/Sao_Paulo", "2018-11-01T00:00:00Z", 1), ["2018-11-04 01:00-02:00"]);
}

#[test]
fn slots_that_the_clock_shows_twice_fire_the_first_time() {
    let zurich = |text, after| next(text, "Europe/Zurich", after, 2);
    let first = ["2025-10-26 02:30+02:00", "2025-10-27 02:30+01:00"];
    assert_eq!(zurich("30 2 * * *", "2025-10-25T12:00:00Z"), first);
    // From within the second showing, before and behind the slot.
    assert_eq!(zurich("30 2 * * *", "2025-10-26T01:10:00Z")[0], first[1]);
    assert_eq!(zurich("30 2 * * *", "2025-10-26T01:40:00Z")[0], first[1]);
    assert_eq!(zurich("30 2,3 * * *", "2025-10-26T01:00:00Z")[0], "2025-10-26 03:30+01:00");
}

#[test]
fn expressions_for_every_hour_follow_elapsed_time() {
    let back = next("30 * * * *", "Europe/Zurich", "2025-10-25T23:00:00Z", 4);
    let twice =
        ["2025-10-26 01:30+02:00", "2025-10-26 02:30+02:00", "2025-10-26 02:30+01:00", "2025-10-26 03:30+01:00"];
    assert_eq!(back, twice);
    let ahead = next("30 * * * *", "Europe/Zurich", "2025-03-30T00:00:00Z", 2);
    assert_eq!(ahead, ["2025-03-30 01:30+01:00", "2025-03-30 03:30+02:00"]);
    // A real quarter of an hour apart, whatever the clock does.
    for (name, start) in [("Europe/Zurich", "2025-03-30T00:00:00Z"), ("Europe/Zurich", "2025-10-26T00:00:00Z")] {
        let (cron, zone) = (cron("*/15 * * * *"), zone(name));
        let mut at = time(start);
        for _ in 0..20 {
            let next = cron.next_after(at, &zone).unwrap();
            assert_eq!(next.as_millis() - at.as_millis(), 15 * 60_000);
            at = next;
        }
    }
}

#[test]
fn fires_strictly_after_on_full_seconds() {
    let (cron, utc) = (cron("* * * * * *"), Zone::utc());
    let next = |millis| cron.next_after(Timestamp::from_millis(millis), &utc).map(Timestamp::as_millis);
    assert_eq!(next(0), Some(1000));
    assert_eq!(next(999), Some(1000));
    assert_eq!(next(1000), Some(2000));
    assert_eq!(next(-1), Some(0));
    assert_eq!(next(-1000), Some(0));
    assert_eq!(next(-1001), Some(-1000));
}

#[test]
fn ends_the_search_where_nothing_can_fire() {
    let from = time("2025-01-01T00:00:00Z");
    for text in ["0 0 30 2 *", "0 0 31 4,6,9,11 *", "0 0 30W,31 2 *", "0 0 31/2 2 ?"] {
        assert_eq!(cron(text).next_after(from, &Zone::utc()), None, "{text}");
    }
    // On Mondays as well.
    assert!(cron("0 0 30 2 1").next_after(from, &Zone::utc()).is_some());
    let rare = cron("0 0 29 2 *").next_after(time("2096-03-01T00:00:00Z"), &zone("Europe/Zurich"));
    assert_eq!(rare, Some(time("2104-02-28T23:00:00Z")));
    // A fifth Friday in February: the 29th.
    let rare = cron("0 0 * 2 5#5").next_after(from, &Zone::utc());
    assert_eq!(rare, Some(time("2036-02-29T00:00:00Z")));
    assert_eq!(cron("* * * * *").next_after(Timestamp::from_millis(i64::MAX), &Zone::utc()), None);
    assert_eq!(cron("0 0 1 1 *").next_after(time("4999-12-31T23:59:59Z"), &zone("Europe/Zurich")), None);
}

#[test]
fn reads_every_form() {
    let day = |text: &str| next(text, "UTC", "2025-05-15T12:00:00Z", 1)[0][..16].to_owned();
    for (text, expected) in [
        ("@yearly", "2026-01-01 00:00"),
        ("@annually", "2026-01-01 00:00"),
        ("@monthly", "2025-06-01 00:00"),
        ("@Weekly", "2025-05-18 00:00"),
        (" @daily ", "2025-05-16 00:00"),
        ("@midnight", "2025-05-16 00:00"),
        ("@hourly", "2025-05-15 13:00"),
        ("0 6 L * ?", "2025-05-31 06:00"),
        ("0 6 LW * *", "2025-05-30 06:00"),
        ("0 6 1W 6 *", "2025-06-02 06:00"),
        ("0 6 * * 5L", "2025-05-30 06:00"),
        ("0 6 * * FRI#L", "2025-05-30 06:00"),
        ("0 6 * * 1#3", "2025-05-19 06:00"),
        ("0 6 * * 7", "2025-05-18 06:00"),
        ("0 6 ? jan-mar Mon", "2026-01-05 06:00"),
        ("0 6 * * FRI-SUN", "2025-05-16 06:00"),
        ("5/20 * * * *", "2025-05-15 12:05"),
        ("0 6 */1 * MON", "2025-05-19 06:00"),
        // Either day fits.
        ("0 6 17 * MON", "2025-05-17 06:00"),
        ("0 6 18 * SAT", "2025-05-17 06:00"),
        ("30 15 6 * * *", "2025-05-16 06:15"),
    ] {
        assert_eq!(day(text), expected, "{text}");
        assert_eq!(cron(text).as_written(), text);
    }
}

#[test]
fn says_which_field_is_wrong_and_why() {
    let error = |text: &str| Cron::parse(text).map(|_| ()).unwrap_err().to_string();
    for (text, expected) in [
        ("", "the cron expression must have 5 fields, or 6 with the seconds in front, not 0"),
        ("* * * * * * 2025", "the cron expression must have 5 fields, or 6 with the seconds in front, not 7"),
        (
            "@reboot",
            "the cron expression must not be \"@reboot\": the short names are @yearly, @annually, @monthly, \
          @weekly, @daily, @midnight and @hourly",
        ),
        ("60 * * * *", "the field minute must count from 0 to 59, not \"60\""),
        ("* 24 * * *", "the field hour must count from 0 to 23, not \"24\""),
        ("60 * * * * *", "the field second must count from 0 to 59, not \"60\""),
        ("* * 0 * *", "the field day of month must count from 1 to 31, not \"0\""),
        ("* * * JANFEB *", "the field month must count from 1 to 12 or from JAN to DEC, not \"JANFEB\""),
        ("* * * * MONDAY", "the field day of week must count from 0 to 7 or from SUN to SAT, not \"MONDAY\""),
        ("MON * * * *", "the field minute must count from 0 to 59, not \"MON\""),
        ("1,,2 * * * *", "the field minute has an empty item in its list"),
        ("*,5 * * * *", ""),
        ("*/0 * * * *", "the field minute must have a step from 1 to 59 behind the slash, not \"0\""),
        ("*/90 * * * *", "the field minute must have a step from 1 to 59 behind the slash, not \"90\""),
        ("50-10 * * * *", "the field minute has a range that runs backwards: \"50-10\""),
        ("* * * * L", "the field day of week must say whose last: 5L is the month's last Friday"),
        ("* * * * 1#6", "the field day of week must have 1 to 5 or L behind the # of \"1#6\""),
        ("* * L,LW * *", "the field day of month cannot have both L and LW"),
        ("* * L-3 * *", "the field day of month must count from 1 to 31, not \"L\""),
        ("+5 * * * *", "the field minute must count from 0 to 59, not \"+5\""),
        ("? * * * *", "the field minute must count from 0 to 59, not \"?\""),
        ("* * 32W * *", "the field day of month must count from 1 to 31, not \"32\""),
        ("* * * * ٣", "the field day of week must count from 0 to 7 or from SUN to SAT, not \"٣\""),
    ] {
        if expected.is_empty() {
            assert!(Cron::parse(text).is_ok(), "{text}");
        } else {
            assert_eq!(error(text), expected);
        }
    }
    let long = format!("{} * * * *", "1,".repeat(124) + "1234");
    assert_eq!(error(&long), "the cron expression must have at most 255 characters");
}

#[test]
fn has_words_for_what_people_write() {
    for (text, expected) in [
        ("* * * * *", "every minute"),
        ("* * * * * *", "every second"),
        ("*/10 * * * * *", "every 10 seconds"),
        ("*/15 * * * *", "every 15 minutes"),
        ("0 * * * *", "every hour"),
        ("15 * * * *", "at minute 15 of every hour"),
        ("0,25,50 * * * *", "at minutes 0, 25 and 50 of every hour"),
        ("*/25 * * * *", "at minutes 0, 25 and 50 of every hour"),
        ("0 */2 * * *", "every 2 hours from 00:00 on"),
        ("30 */2 * * *", "every 2 hours from 00:30 on"),
        ("0 2 * * *", "every day at 02:00"),
        ("@daily", "every day at 00:00"),
        ("0 6,18 * * *", "every day at 06:00 and 18:00"),
        ("15 30 6 * * *", "every day at 06:30:15"),
        ("30 6 * * 1-5", "every weekday at 06:30"),
        ("30 6 * * MON", "every Monday at 06:30"),
        ("30 6 * * 1,4", "on Monday and Thursday at 06:30"),
        ("30 6 * * SAT,SUN", "on Saturday and Sunday at 06:30"),
        ("0 2 L * *", "on the last day of every month at 02:00"),
        ("0 2 LW * *", "on the last weekday of every month at 02:00"),
        ("0 2 15W * *", "on the weekday nearest to day 15 of every month at 02:00"),
        ("0 2 * * 1#1", "on the first Monday of every month at 02:00"),
        ("0 2 * * 5L", "on the last Friday of every month at 02:00"),
        ("0 2 1,15 * *", "on day 1 and 15 of every month at 02:00"),
        ("0 2 1-7 * *", "on day 1 to 7 of every month at 02:00"),
        ("0 2 1,15 1 *", "on day 1 and 15 of January at 02:00"),
        ("@yearly", "on day 1 of January at 00:00"),
        ("0 2 * 1,7 *", "every day in January and July at 02:00"),
        ("0 2 * 1 1-5", "every weekday in January at 02:00"),
        ("0 2 13 * 5", "on day 13 of every month and also every Friday at 02:00"),
        ("*/15 8-17 * * 1-5", "every 15 minutes from 08:00 to 17:45, every weekday"),
        ("* 3 * * *", "every minute from 03:00 to 03:59"),
        ("0 8-17 * * *", "every hour from 08:00 to 17:00"),
        ("30 8-17 * * 1-5", "every hour from 08:30 to 17:30, every weekday"),
        ("*/5 * * 7 *", "every 5 minutes, in July"),
        ("0,20 1-9/2 * * *", "at minutes 0 and 20 of hours 1, 3, 5, 7 and 9"),
        ("30 */15 3 * * *", "every day at 03:00:30, 03:15:30, 03:30:30 and 03:45:30"),
        ("*/5 0 * * * *", "every 5 seconds of minute 0 of every hour"),
        ("30 * * * * *", "at second 30 of every minute of every hour"),
        (
            "7 1-9 1,3 * * 1,3#2",
            "at second 7 of minutes 1 to 9 of hours 1 and 3, every Monday and on the second Wednesday of every month",
        ),
    ] {
        assert_eq!(cron(text).words(), expected, "{text}");
    }
    assert_eq!(in_words(&cron("30 6 * * 1-5"), &zone("Europe/Zurich")), "every weekday at 06:30, Europe/Zurich");
}

/// Every way in which clocks change, and starts two days before it.
const CHANGES: [(&str, &str); 14] = [
    ("UTC", "2025-01-01T00:00:00Z"),
    ("Europe/Zurich", "2025-03-28T00:00:00Z"),
    ("Europe/Zurich", "2025-10-24T00:00:00Z"),
    ("America/New_York", "2025-03-07T00:00:00Z"),
    ("America/New_York", "2025-10-31T00:00:00Z"),
    ("America/Sao_Paulo", "2018-11-02T00:00:00Z"),
    ("America/Sao_Paulo", "2019-02-15T00:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-03T00:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-03T00:00:00Z"),
    ("Antarctica/Troll", "2025-03-28T00:00:00Z"),
    ("Antarctica/Troll", "2025-10-24T00:00:00Z"),
    ("Africa/Casablanca", "2025-02-21T00:00:00Z"),
    ("Pacific/Apia", "2011-12-28T00:00:00Z"),
    ("America/St_Johns", "2011-03-11T00:00:00Z"),
];

const DAYS: i64 = 5;

/// The rule of the module, minute by minute: by elapsed time, whatever the clock shows; by the wall, whatever it has not
/// shown yet and now shows or has passed.
fn walk(cron: &Cron, zone: &Zone, start: Timestamp) -> Vec<Timestamp> {
    let calendar: Calendar = cron.0.fields.for_croner().parse().unwrap();
    let fits = |clock: &DateTime| calendar.is_time_matching(clock).unwrap();
    let clock = |at: i64| zone.rules().to_datetime(jiff::Timestamp::from_second(at).unwrap());
    let minute = jiff::Span::new().minutes(1);
    let start = start.as_millis() / 1000;
    let mut shown = clock(start);
    let mut fired = Vec::new();
    for at in (1..DAYS * 24 * 60).map(|minutes| start + minutes * 60) {
        let now = clock(at);
        let fires = if cron.0.fields.every_hour() {
            fits(&now)
        } else {
            let mut any = false;
            while shown < now {
                shown = shown.checked_add(minute).unwrap();
                any |= fits(&shown);
            }
            any
        };
        if fires {
            fired.push(Timestamp::from_millis(at * 1000));
        }
    }
    fired
}

fn field(values: &'static [&'static str]) -> impl Strategy<Value = &'static str> {
    proptest::sample::select(values)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn fires_like_a_walk_minute_by_minute(
        (name, start) in proptest::sample::select(&CHANGES[..]),
        minutes in field(&["*", "0", "30", "*/15", "5/20", "0,59", "10-50/20", "29,31"]),
        hours in field(&["*", "0", "1", "2", "3", "0-23", "23", "*/2", "1-3", "22-23,0-4", "0,2"]),
        days in field(&["*", "*", "L", "LW", "1-31/2", "30", "26", "30W", "?"]),
        weekdays in field(&["*", "*", "?", "1-5", "SUN", "0#2", "FRI-SUN", "7L", "SAT"]),
        skip in 0..DAYS * 12 * 60,
        millis in 0i64..60_000,
    ) {
        let (cron, zone) = (cron(&format!("{minutes} {hours} {days} * {weekdays}")), zone(name));
        let start = time(start);
        let expected = walk(&cron, &zone, start);
        let end = start.plus_millis(DAYS * 24 * 3_600_000);

        let mut found = Vec::new();
        let mut at = start;
        while let Some(next) = cron.next_after(at, &zone) {
            prop_assert!(next > at);
            if next >= end {
                break;
            }
            found.push(next);
            at = next;
        }
        prop_assert_eq!(&found, &expected);

        // From anywhere in between, the same.
        let at = start.plus_millis(skip * 60_000 + millis);
        let next = cron.next_after(at, &zone).filter(|next| *next < end);
        prop_assert_eq!(next, expected.iter().copied().find(|slot| *slot > at));
    }

    #[test]
    fn any_text_is_refused_or_has_words_and_keeps_its_text(text in "[0-9*,/#LW?A-Z@ -]{0,40}") {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert_eq!(cron.as_written(), &text);
            prop_assert!(!cron.words().is_empty());
            let from = Timestamp::from_millis(0);
            prop_assert!(cron.next_after(from, &Zone::utc()).is_none_or(|next| next > from));
        }
    }
}
