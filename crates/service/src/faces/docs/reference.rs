//! The reference: what the pages say about operations, errors and schemas, read from the table and from the OpenAPI
//! document that is made from it. One row here is one row there; nothing is written for one operation.

use super::samples::Example;
use super::schema::{Field, Piece, Schemas, plain};
use super::soap;
use crate::faces::openapi;
use docket_contract::Code;
use docket_contract::error::Problem;
use docket_contract::operations::{COMMON_ERRORS, Operation, Visitor, walk};
use serde_json::Value;

/// A parameter: a field, and where it stands.
pub(super) struct Parameter {
    pub(super) place: String,
    pub(super) field: Field,
    pub(super) control: Control,
}

/// How a form asks for a parameter.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Control {
    /// One line.
    Line,
    /// A whole number.
    Number,
    /// One of the field's values.
    Choice,
    /// Any of the field's values.
    Choices,
    /// Texts, one a line.
    Lines,
}

/// A body.
pub(super) struct Body {
    /// The schema's name, where it has one.
    pub(super) schema: Option<String>,
    pub(super) media_type: String,
    pub(super) description: String,
    pub(super) fields: Vec<Field>,
    /// Names and texts; a single one needs no name.
    pub(super) examples: Vec<(String, String)>,
}

/// One operation.
pub(super) struct Row {
    pub(super) name: &'static str,
    /// The path of its page.
    pub(super) page: String,
    pub(super) title: &'static str,
    pub(super) description: &'static str,
    pub(super) group: &'static str,
    pub(super) method: &'static str,
    pub(super) path: &'static str,
    pub(super) role: &'static str,
    pub(super) open_to_jobs: bool,
    pub(super) deprecated: bool,
    /// The example as a SOAP envelope, where the operation has such a form.
    pub(super) soap: Option<String>,
    pub(super) parameters: Vec<Parameter>,
    pub(super) request: Option<Body>,
    pub(super) response: Body,
    /// The headers of a success: name and meaning.
    pub(super) headers: Vec<(String, String)>,
    /// The codes that are its own, then those of every operation.
    pub(super) errors: Vec<Code>,
    pub(super) common_errors: Vec<Code>,
    pub(super) example: Example,
}

impl Row {
    /// What stands in the request: the fields of path, query and body.
    pub(super) fn fields(&self) -> impl Iterator<Item = &Field> {
        let parameters = self.parameters.iter().filter(|parameter| parameter.place != "header");
        parameters.map(|parameter| &parameter.field).chain(self.request.iter().flat_map(|body| &body.fields))
    }
}

/// One schema.
pub(super) struct SchemaRow {
    pub(super) name: String,
    pub(super) description: String,
    pub(super) kind: Vec<Piece>,
    pub(super) limits: Vec<String>,
    pub(super) values: Vec<String>,
    pub(super) fields: Vec<Field>,
}

/// All of it.
pub(super) struct Reference {
    pub(super) rows: Vec<Row>,
    pub(super) schemas: Vec<SchemaRow>,
    /// The addresses at which the API is served: URL and description.
    pub(super) servers: Vec<(String, String)>,
}

impl Reference {
    /// Reads the table and its document.
    pub(super) fn new(document: &Value, further: &[(&str, &str)]) -> Self {
        let schemas = Schemas(&document["components"]["schemas"]);
        let mut collect = Collect { document, schemas, rows: Vec::new() };
        walk(&mut collect);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let servers = document["servers"].as_array().into_iter().flatten();
        let servers = servers.map(|server| (text(&server["url"]), text(&server["description"])));
        let further = further.iter().map(|(url, what)| ((*url).to_owned(), (*what).to_owned()));
        Self {
            rows: collect.rows,
            schemas: schemas.names().into_iter().map(|name| schema_row(schemas, name)).collect(),
            servers: servers.chain(further).collect(),
        }
    }

    /// The operations in groups, in the order of the table.
    pub(super) fn groups(&self) -> Vec<(&'static str, Vec<&Row>)> {
        let mut groups: Vec<(&'static str, Vec<&Row>)> = Vec::new();
        for row in &self.rows {
            match groups.iter_mut().find(|(title, _)| *title == row.group) {
                Some((_, rows)) => rows.push(row),
                None => groups.push((row.group, vec![row])),
            }
        }
        groups
    }

    /// The operations that answer with a code as one of their own.
    pub(super) fn answering(&self, code: Code) -> Vec<&Row> {
        self.rows.iter().filter(|row| row.errors.contains(&code)).collect()
    }

    /// Whether any operation can answer with the code.
    pub(super) fn common(&self, code: Code) -> bool {
        !self.rows.is_empty() && self.rows.iter().all(|row| row.common_errors.contains(&code))
    }

    /// The operations that take or answer a schema, and the schemas that hold it.
    pub(super) fn users(&self, name: &str) -> (Vec<&Row>, Vec<&SchemaRow>) {
        let names = |kind: &[Piece]| kind.iter().any(|piece| piece.schema.as_deref() == Some(name));
        let holds = |fields: &[Field]| fields.iter().any(|field| names(&field.kind));
        let body = |body: &Body| body.schema.as_deref() == Some(name) || holds(&body.fields);
        let uses = |row: &&Row| {
            body(&row.response)
                || row.request.as_ref().is_some_and(body)
                || row.parameters.iter().any(|parameter| names(&parameter.field.kind))
        };
        let schemas = self.schemas.iter().filter(|schema| schema.name != name && holds(&schema.fields));
        (self.rows.iter().filter(uses).collect(), schemas.collect())
    }
}

/// An example of the problem that carries a code.
pub(super) fn problem(code: Code) -> String {
    let problem = Problem::new(&openapi::example(code), "/jobs/{jobId}");
    serde_json::to_string_pretty(&problem).unwrap_or_default()
}

fn schema_row(schemas: Schemas<'_>, name: &str) -> SchemaRow {
    let schema = schemas.get(name).unwrap_or(&Value::Null);
    let fields = schemas.fields(schema);
    let mut kind = schemas.kind(schema);
    if !fields.is_empty() {
        kind = vec![Piece { text: "object".to_owned(), schema: None }];
    }
    SchemaRow {
        name: name.to_owned(),
        description: super::markdown::inline(schema["description"].as_str().unwrap_or_default()),
        kind,
        limits: schemas.limits(schema),
        values: schemas.values(schema),
        fields,
    }
}

struct Collect<'a> {
    document: &'a Value,
    schemas: Schemas<'a>,
    rows: Vec<Row>,
}

