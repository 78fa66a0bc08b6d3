//! The mock through its router: every row of the table at every path, and what a client may ask for.

use super::{PATH, vary};
use crate::faces::openapi;
use crate::faces::rest::RestOptions;
use axum::Router;
use axum::body::Body;
use docket_contract::error::Problem;
use docket_contract::operations::{Method, Operation, Visitor, walk};
use http::{HeaderMap, Request, StatusCode};
use http_body_util::BodyExt;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Map, Value, json};
use tower::ServiceExt;
use utoipa::ToSchema;

/// A request that holds an operation's example.
#[derive(Clone)]
struct Example {
    name: &'static str,
    method: &'static str,
    path: String,
    query: String,
    body: Option<String>,
    media_type: &'static str,
    /// Named outputs, as their bytes on the wire.
    outputs: Vec<(&'static str, String)>,
    codes: Vec<docket_contract::Code>,
    /// As a SOAP 1.1 envelope, where the operation has that form and a single text says all.
    envelope: Option<String>,
}

#[derive(Default)]
struct Examples(Vec<Example>);

impl Visitor for Examples {
    fn visit<O: Operation>(&mut self) {
        let input = serde_json::to_value(O::example().0).expect("JSON");
        let text = |value: &Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
        let encoded = |value: &Value| utf8_percent_encode(&text(value), NON_ALPHANUMERIC).to_string();
        let (mut path, mut query, mut body) = (O::PATH.to_owned(), Vec::new(), Map::new());
        let has_body = matches!(O::METHOD, Method::Post | Method::Put);
        for (name, value) in input.as_object().expect("an object") {
            let place = format!("{{{name}}}");
            if path.contains(&place) {
                path = path.replace(&place, &encoded(value));
            } else if !has_body || O::QUERY.contains(&name.as_str()) {
                let items = value.as_array().map_or_else(|| std::slice::from_ref(value), Vec::as_slice);
                query.extend(items.iter().map(|item| format!("{name}={}", encoded(item))));
            } else {
                body.insert(name.clone(), value.clone());
            }
        }
        let wire = |(name, output): (&'static str, O::Output)| {
            let json = serde_json::to_value(&output).expect("JSON");
            let text = serde_json::to_string(&output).expect("JSON");
            (name, if O::MEDIA_TYPE == "application/json" { text } else { self::text(&json) })
        };
        self.0.push(Example {
            name: O::NAME,
            method: O::METHOD.name(),
            path,
            query: query.join("&"),
            body: has_body.then(|| Value::Object(body).to_string()),
            media_type: O::MEDIA_TYPE,
            outputs: O::examples().into_iter().map(wire).collect(),
            codes: openapi::codes::<O>(),
            envelope: (O::SOAP
                && input.as_object().is_some_and(|input| input.len() <= 1 && input.values().all(Value::is_string)))
            .then(|| envelope(O::NAME, &input)),
        });
    }
}

fn text(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

fn envelope(name: &str, input: &Value) -> String {
    let members = input.as_object().into_iter().flatten();
    let members: String = members.map(|(name, value)| format!("<{name}>{}</{name}>", text(value))).collect();
    format!(
        "<s:Envelope xmlns:s=\"http://schemas.xmlsoap.org/soap/envelope/\"><s:Body>\
         <{name} xmlns=\"urn:docket:jobs-management:v2\">{members}</{name}></s:Body></s:Envelope>"
    )
}

fn examples() -> Vec<Example> {
    let mut examples = Examples::default();
    walk(&mut examples);
    assert!(examples.0.len() >= 13);
    examples.0
}

fn mock() -> Router {
    super::router(RestOptions::default())
}

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("ASCII"))
    }

    fn problem(&self) -> Problem {
        assert_eq!(self.header("content-type"), "application/problem+json", "{}", self.body);
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}

async fn ask(router: &Router, prefix: &str, example: &Example, prefer: &str) -> Answer {
    let uri = format!("{prefix}{}?{}", example.path, example.query);
    let mut request = Request::builder().method(example.method).uri(uri);
    if !prefer.is_empty() {
        request = request.header("prefer", prefer);
    }
    if example.body.is_some() {
        request = request.header("content-type", "application/json");
    }
    let body = example.body.clone().map_or_else(Body::empty, Body::from);
    send(router, request.body(body).expect("a request")).await
}

