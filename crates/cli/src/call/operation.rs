//! The rows of the table as the command line needs them: by name, their types forgotten.

use super::field::{Field, fields};
use bytes::Bytes;
use docket_client::{Client, ClientError, Request};
use docket_contract::Operation;
use docket_contract::operations::{COMMON_ERRORS, Visitor, walk};
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use serde_json::{Map, Value};

/// What is asked of an operation: the fields of its input.
pub type Given = Map<String, Value>;

/// The pages of a listing, as they come.
pub type Bodies = BoxStream<'static, Result<Bytes, ClientError>>;

/// One row.
pub struct Row {
    /// Its name.
    pub name: &'static str,
    /// Its title.
    pub title: &'static str,
    /// What it does.
    pub description: &'static str,
    /// Method and path.
    pub road: String,
    /// The role that it needs.
    pub role: &'static str,
    /// Whether it answers JSON.
    pub json: bool,
    /// Whether the body of a request is a file.
    pub takes_file: bool,
    /// Whether it answers page by page.
    pub paged: bool,
    /// The codes of errors that it can answer with.
    pub errors: Vec<&'static str>,
    /// The fields of its input.
    pub fields: Vec<Field>,
    /// An input.
    pub example: Given,
    /// Makes a request.
    pub request: fn(Given) -> Result<Request, ClientError>,
    /// Asks for all pages.
    pub pages: fn(&Client, Given) -> Result<Bodies, ClientError>,
}

/// The whole table.
pub fn rows() -> Vec<Row> {
    let mut rows = Rows(Vec::new());
    walk(&mut rows);
    rows.0
}

struct Rows(Vec<Row>);

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        let example = match serde_json::to_value(O::example().0) {
            Ok(Value::Object(example)) => example,
            _ => Map::new(),
        };
        self.0.push(Row {
            name: O::NAME,
            title: O::TITLE,
            description: O::DESCRIPTION,
            road: format!("{} {}", O::METHOD.name(), O::PATH),
            role: O::ROLE.name(),
            json: O::MEDIA_TYPE.starts_with("application/json"),
            takes_file: O::TAKES_FILE,
            paged: O::PAGING.is_some(),
            errors: O::ERRORS.iter().chain(COMMON_ERRORS).map(|code| code.name()).collect(),
            fields: fields::<O>(),
            example,
            request: Request::from_fields::<O>,
            pages: |client, given| {
                let pages = client.pages_of::<O>(given)?.into_stream();
                Ok(Box::pin(pages.map_ok(|page| page.body)))
            },
        });
    }
}

/// The name among `known` that looks most like `wrong`, if any does.
pub fn nearest<'a>(wrong: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let likeness = |name: &str| strsim::jaro_winkler(&wrong.to_lowercase(), &name.to_lowercase());
    let scored = known.into_iter().map(|name| (likeness(name), name)).filter(|(likeness, _)| *likeness > 0.8);
    scored.max_by(|one, other| one.0.total_cmp(&other.0)).map(|(_, name)| name)
}
