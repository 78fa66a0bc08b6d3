//! The table of rules: every code that a validation can carry, with its field, weight, meaning and
//! source. A rule that is not in the table cannot be emitted, because defects and corrections are
//! made from its entries. Refuses to know how a rule is checked: that is in `rules`.

/// How much a rule weighs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Kind {
    /// A defect that fails the record.
    Error,
    /// A defect that is legal but suspicious; the record stays OK.
    Warning,
    /// No defect: the value is right, and a correction proposes its standard form.
    Correction,
}

/// One rule of the table.
#[derive(Debug, PartialEq, Eq, Hash)]
pub struct Rule {
    /// Stable code, as sent in `resultData`.
    pub code: &'static str,
    /// The fields it looks at, separated by a comma and a space.
    pub fields: &'static str,
    /// Its weight.
    pub kind: Kind,
    /// One sentence: when it strikes.
    pub description: &'static str,
    /// The published source.
    pub source: &'static str,
}

/// The entry with this code.
pub fn rule(code: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.code == code)
}

macro_rules! rules {
    ($($code:ident $kind:ident $fields:literal, $description:literal, $source:expr;)*) => {
        $(
            #[doc = $description]
            pub static $code: Rule = Rule {
                code: stringify!($code),
                fields: $fields,
                kind: Kind::$kind,
                description: $description,
                source: $source,
            };
        )*
        /// Every rule, in the order of the fields.
        pub static RULES: &[&Rule] = &[$(&$code),*];
    };
}

const OWN: &str = "Docket: plausibility";
const CSV: &str = "RFC 4180; RFC 3629 (UTF-8)";
const ISO_3166: &str = "ISO 3166-1";
const POSTAL: &str = "forms of the national posts, compared with libaddressinput";
const VAT: &str = "national VAT number structures and check digits, compared with python-stdnum";
const IBAN: &str = "ISO 13616-1; IBAN registry, release 101, by way of python-stdnum";
const IBAN_CHECK: &str = "ISO 13616-1; ISO/IEC 7064 MOD 97-10";
const LEI: &str = "ISO 17442-1";
const LEI_CHECK: &str = "ISO 17442-1; ISO/IEC 7064 MOD 97-10";

