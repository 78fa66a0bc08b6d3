//! How fast an attempt's output is read: at full speed for a while, then at a rate that leaves the machine to others.
//! Who writes faster waits at its pipe. Counts bytes and time; reads nothing.

use std::time::{Duration, Instant};

/// Bytes a second in the long run.
const RATE: u64 = 16 * 1024 * 1024;
/// Bytes that may come at once.
const BURST: u64 = 32 * 1024 * 1024;
/// After the allowance is used up, so long until the next look.
const PAUSE: Duration = Duration::from_millis(50);

pub struct Flow {
    allowance: u64,
    counted_at: Instant,
}

impl Flow {
    pub fn new(now: Instant) -> Flow {
        Flow { allowance: BURST, counted_at: now }
    }

    /// How many bytes may be read now, or when to come again.
    pub fn allowance(&mut self, now: Instant) -> Result<usize, Instant> {
        let passed = now.saturating_duration_since(self.counted_at);
        let earned = u64::try_from(passed.as_micros()).unwrap_or(u64::MAX).saturating_mul(RATE) / 1_000_000;
        if earned > 0 {
            self.allowance = self.allowance.saturating_add(earned).min(BURST);
            self.counted_at = now;
        }
        match usize::try_from(self.allowance) {
            Ok(0) => Err(now + PAUSE),
            Ok(bytes) => Ok(bytes),
            Err(_) => Ok(usize::MAX),
        }
    }

    pub fn took(&mut self, bytes: usize) {
        self.allowance = self.allowance.saturating_sub(bytes as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_then_the_rate() {
        let start = Instant::now();
        let mut flow = Flow::new(start);
        assert_eq!(flow.allowance(start), Ok(BURST as usize));
        flow.took(BURST as usize);
        assert_eq!(flow.allowance(start), Err(start + PAUSE));
        let later = start + PAUSE;
        assert_eq!(flow.allowance(later), Ok((RATE / 20) as usize));
        flow.took(usize::MAX);
        assert!(flow.allowance(later).is_err());
        assert_eq!(flow.allowance(later + Duration::from_secs(3600)), Ok(BURST as usize));
    }
}
