//! `docket keys`: works on the data directory itself, also while the server runs.

use crate::failure::Failure;
use clap::{Args, Subcommand};
use comfy_table::Table;
use docket_contract::{Role, text};
use docket_service::access::make_key;
use docket_service::clock::{Clock, SystemClock};
use docket_service::data::{CONTROL_FILE, check_whole};
use docket_service::store::sqlite::SqliteControl;
use docket_service::store::{ControlStore, Scope};
use std::path::PathBuf;
use std::process::ExitCode;

#[derive(Args)]
pub(crate) struct KeysArguments {
    /// The server's data directory.
    #[arg(long, env = "DOCKET_DATA", default_value = "docket-data", global = true)]
    data: PathBuf,
    #[command(subcommand)]
    command: KeysCommand,
}

#[derive(Subcommand)]
enum KeysCommand {
    /// Make a key; it is shown once, and only its hash is kept.
    Create {
        /// The organization whose things the key sees.
        #[arg(long)]
        organization: String,
        /// What the key may do: reader, worker, operator or admin.
        #[arg(long)]
        role: Role,
        /// The name that jobs started with the key carry as `user` [default: the role].
        #[arg(long)]
        user: Option<String>,
    },
    /// List the keys.
    List,
    /// Revoke a key, by its id.
    Revoke {
        /// The part of the key between `dk_` and the second `_`.
        id: String,
    },
}

pub(crate) fn run(arguments: KeysArguments) -> Result<ExitCode, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().map_err(Failure::other)?;
    runtime.block_on(async {
        std::fs::create_dir_all(&arguments.data)
            .map_err(|error| Failure::usage(format!("data {}: {error}", arguments.data.display())))?;
        let unusable = |error| Failure::usage(format!("data {}: {error}", arguments.data.display()));
        check_whole(&arguments.data).map_err(unusable)?;
        let store = SqliteControl::open(&arguments.data.join(CONTROL_FILE)).map_err(Failure::other)?;
        let done = act(&store, arguments.command).await;
        store.close().await;
        done
    })
}

async fn act(store: &SqliteControl, command: KeysCommand) -> Result<ExitCode, Failure> {
    match command {
        KeysCommand::Create { organization, role, user } => {
            let user = user.unwrap_or_else(|| role.name().to_owned());
            for (name, value) in [("organization", &organization), ("user", &user)] {
                text::check_id(value).map_err(|(_, detail)| Failure::usage(format!("{name} {detail}")))?;
            }
            let (key, shown) = make_key(organization, role, user, SystemClock.now()).map_err(Failure::other)?;
            store.insert_key(key).await.map_err(Failure::other)?;
            println!("{shown}");
            eprintln!("Send it as X-API-KEY or as Authorization: Bearer. It is not shown again.");
        }
        KeysCommand::List => {
            let mut table = Table::new();
            table.load_style(comfy_table::presets::NOTHING);
            table.set_header(["ID", "ORGANIZATION", "ROLE", "USER", "CREATED", "REVOKED"]);
            for key in store.list_keys(&Scope::Everything).await.map_err(Failure::other)? {
                let revoked = key.revoked_at.map_or_else(String::new, |at| at.to_string());
                let created = key.created_at.to_string();
                table.add_row([key.id, key.organization, key.role.name().to_owned(), key.user, created, revoked]);
            }
            println!("{table}");
        }
        KeysCommand::Revoke { id } => {
            let known = store.revoke_key(&Scope::Everything, &id, SystemClock.now()).await.map_err(Failure::other)?;
            if !known {
                return Err(Failure::other(format!("there is no key {id}")));
            }
            println!("revoked {id}");
        }
    }
    Ok(ExitCode::SUCCESS)
}
