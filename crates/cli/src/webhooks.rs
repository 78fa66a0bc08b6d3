//! `docket webhooks`: works on the data directory itself, also while the server runs.

use crate::failure::Failure;
use crate::settings::parse_secret;
use clap::{Args, Subcommand};
use docket_contract::text;
use docket_service::secrets::{SECRET_FILE, Secrets};
use docket_service::webhooks::Secret;
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct WebhooksArguments {
    #[command(subcommand)]
    command: WebhooksCommand,
}

#[derive(Subcommand)]
enum WebhooksCommand {
    /// Show the secret with which receivers verify what an organization's webhooks are told.
    Secret {
        /// The organization whose jobs name the webhooks.
        #[arg(long)]
        organization: String,
        /// The server's data directory.
        #[arg(long, env = "DOCKET_DATA", default_value = "docket-data")]
        data: PathBuf,
        /// The server's secret, if it has one by its settings [default: secret.key in the data directory].
        #[arg(long, env = "DOCKET_SECRET", value_name = "HEX", hide_env_values = true)]
        secret: Option<String>,
    },
}

pub(crate) fn run(arguments: WebhooksArguments) -> Result<ExitCode, Failure> {
    let WebhooksCommand::Secret { organization, data, secret } = arguments.command;
    text::check_id(&organization).map_err(|(_, detail)| Failure::usage(format!("organization {detail}")))?;
    let secrets = match secret {
        Some(secret) => Secrets::new(&parse_secret(&secret)?),
        None => {
            // A directory that no server has used has no secret yet: one made here would be the wrong one.
            if !data.join(SECRET_FILE).exists() {
                let message = format!("data {}: there is no {SECRET_FILE}; the server makes it", data.display());
                return Err(Failure::usage(message));
            }
            Secrets::load(&data).map_err(|error| Failure::usage(format!("data {}: {error}", data.display())))?
        }
    };
    println!("{}", Secret::new(secrets.webhook_secret(&organization)));
    Ok(ExitCode::SUCCESS)
}
