//! Shares of a job's results, compared without rounding.

/// A share from 0 to 1, in billionths: what clients write with up to nine decimals is kept exactly.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Share(u32);

/// Billionths of a whole.
const WHOLE: u32 = 1_000_000_000;

impl Share {
    /// The share that a decimal names, rounded to billionths; `None` outside of 0 to 1.
    pub fn of(value: f64) -> Option<Self> {
        // A double keeps a decimal up to 1 within 1e-16, so nine of its digits come back as they were written.
        (0.0..=1.0).contains(&value).then(|| Self((value * f64::from(WHOLE)).round() as u32))
    }

    /// The share as it is stored.
    pub fn billionths(self) -> u32 {
        self.0
    }

    /// The share with this stored number.
    pub fn from_billionths(number: u32) -> Option<Self> {
        (number <= WHOLE).then_some(Self(number))
    }

    /// In percent, with as many decimals as it takes: `5 %`, `0.25 %`.
    pub fn percent(self) -> String {
        let (whole, rest) = (self.0 / 10_000_000, self.0 % 10_000_000);
        let text = format!("{whole}.{rest:07}");
        format!("{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}

/// How many results a job has, and how many of them are FAILED.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Figures {
    /// FAILED ones.
    pub failed: u64,
    /// All.
    pub total: u64,
}

impl Figures {
    /// Whether the share of FAILED results is not above this one. Without results it is 0.
    pub fn within(self, most: Share) -> bool {
        u128::from(self.failed) * u128::from(WHOLE) <= u128::from(most.0) * u128::from(self.total)
    }

    /// The share of FAILED results in percent, with two decimals. One above `most` never reads as equal to it or less.
    pub fn percent(self, most: Share) -> String {
        let total = u128::from(self.total.max(1));
        let exact = u128::from(self.failed) * 10_000;
        let (near, up) = ((exact + total / 2) / total, exact.div_ceil(total));
        let shown = if self.within(most) || near * 100_000 > u128::from(most.0) { near } else { up };
        format!("{}.{:02} %", shown / 100, shown % 100)
    }
}

/// A number with its thousands apart: `1,234,567`.
pub fn thousands(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn share(value: f64) -> Share {
        Share::of(value).expect("from 0 to 1")
    }

    #[test]
    fn shares_are_what_was_written() {
        for (value, billionths, percent) in [
            (0.0, 0, "0 %"),
            (1.0, WHOLE, "100 %"),
            (0.05, 50_000_000, "5 %"),
            (0.0025, 2_500_000, "0.25 %"),
            (0.123456789, 123_456_789, "12.3456789 %"),
            (0.1 + 0.2, 300_000_000, "30 %"),
        ] {
            assert_eq!((share(value).billionths(), share(value).percent()), (billionths, percent.to_owned()));
        }
        for outside in [-0.001, 1.000_000_1, f64::NAN, f64::INFINITY] {
            assert_eq!(Share::of(outside), None);
        }
        assert_eq!(Share::from_billionths(WHOLE + 1), None);
    }

    #[test]
    fn a_gate_holds_to_the_last_result() {
        for (failed, total, most, within, percent) in [
            (0, 0, 0.0, true, "0.00 %"),
            (0, 7, 0.0, true, "0.00 %"),
            (1, 1_000_000_000_000, 0.0, false, "0.01 %"),
            (5, 100, 0.05, true, "5.00 %"),
            (50_001, 1_000_000, 0.05, false, "5.01 %"),
            (1234, 10_000, 0.05, false, "12.34 %"),
            (7, 7, 1.0, true, "100.00 %"),
            (1, 10, 0.1, true, "10.00 %"),
            (3, 10, 0.3, true, "30.00 %"),
        ] {
            let figures = Figures { failed, total };
            assert_eq!(figures.within(share(most)), within, "{figures:?} {most}");
            assert_eq!(figures.percent(share(most)), percent, "{figures:?} {most}");
        }
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1,000"), (1_234_567, "1,234,567")] {
            assert_eq!(thousands(number), text);
        }
    }

    proptest! {
        #[test]
        fn no_gate_depends_on_rounding(total in 1u64..1 << 40, failed in 0u64..1 << 40, most in 0..=WHOLE) {
            let failed = failed % (total + 1);
            let most = Share(most);
            let (left, right) = (failed as f64 / total as f64, f64::from(most.0) / f64::from(WHOLE));
            // Where doubles can tell, they agree.
            if (left - right).abs() > 1e-12 {
                prop_assert_eq!(Figures { failed, total }.within(most), left < right);
            }
        }
    }
}
