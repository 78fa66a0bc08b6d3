//! The forms of postal codes by country, in the language of `pattern`. Data only. Compared with the
//! address data of libaddressinput; stricter than it where a country's codes have a fixed separator
//! or never begin with zero.

/// Whether addresses in a country have a postal code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Use {
    /// Every address has one.
    Always,
    /// There are codes, but addresses without are common.
    Sometimes,
    /// The country has none.
    Never,
}

use Use::{Always, Never, Sometimes};

/// Country, use, and the forms with their separators; sorted by country. Countries that are not
/// here are not judged.
#[rustfmt::skip] // Several rows a line are read as a table.
pub static FORMATS: &[(&str, Use, &[&str])] = &[
    ("AD", Always, &["ADnnn"]), ("AE", Never, &[]), ("AG", Never, &[]), ("AL", Always, &["nnnn"]),
    ("AM", Always, &["nnnn"]), ("AO", Never, &[]), ("AR", Sometimes, &["nnnn", "annnnaaa"]),
    ("AS", Always, &["96799", "96799-nnnn"]), ("AT", Always, &["dnnn"]), ("AU", Always, &["nnnn"]),
    ("AW", Never, &[]), ("AX", Always, &["22nnn"]), ("AZ", Always, &["AZ nnnn"]),
    ("BA", Always, &["nnnnn"]), ("BB", Sometimes, &["BBnnnnn"]), ("BD", Sometimes, &["nnnn"]),
    ("BE", Always, &["dnnn"]), ("BG", Always, &["dnnn"]), ("BI", Never, &[]), ("BJ", Never, &[]),
    ("BL", Always, &["97nnn"]), ("BM", Sometimes, &["aa nn", "aa cc"]),
    ("BN", Sometimes, &["aannnn"]), ("BO", Never, &[]), ("BR", Always, &["nnnnn-nnn"]),
    ("BS", Never, &[]), ("BW", Never, &[]), ("BY", Always, &["nnnnnn"]), ("BZ", Never, &[]),
    ("CA", Always, &["fnl nln"]), ("CF", Never, &[]), ("CH", Always, &["dnnn"]),
    ("CL", Sometimes, &["nnnnnnn", "nnn nnnn"]), ("CM", Never, &[]), ("CN", Always, &["nnnnnn"]),
    ("CO", Sometimes, &["nnnnnn"]), ("CR", Sometimes, &["nnnnn"]), ("CU", Sometimes, &["nnnnn"]),
    ("CY", Always, &["dnnn"]), ("CZ", Always, &["nnn nn"]), ("DE", Always, &["nnnnn"]),
    ("DJ", Never, &[]), ("DK", Always, &["nnnn"]), ("DM", Never, &[]),
    ("DO", Sometimes, &["nnnnn"]), ("DZ", Always, &["nnnnn"]), ("EC", Sometimes, &["nnnnnn"]),
    ("EE", Always, &["nnnnn"]), ("ER", Never, &[]), ("ES", Always, &["nnnnn"]),
    ("ET", Sometimes, &["nnnn"]), ("FI", Always, &["nnnnn"]), ("FJ", Never, &[]),
    ("FK", Always, &["FIQQ 1ZZ"]), ("FO", Always, &["nnn"]), ("FR", Always, &["nnnnn"]),
    ("GA", Never, &[]),
    ("GB", Always, &["an naa", "ann naa", "aan naa", "aann naa", "ana naa", "aana naa", "GIR 0AA",
        "BFPO n", "BFPO nn", "BFPO nnn", "BFPO nnnn"]),
    ("GD", Never, &[]), ("GE", Always, &["nnnn"]), ("GF", Always, &["973nn"]),
    ("GG", Always, &["GYn naa", "GYnn naa"]), ("GI", Always, &["GX11 1AA"]),
    ("GL", Always, &["39nn"]), ("GM", Never, &[]), ("GP", Always, &["971nn"]), ("GQ", Never, &[]),
    ("GR", Always, &["nnn nn"]), ("GT", Sometimes, &["nnnnn"]),
    ("GU", Always, &["969nn", "969nn-nnnn"]), ("GY", Never, &[]), ("HK", Never, &[]),
    ("HN", Sometimes, &["nnnnn"]), ("HR", Always, &["nnnnn"]), ("HU", Always, &["dnnn"]),
    ("ID", Always, &["nnnnn"]), ("IE", Sometimes, &["anc cccc"]),
    ("IL", Always, &["nnnnnnn", "nnnnn"]), ("IM", Always, &["IMn naa", "IMnn naa"]),
    ("IN", Always, &["nnnnnn"]), ("IR", Sometimes, &["nnnnn-nnnnn"]), ("IS", Always, &["nnn"]),
    ("IT", Always, &["nnnnn"]), ("JE", Always, &["JEn naa"]), ("JO", Sometimes, &["nnnnn"]),
    ("JP", Always, &["nnn-nnnn"]), ("KE", Sometimes, &["nnnnn"]), ("KG", Sometimes, &["nnnnnn"]),
    ("KH", Sometimes, &["nnnnn", "nnnnnn"]), ("KI", Never, &[]), ("KM", Never, &[]),
    ("KR", Always, &["nnnnn"]), ("KW", Sometimes, &["nnnnn"]), ("KY", Sometimes, &["KYn-nnnn"]),
    ("KZ", Always, &["nnnnnn"]), ("LA", Sometimes, &["nnnnn", "nnnnnn"]),
    ("LB", Sometimes, &["nnnn", "nnnn nnnn"]), ("LI", Always, &["94nn"]),
    ("LK", Always, &["nnnnn"]), ("LT", Always, &["LT-nnnnn"]), ("LU", Always, &["dnnn"]),
    ("LV", Always, &["LV-nnnn"]), ("MA", Always, &["nnnnn"]), ("MC", Always, &["980nn"]),
    ("MD", Always, &["MD-nnnn"]), ("ME", Always, &["nnnnn"]), ("MF", Always, &["97nnn"]),
    ("MK", Always, &["dnnn"]), ("ML", Never, &[]), ("MN", Sometimes, &["nnnnn"]),
    ("MO", Never, &[]), ("MP", Always, &["9695n", "9695n-nnnn"]), ("MQ", Always, &["972nn"]),
    ("MR", Never, &[]), ("MT", Always, &["aaa nnnn"]), ("MU", Sometimes, &["nnnnn"]),
    ("MX", Always, &["nnnnn"]), ("MY", Always, &["nnnnn"]), ("NC", Always, &["988nn"]),
    ("NG", Sometimes, &["nnnnnn"]), ("NL", Always, &["dnnn aa"]), ("NO", Always, &["nnnn"]),
    ("NP", Sometimes, &["nnnnn"]), ("NR", Never, &[]), ("NZ", Always, &["nnnn"]),
    ("PE", Sometimes, &["nnnnn"]), ("PF", Always, &["987nn"]), ("PH", Always, &["nnnn"]),
    ("PK", Always, &["nnnnn"]), ("PL", Always, &["nn-nnn"]), ("PM", Always, &["97500"]),
    ("PR", Always, &["00nnn", "00nnn-nnnn"]), ("PT", Always, &["dnnn-nnn"]),
    ("PY", Sometimes, &["nnnn", "nnnnnn"]), ("QA", Never, &[]), ("RE", Always, &["974nn"]),
    ("RO", Always, &["nnnnnn"]), ("RS", Always, &["nnnnn"]), ("RU", Always, &["nnnnnn"]),
    ("RW", Never, &[]), ("SA", Sometimes, &["nnnnn", "nnnnn-nnnn"]), ("SB", Never, &[]),
    ("SE", Always, &["nnn nn"]), ("SG", Always, &["nnnnnn"]), ("SI", Always, &["dnnn"]),
    ("SJ", Always, &["nnnn"]), ("SK", Always, &["nnn nn"]), ("SL", Never, &[]),
    ("SM", Always, &["4789n"]), ("SN", Sometimes, &["nnnnn"]), ("SR", Never, &[]),
    ("ST", Never, &[]), ("SY", Never, &[]), ("TD", Never, &[]), ("TG", Never, &[]),
    ("TH", Always, &["nnnnn"]), ("TK", Never, &[]), ("TN", Always, &["nnnn"]), ("TO", Never, &[]),
    ("TR", Always, &["nnnnn"]), ("TV", Never, &[]), ("TW", Always, &["nnn", "nnnnn", "nnnnnn"]),
    ("UA", Always, &["nnnnn"]), ("UG", Never, &[]), ("US", Always, &["nnnnn", "nnnnn-nnnn"]),
    ("UY", Sometimes, &["nnnnn"]), ("UZ", Always, &["nnnnnn"]), ("VA", Always, &["00120"]),
    ("VE", Sometimes, &["nnnn"]), ("VI", Always, &["008nn", "008nn-nnnn"]),
    ("VN", Sometimes, &["nnnnn", "nnnnnn"]), ("VU", Never, &[]), ("WF", Always, &["986nn"]),
    ("YE", Never, &[]), ("YT", Always, &["976nn"]), ("ZA", Always, &["nnnn"]), ("ZW", Never, &[]),
];
