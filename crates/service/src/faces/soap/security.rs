//! WS-Security as far as it is understood here: a UsernameToken whose password is the key.

use super::envelope::BlockName;
use super::names::{PASSWORD_TEXT, WSSE, WSU};
use super::xml::{Token, XmlReader};
use docket_contract::{Code, Error, Timestamp};

/// Longest key, in bytes.
const MAX_KEY: usize = 4096;

/// What a header block `Security` says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Credentials {
    /// The password of the UsernameToken.
    pub(super) key: Option<String>,
    /// When the message stops to be good.
    pub(super) expires: Option<Timestamp>,
}

/// Whether this is the block that is understood.
pub(super) fn is_security(name: &BlockName) -> bool {
    name.space == WSSE && name.local == "Security"
}

/// Reads the block that has started. Whatever else it holds is refused: who signs or encrypts a message must not believe
/// that it was checked.
pub(super) fn read(reader: &mut XmlReader<'_>) -> Result<Credentials, Error> {
    let mut credentials = Credentials::default();
    while let Token::Start(start) = reader.next_element()? {
        let (space, local) = reader.resolve(start.name())?;
        match (space, local) {
            (Some(WSSE), "UsernameToken") if credentials.key.is_none() => credentials.key = Some(token(reader)?),
            (Some(WSU), "Timestamp") if credentials.expires.is_none() => credentials.expires = timestamp(reader)?,
            _ => return Err(refused("of WS-Security only one UsernameToken and one Timestamp are understood")),
        }
    }
    Ok(credentials)
}

fn token(reader: &mut XmlReader<'_>) -> Result<String, Error> {
    let mut key = None;
    while let Token::Start(start) = reader.next_element()? {
        let (space, local) = reader.resolve(start.name())?;
        if (space, local) != (Some(WSSE), "Password") {
            reader.skip()?;
            continue;
        }
        let kind = reader.attribute(&start, "", "Type");
        if kind.is_some_and(|kind| kind != PASSWORD_TEXT) {
            return Err(refused("a UsernameToken must have a Password of type PasswordText, whose text is the key"));
        }
        if key.replace(text(reader)?).is_some() {
            return Err(refused("a UsernameToken must have one Password"));
        }
    }
    key.ok_or_else(|| refused("a UsernameToken must have a Password, whose text is the key"))
}

fn timestamp(reader: &mut XmlReader<'_>) -> Result<Option<Timestamp>, Error> {
    let mut expires = None;
    while let Token::Start(start) = reader.next_element()? {
        let (space, local) = reader.resolve(start.name())?;
        if (space, local) == (Some(WSU), "Expires") {
            let time = text(reader)?.parse().map_err(|_| refused("Expires is not a time stamp with an offset"))?;
            expires = Some(time);
        } else {
            reader.skip()?;
        }
    }
    Ok(expires)
}

fn text(reader: &mut XmlReader<'_>) -> Result<String, Error> {
    let mut text = String::new();
    loop {
        match reader.next()? {
            Token::Text(part) | Token::CData(part) => text.push_str(&part),
            Token::Char(char) => text.push(char),
            Token::End => break,
            Token::Start(_) | Token::Eof => return Err(refused("a Password or Expires must be a text")),
        }
        if text.len() > MAX_KEY {
            return Err(refused("a Password is too long"));
        }
    }
    Ok(text.trim_ascii().to_owned())
}

fn refused(reason: &str) -> Error {
    Error::new(Code::Unauthenticated, format!("The Security header is not accepted: {reason}."))
}
