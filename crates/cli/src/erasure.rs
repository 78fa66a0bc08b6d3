//! `docket erasure`: verifies receipts of erasures, apart from the server that signed them.

use crate::failure::Failure;
use crate::output::{count, cut, numbers, say};
use crate::settings::parse_secret;
use clap::{Args, Subcommand};
use docket_client::{Client, RetryPolicy};
use docket_contract::operations::{ErasedSet, ErasureKey, ErasureReceipt, NoInput, ReadErasureKey};
use docket_service::receipts::{MAX_SIGNED, ReceiptKey, Unbelieved, open};
use docket_service::secrets::{SECRET_FILE, Secrets};
use serde_json::Value;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Longest file that is read: a receipt and what it is signed with.
const MAX_FILE: u64 = 3 * MAX_SIGNED as u64;
/// Characters of an id that are shown.
const SHOWN: usize = 40;

/// Verify receipts of erasures, and show the key for it.
#[derive(Args)]
pub(crate) struct ErasureArguments {
    #[command(subcommand)]
    command: ErasureCommand,
}

#[derive(Subcommand)]
enum ErasureCommand {
    Verify(VerifyArguments),
    /// Print the public key that receipts are verified with, as a JSON Web Key.
    Key(Local),
}

/// Verify the receipt of an erasure.
///
/// Checks the signature, and that what can be read in the receipt is what was signed; then prints it. The key is that of
/// the data directory, unless a file or a server is named. Keep the key with the receipts: a server with another secret
/// has another one.
///
/// Exit codes: 0 it is genuine; 1 it is forged, was changed, or another key signed it; 2 wrong arguments or files.
#[derive(Args)]
struct VerifyArguments {
    /// The receipt: the answer in JSON, or only its signature; - for standard input.
    file: PathBuf,
    /// A file with the public key, as a JSON Web Key.
    #[arg(long, value_name = "FILE", conflicts_with = "url")]
    jwk: Option<PathBuf>,
    /// A server to ask for the public key.
    #[arg(long)]
    url: Option<String>,
    /// A key for that server, where it asks for one [default: DOCKET_TOKEN, which running jobs find]
    #[arg(long, env = "DOCKET_KEY", hide_env_values = true)]
    key: Option<String>,
    #[command(flatten)]
    local: Local,
}

/// The server's own secret.
#[derive(Args)]
struct Local {
    /// The server's data directory.
    #[arg(long, env = "DOCKET_DATA", default_value = "docket-data")]
    data: PathBuf,
    /// The server's secret, if it has one by its settings [default: secret.key in the data directory].
    #[arg(long, env = "DOCKET_SECRET", value_name = "HEX", hide_env_values = true)]
    secret: Option<String>,
}

/// `docket erasure`.
pub(crate) async fn run(arguments: ErasureArguments) -> Result<ExitCode, Failure> {
    match arguments.command {
        ErasureCommand::Key(local) => {
            say!("{}", serde_json::to_string(&local.key()?).map_err(Failure::other)?);
        }
        ErasureCommand::Verify(arguments) => {
            let text = read(&arguments.file)?;
            let key = arguments.public_key().await?;
            let receipt = verify(text.trim(), &key)?;
            show(&receipt);
        }
    }
    Ok(ExitCode::SUCCESS)
}

impl Local {
    fn key(&self) -> Result<ErasureKey, Failure> {
        let secrets = match &self.secret {
            Some(secret) => Secrets::new(&parse_secret(secret)?),
            None => {
                // A directory that no server has used has no secret yet: one made here would be the wrong one.
                if !self.data.join(SECRET_FILE).exists() {
                    let message =
                        format!("data {}: there is no {SECRET_FILE}; the server makes it", self.data.display());
                    return Err(Failure::usage(message));
                }
                let unusable = |error| Failure::usage(format!("data {}: {error}", self.data.display()));
                Secrets::load(&self.data).map_err(unusable)?
            }
        };
        Ok(ReceiptKey::of(&secrets).map_err(|error| Failure::other(error.detail))?.public().clone())
    }
}

impl VerifyArguments {
    async fn public_key(&self) -> Result<ErasureKey, Failure> {
        if let Some(file) = &self.jwk {
            let wrong = |error| Failure::usage(format!("jwk {}: {error}", file.display()));
            return serde_json::from_str(&read(file)?).map_err(wrong);
        }
        let Some(url) = &self.url else { return self.local.key() };
        let key = self.key.clone().or_else(|| std::env::var("DOCKET_TOKEN").ok()).filter(|key| !key.is_empty());
        let client = Client::new(url, key.as_deref())?.with_retry(RetryPolicy::NONE);
        client.call::<ReadErasureKey>(&NoInput {}).await.map_err(Failure::of_call)
    }
}

fn read(path: &Path) -> Result<String, Failure> {
    let wrong = |error: &dyn std::fmt::Display| Failure::usage(format!("{}: {error}", path.display()));
    let mut text = String::new();
    let source: Box<dyn Read> = match path == Path::new("-") {
        true => Box::new(std::io::stdin()),
        false => Box::new(File::open(path).map_err(|error| wrong(&error))?),
    };
    source.take(MAX_FILE + 1).read_to_string(&mut text).map_err(|error| wrong(&error))?;
    if text.len() as u64 > MAX_FILE {
        return Err(wrong(&format!("it has more than {} MiB", MAX_FILE >> 20)));
    }
    Ok(text)
}

