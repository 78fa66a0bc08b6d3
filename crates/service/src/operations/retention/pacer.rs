//! How fast work goes on that nobody waits for: it takes a part of the time only, so that writers beside it lose little.

use std::time::Duration;
use tokio::sync::watch;

/// A rest is so many times as long as the step before it: the work takes a fifth of the time. Where others write much, a
/// step takes longer, and so does the rest.
const RESTS: u32 = 4;
/// The longest rest: a step that was held up says little about the next one.
const LONGEST: Duration = Duration::from_secs(1);

/// Paces the steps of such work, until the server stops.
#[derive(Clone, Debug)]
pub struct Pacer {
    stop: watch::Receiver<bool>,
}

impl Pacer {
    /// For work that ends when `stop` is true, or its sender is gone.
    pub fn new(stop: watch::Receiver<bool>) -> Self {
        Self { stop }
    }

    /// Rests after a step that took so long; false if there is to be no further one.
    pub async fn rest(&mut self, step: Duration) -> bool {
        tokio::select! {
            biased;
            _ = self.stop.wait_for(|stopped| *stopped) => false,
            () = tokio::time::sleep(rest(step)) => true,
        }
    }
}

fn rest(step: Duration) -> Duration {
    step.saturating_mul(RESTS).min(LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rest_is_as_long_as_four_steps_and_has_a_bound() {
        let millis = |millis| rest(Duration::from_millis(millis)).as_millis();
        assert_eq!([millis(0), millis(5), millis(249), millis(251), millis(u64::MAX)], [0, 20, 996, 1000, 1000]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_stop_ends_the_rest() {
        let (stop, stopped) = watch::channel(false);
        let mut pacer = Pacer::new(stopped);
        let begun = tokio::time::Instant::now();
        assert!(pacer.rest(Duration::from_millis(20)).await);
        assert_eq!(begun.elapsed(), Duration::from_millis(80));
        let mut other = pacer.clone();
        let (rested, ()) = tokio::join!(pacer.rest(Duration::MAX), async {
            stop.send_replace(true);
        });
        assert!(!rested && !other.rest(Duration::ZERO).await);
        assert_eq!(begun.elapsed(), Duration::from_millis(80));
    }

    #[tokio::test]
    async fn there_is_no_step_when_nobody_can_tell_of_a_stop() {
        let (stop, stopped) = watch::channel(false);
        drop(stop);
        assert!(!Pacer::new(stopped).rest(Duration::ZERO).await);
    }
}
