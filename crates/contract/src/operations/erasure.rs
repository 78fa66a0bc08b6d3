//! Erasing what was recorded about a business partner, and the receipt for it (D).

use super::{Input, Method, NoInput, Operation, Resource, example_job_id, example_storage, run};
use crate::caller::Role;
use crate::error::Code;
use crate::job::JobId;
use crate::log::ProcessingLogId;
use crate::time::Timestamp;
use crate::validate::{Problems, Validate};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Most result sets that a receipt names; further ones are counted.
pub const MAX_ERASED_SETS: usize = 1000;
/// The algorithm of a receipt's signature, as JOSE names it (RFC 8037).
pub const RECEIPT_ALGORITHM: &str = "EdDSA";

crate::ids::uuid_id!(
    /// The id of an erasure: a UUID of version 7, in lower case with hyphens.
    ErasureId,
    "Unique identifier of the erasure.",
    "0198f4c1-9a60-7c11-8e2d-5b7a90c3d1f2"
);

// (D)
/// Erase Records.
pub struct EraseRecords;

/// Whose records are erased: exactly one of the ids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct EraseRecordsInput {
    /// Results with this `businessPartnerId`. Either this or `externalId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255, example = "63e635235c06b7396330fe40")]
    pub business_partner_id: Option<String>,
    /// Results with this `externalId`. Either this or `businessPartnerId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(min_length = 1, max_length = 255)]
    pub external_id: Option<String>,
}

impl Validate for EraseRecordsInput {
    fn validate(&mut self, problems: &mut Problems) {
        problems.id("/businessPartnerId", self.business_partner_id.as_deref());
        problems.id("/externalId", self.external_id.as_deref());
        match (&self.business_partner_id, &self.external_id) {
            (None, None) => problems.add("/businessPartnerId", "required", "is required, or externalId in its place"),
            (Some(_), Some(_)) => {
                problems.add("/externalId", "not_allowed", "must not be given beside businessPartnerId")
            }
            _ => {}
        }
    }
}

impl Input for EraseRecordsInput {}

// (D)
/// Whose records were erased: the id that was given.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureSubject {
    /// Results with this `businessPartnerId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(example = "63e635235c06b7396330fe40")]
    pub business_partner_id: Option<String>,
    /// Results with this `externalId`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub external_id: Option<String>,
}

// (D)
/// A result set that results were erased from: a job's or a processing log's.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasedSet {
    /// The storage.
    #[schema(example = "72d6900fce6b326088f5d9d91049e3e6")]
    pub storage_id: String,
    /// The job.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job_id: Option<JobId>,
    /// The processing log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processing_log_id: Option<ProcessingLogId>,
    /// How many results.
    #[schema(minimum = 1, example = 2)]
    pub results: i64,
}

// (D)
/// What was erased, where, how many, when and by whom, signed by the server.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub struct ErasureReceipt {
    /// The erasure.
    pub erasure_id: ErasureId,
    /// Whose results they were.
    #[schema(example = "acme")]
    pub organization: String,
    /// Whom they were about.
    pub subject: ErasureSubject,
    /// When all was gone.
    pub erased_at: Timestamp,
    /// The user of the key that asked for it.
    #[schema(example = "admin")]
    pub erased_by: String,
    /// How many results, over all sets.
    #[schema(minimum = 0, example = 3)]
    pub results: i64,
    /// The sets that had any: by ascending storage, jobs and processing logs in an order of their own; 1000 at most.
    #[schema(max_items = 1000)]
    pub sets: Vec<ErasedSet>,
    /// Number of sets beyond those that are named.
    #[schema(minimum = 0, example = 0)]
    pub more_sets: i64,
    /// The key of the signature: its thumbprint (RFC 7638).
    #[schema(example = "8q34dR1_X2aRrOTkPrpBvX08KF8z2xL8eCCipMTs3No")]
    pub key_id: String,
    /// All of the above, signed: a JWS in its compact form (RFC 7515) with EdDSA over Ed25519 (RFC 8037). Its payload is
    /// the receipt without this member.
    #[schema(pattern = "^[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]+\\.[A-Za-z0-9_-]{86}$")]
    pub signature: String,
}

