//! What a change does to the slots.

use super::*;
use docket_contract::schedule::Slot;

fn at(text: &str) -> Timestamp {
    text.parse().expect("a time")
}

fn slot(text: &str) -> Option<Slot> {
    Some(Slot { at: at(text), due: at(text) })
}

/// Hourly; all up to 01:00 is decided.
fn hourly() -> StoredSchedule {
    let spec = ScheduledJobSpec { cron_expression: "0 * * * *".to_owned(), ..ScheduledJobSpec::default() };
    StoredSchedule {
        id: ScheduledJobId(uuid::Uuid::from_u128(1)),
        organization: "acme".to_owned(),
        user: "ann".to_owned(),
        spec: spec.with_defaults(),
        paused_reason: None,
        decided: at("2026-06-01T01:00Z"),
        next: slot("2026-06-01T02:00Z"),
        revision: 3,
        created_at: at("2026-06-01T00:00Z"),
        modified_at: at("2026-06-01T00:00Z"),
    }
}

fn changed(stored: &StoredSchedule, now: &str, change: impl FnOnce(&mut ScheduledJobSpec)) -> ScheduleStep {
    let mut spec = stored.spec.clone();
    change(&mut spec);
    step(stored, ScheduleChange { spec, paused_reason: None, at: at(now) }).expect("a step")
}

/// The skipped slots of a step: reason, first, number.
fn skipped(step: &ScheduleStep) -> Vec<(SkipReason, Timestamp, i64)> {
    let count = |run: &NewRun| run.several.map_or(1, |(_, count)| count.expect("few"));
    step.runs.iter().map(|run| (run.reason.expect("skipped"), run.slot_at, count(run))).collect()
}

#[test]
fn what_moves_no_slot_loses_none() {
    // The server comes late to 02:00 and 03:00, and somebody changes the name before it does.
    let step = changed(&hourly(), "2026-06-01T03:30Z", |spec| spec.name = Some("other".to_owned()));
    assert_eq!((step.decided, step.next, step.revision), (hourly().decided, hourly().next, 3));
    assert_eq!(step.runs, []);
}

#[test]
fn a_new_timetable_begins_now() {
    let quarters = |spec: &mut ScheduledJobSpec| spec.cron_expression = "*/15 * * * *".to_owned();
    let step = changed(&hourly(), "2026-06-01T01:20Z", quarters);
    assert_eq!((step.decided, step.next), (at("2026-06-01T01:20Z"), slot("2026-06-01T01:30Z")));
    assert_eq!(step.runs, []);
    // What was due and not decided about is told.
    let late = changed(&hourly(), "2026-06-01T03:30Z", quarters);
    assert_eq!(skipped(&late), [(SkipReason::Replaced, at("2026-06-01T02:00Z"), 2)]);
    // The clock was put back: what was decided about stays so.
    let back = changed(&hourly(), "2026-06-01T00:20Z", quarters);
    assert_eq!((back.decided, back.next), (hourly().decided, slot("2026-06-01T01:15Z")));
}

#[test]
fn a_pause_is_told_as_one() {
    let rest = |paused| move |spec: &mut ScheduledJobSpec| spec.paused = Some(paused);
    let step = changed(&hourly(), "2026-06-01T01:10Z", rest(true));
    assert_eq!((step.decided, step.next, step.runs.len()), (hourly().decided, None, 0));
    let paused = hourly().after(&step);
    // Paused once more, nothing is over.
    assert_eq!(changed(&paused, "2026-06-01T02:30Z", rest(true)).decided, hourly().decided);
    let resumed = changed(&paused, "2026-06-01T05:30Z", rest(false));
    assert_eq!((resumed.decided, resumed.next), (at("2026-06-01T05:30Z"), slot("2026-06-01T06:00Z")));
    assert_eq!(skipped(&resumed), [(SkipReason::Paused, at("2026-06-01T02:00Z"), 4)]);
    // Another timetable in the pause: what the old one would have had is over, and nothing comes next.
    let daily = changed(&paused, "2026-06-01T03:30Z", |spec| spec.cron_expression = "@daily".to_owned());
    assert_eq!((daily.decided, daily.next), (at("2026-06-01T03:30Z"), None));
    assert_eq!(skipped(&daily), [(SkipReason::Paused, at("2026-06-01T02:00Z"), 2)]);
}

#[test]
fn an_expression_that_never_fires_is_refused() {
    let mut spec = hourly().spec;
    spec.cron_expression = "0 0 30 2 *".to_owned();
    let refused = step(&hourly(), ScheduleChange { spec, paused_reason: None, at: at("2026-06-01T01:10Z") });
    assert_eq!(refused.expect_err("refused").errors[0].code, "never_fires");
}
