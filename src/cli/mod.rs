//! The command line: one file per subcommand.

mod ago;
pub mod alerts;
pub mod attach;
pub mod cached;
pub mod calls;
pub mod compare;
pub mod convert;
mod cores;
pub mod corpus;
pub mod deliver;
pub mod demo;
pub mod doctor;
pub mod evaluate;
mod events;
pub mod exit;
pub mod health;
pub mod import_args;
mod live;
pub mod manual;
mod opened;
mod private;
mod progress;
pub mod proxy;
pub mod rate;
pub mod raters;
mod reading;
pub mod replay;
pub mod review;
pub mod room;
pub mod schema;
mod secrets;
pub mod settings_args;
mod stop;
pub mod store;
mod terminal;
pub mod tune;
pub mod worker;

use clap::error::{ContextKind, ContextValue};
use clap::{Parser, Subcommand};

use crate::telemetry::shown::without_passwords;
use exit::{Exit, Failure};

/// Join a live phone call, rate the caller's sentiment turn by turn, and bring in a human in time.
#[derive(Debug, Parser)]
#[command(name = "sentiment-sidecar", version, propagate_version = true, arg_required_else_help = true)]
#[command(after_help = "The whole manual is inside: `sentiment-sidecar manual` lists its pages.")]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands, the main job first.
#[derive(Debug, Subcommand)]
#[expect(missing_docs, reason = "a variant's doc would take the place of its command's own manual in --help")]
pub enum Command {
    Attach(attach::AttachArgs),
    Worker(worker::WorkerArgs),
    Proxy(proxy::ProxyArgs),
    Demo(demo::DemoArgs),
    Room(room::RoomArgs),
    Replay(replay::ReplayArgs),
    Rate(rate::RateArgs),
    Evaluate(evaluate::EvaluateArgs),
    Tune(tune::TuneArgs),
    Compare(compare::CompareArgs),
    Convert(convert::ConvertArgs),
    Review(review::ReviewArgs),
    Alerts(alerts::AlertsArgs),
    Deliver(deliver::DeliverArgs),
    Store(store::StoreArgs),
    Doctor(doctor::DoctorArgs),
    Schema(schema::SchemaArgs),
    Manual(manual::ManualArgs),
}

impl Cli {
    /// Reads the arguments of this process, and ends it where they do not fit or ask for help.
    #[must_use]
    pub fn of_process() -> Self {
        let parsed = match std::env::args_os().nth(1) {
            Some(command) if command == "attach" => OnlyAttach::try_parse().map(Self::from),
            _ => Self::try_parse(),
        };
        parsed.unwrap_or_else(|error| discreet(error).exit())
    }
}

/// [`Cli`] with one command, the one that is started thousands of times: laying out what the others take is a tenth of what
/// such a process does before it is in its room.
#[derive(Debug, Parser)]
#[command(name = "sentiment-sidecar", version, propagate_version = true)]
struct OnlyAttach {
    #[command(subcommand)]
    command: Attach,
}

#[derive(Debug, Subcommand)]
enum Attach {
    Attach(attach::AttachArgs),
}

impl From<OnlyAttach> for Cli {
    fn from(OnlyAttach { command: Attach::Attach(args) }: OnlyAttach) -> Self {
        Self { command: Command::Attach(args) }
    }
}

/// An error that repeats an argument, without the password of a URL in it.
fn discreet(mut error: clap::Error) -> clap::Error {
    let told: Vec<(ContextKind, String)> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(text) => Some((kind, without_passwords(text).into_owned())),
            _ => None,
        })
        .collect();
    for (kind, text) in told {
        error.insert(kind, ContextValue::String(text));
    }
    error
}

/// Runs one command to its end. Whoever closes the pipe has read enough, which is no failure.
///
/// # Errors
/// [`Failure`] with the exit code that the process ends with.
pub async fn run(cli: Cli) -> Result<Exit, Failure> {
    match ended(cli).await {
        Err(failure) if failure.unread => Ok(Exit::Ok),
        ended => ended,
    }
}

async fn ended(cli: Cli) -> Result<Exit, Failure> {
    match cli.command {
        Command::Attach(args) => attach::run(args).await,
        Command::Worker(args) => worker::run(args).await,
        Command::Proxy(args) => proxy::run(args).await,
        Command::Demo(args) => demo::run(args).await,
        Command::Room(args) => room::run(args).await,
        Command::Replay(args) => replay::run(args).await,
        Command::Rate(args) => rate::run(args).await,
        Command::Evaluate(args) => evaluate::run(args).await,
        Command::Tune(args) => tune::run(args).await,
        Command::Compare(args) => compare::run(args).await,
        Command::Convert(args) => convert::run(args).await,
        Command::Review(args) => review::run(args).await,
        Command::Alerts(args) => alerts::run(args).await,
        Command::Deliver(args) => deliver::run(args).await,
        Command::Store(args) => store::run(args).await,
        Command::Doctor(args) => doctor::run(args).await,
        Command::Schema(args) => schema::run(&args),
        Command::Manual(args) => manual::run(&args),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::{Cli, OnlyAttach};

    #[test]
    fn help_fits_a_terminal_of_80_columns_and_explains_every_flag() {
        let top = Cli::command();
        let below = top.get_subcommands().flat_map(|command| std::iter::once(command).chain(command.get_subcommands()));
        for command in below {
            let name = command.get_name();
            // What stands after the options is wrapped by hand; a line that is wrapped once more reads badly.
            for text in [command.get_after_help(), command.get_after_long_help()].into_iter().flatten() {
                for line in text.to_string().lines() {
                    assert!(line.chars().count() <= 80, "{name}: {line}");
                }
            }
            for argument in command.get_arguments() {
                assert!(argument.get_help().is_some(), "{name} {} is not explained", argument.get_id());
            }
        }
    }

    #[test]
    fn attach_alone_is_the_same_command() {
        let attach = |mut command: clap::Command| {
            command.build();
            command.find_subcommand_mut("attach").map(|attach| attach.render_long_help().to_string())
        };
        assert_eq!(attach(OnlyAttach::command()), attach(Cli::command()));
        assert!(attach(Cli::command()).is_some());
    }
}
