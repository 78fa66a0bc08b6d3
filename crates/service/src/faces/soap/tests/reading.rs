//! What the decoder makes of bodies.

use super::super::envelope::{BlockName, Fault};
use super::super::try_read;
use super::{envelope, json, pointer, read};
use docket_contract::Code;
use proptest::prelude::*;
use serde_json::json;

const WSSE: &str = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-wssecurity-secext-1.0.xsd";

#[test]
fn elements_become_json() {
    let body = "<startJob><dockerImageUrl>a&lt;&#x20AC;<![CDATA[<b>&amp;\"\\]]></dockerImageUrl>\
        <!-- a comment --><commands>x</commands><commands/><commands>a\r\nb\rc\td</commands>\
        <environmentVariables><name>N</name><value> v </value></environmentVariables>\
        <priority> 60 </priority><cpuLimit>1e1</cpuLimit><unknown><deep>x</deep></unknown><limit>5</limit></startJob>";
    let expected = json!({
        "dockerImageUrl": "a<€<b>&amp;\"\\", "commands": ["x", "", "a\nb\nc\td"],
        "environmentVariables": [{"name": "N", "value": " v "}], "priority": 60, "cpuLimit": 10.0,
        "unknown": null, "limit": null,
    });
    assert_eq!(json(body), expected);
}

#[test]
fn absent_and_empty_are_told_apart() {
    // An empty parameter of a query counts as absent; an empty member of a body is an empty text.
    assert_eq!(json("<listJobs><startAfter/><user></user><limit/></listJobs>"), json!({}));
    assert_eq!(json("<updateJob><jobId>x</jobId><name/></updateJob>"), json!({"jobId": "x", "name": ""}));
    let nil = "xmlns:i=\"http://www.w3.org/2001/XMLSchema-instance\" i:nil=\"true\"";
    assert_eq!(
        json(&format!("<updateJob><jobId>x</jobId><tags {nil}/></updateJob>")),
        json!({"jobId": "x", "tags": []})
    );
    assert_eq!(
        json(&format!("<updateJob><jobId>x</jobId><name {nil}/></updateJob>")),
        json!({"jobId": "x", "name": null})
    );
    // A required array without items is empty, not missing.
    assert_eq!(
        json("<insertJobResults><jobId>x</jobId><storageId>s</storageId></insertJobResults>"),
        json!({"jobId": "x", "storageId": "s", "results": []})
    );
}

#[test]
fn errors_name_the_field() {
    let list = |inner: &str| format!("<startJob><dockerImageUrl>a</dockerImageUrl>{inner}</startJob>");
    for (body, expected) in [
        (list("<x xmlns=\"urn:other\"/>"), "/x unknown_value"),
        (list("<name><b/></name>"), "/name wrong_type"),
        (list("<labels><name>a</name><value><b/></value></labels>"), "/labels/0/value wrong_type"),
        (list(&"<jobDependencies><jobId>a</jobId></jobDependencies>".repeat(9)), "/jobDependencies too_many"),
        (list(&"<what/>".repeat(1001)), " too_many"),
        ("<noSuchThing/>".to_owned(), "/noSuchThing unknown_value"),
    ] {
        let (pointer, code) = pointer(&body);
        assert_eq!(format!("{pointer} {code}"), expected, "{body:.200}");
    }
}

#[test]
fn headers_are_understood_or_refused() {
    let body = "<listJobTypes/>";
    let block = |attributes: &str| envelope(&format!("<h:Do xmlns:h=\"urn:h\" {attributes}/>"), body);
    let refused = Err(Fault::MustUnderstand(vec![BlockName { space: "urn:h".into(), local: "Do".into() }]));
    assert_eq!(read(&block("s:mustUnderstand=\"1\"")), refused);
    assert!(read(&block("")).is_ok());
    assert!(read(&block("s:mustUnderstand=\"0\"")).is_ok());
    assert!(read(&block("s:mustUnderstand=\"1\" s:actor=\"urn:somebody-else\"")).is_ok());
    assert_eq!(read(&block("s:mustUnderstand=\"1\" s:actor=\"http://schemas.xmlsoap.org/soap/actor/next\"")), refused);
    assert!(matches!(read(&block("s:mustUnderstand=\"x\"")), Err(Fault::Problem(_))));
    assert_eq!(read("<Envelope xmlns=\"urn:x\"/>"), Err(Fault::VersionMismatch));
}

#[test]
fn the_password_is_the_key() {
    let security = |inner: &str| {
        let header = format!("<w:Security xmlns:w=\"{WSSE}\" s:mustUnderstand=\"1\">{inner}</w:Security>");
        read(&envelope(&header, "<listJobTypes/>")).map(|request| request.credentials.key)
    };
    let token = "<w:UsernameToken><w:Username>u</w:Username><w:Password>dk_&amp;x</w:Password></w:UsernameToken>";
    assert_eq!(security(token), Ok(Some("dk_&x".to_owned())));
    for wrong in [
        "<w:UsernameToken><w:Username>u</w:Username></w:UsernameToken>",
        "<w:UsernameToken><w:Password Type=\"urn:x#PasswordDigest\">x</w:Password></w:UsernameToken>",
        "<d:Signature xmlns:d=\"http://www.w3.org/2000/09/xmldsig#\"/>",
        &format!("{token}{token}"),
    ] {
        match security(wrong) {
            Err(Fault::Problem(error)) => assert_eq!(error.code, Code::Unauthenticated, "{wrong}"),
            other => panic!("{wrong}: {other:?}"),
        }
    }
}

proptest! {
    /// The entry of the fuzz target: whatever comes, it answers, and what it reads is JSON.
    #[test]
    fn anything_is_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..400)) {
        try_read(&bytes);
    }

    #[test]
    fn anything_in_an_envelope_is_read_or_refused(body in "([<>/&;\"'=:!#x\\]\\[ a-e\u{0}-\u{10}ü]|<startJob>|</startJob>|<name>|</name>|<!\\[CDATA\\[|\\]\\]>|&#1;|&lt;|<!--|-->|<\\?a|<!DOCTYPE a>){0,40}") {
        try_read(envelope("", &body).as_bytes());
        try_read(envelope("", &format!("<startJob><name>{body}</name></startJob>")).as_bytes());
        try_read(envelope(&body, "<listJobTypes/>").as_bytes());
    }
}