impl ErasureReceipt {
    /// What is signed: the receipt without its signature.
    ///
    /// # Errors
    /// None that is known: a receipt can be written as JSON.
    pub fn statement(&self) -> Result<serde_json::Value, serde_json::Error> {
        let mut statement = serde_json::to_value(self)?;
        if let Some(members) = statement.as_object_mut() {
            members.remove("signature");
        }
        Ok(statement)
    }
}

impl Operation for EraseRecords {
    const NAME: &'static str = "eraseRecords";
    const TITLE: &'static str = "Erase Records";
    const DESCRIPTION: &'static str = "Remove all results about one business partner, from the results of all jobs and from all processing logs of the \
        organization, and answer a signed receipt. Once it has answered nobody reads them any more, also after a crash; \
        comparisons that were kept are forgotten. A record that is written again is a new one. An erasure that broke off \
        is completed by the same request again. Attachments, logs of jobs and backups stay as they are.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Post;
    const PATH: &'static str = "/erasure";
    const ROLE: Role = Role::Admin;
    const ERRORS: &'static [Code] = &[Code::StorageDamaged, Code::StorageFull];
    type Input = EraseRecordsInput;
    type Output = ErasureReceipt;

    fn example() -> (Self::Input, Self::Output) {
        let partner = Some("63e635235c06b7396330fe40".to_owned());
        let input = EraseRecordsInput { business_partner_id: partner.clone(), external_id: None };
        let of_job = ErasedSet {
            storage_id: example_storage(),
            job_id: Some(example_job_id()),
            processing_log_id: None,
            results: 2,
        };
        let of_log = ErasedSet {
            job_id: None,
            processing_log_id: Some(ProcessingLogId::CurationLog),
            results: 1,
            ..of_job.clone()
        };
        let output = ErasureReceipt {
            erasure_id: ErasureId(uuid::uuid!("0198f4c1-9a60-7c11-8e2d-5b7a90c3d1f2")),
            organization: "acme".to_owned(),
            subject: ErasureSubject { business_partner_id: partner, external_id: None },
            erased_at: Timestamp::from_millis(1_598_978_820_000),
            erased_by: "admin".to_owned(),
            results: 3,
            sets: vec![of_job, of_log],
            more_sets: 0,
            key_id: ReadErasureKey::example().1.kid,
            signature: EXAMPLE_SIGNATURE.to_owned(),
        };
        (input, output)
    }

    run!(erase_records);
}

// (D)
/// Read Erasure Key.
pub struct ReadErasureKey;

// (D)
/// The public key that receipts are verified with: a JSON Web Key (RFC 7517, RFC 8037).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct ErasureKey {
    /// The family of keys.
    #[schema(pattern = "^OKP$", example = "OKP")]
    pub kty: String,
    /// The curve.
    #[schema(pattern = "^Ed25519$", example = "Ed25519")]
    pub crv: String,
    /// The public key, in base64url.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$", example = "U2xXHoei5scFotlyYlPNMVgqXQm4RZjDV_t0cDevxAo")]
    pub x: String,
    /// What it is for.
    #[schema(pattern = "^EdDSA$", example = "EdDSA")]
    pub alg: String,
    /// Its thumbprint (RFC 7638), which receipts name as `keyId`.
    #[schema(pattern = "^[A-Za-z0-9_-]{43}$", example = "8q34dR1_X2aRrOTkPrpBvX08KF8z2xL8eCCipMTs3No")]
    pub kid: String,
}

impl Operation for ReadErasureKey {
    const NAME: &'static str = "readErasureKey";
    const TITLE: &'static str = "Read Erasure Key";
    const DESCRIPTION: &'static str = "Read the public key that receipts of erasures are verified with, as a JSON Web Key. It is made from the server's \
        secret and changes with it: keep it with the receipts.";
    const RESOURCE: Resource = Resource::Retention;
    const METHOD: Method = Method::Get;
    const PATH: &'static str = "/erasure/key";
    const ROLE: Role = Role::Reader;
    const ERRORS: &'static [Code] = &[];
    type Input = NoInput;
    type Output = ErasureKey;

    fn example() -> (Self::Input, Self::Output) {
        let output = ErasureKey {
            kty: "OKP".to_owned(),
            crv: "Ed25519".to_owned(),
            x: EXAMPLE_KEY.to_owned(),
            alg: RECEIPT_ALGORITHM.to_owned(),
            kid: EXAMPLE_KEY_ID.to_owned(),
        };
        (NoInput {}, output)
    }

