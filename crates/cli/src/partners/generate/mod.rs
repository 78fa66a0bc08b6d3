//! Makes plausible partners from a seed, of which a known share carries known defects. The same
//! seed and index give the same partner, on every machine and whatever number is made.

mod defects;
mod next_night;
mod numbers;
mod places;

use std::fmt::Write;

use fastrand::Rng;

use super::catalog::{Kind, rule};
use super::partner::Partner;
pub use next_night::{Compared, NextNight};
use places::{COUNTRIES, Country, FAMILIES, NAMES};

/// How many of a hundred partners carry planted rules, in the long run. About 70 of a hundred of
/// those fail; the others have only warnings or corrections.
pub const PLANTED_SHARE_PERCENT: u32 = 12;

/// How many of a hundred partners with defects carry two.
const TWO_DEFECTS_PERCENT: u32 = 25;

/// The data sources of generated partners, in the form of the vendor's example \[S\].
const DATA_SOURCES: [&str; 3] = ["648824a691d8d2503d65103e", "648824b191d8d2503d651042", "648824c891d8d2503d651047"];

/// What a generated partner has wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Planted {
    /// The codes that a validation has to find, and no others: sorted, none, one or two.
    pub rules: Vec<&'static str>,
}

impl Planted {
    /// Whether a validation has to fail the partner.
    pub fn fails(&self) -> bool {
        self.rules.iter().any(|code| rule(code).is_some_and(|rule| rule.kind == Kind::Error))
    }
}

/// An iterator over generated partners with what was planted in them.
#[derive(Debug, Clone)]
pub struct Generator {
    seed: u64,
    next: u64,
    records: u64,
}

impl Generator {
    /// A generator of `records` partners.
    pub fn new(seed: u64, records: u64) -> Self {
        Self { seed, next: 0, records }
    }

    /// The partner at `index`, counted from 0.
    pub fn partner(&self, index: u64) -> (Partner, Planted) {
        let (mut rng, mut partner) = self.plausible(index);
        let spoil = rng.u32(..100) < PLANTED_SHARE_PERCENT;
        let planted = if spoil { plant(&mut rng, &mut partner) } else { Planted::default() };
        (partner, planted)
    }

    /// The partner without defects, and what chooses those.
    fn plausible(&self, index: u64) -> (Rng, Partner) {
        let mut rng = Rng::with_seed(mix(self.seed ^ mix(index)));
        let country = choice(&mut rng, COUNTRIES);
        let partner = plausible(&mut rng, &country, index);
        (rng, partner)
    }
}

impl Iterator for Generator {
    type Item = (Partner, Planted);

    fn next(&mut self) -> Option<Self::Item> {
        if self.next >= self.records {
            return None;
        }
        let partner = self.partner(self.next);
        self.next += 1;
        Some(partner)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = usize::try_from(self.records - self.next);
        (left.unwrap_or(usize::MAX), left.ok())
    }
}

/// Spoils a partner by one or two defects.
fn plant(rng: &mut Rng, partner: &mut Partner) -> Planted {
    let count = if rng.u32(..100) < TWO_DEFECTS_PERCENT { 2 } else { 1 };
    Planted { rules: defects::plant(rng, partner, count) }
}

/// One step of SplitMix64, so that neighboring seeds and indexes have nothing in common.
fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// One entry of a table, which must not be empty.
fn choice<T: Copy>(rng: &mut Rng, table: &[T]) -> T {
    table[rng.usize(..table.len())]
}

/// A partner without defects.
fn plausible(rng: &mut Rng, country: &Country, index: u64) -> Partner {
    let (city, postal_codes) = choice(rng, country.places);
    let trade = choice(rng, country.trades);
    let form = choice(rng, country.forms);
    let name = match rng.u32(..100) {
        0..15 => format!("{} {form}", choice(rng, FAMILIES)),
        15..25 => format!("{} & {} {form}", choice(rng, FAMILIES), choice(rng, NAMES)),
        _ => format!("{} {trade} {form}", choice(rng, NAMES)),
    };
    let house = rng.u32(1..180);
    let street = choice(rng, country.streets).replace('#', &house.to_string());
    let lei = (rng.u32(..100) < 15).then(|| numbers::lei(rng));
    let vat_number = (rng.u32(..100) < 85).then(|| numbers::vat(rng, country.code)).flatten();
    let iban = (!country.banks.is_empty() && rng.u32(..100) < 70)
        .then(|| {
            let bank = choice(rng, country.banks);
            numbers::iban(rng, country.code, bank)
        })
        .flatten();
    let mut identifiers = String::new();
    if rng.u32(..100) < 20 {
        identifiers.push_str("SUPPLIER:V");
        numbers::digits(rng, 6, &mut identifiers);
    }
    if rng.u32(..100) < 10 {
        let separator = if identifiers.is_empty() { "" } else { ";" };
        let _ = write!(identifiers, "{separator}DUNS:");
        numbers::digits(rng, 9, &mut identifiers);
    }
    // As the vendor's: 24 hexadecimal digits, the last six of them counting.
    let id = format!("63{:06x}{:010x}{:06x}", rng.u32(..1 << 24), rng.u64(..1 << 40), index & 0xff_ffff);
    Partner {
        external_id: format!("ERP-{:07}", index + 1),
        business_partner_id: Some(id),
        data_source_id: Some(choice(rng, &DATA_SOURCES).to_owned()),
        name,
        street,
        postal_code: choice(rng, postal_codes).to_owned(),
        city: city.to_owned(),
        country: country.code.to_owned(),
        vat_number: vat_number.unwrap_or_default(),
        iban: iban.unwrap_or_default(),
        lei: lei.unwrap_or_default(),
        identifiers,
    }
}

#[cfg(test)]
mod tests;
