//! Whether an attempt that failed or died is followed by another one, and after how long.

use docket_contract::Status;
use docket_contract::job::{DEFAULT_BACKOFF_SECONDS, DEFAULT_MAX_BACKOFF_SECONDS, Retry, RetryOn};

/// The delay in milliseconds after which the next attempt is due; `None` if there is none. `spread` is from -1 to 1: the
/// delay is up to a fifth shorter or longer, so that jobs that failed together do not come back together.
pub(super) fn delay(retry: &Retry, attempt: i32, end: Status, spread: f64) -> Option<i64> {
    let on = match end {
        Status::Failed => RetryOn::Failed,
        Status::Died => RetryOn::Died,
        _ => return None,
    };
    if attempt >= retry.max_attempts.unwrap_or(1) || !(retry.on.is_empty() || retry.on.contains(&on)) {
        return None;
    }
    let first = retry.backoff_seconds.unwrap_or(DEFAULT_BACKOFF_SECONDS);
    let most = retry.max_backoff_seconds.unwrap_or(DEFAULT_MAX_BACKOFF_SECONDS);
    // At most 20 attempts of at most a day: no number comes near its bounds.
    let doubled = i64::from(first) << (attempt - 1).clamp(0, 20);
    let delay = doubled.min(i64::from(most)) * 1000;
    // As exact as a delay need be.
    #[allow(clippy::cast_possible_truncation, reason = "from -1000 to 1000")]
    let spread = (spread.clamp(-1.0, 1.0) * 1000.0) as i64;
    Some(delay + delay / 5 * spread / 1000)
}

/// What to tell while the delay lasts: which attempt follows and when, and how this one ended.
pub(super) fn message(retry: &Retry, attempt: i32, delay_ms: i64, end: Option<&str>) -> String {
    let (next, most) = (attempt + 1, retry.max_attempts.unwrap_or(1));
    let (seconds, tenths) = (delay_ms / 1000, delay_ms % 1000 / 100);
    let after = if tenths == 0 { format!("{seconds} s") } else { format!("{seconds}.{tenths} s") };
    let begin = format!("Attempt {next} of {most} starts after {after}.");
    end.map_or_else(|| begin.clone(), |end| format!("{begin} {end}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn retry(on: &[RetryOn], first: Option<i32>, most: Option<i32>) -> Retry {
        Retry { max_attempts: Some(5), backoff_seconds: first, max_backoff_seconds: most, on: on.to_vec() }
    }

    #[test]
    fn delays_double_up_to_the_longest() {
        let retry = retry(&[], Some(8), Some(30));
        let delays: Vec<_> = (1..=5).map(|attempt| delay(&retry, attempt, Status::Failed, 0.0)).collect();
        assert_eq!(delays, [Some(8_000), Some(16_000), Some(30_000), Some(30_000), None]);
        assert_eq!(delay(&retry, 1, Status::Died, 1.0), Some(9_600));
        assert_eq!(delay(&retry, 1, Status::Died, -1.0), Some(6_400));
    }

    #[test]
    fn what_is_not_said_has_a_default() {
        let retry = retry(&[], None, None);
        assert_eq!(delay(&retry, 1, Status::Failed, 0.0), Some(10_000));
        let many = Retry { max_attempts: Some(20), ..retry };
        assert_eq!(delay(&many, 19, Status::Failed, 0.0), Some(3_600_000));
        assert_eq!(delay(&Retry { max_attempts: None, ..many }, 1, Status::Failed, 0.0), None);
    }

    #[test]
    fn only_the_named_ends_grant_another_attempt() {
        use RetryOn::{Died, Failed};
        for (on, end, granted) in [
            (&[][..], Status::Failed, true),
            (&[], Status::Died, true),
            (&[Failed], Status::Died, false),
            (&[Died], Status::Died, true),
            (&[Died, Failed], Status::Failed, true),
            (&[], Status::Canceled, false),
            (&[], Status::Finished, false),
        ] {
            assert_eq!(delay(&retry(on, Some(1), None), 1, end, 0.0).is_some(), granted, "{on:?} {end:?}");
        }
    }

    #[test]
    fn the_message_names_attempt_delay_and_reason() {
        let retry = retry(&[], None, None);
        let text = message(&retry, 1, 8_000, Some("The job ended with exit code 3."));
        assert_eq!(text, "Attempt 2 of 5 starts after 8 s. The job ended with exit code 3.");
        assert_eq!(message(&retry, 4, 950, None), "Attempt 5 of 5 starts after 0.9 s.");
    }
}
