//! The errors that the table names for each operation: those that can be provoked from outside are, and an operation
//! gives them exactly if it names them. (That none gives another one is watched over by the service itself in debug
//! builds, which is what tests run.)

use crate::support::{Server, record};
use crate::workers::{claim, claimed_job, complete, variable};
use docket_client::{Client, ClientError, Request, RetryPolicy};
use docket_contract::operations::{Operation, Paging, Visitor, walk};
use docket_contract::{Code, JobId};
use serde_json::{Map, Value, json};
use utoipa::PartialSchema;

struct Row {
    name: &'static str,
    errors: &'static [Code],
    paging: Option<Paging>,
    /// The field that takes a token, where there are no pages.
    token: Option<&'static str>,
    example: Map<String, Value>,
    request: fn(Map<String, Value>) -> Result<Request, ClientError>,
}

struct Rows(Vec<Row>);

impl Visitor for Rows {
    fn visit<O: Operation>(&mut self) {
        let Ok(Value::Object(example)) = serde_json::to_value(O::example().0) else { panic!("{}", O::NAME) };
        let request = Request::from_fields::<O>;
        let schema = serde_json::to_value(O::Input::schema()).expect("a schema is JSON");
        let takes = |field: &&str| schema.pointer(&format!("/properties/{field}")).is_some();
        let token = ["lastEventId", "snapshot"].into_iter().find(takes);
        self.0.push(Row { name: O::NAME, errors: O::ERRORS, paging: O::PAGING, token, example, request });
    }
}

impl Row {
    /// The code of the error that the example gets, about this job or scheduled job.
    async fn code(&self, client: &Client, job: &str, change: impl FnOnce(&mut Map<String, Value>)) -> Option<String> {
        let mut fields = self.example.clone();
        // The example's page token is nobody's, and its records name the example's job.
        fields.remove("startAfter");
        fields.remove("lastEventId");
        for (field, value) in [("attempt", 1), ("waitSeconds", 0)] {
            if let Some(found) = fields.get_mut(field) {
                *found = json!(value);
            }
        }
        for record in fields.get_mut("results").and_then(Value::as_array_mut).into_iter().flatten() {
            record.as_object_mut().expect("a record").remove("jobId");
        }
        for field in ["jobId", "against", "scheduledJobId"] {
            if let Some(id) = fields.get_mut(field) {
                *id = json!(job);
            }
        }
        change(&mut fields);
        let request = (self.request)(fields).expect("a request");
        // The head tells it: an answer that goes on is not waited for.
        match client.open_request(&request).await {
            Ok(_) => None,
            Err(ClientError::Problem { code, .. }) => Some(code),
            Err(other) => panic!("{}: {other}", self.name),
        }
    }

    #[track_caller]
    fn expect(&self, code: Code, found: Option<&str>) {
        let (named, given) = (self.errors.contains(&code), found == Some(code.name()));
        assert_eq!(given, named, "{}: the table and the behaviour differ about {code}: {found:?}", self.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_give_the_errors_that_they_name() {
    // A job with a failed record, its rerun, which has ended, and the token that this one had.
    let server = Server::start().await;
    let original = claimed_job(&server, 3600, json!({"resultStorageId": "storage"})).await;
    complete(&server, &original, 1, 1).await.ok();
    let mut failed = record("1");
    failed["status"] = json!("FAILED");
    server.post(&format!("/jobs/{original}/results?storageId=storage"), &json!({"results": [failed]})).await.ok();
    let rerun = async || {
        let job = server.post(&format!("/jobs/{original}/rerun"), &json!({"onlyFailedRecords": true})).await.ok();
        let id = job["id"].as_str().expect("an id").to_owned();
        server.put(&format!("/jobs/{id}/attachments/summary.json"), &json!({})).await.ok();
        id
    };
    let ended = rerun().await;
    let claimed = claim(&server, json!({})).await;
    let token = variable(&claimed[0], "DOCKET_TOKEN");
    complete(&server, &ended, 1, 1).await.ok();
    let client = |key| Client::new(&server.url, key).expect("a client").with_retry(RetryPolicy::NONE);
    let (client, own) = (client(None), client(Some(token)));
    let mut rows = Rows(Vec::new());
    walk(&mut rows);
    let unknown = JobId::NONE.to_string();
    for row in &rows.0 {
        let code = row.code(&client, &unknown, |_| {}).await;
        if ["jobId", "scheduledJobId"].iter().any(|id| row.example.contains_key(*id)) {
            row.expect(Code::NotFound, code.as_deref());
        } else {
            // What names neither can only have its results deleted while it reads them.
            assert_ne!(code.as_deref(), Some(Code::NotFound.name()), "{}", row.name);
        }

        let waiting = match row.example.contains_key("scheduledJobId") {
            true => server.schedule("@yearly", "true", json!({})).await,
            false => rerun().await,
        };
        row.expect(Code::JobNotEnded, row.code(&client, &waiting, |_| {}).await.as_deref());
        if row.example.contains_key("attempt") {
            let stale = row.code(&client, &waiting, |fields| drop(fields.insert("attempt".into(), json!(99)))).await;
            if row.errors.contains(&Code::StaleAttempt) {
                row.expect(Code::StaleAttempt, stale.as_deref());
            }
        }
        match row.paging {
            None if let Some(token) = row.token => {
                let forged = |fields: &mut Map<String, Value>| drop(fields.insert(token.into(), json!("forged")));
                row.expect(Code::InvalidPageToken, row.code(&client, &waiting, forged).await.as_deref());
            }
            None => assert!(!row.errors.contains(&Code::InvalidPageToken), "{} has no pages", row.name),
            Some(paging) => {
                let forged = |fields: &mut Map<String, Value>| {
                    fields.insert("startAfter".into(), json!("forged"));
                    fields.insert("featuresOn".into(), paging.feature.into_iter().collect());
                };
                row.expect(Code::InvalidPageToken, row.code(&client, &waiting, forged).await.as_deref());
            }
        }

        // Some operations refuse only the reports of the job itself.
        let own = row.code(&own, &ended, |_| {}).await.filter(|code| code == Code::JobEnded.name());
        if row.errors.contains(&Code::JobNotEnded) {
            // It would remove the job that the other rows need.
            assert!(!row.errors.contains(&Code::JobEnded), "{} can't refuse both", row.name);
            continue;
        }
        let others = row.code(&client, &ended, |_| {}).await;
        row.expect(Code::JobEnded, own.or(others).as_deref());
    }
}
