//! What must hold for every row, whatever is added.

use super::super::decode::Decoder;
use super::super::encode;
use super::super::model::{Builder, Model};
use super::super::wsdl::Wsdl;
use super::super::xml::{Token, XmlReader};
use super::super::{Requests, TARGET, Version, envelope};
use docket_contract::caller::{Call, Role};
use docket_contract::operations::*;
use docket_contract::{Code, Error};
use serde_json::Value;

/// Walks the table: input and output go through XML and come back unchanged; the WSDL tells of both.
struct Rows {
    model: std::sync::Arc<Model>,
    requests: Requests,
    wsdl: String,
    seen: usize,
}

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        if !O::SOAP {
            assert!(self.model.entry(O::NAME).is_none(), "{}", O::NAME);
            return;
        }
        self.seen += 1;
        let at = self.model.entry(O::NAME).unwrap_or_else(|| panic!("{} is no entry", O::NAME));
        let (input, output) = O::example();

        let json = serde_json::to_vec(&input).expect("an example is JSON");
        let document = self.requests.envelope(O::NAME, &json).unwrap_or_else(|| panic!("{}: no envelope", O::NAME));
        let request = envelope::read(&self.model, &document, Version::Soap11, 1 << 20)
            .unwrap_or_else(|fault| panic!("{}: {fault:?}: {document}", O::NAME));
        assert_eq!(request.entry, at);
        assert_eq!(plain(&request.json), plain(&json), "{}: {document}", O::NAME);
        let again: O::Input = serde_json::from_slice(&request.json).unwrap_or_else(|e| panic!("{}: {e}", O::NAME));
        assert_eq!(serde_json::to_vec(&again).expect("JSON"), json, "{}", O::NAME);

        let json = serde_json::to_vec(&output).expect("an example is JSON");
        let field = &self.model.entries[at].output;
        let mut out = format!("<x xmlns=\"{TARGET}\">").into_bytes();
        encode::value(&self.model, field, &json, &mut out).unwrap_or_else(|e| panic!("{}: {e:?}", O::NAME));
        out.extend_from_slice(b"</x>");
        let document = String::from_utf8(out).expect("UTF-8");
        let mut reader = XmlReader::new(&document);
        assert!(matches!(reader.next_element(), Ok(Token::Start(_))));
        let read = Decoder::new(&self.model, &mut reader, 1 << 20).read(std::slice::from_ref(field), 0);
        let read = read.unwrap_or_else(|e| panic!("{}: {e:?}: {document}", O::NAME));
        let read: Value = serde_json::from_slice(&read).expect("JSON");
        assert_eq!(plain(read["result"].to_string().as_bytes()), plain(&json), "{}: {document}", O::NAME);

        for part in [
            format!("<xs:element name=\"{}\">", O::NAME),
            format!("<xs:element name=\"{}Response\">", O::NAME),
            format!("<wsdl:message name=\"{}Request\">", O::NAME),
            format!("<wsdl:message name=\"{}Response\">", O::NAME),
        ] {
            assert_eq!(self.wsdl.matches(&part).count(), 1, "{part}");
        }
        // Once in the port type and once in each binding.
        assert_eq!(self.wsdl.matches(&format!("<wsdl:operation name=\"{}\">", O::NAME)).count(), 3, "{}", O::NAME);
        assert!(self.wsdl.contains(&O::DESCRIPTION.replace('&', "&amp;").replace('<', "&lt;")), "{}", O::NAME);
    }
}

/// JSON without what XML can't tell from absence: `null` and empty arrays.
fn plain(json: &[u8]) -> Value {
    fn strip(value: &mut Value) {
        match value {
            Value::Object(members) => {
                members.values_mut().for_each(strip);
                members.retain(|_, value| !value.is_null() && *value != Value::Array(Vec::new()));
            }
            Value::Array(items) => items.iter_mut().for_each(strip),
            _ => {}
        }
    }
    let mut value = serde_json::from_slice(json).expect("JSON");
    strip(&mut value);
    value
}

#[test]
fn every_row_survives_xml_and_stands_in_the_wsdl() {
    let model = Model::of_the_table();
    let wsdl = Wsdl::new(&model).at("http://a.example/");
    assert!(wsdl.contains("location=\"http://a.example/soap/v2\""));
    let mut rows = Rows { model, requests: Requests::of_the_table(), wsdl, seen: 0 };
    walk(&mut rows);
    assert_eq!(rows.seen, rows.model.entries.len());
    assert!(rows.seen > 10);
}

/// An operation that streams, as there may be one.
struct Follow;

impl Operation for Follow {
    const NAME: &'static str = "follow";
    const TITLE: &'static str = "Follow";
    const DESCRIPTION: &'static str = "Streams without end.";
    const RESOURCE: Resource = Resource::Jobs;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/follow";
    const ROLE: Role = Role::Reader;
    const SOAP: bool = false;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = JobTypes;

    fn example() -> (Self::Input, Self::Output) {
        (NoInput {}, ListJobTypes::example().1)
    }

    async fn run<B: Behaviour>(
        _: &B,
        _: Call,
        _: Self::Input,
        _: Option<B::Upload>,
    ) -> Result<Reply<Self::Output, B::Body>, Error> {
        Err(Error::not_found())
    }
}

#[test]
fn what_streams_has_no_soap_form() {
    let mut builder = Builder::default();
    builder.visit::<Follow>();
    builder.visit::<ListJobTypes>();
    let names: Vec<_> = builder.model.entries.iter().map(|entry| entry.name).collect();
    assert_eq!(names, ["listJobTypes"]);
}

#[test]
fn limits_are_facets() {
    let wsdl = super::super::wsdl("http://h/soap/v2");
    for part in [
        "<xs:element name=\"results\" minOccurs=\"0\" maxOccurs=\"1000\" type=\"tns:JobResultDataUpsert\">",
        "<xs:maxLength value=\"65535\"/>",
        "<xs:minLength value=\"1\"/><xs:maxLength value=\"255\"/>",
        "<xs:pattern value=\"[A-Z][A-Z0-9_]{0,62}_JOB\"/>",
        "<xs:minInclusive value=\"0\"/><xs:maxInclusive value=\"100\"/>",
        "<xs:enumeration value=\"USE_NEXT_START_AFTER\"/>",
        "<xs:restriction base=\"xs:dateTime\">",
        "<xs:element name=\"storageId\"><xs:annotation>",
        "&#x7F;-&#x9F;",
    ] {
        assert!(wsdl.contains(part), "{part}");
    }
    assert!(!wsdl.contains("\\u00"), "no pattern of another dialect");
}
