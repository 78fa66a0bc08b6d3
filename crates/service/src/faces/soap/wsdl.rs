//! The WSDL 1.1 with its schema inline, made from the model alone.

use super::model::{Base, Body, Facets, Field, Kind, Many, Model, Simple};
use super::names::{PATH, PORT_TYPE, TARGET, Version};
use super::text;
use std::fmt::Write;

/// Where the address goes. Cannot stand in a document otherwise: `<` is always escaped.
const ADDRESS: &str = "<address/>";

/// A WSDL that lacks only the address.
#[derive(Debug)]
pub(super) struct Wsdl {
    parts: Vec<String>,
}

impl Wsdl {
    pub(super) fn new(model: &Model) -> Self {
        Self { parts: document(model).split(ADDRESS).map(str::to_owned).collect() }
    }

    /// The document of a server at this URL, less the path of the face.
    pub(super) fn at(&self, server: &str) -> String {
        self.parts.join(&escape(&format!("{}{PATH}", server.trim_end_matches('/'))))
    }

    /// The document of an endpoint at this URL.
    pub(super) fn with_endpoint(&self, endpoint: &str) -> String {
        self.parts.join(&escape(endpoint))
    }
}

fn document(model: &Model) -> String {
    let mut out = String::with_capacity(64 * 1024);
    let _ = write!(
        out,
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
         <wsdl:definitions name=\"{PORT_TYPE}\" targetNamespace=\"{TARGET}\" xmlns:tns=\"{TARGET}\" \
         xmlns:wsdl=\"http://schemas.xmlsoap.org/wsdl/\" xmlns:soap=\"http://schemas.xmlsoap.org/wsdl/soap/\" \
         xmlns:soap12=\"http://schemas.xmlsoap.org/wsdl/soap12/\" xmlns:xs=\"http://www.w3.org/2001/XMLSchema\">\n\
         <wsdl:types>\n<xs:schema targetNamespace=\"{TARGET}\" elementFormDefault=\"qualified\">\n"
    );
    for kind in &model.types {
        match &kind.body {
            Body::Simple(simple) => {
                let _ = writeln!(out, "<xs:simpleType name=\"{}\">{}", kind.name, annotation(kind.doc.as_deref()));
                restriction(&mut out, simple);
                out.push_str("</xs:simpleType>\n");
            }
            Body::Object(fields) => {
                let _ = writeln!(out, "<xs:complexType name=\"{}\">{}", kind.name, annotation(kind.doc.as_deref()));
                sequence(&mut out, model, fields);
                out.push_str("</xs:complexType>\n");
            }
        }
    }
    let _ = writeln!(out, "<xs:element name=\"problem\" type=\"tns:{}\"/>", model.types[model.problem].name);
    for entry in &model.entries {
        for (name, fields) in
            [(entry.name.to_owned(), &entry.input[..]), (response(entry.name), std::slice::from_ref(&entry.output))]
        {
            let _ = writeln!(out, "<xs:element name=\"{name}\">\n<xs:complexType>");
            sequence(&mut out, model, fields);
            out.push_str("</xs:complexType>\n</xs:element>\n");
        }
    }
    out.push_str("</xs:schema>\n</wsdl:types>\n");
    operations(&mut out, model);
    out.push_str("</wsdl:definitions>\n");
    out
}

/// The element of an operation's answer.
pub(super) fn response(name: &str) -> String {
    format!("{name}Response")
}

fn operations(out: &mut String, model: &Model) {
    let message = |out: &mut String, name: &str, element: &str| {
        let _ = writeln!(
            out,
            "<wsdl:message name=\"{name}\"><wsdl:part name=\"parameters\" element=\"tns:{element}\"/></wsdl:message>"
        );
    };
    let _ = writeln!(
        out,
        "<wsdl:message name=\"problem\"><wsdl:part name=\"problem\" element=\"tns:problem\"/></wsdl:message>"
    );
    for entry in &model.entries {
        message(out, &format!("{}Request", entry.name), entry.name);
        message(out, &response(entry.name), &response(entry.name));
    }
    let _ = writeln!(out, "<wsdl:portType name=\"{PORT_TYPE}\">");
    for entry in &model.entries {
        let name = entry.name;
        let _ = writeln!(
            out,
            "<wsdl:operation name=\"{name}\">\n<wsdl:documentation>{}</wsdl:documentation>\n\
             <wsdl:input message=\"tns:{name}Request\"/>\n<wsdl:output message=\"tns:{}\"/>\n\
             <wsdl:fault name=\"problem\" message=\"tns:problem\"/>\n</wsdl:operation>",
            escape(&entry.documentation),
            response(name),
        );
    }
    out.push_str("</wsdl:portType>\n");
    for version in Version::ALL {
        let prefix = prefix(version);
        let _ = writeln!(
            out,
            "<wsdl:binding name=\"{}\" type=\"tns:{PORT_TYPE}\">\n\
             <{prefix}:binding style=\"document\" transport=\"http://schemas.xmlsoap.org/soap/http\"/>",
            binding(version)
        );
        for entry in &model.entries {
            let name = entry.name;
            let _ = writeln!(
                out,
                "<wsdl:operation name=\"{name}\"><{prefix}:operation soapAction=\"{TARGET}/{name}\" style=\"document\"/>\
                 <wsdl:input><{prefix}:body use=\"literal\"/></wsdl:input>\
                 <wsdl:output><{prefix}:body use=\"literal\"/></wsdl:output>\
                 <wsdl:fault name=\"problem\"><{prefix}:fault name=\"problem\" use=\"literal\"/></wsdl:fault></wsdl:operation>"
            );
        }
        out.push_str("</wsdl:binding>\n");
    }
    let _ = writeln!(out, "<wsdl:service name=\"{PORT_TYPE}\">");
    for version in Version::ALL {
        let (prefix, binding) = (prefix(version), binding(version));
        let _ = writeln!(
            out,
            "<wsdl:port name=\"{binding}\" binding=\"tns:{binding}\"><{prefix}:address location=\"{ADDRESS}\"/></wsdl:port>"
        );
    }
    out.push_str("</wsdl:service>\n");
}

