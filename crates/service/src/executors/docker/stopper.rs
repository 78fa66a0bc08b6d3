//! When a container gets which signal. Owns the order of polite signal, grace and kill for a cancel and for the time limit;
//! sends nothing.

use std::time::Duration;

use tokio::time::Instant;

/// A container so young may not have its signal handlers yet: the init would not pass the signal on.
const SETTLE: Duration = Duration::from_millis(200);
/// A signal that had no effect or could not be sent is sent again after this pause.
const AGAIN: Duration = Duration::from_secs(1);

/// What is to be done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Act {
    /// The time limit is over.
    TimeUp,
    /// The polite signal.
    Polite,
    /// The kill.
    Kill,
}

/// The plan for one container.
pub struct Stopper {
    settled_at: Instant,
    time_up_at: Option<Instant>,
    polite_at: Option<Instant>,
    was_polite: bool,
    kill_at: Option<Instant>,
}

impl Stopper {
    /// For a container that was started at about `now` and may run until `time_up_at`.
    pub fn new(now: Instant, time_up_at: Option<Instant>) -> Stopper {
        Stopper { settled_at: now + SETTLE, time_up_at, polite_at: None, was_polite: false, kill_at: None }
    }

    /// It is to be gone by then. Can only shorten.
    pub fn stop(&mut self, deadline: Instant, now: Instant) {
        self.kill_at = Some(self.kill_at.map_or(deadline, |kill_at| kill_at.min(deadline)));
        if deadline > now && !self.was_polite && self.polite_at.is_none() {
            self.polite_at = Some(self.settled_at.max(now));
        }
    }

    /// What comes next, and when.
    pub fn next(&self) -> Option<(Instant, Act)> {
        let acts = [(self.kill_at, Act::Kill), (self.polite_at, Act::Polite), (self.time_up_at, Act::TimeUp)];
        acts.into_iter().filter_map(|(at, act)| Some((at?, act))).min_by_key(|(at, _)| *at)
    }

    /// It was done, or could not be done.
    pub fn done(&mut self, act: Act, worked: bool, now: Instant) {
        match act {
            Act::TimeUp => self.time_up_at = None,
            Act::Polite if worked => (self.polite_at, self.was_polite) = (None, true),
            Act::Polite => self.polite_at = Some(now + AGAIN),
            Act::Kill => {
                self.kill_at = Some(now + AGAIN);
                self.polite_at = None;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn polite_first_then_the_kill_until_it_is_gone() {
        let now = Instant::now();
        let mut stopper = Stopper::new(now, None);
        assert_eq!(stopper.next(), None);
        let deadline = now + Duration::from_secs(10);
        stopper.stop(deadline, now);
        assert_eq!(stopper.next(), Some((now + SETTLE, Act::Polite)));
        stopper.done(Act::Polite, false, now + SETTLE);
        assert_eq!(stopper.next(), Some((now + SETTLE + AGAIN, Act::Polite)));
        stopper.done(Act::Polite, true, now + SETTLE + AGAIN);
        assert_eq!(stopper.next(), Some((deadline, Act::Kill)));
        stopper.stop(deadline + AGAIN, now);
        assert_eq!(stopper.next(), Some((deadline, Act::Kill)));
        let sooner = now + Duration::from_secs(2);
        stopper.stop(sooner, now);
        assert_eq!(stopper.next(), Some((sooner, Act::Kill)));
        stopper.done(Act::Kill, true, sooner);
        assert_eq!(stopper.next(), Some((sooner + AGAIN, Act::Kill)));
    }

    #[test]
    fn without_grace_there_is_no_polite_signal() {
        let now = Instant::now();
        let mut stopper = Stopper::new(now, None);
        stopper.stop(now, now);
        assert_eq!(stopper.next(), Some((now, Act::Kill)));
    }

    #[test]
    fn the_time_limit_comes_once() {
        let now = Instant::now();
        let up = now + Duration::from_secs(1);
        let mut stopper = Stopper::new(now, Some(up));
        assert_eq!(stopper.next(), Some((up, Act::TimeUp)));
        stopper.done(Act::TimeUp, true, up);
        stopper.stop(up + Duration::from_secs(5), up);
        assert_eq!(stopper.next(), Some((up, Act::Polite)));
    }
}
