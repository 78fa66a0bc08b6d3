//! Walking all results of a job, page by page, by USE_NEXT_START_AFTER.

use super::{Client, ClientError, Request, find_next_start_after};
use bytes::Bytes;
use docket_contract::operations::{ListJobRunResults, ListJobRunResultsInput, ResultsFeature};
use serde::Deserialize;

/// The pages of a listing, in order.
#[derive(Debug)]
pub struct Pages<'a> {
    client: &'a Client,
    input: Option<ListJobRunResultsInput>,
}

/// One page, as it came.
#[derive(Clone, Debug)]
pub struct Page {
    /// The JSON of the whole page.
    pub body: Bytes,
}

impl Page {
    /// Reads the page as the caller wants it.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when the page is something else.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ClientError> {
        serde_json::from_slice(&self.body).map_err(|error| ClientError::Decode(format!("a page of results: {error}")))
    }
}

impl<'a> Pages<'a> {
    /// All pages of what `input` asks for, from its `startAfter` on.
    pub fn new(client: &'a Client, mut input: ListJobRunResultsInput) -> Self {
        if !input.uses_tokens() {
            input.features_on.push(ResultsFeature::UseNextStartAfter);
        }
        Self { client, input: Some(input) }
    }

    /// The next page; `None` behind the last one.
    ///
    /// # Errors
    /// See [`ClientError`]. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Page>, ClientError> {
        let Some(input) = &mut self.input else { return Ok(None) };
        let body = self.client.send(&Request::of::<ListJobRunResults>(input)?).await?;
        match find_next_start_after(&body) {
            Some(token) => input.start_after = Some(token.to_owned()),
            None => self.input = None,
        }
        Ok(Some(Page { body }))
    }
}
