//! The next night: the same partners, of which known shares were corrected, spoiled, removed and added meanwhile. What a
//! comparison of both nights has to find is counted along.

use fastrand::Rng;

use super::{Generator, Planted, mix, plant};
use crate::partners::partner::Partner;

/// How many of a hundred spoiled partners were corrected by the next night.
const CORRECTED_PERCENT: u32 = 30;
/// How many of a hundred good partners were spoiled by the next night.
const SPOILED_PERCENT: u32 = 2;
/// How many of a thousand partners are gone by the next night; as many are new.
const GONE_PER_MILLE: u32 = 5;
/// Tells the choices of the next night from those of the first.
const NIGHT: u64 = 0x6e69_6768_7432;

/// What a comparison of two nights tells: numbers of records.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Compared {
    /// OK the first night, FAILED the next.
    pub newly_failed: u64,
    /// FAILED the first night, OK the next.
    pub fixed: u64,
    /// The same verdict for another reason.
    pub changed: u64,
    /// The same.
    pub unchanged: u64,
    /// Not there any more.
    pub missing: u64,
    /// Not there the first night.
    pub new: u64,
}

/// An iterator over the partners of the next night with what is wrong with them.
#[derive(Debug, Clone)]
pub struct NextNight {
    first: Generator,
    next: u64,
    compared: Compared,
}

impl NextNight {
    /// The night after `first`, from its beginning.
    pub fn of(first: &Generator) -> Self {
        Self { first: first.clone(), next: 0, compared: Compared::default() }
    }

    /// What a comparison of the nights has to find in what was generated so far.
    pub fn compared(&self) -> Compared {
        self.compared
    }

    /// How many partners come after those of the first night.
    fn added(&self) -> u64 {
        self.first.records * u64::from(GONE_PER_MILLE) / 1000
    }

    /// A partner of the first night as it is now; `None` if it is gone.
    fn partner(&self, index: u64) -> (Planted, Option<(Partner, Planted)>) {
        let (partner, before) = self.first.partner(index);
        let mut rng = Rng::with_seed(mix(self.first.seed ^ NIGHT ^ mix(index)));
        if rng.u32(..1000) < GONE_PER_MILLE {
            return (before, None);
        }
        let dice = rng.u32(..100);
        let now = match before.rules.is_empty() {
            true if dice < SPOILED_PERCENT => {
                let mut partner = partner;
                let planted = plant(&mut rng, &mut partner);
                (partner, planted)
            }
            false if dice < CORRECTED_PERCENT => (self.first.plausible(index).1, Planted::default()),
            _ => (partner, before.clone()),
        };
        (before, Some(now))
    }
}

impl Iterator for NextNight {
    type Item = (Partner, Planted);

    fn next(&mut self) -> Option<Self::Item> {
        while self.next < self.first.records {
            let (before, now) = self.partner(self.next);
            self.next += 1;
            let Some((partner, planted)) = now else {
                self.compared.missing += 1;
                continue;
            };
            let count = match (before.fails(), planted.fails()) {
                (false, true) => &mut self.compared.newly_failed,
                (true, false) => &mut self.compared.fixed,
                _ if before == planted => &mut self.compared.unchanged,
                _ => &mut self.compared.changed,
            };
            *count += 1;
            return Some((partner, planted));
        }
        if self.next - self.first.records >= self.added() {
            return None;
        }
        let partner = self.first.partner(self.next);
        self.next += 1;
        self.compared.new += 1;
        Some(partner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::partners::validate::validate;
    use std::collections::HashMap;

    #[test]
    fn validations_of_both_nights_differ_as_was_counted() {
        let first = Generator::new(3, 20_000);
        let verdict = |partner: &Partner| {
            let validation = validate(partner);
            (validation.failed(), validation.to_result_data())
        };
        let mut before: HashMap<String, (bool, String)> =
            first.clone().map(|(partner, _)| (partner.external_id.clone(), verdict(&partner))).collect();
        let mut night = NextNight::of(&first);
        let mut found = Compared::default();
        for (partner, planted) in night.by_ref() {
            let now = verdict(&partner);
            assert_eq!(validate(&partner).rules(), planted.rules, "{partner:?}");
            let count = match before.remove(&partner.external_id) {
                None => &mut found.new,
                Some(then) if then == now => &mut found.unchanged,
                Some((failed, _)) if failed == now.0 => &mut found.changed,
                Some((failed, _)) => {
                    if failed {
                        &mut found.fixed
                    } else {
                        &mut found.newly_failed
                    }
                }
            };
            *count += 1;
        }
        found.missing = before.len() as u64;
        assert_eq!(found, night.compared());
        let Compared { newly_failed, fixed, changed, unchanged, missing, new } = found;
        assert!(
            [newly_failed, fixed, changed, missing, new].iter().all(|count| (50..2000).contains(count)),
            "{found:?}"
        );
        assert_eq!((newly_failed + fixed + changed + unchanged + missing, new), (20_000, 100));
    }
}
