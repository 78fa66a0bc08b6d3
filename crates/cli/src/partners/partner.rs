//! The partner record and the names of its columns. Owns no rule about what is right in it.

use super::rules::country;

/// The columns of a partner file, in the order in which the writer writes them.
pub const COLUMNS: [&str; 12] = [
    "externalId",
    "businessPartnerId",
    "dataSourceId",
    "name",
    "street",
    "postalCode",
    "city",
    "country",
    "vatNumber",
    "iban",
    "lei",
    "identifiers",
];

/// One business partner as it stands in the file: nothing is trimmed or corrected.
/// A column that is absent or empty is an empty text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Partner {
    /// Identity in the system the partner comes from.
    pub external_id: String,
    /// Identity in the storage of business partners; `None` when absent or empty.
    pub business_partner_id: Option<String>,
    /// The data source the partner belongs to; `None` when absent or empty.
    pub data_source_id: Option<String>,
    /// Legal or trade name.
    pub name: String,
    /// Thoroughfare and house number.
    pub street: String,
    /// Post code, with or without the country's separators.
    pub postal_code: String,
    /// Locality.
    pub city: String,
    /// ISO 3166-1 alpha-2 code, if all is well.
    pub country: String,
    /// VAT identification number with its country prefix, if all is well.
    pub vat_number: String,
    /// International bank account number.
    pub iban: String,
    /// Legal entity identifier.
    pub lei: String,
    /// Further identifiers in the form `TYPE:value;TYPE:value`.
    pub identifiers: String,
}

impl Partner {
    /// The ISO 3166-1 alpha-2 code that `country` stands for, also when it is written in lower
    /// case, as an alpha-3 code or as a name. Fit for `countryShortName`.
    pub fn country_code(&self) -> Option<&'static str> {
        country::resolve(&self.country)
    }

    /// The fields in the order of [`COLUMNS`].
    pub(super) fn fields(&self) -> [&str; 12] {
        [
            &self.external_id,
            self.business_partner_id.as_deref().unwrap_or(""),
            self.data_source_id.as_deref().unwrap_or(""),
            &self.name,
            &self.street,
            &self.postal_code,
            &self.city,
            &self.country,
            &self.vat_number,
            &self.iban,
            &self.lei,
            &self.identifiers,
        ]
    }

    /// Puts `value` into the field of the column at `index` of [`COLUMNS`].
    pub(super) fn set(&mut self, index: usize, value: &str) {
        let optional = |value: &str| (!value.trim().is_empty()).then(|| value.to_owned());
        let field = match index {
            0 => &mut self.external_id,
            1 => return self.business_partner_id = optional(value),
            2 => return self.data_source_id = optional(value),
            3 => &mut self.name,
            4 => &mut self.street,
            5 => &mut self.postal_code,
            6 => &mut self.city,
            7 => &mut self.country,
            8 => &mut self.vat_number,
            9 => &mut self.iban,
            10 => &mut self.lei,
            _ => &mut self.identifiers,
        };
        field.push_str(value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn set_and_fields_agree_on_the_order() {
        let mut partner = Partner::default();
        for (index, column) in COLUMNS.iter().enumerate() {
            partner.set(index, column);
        }
        assert_eq!(partner.fields(), COLUMNS);
    }
}