    run!(read_erasure_key);
}

/// The key of the examples, and what it has signed: the service's tests verify it.
const EXAMPLE_KEY: &str = "U2xXHoei5scFotlyYlPNMVgqXQm4RZjDV_t0cDevxAo";
const EXAMPLE_KEY_ID: &str = "8q34dR1_X2aRrOTkPrpBvX08KF8z2xL8eCCipMTs3No";
const EXAMPLE_SIGNATURE: &str = "\
    eyJhbGciOiJFZERTQSIsImtpZCI6IjhxMzRkUjFfWDJhUnJPVGtQcnBCdlgwOEtGOHoyeEw4ZUNDaXBNVHMzTm8iLCJ0eXAiOiJlcmFzdXJlLXJl\
    Y2VpcHQrandzIn0.eyJlcmFzdXJlSWQiOiIwMTk4ZjRjMS05YTYwLTdjMTEtOGUyZC01YjdhOTBjM2QxZjIiLCJvcmdhbml6YXRpb24iOiJhY21l\
    Iiwic3ViamVjdCI6eyJidXNpbmVzc1BhcnRuZXJJZCI6IjYzZTYzNTIzNWMwNmI3Mzk2MzMwZmU0MCJ9LCJlcmFzZWRBdCI6IjIwMjAtMDktMDFU\
    MTY6NDc6MDAuMDAwWiIsImVyYXNlZEJ5IjoiYWRtaW4iLCJyZXN1bHRzIjozLCJzZXRzIjpbeyJzdG9yYWdlSWQiOiI3MmQ2OTAwZmNlNmIzMjYw\
    ODhmNWQ5ZDkxMDQ5ZTNlNiIsImpvYklkIjoiMzVmMjNjMDMtMWMyMi00NWZlLTk0ODQtM2ZmZTc2OTMyNWRlIiwicmVzdWx0cyI6Mn0seyJzdG9y\
    YWdlSWQiOiI3MmQ2OTAwZmNlNmIzMjYwODhmNWQ5ZDkxMDQ5ZTNlNiIsInByb2Nlc3NpbmdMb2dJZCI6IkNVUkFUSU9OX0xPRyIsInJlc3VsdHMi\
    OjF9XSwibW9yZVNldHMiOjAsImtleUlkIjoiOHEzNGRSMV9YMmFSck9Ua1BycEJ2WDA4S0Y4ejJ4TDhlQ0NpcE1UczNObyJ9.1xTOuh3McvTV6zX\
    TSIg7Avr_7DcG7n8qjL6TnhFGoLOyXTAU4BTFXavtwV5L0lPywkzukHbTWfpUBH2YRGJ4Bg";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exactly_one_id_is_needed() {
        let check = |partner: Option<&str>, external: Option<&str>| {
            let [business_partner_id, external_id] = [partner, external].map(|id| id.map(str::to_owned));
            let mut problems = Problems::default();
            EraseRecordsInput { business_partner_id, external_id }.validate(&mut problems);
            problems
                .into_result()
                .map_err(|error| error.errors[0].clone())
                .map_err(|error| (error.pointer, error.detail))
        };
        assert_eq!(check(Some("a"), None), Ok(()));
        assert_eq!(check(None, Some("a")), Ok(()));
        for (partner, external, pointer) in [(None, None, "/businessPartnerId"), (Some("a"), Some("a"), "/externalId")]
        {
            let (at, detail) = check(partner, external).expect_err("refused");
            assert_eq!(at, pointer);
            assert!(detail.contains("businessPartnerId") && detail.contains("externalId"), "{detail}");
        }
        assert_eq!(check(None, Some("")).expect_err("refused").0, "/externalId");
        assert_eq!(check(Some(&"x".repeat(256)), None).expect_err("refused").0, "/businessPartnerId");
    }

    #[test]
    fn all_but_the_signature_is_signed() {
        let receipt = EraseRecords::example().1;
        let statement = receipt.statement().expect("JSON");
        assert_eq!(statement.get("signature"), None);
        let mut whole = serde_json::to_value(&receipt).expect("JSON");
        whole.as_object_mut().expect("an object").remove("signature");
        assert_eq!(statement, whole);
        assert_eq!(statement["subject"]["businessPartnerId"], "63e635235c06b7396330fe40");
    }
}
