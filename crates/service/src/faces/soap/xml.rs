//! Reads XML within bounds: what the parser lets pass and the standards or prudence do not.
//!
//! The parser is quick-xml. Added here: no document type and no processing instruction (SOAP allows neither), only the
//! five predefined entities and characters that XML has, names, attributes and depth within limits, namespaces bound,
//! one root. Nothing is ever fetched.

use super::names::{TARGET, XSI};
use docket_contract::{Code, Error};
use quick_xml::errors::{Error as ParseError, IllFormedError, SyntaxError};
use quick_xml::events::{BytesStart, Event};
use quick_xml::name::{Namespace, NamespaceResolver, QName, ResolveResult};
use quick_xml::{Reader, XmlVersion};

/// Deepest nesting of elements, the envelope's included.
pub(super) const MAX_DEPTH: usize = 64;
/// Most attributes of one element, namespace declarations included.
pub(super) const MAX_ATTRIBUTES: usize = 32;
/// Longest name of an element or attribute, in bytes.
pub(super) const MAX_NAME: usize = 256;
/// Longest value of an attribute, in bytes.
pub(super) const MAX_VALUE: usize = 4096;
/// Most elements that the schema does not know.
pub(super) const MAX_UNKNOWN: usize = 1000;

/// What is read next. Comments are skipped.
pub(super) enum Token<'x> {
    Start(BytesStart<'x>),
    End,
    /// Text as it stands in the document: line ends are not normalized.
    Text(std::borrow::Cow<'x, str>),
    /// The same from a CDATA section.
    CData(std::borrow::Cow<'x, str>),
    /// A character that a reference stands for.
    Char(char),
    Eof,
}

/// A reader with the namespaces in scope.
pub(super) struct XmlReader<'x> {
    reader: Reader<&'x [u8]>,
    source: &'x str,
    names: NamespaceResolver,
    depth: usize,
    /// Whether the scope of the element that ended last is still open.
    pop: bool,
    root_seen: bool,
}

impl<'x> XmlReader<'x> {
    pub(super) fn new(source: &'x str) -> Self {
        let mut reader = Reader::from_str(source);
        let config = reader.config_mut();
        config.expand_empty_elements = true;
        config.check_comments = true;
        Self { reader, source, names: NamespaceResolver::default(), depth: 0, pop: false, root_seen: false }
    }

    /// The next token. The names of a started element and of its attributes have been checked.
    pub(super) fn next(&mut self) -> Result<Token<'x>, Error> {
        loop {
            if std::mem::take(&mut self.pop) {
                self.names.pop();
            }
            let at = self.reader.buffer_position();
            let event = self.reader.read_event().map_err(|error| self.parse_error(&error))?;
            return Ok(match event {
                Event::Start(start) => {
                    self.start(&start)?;
                    Token::Start(start)
                }
                Event::End(_) => {
                    self.depth = self.depth.saturating_sub(1);
                    self.pop = true;
                    Token::End
                }
                Event::Text(text) if self.depth == 0 => {
                    if !text.trim_ascii().is_empty() {
                        return Err(self.malformed("text stands outside of the root element"));
                    }
                    continue;
                }
                Event::Text(text) => Token::Text(text.into_inner()),
                Event::CData(text) if self.depth > 0 => Token::CData(text.into_inner()),
                Event::GeneralRef(reference) if self.depth > 0 => Token::Char(self.reference(&reference)?),
                Event::CData(_) | Event::GeneralRef(_) => {
                    return Err(self.malformed("text stands outside of the root element"));
                }
                Event::Comment(text) => {
                    self.check_chars(&text)?;
                    continue;
                }
                Event::Decl(declaration) => {
                    if at != 0 {
                        return Err(self.malformed("an XML declaration must stand at the very beginning"));
                    }
                    match declaration.version() {
                        Ok(version) if version == "1.0" => continue,
                        _ => return Err(self.malformed("the version of XML must be 1.0")),
                    }
                }
                Event::DocType(_) => return Err(self.malformed("a document type declaration is not allowed")),
                Event::PI(_) => return Err(self.malformed("a processing instruction is not allowed")),
                Event::Eof if self.depth > 0 => return Err(self.malformed("the document ends too early")),
                Event::Eof if !self.root_seen => return Err(self.malformed("there is no root element")),
                Event::Eof => Token::Eof,
                // The empty form is expanded.
                Event::Empty(_) => continue,
            });
        }
    }

    fn start(&mut self, start: &BytesStart<'_>) -> Result<(), Error> {
        if self.depth == 0 && std::mem::replace(&mut self.root_seen, true) {
            return Err(self.malformed("there is more than one root element"));
        }
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(self.malformed(&format!("elements are nested more than {MAX_DEPTH} deep")));
        }
        self.check_name(start.name().0)?;
        if !start.attributes_raw().trim_ascii().is_empty() {
            self.check_attributes(start)?;
        }
        self.names.push(start).map_err(|error| self.malformed(&format!("namespaces: {error}")))
    }

    fn check_attributes(&self, start: &BytesStart<'_>) -> Result<(), Error> {
        for (count, attribute) in start.attributes().enumerate() {
            if count == MAX_ATTRIBUTES {
                return Err(self.malformed(&format!("an element has more than {MAX_ATTRIBUTES} attributes")));
            }
            let attribute = attribute.map_err(|error| self.malformed(&format!("attributes: {error}")))?;
            self.check_name(attribute.key.0)?;
            let value = &*attribute.value;
            if value.len() > MAX_VALUE {
                return Err(self.malformed(&format!("an attribute has more than {MAX_VALUE} bytes")));
            }
            if value.contains('<') {
                return Err(self.malformed("an attribute holds the character <"));
            }
            self.check_chars(value)?;
            if attribute.key.0.starts_with("xmlns:") && value.is_empty() {
                return Err(self.malformed("a prefix can't be bound to no namespace"));
            }
            if value.contains('&') {
                let text = attribute
                    .normalized_value(XmlVersion::Implicit1_0)
                    .map_err(|error| self.malformed(&format!("attributes: {error}")))?;
                if !text.chars().all(is_char) {
                    return Err(self.malformed("a reference stands for a character that XML does not have"));
                }
            }
        }
        self.check_expanded(start)
    }

    /// No two attributes may have the same name once their prefixes are resolved.
    fn check_expanded(&self, start: &BytesStart<'_>) -> Result<(), Error> {
        let mut prefixed = start.attributes().flatten().filter(|attribute| attribute.key.prefix().is_some());
        if prefixed.by_ref().filter(|attribute| !attribute.key.0.starts_with("xmlns:")).nth(1).is_none() {
            return Ok(());
        }
        let mut scope = self.names.clone();
        scope.push(start).map_err(|error| self.malformed(&format!("namespaces: {error}")))?;
        let mut seen = Vec::new();
        for attribute in start.attributes().flatten() {
            if let (ResolveResult::Bound(Namespace(space)), local) = scope.resolve_attribute(attribute.key) {
                let name = (space.to_owned(), local.as_ref().to_owned());
                if seen.contains(&name) {
                    return Err(self.malformed("an attribute is given twice"));
                }
                seen.push(name);
            }
        }
        Ok(())
    }

    fn check_name(&self, name: &str) -> Result<(), Error> {
        if name.len() > MAX_NAME {
            return Err(self.malformed(&format!("a name has more than {MAX_NAME} bytes")));
        }
        let part = |part: &str| {
            let mut chars = part.chars();
            chars.next().is_some_and(is_name_start) && chars.all(is_name)
        };
        let good = match name.split_once(':') {
            None => part(name),
            Some((prefix, local)) => part(prefix) && part(local),
        };
        if good { Ok(()) } else { Err(self.malformed("a name is not one of XML")) }
    }

    fn check_chars(&self, text: &str) -> Result<(), Error> {
        if text.chars().all(is_char) { Ok(()) } else { Err(self.illegal_char()) }
    }

    /// The error for a character that XML does not have.
    pub(super) fn illegal_char(&self) -> Error {
        self.malformed("it holds a character that XML does not have")
    }

    fn reference(&self, reference: &quick_xml::events::BytesRef<'_>) -> Result<char, Error> {
        let name: &str = reference;
        Ok(match name {
            "lt" => '<',
            "gt" => '>',
            "amp" => '&',
            "quot" => '"',
            "apos" => '\'',
            _ => match reference.resolve_char_ref() {
                Ok(Some(char)) if is_char(char) => char,
                Ok(None) => return Err(self.malformed("an entity is none of the five that XML has")),
                _ => return Err(self.malformed("a reference stands for a character that XML does not have")),
            },
        })
    }

    /// The namespace and the local name of an element that has started; `None` for one without namespace.
    pub(super) fn resolve<'n>(&self, name: QName<'n>) -> Result<(Option<&str>, &'n str), Error> {
        let (local, prefix) = name.decompose();
        match self.names.resolve_prefix(prefix, true) {
            ResolveResult::Bound(Namespace(space)) => Ok((Some(space), local.into_inner())),
            ResolveResult::Unbound => Ok((None, local.into_inner())),
            ResolveResult::Unknown(_) => Err(self.malformed("a prefix is not bound to a namespace")),
        }
    }

    /// The value of an attribute; `space` is empty for one without namespace.
    pub(super) fn attribute(&self, start: &BytesStart<'_>, space: &str, name: &str) -> Option<String> {
        if start.attributes_raw().trim_ascii().is_empty() {
            return None;
        }
        let found = start.attributes().flatten().find(|attribute| {
            let (found, local) = self.names.resolve_attribute(attribute.key);
            let in_space = match found {
                ResolveResult::Bound(Namespace(found)) => found == space,
                ResolveResult::Unbound => space.is_empty(),
                ResolveResult::Unknown(_) => false,
            };
            in_space && local.as_ref() == name
        })?;
        found.normalized_value(XmlVersion::Implicit1_0).ok().map(|value| value.trim_ascii().to_owned())
    }

    /// Whether the element says that it is nil.
    pub(super) fn is_nil(&self, start: &BytesStart<'_>) -> bool {
        !start.attributes_raw().is_empty()
            && self.attribute(start, XSI, "nil").is_some_and(|value| value == "true" || value == "1")
    }

    /// Whether an element is one of ours; the error names it otherwise.
    pub(super) fn expect_target(&self, space: Option<&str>, local: &str) -> Result<(), Error> {
        if space == Some(TARGET) {
            return Ok(());
        }
        let local: String = local.chars().take(64).collect();
        let space = space.map_or("no namespace".to_owned(), |space| space.chars().take(128).collect());
        Err(Error::field(
            format!("/{local}"),
            "unknown_value",
            format!("{local} must be in the namespace {TARGET}, is in {space}"),
        ))
    }

    /// Reads to the end of the element that has started.
    pub(super) fn skip(&mut self) -> Result<(), Error> {
        let outside = self.depth - 1;
        while self.depth > outside {
            match self.next()? {
                // Its prefix must be bound, even if nobody wants it.
                Token::Start(start) => drop(self.resolve(start.name())?),
                Token::Text(text) => self.check_text(&text)?,
                Token::CData(text) => self.check_chars(&text)?,
                Token::Eof => return Err(self.malformed("the document ends too early")),
                Token::End | Token::Char(_) => {}
            }
        }
        Ok(())
    }

    /// Reads what stands between elements: nothing but white space may.
    pub(super) fn next_element(&mut self) -> Result<Token<'x>, Error> {
        loop {
            match self.next()? {
                Token::Text(text) | Token::CData(text) if text.trim_ascii().is_empty() => {}
                Token::Char(' ' | '\t' | '\n' | '\r') => {}
                Token::Text(_) | Token::CData(_) | Token::Char(_) => {
                    return Err(self.malformed("text stands where only elements may"));
                }
                token => return Ok(token),
            }
        }
    }

    fn check_text(&self, text: &str) -> Result<(), Error> {
        if text.contains("]]>") {
            return Err(self.malformed("a text holds ]]>"));
        }
        self.check_chars(text)
    }

    /// The error for a document that is not well-formed, or not allowed to be as it is.
    pub(super) fn malformed(&self, reason: &str) -> Error {
        let at = usize::try_from(self.reader.buffer_position()).unwrap_or(usize::MAX);
        let before = &self.source.as_bytes()[..at.min(self.source.len())];
        let line = memchr::memchr_iter(b'\n', before).count() + 1;
        Error::new(Code::MalformedBody, format!("The body can't be read as SOAP, at line {line}: {reason}."))
    }

    fn parse_error(&self, error: &ParseError) -> Error {
        let reason = match error {
            ParseError::Syntax(SyntaxError::UnclosedDoctype) => "a document type declaration is not allowed".to_owned(),
            ParseError::IllFormed(IllFormedError::MissingDoctypeName) => {
                "a document type declaration is not allowed".to_owned()
            }
            error => error.to_string(),
        };
        // What the parser says may quote names of any length.
        let reason: String = reason.chars().take(200).collect();
        self.malformed(reason.trim_end_matches('.'))
    }
}

/// `Char` of XML 1.0.
pub(super) fn is_char(char: char) -> bool {
    matches!(char, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}

/// `NameStartChar` of XML 1.0, less the colon.
fn is_name_start(char: char) -> bool {
    matches!(char, 'A'..='Z' | 'a'..='z' | '_')
        || matches!(char, '\u{c0}'..='\u{d6}' | '\u{d8}'..='\u{f6}' | '\u{f8}'..='\u{2ff}' | '\u{370}'..='\u{37d}'
            | '\u{37f}'..='\u{1fff}' | '\u{200c}'..='\u{200d}' | '\u{2070}'..='\u{218f}' | '\u{2c00}'..='\u{2fef}'
            | '\u{3001}'..='\u{d7ff}' | '\u{f900}'..='\u{fdcf}' | '\u{fdf0}'..='\u{fffd}' | '\u{10000}'..='\u{effff}')
}

/// `NameChar` of XML 1.0, less the colon.
fn is_name(char: char) -> bool {
    is_name_start(char)
        || matches!(char, '0'..='9' | '-' | '.' | '\u{b7}' | '\u{300}'..='\u{36f}' | '\u{203f}'..='\u{2040}')
}
