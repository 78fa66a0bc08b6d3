//! From the bytes of a body to its text. UTF-8 and UTF-16 are read, as every XML processor must; all else is refused.

use docket_contract::{Code, Error};
use std::borrow::Cow;

/// The encodings that are read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Utf8,
    Utf16Le,
    Utf16Be,
}

/// The text of a body. `charset` is the parameter of `Content-Type`, which goes before what the document says of itself
/// (RFC 7303); a byte order mark goes before both, and none may contradict another.
pub(super) fn text<'b>(bytes: &'b [u8], charset: Option<&str>) -> Result<Cow<'b, str>, Error> {
    let (marked, rest) = match bytes {
        [0xef, 0xbb, 0xbf, rest @ ..] => (Some(Encoding::Utf8), rest),
        [0xff, 0xfe, rest @ ..] => (Some(Encoding::Utf16Le), rest),
        [0xfe, 0xff, rest @ ..] => (Some(Encoding::Utf16Be), rest),
        rest => (None, rest),
    };
    let sensed = match (marked, rest) {
        (Some(marked), _) => marked,
        (None, [b'<', 0, ..]) => Encoding::Utf16Le,
        (None, [0, b'<', ..]) => Encoding::Utf16Be,
        _ => Encoding::Utf8,
    };
    if let Some(charset) = charset
        && !named(charset, sensed)
    {
        return Err(unsupported(&format!("the charset {} of Content-Type", shown(charset))));
    }
    let text = match sensed {
        Encoding::Utf8 => Cow::Borrowed(std::str::from_utf8(rest).map_err(|error| {
            malformed(format!("The body is not UTF-8: the byte at offset {} can't be read.", error.valid_up_to()))
        })?),
        Encoding::Utf16Le => Cow::Owned(utf16(rest, u16::from_le_bytes)?),
        Encoding::Utf16Be => Cow::Owned(utf16(rest, u16::from_be_bytes)?),
    };
    if let Some(declared) = declared(&text)
        && !named(declared, sensed)
    {
        return Err(unsupported(&format!("the encoding {} of the XML declaration", shown(declared))));
    }
    Ok(text)
}

/// Whether `name` may stand for this encoding.
fn named(name: &str, encoding: Encoding) -> bool {
    let is = |known: &str| name.eq_ignore_ascii_case(known);
    match encoding {
        Encoding::Utf8 => is("utf-8") || is("utf8") || is("us-ascii"),
        Encoding::Utf16Le => is("utf-16") || is("utf-16le"),
        Encoding::Utf16Be => is("utf-16") || is("utf-16be"),
    }
}

/// The encoding in the XML declaration, if there is one that can be read so far.
fn declared(text: &str) -> Option<&str> {
    let declaration = text.strip_prefix("<?xml")?.split("?>").next()?;
    let value = declaration.split_once("encoding")?.1.trim_start().strip_prefix('=')?.trim_start();
    let quote = value.chars().next().filter(|quote| ['"', '\''].contains(quote))?;
    value[1..].split(quote).next()
}

fn utf16(bytes: &[u8], unit: fn([u8; 2]) -> u16) -> Result<String, Error> {
    let (pairs, []) = bytes.as_chunks::<2>() else {
        return Err(malformed("The body is not UTF-16: it has an odd number of bytes.".to_owned()));
    };
    let units = pairs.iter().map(|pair| unit(*pair));
    let mut text = String::with_capacity(pairs.len());
    for char in char::decode_utf16(units) {
        text.push(char.map_err(|_| malformed("The body is not UTF-16: it holds a lone surrogate.".to_owned()))?);
    }
    Ok(text)
}

fn shown(name: &str) -> String {
    name.chars().take(40).filter(char::is_ascii_graphic).collect()
}

fn malformed(detail: String) -> Error {
    Error::new(Code::MalformedBody, detail)
}

fn unsupported(what: &str) -> Error {
    Error::new(Code::UnsupportedMediaType, format!("A body must be in UTF-8 or UTF-16; {what} does not fit it."))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn utf16le(text: &str) -> Vec<u8> {
        text.encode_utf16().flat_map(u16::to_le_bytes).collect()
    }

    #[test]
    fn utf_16_is_read_with_and_without_mark() {
        let document = "<?xml version='1.0' encoding='UTF-16'?><a>ü𝄞</a>";
        let plain = utf16le(document);
        let marked = [vec![0xff, 0xfe], plain.clone()].concat();
        let big: Vec<u8> = document.encode_utf16().flat_map(u16::to_be_bytes).collect();
        for bytes in [plain, marked, big] {
            assert_eq!(text(&bytes, None).expect("UTF-16"), document);
            assert_eq!(text(&bytes, Some("utf-16")).expect("UTF-16"), document);
            assert!(text(&bytes, Some("utf-8")).is_err());
        }
    }

    #[test]
    fn what_contradicts_itself_is_refused() {
        let latin = b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a/>";
        assert_eq!(text(latin, None).expect_err("Latin 1").code, Code::UnsupportedMediaType);
        assert_eq!(text(b"<a/>", Some("iso-8859-1")).expect_err("Latin 1").code, Code::UnsupportedMediaType);
        assert_eq!(
            text(b"<?xml version='1.0' encoding='UTF-16'?><a/>", None).expect_err("no").code,
            Code::UnsupportedMediaType
        );
        assert_eq!(text(b"<a>\xff</a>", None).expect_err("no").code, Code::MalformedBody);
        assert_eq!(text(b"\xff\xfe<\0a", None).expect_err("odd").code, Code::MalformedBody);
        assert_eq!(text(b"\xff\xfe<\0\x00\xd8", None).expect_err("lone").code, Code::MalformedBody);
        assert_eq!(text(b"\xef\xbb\xbf<a/>", Some("UTF-8")).expect("marked"), "<a/>");
    }
}
