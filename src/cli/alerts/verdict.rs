//! `alerts verdict`.

use clap::{Args, ValueEnum};

use super::named::{find, presentable, user};
use crate::alert::verdict::Verdict;
use crate::cli::exit::{Exit, Failure};
use crate::cli::terminal::say;
use crate::clock::unix_ms;
use crate::store::Store;
use crate::store::review::SaidVerdict;

/// Longest note, in characters.
const NOTE_CHARS: usize = 2_000;

/// Say whether an alert was right: a label that `export` writes, and that `tune` and `evaluate` learn from.
#[derive(Debug, Args)]
pub(super) struct VerdictArgs {
    /// Say it of this alert.
    #[arg(value_name = "ID")]
    id: String,
    /// Say this.
    #[arg(value_enum)]
    verdict: Said,
    /// Add why, for others.
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
    /// Say it in this name.
    #[arg(long, value_name = "NAME", env = "USER", hide_env_values = true, default_value = "somebody")]
    by: String,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Said {
    /// The caller needed a human, then
    Right,
    /// The caller needed none
    Wrong,
    /// The caller needed one, and earlier
    Late,
}

pub(super) async fn run(args: VerdictArgs, store: &Store) -> Result<Exit, Failure> {
    let id = find(store, &args.id).await?;
    let verdict = match args.verdict {
        Said::Right => Verdict::Right,
        Said::Wrong => Verdict::Wrong,
        Said::Late => Verdict::Late,
    };
    if args.note.chars().count() > NOTE_CHARS {
        return Err(Failure::new(Exit::Usage, format!("the note is longer than {NOTE_CHARS} characters")));
    }
    let said = SaidVerdict { verdict, note: args.note, said_by: presentable(&args.by), said_ms: unix_ms() };
    if !store.say(&id, &said, &user()).await? {
        return Err(Failure::new(Exit::Usage, format!("there is no alert {id}")));
    }
    say(format_args!("{id} is {}", verdict.name()))?;
    Ok(Exit::Ok)
}
