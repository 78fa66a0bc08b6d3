//! The types of the SOAP face: the schemas that OpenAPI is made from, read as elements and XSD types.
//!
//! One model serves three readers: the WSDL, the decoder of requests and the encoder of answers. It knows no operation:
//! rows come from walking the table.

use super::pattern;
use docket_contract::error::Problem;
use docket_contract::operations::{Method, Operation, Visitor, walk};
use docket_contract::text::{ID_PATTERN, MAX_ID_CHARS};
use std::collections::HashMap;
use std::sync::{Arc, LazyLock};
use utoipa::openapi::schema::{
    AdditionalProperties, AllOf, ArrayItems, KnownFormat, Object, Schema, SchemaFormat, SchemaType, Type as JsonType,
};
use utoipa::openapi::{RefOr, schema::Array};
use utoipa::{Number, PartialSchema, ToSchema};

/// Deepest nesting of anonymous schemas; types with names may be recursive.
const MAX_DEPTH: usize = 32;
/// The element in an answer that holds an operation's output.
pub(super) const RESULT: &str = "result";

/// What a text on the wire stands for, as XSD has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Base {
    Text,
    Boolean,
    Int,
    Long,
    Double,
    DateTime,
    /// JSON of any shape, written as a text.
    Json,
}

/// The limits of a simple value.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Facets {
    pub(super) min_length: Option<usize>,
    pub(super) max_length: Option<usize>,
    /// In the dialect of XSD.
    pub(super) pattern: Option<String>,
    pub(super) minimum: Option<String>,
    pub(super) maximum: Option<String>,
    pub(super) values: Vec<String>,
}

/// A value without elements in it.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Simple {
    pub(super) base: Base,
    pub(super) facets: Facets,
}

/// What an element holds.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Kind {
    Simple(Simple),
    /// One of [`Model::types`].
    Named(usize),
    /// Any names with values of one kind: elements `entry` with `key` and `value`.
    Map(Box<Field>),
}

/// An element.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Field {
    pub(super) name: String,
    /// `<name>` and `</name>`, ready to be written.
    pub(super) open: String,
    pub(super) close: String,
    pub(super) kind: Kind,
    pub(super) doc: Option<String>,
    pub(super) required: bool,
    /// For an array, whose items are repeated elements.
    pub(super) many: Option<Many>,
    /// Whether an empty element counts as none, like an empty parameter of a query.
    pub(super) absent_if_empty: bool,
}

/// How often an element may stand.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Many {
    pub(super) max: Option<usize>,
    /// Whether the array may be absent apart from being empty; `xsi:nil` then makes it empty.
    pub(super) nullable: bool,
}

/// What a type is made of.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Body {
    Simple(Simple),
    Object(Vec<Field>),
}

/// A type with a name.
#[derive(Clone, Debug)]
pub(super) struct Type {
    pub(super) name: String,
    pub(super) doc: Option<String>,
    pub(super) body: Body,
}

/// A row of the table.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) name: &'static str,
    pub(super) documentation: String,
    /// The elements in the request's element.
    pub(super) input: Vec<Field>,
    /// The one element in the answer's element.
    pub(super) output: Field,
}

/// All that the face knows about the table.
#[derive(Debug, Default)]
pub(super) struct Model {
    /// The types that fields refer to, each behind those that it needs unless they need each other.
    pub(super) types: Vec<Type>,
    pub(super) entries: Vec<Entry>,
    /// The type of a fault's detail.
    pub(super) problem: usize,
}

impl Model {
    /// The model of the whole table. It is built once: the table does not change while the program runs.
    pub(super) fn of_the_table() -> Arc<Self> {
        static MODEL: LazyLock<Arc<Model>> = LazyLock::new(|| Arc::new(Model::build()));
        Arc::clone(&MODEL)
    }

    fn build() -> Self {
        let mut builder = Builder::default();
        builder.model.problem = builder.problem();
        walk(&mut builder);
        builder.model
    }

    /// The elements of an object; none for anything else.
    pub(super) fn fields(&self, id: usize) -> &[Field] {
        match &self.types[id].body {
            Body::Object(fields) => fields,
            Body::Simple(_) => &[],
        }
    }

    /// The row with this name.
    pub(super) fn entry(&self, name: &str) -> Option<usize> {
        self.entries.iter().position(|entry| entry.name == name)
    }
}

/// The field with this name; looks first at `hint`, where it usually is.
pub(super) fn find(fields: &[Field], name: &[u8], hint: usize) -> Option<usize> {
    let is = |field: &Field| field.name.as_bytes() == name;
    if fields.get(hint).is_some_and(is) {
        return Some(hint);
    }
    let behind = fields.get(hint + 1..).unwrap_or_default();
    behind.iter().position(is).map(|at| hint + 1 + at).or_else(|| fields.iter().position(is))
}