/// The receipt, if it is genuine: what was signed. A readable one must say the same.
fn verify(text: &str, key: &ErasureKey) -> Result<ErasureReceipt, Failure> {
    let (signed, readable) = match text.starts_with('{') {
        false => (text.to_owned(), None),
        true => {
            let mut readable: Value =
                serde_json::from_str(text).map_err(|error| Failure::other(format!("it is no receipt: {error}")))?;
            let signature = readable.as_object_mut().and_then(|members| members.remove("signature"));
            let Some(Value::String(signed)) = signature else {
                return Err(Failure::other("it is no receipt: it has no signature"));
            };
            (signed, Some(readable))
        }
    };
    let mut statement = open(&signed, key).map_err(|error| match error {
        Unbelieved::Key(_) => Failure::usage(error.to_string()),
        error => Failure::other(error),
    })?;
    if let Some(readable) = readable
        && readable != statement
    {
        let name = differs(&readable, &statement);
        return Err(Failure::other(format!("it was changed: {name} is not what was signed")));
    }
    if let Some(members) = statement.as_object_mut() {
        members.insert("signature".to_owned(), Value::String(signed));
    }
    serde_json::from_value(statement).map_err(|error| Failure::other(format!("what was signed is no receipt: {error}")))
}

/// The first member in which two objects differ.
fn differs(readable: &Value, statement: &Value) -> String {
    let names = [readable, statement].into_iter().filter_map(Value::as_object).flat_map(|members| members.keys());
    let name = names.into_iter().find(|name| readable.get(name) != statement.get(name));
    name.map_or_else(|| "it".to_owned(), |name| cut(name, SHOWN))
}

fn show(receipt: &ErasureReceipt) {
    let subject = &receipt.subject;
    let whom = match (&subject.business_partner_id, &subject.external_id) {
        (Some(id), _) => format!("businessPartnerId {}", cut(id, SHOWN)),
        (None, Some(id)) => format!("externalId {}", cut(id, SHOWN)),
        (None, None) => "nobody".to_owned(),
    };
    say!("erasure       {}", receipt.erasure_id);
    say!("organization  {}", cut(&receipt.organization, SHOWN));
    say!("subject       {whom}");
    say!("erased at     {}", receipt.erased_at);
    say!("erased by     {}", cut(&receipt.erased_by, SHOWN));
    say!("results       {}", count(receipt.results.unsigned_abs()));
    if !receipt.sets.is_empty() {
        let mut table = numbers(["storage, and job or processing log", "results"]);
        for set in &receipt.sets {
            table.add_row([place(set), count(set.results.unsigned_abs())]);
        }
        say!("{table}");
    }
    if receipt.more_sets > 0 {
        say!("and {} more result sets", count(receipt.more_sets.unsigned_abs()));
    }
    say!("genuine: signed with the key {}", receipt.key_id);
}

fn place(set: &ErasedSet) -> String {
    let owner = match (set.job_id, set.processing_log_id) {
        (Some(job), _) => job.to_string(),
        (None, log) => log.map_or_else(String::new, |log| log.to_string()),
    };
    format!("{} {owner}", cut(&set.storage_id, SHOWN))
}

#[cfg(test)]
mod tests {
    use super::*;
    use docket_contract::Operation;
    use docket_contract::operations::EraseRecords;

    fn example() -> (ErasureReceipt, ErasureKey) {
        (EraseRecords::example().1, ReadErasureKey::example().1)
    }

    #[test]
    fn a_receipt_is_read_in_both_forms() {
        let (receipt, key) = example();
        let json = serde_json::to_string_pretty(&receipt).expect("JSON");
        assert_eq!(verify(&json, &key), Ok(receipt.clone()));
        assert_eq!(verify(&receipt.signature, &key), Ok(receipt));
    }

    #[test]
    fn what_can_be_read_must_be_what_was_signed() {
        let (receipt, key) = example();
        let json = serde_json::to_value(&receipt).expect("JSON");
        for (name, value) in [
            ("results", Value::from(4)),
            ("erasedAt", Value::from("2026-11-23T16:21:00.000Z")),
            ("subject", serde_json::json!({"externalId": "x"})),
            ("sets", Value::from([0; 0].as_slice())),
            ("more", Value::Null),
        ] {
            let mut changed = json.clone();
            changed[name] = value;
            let told = verify(&changed.to_string(), &key).expect_err("changed").message;
            assert!(told.contains("changed") && told.contains(name), "{told}");
        }
        let mut cut = json.clone();
        cut.as_object_mut().expect("an object").remove("moreSets");
        assert!(verify(&cut.to_string(), &key).expect_err("changed").message.contains("moreSets"));
        for wrong in ["", "{}", "{", "nonsense", r#"{"signature":1}"#] {
            assert_eq!(verify(wrong, &key).expect_err("no receipt").code, 1, "{wrong}");
        }
        let no_key = ErasureKey { crv: "X25519".to_owned(), ..key };
        assert_eq!(verify(&json.to_string(), &no_key).expect_err("no key").code, 2);
    }
}
