//! Bodies: numbers, time stamps, nulls, and what the server does not know.

use super::{Shape, Stock};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn starts_are_read_kindly() {
    let start = |what, body: &str| Shape::post(what, "/jobs", body);
    let stock = Stock::new().await;
    stock
        .play(vec![
            start("only what is required", r#"{"dockerImageUrl":"i"}"#)
                .gives("/status", "PERSISTED")
                .gives("/attachments", json!([]))
                .lacks("/name")
                .lacks("/labels"),
            start("quoted integers", r#"{"dockerImageUrl":"i","priority":"60","memoryLimit":" 512 "}"#)
                .gives("/priority", 60)
                .gives("/memoryLimit", 512),
            start("integers with a fraction of nothing", r#"{"dockerImageUrl":"i","priority":60.0,"memoryLimit":5.12e2}"#)
                .gives("/priority", 60)
                .gives("/memoryLimit", 512),
            start("quoted decimals", r#"{"dockerImageUrl":"i","cpuLimit":"0.5","cpuRequest":1}"#).gives("/cpuLimit", 0.5),
            start("nulls, as some serializers write what is absent", r#"{"dockerImageUrl":"i","name":null,"commands":null,"labels":null,"tags":null,"priority":null,"retry":null,"startAt":null,"executor":null,"featuresOn":null,"environmentVariables":null}"#)
                .gives("/status", "PERSISTED")
                .lacks("/name"),
            start("empty arrays and texts", r#"{"dockerImageUrl":"i","commands":[],"tags":[],"description":""}"#)
                .gives("/status", "PERSISTED"),
            start("an unknown field", r#"{"dockerImageUrl":"i","colour":"red","labels":[{"name":"a","value":"b","id":1}]}"#)
                .gives("/labels/0/name", "a")
                .ignores("colour, labels.0.id"),
            start("what only answers have", r#"{"dockerImageUrl":"i","id":"x","status":"FINISHED","createdAt":null}"#)
                .gives("/status", "PERSISTED")
                .ignores("id, status, createdAt"),
            start("what is required, null", r#"{"dockerImageUrl":null}"#).status(400).gives("/errors/0/pointer", "/dockerImageUrl"),
            start("no number", r#"{"dockerImageUrl":"i","priority":"high"}"#).status(400).gives("/errors/0/pointer", "/priority"),
            start("an array at the top", "[]").status(400).gives("/code", "malformed_body"),
            start("half of it", r#"{"dockerImageUrl":"#).status(400).gives("/code", "malformed_body"),
            start("a byte order mark", "\u{feff}{\"dockerImageUrl\":\"i\"}").gives("/status", "PERSISTED"),
            start("white space around", "\r\n {\"dockerImageUrl\":\"i\"} \n").gives("/status", "PERSISTED"),
            Shape::post("a text that holds quotes", "/jobs/{job}/cancel", r#"{"reason":"\"no\"","gracePeriodSeconds":"5"}"#)
                .gives("/status", "CANCELED"),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn time_stamps_have_many_forms() {
    let stock = Stock::new().await;
    let at = |what, text: &str, expected: &str| {
        let body = format!(
            r#"{{"results":[{{"externalId":"t","processingStatus":{{"technicalKey":"X","modifiedAt":{text}}}}}]}}"#
        );
        let read = Shape::of(what, "GET /jobs/{job}/results?storageId=t")
            .gives("/values/0/processingStatus/modifiedAt", expected);
        [Shape::insert(what, &body).gives("/failed", 0), read]
    };
    let quarter_to_five = "2020-08-31T16:47:00.000Z";
    for pair in [
        at("without seconds, as in the vendor's example", r#""2020-08-31T16:47+00:00""#, quarter_to_five),
        at("without seconds, in UTC", r#""2020-08-31T16:47Z""#, quarter_to_five),
        at("with an offset", r#""2020-08-31T18:47:00+02:00""#, quarter_to_five),
        at("with an offset to the west", r#""2020-08-31T11:17:00-05:30""#, quarter_to_five),
        at(
            "with an offset without colon, as old Jackson writes it",
            r#""2020-08-31T16:47:00.000+0000""#,
            quarter_to_five,
        ),
        at("with an offset of hours", r#""2020-08-31T18:47:00+02""#, quarter_to_five),
        at(
            "with a zone behind, as Java's ZonedDateTime has it",
            r#""2020-08-31T18:47:00+02:00[Europe/Zurich]""#,
            quarter_to_five,
        ),
        at("in small letters", r#""2020-08-31t16:47:00z""#, quarter_to_five),
        at("with a space", r#""2020-08-31 16:47:00+00:00""#, quarter_to_five),
        at("with nanoseconds", r#""2020-08-31T16:47:00.123456789Z""#, "2020-08-31T16:47:00.123Z"),
        at("with tenths", r#""2020-08-31T16:47:00.1Z""#, "2020-08-31T16:47:00.100Z"),
    ] {
        stock.play(pair.into()).await;
    }
    let failing = |what, text: &str| {
        let body = format!(
            r#"{{"results":[{{"externalId":"t","processingStatus":{{"technicalKey":"X","modifiedAt":{text}}}}}]}}"#
        );
        Shape::insert(what, &body).gives("/failed", 1).gives("/failures/0/code", "wrong_type")
    };
    stock
        .play(vec![
            failing("without an offset nobody knows when", r#""2020-08-31T16:47:00""#),
            failing("only a day", r#""2020-08-31""#),
            failing("milliseconds as a number", "1598892420000"),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn inserts_are_read_kindly() {
    let insert = Shape::insert;
    let stock = Stock::new().await;
    stock
        .play(vec![
            insert("one id is enough", r#"{"results":[{"externalId":"a"}]}"#).gives("/created", 1).gives("/updated", 0).gives("/failed", 0),
            insert("the same again", r#"{"results":[{"externalId":"a"}]}"#).gives("/created", 0).gives("/updated", 1),
            insert("nothing", r#"{"results":[]}"#).gives("/created", 0).gives("/updated", 0).gives("/failed", 0).lacks("/failures"),
            insert("nulls", r#"{"results":[{"externalId":"n","businessPartnerId":null,"addressVersion":null,"status":null,"configuration":null,"processingStatus":null,"jobId":null,"resultData":null}],"featuresOn":null}"#)
                .gives("/created", 1),
            insert("a quoted version", r#"{"results":[{"externalId":"v","configuration":{"id":"c","version":"1"}}]}"#).gives("/created", 1),
            insert("unknown fields", r#"{"results":[{"externalId":"u","colour":"red"},{"externalId":"w","size":1}],"batchId":7}"#)
                .gives("/created", 2)
                .ignores("batchId, results.colour, results.size"),
            insert("a good and a bad one", r#"{"results":[{"externalId":"g"},{"externalId":"b","status":"GOOD"}]}"#)
                .gives("/created", 1)
                .gives("/failed", 1)
                .gives("/failures/0/index", 1),
            insert("a small country", r#"{"results":[{"externalId":"l","countryShortName":"ch"}]}"#).gives("/created", 1),
            insert("the feature of the vendor", r#"{"results":[{"externalId":"q"}],"featuresOn":["LAB_USE_QUEUES"]}"#),
            insert("no results", r#"{"featuresOn":[]}"#).status(400).gives("/errors/0/pointer", "/results"),
            Shape::of("what came of the country", "GET /jobs/{job}/results?storageId=t&externalId=l")
                .gives("/values/0/countryShortName", "CH")
                .lacks("/values/0/businessPartnerId"),
        ])
        .await;
}
