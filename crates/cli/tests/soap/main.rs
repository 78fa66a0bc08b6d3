//! SOAP through the real server: conventions, the schema, and hostile documents.

mod attacks;
mod conventions;
mod schema;
#[allow(dead_code, reason = "these tests need only a part of what the tests over HTTP share")]
#[path = "../http/support/mod.rs"]
mod support;

use self::support::{Response, Server};
use http::Method;

const SOAP11: &str = "http://schemas.xmlsoap.org/soap/envelope/";
const SOAP12: &str = "http://www.w3.org/2003/05/soap-envelope";
const TEXT: (&str, &str) = ("content-type", "text/xml; charset=utf-8");
const SOAP_XML: (&str, &str) = ("content-type", "application/soap+xml; charset=utf-8");

/// An envelope with this header and body, in the version of this namespace.
fn envelope(namespace: &str, header: &str, body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{namespace}\" \
         xmlns=\"urn:docket:jobs-management:v2\"><s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

/// Sends a body of SOAP 1.1.
async fn call(server: &Server, body: &str) -> Response {
    server.send(Method::POST, "/soap/v2", &[TEXT], envelope(SOAP11, "", body)).await
}

/// The text of the first element with this name.
fn element<'a>(document: &'a str, name: &str) -> &'a str {
    let begin = document.find(&format!("<{name}>")).unwrap_or_else(|| panic!("no {name} in {document}"));
    let rest = &document[begin + name.len() + 2..];
    rest.split("</").next().expect("a part")
}
