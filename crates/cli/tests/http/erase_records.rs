use crate::support::{BINARY, Server, record};
use bytes::Bytes;
use docket_contract::Timestamp;
use http::Method;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::process::{Command, Output};

const SCENARIO: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/nightly-run.toml");

/// What is known of Ann under two external ids, and of Bob under one of them.
fn records() -> [Value; 3] {
    [("ann", "x1"), ("ann", "x2"), ("bob", "x1")].map(|(partner, external)| about(partner, external))
}

fn about(partner: &str, external: &str) -> Value {
    let mut record = record(external);
    record["businessPartnerId"] = json!(partner);
    record
}

/// Ann and Bob in the results of three jobs, in two storages, and in two processing logs.
struct World {
    one: String,
    two: String,
    three: String,
}

const LOGS: [(&str, &str); 2] = [("s", "OVERLAP_LOG"), ("t", "DUPLICATE_LOG")];

impl World {
    async fn of(server: &Server) -> Self {
        let mirrored = json!({"dockerImageUrl": "host", "resultStorageId": "s", "processingLogId": "OVERLAP_LOG"});
        let one = server.start_job(mirrored).await;
        let (two, three) = (server.idle_job("s").await, server.idle_job("t").await);
        let world = Self { one, two, three };
        for path in world.paths().iter().filter(|path| !path.contains("OVERLAP_LOG")) {
            server.post(path, &json!({"results": records()})).await.ok();
        }
        world
    }

    /// Where the five sets are read and written.
    fn paths(&self) -> Vec<String> {
        let jobs = [(&self.one, "s"), (&self.two, "s"), (&self.three, "t")];
        let jobs = jobs.iter().map(|(job, storage)| format!("/jobs/{job}/results?storageId={storage}"));
        jobs.chain(LOGS.iter().map(|(storage, log)| format!("/processinglogs/{storage}/{log}?limit=500"))).collect()
    }

    /// What each set has, as partner and external id.
    async fn expect(&self, server: &Server, expected: &[(&str, &str)]) {
        for path in self.paths() {
            let page = server.get(&path).await.ok();
            let text = |value: &Value| value.as_str().expect("a text").to_owned();
            let values = page["values"].as_array().expect("values").iter();
            let found: BTreeSet<_> =
                values.map(|value| (text(&value["businessPartnerId"]), text(&value["externalId"]))).collect();
            let expected = expected.iter().map(|(partner, external)| ((*partner).to_owned(), (*external).to_owned()));
            assert_eq!(found, expected.collect(), "{path}");
            assert_eq!(page["total"], found.len(), "{path}");
        }
    }

    /// The sets as a receipt names them.
    fn sets(&self, results: i64) -> Value {
        let job = |storage: &str, job: &str| json!({"storageId": storage, "jobId": job, "results": results});
        let log =
            |(storage, log): (&str, &str)| json!({"storageId": storage, "processingLogId": log, "results": results});
        let jobs = [&self.one, &self.two].map(|id| job("s", id));
        json!([jobs[0], jobs[1], log(LOGS[0]), job("t", &self.three), log(LOGS[1])])
    }
}

async fn erase(server: &Server, subject: Value) -> Value {
    server.post("/erasure", &subject).await.ok()
}

/// Everywhere that results can be seen.
async fn look_everywhere(server: &Server, world: &World) {
    world.expect(server, &[("bob", "x1")]).await;
    for path in world.paths() {
        for filter in ["businessPartnerId=ann", "externalId=x2"] {
            assert_eq!(server.get(&format!("{path}&{filter}")).await.ok()["total"], 0, "{path} {filter}");
        }
    }
    let statistics = server.get(&format!("/jobs/{}/results/statistics", world.one)).await.ok();
    assert_eq!(statistics["total"], 1);
    let statistics = server.get("/processinglogs/s/OVERLAP_LOG/statistics").await.ok();
    assert_eq!(statistics["total"], 1);
    for (subject, left) in [("businessPartnerId", json!(["ann"])), ("externalId", json!(["x2"]))] {
        let ask = json!({"storageId": "s", subject: left});
        assert_eq!(server.post("/jobs/results/fetchlast", &ask).await.ok()["total"], 0);
    }
    for path in
        [format!("/jobs/{}/results/export?storageId=s", world.two), "/processinglogs/t/DUPLICATE_LOG/export".into()]
    {
        let text = server.get(&path).await.text();
        assert!(text.lines().count() == 1 && !text.contains("ann"), "{text}");
    }
    let diff = server.get(&format!("/jobs/{}/results/diff?against={}", world.two, world.one)).await.ok();
    assert_eq!(diff["counts"]["unchanged"], 1, "{diff}");
}

