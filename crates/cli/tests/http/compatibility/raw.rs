//! One request over a socket, byte for byte, and what came back.

use crate::support::{PATIENCE, Server};
use std::collections::BTreeMap;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
pub struct Answer {
    pub version: String,
    pub status: u16,
    headers: BTreeMap<String, String>,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", String::as_str)
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }
}

/// A connection of its own.
pub async fn connect(server: &Server) -> TcpStream {
    TcpStream::connect(server.url.trim_start_matches("http://")).await.expect("a connection")
}

/// Sends a request that ends its connection, and reads the answer to the end.
pub async fn exchange(server: &Server, request: &[u8]) -> Answer {
    let mut socket = connect(server).await;
    socket.write_all(request).await.expect("sent");
    let mut bytes = Vec::new();
    tokio::time::timeout(PATIENCE, socket.read_to_end(&mut bytes)).await.expect("in time").expect("an answer");
    let (answer, rest) = parse(&bytes).unwrap_or_else(|| panic!("{}", String::from_utf8_lossy(&bytes)));
    assert!(rest.is_empty(), "behind the answer: {}", String::from_utf8_lossy(rest));
    answer
}

/// Reads one answer from a connection that stays open.
pub async fn read(socket: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    loop {
        if let Some((answer, rest)) = parse(&bytes) {
            assert!(rest.is_empty(), "behind the answer: {}", String::from_utf8_lossy(rest));
            return answer;
        }
        let more = tokio::time::timeout(PATIENCE, socket.read_buf(&mut bytes)).await.expect("in time").expect("bytes");
        assert!(more > 0, "the connection ended: {}", String::from_utf8_lossy(&bytes));
    }
}

/// The first answer in `bytes`, and what is behind it; `None` while it is not whole.
pub fn parse(bytes: &[u8]) -> Option<(Answer, &[u8])> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n")?;
    let head = String::from_utf8_lossy(&bytes[..end]).into_owned();
    let mut lines = head.split("\r\n");
    let (version, status) = lines.next()?.split_once(' ')?;
    let status = status.split(' ').next()?.parse().ok()?;
    let headers: BTreeMap<String, String> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name.to_lowercase(), value.trim().to_owned()))
        .collect();
    let rest = &bytes[end + 4..];
    let (body, rest) = if headers.get("transfer-encoding").is_some_and(|coding| coding == "chunked") {
        chunks(rest)?
    } else if let Some(length) = headers.get("content-length") {
        let (body, rest) = rest.split_at_checked(length.parse().ok()?)?;
        (body.to_vec(), rest)
    } else if (100..200).contains(&status) || status == 204 {
        (Vec::new(), rest)
    } else {
        // Up to the end of the connection.
        (rest.to_vec(), &rest[rest.len()..])
    };
    Some((Answer { version: version.to_owned(), status, headers, body }, rest))
}

fn chunks(mut rest: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut body = Vec::new();
    loop {
        let end = rest.windows(2).position(|two| two == b"\r\n")?;
        let length = usize::from_str_radix(str::from_utf8(&rest[..end]).ok()?.split(';').next()?, 16).ok()?;
        let (chunk, behind) = rest[end + 2..].split_at_checked(length)?;
        body.extend_from_slice(chunk);
        rest = behind.strip_prefix(b"\r\n")?;
        if length == 0 {
            return Some((body, rest));
        }
    }
}
