//! What the encoder makes of JSON, whole and in pieces.

use super::super::encode::{self, Stream, TextStream};
use super::super::model::{Field, Model};
use super::super::text;
use super::super::xml::{Token, XmlReader};
use docket_contract::operations::{InsertJobResults, ListJobRunResults, Operation};
use proptest::prelude::*;
use serde_json::json;

fn page_field(model: &Model) -> &Field {
    let at = model.entry(ListJobRunResults::NAME).expect("an entry");
    &model.entries[at].output
}

fn whole(model: &Model, json: &str) -> String {
    let mut out = Vec::new();
    encode::value(model, page_field(model), json.as_bytes(), &mut out).unwrap_or_else(|e| panic!("{e:?}: {json}"));
    String::from_utf8(out).expect("UTF-8")
}

fn in_pieces(model: &Model, json: &str, size: usize) -> String {
    let (mut stream, mut out) = (Stream::new(), Vec::new());
    for piece in json.as_bytes().chunks(size.max(1)) {
        stream.take(model, page_field(model), piece, &mut out).expect("a page");
    }
    stream.finish(model, page_field(model), &mut out).expect("the end of a page");
    String::from_utf8(out).expect("UTF-8")
}

#[test]
fn members_come_in_the_order_of_the_schema() {
    let model = Model::of_the_table();
    let json = r#"{"limit":1,"total":2,"values":[{"id":"1","jobId":"j","storageId":"s","message":"m","externalId":"e",
        "addressVersion":{"language":{"technicalKey":"l"},"characterSet":null},"future":{"a":[1,"]"]}}]}"#;
    let expected = "<result><limit>1</limit><total>2</total><values><id>1</id><storageId>s</storageId>\
        <externalId>e</externalId><addressVersion><language><technicalKey>l</technicalKey></language></addressVersion>\
        <message>m</message><jobId>j</jobId></values></result>";
    assert_eq!(whole(&model, json), expected);
}

#[test]
fn what_xml_does_not_have_is_replaced() {
    let model = Model::of_the_table();
    let text = r#"{"startAfter":"a\u0000\u001f\b\f\t\n\r<>&\"\\\/\ud834\udd1e\ud834x\uffff\ufffe\u00fc","limit":1,"total":0,"values":[]}"#;
    let expected = "<result><startAfter>a\u{fffd}\u{fffd}\u{fffd}\u{fffd}\t\n&#13;&lt;&gt;&amp;\"\\/\u{1d11e}\u{fffd}x\
        \u{fffd}\u{fffd}ü</startAfter><limit>1</limit><total>0</total></result>";
    assert_eq!(whole(&model, text), expected);
    assert_eq!(
        whole(&model, "{\"startAfter\":\"\u{ffff}\u{fffd}\u{feff}\",\"limit\":1}").matches('\u{fffd}').count(),
        2
    );
    let mut out = Vec::new();
    text::text("<&>\u{1}\r\"", &mut out);
    assert_eq!(out, "&lt;&amp;&gt;\u{fffd}&#13;&quot;".as_bytes());
}

#[test]
fn what_is_no_page_is_broken() {
    let model = Model::of_the_table();
    for json in ["", "{", "[]", "{\"values\":[{]}", "{\"limit\":{}}", "{\"values\":[{}]", "{} {}"] {
        let mut stream = Stream::new();
        let mut out = Vec::new();
        let taken = stream.take(&model, page_field(&model), json.as_bytes(), &mut out);
        assert!(taken.and_then(|()| stream.finish(&model, page_field(&model), &mut out)).is_err(), "{json}");
    }
}

#[test]
fn texts_stream_through_any_cut() {
    let text = "a<ü𝄞\u{1}>".as_bytes();
    for size in 1..=text.len() {
        let (mut stream, mut out) = (TextStream::default(), Vec::new());
        text.chunks(size).for_each(|piece| stream.take(piece, &mut out));
        stream.finish(&mut out);
        assert_eq!(String::from_utf8(out).expect("UTF-8"), "a&lt;ü𝄞\u{fffd}&gt;", "{size}");
    }
    let (mut stream, mut out) = (TextStream::default(), Vec::new());
    stream.take(b"a\xffb\xc3", &mut out);
    stream.finish(&mut out);
    assert_eq!(String::from_utf8(out).expect("UTF-8"), "a\u{fffd}b\u{fffd}");
}

proptest! {
    #[test]
    fn pieces_make_no_difference(texts in prop::collection::vec(any::<String>(), 0..8), size in 1usize..200) {
        let model = Model::of_the_table();
        let values: Vec<_> = texts.iter().map(|text| json!({"id": "1", "jobId": "j", "resultData": text, "externalId": text})).collect();
        let json = json!({"limit": 5, "nextStartAfter": "t", "total": 7, "values": values}).to_string();
        let pieces = in_pieces(&model, &json, size);
        prop_assert_eq!(&in_pieces(&model, &json, json.len()), &pieces);
        // It is well-formed, whatever the texts hold.
        let mut reader = XmlReader::new(&pieces);
        loop {
            match reader.next() {
                Ok(Token::Eof) => break,
                Ok(_) => {}
                Err(error) => panic!("{error:?}: {pieces}"),
            }
        }
    }

    /// A record goes to XML and back, but for the characters that XML does not have.
    #[test]
    fn records_survive(text in any::<String>()) {
        let model = Model::of_the_table();
        let requests = super::super::Requests::of_the_table();
        let input = json!({"jobId": "j", "storageId": text, "results": [{"externalId": "e", "resultData": text}]});
        let document = requests.envelope(InsertJobResults::NAME, input.to_string().as_bytes()).expect("an envelope");
        let request = super::super::envelope::read(&model, &document, super::Version::Soap11, 1 << 20);
        let request = request.unwrap_or_else(|(_, fault)| panic!("{fault:?}: {document}"));
        let read: serde_json::Value = serde_json::from_slice(&request.json).expect("JSON");
        let kept: String = text.chars().map(|char| if super::super::xml::is_char(char) { char } else { '\u{fffd}' }).collect();
        prop_assert_eq!(read["results"][0]["resultData"].as_str(), Some(kept.as_str()));
    }
}