/// Reads rows and schemas.
#[derive(Default)]
pub(super) struct Builder {
    pub(super) model: Model,
    schemas: HashMap<String, RefOr<Schema>>,
    known: HashMap<String, usize>,
}

impl Visitor for Builder {
    fn visit<O: Operation>(&mut self) {
        if !O::SOAP {
            return;
        }
        self.learn::<O::Input>();
        self.learn::<O::Output>();
        let has_body = matches!(O::METHOD, Method::Post | Method::Put);
        let mut input = self.members(&O::Input::schema());
        for field in &mut input {
            let in_query = !has_body || O::QUERY.contains(&field.name.as_str());
            field.absent_if_empty = in_query && !field.required && field.many.is_none();
        }
        let output = match O::Output::schema() {
            RefOr::T(Schema::Object(object)) if is(&object.schema_type, &JsonType::Object) => {
                Kind::Named(self.named(&O::Output::name()))
            }
            RefOr::T(Schema::AllOf(_)) => Kind::Named(self.named(&O::Output::name())),
            schema => self.field(RESULT, &schema, true, 0).kind,
        };
        let mut documentation = format!("{}. {}", O::TITLE, O::DESCRIPTION);
        documentation.push_str(&format!(" Needs the role {}.", O::ROLE.name()));
        if O::DEPRECATED {
            documentation.push_str(" Deprecated.");
        }
        let output = element(RESULT, output, None, true, None);
        self.model.entries.push(Entry { name: O::NAME, documentation, input, output });
    }
}

impl Builder {
    fn problem(&mut self) -> usize {
        self.learn::<Problem>();
        self.named(&Problem::name())
    }

    fn learn<T: ToSchema>(&mut self) {
        let mut found = vec![(T::name().into_owned(), T::schema())];
        T::schemas(&mut found);
        self.schemas.extend(found);
    }

    /// The type of this name, read when it is first needed.
    fn named(&mut self, name: &str) -> usize {
        if let Some(&id) = self.known.get(name) {
            return id;
        }
        let id = self.model.types.len();
        self.known.insert(name.to_owned(), id);
        self.model.types.push(Type { name: name.to_owned(), doc: None, body: Body::Object(Vec::new()) });
        let schema = self.schemas.get(name).cloned();
        let (doc, body) = match &schema {
            Some(schema) => (description(schema), self.body(schema)),
            // Cannot happen with derived schemas; a type that nothing describes holds JSON.
            None => (None, Body::Simple(json())),
        };
        self.model.types[id].doc = doc;
        self.model.types[id].body = body;
        id
    }

    fn body(&mut self, schema: &RefOr<Schema>) -> Body {
        match schema {
            RefOr::T(Schema::Object(object)) if is_plain_object(object) => Body::Object(self.members(schema)),
            RefOr::T(Schema::AllOf(_)) => Body::Object(self.members(schema)),
            RefOr::T(Schema::Object(object)) => Body::Simple(simple(object)),
            _ => Body::Simple(json()),
        }
    }

    /// The fields of an object, those of flattened ones behind its own.
    fn members(&mut self, schema: &RefOr<Schema>) -> Vec<Field> {
        match schema {
            RefOr::T(Schema::Object(object)) => {
                let required = |name: &String| object.required.contains(name);
                let properties = object.properties.iter();
                properties.map(|(name, schema)| self.field(name, schema, required(name), 0)).collect()
            }
            RefOr::T(Schema::AllOf(AllOf { items, .. })) => {
                let (flattened, own): (Vec<_>, Vec<_>) = items.iter().partition(|item| matches!(item, RefOr::Ref(_)));
                own.into_iter().chain(flattened).flat_map(|item| self.members(item)).collect()
            }
            RefOr::Ref(reference) => {
                let schema = self.schemas.get(last_step(&reference.ref_location)).cloned();
                schema.map(|schema| self.members(&schema)).unwrap_or_default()
            }
            RefOr::T(_) => Vec::new(),
        }
    }

