//! Tests of the face: what holds for every row of the table, and what the decoder and the encoder do with hard input.

mod reading;
mod table;
mod writing;

use super::envelope::{self, Fault, Request};
use super::model::Model;
use super::names::Version;
use serde_json::Value;

/// An envelope of SOAP 1.1 with this header and body.
fn envelope(header: &str, body: &str) -> String {
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\" xmlns=\"urn:docket:jobs-management:v2\">\
         <s:Header>{header}</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
}

fn read(document: &str) -> Result<Request, Fault> {
    envelope::read(&Model::of_the_table(), document, Version::Soap11, 1 << 20).map_err(|(_, fault)| fault)
}

/// The JSON that a body is read as.
fn json(body: &str) -> Value {
    let request = read(&envelope("", body)).unwrap_or_else(|fault| panic!("{body}: {fault:?}"));
    serde_json::from_slice(&request.json).unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(&request.json)))
}

/// The pointer and the code of the first field error of a body.
fn pointer(body: &str) -> (String, String) {
    match read(&envelope("", body)) {
        Err(Fault::Problem(error)) => {
            let field = error.errors.first().unwrap_or_else(|| panic!("{body}: {error:?}"));
            (field.pointer.clone(), field.code.clone())
        }
        other => panic!("{body}: {other:?}"),
    }
}
