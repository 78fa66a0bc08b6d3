//! Walking the pages of a listing: each page's `nextStartAfter` is the `startAfter` of the next request.

use super::{Client, ClientError, Request, find_next_start_after};
use bytes::Bytes;
use docket_contract::Operation;
use futures_util::stream::{self, try_unfold};
use futures_util::{Stream, TryStreamExt};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use std::marker::PhantomData;

/// The pages of an operation, in order.
#[derive(Debug)]
pub struct Pages<O> {
    client: Client,
    /// The fields of the next request; `None` behind the last page.
    fields: Option<Map<String, Value>>,
    operation: PhantomData<fn() -> O>,
}

/// One page, as it came.
#[derive(Debug)]
pub struct Page<O> {
    /// The JSON of the whole page.
    pub body: Bytes,
    operation: PhantomData<fn() -> O>,
}

impl<O: Operation> Page<O> {
    /// Reads the page as the operation's output.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when the page is something else.
    pub fn output(&self) -> Result<O::Output, ClientError> {
        self.decode()
    }

    /// Reads the page as the caller wants it, such as only a part of it.
    ///
    /// # Errors
    /// [`ClientError::Decode`] when the page is something else.
    pub fn decode<'a, T: Deserialize<'a>>(&'a self) -> Result<T, ClientError> {
        decode::<O, T>(&self.body)
    }
}

impl<O: Operation> Pages<O> {
    pub(super) fn of(client: Client, mut fields: Map<String, Value>) -> Result<Self, ClientError> {
        let Some(paging) = O::PAGING else {
            return Err(ClientError::Url(format!("{} does not answer in pages", O::NAME)));
        };
        if let Some(feature) = paging.feature {
            let given = fields.entry("featuresOn").or_insert_with(|| Value::Array(Vec::new()));
            if let Some(features) = given.as_array_mut().filter(|features| features.iter().all(|one| one != feature)) {
                features.push(feature.into());
            }
        }
        Ok(Self { client, fields: Some(fields), operation: PhantomData })
    }

    /// The next page; `None` behind the last one.
    ///
    /// # Errors
    /// See [`ClientError`]. After an error the same page can be asked for again.
    pub async fn next(&mut self) -> Result<Option<Page<O>>, ClientError> {
        let Some(fields) = &mut self.fields else { return Ok(None) };
        let body = self.client.send(&Request::from_fields::<O>(fields.clone())?).await?;
        match next_start_after::<O>(&body)? {
            None => self.fields = None,
            Some(token) => {
                let token = Value::String(token);
                if fields.get("startAfter") == Some(&token) {
                    return Err(ClientError::Decode(format!("{}: a page names itself as the next one", O::NAME)));
                }
                fields.insert("startAfter".to_owned(), token);
            }
        }
        Ok(Some(Page { body, operation: PhantomData }))
    }

    /// The pages as a stream, which ends at the first error.
    pub fn into_stream(self) -> impl Stream<Item = Result<Page<O>, ClientError>> + Send {
        try_unfold(self, async |mut pages| Ok(pages.next().await?.map(|page| (page, pages))))
    }

    /// The items of all pages as a stream, which ends at the first error. Holds one page at a time.
    pub fn items<T: DeserializeOwned + Send>(self) -> impl Stream<Item = Result<T, ClientError>> + Send {
        #[derive(Deserialize)]
        struct Values<T> {
            values: Vec<T>,
        }
        let items = |page: Page<O>| async move {
            let values: Values<T> = decode::<O, _>(&page.body)?;
            Ok(stream::iter(values.values.into_iter().map(Ok)))
        };
        self.into_stream().and_then(items).try_flatten()
    }
}

/// The token of the next page: from the end of the page where it stands there, else by reading over the whole page.
fn next_start_after<O: Operation>(body: &[u8]) -> Result<Option<String>, ClientError> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Next {
        #[serde(default)]
        next_start_after: Option<String>,
    }
    match find_next_start_after(body) {
        Some(token) => Ok(Some(token.to_owned())),
        None => Ok(decode::<O, Next>(body)?.next_start_after),
    }
}

fn decode<'a, O: Operation, T: Deserialize<'a>>(body: &'a [u8]) -> Result<T, ClientError> {
    serde_json::from_slice(body).map_err(|error| ClientError::Decode(format!("a page of {}: {error}", O::NAME)))
}