impl<'a> Collect<'a> {
    fn parameter(&self, parameter: &'a Value) -> Parameter {
        let schema = &parameter["schema"];
        let name = parameter["name"].as_str().unwrap_or_default();
        let mut field = self.schemas.field(name, parameter["required"] == true, schema);
        if let Some(description) = parameter["description"].as_str() {
            field.description = super::markdown::inline(description);
        }
        field.example = parameter.get("example").map(|example| match example.as_array() {
            Some(items) => items.iter().map(plain).collect::<Vec<_>>().join("\n"),
            None => plain(example),
        });
        let control = match (schema["type"].as_str(), field.values.is_empty()) {
            (Some("array"), true) => Control::Lines,
            (Some("array"), false) => Control::Choices,
            (_, false) => Control::Choice,
            (Some("integer" | "number"), _) => Control::Number,
            _ => Control::Line,
        };
        Parameter { place: plain(&parameter["in"]), field, control }
    }

    fn body(&self, content: &'a Value, examples: Vec<(String, String)>) -> Option<Body> {
        let (media_type, content) = content.as_object()?.iter().next()?;
        let schema = &content["schema"];
        let named = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
        let target = named.and_then(|name| self.schemas.get(name)).unwrap_or(schema);
        Some(Body {
            schema: named.map(str::to_owned),
            media_type: media_type.clone(),
            description: super::markdown::inline(target["description"].as_str().unwrap_or_default()),
            fields: self.schemas.fields(target),
            examples,
        })
    }
}

impl Visitor for Collect<'_> {
    fn visit<O: Operation>(&mut self) {
        let operation = &self.document["paths"][O::PATH][O::METHOD.name().to_ascii_lowercase()];
        let ok = &operation["responses"]["200"];
        let headers = ok["headers"].as_object().into_iter().flatten().map(|(name, _)| {
            let header = &self.document["components"]["headers"][name];
            (name.clone(), super::markdown::inline(header["description"].as_str().unwrap_or_default()))
        });
        // From the outputs themselves: the document does not keep the order of members.
        let shown = |output: &O::Output| match serde_json::to_value(output) {
            Ok(Value::String(text)) => text,
            _ => serde_json::to_string_pretty(output).unwrap_or_default(),
        };
        let answers = O::examples().iter().map(|(name, output)| ((*name).to_owned(), shown(output))).collect();
        let asked = &operation["requestBody"]["content"];
        let asked_example = asked.as_object().and_then(|kinds| kinds.values().next()).map(|kind| &kind["example"]);
        let asked_example = match asked_example {
            Some(Value::String(file)) => file.clone(),
            example => serde_json::to_string_pretty(&example).unwrap_or_default(),
        };
        let requests = vec![(String::new(), asked_example)];
        let empty = Body {
            schema: None,
            media_type: O::MEDIA_TYPE.to_owned(),
            description: String::new(),
            fields: Vec::new(),
            examples: Vec::new(),
        };
        let (common_errors, errors): (Vec<_>, Vec<_>) =
            openapi::codes::<O>().into_iter().partition(|code| COMMON_ERRORS.contains(code));
        self.rows.push(Row {
            name: O::NAME,
            page: format!("/docs/operations/{}", O::NAME),
            title: O::TITLE,
            description: O::DESCRIPTION,
            group: O::RESOURCE.title(),
            method: O::METHOD.name(),
            path: O::PATH,
            role: O::ROLE.name(),
            open_to_jobs: O::OPEN_TO_JOBS,
            deprecated: O::DEPRECATED,
            soap: O::SOAP.then(|| soap::envelope::<O>()),
            parameters: operation["parameters"].as_array().into_iter().flatten().map(|p| self.parameter(p)).collect(),
            request: self.body(asked, requests),
            response: self.body(&ok["content"], answers).unwrap_or(empty),
            headers: headers.collect(),
            errors,
            common_errors,
            example: Example::of::<O>(),
        });
    }
}
