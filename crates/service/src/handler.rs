//! The one entry into the behaviour: what every face must do between decoding a request and encoding its answer.

use bytes::Bytes;
use docket_contract::caller::Call;
use docket_contract::operations::{Behaviour, Input, Operation};
use docket_contract::validate::{Problems, Validate};
use docket_contract::{Caller, Error, JobId, Reply};
use futures_util::stream::BoxStream;
use std::fmt;
use std::sync::Arc;

/// An answer whose bytes exist already, in the operation's media type; read piece by piece as the client takes it.
pub struct Encoded {
    /// The pieces. After an error the answer is broken off: its status is on the wire already.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
    /// Bytes in all, where that is known before.
    pub length: Option<u64>,
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded").field("length", &self.length).finish_non_exhaustive()
    }
}

/// Calls operations by their type: checks role and limits, then runs the behaviour. Faces have no other way in.
#[derive(Debug)]
pub struct Handler<B>(Arc<B>);

impl<B> Clone for Handler<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: Behaviour<Body = Encoded>> Handler<B> {
    /// A handler in front of `behaviour`.
    pub fn new(behaviour: Arc<B>) -> Self {
        Self(behaviour)
    }

    /// Runs one operation for a caller. `seed` is the id that an idempotency key has reserved.
    ///
    /// The role is checked before the limits: a caller without the right learns nothing about the request.
    pub async fn call<O: Operation>(
        &self,
        caller: Caller,
        seed: Option<JobId>,
        mut input: O::Input,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        caller.authorize(O::ROLE, O::OPEN_TO_JOBS, input.job())?;
        let mut problems = Problems::default();
        input.validate(&mut problems);
        problems.into_result()?;
        O::run(&*self.0, Call { caller, seed }, input).await
    }
}
