//! The command itself: settings, readiness, stopping.

use crate::support::{BINARY, Server};
use serde_json::json;
use std::process::Command;

fn refused(arguments: &[&str]) -> String {
    let data = tempfile::tempdir().expect("a directory");
    let output = Command::new(BINARY)
        .args(["serve", "--log", "error", "--data"])
        .arg(data.path().join("data"))
        .args(arguments)
        .output()
        .expect("docket serve");
    assert_eq!(output.status.code(), Some(2), "{arguments:?}");
    let text = String::from_utf8(output.stderr).expect("UTF-8");
    assert_eq!(text.lines().count(), 1, "{arguments:?}: {text}");
    text
}

#[test]
fn a_wrong_setting_is_one_line_and_exit_2() {
    for (arguments, sign) in [
        (&["--listen", "nowhere"][..], "--listen"),
        (&["--slots", "many"], "--slots"),
        (&["--colour", "red"], "--colour"),
        (&["--secret", "short"], "secret"),
        (&["--config", "/no/such/file.toml"], "config"),
        (&["--listen", "0.0.0.0:0"], "docket keys create"),
        (&["--public-url", "ftp://x"], "public-url"),
    ] {
        let text = refused(arguments);
        assert!(text.contains(sign), "{arguments:?}: {text}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_never_share_a_directory() {
    let server = Server::with(&["--slots", "0"]).await;
    let output = Command::new(BINARY)
        .args(["serve", "--listen", "127.0.0.1:0", "--data"])
        .arg(server.data())
        .output()
        .expect("docket serve");
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("another server uses it"));
}

#[tokio::test(flavor = "multi_thread")]
async fn health_readiness_and_the_document_need_no_key() {
    let mut server = Server::with(&["--slots", "0"]).await;
    server.key("acme", "reader");
    assert_eq!(server.get("/healthz").await.ok(), json!({"status": "ok"}));
    assert_eq!(server.get("/readyz").await.ok(), json!({"status": "ready"}));
    let document = server.get("/openapi.json").await.ok();
    assert_eq!(document["openapi"], "3.1.0");
    assert_eq!(server.terminate(), Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_data_directory_is_private() {
    use std::os::unix::fs::PermissionsExt;
    let server = Server::with(&["--slots", "0"]).await;
    let mode = |name: &str| std::fs::metadata(server.data().join(name)).expect(name).permissions().mode() & 0o777;
    assert_eq!(mode("secret.key"), 0o600);
}
