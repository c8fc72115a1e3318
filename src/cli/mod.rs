//! The command line: one file per subcommand.

pub mod deliver;
pub mod demo;
pub mod exit;
pub mod schema;
mod secrets;
pub mod settings_args;

use clap::{Parser, Subcommand};

use exit::{Exit, Failure};

/// Joins a live phone-call room, rates the caller's sentiment turn by turn, and brings in a human in time.
#[derive(Debug, Parser)]
#[command(name = "sentiment-sidecar", version, propagate_version = true, arg_required_else_help = true)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Send the webhooks that are due in the shared outbox.
    Deliver(deliver::DeliverArgs),
    /// Print the contracts for machines.
    Schema(schema::SchemaArgs),
}

/// Runs one command to its end.
///
/// # Errors
/// [`Failure`] with the exit code that the process ends with.
pub async fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Deliver(args) => deliver::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}
