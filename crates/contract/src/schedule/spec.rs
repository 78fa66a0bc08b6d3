//! What a client says of a scheduled job, and its limits.

use crate::cron::{Cron, Zone};
use crate::job::{JobSpec, MAX_TEXT_CHARS};
use crate::lenient;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Time zone of a scheduled job that names none (D).
pub const DEFAULT_TIME_ZONE: &str = "UTC";
/// Missed slots that are made up for under ALL, and that are recorded one by one, when nothing else is said (D).
pub const DEFAULT_MAX_CATCH_UP: i32 = 100;
/// Largest `maxCatchUp` (D).
pub const MAX_CATCH_UP: i32 = 1000;
/// Largest `jitterSeconds` (D): a day.
pub const MAX_JITTER_SECONDS: i32 = 86_400;

// (D)
/// What happens to a slot while jobs of the same scheduled job have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum OverlapPolicy {
    /// It is skipped.
    #[default]
    Skip,
    /// Its job waits for the end of the other one; while one waits, further slots are skipped.
    QueueOne,
    /// Its job starts beside them.
    Allow,
    /// They are canceled, and its job starts once they have ended.
    CancelRunning,
}

// (D)
/// What becomes of slots that were missed: the server was down or too busy for more than a minute.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum MisfirePolicy {
    /// The last of them is made up for, unless the next slot is there already; the others are skipped.
    #[default]
    Last,
    /// The last `maxCatchUp` of them are made up for.
    All,
    /// All of them are skipped.
    None,
}

// (P: create only; the fields from `cronExpression` on are D)
/// When to start which job.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", default)]
pub struct ScheduledJobSpec {
    /// A name for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 255, example = "Nightly validation")]
    pub name: Option<String>,
    /// What it is for.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 65535)]
    pub description: Option<String>,
    /// The organization; administrators may schedule jobs for others.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub organization_id: Option<String>,
    /// A workspace of the caller's; also that of jobs that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub workspace_id: Option<String>,
    /// A client of the caller's; also that of jobs that name none.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub client_id: Option<String>,
    /// When: 5 fields (minute, hour, day of month, month, day of week) or 6 (second first), with names, `L`, `W` and
    /// `#`, or a word such as `@daily`. Answered as it was written.
    #[schema(required = true, min_length = 1, max_length = 255, example = "30 6 * * MON-FRI")]
    pub cron_expression: String,
    /// The time zone of the expression, by its IANA name; default UTC.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(max_length = 64, example = "Europe/Zurich")]
    pub time_zone: Option<String>,
    /// The job to start: the body of Start Job. Each job knows its slot by `scheduledFor`.
    #[schema(required = true)]
    pub job: JobSpec,
    /// What happens to a slot while jobs of the same scheduled job have not ended; default SKIP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub overlap_policy: Option<OverlapPolicy>,
    /// What becomes of slots that were missed; default LAST.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub misfire_policy: Option<MisfirePolicy>,
    /// Most missed slots that are made up for under ALL, and that are recorded one by one; default 100.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 1000, example = 100)]
    pub max_catch_up: Option<i32>,
    /// No slot before this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<Timestamp>,
    /// No slot after this time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub end_at: Option<Timestamp>,
    /// Spreads starts: each job starts up to so many seconds after its slot, and before the next slot. The same slot has
    /// the same delay whenever it is asked for. Default 0.
    #[serde(deserialize_with = "lenient::number", skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 0, maximum = 86400, example = 0)]
    pub jitter_seconds: Option<i32>,
    /// Whether it rests: a paused one has no slots. In an update its absence changes nothing.
    #[serde(deserialize_with = "lenient::boolean", skip_serializing_if = "Option::is_none")]
    #[schema(example = false)]
    pub paused: Option<bool>,
}

impl ScheduledJobSpec {
    /// This spec with the defaults in place of what was not given.
    pub fn with_defaults(mut self) -> Self {
        self.time_zone.get_or_insert_with(|| DEFAULT_TIME_ZONE.to_owned());
        self.overlap_policy.get_or_insert_default();
        self.misfire_policy.get_or_insert_default();
        self.max_catch_up.get_or_insert(DEFAULT_MAX_CATCH_UP);
        self.jitter_seconds.get_or_insert(0);
        self.paused.get_or_insert(false);
        self
    }

    /// The name of its time zone.
    pub fn zone_name(&self) -> &str {
        self.time_zone.as_deref().unwrap_or(DEFAULT_TIME_ZONE)
    }

    /// Whether it rests.
    pub fn is_paused(&self) -> bool {
        self.paused.unwrap_or(false)
    }

    /// Most missed slots that are made up for or recorded one by one.
    pub fn catch_up(&self) -> usize {
        usize::try_from(self.max_catch_up.unwrap_or(DEFAULT_MAX_CATCH_UP)).unwrap_or(1)
    }

    /// Whether it has other slots than `other`: what else differs moves no slot.
    pub fn times_differ(&self, other: &Self) -> bool {
        let times = |spec: &Self| {
            let Self { cron_expression, start_at, end_at, jitter_seconds, .. } = spec;
            (cron_expression.clone(), spec.zone_name().to_owned(), *start_at, *end_at, jitter_seconds.unwrap_or(0))
        };
        times(self) != times(other)
    }

    /// This spec with environment values hidden, as [`JobSpec::masked`].
    pub fn masked(mut self, all: bool) -> Self {
        self.job = self.job.masked(all);
        self
    }

    /// Gives environment values that were shown as `***` and came back so their present values: what was read can be
    /// changed and written again without knowing them.
    pub fn unmask(&mut self, present: &Self) {
        for variable in self.job.environment_variables.iter_mut().filter(|variable| variable.value == "***") {
            let known = present.job.environment_variables.iter().find(|known| known.name == variable.name);
            if let Some(known) = known {
                variable.value.clone_from(&known.value);
            }
        }
    }
}

impl Validate for ScheduledJobSpec {
    fn validate(&mut self, problems: &mut Problems) {
        problems.text("/name", self.name.as_deref(), 0, 255);
        problems.text("/description", self.description.as_deref(), 0, MAX_TEXT_CHARS);
        for (pointer, id) in [
            ("/organizationId", &self.organization_id),
            ("/workspaceId", &self.workspace_id),
            ("/clientId", &self.client_id),
        ] {
            problems.id(pointer, id.as_deref());
        }
        const CRON: &str = "/cronExpression";
        if self.cron_expression.trim().is_empty() {
            problems.add(CRON, "required", "is required and must not be empty");
        } else if let Err(error) = Cron::parse(&self.cron_expression) {
            problems.add(CRON, "invalid_format", format!("is not valid: {error}"));
        }
        if let Some(Err(error)) = self.time_zone.as_deref().map(Zone::parse) {
            problems.add("/timeZone", "unknown_value", error.to_string());
        }
        problems.within("/job", |problems| self.job.validate(problems));
        problems.range("/maxCatchUp", self.max_catch_up, 1, MAX_CATCH_UP);
        problems.range("/jitterSeconds", self.jitter_seconds, 0, MAX_JITTER_SECONDS);
        if let (Some(start), Some(end)) = (self.start_at, self.end_at)
            && end < start
        {
            problems.add("/endAt", "out_of_range", format!("must not be before startAt ({start}), is {end}"));
        }
    }
}
