//! The command line: one file per subcommand.

pub mod attach;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod exit;
pub mod room;
pub mod replay;
pub mod schema;
mod secrets;
pub mod settings_args;
pub mod rate;

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
    /// Join a live room and work until the call ends.
    Attach(attach::AttachArgs),
    /// Send the webhooks that wait in the outbox.
    Deliver(deliver::DeliverArgs),
    /// Play a call on loopback and show what happens.
    Demo(demo::DemoArgs),
    /// Replay recorded calls through the core, and check what they expect.
    Replay(replay::ReplayArgs),
    /// Check settings, secrets, store, webhook, SIP peer and room without starting a call.
    Doctor(doctor::DoctorArgs),
    /// Print the contracts for machines.
    Room(room::RoomArgs),
    Schema(schema::SchemaArgs),
    /// Rates lines of text: a filter from lines or JSON lines to one JSON line each.
    Rate(rate::RateArgs),
}

/// Runs one command to its end.
///
/// # Errors
/// [`Failure`] with the exit code that the process ends with.
pub async fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Attach(args) => attach::run(args).await,
        Command::Deliver(args) => deliver::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Room(args) => room::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Schema(args) => schema::run(&args),
        Command::Rate(args) => rate::run(args).await,
    }
}
