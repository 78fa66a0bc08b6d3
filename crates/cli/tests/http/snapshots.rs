//! What clients and people hold on to: the OpenAPI document and the help. A change shows as a difference to be agreed to
//! (`INSTA_UPDATE=always`).

use crate::support::{BINARY, Server};
use std::process::Command;

#[tokio::test(flavor = "multi_thread")]
async fn the_openapi_document() {
    let server = Server::with(&["--slots", "0"]).await;
    let document = server.get("/openapi.json").await.ok();
    insta::assert_json_snapshot!(document);
}

#[test]
fn the_help() {
    for command in [
        "",
        "serve",
        "mock",
        "keys",
        "demo",
        "bench",
        "validate-partners",
        "call",
        "work",
        "results pull",
        "results push",
        "samples",
        "backup",
        "restore",
        "check",
        "erasure",
        "erasure verify",
        "wsdl",
    ] {
        let mut program = Command::new(BINARY);
        program.args(command.split_ascii_whitespace()).arg("--help").env_clear();
        let output = program.output().expect("docket --help");
        assert!(output.status.success(), "{command}");
        let name = if command.is_empty() { "help".to_owned() } else { format!("help-{}", command.replace(' ', "-")) };
        insta::assert_snapshot!(name, String::from_utf8(output.stdout).expect("UTF-8"));
    }
}
