//! The mock: a second [`Handler`], which checks requests as the real service does and answers with the examples of the
//! table. It stores nothing and needs no key; names no operation, so whatever the table gets the mock has.
//!
//! `prefer` reads what a client asks the mock for (`Prefer`, RFC 7240), `choose` finds that answer, `vary` makes random
//! ones. `scenario` is the other kind of mock: the real service, playing lives of jobs from a file.

mod choose;
mod prefer;
pub mod scenario;
#[cfg(test)]
mod tests;
mod vary;

use self::prefer::Preferences;
use crate::access::{Access, local_caller};
use crate::faces::rest::{self, RestOptions, RestState};
use crate::faces::soap::{self, SoapOptions};
use crate::handler::{Encoded, Handler, Upload, admit};
use async_trait::async_trait;
use axum::Router;
use axum::middleware::from_fn;
use docket_contract::operations::Operation;
use docket_contract::{Caller, Code, Error, JobId, Reply};
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Where the vendor serves its mock (S).
pub const PATH: &str = "/_mock/apis/jobs-management-api/api-v2";

/// Most answers that wait at a time, as their clients prefer; further ones are refused.
const MOST_WAITING: usize = 1000;

/// Everybody, with or without a key, is administrator of the organization that callers on loopback have.
pub struct Everybody;

#[async_trait]
impl Access for Everybody {
    async fn caller(&self, _presented: Option<&str>, _host: Option<&str>) -> Result<Caller, Error> {
        Ok(local_caller())
    }
}

/// Answers every operation with an example of the table.
pub struct Mock {
    waiting: Semaphore,
}

impl Default for Mock {
    fn default() -> Self {
        Self { waiting: Semaphore::new(MOST_WAITING) }
    }
}

impl Handler for Mock {
    async fn call<O: Operation>(
        &self,
        caller: Caller,
        _seed: Option<JobId>,
        mut input: O::Input,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        admit::<O>(&caller, &mut input)?;
        let preferences = prefer::current()?;
        let answer = choose::answer::<O>(&preferences);
        self.wait(&preferences).await?;
        answer.map(Reply::Typed)
    }

    async fn receive<O: Operation>(
        &self,
        caller: Caller,
        input: O::Input,
        _file: Upload,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        // Whoever sends it needs no example of it.
        self.call::<O>(caller, None, input).await
    }
}

impl Mock {
    async fn wait(&self, preferences: &Preferences) -> Result<(), Error> {
        let Some(time) = preferences.wait else { return Ok(()) };
        let full = || Error::new(Code::Overloaded, format!("More than {MOST_WAITING} answers of the mock wait."));
        let _turn = self.waiting.try_acquire().map_err(|_| full())?;
        tokio::time::sleep(time).await;
        prefer::note("wait", time.as_secs_f64());
        Ok(())
    }
}

/// The mock by itself, at every path of `everywhere`.
pub fn router(options: RestOptions) -> Router {
    everywhere(state(options)).layer(from_fn(prefer::negotiate))
}

/// The operations of the mock alone, to be nested at [`PATH`] beside a real service.
pub fn operations(options: RestOptions) -> Router {
    beneath(state(options)).layer(from_fn(prefer::negotiate))
}

/// A handler at all paths of a mock server: REST and SOAP as the service has them, and again beneath the vendor's
/// [`PATH`].
pub(crate) fn everywhere<H: Handler>(state: Arc<RestState<H>>) -> Router {
    let soap = soap::router(Arc::clone(&state), SoapOptions::default());
    rest::router(Arc::clone(&state)).merge(soap).nest(PATH, beneath(state))
}

fn beneath<H: Handler>(state: Arc<RestState<H>>) -> Router {
    let soap = soap::router(Arc::clone(&state), SoapOptions::default());
    rest::operations(state).merge(soap)
}

fn state(options: RestOptions) -> Arc<RestState<Mock>> {
    Arc::new(RestState::stateless(Mock::default(), Arc::new(Everybody), options))
}
