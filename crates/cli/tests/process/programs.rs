//! What a process of an attempt gets, and programs that can't be started.

use std::os::unix::fs::PermissionsExt;

use docket_service::executors::conformance::{self, Watcher};
use docket_service::executors::{Executor, Exit, State};

use super::{Place, launch, run, sh, whole_log};

#[tokio::test]
async fn the_environment_is_clean_and_the_marker_stays() {
    let place = Place::new();
    let executor = place.connect(1);
    let mut wanted = launch("env | sort; pwd; umask");
    wanted.environment = [("LANG", "de_AT"), ("B", "1"), ("B", "two\nlines"), ("DOCKET_JOB_ID", "forged")]
        .map(|(name, value)| (name.into(), value.into()))
        .to_vec();
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    let work = executor.work_directory(key);
    let work = work.display();
    let id = key.job_id;
    let expected = format!(
        "B=two\nDOCKET_ATTEMPT=1\nDOCKET_JOB_ID={id}\nHOME={work}\nLANG=de_AT\n\
         PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\nPWD={work}\nTMPDIR={work}\nlines\n{work}\n0077\n"
    );
    assert_eq!(whole_log(&executor, key).await, expected);
    let mode = std::fs::metadata(executor.work_directory(key)).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
}

#[tokio::test]
async fn a_process_has_its_own_session_standard_streams_only_and_default_signals() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch(
        "ls /proc/self/fd | tr '\\n' ' '; readlink /proc/self/fd/0; cut -d' ' -f5,6 /proc/$$/stat | tr ' ' '\\n' | uniq | wc -l; \
         test $(cut -d' ' -f6 /proc/$$/stat) = $$ && echo leader; \
         grep -E 'SigBlk|SigIgn' /proc/self/status; cat /proc/self/oom_score_adj",
    );
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    let log = whole_log(&executor, key).await;
    let lines: Vec<&str> = log.lines().collect();
    // The fourth is that of `ls` itself.
    assert_eq!(lines[..3], ["0 1 2 3 /dev/null", "1", "leader"]);
    for line in &lines[3..5] {
        let mask = u64::from_str_radix(line.split_once('\t').unwrap().1, 16).unwrap();
        // The standard signals; numbers from 32 on are the C library's own or nobody's.
        assert_eq!(mask & 0x7fff_ffff, 0, "{line}");
    }
    assert!(lines[5].parse::<i32>().unwrap() > 0);
}

#[tokio::test]
async fn arguments_are_passed_as_they_are() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = conformance::launch(["printf", "%s|", "a b", "$HOME", "*", "é\n", ""].map(String::from).to_vec());
    let key = wanted.key;
    assert_eq!(run(&executor, wanted).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, key).await, "a b|$HOME|*|é\n||");
}

#[tokio::test]
async fn a_program_that_cannot_start_is_refused_with_its_name() {
    let place = Place::new();
    let executor = place.connect(2);
    let plain = place.root().join("plain");
    std::fs::write(&plain, "no program").unwrap();
    let plain = plain.to_str().unwrap();
    let long = "x".repeat(200_000);
    let cases: [(&[&str], &str); 7] = [
        (&[], "commands is empty"),
        (&[""], "commands[0] is empty"),
        (&["no-such-program"], "\"no-such-program\" can't be started: it was not found"),
        (&[plain], "/plain\" can't be started: it is not executable"),
        (&["true", "a\0b"], "\"true\" can't be started: commands[1] holds a NUL character"),
        (&["true", &long], "\"true\" can't be started: its arguments and environment are larger"),
        (&[&long], "xxx\"... can't be started: "),
    ];
    let mut watcher = Watcher::new(&executor);
    for (commands, expected) in cases {
        let wanted = conformance::launch(commands.iter().map(|c| (*c).to_owned()).collect());
        let key = wanted.key;
        executor.launch(vec![wanted]).await.unwrap();
        match watcher.end(key).await {
            State::Refused { reason, .. } => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{commands:?} has started: {other:?}"),
        }
    }
    for (name, value, expected) in [
        ("A=B", "", "the name of environmentVariables[0]"),
        ("", "", "the name of environmentVariables[0]"),
        ("A", "x\0", "the value of environmentVariables[0]"),
    ] {
        let mut wanted = launch("exit 0");
        wanted.environment.push((name.into(), value.into()));
        let key = wanted.key;
        executor.launch(vec![wanted]).await.unwrap();
        match watcher.end(key).await {
            State::Refused { reason, .. } => assert!(reason.contains(expected), "{reason}"),
            other => panic!("{name:?} has started: {other:?}"),
        }
    }
}

#[tokio::test]
async fn a_working_directory_that_cannot_be_made_refuses_the_start() {
    let place = Place::new();
    let executor = place.connect(1);
    let wanted = launch("exit 0");
    let key = wanted.key;
    std::fs::write(place.data.join("jobs").join(key.job_id.to_string()), "in the way").unwrap();
    executor.launch(vec![wanted]).await.unwrap();
    match Watcher::new(&executor).end(key).await {
        State::Refused { reason, .. } => assert!(reason.contains("working directory"), "{reason}"),
        other => panic!("it has started: {other:?}"),
    }
}

#[tokio::test]
async fn a_second_attempt_has_its_own_directory_and_log() {
    let place = Place::new();
    let executor = place.connect(1);
    let first = launch("touch mine; ls; echo first");
    let mut second = first.clone();
    second.key.attempt = 2;
    second.commands = sh("ls; echo second");
    let (one, two) = (first.key, second.key);
    assert_eq!(run(&executor, first).await, Exit::Code(0));
    assert_eq!(run(&executor, second).await, Exit::Code(0));
    assert_eq!(whole_log(&executor, one).await, "mine\nfirst\n");
    assert_eq!(whole_log(&executor, two).await, "second\n");
    executor.remove(one.job_id).await.unwrap();
    assert!(!place.data.join("jobs").join(one.job_id.to_string()).exists());
}