    fn field(&mut self, name: &str, schema: &RefOr<Schema>, required: bool, depth: usize) -> Field {
        let doc = description(schema);
        let json = || element(name, Kind::Simple(json()), doc.clone(), required, None);
        if depth > MAX_DEPTH {
            return json();
        }
        match schema {
            RefOr::Ref(reference) => {
                let id = self.named(last_step(&reference.ref_location));
                element(name, Kind::Named(id), doc, required, None)
            }
            RefOr::T(Schema::Array(Array {
                items: ArrayItems::RefOrSchema(items), max_items, schema_type, ..
            })) => {
                let item = self.field(name, items, required, depth + 1);
                if item.many.is_some() {
                    return json();
                }
                let many = Many { max: *max_items, nullable: is(schema_type, &JsonType::Null) };
                element(name, item.kind, doc, required, Some(many))
            }
            RefOr::T(Schema::OneOf(one)) => {
                // An optional thing: itself or null.
                let mut things = one.items.iter().filter(|item| !is_null(item));
                match (things.next(), things.next()) {
                    (Some(thing), None) => {
                        let field = self.field(name, thing, false, depth + 1);
                        Field { doc: doc.or(field.doc.clone()), ..field }
                    }
                    _ => json(),
                }
            }
            RefOr::T(Schema::Object(object)) if is(&object.schema_type, &JsonType::Object) => {
                match object.additional_properties.as_deref() {
                    Some(AdditionalProperties::RefOr(value)) if object.properties.is_empty() => {
                        let value = self.field("value", value, true, depth + 1);
                        match value.many {
                            Some(_) => json(),
                            None => element(name, Kind::Map(Box::new(value)), doc, required, None),
                        }
                    }
                    _ => json(),
                }
            }
            RefOr::T(Schema::Object(object)) => element(name, Kind::Simple(simple(object)), doc, required, None),
            RefOr::T(_) => json(),
        }
    }
}

fn element(name: &str, kind: Kind, doc: Option<String>, required: bool, many: Option<Many>) -> Field {
    Field {
        name: name.to_owned(),
        open: format!("<{name}>"),
        close: format!("</{name}>"),
        kind,
        doc,
        required,
        many,
        absent_if_empty: false,
    }
}

fn json() -> Simple {
    Simple { base: Base::Json, facets: Facets::default() }
}

fn is(found: &SchemaType, wanted: &JsonType) -> bool {
    match found {
        SchemaType::Type(kind) => kind == wanted,
        SchemaType::Array(kinds) => kinds.contains(wanted),
        SchemaType::AnyValue => false,
    }
}

fn is_null(schema: &RefOr<Schema>) -> bool {
    matches!(schema, RefOr::T(Schema::Object(object)) if object.schema_type == SchemaType::Type(JsonType::Null))
}

fn is_plain_object(object: &Object) -> bool {
    is(&object.schema_type, &JsonType::Object) && object.additional_properties.is_none()
}

fn simple(object: &Object) -> Simple {
    let kind = &object.schema_type;
    let format = object.format.as_ref();
    let known = |wanted: KnownFormat| format == Some(&SchemaFormat::KnownFormat(wanted));
    let base = if is(kind, &JsonType::String) {
        if known(KnownFormat::DateTime) { Base::DateTime } else { Base::Text }
    } else if is(kind, &JsonType::Integer) {
        if known(KnownFormat::Int32) { Base::Int } else { Base::Long }
    } else if is(kind, &JsonType::Number) {
        Base::Double
    } else if is(kind, &JsonType::Boolean) {
        Base::Boolean
    } else {
        return json();
    };
    let text = base == Base::Text;
    let id = object.min_length == Some(1) && object.max_length == Some(MAX_ID_CHARS);
    let pattern = object.pattern.as_deref().or(id.then_some(ID_PATTERN));
    let values = object.enum_values.iter().flatten().filter_map(|value| value.as_str().map(str::to_owned));
    let number = |number: &Option<Number>| {
        number.as_ref().map(|number| match number {
            Number::Int(value) => value.to_string(),
            Number::UInt(value) => value.to_string(),
            Number::Float(value) => value.to_string(),
        })
    };
    let facets = Facets {
        min_length: object.min_length.filter(|_| text),
        max_length: object.max_length.filter(|_| text),
        pattern: pattern.filter(|_| text).and_then(pattern::to_xsd),
        minimum: number(&object.minimum).filter(|_| !text),
        maximum: number(&object.maximum).filter(|_| !text),
        values: values.filter(|_| text).collect(),
    };
    Simple { base, facets }
}

fn description(schema: &RefOr<Schema>) -> Option<String> {
    match schema {
        RefOr::Ref(reference) => Some(reference.description.clone()),
        RefOr::T(Schema::Object(object)) => object.description.clone(),
        RefOr::T(Schema::Array(array)) => array.description.clone(),
        RefOr::T(Schema::OneOf(one)) => one.description.clone(),
        RefOr::T(Schema::AllOf(all)) => all.description.clone(),
        RefOr::T(_) => None,
    }
    .filter(|text| !text.is_empty())
}

fn last_step(reference: &str) -> &str {
    reference.rsplit('/').next().unwrap_or_default()
}
