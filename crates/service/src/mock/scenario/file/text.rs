//! How a scenario is written, and what must hold between the fields of an entry.

use super::fields::{Time, Wrong, count, entries, job_type, percent, rate, share, slots, storage, within};
use super::{CallRule, End, Part, Scenario};
use crate::mock::choose::wanted_codes;
use docket_contract::Code;
use docket_contract::job::JobSpec;
use docket_contract::operations::{Operation, Visitor, walk};
use docket_contract::result::MAX_RESULT_DATA_CHARS;
use docket_contract::text::check_text;
use serde::Deserialize;
use std::time::Duration;

/// Longest delay of a call.
const MAX_DELAY: Duration = Duration::from_secs(60);

/// A file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ScenarioText {
    #[serde(default)]
    seed: u64,
    #[serde(default = "default_slots", deserialize_with = "slots")]
    slots: usize,
    #[serde(default, deserialize_with = "entries")]
    jobs: Vec<PartText>,
    #[serde(default, deserialize_with = "entries")]
    calls: Vec<CallText>,
}

fn default_slots() -> usize {
    100
}

impl ScenarioText {
    /// Checks the entries. What is wrong is named with its path.
    pub(super) fn check(self) -> Result<Scenario, Wrong> {
        fn all<T, U>(list: &str, texts: Vec<T>, check: impl Fn(T) -> Result<U, Wrong>) -> Result<Vec<U>, Wrong> {
            let inside = |(place, text)| check(text).map_err(|wrong| wrong.within(list, place));
            texts.into_iter().enumerate().map(inside).collect()
        }
        Ok(Scenario {
            seed: self.seed,
            slots: self.slots,
            jobs: all("jobs", self.jobs, PartText::check)?,
            calls: all("calls", self.calls, CallText::check)?,
        })
    }
}

/// Which jobs; what is absent fits any.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Match {
    #[serde(rename = "type")]
    job_type: Option<Pattern>,
    name: Option<Pattern>,
    domain: Option<Pattern>,
    image: Option<Pattern>,
    tags: Vec<String>,
}

impl Match {
    pub fn fits(&self, spec: &JobSpec) -> bool {
        let fits = |pattern: &Option<Pattern>, text: Option<&str>| {
            pattern.as_ref().is_none_or(|pattern| text.is_some_and(|text| pattern.fits(text)))
        };
        fits(&self.job_type, spec.job_type.as_deref())
            && fits(&self.name, spec.name.as_deref())
            && fits(&self.domain, spec.domain.as_deref())
            && fits(&self.image, Some(&spec.docker_image_url))
            && self.tags.iter().all(|tag| spec.tags.contains(tag))
    }
}

/// A text, or the beginning of one with `*` behind it.
#[derive(Clone, Debug, Deserialize)]
#[serde(transparent)]
struct Pattern(String);

impl Pattern {
    fn fits(&self, text: &str) -> bool {
        self.0.strip_suffix('*').map_or(self.0 == text, |begin| text.starts_with(begin))
    }
}

/// A report of the running job.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Progress {
    pub at: Time,
    #[serde(default, deserialize_with = "percent")]
    pub percent: Option<i32>,
    #[serde(default)]
    pub message: Option<String>,
}

/// A line of log.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Line {
    #[serde(default)]
    pub at: Time,
    pub line: String,
}

/// Results that the running job writes.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Results {
    #[serde(deserialize_with = "count")]
    pub count: u32,
    /// How many a second; spread over the run if absent.
    #[serde(default, deserialize_with = "rate")]
    pub per_second: Option<f64>,
    /// When the first ones come.
    #[serde(default)]
    pub from: Time,
    /// The share of FAILED ones, from 0 to 1.
    #[serde(default, deserialize_with = "share")]
    pub failed: f64,
    /// Where they are written; the job's `resultStorageId` if absent.
    #[serde(default, deserialize_with = "storage")]
    pub storage: Option<String>,
    /// The type in the records; the job's own if absent.
    #[serde(default, deserialize_with = "job_type")]
    pub job_type: Option<String>,
}

/// A part as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct PartText {
    #[serde(default, rename = "match")]
    matches: Match,
    #[serde(default)]
    scheduled: Time,
    running: Option<Time>,
    #[serde(default)]
    end: EndText,
    exit_code: Option<i32>,
    signal: Option<i32>,
    reason: Option<String>,
    #[serde(default)]
    stubborn: bool,
    result_data: Option<String>,
    #[serde(default, deserialize_with = "entries")]
    progress: Vec<Progress>,
    #[serde(default, deserialize_with = "entries")]
    log: Vec<Line>,
    results: Option<Results>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
