//! The rows of the table as this face calls them, their types forgotten.

use super::envelope::Fault;
use super::fault;
use super::model::Model;
use super::names::Version;
use super::reply;
use crate::faces::common::body::Collected;
use crate::faces::common::call::apart;
use crate::faces::common::decode;
use crate::faces::common::params::{Params, Shape};
use crate::faces::common::response::name_ignored;
use crate::faces::rest::RestState;
use crate::handler::Handler;
use axum::response::Response;
use docket_contract::operations::{Method, Operation, Visitor, walk};
use docket_contract::{Caller, Error, JobId};
use futures_util::future::BoxFuture;
use std::marker::PhantomData;
use std::sync::Arc;

/// One call.
pub(super) struct Call {
    pub(super) caller: Caller,
    /// The id that an idempotency key has reserved.
    pub(super) seed: Option<JobId>,
    pub(super) version: Version,
    /// The row's place in the model.
    pub(super) entry: usize,
    pub(super) json: Vec<u8>,
    /// The body's share of the memory, held until the answer is there.
    pub(super) collected: Collected,
}

/// One row of the table, its types forgotten.
pub(super) trait Road<H>: Send + Sync {
    /// The path template that problems name.
    fn path(&self) -> &'static str;
    /// Whether it takes an idempotency key, as its REST form does.
    fn takes_key(&self) -> bool;
    /// Whether the caller may come this way at all; the handler checks again, with the input.
    fn authorize(&self, caller: &Caller) -> Result<(), Error>;
    /// Decodes, calls and encodes.
    fn call(&self, app: Arc<RestState<H>>, model: Arc<Model>, call: Call) -> BoxFuture<'static, Response>;
}

/// The rows, in the order of the model.
pub(super) fn rows<H: Handler>() -> Vec<Box<dyn Road<H>>> {
    struct Collect<H>(Vec<Box<dyn Road<H>>>);
    impl<H: Handler> Visitor for Collect<H> {
        fn visit<O: Operation>(&mut self) {
            if O::SOAP {
                self.0.push(Box::new(Row::<O>(PhantomData)));
            }
        }
    }
    let mut rows = Collect(Vec::new());
    walk(&mut rows);
    rows.0
}

struct Row<O>(PhantomData<fn() -> O>);

impl<H: Handler, O: Operation> Road<H> for Row<O> {
    fn path(&self) -> &'static str {
        O::PATH
    }

    fn takes_key(&self) -> bool {
        O::METHOD == Method::Post
    }

    fn authorize(&self, caller: &Caller) -> Result<(), Error> {
        caller.authorize(O::ROLE, O::OPEN_TO_JOBS, caller.job.map(|own| own.id))
    }

    fn call(&self, app: Arc<RestState<H>>, model: Arc<Model>, call: Call) -> BoxFuture<'static, Response> {
        Box::pin(async move {
            let version = call.version;
            let done = work::<H, O>(&app, &model, call).await;
            done.unwrap_or_else(|error| fault::answer(&model, version, &Fault::Problem(error), Some(O::PATH)))
        })
    }
}

async fn work<H: Handler, O: Operation>(app: &RestState<H>, model: &Arc<Model>, call: Call) -> Result<Response, Error> {
    let Call { caller, seed, version, entry, json, collected } = call;
    let large = json.len() >= app.options.large_body;
    let read = move || decode::decode::<O::Input>(&Shape::body_only(), &Params::default(), Some(&json));
    let decoded = if large { apart(read).await } else { read() }?;
    let result = app.handler.call::<O>(caller, seed, decoded.input).await;
    drop(collected);
    let mut response = reply::success::<O>(model, entry, version, result?)?;
    name_ignored(&mut response, &decoded.ignored);
    Ok(response)
}
