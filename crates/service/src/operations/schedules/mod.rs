//! Scheduled jobs: making, reading, changing and removing them, and starting their jobs out of turn.

mod change;
mod door;
mod trigger;

pub(super) use change::{pause, resume, update};
pub(super) use trigger::trigger;

use super::{Service, scope, start};
use crate::engine::{Door as _, JobStart};
use crate::store::{NewSchedule, StoredSchedule};
use docket_contract::caller::Call;
use docket_contract::cron::{self, Cron, Zone};
use docket_contract::cursor::{Position, Scope as TokenScope};
use docket_contract::operations::{
    CreateScheduledJobInput, DEFAULT_PREVIEW, DEFAULT_RUNS_PAGE, ListScheduledJobRuns, ListScheduledJobRunsInput,
    ListScheduledJobs, ListScheduledJobsInput, MAX_SCHEDULED_JOBS_PAGE, PreviewScheduledJobInput, PreviewedSlot,
    SchedulePreview, ScheduledJobInput, ScheduledJobRunsPage, ScheduledJobsPage,
};
use docket_contract::schedule::{ScheduledJobSpec, Slot, Timetable, Zoned};
use docket_contract::{Caller, Code, Error, Operation, ScheduledJob, ScheduledJobId, Timestamp};

/// How often a change begins anew when the scheduled job moves on under it.
const TRIES: usize = 10;

pub(super) async fn create(
    service: &Service,
    call: Call,
    input: CreateScheduledJobInput,
) -> Result<ScheduledJob, Error> {
    let caller = &call.caller;
    let mut spec = input.scheduled_job.with_defaults();
    let organization = start::organization(caller, spec.organization_id.take())?;
    spec.organization_id = Some(organization.clone());
    let now = service.clock.now();
    let mut new = NewSchedule {
        id: ScheduledJobId(call.seed.unwrap_or_else(|| service.ids.next(now)).0),
        organization,
        user: caller.user.clone(),
        spec,
        decided: now,
        next: None,
        created_at: now,
    };
    check_job(service, &new.clone().stored(), now, "/scheduledJob/job")?;
    let pattern = pattern(&new.spec)?;
    let next = first_slot(&pattern, new.id, &new.spec, now)?;
    new.next = next.filter(|_| !new.spec.is_paused());
    let stored = service.schedules.insert_schedule(new).await?;
    service.engine.scheduled();
    view(stored, caller)
}

pub(super) async fn list(
    service: &Service,
    caller: &Caller,
    input: ListScheduledJobsInput,
) -> Result<ScheduledJobsPage, Error> {
    let limit = input.limit.unwrap_or(MAX_SCHEDULED_JOBS_PAGE);
    let token_scope = TokenScope::new(ListScheduledJobs::NAME, &caller.organization);
    let after = position(service, input.start_after.as_deref(), &token_scope)?;
    let size = usize::try_from(limit).unwrap_or(1);
    let found = service.schedules.list_schedules(&scope(caller), after, size).await?;
    Ok(ScheduledJobsPage {
        start_after: input.start_after,
        next_start_after: found.next.map(|next| service.secrets.seal(Position(next), &token_scope)).transpose()?,
        limit,
        values: found.values.into_iter().map(|stored| view(stored, caller)).collect::<Result<_, _>>()?,
    })
}

pub(super) async fn read(service: &Service, caller: &Caller, input: ScheduledJobInput) -> Result<ScheduledJob, Error> {
    view(own(service, caller, input.scheduled_job_id).await?, caller)
}

pub(super) async fn delete(
    service: &Service,
    caller: &Caller,
    input: ScheduledJobInput,
) -> Result<ScheduledJob, Error> {
    let deleted = service.schedules.delete_schedule(&scope(caller), input.scheduled_job_id).await?;
    view(deleted.ok_or_else(Error::not_found)?, caller)
}

pub(super) async fn preview(
    service: &Service,
    caller: &Caller,
    input: PreviewScheduledJobInput,
) -> Result<SchedulePreview, Error> {
    let stored = own(service, caller, input.scheduled_job_id).await?;
    let pattern = pattern(&stored.spec)?;
    let table = Timetable::new(&pattern, stored.id, &stored.spec);
    let mut after = service.clock.now().max(stored.decided);
    let slots = std::iter::from_fn(|| {
        let slot = table.next(after)?;
        after = slot.at;
        Some(PreviewedSlot { slot_at: slot.at, fire_at: slot.due })
    });
    let count = usize::try_from(input.count.unwrap_or(DEFAULT_PREVIEW)).unwrap_or(1);
    Ok(SchedulePreview { values: slots.take(count).collect() })
}

