//! Reading a scenario: from the text of a file, with the line of what is wrong.

use super::Scenario;
use super::fields::Wrong;
use super::text::ScenarioText;
use toml::de::{DeTable, DeValue};

/// Why a scenario can't be read: one line.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {}{reason}", if field.is_empty() { String::new() } else { format!("{field}: ") })]
pub struct ScenarioError {
    /// The line, from 1.
    pub line: usize,
    /// The field; empty where the text is no TOML.
    pub field: String,
    /// What is wrong.
    pub reason: String,
}

/// Reads the text of a file.
pub(super) fn parse(text: &str) -> Result<Scenario, ScenarioError> {
    let source = toml::Deserializer::parse(text).map_err(|error| {
        let line = error.span().map_or(1, |span| line(text, span.start));
        ScenarioError { line, field: String::new(), reason: one_line(error.message()) }
    })?;
    let read: Result<ScenarioText, _> = serde_path_to_error::deserialize(source);
    let checked = read.map_err(|error| {
        let field = error.path().to_string();
        Wrong::new(if field == "." { "" } else { &field }, one_line(error.inner().message()))
    });
    checked.and_then(ScenarioText::check).map_err(|Wrong { field, reason }| {
        let line = place(text, &field).map_or(1, |place| line(text, place));
        ScenarioError { line, field, reason }
    })
}

fn one_line(message: &str) -> String {
    message.lines().collect::<Vec<_>>().join("; ")
}

/// The line of a place in the text, from 1.
fn line(text: &str, place: usize) -> usize {
    text.bytes().take(place).filter(|byte| *byte == b'\n').count() + 1
}

/// Where a field stands, such as `jobs[0].results.count`; if it is not there, where what should hold it does.
fn place(text: &str, field: &str) -> Option<usize> {
    let mut place = None;
    let mut value = DeValue::Table(DeTable::parse(text).ok()?.into_inner());
    for step in field.split(['.', '[', ']']).filter(|step| !step.is_empty()) {
        let found = match &value {
            DeValue::Array(items) => items.get(step.parse::<usize>().ok()?),
            DeValue::Table(members) => members.get(step),
            _ => None,
        };
        let Some(found) = found else { break };
        // The members of a table of its own begin behind its header.
        place = Some(found.span().start);
        value = found.get_ref().clone();
    }
    place
}

#[cfg(test)]
mod tests {
    use super::super::End;
    use super::*;
    use docket_contract::Code;
    use docket_contract::job::JobSpec;

    #[test]
    fn an_empty_file_is_a_scenario() {
        let scenario = Scenario::parse("").expect("valid");
        assert_eq!((scenario.seed, scenario.slots, scenario.jobs.len(), scenario.calls.len()), (0, 100, 0, 0));
    }

    #[test]
    fn everything_can_be_said() {
        let scenario = Scenario::parse(
            r#"
            seed = 7
            slots = 3
            [[jobs]]
            match = { type = "A_JOB", name = "Nightly*", domain = "d", image = "x/*", tags = ["t"] }
            scheduled = "500ms"
            running = "1m 30s"
            end = "FAILED"
            exit-code = 3
            stubborn = true
            result-data = "{}"
            progress = [{ at = "1s", percent = 10, message = "begun" }, { at = "2s", message = "on" }]
            log = [{ line = "a" }, { at = "1s", line = "b" }]
            results = { count = 10, per-second = 2.5, from = "1s", failed = 0.5, storage = "s", job-type = "B_JOB" }
            [[jobs]]
            end = "CANCELED"
            reason = "enough"
            [[calls]]
            operation = "listJobs"
            nth = [1, 3]
            every = 5
            answer = 503
            retry-after = 2
            delay = "1s"
            [[calls]]
            operation = "readJob"
            answer = "rate_limited"
            "#,
        )
        .expect("valid");
        let part = &scenario.jobs[0];
        assert_eq!((part.scheduled.as_millis(), part.running.as_secs(), &part.end), (500, 90, &End::Exit(3)));
        let mut spec = JobSpec { docker_image_url: "x/y".to_owned(), ..JobSpec::default() };
        assert!(!part.matches.fits(&spec) && scenario.jobs[1].matches.fits(&spec));
        spec.job_type = Some("A_JOB".to_owned());
        spec.name = Some("Nightly run".to_owned());
        spec.domain = Some("d".to_owned());
        spec.tags = vec!["u".to_owned(), "t".to_owned()];
        assert!(part.matches.fits(&spec));
        assert_eq!(scenario.jobs[1].end, End::Canceled(Some("enough".to_owned())));
        let call = &scenario.calls[0];
        assert_eq!((call.answer, call.retry_after), (Some(Code::Overloaded), Some(2)));
        let about: Vec<u64> = (1..=10).filter(|n| call.is_about(*n)).collect();
        assert_eq!(about, [1, 3, 5, 10]);
        assert_eq!(scenario.calls[1].answer, Some(Code::RateLimited));
        assert!(scenario.calls[1].is_about(17));
    }

    #[test]
    fn an_error_names_line_and_field() {
        for (text, line, field, sign) in [
            ("seed = ", 1, "", ""),
            ("\nsede = 1", 2, "sede", "unknown field"),
            ("\n\nseed = \"x\"", 3, "seed", "u64"),
            ("slots = 0", 1, "slots", "from 1 to 10000"),
            ("[[jobs]]\nrunning = \"soon\"", 2, "jobs[0].running", "500ms"),
            ("[[jobs]]\nrunning = \"-1s\"", 2, "jobs[0].running", "500ms"),
            ("[[jobs]]\n\nend = \"LOST\"", 3, "jobs[0].end", "FINISHED"),
            (
                "[[jobs]]\n[[jobs]]\nend = \"FAILED\"\nexit-code = 0",
                4,
                "jobs[1].exit-code",
                "must be from 1 to 255, is 0",
            ),
            ("[[jobs]]\nsignal = 9", 2, "jobs[0].signal", "does not go with"),
            ("[[jobs]]\nresults = { count = 5, failed = 1.5 }", 2, "jobs[0].results.failed", "from 0 to 1"),
            ("[[jobs]]\nprogress = [{ at = \"1s\", percent = 101 }]", 2, "jobs[0].progress[0].percent", "0 to 100"),
            ("[[calls]]\noperation = \"noSuch\"\ndelay = \"1s\"", 2, "calls[0].operation", "listJobRunResults"),
            ("[[calls]]\noperation = \"listJobs\"\nanswer = 418", 3, "calls[0].answer", "429 (rate_limited)"),
            ("[[calls]]\noperation = \"listJobs\"\nanswer = 200", 3, "calls[0].answer", "must be an error"),
            ("[[calls]]\noperation = \"listJobs\"", 2, "calls[0].operation", "needs a delay"),
            ("[[calls]]\noperation = \"listJobs\"\ndelay = \"2m\"", 3, "calls[0].delay", "at most 60 s"),
        ] {
            let error = Scenario::parse(text).expect_err(text);
            assert_eq!((error.line, error.field.as_str()), (line, field), "{text}: {error}");
            let shown = error.to_string();
            assert!(shown.contains(sign) && !shown.contains('\n'), "{text}: {shown}");
        }
    }
}
