//! The SOAP face: every operation of the table that has a SOAP form, in SOAP 1.1 and 1.2, document/literal wrapped.
//!
//! It translates and nothing else: XML into the JSON that REST reads, JSON into XML, errors into faults. Nothing here
//! names an operation; rows, elements, types and limits come from the table and its schemas, and so does the WSDL.
//!
//! What it refuses: document types, processing instructions, headers that must be understood and are not, any encoding
//! but UTF-8 and UTF-16, attachments, and whatever is over the limits of `xml`.

mod address;
mod decode;
mod encode;
mod encoding;
mod envelope;
mod exchange;
mod fault;
mod model;
mod names;
mod pattern;
mod reply;
mod rows;
mod scan;
mod security;
#[cfg(test)]
mod tests;
mod text;
mod wsdl;
mod xml;

use self::exchange::Soap;
use self::model::Model;
use self::names::{PATH, TARGET, Version};
pub(super) use self::text::text as escape;
use self::wsdl::Wsdl;
use crate::faces::rest::{RestState, layered};
use crate::handler::Handler;
use axum::Router;
use axum::routing::any;
use std::sync::Arc;

/// Settings of the face.
#[derive(Clone, Debug, Default)]
pub struct SoapOptions {
    /// Whether `X-Forwarded-Proto`, `-Host`, `-Port` and `-Prefix` come from a proxy that can be trusted to set them.
    pub trust_proxy: bool,
}

/// The whole face: `/soap/v2`. It shares handler, access and the memory for bodies with REST.
pub fn router<H: Handler>(app: Arc<RestState<H>>, options: SoapOptions) -> Router {
    let slow = app.options.slow;
    let soap = Arc::new(Soap::new(app, options));
    let router = Router::new().route(PATH, any(move |request| Arc::clone(&soap).answer(request)));
    layered(router, slow)
}

/// The WSDL for an endpoint at this URL.
pub fn wsdl(endpoint: &str) -> String {
    Wsdl::new(&Model::of_the_table()).with_endpoint(endpoint)
}

/// What the face knows about the table, for those who show or send requests.
pub struct Requests(Arc<Model>);

impl Requests {
    /// Reads the table.
    pub fn of_the_table() -> Self {
        Self(Model::of_the_table())
    }

    /// The SOAP 1.1 envelope that calls an operation with this input, a JSON object; `None` for an operation without SOAP
    /// form, and for an input that does not fit its schema.
    pub fn envelope(&self, operation: &str, input: &[u8]) -> Option<String> {
        let entry = &self.0.entries[self.0.entry(operation)?];
        let version = Version::Soap11;
        let head = format!(
            "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"{}\"><soap:Body><{operation} xmlns=\"{TARGET}\">",
            version.namespace()
        );
        let mut out = head.into_bytes();
        encode::members(&self.0, &entry.input, input, &mut out).ok()?;
        out.extend_from_slice(format!("</{operation}></soap:Body></soap:Envelope>").as_bytes());
        String::from_utf8(out).ok()
    }
}

/// Reads bytes as a request of either version, for tests that throw anything at the decoder: it answers, whatever comes.
#[doc(hidden)]
pub fn try_read(bytes: &[u8]) -> bool {
    let model = Model::of_the_table();
    let Ok(text) = encoding::text(bytes, None) else { return false };
    let mut read = false;
    for version in Version::ALL {
        if let Ok(request) = envelope::read(&model, &text, version, 16 << 20) {
            // What is read is JSON, whatever it was.
            let object: Result<serde_json::Map<String, serde_json::Value>, _> = serde_json::from_slice(&request.json);
            assert!(object.is_ok() || object.is_err_and(|error| !error.is_syntax() && !error.is_eof()));
            read = true;
        }
    }
    read
}
