//! From what a job does to a script: everything in the order of its time, and what the script can't do itself as a cue.

use super::file::{End, Part, Results};
use docket_contract::result::MAX_INSERT;
use std::time::Duration;

/// Least time between two batches of results, unless a batch would be larger than an insert may be.
const BATCH_TIME: Duration = Duration::from_millis(200);
/// Most batches of a slow run.
const MOST_BATCHES: u32 = 10_000;

/// What happens at a cue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// The job reports.
    Report { percent: Option<i32>, message: Option<String> },
    /// The job writes the records from number `first` on.
    Write { first: u32, count: u32 },
    /// The job leaves its result.
    Leave(String),
    /// Somebody cancels the job.
    Cancel(Option<String>),
}

/// A script with its cues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Timeline {
    /// The steps for the scripted executor; `cue=N` stands for the act of number N.
    pub(super) script: Vec<String>,
    pub(super) acts: Vec<Act>,
}

enum Event<'p> {
    Print(&'p str),
    Act(Act),
}

/// What the part does, in order. What lies behind its run does not happen.
pub(super) fn timeline(part: &Part) -> Timeline {
    let mut events: Vec<(Duration, Event<'_>)> = Vec::new();
    events.extend(part.log.iter().map(|line| (line.at.0, Event::Print(&line.line))));
    for report in &part.progress {
        let act = Act::Report { percent: report.percent, message: report.message.clone() };
        events.push((report.at.0, Event::Act(act)));
    }
    if let Some(results) = &part.results {
        write(results, part.running, part.progress.is_empty(), &mut events);
    }
    events.retain(|(at, _)| *at <= part.running);
    // Stable: what happens at the same time keeps its order.
    events.sort_by_key(|(at, _)| *at);
    if let Some(data) = &part.result_data {
        events.push((part.running, Event::Act(Act::Leave(data.clone()))));
    }
    if let End::Canceled(reason) = &part.end {
        events.push((part.running, Event::Act(Act::Cancel(reason.clone()))));
    }

    let mut made = Timeline::default();
    if !part.scheduled.is_zero() {
        made.script.push(format!("queue={}", part.scheduled.as_millis()));
    }
    if part.stubborn {
        made.script.push("stubborn".to_owned());
    }
    let mut now = Duration::ZERO;
    for (at, event) in events {
        if at > now {
            made.script.push(format!("until={}", at.as_millis()));
            now = at;
        }
        match event {
            Event::Print(line) => made.script.push(format!("print={line}")),
            Event::Act(act) => {
                made.script.push(format!("cue={}", made.acts.len()));
                made.acts.push(act);
            }
        }
    }
    made.script.push(format!("until={}", part.running.as_millis()));
    made.script.push(match part.end {
        End::Exit(code) => format!("exit={code}"),
        End::Signal(signal) => format!("signal={signal}"),
        End::Lost => "vanish".to_owned(),
        // A canceled job is ended by the executor.
        End::Canceled(_) | End::Never => "hang".to_owned(),
    });
    made
}

/// Batches of results, each behind the time that it takes to come about.
fn write(results: &Results, running: Duration, report: bool, events: &mut Vec<(Duration, Event<'_>)>) {
    let (from, count) = (results.from.0, results.count);
    let span = running.saturating_sub(from).max(Duration::from_millis(1));
    let rate = results.per_second.unwrap_or(f64::from(count) / span.as_secs_f64());
    let time = BATCH_TIME.max(running / MOST_BATCHES);
    // Truncation is meant; the bounds of the file keep the number small.
    let batch = ((rate * time.as_secs_f64()).ceil() as u32).clamp(1, MAX_INSERT as u32);
    let mut written = 0;
    while written < count {
        let first = written;
        written = count.min(written + batch);
        let at = from + Duration::from_secs_f64(f64::from(written) / rate);
        // Rounding must not carry the last batch over the end.
        let at = if results.per_second.is_none() { at.min(running) } else { at };
        if at > running {
            return;
        }
        events.push((at, Event::Act(Act::Write { first, count: written - first })));
        if report {
            let percent = i32::try_from(u64::from(written) * 100 / u64::from(count)).ok();
            let message = Some(format!("{written} of {count} records"));
            events.push((at, Event::Act(Act::Report { percent, message })));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::file::Scenario;
    use super::*;

    fn play(text: &str) -> Timeline {
        let scenario = Scenario::parse(&format!("[[jobs]]\n{text}")).unwrap_or_else(|e| panic!("{text}: {e}"));
        timeline(&scenario.jobs[0])
    }

    #[test]
    fn a_job_that_says_nothing_finishes_after_a_second() {
        assert_eq!(play("").script, ["until=1000", "exit=0"]);
    }

    #[test]
    fn everything_happens_in_the_order_of_its_time() {
        let made = play(
            r#"
            scheduled = "300ms"
            running = "3s"
            end = "FAILED"
            exit-code = 4
            result-data = "r"
            log = [{ line = "begin" }, { at = "2s", line = "middle" }, { at = "4s", line = "never" }]
            progress = [{ at = "1s", percent = 10 }, { at = "2s", percent = 20, message = "m" }]
            "#,
        );
        let script = ["queue=300", "print=begin", "until=1000", "cue=0", "until=2000", "print=middle", "cue=1"];
        let end = ["until=3000", "cue=2", "until=3000", "exit=4"];
        assert_eq!(made.script, [&script[..], &end].concat());
        let report = |percent, message: Option<&str>| Act::Report { percent, message: message.map(str::to_owned) };
        assert_eq!(made.acts, [report(Some(10), None), report(Some(20), Some("m")), Act::Leave("r".to_owned())]);
    }

    #[test]
    fn the_ends() {
        for (end, last) in [
            ("end = \"DIED\"", "vanish"),
            ("end = \"DIED\"\nsignal = 9", "signal=9"),
            ("end = \"RUNNING\"", "hang"),
            ("end = \"CANCELED\"\nstubborn = true", "hang"),
        ] {
            let made = play(end);
            assert_eq!(made.script.last().map(String::as_str), Some(last), "{end}");
            assert_eq!(made.acts.contains(&Act::Cancel(None)), end.contains("CANCELED"), "{end}");
            assert_eq!(made.script[0] == "stubborn", end.contains("stubborn"), "{end}");
        }
    }

    /// The records that a run writes, and when the last of them come, in milliseconds.
    fn written(text: &str) -> (u32, u32, u128) {
        let made = play(text);
        let (mut count, mut largest, mut now, mut last) = (0, 0, 0, 0);
        for step in &made.script {
            if let Some(at) = step.strip_prefix("until=") {
                now = at.parse().expect("a number");
            } else if let Some(Act::Write { first, count: more }) =
                step.strip_prefix("cue=").map(|cue| &made.acts[cue.parse::<usize>().expect("a number")])
            {
                assert_eq!(*first, count, "{text}");
                (count, largest, last) = (count + more, largest.max(*more), now);
            }
        }
        (count, largest, last)
    }

    #[test]
    fn results_trickle_in() {
        // Spread over the run, at a rate, faster than the run lasts, slower than it does, and late.
        assert_eq!(written("running = \"2s\"\nresults = { count = 100 }"), (100, 10, 2000));
        assert_eq!(written("running = \"2s\"\nresults = { count = 100, per-second = 100 }"), (100, 20, 1000));
        assert_eq!(written("running = \"1s\"\nresults = { count = 100, per-second = 2 }"), (2, 1, 1000));
        assert_eq!(written("running = \"0s\"\nresults = { count = 2500 }"), (2500, 1000, 0));
        assert_eq!(written("running = \"3s\"\nresults = { count = 7, from = \"2s\" }"), (7, 2, 3000));
        assert_eq!(written("running = \"1s\"\nresults = { count = 7, from = \"2s\" }"), (7, 7, 1000));
        let (count, _, _) = written("running = \"24h\"\nresults = { count = 1000000 }");
        assert_eq!(count, 1_000_000);
    }

    #[test]
    fn who_writes_reports_on_it() {
        let made = play("results = { count = 3, per-second = 1 }\nrunning = \"2s\"");
        let message = Some("2 of 3 records".to_owned());
        assert_eq!(made.acts.last(), Some(&Act::Report { percent: Some(66), message }));
        let own = play("results = { count = 3 }\nprogress = [{ at = \"0s\", percent = 1 }]");
        assert!(own.acts.iter().filter(|act| matches!(act, Act::Report { .. })).count() == 1);
    }
}
