//! The one entry into the behaviour: what every face must do between decoding a request and encoding its answer.

use bytes::Bytes;
use docket_contract::caller::Call;
use docket_contract::operations::{Behaviour, Input, Operation, declares};
use docket_contract::validate::{Problems, Validate};
use docket_contract::{Caller, Error, JobId, Reply};
use futures_util::stream::{self, BoxStream};
use futures_util::{Stream, StreamExt};
use std::fmt;
use std::sync::{Arc, OnceLock};

/// What a header, or a field behind the end of an answer, says.
pub type Field = (&'static str, String);

/// An answer whose bytes exist already, in the operation's media type; read piece by piece as the client takes it.
pub struct Encoded {
    /// The pieces. After an error the answer is broken off: its status is on the wire already.
    pub stream: BoxStream<'static, Result<Bytes, Error>>,
    /// Bytes in all, where that is known before.
    pub length: Option<u64>,
    /// What it is, where it is not the operation's media type but another one that the table names.
    pub media_type: Option<&'static str>,
    /// It comes as things happen: it must reach its reader piece by piece, and only as long as the caller may have it.
    pub live: bool,
    /// Headers of its head, of those that the table names.
    pub headers: Vec<Field>,
    /// What is told behind its end, for an operation whose table row names trailers.
    pub closing: Option<Closing>,
}

/// What is told behind the end of an answer: set by its stream before it ends well.
#[derive(Clone, Debug, Default)]
pub struct Closing(Arc<OnceLock<Vec<Field>>>);

impl Closing {
    /// The answer is whole. Only the first call counts.
    pub fn set(&self, fields: Vec<Field>) {
        let _ = self.0.set(fields);
    }

    /// What was set.
    pub fn fields(&self) -> &[Field] {
        self.0.get().map_or(&[], Vec::as_slice)
    }
}

impl Encoded {
    /// An answer in the operation's media type, of a length that is not known yet.
    pub fn new(stream: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Self {
        Self { stream: stream.boxed(), length: None, media_type: None, live: false, headers: Vec::new(), closing: None }
    }

    /// An answer that comes as things happen.
    pub fn live(media_type: &'static str, stream: impl Stream<Item = Result<Bytes, Error>> + Send + 'static) -> Self {
        Self { media_type: Some(media_type), live: true, ..Self::new(stream) }
    }
}

impl fmt::Debug for Encoded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Encoded").field("length", &self.length).finish_non_exhaustive()
    }
}

/// The body of a request that is a file, read piece by piece as it is written away.
pub struct Upload {
    /// Its media type, as its sender gave it: visible ASCII.
    pub media_type: Option<String>,
    /// The pieces. An error says that the file broke off.
    pub content: BoxStream<'static, Result<Bytes, Error>>,
}

impl Default for Upload {
    fn default() -> Self {
        Self { media_type: None, content: stream::empty().boxed() }
    }
}

/// Calls operations by their type. Faces have no other way in. There are two: [`Live`] does what is asked, a mock only
/// plays it.
pub trait Handler: Send + Sync + 'static {
    /// Runs one operation for a caller. `seed` is the id that an idempotency key has reserved.
    fn call<O: Operation>(
        &self,
        caller: Caller,
        seed: Option<JobId>,
        input: O::Input,
    ) -> impl Future<Output = Result<Reply<O::Output, Encoded>, Error>> + Send;

    /// The same for an operation with [`Operation::TAKES_FILE`].
    fn receive<O: Operation>(
        &self,
        caller: Caller,
        input: O::Input,
        file: Upload,
    ) -> impl Future<Output = Result<Reply<O::Output, Encoded>, Error>> + Send;
}

/// Checks what holds for every operation: the caller's role, then the limits of the input. A caller without the right
/// learns nothing about the request.
pub fn admit<O: Operation>(caller: &Caller, input: &mut O::Input) -> Result<(), Error> {
    caller.authorize(O::ROLE, O::OPEN_TO_JOBS, input.job())?;
    let mut problems = Problems::default();
    input.validate(&mut problems);
    problems.into_result()
}

/// The real service: admits, then runs the behaviour.
#[derive(Debug)]
pub struct Live<B>(pub Arc<B>);

impl<B: Behaviour<Body = Encoded, Upload = Upload>> Handler for Live<B> {
    async fn call<O: Operation>(
        &self,
        caller: Caller,
        seed: Option<JobId>,
        input: O::Input,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        self.run::<O>(Call { caller, seed }, input, None).await
    }

    async fn receive<O: Operation>(
        &self,
        caller: Caller,
        input: O::Input,
        file: Upload,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        self.run::<O>(Call { caller, seed: None }, input, Some(file)).await
    }
}

impl<B: Behaviour<Body = Encoded, Upload = Upload>> Live<B> {
    async fn run<O: Operation>(
        &self,
        call: Call,
        mut input: O::Input,
        file: Option<Upload>,
    ) -> Result<Reply<O::Output, Encoded>, Error> {
        admit::<O>(&call.caller, &mut input)?;
        let result = O::run(&*self.0, call, input, file).await;
        if let Err(error) = &result {
            // Every test watches over it: the documents are made from what the table says.
            debug_assert!(
                declares::<O>(error.code),
                "{} answers {}, which the table does not name",
                O::NAME,
                error.code
            );
        }
        result
    }
}
