//! Headers, framing and versions of HTTP.

use super::raw::{connect, exchange, parse, read};
use super::{Shape, Stock};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use std::io::{Read, Write};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

const START: &[u8] = br#"{"dockerImageUrl":"i"}"#;

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("in memory");
    encoder.finish().expect("in memory")
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_of_java_and_others() {
    let stock = Stock::new().await;
    let get =
        |what| Shape::of(what, "GET /jobs/{job}").gives("/name", "first").answers("content-type", "application/json");
    let post = |what| Shape::of(what, "POST /jobs");
    stock
        .play(vec![
            get("no Accept"),
            get("any").header("Accept: */*"),
            get("Java's URLConnection")
                .header("User-Agent: Java/17.0.9")
                .header("Accept: text/html, image/gif, image/jpeg, */*; q=0.2"),
            get("with a charset").header("Accept: application/json;charset=UTF-8"),
            get("Spring's RestTemplate").header("Accept: application/json, application/*+json"),
            get("an old client that asks for XML too").header("Accept: application/xml;q=0.9, application/json"),
            get("okhttp")
                .header("accept: application/json")
                .header("accept-encoding: identity")
                .header("user-agent: okhttp/4.12.0"),
            get("a cookie and a language")
                .header("Cookie: JSESSIONID=1")
                .header("Accept-Language: de-CH,de;q=0.9")
                .header("Accept-Charset: utf-8"),
            get("a content type without content").header("Content-Type: application/json").header("Content-Length: 0"),
            get("a GET with a body, which says nothing").header("Content-Type: application/json").body(b"{\"name\":1}"),
            post("with a charset").header("Content-Type: application/json;charset=UTF-8").body(START),
            post("with a charset, spaced and quoted")
                .header("Content-Type: application/json; charset=\"utf-8\"")
                .body(START),
            post("in capitals").header("CONTENT-TYPE: Application/JSON").body(START),
            post("no content type").body(START),
            post("a form")
                .header("Content-Type: application/x-www-form-urlencoded")
                .body(START)
                .status(415)
                .gives("/code", "unsupported_media_type"),
            post("chunks")
                .header("Content-Type: application/json")
                .header("Transfer-Encoding: chunked")
                .framed(b"10\r\n{\"dockerImageUrl\r\n6;name=value\r\n\":\"i\"}\r\n0\r\n\r\n"),
            post("chunks with a trailer")
                .header("Content-Type: application/json")
                .header("Transfer-Encoding: chunked")
                .header("Trailer: X-Check")
                .framed(b"16\r\n{\"dockerImageUrl\":\"i\"}\r\n0\r\nX-Check: 1\r\n\r\n"),
            post("gzip").header("Content-Type: application/json").header("Content-Encoding: gzip").body(&gzip(START)),
            post("another coding")
                .header("Content-Type: application/json")
                .header("Content-Encoding: deflate")
                .body(START)
                .status(415),
            Shape::of("cancel without a body", "POST /jobs/{job}/cancel")
                .header("Content-Length: 0")
                .gives("/status", "CANCELED"),
            Shape::of("cancel with neither body nor length", "POST /jobs/{job}/cancel").gives("/status", "CANCELED"),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_waits_for_the_word() {
    let stock = Stock::new().await;
    let mut socket = connect(&stock.server).await;
    let head = format!(
        "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: {}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n",
        START.len()
    );
    socket.write_all(head.as_bytes()).await.expect("sent");
    let word = read(&mut socket).await;
    assert_eq!(word.status, 100);
    socket.write_all(START).await.expect("sent");
    assert_eq!(read(&mut socket).await.status, 200);
    // One that does not wait gets the word and the answer.
    let mut socket = connect(&stock.server).await;
    socket.write_all(&[head.as_bytes(), START].concat()).await.expect("sent");
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.expect("an answer");
    let (first, rest) = parse(&bytes).expect("an answer");
    let last = if first.status == 100 { parse(rest).expect("another").0 } else { first };
    assert_eq!(last.status, 200, "{}", last.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn versions_and_connections() {
    let stock = Stock::new().await;
    let path = format!("/jobs/{}", stock.job);
    // HTTP/1.0 has neither Host nor chunks, and its connections end.
    for target in [path.as_str(), "/jobs", &format!("{path}/results?storageId=s")] {
        let answer = exchange(&stock.server, format!("GET {target} HTTP/1.0\r\n\r\n").as_bytes()).await;
        assert_eq!((answer.version.as_str(), answer.status), ("HTTP/1.0", 200), "{target}");
        assert_eq!(answer.header("transfer-encoding"), "", "{target}");
        assert!(serde_json::from_slice::<serde_json::Value>(&answer.body).is_ok(), "{}", answer.text());
    }
    let mut socket = connect(&stock.server).await;
    for _ in 0..3 {
        let request = format!("GET {path} HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
        socket.write_all(request.as_bytes()).await.expect("sent");
        let answer = read(&mut socket).await;
        assert_eq!((answer.status, answer.header("connection")), (200, "keep-alive"));
    }
    // HTTP/1.1 goes on by itself, after a problem and a refused body, too; requests may be sent ahead.
    let mut socket = connect(&stock.server).await;
    for (request, status) in [
        (format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n"), 200),
        ("GET /jobs/none HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(), 404),
        (
            "POST /jobs HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: 4\r\n\r\n<a/>"
                .to_owned(),
            415,
        ),
        (format!("HEAD {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Keep-Alive\r\n\r\n"), 200),
    ] {
        socket.write_all(request.as_bytes()).await.expect("sent");
        if request.starts_with("HEAD") {
            let mut bytes = Vec::new();
            while !bytes.ends_with(b"\r\n\r\n") {
                assert!(socket.read_buf(&mut bytes).await.expect("bytes") > 0);
            }
            assert!(bytes.starts_with(b"HTTP/1.1 200"), "{}", String::from_utf8_lossy(&bytes));
        } else {
            assert_eq!(read(&mut socket).await.status, status, "{request}");
        }
    }
    let ahead = format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\nGET /jobs/none HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    );
    socket.write_all(ahead.as_bytes()).await.expect("sent");
    let mut bytes = Vec::new();
    socket.read_to_end(&mut bytes).await.expect("answers");
    let (first, rest) = parse(&bytes).expect("an answer");
    let (second, rest) = parse(rest).expect("another");
    assert_eq!((first.status, second.status, rest.len()), (200, 404, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_are_compressed_for_those_who_can_read_it() {
    let stock = Stock::new().await;
    let target = format!("/jobs/{}/results?storageId=s", stock.job);
    let ask = |coding: &str| {
        format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nAccept-Encoding: {coding}\r\nConnection: close\r\n\r\n")
    };
    let plain = exchange(&stock.server, ask("identity").as_bytes()).await;
    assert_eq!(plain.header("content-encoding"), "");
    for coding in ["gzip", "gzip, deflate", "gzip;q=1.0, identity;q=0.5"] {
        let answer = exchange(&stock.server, ask(coding).as_bytes()).await;
        assert_eq!(answer.header("content-encoding"), "gzip", "{coding}");
        let mut text = Vec::new();
        GzDecoder::new(&answer.body[..]).read_to_end(&mut text).expect("gzip");
        assert_eq!(text, plain.body, "{coding}");
    }
}