enum EndText {
    #[default]
    Finished,
    Failed,
    Died,
    Canceled,
    Running,
}

impl PartText {
    fn check(self) -> Result<Part, Wrong> {
        let only = |field: &'static str, given: bool, ends: &[EndText]| {
            if !given || ends.contains(&self.end) {
                return Ok(());
            }
            Err(Wrong::new(field, "does not go with this end of a job"))
        };
        only("exit-code", self.exit_code.is_some(), &[EndText::Finished, EndText::Failed])?;
        only("signal", self.signal.is_some(), &[EndText::Died])?;
        only("reason", self.reason.is_some(), &[EndText::Canceled])?;
        let checked =
            |field, value, least, most| within(value, least, most).map_err(|reason| Wrong::new(field, reason));
        let end = match self.end {
            EndText::Finished => End::Exit(checked("exit-code", self.exit_code.unwrap_or(0), 0, 0)?),
            EndText::Failed => End::Exit(checked("exit-code", self.exit_code.unwrap_or(1), 1, 255)?),
            EndText::Died => match self.signal {
                Some(signal) => End::Signal(checked("signal", signal, 1, 64)?),
                None => End::Lost,
            },
            EndText::Canceled => End::Canceled(self.reason),
            EndText::Running => End::Never,
        };
        if let Some(data) = &self.result_data {
            check_text(data, 0, MAX_RESULT_DATA_CHARS).map_err(|(_, detail)| Wrong::new("result-data", detail))?;
        }
        Ok(Part {
            matches: self.matches,
            scheduled: self.scheduled.0,
            running: self.running.map_or(Duration::from_secs(1), |time| time.0),
            end,
            stubborn: self.stubborn,
            result_data: self.result_data,
            progress: self.progress,
            log: self.log,
            results: self.results,
        })
    }
}

/// What happens to calls, as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
struct CallText {
    operation: String,
    #[serde(default, deserialize_with = "entries")]
    nth: Vec<u64>,
    every: Option<u64>,
    #[serde(default)]
    delay: Time,
    answer: Option<CodeText>,
    retry_after: Option<u32>,
}

/// A status or the name of a code.
#[derive(Deserialize)]
#[serde(untagged, expecting = "a status such as 429, or a code such as \"rate_limited\"")]
enum CodeText {
    Status(u16),
    Name(String),
}

impl CallText {
    fn check(self) -> Result<CallRule, Wrong> {
        let Self { operation, nth, every, delay: Time(delay), answer, retry_after } = self;
        let wanted = answer.map(|answer| match answer {
            CodeText::Status(status) => status.to_string(),
            CodeText::Name(name) => name,
        });
        let answer = look_up(&operation, wanted.as_deref())?;
        if wanted.is_some() && answer.is_none() {
            return Err(Wrong::new("answer", "must be an error"));
        }
        if answer.is_none() && delay.is_zero() {
            return Err(Wrong::new("operation", "needs a delay, an answer or both beside it"));
        }
        if answer.is_none() && retry_after.is_some() {
            return Err(Wrong::new("retry-after", "needs an answer beside it"));
        }
        if delay > MAX_DELAY {
            return Err(Wrong::new("delay", format!("must be at most {} s", MAX_DELAY.as_secs())));
        }
        for (field, wrong) in [("nth", nth.contains(&0)), ("every", every == Some(0))] {
            if wrong {
                return Err(Wrong::new(field, "must be at least 1: calls are counted from 1"));
            }
        }
        Ok(CallRule { operation, nth, every, delay, answer, retry_after })
    }
}

/// Finds an operation of the table, and the first of its codes that is wanted.
fn look_up(name: &str, wanted: Option<&str>) -> Result<Option<Code>, Wrong> {
    struct Search<'n> {
        name: &'n str,
        wanted: Option<&'n str>,
        found: Option<Result<Vec<Code>, String>>,
        known: Vec<&'static str>,
    }
    impl Visitor for Search<'_> {
        fn visit<O: Operation>(&mut self) {
            self.known.push(O::NAME);
            if O::NAME == self.name {
                self.found = Some(self.wanted.map_or(Ok(Vec::new()), wanted_codes::<O>));
            }
        }
    }
    let mut search = Search { name, wanted, found: None, known: Vec::new() };
    walk(&mut search);
    match search.found {
        Some(codes) => Ok(codes.map_err(|reason| Wrong::new("answer", reason))?.first().copied()),
        None => Err(Wrong::new("operation", format!("must be one of {}; not {name:?}", search.known.join(", ")))),
    }
}
