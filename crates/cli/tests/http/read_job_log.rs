use crate::support::Server;

#[tokio::test(flavor = "multi_thread")]
async fn whole_and_tail() {
    let server = Server::start().await;
    let id = server.shell("for i in 1 2 3 4 5; do echo line $i; done; printf '\\377end' >&2").await;
    server.until(&id, &["FINISHED"]).await;
    let whole = "line 1\nline 2\nline 3\nline 4\nline 5\n\u{FFFD}end";
    assert_eq!(server.log(&id).await, whole);
    for (tail, expected) in [(0, ""), (1, "\u{FFFD}end"), (3, "line 4\nline 5\n\u{FFFD}end"), (50_000, whole)] {
        let answer = server.get(&format!("/jobs/{id}/log?tail={tail}")).await;
        assert_eq!(answer.text(), expected, "tail={tail}");
        assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    }
    server.get(&format!("/jobs/{id}/log?tail=-1")).await.problem(400, "invalid_request");
    server.get(&format!("/jobs/{id}/log?attempt=2")).await.problem(404, "not_found");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_log_keeps_both_ends_and_says_where_it_was_cut() {
    let server = Server::with(&["--log-limit", "20000"]).await;
    let id = server.shell("seq 1 100000").await;
    server.until(&id, &["FINISHED"]).await;
    let log = server.log(&id).await;
    assert!(log.len() < 21_000, "{}", log.len());
    assert!(log.starts_with("1\n2\n3\n") && log.ends_with("\n99999\n100000\n"), "{log}");
    assert_eq!(log.matches("bytes of log were cut here]").count(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_never_ran_has_an_empty_log() {
    let server = Server::with(&["--slots", "0"]).await;
    let id = server.shell("echo no").await;
    assert_eq!(server.log(&id).await, "");
}
