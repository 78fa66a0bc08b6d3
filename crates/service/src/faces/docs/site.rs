//! All pages: what there is at which path, and each page's bytes once somebody has asked for it.

use super::assets::Assets;
use super::markdown::{self, Guide};
use super::pages::{ErrorPage, ErrorsPage, Frame, GuidePage, Home, Missing, OperationPage, SchemaPage, SchemasPage};
use super::reference::Reference;
use super::samples::DEFAULT_URL;
use askama::Template;
use bytes::Bytes;
use docket_contract::Code;
use http::HeaderValue;
use serde_json::{Value, json};
use std::collections::HashMap;
use std::sync::OnceLock;

const HTML: &str = "text/html; charset=utf-8";

/// What stands at a path; numbers point into the lists of [`Site`].
#[derive(Clone, Copy, Debug)]
enum View {
    Guide(usize),
    Operation(usize),
    Errors,
    Error(Code),
    Schemas,
    Schema(usize),
    Search,
    Asset(usize),
}

/// A page as it is sent.
#[derive(Clone, Debug)]
pub(super) struct Page {
    pub(super) media_type: &'static str,
    pub(super) body: Bytes,
    pub(super) etag: HeaderValue,
    /// Whether what stands at this path never changes.
    pub(super) immutable: bool,
}

impl Page {
    fn new(media_type: &'static str, body: impl Into<Bytes>, immutable: bool) -> Self {
        let body = body.into();
        // Weak, because the body may be compressed on its way.
        let etag = format!("W/\"{}\"", &blake3::hash(&body).to_hex()[..16]);
        // Hexadecimal digits and quotes are a valid value.
        let etag = HeaderValue::try_from(etag).unwrap_or(HeaderValue::from_static("W/\"0\""));
        Self { media_type, body, etag, immutable }
    }
}

/// A slot for a page: its bytes are made when they are first asked for, and kept.
struct Slot {
    view: View,
    made: OnceLock<Page>,
}

/// The documentation.
pub(super) struct Site {
    pub(super) reference: Reference,
    pub(super) guides: Vec<Guide>,
    pub(super) assets: Assets,
    pages: HashMap<String, Slot>,
}

impl Site {
    /// Everything but the bytes of the pages.
    pub(super) fn new(document: &Value, servers: &[(&str, &str)]) -> Self {
        let reference = Reference::new(document, servers);
        let guides = markdown::guides();
        let assets = Assets::new();
        let mut pages = HashMap::new();
        let mut put = |path: String, view: View| {
            pages.insert(path, Slot { view, made: OnceLock::new() });
        };
        for (at, guide) in guides.iter().enumerate() {
            put(guide.path.clone(), View::Guide(at));
        }
        for (at, row) in reference.rows.iter().enumerate() {
            put(row.page.clone(), View::Operation(at));
        }
        put("/docs/errors".to_owned(), View::Errors);
        for &code in Code::ALL {
            put(code.type_uri(), View::Error(code));
        }
        put("/docs/schemas".to_owned(), View::Schemas);
        for (at, schema) in reference.schemas.iter().enumerate() {
            put(format!("/docs/schemas/{}", schema.name), View::Schema(at));
        }
        put("/docs/search.json".to_owned(), View::Search);
        for (at, asset) in assets.all().iter().enumerate() {
            put(asset.path.clone(), View::Asset(at));
        }
        Self { reference, guides, assets, pages }
    }

    /// The page at a path.
    pub(super) fn page(&self, path: &str) -> Option<&Page> {
        let (path, slot) = self.pages.get_key_value(path)?;
        Some(slot.made.get_or_init(|| self.make(path, slot.view)))
    }

    /// The page for a path that has none.
    pub(super) fn missing(&self, path: &str) -> Page {
        html(&Missing { frame: self.frame(path, "Not found") })
    }

    fn make(&self, path: &str, view: View) -> Page {
        let reference = &self.reference;
        match view {
            View::Guide(at) => {
                let guide = &self.guides[at];
                let frame = self.frame(path, &guide.title);
                match guide.is_home() {
                    true => html(&Home { frame, guide: Some(guide), reference }),
                    false => html(&GuidePage { frame, guide }),
                }
            }
            View::Operation(at) => {
                let row = &reference.rows[at];
                let samples = row.example.samples(DEFAULT_URL);
                html(&OperationPage { frame: self.frame(path, row.title), row, reference, samples })
            }
            View::Errors => html(&ErrorsPage { frame: self.frame(path, "Errors"), codes: Code::ALL }),
            View::Error(code) => html(&ErrorPage { frame: self.frame(path, code.name()), code, reference }),
            View::Schemas => html(&SchemasPage { frame: self.frame(path, "Schemas"), reference }),
            View::Schema(at) => {
                let schema = &reference.schemas[at];
                let (operations, schemas) = reference.users(&schema.name);
                html(&SchemaPage { frame: self.frame(path, &schema.name), schema, operations, schemas })
            }
            View::Search => Page::new("application/json", self.search().to_string(), false),
            View::Asset(at) => {
                let asset = self.assets.all()[at];
                Page::new(asset.media_type, asset.text, true)
            }
        }
    }

    fn frame<'a>(&'a self, path: &'a str, title: &str) -> Frame<'a> {
        Frame { site: self, path, title: title.to_owned() }
    }

    /// What the search box looks through: title, kind, path, and further words.
    fn search(&self) -> Value {
        let mut entries = Vec::new();
        let mut add = |title: &str, kind: &str, path: String, words: &str| {
            entries.push(json!({"title": title, "kind": kind, "path": path, "words": words}));
        };
        for row in &self.reference.rows {
            let fields: Vec<_> = row.fields().map(|field| field.name.as_str()).collect();
            let words = format!("{} {} {} {}", row.name, row.method, row.path, fields.join(" "));
            add(row.title, row.group, row.page.clone(), &words);
        }
        for &code in Code::ALL {
            add(code.name(), "Error", code.type_uri(), &format!("{} {}", code.status(), code.title()));
        }
        for guide in &self.guides {
            add(&guide.title, "Guide", guide.path.clone(), "");
            for heading in &guide.headings {
                add(&heading.text, &guide.title, format!("{}#{}", guide.path, heading.id), "");
            }
        }
        for schema in &self.reference.schemas {
            let fields: Vec<_> = schema.fields.iter().map(|field| field.name.as_str()).collect();
            add(&schema.name, "Schema", format!("/docs/schemas/{}", schema.name), &fields.join(" "));
        }
        Value::Array(entries)
    }
}

/// Templates hold nothing that can fail to be shown.
fn html(template: &impl Template) -> Page {
    Page::new(HTML, template.render().unwrap_or_default(), false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_page_is_made_whole() {
        let site = Site::new(crate::faces::openapi::document(), &[]);
        let views = site.guides.len() + site.reference.rows.len() + Code::ALL.len() + site.reference.schemas.len() + 3;
        assert_eq!(site.pages.len(), views + site.assets.all().len(), "no page hides another");
        for path in site.pages.keys() {
            let page = site.page(path).expect("a page");
            let text = std::str::from_utf8(&page.body).expect("UTF-8");
            if page.media_type == HTML {
                assert_eq!(text.matches("<h1").count(), 1, "{path}");
                assert!(text.ends_with("</html>\n") || text.ends_with("</html>"), "{path}");
            }
            assert!(!text.is_empty(), "{path}");
            assert_eq!(site.page(path).expect("kept").etag, page.etag);
        }
        assert!(site.page("/docs/nothing").is_none());
    }
}
