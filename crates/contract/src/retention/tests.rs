//! Which policy counts, and which are refused.

use super::*;
use proptest::option;
use proptest::prelude::*;

fn rule(storage_id: Option<&str>, job_type: Option<&str>) -> RetentionRule {
    let own = |text: &str| text.to_owned();
    RetentionRule { storage_id: storage_id.map(own), job_type: job_type.map(own), ..RetentionRule::default() }
}

fn policy(rule: RetentionRule, source: PolicySource) -> RetentionPolicy {
    RetentionPolicy { rule, source, user: None, modified_at: None }
}

fn kept(rule: RetentionRule, days: i32) -> RetentionPolicy {
    policy(RetentionRule { keep_days: Some(days), ..rule }, PolicySource::Api)
}

#[test]
fn the_most_specific_policy_counts_for_jobs() {
    let (s, t) = (Some("s"), Some("T_JOB"));
    let all = [kept(rule(None, None), 1), kept(rule(None, t), 2), kept(rule(s, None), 3), kept(rule(s, t), 4)];
    let days = |policies: &Policies, storage, kind| policies.for_jobs(storage, kind)?.rule.keep_days;
    for (left_out, expected) in [
        // For a job of both, of the storage only, of the type only, of neither.
        (4, [Some(4), Some(3), Some(2), Some(1)]),
        (3, [Some(3), Some(3), Some(2), Some(1)]),
        (2, [Some(4), Some(1), Some(2), Some(1)]),
        (1, [Some(4), Some(3), Some(1), Some(1)]),
        (0, [Some(4), Some(3), Some(2), None]),
    ] {
        let rest = all.iter().enumerate().filter(|(place, _)| *place != left_out);
        let policies = Policies::new(rest.map(|(_, policy)| policy.clone()));
        let found = [(s, t), (s, None), (None, t), (None, None)].map(|(s, t)| days(&policies, s, t));
        assert_eq!(found, expected, "without {left_out}");
        let others = [(s, Some("U_JOB")), (Some("r"), t), (Some("r"), Some("U_JOB"))];
        assert_eq!(others.map(|(s, t)| days(&policies, s, t)), [expected[1], expected[2], expected[3]]);
    }
}

#[test]
fn a_policy_counts_for_what_it_speaks_of() {
    let logs = |rule, days| policy(RetentionRule { keep_log_days: Some(days), ..rule }, PolicySource::Api);
    let policies = Policies::new([kept(rule(None, None), 1), logs(rule(Some("s"), None), 2)]);
    assert_eq!(policies.for_jobs(Some("s"), None).and_then(|policy| policy.rule.keep_days), Some(1));
    assert_eq!((policies.keep_log_days("s"), policies.keep_log_days("r")), (Some(2), None));
    let policies = Policies::new([logs(rule(None, None), 1), kept(rule(Some("s"), None), 2)]);
    assert_eq!((policies.keep_log_days("s"), policies.keep_log_days("r")), (Some(1), Some(1)));
    assert_eq!(policies.for_jobs(Some("r"), None), None);
    assert!(policies.keep_logs() && !Policies::default().keep_logs());
}

#[test]
fn a_later_policy_replaces_one_of_the_same_pair() {
    let configured = policy(RetentionRule { keep_runs: Some(5), ..rule(None, None) }, PolicySource::Configuration);
    let policies = Policies::new([configured.clone(), kept(rule(None, None), 7)]);
    let found = policies.for_jobs(None, None).expect("a policy");
    assert_eq!((found.source, found.rule.keep_days, found.rule.keep_runs), (PolicySource::Api, Some(7), None));
    assert_eq!(policies.iter().count(), 1);
    assert_eq!(Policies::new([configured]).iter().count(), 1);
}

#[test]
fn a_rule_names_what_is_wrong_with_it() {
    for (json, pointers) in [
        (r#"{"keepDays": 1}"#, &[][..]),
        (r#"{"keepLogDays": "36500", "storageId": "s"}"#, &[]),
        (r#"{"keepRuns": 1000000, "keepDays": 36500, "type": "A_JOB"}"#, &[]),
        ("{}", &["/keepDays"]),
        (r#"{"keepDays": 0, "keepRuns": 1000001, "keepLogDays": 36501}"#, &["/keepDays", "/keepRuns", "/keepLogDays"]),
        (r#"{"keepDays": 1, "storageId": "", "type": "a"}"#, &["/storageId", "/type"]),
        (r#"{"keepLogDays": 1, "type": "A_JOB"}"#, &["/keepLogDays"]),
    ] {
        let (mut rule, mut problems): (RetentionRule, _) =
            (serde_json::from_str(json).expect("JSON"), Problems::default());
        rule.validate(&mut problems);
        let found = problems.into_result().err().map(|error| error.errors).unwrap_or_default();
        let found: Vec<_> = found.iter().map(|field| field.pointer.as_str()).collect();
        assert_eq!(found, pointers, "{json}");
    }
}

#[test]
fn days_are_counted_back() {
    let now = Timestamp::from_millis(10 * DAY_MILLIS);
    let rule = RetentionRule { keep_days: Some(3), ..RetentionRule::default() };
    assert_eq!(rule.ended_before(now), Some(Timestamp::from_millis(7 * DAY_MILLIS)));
    assert_eq!(RetentionRule::default().ended_before(now), None);
}

proptest! {
    /// Whatever policies there are, the one that is found fits the job, and none that is more specific does.
    #[test]
    fn no_more_specific_policy_is_left_out(
        rules in proptest::collection::vec((option::of("[ab]"), option::of("[AB]_JOB"), option::of(1..9)), 0..9),
        storage in option::of("[abc]"),
        kind in option::of("[ABC]_JOB"),
    ) {
        let rules = rules.into_iter().map(|(storage_id, job_type, keep_days)| RetentionRule {
            keep_log_days: Some(1),
            storage_id,
            job_type,
            keep_days,
            ..RetentionRule::default()
        });
        let policies = Policies::new(rules.map(|rule| policy(rule, PolicySource::Api)));
        let fits = |rule: &RetentionRule| rule.keep_days.is_some()
            && (rule.storage_id.is_none() || rule.storage_id == storage)
            && (rule.job_type.is_none() || rule.job_type == kind);
        let rank = |rule: &RetentionRule| (rule.storage_id.is_some(), rule.job_type.is_some());
        let best = policies.iter().map(|policy| &policy.rule).filter(|rule| fits(rule)).max_by_key(|rule| rank(rule));
        let found = policies.for_jobs(storage.as_deref(), kind.as_deref()).map(|policy| &policy.rule);
        prop_assert_eq!(found, best);
    }
}
