//! VAT identification numbers: which prefix has which structure, and what is said about a number.
//! The check digits themselves are in `checks`. Whether a number is registered is not asked.

mod checks;

use super::digits::Compact;
use super::pattern;
use crate::partners::catalog::{
    Rule, VAT_CHECK_DIGIT_INVALID, VAT_COUNTRY_MISMATCH, VAT_FORMAT, VAT_PREFIX_MISSING, VAT_PREFIX_UNKNOWN,
    VAT_STRUCTURE_INVALID,
};
use crate::partners::findings::Findings;

/// The VAT numbers of one prefix.
#[derive(Debug)]
pub struct Scheme {
    /// The two letters in front; `EL` for Greece.
    pub prefix: &'static str,
    /// ISO 3166-1 codes of the countries whose businesses carry it, its own first.
    pub countries: &'static [&'static str],
    /// The structures without prefix and without a suffix of `suffixes`.
    pub patterns: &'static [&'static str],
    /// Endings that may follow the number.
    pub suffixes: &'static [&'static str],
    /// The check digits, given a number that fits one of the patterns.
    pub check: fn(&[u8]) -> bool,
}

const fn scheme(
    prefix: &'static str,
    countries: &'static [&'static str],
    patterns: &'static [&'static str],
    check: fn(&[u8]) -> bool,
) -> Scheme {
    Scheme { prefix, countries, patterns, suffixes: &[], check }
}

const GB: &[&str] = &["nnnnnnnnn", "nnnnnnnnnnnn", "GDnnn", "HAnnn"];
#[rustfmt::skip] // One row a line is read as a table.
const RO: &[&str] = &["dn", "dnn", "dnnn", "dnnnn", "dnnnnn", "dnnnnnn", "dnnnnnnn", "dnnnnnnnn", "dnnnnnnnnn"];

/// All schemes: the member states of the Union, Northern Ireland, the United Kingdom, Switzerland
/// and Norway.
#[rustfmt::skip] // One row a line is read as a table.
pub static SCHEMES: &[Scheme] = &[
    scheme("AT", &["AT"], &["Unnnnnnnn"], checks::at),
    scheme("BE", &["BE"], &["0nnnnnnnnn", "1nnnnnnnnn"], checks::be),
    scheme("BG", &["BG"], &["nnnnnnnnn", "nnnnnnnnnn"], checks::bg),
    Scheme {
        prefix: "CH",
        countries: &["CH", "LI"],
        patterns: &["Ennnnnnnnn"],
        suffixes: &["MWST", "TVA", "IVA", "TPV"],
        check: checks::ch,
    },
    scheme("CY", &["CY"], &["nnnnnnnna"], checks::cy),
    scheme("CZ", &["CZ"], &["nnnnnnnn", "nnnnnnnnn", "nnnnnnnnnn"], checks::cz),
    scheme("DE", &["DE"], &["dnnnnnnnn"], checks::de),
    scheme("DK", &["DK"], &["dnnnnnnn"], checks::dk),
    scheme("EE", &["EE"], &["nnnnnnnnn"], checks::ee),
    scheme("EL", &["GR"], &["nnnnnnnnn"], checks::el),
    scheme("ES", &["ES"], &["nnnnnnnna", "annnnnnnc"], checks::es),
    scheme("FI", &["FI", "AX"], &["nnnnnnnn"], checks::fi),
    scheme("FR", &["FR", "MC", "GP", "MQ", "RE", "GF", "YT"], &["ccnnnnnnnnn"], checks::fr),
    scheme("GB", &["GB", "IM"], GB, checks::gb),
    scheme("HR", &["HR"], &["nnnnnnnnnnn"], checks::hr),
    scheme("HU", &["HU"], &["nnnnnnnn"], checks::hu),
    scheme("IE", &["IE"], &["nnnnnnna", "nnnnnnnaa", "ninnnnna"], checks::ie),
    scheme("IT", &["IT"], &["nnnnnnnnnnn"], checks::it),
    scheme("LT", &["LT"], &["nnnnnnnnn", "nnnnnnnnnnnn"], checks::lt),
    scheme("LU", &["LU"], &["nnnnnnnn"], checks::lu),
    scheme("LV", &["LV"], &["nnnnnnnnnnn"], checks::lv),
    scheme("MT", &["MT"], &["dnnnnnnn"], checks::mt),
    scheme("NL", &["NL"], &["nnnnnnnnnBnn"], checks::nl),
    Scheme {
        prefix: "NO",
        countries: &["NO", "SJ"],
        patterns: &["8nnnnnnnn", "9nnnnnnnn"],
        suffixes: &["MVA"],
        check: checks::no,
    },
    scheme("PL", &["PL"], &["nnnnnnnnnn"], checks::pl),
    scheme("PT", &["PT"], &["dnnnnnnnn"], checks::pt),
    scheme("RO", &["RO"], RO, checks::ro),
    scheme("SE", &["SE"], &["nnnnnnnnnnnn"], checks::se),
    scheme("SI", &["SI"], &["dnnnnnnn"], checks::si),
    scheme("SK", &["SK"], &["dnnnnnnnnn"], checks::sk),
    scheme("XI", &["GB"], GB, checks::gb),
];

