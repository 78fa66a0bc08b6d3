//! The pages: what each shows, as a template.

use super::highlight::Code as Listing;
use super::markdown::{self, Guide};
use super::reference::{Control, Parameter, Reference, Row, SchemaRow};
use super::samples::Sample;
use super::site::Site;
use askama::Template;
use docket_contract::{Code, Error};

/// What every page has around its content.
pub(super) struct Frame<'a> {
    pub(super) site: &'a Site,
    /// The page's path, which the navigation marks.
    pub(super) path: &'a str,
    pub(super) title: String,
}

impl Frame<'_> {
    /// Code with colours, as HTML.
    fn listing(&self, label: &str, language: &str, code: &str) -> String {
        Listing::new(label, language, code).render().unwrap_or_default()
    }

    /// A line of prose, as HTML.
    fn prose(&self, text: &str) -> String {
        markdown::inline(text)
    }

    fn current(&self, path: &str) -> bool {
        self.path == path
    }

    /// Whether a path of the navigation leads to this page or to the list that it belongs to.
    fn within(&self, path: &str) -> bool {
        self.path.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

#[derive(Template)]
#[template(path = "docs/home.html")]
pub(super) struct Home<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) guide: Option<&'a Guide>,
    pub(super) reference: &'a Reference,
}

#[derive(Template)]
#[template(path = "docs/guide.html")]
pub(super) struct GuidePage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) guide: &'a Guide,
}

#[derive(Template)]
#[template(path = "docs/operation.html")]
pub(super) struct OperationPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) row: &'a Row,
    pub(super) reference: &'a Reference,
    pub(super) samples: Vec<Sample>,
}

impl OperationPage<'_> {
    /// The parameters of one place.
    fn at(&self, place: &str) -> Vec<&Parameter> {
        self.row.parameters.iter().filter(|parameter| parameter.place == place).collect()
    }

    /// The parameters of the path and of the query, where there are some.
    fn places(&self) -> impl Iterator<Item = (&'static str, Vec<&Parameter>)> {
        [("Path parameters", self.at("path")), ("Query parameters", self.at("query"))]
            .into_iter()
            .filter(|(_, parameters)| !parameters.is_empty())
    }
}

#[derive(Template)]
#[template(path = "docs/errors.html")]
pub(super) struct ErrorsPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) codes: &'static [Code],
}

#[derive(Template)]
#[template(path = "docs/error.html")]
pub(super) struct ErrorPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) code: Code,
    pub(super) reference: &'a Reference,
}

impl ErrorPage<'_> {
    fn retry_after(&self) -> Option<u32> {
        Error::new(self.code, "").retry_after_seconds()
    }

    /// The operations that have this code as one of their own.
    fn rows(&self) -> Vec<&Row> {
        self.reference.answering(self.code)
    }

    fn common(&self) -> bool {
        self.reference.common(self.code)
    }

    fn problem(&self) -> String {
        super::reference::problem(self.code)
    }
}

#[derive(Template)]
#[template(path = "docs/schemas.html")]
pub(super) struct SchemasPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) reference: &'a Reference,
}

#[derive(Template)]
#[template(path = "docs/schema.html")]
pub(super) struct SchemaPage<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) schema: &'a SchemaRow,
    pub(super) operations: Vec<&'a Row>,
    pub(super) schemas: Vec<&'a SchemaRow>,
}

#[derive(Template)]
#[template(path = "docs/missing.html")]
pub(super) struct Missing<'a> {
    pub(super) frame: Frame<'a>,
}
