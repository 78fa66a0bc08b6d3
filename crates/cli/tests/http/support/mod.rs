//! The real binary on a free loopback port with a data directory of its own, and requests to it.

pub mod stream;

pub use stream::Stream;

use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The longest that anything awaited may take; only reached when a test fails.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub const BINARY: &str = env!("CARGO_BIN_EXE_docket");

/// A running server. Dropping it kills server and supervisor.
pub struct Server {
    data: TempDir,
    flags: Vec<String>,
    environment: Vec<(String, String)>,
    child: Child,
    pub url: String,
    client: Client<HttpConnector, Full<Bytes>>,
}

/// An answer.
pub struct Response {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub body: Bytes,
    /// What stood behind the body.
    pub trailers: HeaderMap,
}

impl Response {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    /// The body of a success.
    #[track_caller]
    pub fn ok(&self) -> Value {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text());
        self.json()
    }

    /// Checks that it is a problem with this status and code, and answers the problem.
    #[track_caller]
    pub fn problem(&self, status: u16, code: &str) -> Value {
        assert_eq!(self.status.as_u16(), status, "{}", self.text());
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["code"], code, "{problem}");
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["type"], format!("/docs/errors/{code}"), "{problem}");
        problem
    }

    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().expect("visible ASCII"))
    }
}

impl Server {
    /// A server without keys.
    pub async fn start() -> Self {
        Self::with(&[]).await
    }

    /// A server with further flags.
    pub async fn with(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        Self::on(data, flags).await
    }

    /// A server with further flags and variables in its environment.
    pub async fn with_environment(flags: &[&str], environment: &[(&str, &str)]) -> Self {
        let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Self::launch(tempfile::tempdir().expect("a directory"), flags, environment).await
    }

    /// A server on a data directory that may hold something already.
    pub async fn on(data: TempDir, flags: &[&str]) -> Self {
        Self::launch(data, flags, Vec::new()).await
    }

    async fn launch(data: TempDir, flags: &[&str], environment: Vec<(String, String)>) -> Self {
        let flags: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        let client = Client::builder(TokioExecutor::new()).build_http();
        let (child, url) = spawn(data.path(), &flags, &environment).await;
        Self { data, flags, environment, child, url, client }
    }

    /// `docket mock`, which has no data directory.
    pub async fn mock(flags: &[&str]) -> Self {
        let data = tempfile::tempdir().expect("a directory");
        let mut program = Command::new(BINARY);
        program.args(["mock", "--listen", "127.0.0.1:0", "--log", "warn"]).args(flags);
        let started = listening(program, &data.path().join("port")).await;
        let (child, url) = started.unwrap_or_else(|status| panic!("the server ended with {status}"));
        let client = Client::builder(TokioExecutor::new()).build_http();
        Self { data, flags: Vec::new(), environment: Vec::new(), child, url, client }
    }