fn prefix(version: Version) -> &'static str {
    match version {
        Version::Soap11 => "soap",
        Version::Soap12 => "soap12",
    }
}

/// The name of a version's binding and port.
fn binding(version: Version) -> String {
    let number = match version {
        Version::Soap11 => "11",
        Version::Soap12 => "12",
    };
    format!("{PORT_TYPE}Soap{number}")
}

fn sequence(out: &mut String, model: &Model, fields: &[Field]) {
    out.push_str("<xs:sequence>\n");
    fields.iter().for_each(|field| element(out, model, field));
    out.push_str("</xs:sequence>\n");
}

fn element(out: &mut String, model: &Model, field: &Field) {
    let occurs = match field.many {
        Some(Many { max, nullable }) => {
            let max = max.map_or("unbounded".to_owned(), |max| max.to_string());
            let nillable = if nullable { " nillable=\"true\"" } else { "" };
            format!(" minOccurs=\"0\" maxOccurs=\"{max}\"{nillable}")
        }
        None if field.required => String::new(),
        None => " minOccurs=\"0\"".to_owned(),
    };
    let _ = write!(out, "<xs:element name=\"{}\"{occurs}", field.name);
    let doc = annotation(field.doc.as_deref());
    let kind = match &field.kind {
        Kind::Named(id) => Some(format!("tns:{}", model.types[*id].name)),
        Kind::Simple(simple) if simple.facets == Facets::default() => Some(base(simple.base).to_owned()),
        _ => None,
    };
    if let Some(kind) = kind {
        let _ = write!(out, " type=\"{kind}\"");
        if doc.is_empty() {
            out.push_str("/>\n");
            return;
        }
    }
    out.push('>');
    out.push_str(&doc);
    match &field.kind {
        Kind::Simple(simple) if simple.facets != Facets::default() => {
            out.push_str("\n<xs:simpleType>\n");
            restriction(out, simple);
            out.push_str("</xs:simpleType>\n");
        }
        Kind::Map(value) => {
            out.push_str(
                "\n<xs:complexType><xs:sequence>\n<xs:element name=\"entry\" minOccurs=\"0\" maxOccurs=\"unbounded\">\
                 <xs:complexType><xs:sequence>\n<xs:element name=\"key\" type=\"xs:string\"/>\n",
            );
            element(out, model, value);
            out.push_str("</xs:sequence></xs:complexType></xs:element>\n</xs:sequence></xs:complexType>\n");
        }
        _ => {}
    }
    out.push_str("</xs:element>\n");
}

fn restriction(out: &mut String, simple: &Simple) {
    let Facets { min_length, max_length, pattern, minimum, maximum, values } = &simple.facets;
    let _ = write!(out, "<xs:restriction base=\"{}\">", base(simple.base));
    let mut facet = |name: &str, value: &str| {
        let _ = write!(out, "<xs:{name} value=\"{}\"/>", escape(value));
    };
    for value in values {
        facet("enumeration", value);
    }
    if let Some(length) = min_length {
        facet("minLength", &length.to_string());
    }
    if let Some(length) = max_length {
        facet("maxLength", &length.to_string());
    }
    if let Some(pattern) = pattern {
        facet("pattern", pattern);
    }
    if let Some(minimum) = minimum {
        facet("minInclusive", minimum);
    }
    if let Some(maximum) = maximum {
        facet("maxInclusive", maximum);
    }
    out.push_str("</xs:restriction>\n");
}

fn base(base: Base) -> &'static str {
    match base {
        Base::Text | Base::Json => "xs:string",
        Base::Boolean => "xs:boolean",
        Base::Int => "xs:int",
        Base::Long => "xs:long",
        Base::Double => "xs:double",
        Base::DateTime => "xs:dateTime",
    }
}

fn annotation(doc: Option<&str>) -> String {
    doc.map_or_else(String::new, |doc| {
        format!("<xs:annotation><xs:documentation>{}</xs:documentation></xs:annotation>", escape(doc))
    })
}

/// A text for content and attributes. Control characters in patterns stay readable.
fn escape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    let mut buffer = [0; 4];
    for char in text.chars() {
        match char {
            '\u{7f}'..='\u{9f}' => out.extend_from_slice(format!("&#x{:X};", u32::from(char)).as_bytes()),
            char => text::text(char.encode_utf8(&mut buffer), &mut out),
        }
    }
    String::from_utf8(out).unwrap_or_default()
}