async fn send(router: &Router, request: Request<Body>) -> Answer {
    let response = router.clone().oneshot(request).await.expect("an answer");
    let (parts, body) = response.into_parts();
    let body = body.collect().await.expect("a body").to_bytes();
    Answer { status: parts.status, headers: parts.headers, body: String::from_utf8(body.to_vec()).expect("UTF-8") }
}

fn read_job() -> Example {
    examples().into_iter().find(|example| example.name == "readJob").expect("in the table")
}

#[tokio::test]
async fn every_operation_answers_its_examples_at_every_path() {
    let router = mock();
    for example in examples() {
        for prefix in ["", "/v2", PATH] {
            let answer = ask(&router, prefix, &example, "").await;
            assert_eq!(answer.status, StatusCode::OK, "{} {prefix}: {}", example.name, answer.body);
            assert_eq!(answer.header("content-type"), example.media_type);
            assert_eq!(answer.body, example.outputs[0].1, "{} {prefix}", example.name);
            assert_eq!(answer.header("preference-applied"), "");
        }
        for (name, output) in &example.outputs {
            let answer = ask(&router, PATH, &example, &format!("example={name}")).await;
            assert_eq!((answer.status, &answer.body), (StatusCode::OK, output), "{} {name}", example.name);
            assert_eq!(answer.header("preference-applied"), format!("example={name}"));
        }
    }
}

#[tokio::test]
async fn every_operation_answers_its_errors() {
    let router = mock();
    for example in examples() {
        assert!(!example.codes.is_empty());
        for code in &example.codes {
            let answer = ask(&router, PATH, &example, &format!("code={code}")).await;
            let problem = answer.problem();
            assert_eq!((problem.code, problem.status), (*code, answer.status.as_u16()), "{}", example.name);
            assert_eq!(problem.instance, openapi_path(example.name), "{}", example.name);
            assert_eq!(answer.header("preference-applied"), format!("code={code}"));

            let status = code.status();
            let answer = ask(&router, PATH, &example, &format!("code={status}")).await;
            assert_eq!(answer.status.as_u16(), status, "{}", example.name);
            assert_eq!(answer.problem().code.status(), status);
            let both = ask(&router, PATH, &example, &format!("code={status}, example={code}")).await;
            assert_eq!(both.problem().code, *code, "{}", example.name);
            assert_eq!(both.header("preference-applied"), format!("code={status}, example={code}"));
        }
        let answer = ask(&router, PATH, &example, "code=rate_limited").await;
        assert_eq!(answer.header("retry-after"), "1");
    }
}

#[tokio::test]
async fn soap_has_the_same_answers() {
    let router = mock();
    let mut asked = 0;
    for example in examples() {
        let Some(envelope) = example.envelope else { continue };
        asked += 1;
        for path in ["/soap/v2".to_owned(), format!("{PATH}/soap/v2")] {
            let post = |prefer: &str| {
                let request =
                    Request::post(&path).header("content-type", "text/xml; charset=utf-8").header("soapaction", "\"\"");
                request.header("prefer", prefer).body(Body::from(envelope.clone())).expect("a request")
            };
            let answer = send(&router, post("wait=0")).await;
            assert_eq!(answer.status, StatusCode::OK, "{}: {}", example.name, answer.body);
            assert!(answer.body.contains(&format!("{}Response", example.name)), "{}", answer.body);
            for code in &example.codes {
                let fault = send(&router, post(&format!("code={code}"))).await;
                assert!(
                    fault.body.contains("Fault>") && fault.body.contains(code.name()),
                    "{}: {}",
                    example.name,
                    fault.body
                );
                assert_eq!(fault.header("preference-applied"), format!("code={code}"));
            }
        }
    }
    assert!(asked >= 3);
    for (mounted, path) in [("", "/soap/v2"), (PATH, "/soap/v2")] {
        let request = Request::get(format!("{mounted}{path}?wsdl")).header("host", "here:1").body(Body::empty());
        let wsdl = send(&router, request.expect("a request")).await;
        assert!(wsdl.body.contains(&format!("location=\"http://here:1{mounted}{path}\"")), "{}", &wsdl.body[..500]);
    }
}

/// The template of an operation's path.
fn openapi_path(name: &str) -> &'static str {
    struct Find(&'static str, String);
    impl Visitor for Find {
        fn visit<O: Operation>(&mut self) {
            if O::NAME == self.1 {
                self.0 = O::PATH;
            }
        }
    }
    let mut find = Find("", name.to_owned());
    walk(&mut find);
    find.0
}