pub(super) async fn runs(
    service: &Service,
    caller: &Caller,
    input: ListScheduledJobRunsInput,
) -> Result<ScheduledJobRunsPage, Error> {
    let limit = input.limit.unwrap_or(DEFAULT_RUNS_PAGE);
    let id = input.scheduled_job_id;
    let mut token_scope = TokenScope::new(ListScheduledJobRuns::NAME, &caller.organization);
    token_scope.add("scheduledJobId", [id.to_string().as_str()]);
    let own = scope(caller);
    // A token that is not valid tells nobody whether the scheduled job is there.
    service.schedules.read_schedule(&own, id).await?.ok_or_else(Error::not_found)?;
    let after = position(service, input.start_after.as_deref(), &token_scope)?;
    let size = usize::try_from(limit).unwrap_or(1);
    let found = service.schedules.schedule_runs(&own, id, after, size).await?.ok_or_else(Error::not_found)?;
    Ok(ScheduledJobRunsPage {
        start_after: input.start_after,
        next_start_after: found.next.map(|next| service.secrets.seal(Position(next), &token_scope)).transpose()?,
        limit,
        values: found.values,
    })
}

fn position(service: &Service, token: Option<&str>, scope: &TokenScope) -> Result<Option<u64>, Error> {
    token.map(|token| service.secrets.open(token, scope).map(|position| position.0)).transpose()
}

/// The scheduled job, if it is the caller's.
async fn own(service: &Service, caller: &Caller, id: ScheduledJobId) -> Result<StoredSchedule, Error> {
    service.schedules.read_schedule(&scope(caller), id).await?.ok_or_else(Error::not_found)
}

/// The scheduled job as the caller may see it.
fn view(stored: StoredSchedule, caller: &Caller) -> Result<ScheduledJob, Error> {
    let Zoned { cron, zone } = pattern(&stored.spec)?;
    Ok(ScheduledJob {
        id: stored.id,
        spec: stored.spec.masked(!caller.sees_environment()),
        cron_in_words: cron::in_words(&cron, &zone),
        next_fire_at: stored.next.map(|slot| slot.due),
        paused_reason: stored.paused_reason,
        user: stored.user,
        created_at: stored.created_at,
        modified_at: stored.modified_at,
    })
}

/// The expression in its time zone. What is stored was read before.
fn pattern(spec: &ScheduledJobSpec) -> Result<Zoned, Error> {
    let unreadable = |error: String| Error::field("/scheduledJob/cronExpression", "invalid_format", error);
    let cron = Cron::parse(&spec.cron_expression).map_err(|error| unreadable(error.to_string()))?;
    let zone = Zone::parse(spec.zone_name()).map_err(|error| unreadable(error.to_string()))?;
    Ok(Zoned { cron, zone })
}

/// Checks that the job could be started now; `pointer` is where it stands in the request.
fn check_job(service: &Service, stored: &StoredSchedule, now: Timestamp, pointer: &str) -> Result<(), Error> {
    let start = JobStart { id: None, user: None, slot: now, after: &[], now };
    service.job(stored, start).map(|_| ()).map_err(|error| error.within(pointer))
}

/// The first slot after a time; none if the timetable has ended.
///
/// # Errors
/// An expression that never fires is refused.
fn first_slot(
    pattern: &Zoned,
    id: ScheduledJobId,
    spec: &ScheduledJobSpec,
    after: Timestamp,
) -> Result<Option<Slot>, Error> {
    let endless = ScheduledJobSpec { start_at: spec.start_at, ..ScheduledJobSpec::default() };
    if Timetable::new(pattern, id, &endless).next(after).is_none() {
        let detail = "scheduledJob/cronExpression never fires";
        return Err(Error::field("/scheduledJob/cronExpression", "never_fires", detail));
    }
    Ok(Timetable::new(pattern, id, spec).next(after))
}

/// The scheduled job keeps moving on.
fn busy() -> Error {
    Error::new(Code::Overloaded, "The scheduled job keeps moving; try again.")
}