rules! {
    ROW_UNREADABLE Error "row",
        "The row has the wrong number of fields, is too long, or is not UTF-8.", CSV;
    EXTERNAL_ID_MISSING Error "externalId",
        "The external id is empty, so the record cannot be found again.", OWN;
    NAME_MISSING Error "name",
        "The name is empty.", OWN;
    NAME_PLACEHOLDER Error "name",
        "The name is a stand-in such as TEST, N/A or unknown.", OWN;
    NAME_REPEATED_CHARACTER Error "name",
        "The name is one character repeated three times or more.", OWN;
    NAME_DIGITS_ONLY Warning "name",
        "The name consists of digits only.", OWN;
    NAME_EQUALS_CITY Warning "name, city",
        "The name is the same as the city.", OWN;
    TEXT_CONTROL_CHARACTER Error "name, street, city",
        "The text holds control or invisible characters.", "Unicode general categories Cc and Cf";
    TEXT_MOJIBAKE Error "name, street, city",
        "The text is UTF-8 that was read as Windows-1252, or holds replacement characters.",
        "RFC 3629 (UTF-8); WHATWG Encoding Standard (windows-1252)";
    TEXT_WHITESPACE Correction "name, street, city",
        "The text has leading, trailing, double or unusual white space.", OWN;
    STREET_MISSING Warning "street",
        "The street is empty.", OWN;
    CITY_MISSING Error "city",
        "The city is empty, in a country that is not a city state.", OWN;
    ADDRESS_PLACEHOLDER Error "street, city",
        "The street or the city is a stand-in such as TEST, N/A or unknown.", OWN;
    COUNTRY_MISSING Error "country",
        "The country is empty.", ISO_3166;
    COUNTRY_UNKNOWN Error "country",
        "The country is neither a code nor a known name.", ISO_3166;
    COUNTRY_NOT_A_CODE Error "country",
        "The country is a name, an alpha-3 code or a colloquial code instead of an alpha-2 code.",
        ISO_3166;
    COUNTRY_FORMAT Correction "country",
        "The country code is not in upper case or has white space around it.", ISO_3166;
    POSTAL_CODE_MISSING Error "postalCode",
        "The postal code is empty, in a country where every address has one.", POSTAL;
    POSTAL_CODE_INVALID Error "postalCode",
        "The postal code does not fit the country's pattern or range.", POSTAL;
    POSTAL_CODE_NOT_USED Warning "postalCode",
        "There is a postal code, in a country that has none.", POSTAL;
    POSTAL_CODE_FORMAT Correction "postalCode",
        "The postal code is not written in the country's form.", POSTAL;
    VAT_STRUCTURE_INVALID Error "vatNumber, identifiers",
        "The VAT number does not have the length and characters of its country.", VAT;
    VAT_CHECK_DIGIT_INVALID Error "vatNumber, identifiers",
        "The check digits of the VAT number are wrong.", VAT;
    VAT_PREFIX_MISSING Warning "vatNumber",
        "The VAT number is valid in the country of the address, but lacks the country prefix.", VAT;
    VAT_PREFIX_UNKNOWN Error "vatNumber",
        "The VAT number starts with letters that are no VAT country prefix, though the address is in a country that has one.",
        VAT;
    VAT_COUNTRY_MISMATCH Warning "vatNumber, country",
        "The VAT number is valid, but of another country than the address: legal, yet suspicious.",
        VAT;
    VAT_FORMAT Correction "vatNumber, identifiers",
        "The VAT number has punctuation, lower case letters or the prefix GR instead of EL.", VAT;
    IBAN_STRUCTURE_INVALID Error "iban, identifiers",
        "The IBAN has characters that its country does not allow at that place.", IBAN;
    IBAN_COUNTRY_UNKNOWN Error "iban, identifiers",
        "The IBAN starts with a country that is not in the IBAN registry.", IBAN;
    IBAN_LENGTH_INVALID Error "iban, identifiers",
        "The IBAN does not have the length of its country.", IBAN;
    IBAN_CHECK_DIGIT_INVALID Error "iban, identifiers",
        "The check digits of the IBAN are wrong.", IBAN_CHECK;
    IBAN_FORMAT Correction "iban, identifiers",
        "The IBAN is not in the electronic form: upper case without separators.", IBAN;
    LEI_LENGTH_INVALID Error "lei, identifiers",
        "The LEI does not have 20 characters.", LEI;
    LEI_STRUCTURE_INVALID Error "lei, identifiers",
        "The LEI is not 18 letters or digits and two check digits.", LEI;
    LEI_CHECK_DIGIT_INVALID Error "lei, identifiers",
        "The check digits of the LEI are wrong.", LEI_CHECK;
    LEI_FORMAT Correction "lei, identifiers",
        "The LEI is not in upper case or holds separators.", LEI;
    GLN_INVALID Error "identifiers",
        "The GLN is not 13 digits with a right check digit.", "GS1 General Specifications";
    DUNS_INVALID Error "identifiers",
        "The D-U-N-S number is not nine digits.", "Dun & Bradstreet D-U-N-S number";
    IDENTIFIER_MALFORMED Warning "identifiers",
        "An entry of the identifiers is not of the form TYPE:value.", OWN;
    IDENTIFIERS_TOO_MANY Warning "identifiers",
        "There are more than 20 identifiers; the further ones are not checked.", OWN;
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn codes_are_unique_and_entries_are_whole() {
        let codes: HashSet<_> = RULES.iter().map(|rule| rule.code).collect();
        assert_eq!(codes.len(), RULES.len());
        for entry in RULES {
            assert_eq!(rule(entry.code), Some(*entry));
            assert!(entry.description.ends_with('.'), "{}", entry.code);
            assert!(!entry.source.is_empty() && !entry.fields.is_empty());
        }
        assert_eq!(rule("NO_SUCH_RULE"), None);
    }
}
