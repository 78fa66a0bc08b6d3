//! The envelope: which version, what the header asks for, which operation the body names.

use super::decode::Decoder;
use super::model::Model;
use super::names::Version;
use super::security::{self, Credentials};
use super::xml::{Token, XmlReader};
use docket_contract::{Code, Error};
use quick_xml::events::BytesStart;

/// Most header blocks.
const MAX_BLOCKS: usize = 64;

/// The name of a header block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct BlockName {
    pub(super) space: String,
    pub(super) local: String,
}

/// Why an envelope is refused.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Fault {
    /// The root is no envelope of a known version.
    VersionMismatch,
    /// Header blocks that must be understood and are not.
    MustUnderstand(Vec<BlockName>),
    /// Anything else.
    Problem(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Fault::Problem(error)
    }
}

/// A refusal, in the version of the envelope if that was still read.
pub(super) type Refused = (Option<Version>, Fault);

/// A request that was read.
#[derive(Debug, PartialEq)]
pub(super) struct Request {
    pub(super) version: Version,
    /// The key of a UsernameToken.
    pub(super) credentials: Credentials,
    /// Which row of the model.
    pub(super) entry: usize,
    /// The operation's input as a JSON object.
    pub(super) json: Vec<u8>,
}

/// Reads a whole envelope; `media` is the version that the media type speaks of.
pub(super) fn read(model: &Model, text: &str, media: Version, max_bytes: usize) -> Result<Request, Refused> {
    let mut reader = XmlReader::new(text);
    let (version, credentials) = head(&mut reader, media)?;
    let body = operation(model, &mut reader, version, max_bytes, text.len());
    let (entry, json) = body.map_err(|error| (Some(version), Fault::Problem(error)))?;
    Ok(Request { version, credentials, entry, json })
}

/// Reads only the header, of an envelope of which perhaps not all has come.
pub(super) fn credentials(text: &str, media: Version) -> Result<Credentials, Refused> {
    head(&mut XmlReader::new(text), media).map(|(_, credentials)| credentials)
}

/// Reads up to the start of the body.
fn head(reader: &mut XmlReader<'_>, media: Version) -> Result<(Version, Credentials), Refused> {
    let version = root(reader, media).map_err(|fault| (None, fault))?;
    header(reader, version).map(|credentials| (version, credentials)).map_err(|fault| (Some(version), fault))
}

fn root(reader: &mut XmlReader<'_>, media: Version) -> Result<Version, Fault> {
    let Token::Start(start) = reader.next_element()? else { return Err(Fault::VersionMismatch) };
    let (space, local) = reader.resolve(start.name())?;
    let version = Version::ALL.into_iter().find(|version| space == Some(version.namespace()));
    match version {
        Some(version) if local == "Envelope" && version == media => Ok(version),
        Some(version) if local == "Envelope" => {
            let detail = format!("An envelope of this version must be sent as {}.", version.media_type());
            Err(Error::new(Code::UnsupportedMediaType, detail).into())
        }
        _ => Err(Fault::VersionMismatch),
    }
}

/// Reads the header, if there is one, and the start of the body.
fn header(reader: &mut XmlReader<'_>, version: Version) -> Result<Credentials, Fault> {
    let mut credentials = Credentials::default();
    let mut not_understood = Vec::new();
    let mut header_seen = false;
    loop {
        let Token::Start(start) = reader.next_element()? else {
            return Err(reader.malformed("the envelope has no Body").into());
        };
        let (space, local) = reader.resolve(start.name())?;
        match local {
            "Body" if space == Some(version.namespace()) => break,
            "Header" if space == Some(version.namespace()) && !header_seen => header_seen = true,
            _ => return Err(reader.malformed("an envelope holds at most one Header, then one Body").into()),
        }
        let mut blocks = 0;
        while let Token::Start(block) = reader.next_element()? {
            blocks += 1;
            if blocks > MAX_BLOCKS {
                return Err(reader.malformed(&format!("there are more than {MAX_BLOCKS} header blocks")).into());
            }
            let Some(name) = foreign_block(reader, version, &block)? else { continue };
            if security::is_security(&name) {
                credentials = security::read(reader)?;
                continue;
            }
            if must_understand(reader, version, &block)? {
                not_understood.push(name);
            }
            reader.skip()?;
        }
    }
    if not_understood.is_empty() { Ok(credentials) } else { Err(Fault::MustUnderstand(not_understood)) }
}

/// The name of a block that is for this server; one for others is skipped.
fn foreign_block(
    reader: &mut XmlReader<'_>,
    version: Version,
    block: &BytesStart<'_>,
) -> Result<Option<BlockName>, Error> {
    let (space, local) = reader.resolve(block.name())?;
    let Some(space) = space else {
        return Err(reader.malformed("a header block must have a namespace"));
    };
    // The name as it is meant, not as it is written.
    let space = quick_xml::escape::unescape(space).unwrap_or(space.into()).into_owned();
    let name = BlockName { space, local: local.to_owned() };
    let role = match version {
        Version::Soap11 => "actor",
        Version::Soap12 => "role",
    };
    let role = reader.attribute(block, version.namespace(), role).unwrap_or_default();
    if version.is_for_us(&role) {
        return Ok(Some(name));
    }
    reader.skip()?;
    Ok(None)
}

fn must_understand(reader: &XmlReader<'_>, version: Version, block: &BytesStart<'_>) -> Result<bool, Error> {
    match reader.attribute(block, version.namespace(), "mustUnderstand").as_deref() {
        None | Some("0" | "false") => Ok(false),
        Some("1" | "true") => Ok(true),
        Some(_) => Err(reader.malformed("mustUnderstand must be 0 or 1")),
    }
}

/// Reads the body: one element, named after an operation.
fn operation(
    model: &Model,
    reader: &mut XmlReader<'_>,
    version: Version,
    max_bytes: usize,
    expected: usize,
) -> Result<(usize, Vec<u8>), Error> {
    let Token::Start(start) = reader.next_element()? else {
        return Err(reader.malformed("the Body holds no element"));
    };
    let entry = {
        let (space, local) = reader.resolve(start.name())?;
        reader.expect_target(space, local)?;
        model.entry(local).ok_or_else(|| {
            let local: String = local.chars().take(64).collect();
            Error::field(format!("/{local}"), "unknown_value", format!("{local} is not an operation"))
        })?
    };
    // Escapes make JSON a little longer than the text; names of elements, which come twice, make it shorter.
    let json = Decoder::new(model, reader, max_bytes).read(&model.entries[entry].input, expected)?;
    match reader.next_element()? {
        Token::End => {}
        _ => return Err(reader.malformed("the Body holds more than one element")),
    }
    // SOAP 1.1 allows more elements behind the body (4.3); nobody is told to understand them.
    loop {
        match reader.next_element()? {
            Token::Start(_) if version == Version::Soap11 => reader.skip()?,
            Token::Start(_) => return Err(reader.malformed("nothing may stand behind the Body")),
            _ => break,
        }
    }
    match reader.next_element()? {
        Token::Eof => Ok((entry, json)),
        _ => Err(reader.malformed("nothing may stand behind the envelope")),
    }
}
