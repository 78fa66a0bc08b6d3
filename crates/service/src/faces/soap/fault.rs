//! Faults: what a refusal looks like in either version, and the HTTP status that carries it.
//!
//! SOAP 1.1 (6.2) has one status for all, 500; SOAP 1.2 (part 2, 7.5.2.2) has 400 for what the sender did wrong. What the
//! HTTP request itself lacks has the statuses of HTTP: 405, 413, 415.

use super::encode;
use super::envelope::{BlockName, Fault};
use super::model::{Field, Kind, Model};
use super::names::{PATH, TARGET, Version};
use super::text;
use crate::faces::common::response::response;
use axum::response::Response;
use docket_contract::error::Problem;
use docket_contract::{Code, Error};
use http::header;
use std::fmt::Write;

/// The element of a fault's detail.
pub(super) fn problem_field(model: &Model) -> Field {
    Field {
        name: "problem".to_owned(),
        open: format!("<problem xmlns=\"{TARGET}\">"),
        close: "</problem>".to_owned(),
        kind: Kind::Named(model.problem),
        doc: None,
        required: true,
        many: None,
        absent_if_empty: false,
    }
}

/// An error about the operation with this path, or about the face as a whole.
pub(super) fn answer(model: &Model, version: Version, fault: &Fault, instance: Option<&str>) -> Response {
    let document = document(model, version, fault, instance.unwrap_or(PATH));
    let mut response = response(status(version, fault), version.content_type(), document);
    if let Fault::Problem(error) = fault
        && let Some(seconds) = error.retry_after_seconds()
    {
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn status(version: Version, fault: &Fault) -> u16 {
    match (version, fault) {
        (_, Fault::Problem(Error { code, .. }))
            if [Code::UnsupportedMediaType, Code::MethodNotAllowed, Code::BodyTooLarge].contains(code) =>
        {
            code.status()
        }
        (Version::Soap12, Fault::Problem(error)) if is_senders(error) => 400,
        _ => 500,
    }
}

fn is_senders(error: &Error) -> bool {
    error.code.status() < 500
}

fn document(model: &Model, version: Version, fault: &Fault, instance: &str) -> Vec<u8> {
    let mut out = envelope(version);
    let mut text = |part: &str| out.push_str(part);
    match version {
        Version::Soap11 => {
            text("<soap:Body><soap:Fault><faultcode>soap:");
            text(match fault {
                Fault::VersionMismatch => "VersionMismatch",
                Fault::MustUnderstand(_) => "MustUnderstand",
                Fault::Problem(error) if is_senders(error) => "Client",
                Fault::Problem(_) => "Server",
            });
            text("</faultcode><faultstring xml:lang=\"en\">");
            text(&reason(fault));
            text("</faultstring>");
        }
        Version::Soap12 => {
            header_blocks(&mut out, fault);
            let mut text = |part: &str| out.push_str(part);
            text("<soap:Body><soap:Fault><soap:Code><soap:Value>soap:");
            text(match fault {
                Fault::VersionMismatch => "VersionMismatch",
                Fault::MustUnderstand(_) => "MustUnderstand",
                Fault::Problem(error) if is_senders(error) => "Sender",
                Fault::Problem(_) => "Receiver",
            });
            text("</soap:Value>");
            if let Fault::Problem(error) = fault {
                text(&format!(
                    "<soap:Subcode><soap:Value xmlns:d=\"{TARGET}\">d:{}</soap:Value></soap:Subcode>",
                    error.code.name()
                ));
            }
            text("</soap:Code><soap:Reason><soap:Text xml:lang=\"en\">");
            text(&reason(fault));
            text("</soap:Text></soap:Reason>");
        }
    }
    let mut out = out.into_bytes();
    // A detail speaks of the body; the other two are about the envelope (SOAP 1.1, 4.4).
    if let Fault::Problem(error) = fault {
        let (open, close): (&[u8], &[u8]) = match version {
            Version::Soap11 => (b"<detail>", b"</detail>"),
            Version::Soap12 => (b"<soap:Detail>", b"</soap:Detail>"),
        };
        out.extend_from_slice(open);
        let before = out.len();
        let json = serde_json::to_vec(&Problem::new(error, instance)).unwrap_or_default();
        if encode::value(model, &problem_field(model), &json, &mut out).is_err() {
            tracing::error!("a problem does not have the form of its schema");
            out.truncate(before);
        }
        out.extend_from_slice(close);
    }
    out.extend_from_slice(b"</soap:Fault></soap:Body></soap:Envelope>");
    out
}

fn envelope(version: Version) -> String {
    format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<soap:Envelope xmlns:soap=\"{}\">", version.namespace())
}

/// SOAP 1.2 names in the header what was not understood (part 1, 5.4.7 and 5.4.8).
fn header_blocks(out: &mut String, fault: &Fault) {
    match fault {
        Fault::VersionMismatch => {
            out.push_str("<soap:Header><soap:Upgrade>");
            for version in Version::ALL.into_iter().rev() {
                let _ =
                    write!(out, "<soap:SupportedEnvelope qname=\"v:Envelope\" xmlns:v=\"{}\"/>", version.namespace());
            }
            out.push_str("</soap:Upgrade></soap:Header>");
        }
        Fault::MustUnderstand(blocks) => {
            out.push_str("<soap:Header>");
            for BlockName { space, local } in blocks {
                let _ = write!(out, "<soap:NotUnderstood qname=\"h:{local}\" xmlns:h=\"{}\"/>", escape(space));
            }
            out.push_str("</soap:Header>");
        }
        Fault::Problem(_) => {}
    }
}

fn reason(fault: &Fault) -> String {
    escape(&match fault {
        Fault::VersionMismatch => "The root must be an Envelope of SOAP 1.1 or 1.2.".to_owned(),
        Fault::MustUnderstand(blocks) => {
            let names: Vec<_> = blocks.iter().map(|block| format!("{{{}}}{}", block.space, block.local)).collect();
            format!("These header blocks must be understood and are not: {}.", names.join(", "))
        }
        Fault::Problem(error) => format!("{}: {}", error.code.title(), error.detail),
    })
}

fn escape(text: &str) -> String {
    let mut out = Vec::with_capacity(text.len());
    text::text(text, &mut out);
    String::from_utf8(out).unwrap_or_default()
}
