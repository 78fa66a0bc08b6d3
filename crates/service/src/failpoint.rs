//! Points at which a test may let the server die, as by kill -9: between two steps that a crash could separate. Without
//! the feature `failpoints`, which no release has, a point is nothing.

/// A point between two steps. `DOCKET_KILL_AT=point:n` kills the process at its n-th pass.
#[cfg(not(feature = "failpoints"))]
#[inline]
pub(crate) fn pass(_point: &str) {}

#[cfg(feature = "failpoints")]
pub(crate) use armed::pass;

#[cfg(feature = "failpoints")]
mod armed {
    use rustix::process::{Signal, getpid, kill_process};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// The point of this run, and how many passes are left.
    static PLAN: OnceLock<Option<(String, AtomicU64)>> = OnceLock::new();

    pub(crate) fn pass(point: &str) {
        let plan = PLAN.get_or_init(|| {
            let plan = std::env::var("DOCKET_KILL_AT").ok()?;
            let (point, passes) = plan.split_once(':')?;
            Some((point.to_owned(), AtomicU64::new(passes.parse().ok()?)))
        });
        if let Some((planned, left)) = plan
            && planned == point
            && left.fetch_sub(1, Ordering::Relaxed) == 1
        {
            let _ = kill_process(getpid(), Signal::KILL);
            // The signal ends this thread with all others; until it arrives nothing more may happen here.
            loop {
                std::thread::park();
            }
        }
    }
}
