use crate::support::{BINARY, Server};
use serde_json::{Value, json};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_key_is_the_servers_and_stays() {
    let mut server = Server::with(&["--slots", "0"]).await;
    let key = server.get("/erasure/key").await.ok();
    assert_eq!((&key["kty"], &key["crv"], &key["alg"]), (&json!("OKP"), &json!("Ed25519"), &json!("EdDSA")));
    server.kill();
    server.restart().await;
    assert_eq!(server.get("/erasure/key").await.ok(), key);
    assert_ne!(Server::with(&["--slots", "0"]).await.get("/erasure/key").await.ok()["x"], key["x"]);

    let data = server.data().to_str().expect("UTF-8");
    let shown = Command::new(BINARY).args(["erasure", "key", "--data", data]).env_clear().output().expect("docket");
    assert!(shown.status.success(), "{shown:?}");
    assert_eq!(serde_json::from_slice::<Value>(&shown.stdout).expect("JSON"), key);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_that_no_server_has_used_has_no_key() {
    let data = tempfile::tempdir().expect("a directory");
    let path = data.path().to_str().expect("UTF-8");
    let refused = Command::new(BINARY).args(["erasure", "key", "--data", path]).env_clear().output().expect("docket");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("secret.key"), "{refused:?}");
    assert_eq!(std::fs::read_dir(data.path()).expect("readable").count(), 0, "none was made");
}
