//! From the elements of a request to the JSON that the service reads everywhere, in one pass.
//!
//! No tree is built: elements are written as JSON while they are read, guided by the model, and the operation's input is
//! then decoded and checked by the very code that REST uses. What the schema does not know becomes a member `null`, so
//! that it is named among the ignored fields.

use super::model::{Base, Body, Field, Kind, Model, find};
use super::xml::{MAX_UNKNOWN, Token, XmlReader};
use docket_contract::{Code, Error};
use quick_xml::events::BytesStart;

/// Longest number or boolean, in bytes.
const MAX_TOKEN: usize = 1024;

/// Writes elements as JSON.
pub(super) struct Decoder<'m, 'r, 'x> {
    model: &'m Model,
    reader: &'r mut XmlReader<'x>,
    out: Vec<u8>,
    max_bytes: usize,
    unknown: usize,
}

impl<'m, 'r, 'x> Decoder<'m, 'r, 'x> {
    /// A decoder of at most `max_bytes` of JSON.
    pub(super) fn new(model: &'m Model, reader: &'r mut XmlReader<'x>, max_bytes: usize) -> Self {
        Self { model, reader, out: Vec::new(), max_bytes, unknown: 0 }
    }

    /// The JSON object of an element that has started, read to its end.
    pub(super) fn read(mut self, fields: &[Field], expected: usize) -> Result<Vec<u8>, Error> {
        self.out.reserve(expected.min(self.max_bytes));
        self.object(fields)?;
        Ok(self.out)
    }

