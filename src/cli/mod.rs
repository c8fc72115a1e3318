//! The command line: one file per subcommand.

pub mod attach;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod evaluate;
pub mod exit;
pub mod rate;
pub mod replay;
pub mod room;
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

/// The subcommands, the main job first.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Join a live room and work until the call ends (the main job).
    Attach(attach::AttachArgs),
    /// Play a call on loopback and show what happens.
    Demo(demo::DemoArgs),
    /// Serve a recording as a live room, for people building a platform side.
    Room(room::RoomArgs),
    /// Replay recorded calls through the same rules, and check what they expect.
    Replay(replay::ReplayArgs),
    /// Measure ratings and escalations against labelled calls.
    Evaluate(evaluate::EvaluateArgs),
    /// Rate lines of text: a filter.
    Rate(rate::RateArgs),
    /// Send the webhooks that wait in the outbox.
    Deliver(deliver::DeliverArgs),
    /// Check settings, store, webhook, SIP peer and room without starting a call.
    Doctor(doctor::DoctorArgs),
    /// Print the contracts for machines: JSON Schemas, AsyncAPI, the tool definition.
    Schema(schema::SchemaArgs),
}

/// Runs one command to its end.
///
/// # Errors
/// [`Failure`] with the exit code that the process ends with.
pub async fn run(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Attach(args) => attach::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Room(args) => room::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Evaluate(args) => evaluate::run(args).await,
        Command::Rate(args) => rate::run(args).await,
        Command::Deliver(args) => deliver::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Schema(args) => schema::run(&args),
    }
}
