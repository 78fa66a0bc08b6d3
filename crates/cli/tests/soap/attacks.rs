//! Hostile documents, one a file: each is answered by a fault, soon, and without much memory.

use crate::support::Server;
use crate::{SOAP_XML, TEXT};
use http::Method;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest that an answer may take.
const MOST_TIME: Duration = Duration::from_millis(100);
/// How often a document is sent again when its answer took longer: the machine may have had other things to do.
const TRIES: usize = 10;
/// Most memory that an answer may take, in KiB.
const MOST_MEMORY: u64 = 16 * 1024;

fn documents() -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/soap/attacks");
    let entries = std::fs::read_dir(directory).expect("the attacks");
    let mut paths: Vec<_> = entries.map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    paths
}

/// Documents that are too large for a file.
fn large() -> Vec<(String, Vec<u8>)> {
    let envelope = |body: &str| crate::envelope(crate::SOAP11, "", body).into_bytes();
    // The parser is many times slower where it is not optimized; the time limit is the same.
    let mega = if cfg!(debug_assertions) { 1 << 16 } else { 1 << 20 };
    vec![
        ("a long name".to_owned(), envelope(&format!("<{}/>", "a".repeat(mega)))),
        ("a long attribute".to_owned(), envelope(&format!("<listJobTypes a=\"{}\"/>", "a".repeat(mega)))),
        ("a long prefix".to_owned(), envelope(&format!("<{}:a/>", "a".repeat(mega)))),
        ("many open elements".to_owned(), envelope(&"<a>".repeat(mega / 3))),
        ("many unknown elements".to_owned(), envelope(&format!("<startJob>{}</startJob>", "<a/>".repeat(mega / 4)))),
        ("many attributes".to_owned(), envelope(&format!("<listJobTypes {}/>", "a='' ".repeat(mega / 5)))),
        ("much white space".to_owned(), b" ".repeat(mega)),
        ("a long comment".to_owned(), envelope(&format!("<!--{}--->", "x".repeat(mega)))),
        (
            "many references".to_owned(),
            envelope(&format!("<startJob><name>{}</name></startJob>", "&#65;".repeat(mega / 5))),
        ),
        (
            "many sections".to_owned(),
            envelope(&format!("<startJob><name>{}</name></startJob>", "<![CDATA[a]]>".repeat(mega / 13))),
        ),
    ]
}

/// A line of `/proc/PID/status`, in KiB.
fn memory(pid: u32, name: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("a status");
    let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("a line");
    line.trim().trim_end_matches(" kB").trim().parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn every_attack_is_a_fault() {
    let server = Server::with(&["--slots", "0"]).await;
    let pid = server.pid();
    let mut documents: Vec<(String, Vec<u8>)> = documents()
        .into_iter()
        .map(|path| {
            let name = path.file_name().expect("a name").to_string_lossy().into_owned();
            (name, std::fs::read(path).expect("a document"))
        })
        .collect();
    assert!(documents.len() >= 60, "{}", documents.len());
    documents.extend(large());
    let warm = crate::call(&server, "<listJobTypes/>").await;
    assert_eq!(warm.status, 200, "{}", warm.text());

    let (mut slowest, mut most) = (Duration::ZERO, 0);
    for (name, document) in &documents {
        let media = if name.ends_with(".soap12.xml") { SOAP_XML } else { TEXT };
        // Without a charset, so that the document's own encoding counts.
        let media = (media.0, media.1.split(';').next().expect("a type"));
        let mut best = Duration::MAX;
        for _ in 0..TRIES {
            // Sets the peak back to what is used now.
            std::fs::write(format!("/proc/{pid}/clear_refs"), "5").expect("the peak set back");
            let before = memory(pid, "VmRSS:");
            let began = Instant::now();
            let gzip = [media, ("content-encoding", "gzip")];
            let headers = if name.ends_with(".gz") { &gzip[..] } else { &[media] };
            let answer = server.send(Method::POST, "/soap/v2", headers, document.clone()).await;
            best = best.min(began.elapsed());
            let more = memory(pid, "VmHWM:").saturating_sub(before);
            let text = answer.text();
            assert!([400, 413, 415, 500].contains(&answer.status.as_u16()), "{name}: {} {text}", answer.status);
            assert!(text.contains(":Fault>"), "{name}: {text}");
            let senders = [":Client", ":Sender", ":VersionMismatch", ":MustUnderstand"];
            assert!(senders.iter().any(|code| text.contains(code)), "{name}: {text}");
            assert!(!text.contains("root:"), "{name}: {text}");
            assert!(more < MOST_MEMORY, "{name}: {more} KiB more");
            most = most.max(more);
            if best < MOST_TIME {
                break;
            }
        }
        assert!(best < MOST_TIME, "{name}: {best:?} at best");
        slowest = slowest.max(best);
    }
    println!("{} attacks: the slowest answer took {slowest:?}, the most memory was {most} KiB", documents.len());
    let jobs = server.get("/jobs?featuresOn=NUMBER_OF_TOTAL").await.ok();
    assert_eq!(jobs["total"], 0, "no attack has started a job");
}