    fn object(&mut self, fields: &[Field]) -> Result<(), Error> {
        self.out.push(b'{');
        let mut seen = Seen::default();
        // The array whose items are being read, and how many there were.
        let mut open: Option<(usize, usize)> = None;
        let mut hint = 0;
        // Anything else is its end: no other token can come inside of an element.
        while let Token::Start(start) = self.reader.next_element()? {
            let found = {
                let (space, local) = self.reader.resolve(start.name())?;
                self.reader.expect_target(space, local)?;
                find(fields, local.as_bytes(), hint)
            };
            if let (Some(at), Some((array, count))) = (found, open.as_mut())
                && at == *array
            {
                *count += 1;
                let (index, max) = (*count, fields[at].many.and_then(|many| many.max));
                self.item(&fields[at], &start, index, max)?;
                continue;
            }
            if open.take().is_some() {
                self.out.push(b']');
            }
            match found {
                Some(at) => {
                    hint = at;
                    seen.add(at);
                    if fields[at].many.is_some() {
                        self.key(&fields[at].name);
                        self.out.push(b'[');
                        open = Some((at, 0));
                        self.item(&fields[at], &start, 0, fields[at].many.and_then(|many| many.max))?;
                    } else {
                        self.member(&fields[at], &start)?;
                    }
                }
                None => self.unknown(&start)?,
            }
            if self.out.len() > self.max_bytes {
                let detail = format!("The body must have at most {} bytes.", self.max_bytes);
                return Err(Error::new(Code::BodyTooLarge, detail));
            }
        }
        if open.is_some() {
            self.out.push(b']');
        }
        for (at, field) in fields.iter().enumerate() {
            // No element at all is how XML writes an empty array.
            if field.required && field.many.is_some() && !seen.has(at) {
                self.key(&field.name);
                self.out.extend_from_slice(b"[]");
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn key(&mut self, name: &str) {
        if self.out.last() != Some(&b'{') {
            self.out.push(b',');
        }
        self.out.push(b'"');
        push_json(&mut self.out, name);
        self.out.extend_from_slice(b"\":");
    }

    fn member(&mut self, field: &Field, start: &BytesStart<'_>) -> Result<(), Error> {
        let before = self.out.len();
        self.key(&field.name);
        if self.reader.is_nil(start) {
            self.out.extend_from_slice(b"null");
            return self.nothing();
        }
        let value = self.out.len();
        self.value(&field.kind).map_err(|error| at(error, &field.name))?;
        if field.absent_if_empty && &self.out[value..] == b"\"\"" {
            self.out.truncate(before);
        }
        Ok(())
    }

    fn item(&mut self, field: &Field, start: &BytesStart<'_>, index: usize, max: Option<usize>) -> Result<(), Error> {
        if let Some(max) = max.filter(|max| index >= *max) {
            let detail = format!("{} must have at most {max} items, has more", field.name);
            return Err(Error::field(format!("/{}", field.name), "too_many", detail));
        }
        let nil = self.reader.is_nil(start);
        if nil && index == 0 && field.many.is_some_and(|many| many.nullable) {
            return self.nothing();
        }
        if self.out.last() != Some(&b'[') {
            self.out.push(b',');
        }
        if nil {
            self.out.extend_from_slice(b"null");
            return self.nothing();
        }
        self.value(&field.kind).map_err(|error| at(at(error, &index.to_string()), &field.name))
    }

    /// The rest of an element that is nil.
    fn nothing(&mut self) -> Result<(), Error> {
        match self.reader.next_element()? {
            Token::End => Ok(()),
            _ => Err(self.reader.malformed("an element that is nil must be empty")),
        }
    }

    fn unknown(&mut self, start: &BytesStart<'_>) -> Result<(), Error> {
        self.unknown += 1;
        if self.unknown > MAX_UNKNOWN {
            let detail = format!("A request must have at most {MAX_UNKNOWN} elements that the schema does not know.");
            return Err(Error::field("", "too_many", detail));
        }
        self.key(start.local_name().into_inner());
        self.out.extend_from_slice(b"null");
        self.reader.skip()
    }

    /// The value of an element that has started, read to its end.
    fn value(&mut self, kind: &Kind) -> Result<(), Error> {
        let model = self.model;
        match kind {
            Kind::Simple(simple) => self.simple(simple.base),
            Kind::Named(id) => match &model.types[*id].body {
                Body::Simple(simple) => self.simple(simple.base),
                Body::Object(fields) => self.object(fields),
            },
            Kind::Map(value) => self.map(value),
        }
    }

    fn map(&mut self, value: &Field) -> Result<(), Error> {
        self.out.push(b'{');
        while let Token::Start(entry) = self.reader.next_element()? {
            self.expect(&entry, "entry")?;
            let key = self.expect_start("key")?;
            drop(key);
            if self.out.last() != Some(&b'{') {
                self.out.push(b',');
            }
            self.text()?;
            self.out.push(b':');
            let start = self.expect_start(&value.name)?;
            if self.reader.is_nil(&start) {
                self.out.extend_from_slice(b"null");
                self.nothing()?;
            } else {
                self.value(&value.kind)?;
            }
            match self.reader.next_element()? {
                Token::End => {}
                _ => return Err(self.reader.malformed("an entry must hold one key and one value")),
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    fn expect_start(&mut self, name: &str) -> Result<BytesStart<'x>, Error> {
        match self.reader.next_element()? {
            Token::Start(start) => {
                self.expect(&start, name)?;
                Ok(start)
            }
            _ => Err(Error::field(format!("/{name}"), "required", format!("{name} is required"))),
        }
    }

    fn expect(&self, start: &BytesStart<'_>, name: &str) -> Result<(), Error> {
        let (space, local) = self.reader.resolve(start.name())?;
        self.reader.expect_target(space, local)?;
        if local == name {
            return Ok(());
        }
        Err(Error::field(format!("/{name}"), "required", format!("{name} is required here")))
    }

    fn simple(&mut self, base: Base) -> Result<(), Error> {
        if matches!(base, Base::Text | Base::DateTime) {
            return self.text();
        }
        let begin = self.out.len();
        self.text()?;
        if base == Base::Json {
            let text: String = serde_json::from_slice(&self.out[begin..]).unwrap_or_default();
            if serde_json::from_str::<serde::de::IgnoredAny>(&text).is_ok() {
                self.out.truncate(begin);
                self.out.extend_from_slice(text.as_bytes());
            }
            return Ok(());
        }
        // What is no number or boolean stays a text: the input's own decoder then says what is wrong.
        let text = self.out[begin + 1..self.out.len() - 1].trim_ascii();
        if text.len() > MAX_TOKEN {
            return Err(Error::field("", "too_long", format!("must have at most {MAX_TOKEN} bytes")));
        }
        let plain: Option<Vec<u8>> = match (base, text) {
            (Base::Boolean, b"true" | b"1") => Some(b"true".to_vec()),
            (Base::Boolean, b"false" | b"0") => Some(b"false".to_vec()),
            (Base::Boolean, _) => None,
            _ => serde_json::from_slice::<serde_json::Number>(text).is_ok().then(|| text.to_vec()),
        };
        if let Some(plain) = plain {
            self.out.truncate(begin);
            self.out.extend_from_slice(&plain);
        }
        Ok(())
    }

    /// A text as a JSON string.
    fn text(&mut self) -> Result<(), Error> {
        self.out.push(b'"');
        loop {
            match self.reader.next()? {
                Token::Text(text) => push_text(&mut self.out, &text, true).map_err(|wrong| self.wrong(wrong))?,
                Token::CData(text) => push_text(&mut self.out, &text, false).map_err(|wrong| self.wrong(wrong))?,
                Token::Char(char) => push_json(&mut self.out, char.encode_utf8(&mut [0; 4])),
                Token::End => break,
                Token::Start(_) | Token::Eof => {
                    return Err(Error::field("", "wrong_type", "must be a text, not elements"));
                }
            }
            if self.out.len() > self.max_bytes {
                let detail = format!("The body must have at most {} bytes.", self.max_bytes);
                return Err(Error::new(Code::BodyTooLarge, detail));
            }
        }
        self.out.push(b'"');
        Ok(())
    }

    fn wrong(&self, wrong: Wrong) -> Error {
        match wrong {
            Wrong::Char => self.reader.illegal_char(),
            Wrong::Section => self.reader.malformed("a text holds ]]>"),
        }
    }
}

/// Puts a step in front of the pointers of an error.
fn at(mut error: Error, step: &str) -> Error {
    for field in &mut error.errors {
        // Words that follow the pointer begin with a verb.
        if field.pointer.is_empty() && field.detail.starts_with("must") {
            field.detail = format!("{step} {}", field.detail);
            error.detail.clone_from(&field.detail);
        }
        field.pointer.insert_str(0, &format!("/{step}"));
    }
    error
}

/// The fields of an object that were given.
#[derive(Default)]
struct Seen {
    first: u128,
    more: Vec<usize>,
}

impl Seen {
    fn add(&mut self, at: usize) {
        match at {
            0..128 => self.first |= 1 << at,
            _ => self.more.push(at),
        }
    }

    fn has(&self, at: usize) -> bool {
        match at {
            0..128 => self.first & 1 << at != 0,
            _ => self.more.contains(&at),
        }
    }
}

enum Wrong {
    Char,
    Section,
}

/// What a byte of a text needs.
const fn classes() -> [u8; 256] {
    let mut classes = [PLAIN; 256];
    let mut byte = 0;
    while byte < 0x20 {
        classes[byte] = ILLEGAL;
        byte += 1;
    }
    classes[b'\t' as usize] = b't';
    classes[b'\n' as usize] = b'n';
    classes[b'\r' as usize] = b'r';
    classes[b'"' as usize] = b'"';
    classes[b'\\' as usize] = b'\\';
    classes[b'>' as usize] = b'>';
    classes[0xef] = HIGH;
    classes
}
const PLAIN: u8 = 0;
const ILLEGAL: u8 = 1;
const HIGH: u8 = 2;
const CLASSES: [u8; 256] = classes();

/// Appends text of a document to a JSON string: line ends normalized (XML 1.0, 2.11), characters checked.
fn push_text(out: &mut Vec<u8>, text: &str, outside_of_cdata: bool) -> Result<(), Wrong> {
    let bytes = text.as_bytes();
    let mut done = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        let class = CLASSES[usize::from(byte)];
        if class == PLAIN {
            continue;
        }
        match class {
            ILLEGAL => return Err(Wrong::Char),
            HIGH => {
                if matches!(bytes.get(at + 1..at + 3), Some([0xbf, 0xbe | 0xbf])) {
                    return Err(Wrong::Char);
                }
                continue;
            }
            b'>' => {
                if outside_of_cdata && bytes[..at].ends_with(b"]]") {
                    return Err(Wrong::Section);
                }
                continue;
            }
            _ => {}
        }
        out.extend_from_slice(&bytes[done..at]);
        done = at + 1;
        match class {
            // The line feed behind it stands for both.
            b'r' if bytes.get(at + 1) == Some(&b'\n') => {}
            b'r' => out.extend_from_slice(b"\\n"),
            escape => out.extend_from_slice(&[b'\\', escape]),
        }
    }
    out.extend_from_slice(&bytes[done..]);
    Ok(())
}

/// Appends a text to a JSON string as it is.
fn push_json(out: &mut Vec<u8>, text: &str) {
    for &byte in text.as_bytes() {
        match byte {
            b'"' | b'\\' => out.extend_from_slice(&[b'\\', byte]),
            b'\t' => out.extend_from_slice(b"\\t"),
            b'\n' => out.extend_from_slice(b"\\n"),
            b'\r' => out.extend_from_slice(b"\\r"),
            _ => out.push(byte),
        }
    }
}
