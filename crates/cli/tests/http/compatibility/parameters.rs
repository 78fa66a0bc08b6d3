//! Paths and queries.

use super::{Shape, Stock};
use serde_json::json;

#[tokio::test(flavor = "multi_thread")]
async fn arrays_have_many_forms() {
    let results = Shape::results;
    let stock = Stock::new().await;
    stock
        .play(vec![
            results("once", "&businessPartnerId=bp-r1").gives("/total", 1).gives("/values/0/externalId", "r1"),
            results("repeated", "&businessPartnerId=bp-r1&businessPartnerId=bp-r2").gives("/total", 2),
            results("joined by commas", "&businessPartnerId=bp-r1,bp-r2,bp-r3").gives("/total", 3),
            results("joined, the comma encoded", "&businessPartnerId=bp-r1%2Cbp-r2").gives("/total", 2),
            results("both at once", "&businessPartnerId=bp-r1,bp-r2&businessPartnerId=bp-r3").gives("/total", 3),
            results("the same twice", "&businessPartnerId=bp-r1&businessPartnerId=bp-r1").gives("/total", 1),
            results("with empty items", "&businessPartnerId=,bp-r1,&businessPartnerId=").gives("/total", 1),
            results("only empty", "&businessPartnerId=").gives("/total", 12),
            results("an id that holds a comma", "&externalId=a,b")
                .gives("/total", 1)
                .gives("/values/0/externalId", "a,b"),
            results("the same, encoded", "&externalId=a%2Cb").gives("/total", 1),
            results("ids joined by commas", "&externalId=r1,r2").gives("/total", 2),
            results("ids with commas, repeated", "&externalId=a,b&externalId=r1").gives("/total", 2),
            results("brackets behind the name are another name", "&externalId[]=r1")
                .gives("/total", 12)
                .ignores("externalId[]"),
            results("features repeated", "&featuresOn=USE_NEXT_START_AFTER&featuresOn=USE_NEXT_START_AFTER&limit=5")
                .gives("/limit", 5),
            Shape::of("types of jobs", "GET /jobs?jobType=DATA_CURATION_JOB,DATA_VALIDATION_JOB")
                .gives("/values", json!([])),
            Shape::of(
                "statuses repeated",
                "GET /jobs?jobStatus=RUNNING&jobStatus=SCHEDULED&featuresOn=NUMBER_OF_TOTAL",
            )
            .gives("/total", 3),
            Shape::of("statuses joined", "GET /jobs?jobStatus=RUNNING,SCHEDULED&featuresOn=NUMBER_OF_TOTAL")
                .gives("/total", 3),
            Shape::of("one of the tags", "GET /jobs?tags=a&tags=c&featuresOn=NUMBER_OF_TOTAL").gives("/total", 2),
            Shape::of(
                "all of the tags, features joined",
                "GET /jobs?tags=a,b&featuresOn=NUMBER_OF_TOTAL,TAGS_CONJUNCTION",
            )
            .gives("/total", 1),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sorts_have_signs() {
    let stock = Stock::new().await;
    let newest = |what, query: &str| {
        Shape::of(what, &format!("GET /jobs{query}")).gives("/values/0/name", "third").gives("/values/2/name", "first")
    };
    let oldest = |what, query: &str| {
        Shape::of(what, &format!("GET /jobs{query}")).gives("/values/0/name", "first").gives("/values/2/name", "third")
    };
    stock
        .play(vec![
            newest("no sort", ""),
            newest("an empty sort", "?sort="),
            newest("minus", "?sort=-createdAt"),
            newest("minus, encoded", "?sort=%2DcreatedAt"),
            newest("minus, encoded in lower case", "?sort=%2dcreatedAt"),
            oldest("no sign", "?sort=createdAt"),
            oldest("plus, which arrives as a space", "?sort=+createdAt"),
            oldest("plus, encoded", "?sort=%2BcreatedAt"),
            oldest("plus, encoded in lower case", "?sort=%2bcreatedAt"),
            oldest("a space, encoded", "?sort=%20createdAt"),
            Shape::of("another field", "GET /jobs?sort=-modifiedAt").status(400).gives("/errors/0/pointer", "/sort"),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn single_values_are_read_kindly() {
    let results = Shape::results;
    let stock = Stock::new().await;
    stock
        .play(vec![
            results("empty parameters are absent", "&jobResultStatus=&limit=&startAfter=&dataSourceId=&featuresOn=")
                .gives("/total", 12)
                .gives("/limit", 500)
                .lacks("/startAfter"),
            results("names without =", "&jobResultStatus&limit&startAfter").gives("/total", 12),
            results("a stray &", "&&limit=2&").gives("/limit", 2),
            results("over the maximum", "&limit=100000").gives("/limit", 5000),
            results("with zeros in front", "&limit=007").gives("/limit", 7),
            results("with spaces around", "&limit=+7%20").gives("/limit", 7),
            results("zero", "&limit=0").status(400).gives("/errors/0/pointer", "/limit"),
            results("no number", "&limit=all").status(400).gives("/errors/0/pointer", "/limit"),
            results("given twice", "&limit=5&limit=6").status(400).gives("/errors/0/pointer", "/limit"),
            results("given twice, both alike", "&jobResultStatus=OK&jobResultStatus=OK")
                .status(400)
                .gives("/errors/0/pointer", "/jobResultStatus"),
            results("a plus is a space", "&externalId=x+y").gives("/total", 0),
            results("an encoded plus is a plus", "&externalId=x%2By").gives("/total", 1),
            results("escapes in upper case", "&externalId=%C3%BC%2F1%20%25").gives("/total", 1),
            results("escapes in lower case", "&externalId=%c3%bc%2f1+%25").gives("/total", 1),
            results("what needs no escape is escaped", "&%65xternalId=%72%31").gives("/total", 1),
            results("bytes that are not UTF-8", "&externalId=%FC")
                .status(400)
                .gives("/errors/0/pointer", "/externalId"),
            results("an unknown parameter", "&page=3&size=10").gives("/total", 12).ignores("page, size"),
            results("another spelling is another name", "&Limit=3").gives("/limit", 500).ignores("Limit"),
            results("an unknown value", "&jobResultStatus=ok")
                .status(400)
                .gives("/errors/0/pointer", "/jobResultStatus"),
            Shape::of("what is required", "GET /jobs/{job}/results")
                .status(400)
                .gives("/errors/0/pointer", "/storageId"),
            Shape::of("what is required, empty", "GET /jobs/{job}/results?storageId=")
                .status(400)
                .gives("/errors/0/pointer", "/storageId"),
        ])
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_have_two_bases() {
    let stock = Stock::new().await;
    let upper = stock.job.to_uppercase();
    stock
        .play(vec![
            Shape::of("plain", "GET /jobs/{job}").gives("/name", "first"),
            Shape::of("under the version", "GET /v2/jobs/{job}").gives("/name", "first"),
            Shape::of("results under the version", "GET /v2/jobs/{job}/results?storageId=s").gives("/total", 12),
            Shape::of("a slash at the end", "GET /jobs/{job}/").gives("/name", "first"),
            Shape::of("a slash at the end of a list", "GET /v2/jobs/?limit=1").gives("/limit", 1),
            Shape::of("a slash in front of the query", "GET /jobs/{job}/results/?storageId=s").gives("/total", 12),
            Shape::of("two slashes are another path", "GET //jobs").status(404),
            Shape::of("an id in capitals", &format!("GET /jobs/{upper}")).gives("/name", "first"),
            Shape::of("the absolute form", "GET http://localhost/jobs/{job}").gives("/name", "first"),
            Shape::of("no such job", "GET /jobs/35f23c03-1c22-45fe-9484-3ffe769325de")
                .status(404)
                .gives("/code", "not_found"),
            Shape::of("no UUID", "GET /jobs/4711").status(404).gives("/code", "not_found"),
            Shape::of("another method", "PATCH /jobs/{job}")
                .status(405)
                .answers("allow", "GET, PUT, DELETE, HEAD, OPTIONS"),
            Shape::of("what a browser asks first", "OPTIONS /jobs")
                .status(204)
                .answers("allow", "POST, GET, HEAD, OPTIONS"),
            Shape::of("a storage with a slash, encoded", "DELETE /jobs/results/a%2Fb").gives("/deleted", 0),
            Shape::of("a storage with a slash at the end", "DELETE /jobs/results/none/").gives("/deleted", 0),
        ])
        .await;
}
