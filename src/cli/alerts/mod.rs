//! `alerts`: what the store holds of escalations, for people.

mod export;
mod list;
pub(super) mod named;
mod resend;
mod show;
mod verdict;

use clap::{Args, Subcommand};

use super::exit::{Exit, Failure};
use super::opened::open;
use crate::store::StoreUrl;

/// List, show and send again the alerts that the store holds; say what you think of them, and make labels of that.
#[derive(Debug, Args)]
#[command(subcommand_required = true, arg_required_else_help = true)]
#[command(after_help = "\
An alert is named by its id, or by as many of its first letters as tell it
apart from all others.

Examples:
  sentiment-sidecar alerts list --since 1d --undelivered
  sentiment-sidecar alerts show alert_9bcdee26
  sentiment-sidecar alerts verdict alert_9bcdee26 wrong --note \"only loud\"
  sentiment-sidecar alerts resend alert_9bcdee26
  sentiment-sidecar alerts export --labels labelled/

Exit codes: 0 ended well, 1 an alert could not be sent, 2 usage or no such
alert, 6 bad settings or secrets, 9 the store cannot be used.")]
pub struct AlertsArgs {
    /// Take alerts from this store: sqlite:///path/to/file.db or a path [default: an SQLite file in the user's state
    /// folder].
    #[arg(long, value_name = "URL", env = "SIDECAR_STORE", hide_env_values = true, global = true)]
    store: Option<StoreUrl>,
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    List(list::ListArgs),
    Show(show::ShowArgs),
    Resend(resend::ResendArgs),
    Verdict(verdict::VerdictArgs),
    Export(export::ExportArgs),
}

/// Runs `alerts`.
///
/// # Errors
/// [`Failure`] when the store cannot be used, there is no such alert, or it could not be sent.
pub async fn run(args: AlertsArgs) -> Result<Exit, Failure> {
    let store = open(args.store).await.map_err(Failure::from)?;
    let result = match args.what {
        What::List(args) => list::run(&args, &store).await,
        What::Show(args) => show::run(&args, &store).await,
        What::Resend(args) => resend::run(args, &store).await,
        What::Verdict(args) => verdict::run(args, &store).await,
        What::Export(args) => export::run(&args, &store).await,
    };
    store.close().await;
    result
}