/// The scheme with this prefix; `GR` counts as `EL`.
fn by_prefix(prefix: &[u8]) -> Option<&'static Scheme> {
    let prefix = if prefix == b"GR" { b"EL" } else { prefix };
    SCHEMES.iter().find(|scheme| scheme.prefix.as_bytes() == prefix)
}

/// The scheme of the businesses in this ISO 3166-1 country.
pub fn by_country(country: &str) -> Option<&'static Scheme> {
    SCHEMES.iter().find(|scheme| scheme.countries.contains(&country))
}

impl Scheme {
    /// The verdict on a number in upper case, without prefix and separators.
    pub fn verdict(&self, number: &[u8]) -> Result<(), &'static Rule> {
        let number = self.suffixes.iter().find_map(|suffix| number.strip_suffix(suffix.as_bytes())).unwrap_or(number);
        if !self.patterns.iter().any(|pattern| pattern::matches(pattern, number)) {
            return Err(&VAT_STRUCTURE_INVALID);
        }
        if (self.check)(number) { Ok(()) } else { Err(&VAT_CHECK_DIGIT_INVALID) }
    }
}

/// Checks a VAT number that stands in `field`, in an address of `country` (alpha-2, if known).
/// An empty number is no defect, and a number without prefix in a country without a scheme is not
/// judged.
pub fn check(text: &str, country: Option<&str>, field: &'static str, found: &mut Findings) {
    if text.trim().is_empty() {
        return;
    }
    let home = country.and_then(by_country);
    let compact = Compact::new(text).filter(|compact| !compact.as_bytes().is_empty());
    let Some(compact) = compact else {
        let prefixed = text.as_bytes().get(..2).is_some_and(|two| by_prefix(two).is_some());
        // Without a scheme there is nothing to measure such a text by.
        if home.is_some() || prefixed {
            let message = format!("\"{text}\" is not a VAT number: only letters and digits are allowed");
            found.defect(&VAT_STRUCTURE_INVALID, field, message);
        }
        return;
    };
    let number = compact.as_bytes();
    let (prefix, rest) = number.split_at(number.len().min(2));
    let Some(scheme) = by_prefix(prefix) else {
        if let Some(home) = home {
            without_prefix(text, number, home, field, found);
        }
        return;
    };
    match (scheme.verdict(rest), home) {
        (Ok(()), _) => {
            let canonical = format!("{}{}", scheme.prefix, String::from_utf8_lossy(rest));
            if canonical != text {
                found.correction(&VAT_FORMAT, field, text, &canonical);
            }
            if let Some(country) = country
                && !scheme.countries.contains(&country)
            {
                let message =
                    format!("VAT number {canonical} is of {}, the address is in {country}", scheme.countries[0]);
                found.defect(&VAT_COUNTRY_MISMATCH, field, message);
            }
        }
        // The first two characters of a number without prefix can look like one.
        (Err(_), Some(home)) if home.verdict(number).is_ok() => {
            without_prefix(text, number, home, field, found);
        }
        (Err(rule), _) => found.defect(rule, field, message(text, scheme, rule)),
    }
}

/// What is said about a number that carries no known prefix, by the scheme of the address.
fn without_prefix(text: &str, number: &[u8], home: &'static Scheme, field: &'static str, found: &mut Findings) {
    match home.verdict(number) {
        Ok(()) => {
            let proposed = format!("{}{}", home.prefix, String::from_utf8_lossy(number));
            let message = format!("VAT number \"{text}\" lacks the prefix {}", home.prefix);
            found.defect(&VAT_PREFIX_MISSING, field, message);
            found.correction(&VAT_PREFIX_MISSING, field, text, &proposed);
        }
        Err(rule)
            if rule == &VAT_STRUCTURE_INVALID && number.len() > 2 && number[..2].iter().all(u8::is_ascii_uppercase) =>
        {
            let message =
                format!("VAT number \"{text}\": {} is no VAT country prefix", String::from_utf8_lossy(&number[..2]));
            found.defect(&VAT_PREFIX_UNKNOWN, field, message);
        }
        Err(rule) => found.defect(rule, field, message(text, home, rule)),
    }
}

fn message(text: &str, scheme: &Scheme, rule: &'static Rule) -> String {
    if rule == &VAT_CHECK_DIGIT_INVALID {
        return format!("VAT number \"{text}\": the check digits are wrong for {}", scheme.prefix);
    }
    let patterns: Vec<_> = scheme.patterns.iter().take(4).map(|pattern| pattern_text(pattern)).collect();
    format!("VAT number \"{text}\" does not have the structure of {}: {}", scheme.prefix, patterns.join(" or "))
}

/// A pattern as people read it: 9 for a digit, X for a letter, * for either.
fn pattern_text(pattern: &str) -> String {
    pattern
        .chars()
        .map(|class| match class {
            'n' | 'd' => '9',
            'a' => 'X',
            'c' | 'i' => '*',
            literal => literal,
        })
        .collect()
}

#[cfg(test)]
mod tests;
