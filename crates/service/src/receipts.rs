//! Signed receipts: a statement in JSON as a JWS in its compact form (RFC 7515), with EdDSA over Ed25519 (RFC 8037).
//!
//! The key is made from the server's secret. Verifying needs the public key only, and refuses every other algorithm,
//! kind of statement and key, so that nothing that was signed for another purpose passes for a receipt.

use crate::secrets::Secrets;
use aws_lc_rs::signature::{ED25519, Ed25519KeyPair, KeyPair as _, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use docket_contract::operations::{ErasureKey, ErasureReceipt, RECEIPT_ALGORITHM};
use docket_contract::{Code, Error};
use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// What kind of statement is signed (RFC 7515, 4.1.9).
const KIND: &str = "erasure-receipt+jws";
/// Longest signed receipt that is looked at, in bytes: more than the largest that is made.
pub const MAX_SIGNED: usize = 4 << 20;

/// Why a receipt is not believed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unbelieved {
    /// It has not the form of one.
    #[error("it is no signed receipt: {0}")]
    Malformed(&'static str),
    /// The key has not the form of one.
    #[error("the key is no Ed25519 key: {0}")]
    Key(&'static str),
    /// Another key signed it.
    #[error("it names the key {named}, not {given}")]
    OtherKey {
        /// The key id that stands in it.
        named: String,
        /// That of the key that it was to be verified with.
        given: String,
    },
    /// The key did not sign this.
    #[error("the signature is not the key's: it is forged or was changed")]
    Forged,
}

/// The key that signs receipts.
pub struct ReceiptKey {
    pair: Ed25519KeyPair,
    public: ErasureKey,
}

impl ReceiptKey {
    /// The one that belongs to a server's secret.
    ///
    /// # Errors
    /// `internal`, if the library can't make it.
    pub fn of(secrets: &Secrets) -> Result<Self, Error> {
        Self::from_seed(secrets.receipt_seed())
    }

    fn from_seed(seed: &[u8; 32]) -> Result<Self, Error> {
        let made = Ed25519KeyPair::from_seed_unchecked(seed);
        let pair = made.map_err(|error| Error::new(Code::Internal, format!("The key can't be made: {error}.")))?;
        let x = URL_SAFE_NO_PAD.encode(pair.public_key());
        let public = ErasureKey {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            kid: thumbprint(&x),
            x,
            alg: RECEIPT_ALGORITHM.to_owned(),
        };
        Ok(Self { pair, public })
    }

    /// What others verify with.
    pub fn public(&self) -> &ErasureKey {
        &self.public
    }

    /// Names the key in a receipt, and signs it.
    ///
    /// # Errors
    /// `internal`, if the library can't sign.
    pub fn seal(&self, mut receipt: ErasureReceipt) -> Result<ErasureReceipt, Error> {
        receipt.key_id.clone_from(&self.public.kid);
        let failed = |error: &dyn std::fmt::Display| Error::new(Code::Internal, format!("Signing failed: {error}."));
        let statement = receipt.statement().map_err(|error| failed(&error))?;
        let header = json!({"alg": RECEIPT_ALGORITHM, "kid": self.public.kid, "typ": KIND});
        receipt.signature = self.sign(&header, statement.to_string().as_bytes()).map_err(|error| failed(&error))?;
        Ok(receipt)
    }

    fn sign(&self, header: &Value, payload: &[u8]) -> Result<String, aws_lc_rs::error::Unspecified> {
        let mut signed = URL_SAFE_NO_PAD.encode(header.to_string());
        signed.push('.');
        URL_SAFE_NO_PAD.encode_string(payload, &mut signed);
        let signature = self.pair.try_sign(signed.as_bytes())?;
        signed.push('.');
        URL_SAFE_NO_PAD.encode_string(signature.as_ref(), &mut signed);
        Ok(signed)
    }
}

/// The thumbprint of an Ed25519 key (RFC 7638, RFC 8037 appendix A.3).
fn thumbprint(x: &str) -> String {
    let members = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{x}"}}"#);
    URL_SAFE_NO_PAD.encode(Sha256::digest(members))
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    typ: String,
    crit: Option<Value>,
}

/// The statement of a signed receipt, if the key has signed it.
///
/// # Errors
/// See [`Unbelieved`].
pub fn open(signed: &str, key: &ErasureKey) -> Result<Value, Unbelieved> {
    if signed.len() > MAX_SIGNED {
        return Err(Unbelieved::Malformed("it is longer than 4 MiB"));
    }
    let given = public_key(key)?;
    let malformed =
        || Unbelieved::Malformed("a JWS in its compact form has three parts in base64url, with points between");
    let (told, signature) = signed.rsplit_once('.').ok_or_else(malformed)?;
    let (header, payload) = told.split_once('.').ok_or_else(malformed)?;
    let [header, payload, signature] = [header, payload, signature].map(|part| URL_SAFE_NO_PAD.decode(part));
    let (Ok(header), Ok(payload), Ok(signature)) = (header, payload, signature) else { return Err(malformed()) };
    let header: Header = serde_json::from_slice(&header)
        .map_err(|_| Unbelieved::Malformed("its header does not name alg, kid and typ"))?;
    if header.alg != RECEIPT_ALGORITHM || header.typ != KIND || header.crit.is_some() {
        return Err(Unbelieved::Malformed("its header is not one of a receipt"));
    }
    let kid = thumbprint(&key.x);
    if header.kid != kid {
        return Err(Unbelieved::OtherKey { named: header.kid, given: kid });
    }
    let verified = UnparsedPublicKey::new(&ED25519, given).verify(told.as_bytes(), &signature);
    verified.map_err(|_| Unbelieved::Forged)?;
    serde_json::from_slice(&payload).map_err(|_| Unbelieved::Malformed("what is signed is not JSON"))
}

fn public_key(key: &ErasureKey) -> Result<[u8; 32], Unbelieved> {
    if key.kty != "OKP" || key.crv != "Ed25519" {
        return Err(Unbelieved::Key("kty must be OKP and crv Ed25519"));
    }
    let bytes = URL_SAFE_NO_PAD.decode(&key.x).ok().and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or(Unbelieved::Key("x must be 32 bytes in base64url"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::operations::{EraseRecords, Operation, ReadErasureKey};
    use proptest::prelude::*;

    fn key() -> ReceiptKey {
        ReceiptKey::of(&Secrets::new(&[7; 32])).expect("a key")
    }

    fn sealed() -> ErasureReceipt {
        key().seal(EraseRecords::example().1).expect("signed")
    }

    /// The key and the signature of RFC 8037, appendix A.
    #[test]
    fn as_the_standard_says() {
        let seed = URL_SAFE_NO_PAD.decode("nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A").expect("base64url");
        let key = ReceiptKey::from_seed(&seed.try_into().expect("32 bytes")).expect("a key");
        assert_eq!(key.public.x, "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo");
        assert_eq!(key.public.kid, "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
        let signed = key.sign(&json!({"alg": "EdDSA"}), b"Example of Ed25519 signing").expect("signed");
        let expected = "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc.hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6\
            dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg";
        assert_eq!(signed, expected);
        // Nobody signed a receipt there.
        assert!(matches!(open(&signed, &key.public), Err(Unbelieved::Malformed(_))));
    }

    #[test]
    fn a_receipt_is_believed_with_its_key_only() {
        let receipt = sealed();
        assert_eq!(open(&receipt.signature, key().public()), Ok(receipt.statement().expect("JSON")));
        assert_eq!(receipt.key_id, key().public().kid);
        let other = ReceiptKey::of(&Secrets::new(&[8; 32])).expect("a key");
        assert!(matches!(open(&receipt.signature, other.public()), Err(Unbelieved::OtherKey { .. })));
        // The header names the first key, the second has signed.
        let header = json!({"alg": "EdDSA", "kid": key().public().kid, "typ": KIND});
        let forged = other.sign(&header, b"{}").expect("signed");
        assert_eq!(open(&forged, key().public()), Err(Unbelieved::Forged));
    }

    #[test]
    fn only_receipts_are_believed() {
        let key = key();
        let kid = &key.public.kid;
        for header in [
            json!({"alg": "none", "kid": kid, "typ": KIND}),
            json!({"alg": "HS256", "kid": kid, "typ": KIND}),
            json!({"alg": "EdDSA", "kid": kid, "typ": "JWT"}),
            json!({"alg": "EdDSA", "kid": kid}),
            json!({"alg": "EdDSA", "kid": kid, "typ": KIND, "crit": ["b64"], "b64": false}),
        ] {
            let signed = key.sign(&header, b"{}").expect("signed");
            assert!(matches!(open(&signed, &key.public), Err(Unbelieved::Malformed(_))), "{header}");
        }
        for text in ["", ".", "..", "a.b", "e30.e30.e30.e30", "{}"] {
            assert!(matches!(open(text, &key.public), Err(Unbelieved::Malformed(_))), "{text}");
        }
        let wrong = ErasureKey { x: "AAAA".to_owned(), ..key.public.clone() };
        assert!(matches!(open(&sealed().signature, &wrong), Err(Unbelieved::Key(_))));
    }

    #[test]
    fn the_examples_belong_together() {
        let (receipt, key) = (EraseRecords::example().1, ReadErasureKey::example().1);
        let sealed = sealed();
        assert_eq!((&key.x, &key.kid), (&self::key().public.x, &self::key().public.kid), "{:?}", self::key().public);
        assert_eq!(open(&receipt.signature, &key), Ok(receipt.statement().expect("JSON")), "{}", sealed.signature);
    }

    proptest! {
        #[test]
        fn nothing_changed_is_believed(place in any::<prop::sample::Index>(), byte in 0x21u8..0x7f) {
            let signed = sealed().signature;
            let place = place.index(signed.len());
            prop_assume!(signed.as_bytes()[place] != byte);
            let mut changed = signed.into_bytes();
            changed[place] = byte;
            let changed = String::from_utf8(changed).expect("ASCII");
            prop_assert!(open(&changed, key().public()).is_err(), "{changed}");
        }

        #[test]
        fn every_text_is_signed_as_it_is(partner in "\\PC{1,255}", user in any::<String>(), results in any::<i64>()) {
            let mut receipt = EraseRecords::example().1;
            receipt.subject.business_partner_id = Some(partner);
            (receipt.erased_by, receipt.results) = (user, results);
            let receipt = key().seal(receipt).expect("signed");
            prop_assert_eq!(open(&receipt.signature, key().public()), Ok(receipt.statement().expect("JSON")));
        }
    }
}
