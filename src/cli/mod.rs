//! The command line: one file per subcommand.

pub mod demo;
pub mod doctor;
pub mod exit;
pub mod schema;
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
    /// Check settings, secrets, store, webhook, SIP peer and room without starting a call.
    Doctor(doctor::DoctorArgs),
    /// Print the contracts for machines.
    Schema(schema::SchemaArgs),
}

/// Runs one command to its end.
///
/// # Errors
/// [`Failure`] with the exit code that the process ends with.
pub async fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Doctor(args) => doctor::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}