/// By one id and then by the other; whatever `between` does must change nothing.
async fn erases_everywhere(server: &mut Server, restarts: bool) {
    let world = World::of(server).await;
    world.expect(server, &[("ann", "x1"), ("ann", "x2"), ("bob", "x1")]).await;
    // A comparison, and the mark of a moment, from before.
    let diff = format!("/jobs/{}/results/diff?against={}", world.two, world.one);
    assert_eq!(server.get(&diff).await.ok()["counts"]["unchanged"], 3);
    let export = format!("/jobs/{}/results/export?storageId=s", world.two);
    let before = server.get(&export).await;
    assert_eq!(before.text().lines().count(), 3);

    let receipt = erase(server, json!({"businessPartnerId": "ann"})).await;
    assert_eq!((&receipt["results"], &receipt["moreSets"]), (&json!(10), &json!(0)));
    assert_eq!((&receipt["subject"], &receipt["sets"]), (&json!({"businessPartnerId": "ann"}), &world.sets(2)));
    for restarted in [false, true] {
        if restarted && restarts {
            server.kill();
            server.restart().await;
        }
        look_everywhere(server, &world).await;
    }
    let then = server.get(&format!("{export}&snapshot={}", before.header("docket-snapshot"))).await;
    assert!(!then.text().contains("\"ann\""), "{}", then.text());

    let nothing = erase(server, json!({"businessPartnerId": "ann"})).await;
    assert_eq!((&nothing["results"], &nothing["sets"]), (&json!(0), &json!([])));
    assert_ne!(nothing["erasureId"], receipt["erasureId"]);
    let receipt = erase(server, json!({"externalId": "x1"})).await;
    assert_eq!((&receipt["subject"], &receipt["sets"]), (&json!({"externalId": "x1"}), &world.sets(1)));
    world.expect(server, &[]).await;

    // What is written again is new.
    let path = &world.paths()[0];
    let again = server.post(path, &json!({"results": [about("ann", "x1")]})).await.ok();
    assert_eq!((&again["created"], &again["updated"]), (&json!(1), &json!(0)));
    let written = server.get(path).await.ok()["values"][0].clone();
    let at = |value: &Value| value.as_str().expect("a time").parse::<Timestamp>().expect("a time");
    assert!(at(&written["createdAt"]) >= at(&receipt["erasedAt"]), "{written}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subject_is_gone_everywhere_and_nobody_else() {
    erases_everywhere(&mut Server::with(&["--slots", "0"]).await, true).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_scenario_erases_like_a_server() {
    erases_everywhere(&mut Server::mock(&["--scenario", SCENARIO]).await, false).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn other_organizations_keep_theirs() {
    let server = Server::with(&["--slots", "0"]).await;
    let keys = ["acme", "other"].map(|organization| server.key(organization, "admin"));
    let send = async |key: &str, path: &str, body: Value| {
        let headers = [("x-api-key", key), ("content-type", "application/json")];
        server.send(Method::POST, path, &headers, Bytes::from(body.to_string())).await.ok()
    };
    for key in &keys {
        send(key, "/processinglogs/s/OVERLAP_LOG", json!({"results": records()})).await;
    }
    let nobody = send(&keys[0], "/erasure", json!({"externalId": "ann"})).await;
    assert_eq!(nobody["results"], 0, "the id of a partner is no external id");
    let receipt = send(&keys[0], "/erasure", json!({"businessPartnerId": "ann"})).await;
    assert_eq!((&receipt["results"], &receipt["organization"]), (&json!(2), &json!("acme")));
    assert_eq!(receipt["erasedBy"], "admin");
    for (key, left) in [(&keys[0], 1), (&keys[1], 3)] {
        let headers = [("x-api-key", key.as_str())];
        let page = server.send(Method::GET, "/processinglogs/s/OVERLAP_LOG", &headers, Bytes::new()).await.ok();
        assert_eq!(page["total"], left);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn bad_requests_say_what_is_wrong() {
    let server = Server::with(&["--slots", "0"]).await;
    for (body, pointer) in [
        (json!({}), "/businessPartnerId"),
        (json!({"businessPartnerId": null}), "/businessPartnerId"),
        (json!({"businessPartnerId": "a", "externalId": "a"}), "/externalId"),
        (json!({"businessPartnerId": ""}), "/businessPartnerId"),
        (json!({"externalId": "x".repeat(256)}), "/externalId"),
        (json!({"externalId": "a\u{0}"}), "/externalId"),
        (json!({"externalId": ["a"]}), "/externalId"),
    ] {
        let problem = server.post("/erasure", &body).await.problem(400, "invalid_request");
        assert_eq!(problem["errors"][0]["pointer"], pointer, "{problem}");
    }
    for body in [json!({}), json!({"businessPartnerId": "a", "externalId": "a"})] {
        let detail = server.post("/erasure", &body).await.json()["detail"].to_string();
        assert!(detail.contains("businessPartnerId") && detail.contains("externalId"), "{detail}");
    }
}

/// Erasures at once, each with a receipt of its own, and what was erased is told once.
async fn erases_in_turn(server: &Server) {
    let world = World::of(server).await;
    let subject = json!({"businessPartnerId": "ann"});
    let receipts = tokio::join!(
        erase(server, subject.clone()),
        erase(server, subject.clone()),
        erase(server, json!({"externalId": "x1"})),
        erase(server, subject),
    );
    let receipts = [receipts.0, receipts.1, receipts.2, receipts.3];
    let results: i64 = receipts.iter().map(|receipt| receipt["results"].as_i64().expect("a number")).sum();
    assert_eq!(results, 15, "{receipts:?}");
    let ids: BTreeSet<_> = receipts.iter().map(|receipt| receipt["erasureId"].to_string()).collect();
    assert_eq!(ids.len(), 4);
    world.expect(server, &[]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_at_once_take_turns() {
    erases_in_turn(&Server::with(&["--slots", "0"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn erasures_at_once_take_turns_in_a_scenario() {
    erases_in_turn(&Server::mock(&["--scenario", SCENARIO]).await).await;
}

/// Answers that are kept for repetitions: the receipt is given again, and what named the subject is not.
async fn forgets_kept_answers(server: &Server) {
    let world = World::of(server).await;
    let send = async |key: &str, path: &str, body: &Value| {
        let headers = [("idempotency-key", key), ("content-type", "application/json")];
        let answer = server.send(Method::POST, path, &headers, body.to_string()).await;
        (answer.ok(), answer.header("idempotency-replayed") == "true")
    };
    let insert = |partner: &str| {
        let mut refused = about(partner, "x3");
        refused["countryShortName"] = json!("CHE");
        json!({"results": [refused]})
    };
    let path = &world.paths()[0];
    for (key, partner) in [("insert-ann", "ann"), ("insert-bob", "bob")] {
        let (told, replayed) = send(key, path, &insert(partner)).await;
        assert_eq!((&told["failures"][0]["businessPartnerId"], replayed), (&json!(partner), false));
        assert!(send(key, path, &insert(partner)).await.1);
    }
    let subject = json!({"businessPartnerId": "ann"});
    let (receipt, replayed) = send("erasure", "/erasure", &subject).await;
    assert_eq!((&receipt["results"], replayed), (&json!(10), false));
    assert_eq!(send("erasure", "/erasure", &subject).await, (receipt, true));
    assert!(send("insert-bob", path, &insert("bob")).await.1);
    assert!(!send("insert-ann", path, &insert("ann")).await.1, "the answer named the subject");
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_answers_that_name_the_subject_are_forgotten() {
    forgets_kept_answers(&Server::with(&["--slots", "0"]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kept_answers_are_forgotten_in_a_scenario() {
    forgets_kept_answers(&Server::mock(&["--scenario", SCENARIO]).await).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_erasure_that_is_killed_is_completed_by_the_next() {
    const STORAGES: i64 = 12;
    let mut server = Server::with(&["--slots", "0"]).await;
    for kills in [1, 5, 11] {
        for storage in 0..STORAGES {
            let path = format!("/processinglogs/storage-{storage}/CURATION_LOG");
            server.post(&path, &json!({"results": records()})).await.ok();
        }
        server.kill();
        assert!(server.restart_to_die_at(&format!("erased:{kills}")).await);
        let subject = json!({"businessPartnerId": "ann"});
        assert_eq!(server.try_post("/erasure", &[], &subject).await, None, "it died in between");
        server.kill();
        server.restart().await;
        let left = erase(&server, subject).await["results"].as_i64().expect("a number");
        assert!(left % 2 == 0 && left <= 2 * (STORAGES - kills), "whole storages were erased: {left} are left");
        for storage in 0..STORAGES {
            let page = server.get(&format!("/processinglogs/storage-{storage}/CURATION_LOG")).await.ok();
            assert_eq!((&page["total"], &page["values"][0]["businessPartnerId"]), (&json!(1), &json!("bob")));
        }
    }
    assert_eq!(server.terminate(), Some(0));
    let data = server.data().to_str().expect("UTF-8");
    let checked = Command::new(BINARY).args(["check", "--data", data]).output().expect("docket check");
    assert!(checked.status.success(), "{checked:?}");
}

fn docket(arguments: &[&str]) -> Output {
    Command::new(BINARY).arg("erasure").args(arguments).env_clear().output().expect("docket erasure")
}

#[track_caller]
fn told(output: &Output, code: i32) -> String {
    assert_eq!(output.status.code(), Some(code), "{output:?}");
    String::from_utf8_lossy(if code == 0 { &output.stdout } else { &output.stderr }).into_owned()
}

/// The receipt of a server's erasure is verified with the public key in a file, and from the server.
async fn verifies(server: &Server) {
    let world = World::of(server).await;
    let receipt = erase(server, json!({"businessPartnerId": "ann"})).await;
    let directory = tempfile::tempdir().expect("a directory");
    let file = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let genuine = file("receipt.json", &receipt.to_string());
    let signature = file("receipt.jws", receipt["signature"].as_str().expect("a signature"));
    let key = file("key.jwk", &server.get("/erasure/key").await.text());
    for (receipt, source) in
        [(&genuine, ["--jwk", &key]), (&signature, ["--jwk", &key]), (&genuine, ["--url", &server.url])]
    {
        let text = told(&docket(&["verify", receipt, source[0], source[1]]), 0);
        for sign in ["businessPartnerId ann", "results       10", &world.three, "DUPLICATE_LOG", "genuine"] {
            assert!(text.contains(sign), "{sign}: {text}");
        }
    }
    let mut changed = receipt.clone();
    changed["results"] = json!(11);
    let changed = file("changed.json", &changed.to_string());
    let text = told(&docket(&["verify", &changed, "--jwk", &key]), 1);
    assert!(text.contains("was changed") && text.contains("results"), "{text}");
    let other = Server::with(&["--slots", "0"]).await;
    let text = told(&docket(&["verify", &genuine, "--url", &other.url]), 1);
    assert!(text.contains("it names the key"), "{text}");
    for wrong in [["verify", "/nowhere", "--jwk", &key], ["verify", &genuine, "--jwk", &genuine]] {
        told(&docket(&wrong), 2);
    }
    told(&docket(&["verify", &genuine, "--data", directory.path().to_str().expect("UTF-8")]), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_are_verified() {
    let server = Server::with(&["--slots", "0"]).await;
    verifies(&server).await;
    // By the data directory alone, whatever was told.
    let receipt = erase(&server, json!({"externalId": "nobody"})).await;
    let file = server.data().join("receipt.json");
    std::fs::write(&file, receipt.to_string()).expect("written");
    let (file, data) = (file.to_str().expect("UTF-8"), server.data().to_str().expect("UTF-8"));
    assert!(told(&docket(&["verify", file, "--data", data]), 0).contains("results       0"));
}

#[tokio::test(flavor = "multi_thread")]
async fn receipts_of_a_scenario_are_verified() {
    verifies(&Server::mock(&["--scenario", SCENARIO]).await).await;
}
