//! When a request is repeated: bounded in number and in time, and as the server wishes.

use http::{HeaderMap, header};
use std::time::{Duration, SystemTime};

/// How often and how long a request is repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Repetitions after the first attempt.
    pub retries: u32,
    /// Longest time from the first attempt to the last.
    pub budget: Duration,
}

/// The wait before the first repetition; doubles from one to the next.
const FIRST: Duration = Duration::from_millis(50);
/// The longest wait that the client chooses itself.
const LONGEST: Duration = Duration::from_secs(5);

impl Default for RetryPolicy {
    fn default() -> Self {
        Self { retries: 8, budget: Duration::from_secs(30) }
    }
}

impl RetryPolicy {
    /// Never repeats.
    pub const NONE: Self = Self { retries: 0, budget: Duration::ZERO };

    /// How long to wait before repetition `attempt` (from 0); `None` to give up. `wish` is the server's `Retry-After`,
    /// `left` the rest of the budget, `random` in 0..1 spreads clients that failed together.
    pub fn delay(&self, attempt: u32, wish: Option<Duration>, left: Duration, random: f64) -> Option<Duration> {
        if attempt >= self.retries {
            return None;
        }
        let own = FIRST.saturating_mul(1 << attempt.min(16)).min(LONGEST);
        let own = own.mul_f64(0.5 + random / 2.0);
        let delay = match wish {
            // Never earlier than the server wishes; a little later, so that all clients do not come at once.
            Some(wish) => wish + FIRST.mul_f64(random),
            None => own,
        };
        (delay <= left).then_some(delay)
    }
}

/// What `Retry-After` wishes: seconds, or a date (RFC 9110, 10.2.3). A date counts from the server's own `Date`, so that
/// clocks that differ do no harm; one that is over is no wait. Anything else is no wish.
pub(super) fn wish(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if text.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.parse().ok().map(Duration::from_secs);
    }
    let until = httpdate::parse_http_date(text).ok()?;
    let date = headers.get(header::DATE).and_then(|date| httpdate::parse_http_date(date.to_str().ok()?).ok());
    Some(until.duration_since(date.unwrap_or(now)).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_servers_wish_has_two_forms() {
        let now = httpdate::parse_http_date("Mon, 23 Nov 2026 20:00:00 GMT").expect("a date");
        let asked = |wanted: &str, date: Option<&str>| {
            let mut headers = HeaderMap::new();
            headers.insert(header::RETRY_AFTER, wanted.parse().expect("a value"));
            if let Some(date) = date {
                headers.insert(header::DATE, date.parse().expect("a value"));
            }
            wish(&headers, now)
        };
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked("7", None), seconds(7));
        assert_eq!(asked(" 0 ", None), seconds(0));
        assert_eq!(asked("Mon, 23 Nov 2026 20:00:09 GMT", None), seconds(9));
        assert_eq!(asked("Monday, 23-Nov-26 20:00:09 GMT", None), seconds(9), "RFC 850");
        assert_eq!(asked("Mon Nov 23 20:00:09 2026", None), seconds(9), "asctime");
        assert_eq!(asked("Mon, 23 Nov 2026 20:00:09 GMT", Some("Mon, 23 Nov 2026 20:00:07 GMT")), seconds(2));
        assert_eq!(asked("Mon, 23 Nov 2026 19:00:00 GMT", None), seconds(0), "it is over");
        for none in ["", "-1", "soon", "1.5", "99999999999999999999999"] {
            assert_eq!(asked(none, None), None, "{none:?}");
        }
    }
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn waits_are_bounded(attempt in 0u32..100, wish in prop::option::of(0u64..100), left in 0u64..60, random in 0.0..1.0) {
            let policy = RetryPolicy::default();
            let (wish, left) = (wish.map(Duration::from_secs), Duration::from_secs(left));
            match policy.delay(attempt, wish, left, random) {
                Some(delay) => {
                    prop_assert!(attempt < policy.retries && delay <= left);
                    prop_assert!(delay >= wish.unwrap_or_default());
                }
                None => prop_assert!(attempt >= policy.retries || wish.unwrap_or(LONGEST) + FIRST > left),
            }
        }
    }

    #[test]
    fn waits_grow() {
        let delay = |attempt| RetryPolicy::default().delay(attempt, None, LONGEST, 1.0);
        assert_eq!(delay(0), Some(FIRST));
        assert_eq!(delay(3), Some(FIRST * 8));
        assert_eq!(RetryPolicy::NONE.delay(0, None, LONGEST, 0.0), None);
    }
}