#[tokio::test]
async fn wishes_that_can_not_be_fulfilled_say_why() {
    let router = mock();
    let example = read_job();
    for (prefer, sign) in [
        ("code=418", "404 (not_found)"),
        ("code=job_not_ended", "code must be 200 or one that readJob has"),
        ("code=", "one that readJob has"),
        ("example=nothing", "running, finished, failed, died"),
        ("code=404, example=running", "must be one of not_found"),
        ("wait=soon", "number of seconds"),
    ] {
        let answer = ask(&router, "", &example, prefer).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{prefer}");
        let problem = answer.problem();
        assert_eq!(problem.errors[0].pointer, "/Prefer", "{prefer}");
        assert!(problem.detail.contains(sign), "{prefer}: {}", problem.detail);
        assert_eq!(answer.header("preference-applied"), "", "{prefer}");
    }
}

#[tokio::test]
async fn bad_input_gets_the_real_error_whatever_is_preferred() {
    let router = mock();
    let list = examples().into_iter().find(|example| example.name == "listJobs").expect("in the table");
    let bad = Example { query: "limit=0&sort=up".to_owned(), ..list };
    for prefer in ["", "code=200", "code=500", "dynamic=true"] {
        let problem = ask(&router, PATH, &bad, prefer).await.problem();
        let pointers: Vec<_> = problem.errors.iter().map(|error| error.pointer.as_str()).collect();
        assert_eq!((problem.status, pointers), (400, vec!["/sort", "/limit"]), "{prefer}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_waits_as_long_as_is_preferred() {
    let router = mock();
    for (prefer, millis, applied) in [
        ("wait=1.5", 1500, "wait=1.5"),
        ("wait=1000", 60_000, "wait=60"),
        ("wait=2, code=404", 2000, "code=404, wait=2"),
        ("wait=0", 0, "wait=0"),
    ] {
        let begin = tokio::time::Instant::now();
        let answer = ask(&router, "", &read_job(), prefer).await;
        assert_eq!(begin.elapsed().as_millis(), millis, "{prefer}");
        assert_eq!(answer.header("preference-applied"), applied);
        assert!(answer.headers.get_all("vary").iter().any(|name| name == "prefer"), "{prefer}");
    }
}

#[tokio::test]
async fn random_answers_repeat_with_their_seed() {
    let router = mock();
    let example = read_job();
    let first = ask(&router, "", &example, "dynamic=true, seed=7").await;
    assert_eq!(first.header("preference-applied"), "dynamic=true, seed=7");
    assert_eq!(ask(&router, "", &example, "seed=7, dynamic").await.body, first.body);
    assert_ne!(ask(&router, "", &example, "dynamic=true, seed=8").await.body, first.body);
    let chosen = ask(&router, "", &example, "dynamic=true").await;
    let applied = chosen.header("preference-applied").to_owned();
    assert_eq!(ask(&router, "", &example, &applied).await.body, chosen.body);
}

/// Checks random outputs of each row against its schema.
struct Varied;

impl Visitor for Varied {
    fn visit<O: Operation>(&mut self) {
        let mut found = vec![(O::Output::name().into_owned(), <O::Output as utoipa::PartialSchema>::schema())];
        O::Output::schemas(&mut found);
        let schemas: Map<String, Value> =
            found.iter().map(|(name, schema)| (name.clone(), openapi::value(schema))).collect();
        let root = schemas[&*O::Output::name()].clone();
        let schema = json!({"components": {"schemas": schemas}, "allOf": [root]});
        let validator =
            jsonschema::draft202012::options().should_validate_formats(true).build(&schema).expect("a schema");
        let mut different = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let output = vary::vary::<O>(&O::example().1, seed).unwrap_or_else(|e| panic!("{} {seed}: {e}", O::NAME));
            let json = serde_json::to_value(&output).expect("JSON");
            let wrong: Vec<_> = validator.iter_errors(&json).map(|e| format!("{}: {e}", e.instance_path())).collect();
            assert!(wrong.is_empty(), "{} {seed}: {wrong:?}", O::NAME);
            different.insert(json.to_string());
        }
        // The bytes of a file follow no schema.
        assert!(O::GIVES_FILE || different.len() > 50, "{} varies little: {}", O::NAME, different.len());
    }
}

#[test]
fn random_answers_are_true_to_the_schema() {
    walk(&mut Varied);
}
