//! Following what happens to jobs.

use super::{Service, history, scope};
use crate::feed::{Follower, Next, Whose, frame};
use crate::handler::Encoded;
use crate::store::Scope;
use bytes::Bytes;
use docket_contract::operations::{EVENT_STREAM, EndEvent, StreamEventsInput, StreamJobEventsInput};
use docket_contract::{Caller, Code, Error, JobId, Role};
use futures_util::stream::{self, StreamExt};

pub(super) async fn of_job(service: &Service, caller: &Caller, input: StreamJobEventsInput) -> Result<Encoded, Error> {
    let stored = service.own_job(caller, input.job_id).await?;
    let after = input.after()?;
    let status = stored.job.status;
    let ended = status.is_terminal().then_some(status);
    let whose = Whose::Job(scope(caller), input.job_id);
    let follower = service.feed.follow(whose, Vec::new(), Some(after.unwrap_or_default()), ended)?;
    let mut opening = frame::OPENING.to_vec();
    if after.is_none() {
        opening.extend_from_slice(&frame::transition(&history::first(&stored.job)));
    }
    Ok(Encoded::live(EVENT_STREAM, frames(follower, Some(input.job_id), opening.into())))
}

pub(super) fn of_jobs(service: &Service, caller: &Caller, input: StreamEventsInput) -> Result<Encoded, Error> {
    if input.everything() && caller.role < Role::Admin {
        return Err(Error::new(Code::Forbidden, "Only administrators look into every organization."));
    }
    let after = input.after()?;
    let whose = Whose::Jobs(if input.everything() { Scope::Everything } else { scope(caller) });
    let follower = service.feed.follow(whose, input.job_status, after, None)?;
    Ok(Encoded::live(EVENT_STREAM, frames(follower, None, frame::OPENING)))
}

/// What a follower gets, as the body of an answer.
fn frames(
    follower: Follower,
    job: Option<JobId>,
    opening: Bytes,
) -> impl stream::Stream<Item = Result<Bytes, Error>> + Send {
    let rest = stream::try_unfold(Some(follower), move |follower| async move {
        let Some(mut follower) = follower else { return Ok(None) };
        Ok(Some(match follower.next().await? {
            Next::Frames(frames) => (frames, Some(follower)),
            Next::Quiet => (frame::HEARTBEAT, Some(follower)),
            Next::Closed => (frame::STOPPING, None),
            Next::Ended(status) => {
                let end = job.map(|job_id| frame::end(&EndEvent { job_id, status }));
                (end.unwrap_or_default(), None)
            }
        }))
    });
    stream::once(async { Ok(opening) }).chain(rest)
}
