//! What makes two results ones about the same record.

/// What identifies a record within job and storage: data source, business partner, external id, address, external
/// address id, and the two parts of the address version; each may be absent.
///
/// Kept as one run of bytes, each part behind its length, so that equal identities are equal bytes.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Identity(Box<[u8]>);

impl Identity {
    pub(super) fn new(parts: [Option<&str>; 7]) -> Self {
        let length = parts.iter().map(|part| 2 + part.map_or(0, str::len)).sum();
        let mut bytes = Vec::with_capacity(length);
        for part in parts {
            // Ids have at most 255 characters of at most 4 bytes; 0 stands for "absent".
            let length = part.map_or(0, |part| part.len() as u16 + 1);
            bytes.extend_from_slice(&length.to_le_bytes());
            bytes.extend_from_slice(part.unwrap_or_default().as_bytes());
        }
        Self(bytes.into_boxed_slice())
    }

    /// The bytes that are equal exactly for equal identities.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The data source.
    pub fn data_source_id(&self) -> Option<&str> {
        self.part(0)
    }

    /// The business partner.
    pub fn business_partner_id(&self) -> Option<&str> {
        self.part(1)
    }

    /// The id in the customer's systems.
    pub fn external_id(&self) -> Option<&str> {
        self.part(2)
    }

    fn part(&self, wanted: usize) -> Option<&str> {
        let mut rest: &[u8] = &self.0;
        for index in 0.. {
            let (length, behind) = rest.split_first_chunk::<2>()?;
            let length = usize::from(u16::from_le_bytes(*length));
            let (part, behind) = behind.split_at_checked(length.saturating_sub(1))?;
            if index == wanted {
                return (length > 0).then(|| std::str::from_utf8(part).ok()).flatten();
            }
            rest = behind;
        }
        None
    }
}