    /// The server's process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn data(&self) -> &Path {
        self.data.path()
    }

    /// Other flags from the next start on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
    }

    /// Ends the server at once; jobs and their supervisor go on.
    pub fn kill(&mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("reaped");
    }

    /// Asks the server to stop; answers its exit code.
    pub fn terminate(&mut self) -> Option<i32> {
        signal(self.child.id(), "TERM");
        self.child.wait().expect("reaped").code()
    }

    /// Starts it again on the same data, on another port.
    pub async fn restart(&mut self) {
        (self.child, self.url) = spawn(self.data.path(), &self.flags, &self.environment).await;
    }

    /// Starts it again so that it kills itself at this point (`point:n`, see `failpoint.rs`); false if it has done so
    /// before it listened.
    pub async fn restart_to_die_at(&mut self, point: &str) -> bool {
        let mut program = serve(self.data.path(), &self.flags, &self.environment);
        program.env("DOCKET_KILL_AT", point);
        match listening(program, &self.data.path().join("port")).await {
            Ok((child, url)) => {
                (self.child, self.url) = (child, url);
                true
            }
            Err(_) => false,
        }
    }

    /// Whether the server has ended.
    pub fn has_ended(&mut self) -> bool {
        self.child.try_wait().expect("a child").is_some()
    }

    /// Sends a JSON body; nothing if the server is gone before it has answered.
    pub async fn try_post(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Option<Value> {
        let mut request = Request::post(format!("{}{path}", self.url)).header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        self.try_send(request.body(Full::new(Bytes::from(body.to_string()))).expect("a request")).await
    }

    /// Reads; nothing if the server is gone before it has answered.
    pub async fn try_get(&self, path: &str) -> Option<Value> {
        self.try_send(Request::get(format!("{}{path}", self.url)).body(Full::default()).expect("a request")).await
    }

    async fn try_send(&self, request: Request<Full<Bytes>>) -> Option<Value> {
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await.expect("in time").ok()?;
        let body = answer.into_body().collect().await.ok()?.to_bytes();
        Some(serde_json::from_slice(&body).expect("JSON"))
    }

    pub async fn get(&self, path: &str) -> Response {
        self.send(Method::GET, path, &[], Bytes::new()).await
    }

    pub async fn delete(&self, path: &str) -> Response {
        self.send(Method::DELETE, path, &[], Bytes::new()).await
    }

    pub async fn post(&self, path: &str, body: &Value) -> Response {
        self.send(Method::POST, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn put(&self, path: &str, body: &Value) -> Response {
        self.send(Method::PUT, path, &[("content-type", "application/json")], body.to_string()).await
    }

    pub async fn send(&self, method: Method, path: &str, headers: &[(&str, &str)], body: impl Into<Bytes>) -> Response {
        let mut request = Request::builder().method(method).uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(body.into())).expect("a request");
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await.expect("in time");
        let (parts, body) = answer.expect("an answer").into_parts();
        let body = body.collect().await.expect("a body");
        let trailers = body.trailers().cloned().unwrap_or_default();
        Response { status: parts.status, headers: parts.headers, body: body.to_bytes(), trailers }
    }

    /// Opens an answer that goes on.
    pub async fn open(&self, path: &str, headers: &[(&str, &str)]) -> Stream {
        let mut request = Request::builder().uri(format!("{}{path}", self.url));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Full::new(Bytes::new())).expect("a request");
        let answer = tokio::time::timeout(PATIENCE, self.client.request(request)).await.expect("in time");
        let (head, body) = answer.expect("an answer").into_parts();
        Stream { status: head.status, headers: head.headers, body, text: String::new() }
    }

    /// Starts a job that runs a shell script; answers its id.
    pub async fn shell(&self, script: &str) -> String {
        self.start_job(json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script]})).await
    }

    pub async fn start_job(&self, body: Value) -> String {
        let job = self.post("/jobs", &body).await.ok();
        job["id"].as_str().expect("an id").to_owned()
    }

    /// Schedules a job that runs a shell script; answers the id.
    pub async fn schedule(&self, cron: &str, script: &str, more: Value) -> String {
        let mut schedule = scheduled(cron, script);
        let fields = more.as_object().expect("fields").clone();
        schedule["scheduledJob"].as_object_mut().expect("fields").extend(fields);
        let made = self.post("/scheduledjobs", &schedule).await.ok();
        made["id"].as_str().expect("an id").to_owned()
    }

    /// The runs of a scheduled job, the newest first, once there are so many.
    pub async fn until_runs(&self, schedule: &str, count: usize) -> Vec<Value> {
        let begin = Instant::now();
        loop {
            let found = self.get(&format!("/scheduledjobs/{schedule}/runs?limit=1000")).await.ok();
            let runs = found["values"].as_array().expect("runs");
            if runs.len() >= count {
                return runs.clone();
            }
            assert!(begin.elapsed() < PATIENCE, "waited for {count} runs, found {found}");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// A job that never starts by itself only where the server has no slots.
    pub async fn idle_job(&self, storage: &str) -> String {
        self.start_job(json!({"dockerImageUrl": "host", "resultStorageId": storage})).await
    }

    /// The job, once it has one of these statuses.
    pub async fn until(&self, job: &str, statuses: &[&str]) -> Value {
        let begin = Instant::now();
        loop {
            let found = self.get(&format!("/jobs/{job}")).await.ok();
            let status = found["status"].as_str().expect("a status");
            if statuses.contains(&status) {
                return found;
            }
            let ended = ["FINISHED", "FAILED", "DIED", "CANCELED"].contains(&status);
            assert!(!ended && begin.elapsed() < PATIENCE, "waited for {statuses:?}, found {found}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub async fn until_ended(&self, job: &str) -> Value {
        self.until(job, &["FINISHED", "FAILED", "DIED", "CANCELED"]).await
    }

    /// The job, once its message is this one.
    pub async fn until_told(&self, job: &str, message: &str) -> Value {
        let begin = Instant::now();
        loop {
            let found = self.get(&format!("/jobs/{job}")).await.ok();
            if found["statusMessage"] == message {
                return found;
            }
            assert!(begin.elapsed() < PATIENCE, "waited for {message:?}, found {found}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts a job that runs until the file `gate` of the data directory exists, then a shell script.
    pub async fn held(&self, gate: &str, script: &str, more: Value) -> String {
        let gate = self.data().join(gate);
        let script = format!("while [ ! -e {} ]; do sleep 0.01; done; {script}", gate.display());
        let mut job = json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script]});
        let fields = more.as_object().expect("fields").clone();
        job.as_object_mut().expect("a job").extend(fields);
        self.start_job(job).await
    }

    /// Lets jobs go on that wait for the file `gate`.
    pub fn open_gate(&self, gate: &str) {
        std::fs::write(self.data().join(gate), "").expect("opened");
    }

    pub async fn log(&self, job: &str) -> String {
        let answer = self.get(&format!("/jobs/{job}/log")).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text());
        answer.text()
    }

    /// Makes a key on the server's data directory.
    pub fn key(&self, organization: &str, role: &str) -> String {
        let data = self.data.path().to_str().expect("UTF-8");
        let made = Command::new(BINARY)
            .args(["keys", "--data", data, "create", "--organization", organization, "--role", role])
            .output()
            .expect("docket keys");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        String::from_utf8(made.stdout).expect("UTF-8").trim().to_owned()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        for pid in supervisors(self.data.path()) {
            signal(pid, "KILL");
        }
    }
}

fn serve(data: &Path, flags: &[String], environment: &[(String, String)]) -> Command {
    let mut program = Command::new(BINARY);
    program.args(["serve", "--listen", "127.0.0.1:0", "--log", "warn", "--data"]).arg(data).args(flags);
    // Jobs of these tests write where only the user of the tests may, and leave no control groups when all is killed.
    program.env("DOCKET_JOB_USER", rustix::process::geteuid().to_string()).env("DOCKET_MAX_PROCESSES", "0");
    program.envs(environment.iter().map(|(name, value)| (name, value)));
    program
}

async fn spawn(data: &Path, flags: &[String], environment: &[(String, String)]) -> (Child, String) {
    let started = listening(serve(data, flags, environment), &data.join("port")).await;
    started.unwrap_or_else(|status| panic!("the server ended with {status}"))
}

/// Starts a server and waits until it listens, or ends.
async fn listening(mut program: Command, port_file: &Path) -> Result<(Child, String), ExitStatus> {
    let _ = std::fs::remove_file(port_file);
    program.arg("--port-file").arg(port_file).env_remove("DOCKET_CONFIG").stdin(Stdio::null());
    let mut child = program.spawn().expect("the program");
    let begin = Instant::now();
    loop {
        if let Ok(port) = std::fs::read_to_string(port_file) {
            return Ok((child, format!("http://127.0.0.1:{}", port.trim())));
        }
        if let Some(status) = child.try_wait().expect("a child") {
            return Err(status);
        }
        assert!(begin.elapsed() < PATIENCE, "the server does not listen");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// The supervisors of a data directory: there is at most one.
pub fn supervisors(data: &Path) -> Vec<u32> {
    processes(|arguments| {
        arguments.iter().any(|argument| argument == "supervise") && arguments.iter().any(|a| Path::new(a) == data)
    })
}

/// The processes whose arguments fit.
pub fn processes(fits: impl Fn(&[String]) -> bool) -> Vec<u32> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").expect("/proc") {
        let path: PathBuf = entry.expect("an entry").path();
        let Some(pid) = path.file_name().and_then(|name| name.to_str()?.parse().ok()) else { continue };
        let Ok(line) = std::fs::read(path.join("cmdline")) else { continue };
        let arguments: Vec<String> =
            line.split(|&byte| byte == 0).map(|part| String::from_utf8_lossy(part).into_owned()).collect();
        if fits(&arguments) {
            found.push(pid);
        }
    }
    found
}

pub fn signal(pid: u32, name: &str) {
    let _ = Command::new("kill").arg(format!("-{name}")).arg(pid.to_string()).stderr(Stdio::null()).status();
}

/// The body that schedules a job which runs a shell script.
pub fn scheduled(cron: &str, script: &str) -> Value {
    let job = json!({"dockerImageUrl": "host", "commands": ["/bin/sh", "-c", script]});
    json!({"scheduledJob": {"name": "nightly", "cronExpression": cron, "job": job}})
}

/// One record for an insert.
pub fn record(external_id: &str) -> Value {
    json!({
        "externalId": external_id,
        "businessPartnerId": format!("bp-{external_id}"),
        "dataSourceId": "source",
        "status": "OK",
        "countryShortName": "CH",
        "resultData": "{\"dataDefects\":[],\"corrections\":[]}",
    })
}
