//! kill -9 of a process that inserts, claims and ends jobs: what it was told to be durable is there, and all is consistent.

use super::{File, SqliteControl};
use crate::store::conformance::control::{at, go, new_job, of};
use crate::store::{Changed, ControlStore, Scope, StoreError};
use docket_contract::job::{DependencyCondition as C, ExecutorKind, JobDependency};
use docket_contract::{JobId, Status};
use rusqlite::Connection;
use std::collections::HashMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

const PATH: &str = "DOCKET_TEST_CONTROL_FILE";
const KILLS: u64 = 20;

/// How far a job was acknowledged.
fn rank(status: Status) -> u8 {
    match status {
        Status::Persisted => 0,
        Status::Scheduled => 1,
        Status::Running => 2,
        _ => 3,
    }
}

/// Ranks of a job that is about to be deleted, and of one that was.
const DELETING: u8 = 4;
const DELETED: u8 = 5;

fn report(id: JobId, rank: u8) {
    let mut out = std::io::stdout().lock();
    // If this fails, the parent has killed this process, or is about to.
    let _ = writeln!(out, "acknowledged {id} {rank}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "the process that the test below kills"]
async fn victim() {
    let path = std::env::var(PATH).expect("the test below sets it");
    let store = Arc::new(SqliteControl::open(Path::new(&path)).unwrap());
    let mut work = tokio::task::JoinSet::new();
    for worker in 0..6_usize {
        let store = Arc::clone(&store);
        work.spawn(async move {
            let mut before = [None; 2];
            for round in 0.. {
                let mut job = new_job(["a", "b"][round % 2]);
                job.spec.locks = if round % 3 == 0 { vec![format!("lock{}", round % 2)] } else { Vec::new() };
                if let (Some(job_id), 0) = (before[round % 2], round % 5) {
                    job.status = Status::Persisted;
                    job.spec.job_dependencies =
                        vec![JobDependency { job_id, condition: C::Terminated, max_failed_share: None }];
                }
                job.user = format!("user{}", round % 3);
                job.spec.job_type = Some(format!("T{worker}_JOB"));
                job.spec.tags = vec![format!("tag{}", round % 5)];
                match store.insert_job(job).await {
                    Ok(job) => {
                        before[round % 2] = Some(job.job.id);
                        report(job.job.id, rank(Status::Persisted));
                    }
                    // It was deleted meanwhile.
                    Err(error) => assert_eq!(error, StoreError::NoDependency(0)),
                }
                store.resolve_dependents(at(4), 3).await.unwrap();
                for job in store.claim_due(ExecutorKind::Process, at(1), 2).await.unwrap() {
                    report(job.job.id, rank(job.job.status));
                    let job = go(&*store, &job, Status::Running, at(2)).await;
                    report(job.job.id, rank(job.job.status));
                    let job = go(&*store, &job, Status::Failed, at(3)).await;
                    report(job.job.id, rank(job.job.status));
                    if round % 7 == 0 && !job.followed {
                        report(job.job.id, DELETING);
                        let deleted = store.delete_job(&of(&job.organization), job.job.id).await.unwrap();
                        assert_eq!(deleted, Changed::Done(Box::new(job.clone())));
                        report(job.job.id, DELETED);
                    }
                }
            }
        });
    }
    work.join_all().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn kills_lose_nothing_that_was_acknowledged() {
    let file = File::new();
    let mut random = fastrand::Rng::with_seed(9);
    let mut acknowledged: HashMap<JobId, u8> = HashMap::new();
    for _ in 0..KILLS {
        let lines = random.usize(1..400);
        let journal = run_and_kill(&file.path(), lines);
        assert!(journal.len() >= lines, "the process ended by itself");
        for (id, rank) in journal {
            let known = acknowledged.entry(id).or_default();
            *known = (*known).max(rank);
        }
        let store = SqliteControl::open(&file.path()).unwrap();
        for (id, acknowledged) in &acknowledged {
            match store.read_job(&Scope::Everything, *id).await.unwrap() {
                Some(job) => assert!(rank(job.job.status) >= (*acknowledged).min(3) && *acknowledged < DELETED, "{id}"),
                None => assert!(*acknowledged >= DELETING, "{id} is gone"),
            }
        }
        store.close().await;
        check(&file.path());
    }
}

fn run_and_kill(path: &Path, lines: usize) -> Vec<(JobId, u8)> {
    let name = format!("{}::victim", module_path!().split_once("::").expect("a crate and modules").1);
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args([&name, "--exact", "--ignored", "--nocapture", "--test-threads=1"])
        .env(PATH, path)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut journal = Vec::new();
    for line in BufReader::new(child.stdout.take().unwrap()).lines() {
        let line = line.unwrap();
        // The last line may be cut off.
        let Some((_, line)) = line.split_once("acknowledged ") else { continue };
        let Some((id, rank)) = line.split_once(' ') else { continue };
        let Ok(rank) = rank.parse() else { continue };
        journal.push((id.parse().unwrap(), rank));
        if journal.len() == lines {
            child.kill().unwrap();
        }
    }
    child.wait().unwrap();
    journal
}

/// Statements that find rows where the tables contradict each other; none may find any.
const CONTRADICTIONS: [&str; 12] = [
    "SELECT organization, type, status, count(*) FROM job GROUP BY 1, 2, 3 EXCEPT SELECT * FROM job_count",
    "SELECT * FROM job_count EXCEPT SELECT organization, type, status, count(*) FROM job GROUP BY 1, 2, 3",
    "SELECT organization, user, type, status, count(*) FROM job GROUP BY 1, 2, 3, 4 EXCEPT SELECT * FROM job_user_count",
    "SELECT * FROM job_user_count EXCEPT SELECT organization, user, type, status, count(*) FROM job GROUP BY 1, 2, 3, 4",
    "SELECT seq FROM job AS j WHERE tagged <> EXISTS (SELECT 1 FROM job_tag AS t WHERE t.seq = j.seq)
    UNION ALL SELECT t.seq FROM job_tag AS t JOIN job AS j USING (seq)
        WHERE (t.organization, t.user, t.type, t.status) <> (j.organization, j.user, j.type, j.status)",
    "SELECT seq FROM job_tag WHERE seq NOT IN (SELECT seq FROM job)
    UNION ALL SELECT seq FROM job_body WHERE seq NOT IN (SELECT seq FROM job)
    UNION ALL SELECT seq FROM job_storage WHERE seq NOT IN (SELECT seq FROM job)",
    "SELECT seq FROM job WHERE seq NOT IN (SELECT seq FROM job_body)
    UNION ALL SELECT seq FROM job_body AS b, json_each(b.spec, '$.tags') AS t
        WHERE NOT EXISTS (SELECT 1 FROM job_tag AS x WHERE x.tag = t.value AND x.seq = b.seq)",
    // Gates are held by claimed jobs only, and their rows tell so; a lock has one holder.
    "SELECT seq FROM job AS j WHERE holds <> EXISTS (SELECT 1 FROM gate_holder AS h WHERE h.seq = j.seq)
    UNION ALL SELECT seq FROM gate_holder WHERE seq NOT IN (SELECT seq FROM job WHERE claimed = 1)
    UNION ALL SELECT 1 FROM gate_holder WHERE kind = 0 GROUP BY organization, kind, name HAVING count(*) > 1",
    // A job is at a gate exactly while it waits there or was called.
    "SELECT seq FROM job AS j
        WHERE (wait IN (2, 3)) <> EXISTS (SELECT 1 FROM gate_waiter AS w WHERE w.seq = j.seq AND w.rank = j.rank
            AND w.called = (j.wait = 3) AND w.executor = j.executor)
    UNION ALL SELECT seq FROM gate_waiter WHERE seq NOT IN (SELECT seq FROM job)",
    // Who waits at a lock waits for a holder, or for somebody who was called.
    "SELECT 1 FROM gate_waiter AS w WHERE kind = 0 AND called = 0
        AND NOT EXISTS (SELECT 1 FROM gate_holder AS h
            WHERE (h.organization, h.kind, h.name) = (w.organization, w.kind, w.name))
        AND NOT EXISTS (SELECT 1 FROM gate_waiter AS c
            WHERE (c.organization, c.kind, c.name) = (w.organization, w.kind, w.name) AND c.called = 1)",
    // What holds a job back fits its status.
    "SELECT seq FROM job WHERE wait IN (1, 2, 4) AND status <> 4 OR wait = 3 AND (status <> 3 OR claimed = 1)
        OR due_at IS NOT NULL AND wait NOT IN (1, 4)",
    // Whoever depends on a job waits, and the job knows that it is followed.
    "SELECT 1 FROM dependency AS d LEFT JOIN job AS j ON j.seq = d.seq LEFT JOIN job AS u ON u.seq = d.upstream
        WHERE j.wait IS NOT 1 OR u.followed IS NOT 1",
];

/// Checks that the file is whole and that its tables agree.
pub(super) fn check(path: &Path) {
    let connection = Connection::open(path).unwrap();
    let verdict: String = connection.query_row("PRAGMA integrity_check", [], |row| row.get(0)).unwrap();
    assert_eq!(verdict, "ok");
    for statement in CONTRADICTIONS {
        assert!(!connection.prepare(statement).unwrap().exists([]).unwrap(), "{statement}");
    }
}
