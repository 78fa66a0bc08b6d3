//! A handler around the real one that spoils calls: later answers, and errors instead of answers, as a scenario says.

use super::file::{CallRule, Scenario};
use crate::handler::{Encoded, Handler, Upload};
use docket_contract::operations::Operation;
use docket_contract::{Caller, Error, JobId, Reply};
use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Spoils calls of the handler inside.
pub struct Faulty<H> {
    inner: H,
    rules: Vec<CallRule>,
    /// Calls so far, by operation.
    calls: Mutex<HashMap<&'static str, u64>>,
}

impl<H: Handler> Faulty<H> {
    /// As the scenario says.
    pub fn new(inner: H, scenario: &Scenario) -> Self {
        Self { inner, rules: scenario.calls.clone(), calls: Mutex::default() }
    }

    /// Counts a call; answers how long it takes longer, and what goes wrong with it.
    fn spoil(&self, operation: &'static str) -> (Duration, Option<Error>) {
        let call = {
            let mut calls = self.calls.lock().unwrap_or_else(PoisonError::into_inner);
            let call = calls.entry(operation).or_default();
            *call += 1;
            *call
        };
        let about = || self.rules.iter().filter(|rule| rule.operation == operation && rule.is_about(call));
        let error = about().find_map(|rule| {
            let detail = format!("The scenario answers call {call} of {operation} so.");
            Some(Error { retry_after: rule.retry_after, ..Error::new(rule.answer?, detail) })
        });
        (about().map(|rule| rule.delay).sum(), error)
    }
}

impl<H: Handler> Faulty<H> {
    /// Waits, and fails, as the scenario wants it of this call.
    async fn go_wrong(&self, operation: &'static str) -> Result<(), Error> {
        let (delay, error) = self.spoil(operation);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        error.map_or(Ok(()), Err)
    }
}

impl<H: Handler> Handler for Faulty<H> {
    async fn call<O: Operation>(
        &self,
        caller: Caller,
        seed: Option<JobId>,
        input: O::Input,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        self.go_wrong(O::NAME).await?;
        self.inner.call::<O>(caller, seed, input).await
    }

    async fn receive<O: Operation>(
        &self,
        caller: Caller,
        input: O::Input,
        file: Upload,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        self.go_wrong(O::NAME).await?;
        self.inner.receive::<O>(caller, input, file).await
    }
}
