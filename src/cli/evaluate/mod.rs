//! `evaluate`: labelled calls through the same core that live calls use; how good the ratings and the settings are, and
//! which calls come out wrong.

mod gates;
mod show;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::calls::CallsArgs;
use super::cores::{Cores, Ended};
use super::corpus::{Bad, Corpus, LabelsArgs};
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, warn};
use super::progress::Progress;
use super::raters::{Asks, asked};
use crate::config::settings::{Action, Settings};
use crate::recording::CutLine;
use crate::replay::labels::{GROUPED_BY, Labelled};
use crate::replay::measured::{Measured, WrongCall};
use crate::replay::swap::swap_agents;
use crate::sentiment::Rater;
use gates::Gates;
use show::Shown;

/// Measure ratings and escalations against labelled calls.
///
/// A FILE holds labelled calls, a line each: {"id":"7","escalate":true,"at":3,"turns":[{"role":"caller","text":"…",
/// "sentiment":2.5},{"role":"agent","text":"…"}]}. `sentiment` is a careful reader's 1 to 10, `escalate` whether a
/// supervisor should be brought in, `at` from which caller turn on (0 is the first); what else there is groups calls.
/// Recordings that expect an escalation, or none, are labelled as well, and a transcript in any other form is a call
/// without labels, unless --labels has some. A folder stands for the files in it and below, a pattern for what it fits,
/// and - for the standard input.
///
/// Calls that come out wrong are listed with the turn that decided, the worst first: missed ones by how long the caller
/// went on, false ones by how calm the caller was, late ones by how late.
///
/// With llmUrl set, the LLM is asked about every turn and its answers are awaited, however long llmDeadlineMs is; with a
/// cassette the figures are the same each time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar evaluate labelled.jsonl
  sentiment-sidecar evaluate calls/ --labels judged.csv --by team
  sentiment-sidecar evaluate labelled.jsonl --threshold 4 --window 2
  sentiment-sidecar evaluate labelled.jsonl --min-recall 0.8 --max-false 0.03
  sentiment-sidecar evaluate labelled.jsonl --swap-agents 1
  sentiment-sidecar evaluate labelled.jsonl --set llmUrl=https://host/v1 \\
      --record-cassette llm.jsonl

Exit codes: 0 all gates hold, 4 a gate fails, 5 a file cannot be read (the
  others are still measured), 6 a setting is wrong.")]
pub struct EvaluateArgs {
    /// What to print: a table for people, or JSON Lines for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Split the figures by this field of the labels; may be repeated [default: style and kind].
    #[arg(long, value_name = "FIELD")]
    by: Vec<String>,

    /// List at most so many missed, false and late calls each; --format json has all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,

    /// Give every call the agent's words of another call, which one follows from SEED: whoever rates the caller should
    /// hardly notice.
    #[arg(long, value_name = "SEED")]
    swap_agents: Option<u64>,

    #[command(flatten)]
    labels: LabelsArgs,

    #[command(flatten)]
    gates: Gates,

    #[command(flatten)]
    import: ImportArgs,

    #[command(flatten)]
    calls: CallsArgs,
}

/// What `evaluate` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Aligned tables, and the calls that come out wrong.
    Table,
    /// JSON Lines: one per group of calls, one per call that comes out wrong, then one with the gates.
    Json,
}

/// Runs `evaluate`.
///
/// # Errors
/// [`Failure`] for wrong settings, a file that cannot be read, and an output that cannot be written.
pub async fn run(args: EvaluateArgs) -> Result<Exit, Failure> {
    // Every call is rated to its end, so that all its turns are measured.
    let settings = Settings { action: Action::Flag, ..args.calls.settings.load()?.settings };
    let raters = args.calls.cassette.unhurried(Asks::WhereSet)?;
    let rater = raters.of(&settings)?;
    let (calls, bad) = read(&args)?;
    let by = grouped_by(&args.by, &calls)?;
    let found = calls.len();
    let (all, ended) = measure(calls, &by, settings, &rater).await?;
    let said = asked(&raters)?;
    let figures = all.measured.figures();
    let groups = all.groups.into_iter().map(|(name, group)| (name, group.figures()));
    let checked = args.gates.check(&figures);
    let rows = std::iter::once(("all".to_owned(), figures)).chain(groups).collect();
    let shown = Shown { rows, gates: &checked, wrong: all.wrong, most: args.show };
    let written = match args.format {
        Format::Table => shown.table(&mut anstream::stdout()),
        Format::Json => shown.json(&mut io::stdout().lock()),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if let Some(said) = said {
        anstream::eprintln!("{said}");
    }
    ended.failure(|| format!("{} of {found} calls are measured", all.done))?;
    Ok(match (bad, checked.iter().all(|gate| gate.holds)) {
        (0, true) => Exit::Ok,
        (0, false) => Exit::RateOutsideBand,
        _ => Exit::BadRecording,
    })
}

/// All calls of all files, with their agents' words swapped where that is wanted, and how many could not be read.
fn read(args: &EvaluateArgs) -> Result<(Vec<Labelled>, usize), Failure> {
    let mut corpus = Corpus::new(&args.calls.paths, args.import.options(CutLine::Refuse), &args.labels)?;
    let (mut calls, mut bad) = (Vec::new(), Bad::default());
    for source in corpus.by_ref() {
        match source {
            Ok(source) => {
                warn(&source);
                calls.push(Labelled::from(source));
            }
            Err(unread) => bad.take(unread)?,
        }
    }
    corpus.warn_of_unused_labels();
    if calls.is_empty() {
        let message = "there is no call that could be read";
        return Err(Failure::new(Exit::BadRecording, message));
    }
    if let Some(seed) = args.swap_agents
        && swap_agents(&mut calls, seed) == 0
    {
        let message = "--swap-agents needs at least two calls with an agent who speaks, to swap their words";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok((calls, bad.0))
}

/// The fields to group by: those that were asked for, which some call must have.
fn grouped_by(by: &[String], calls: &[Labelled]) -> Result<Vec<String>, Failure> {
    if by.is_empty() {
        return Ok(GROUPED_BY.map(str::to_owned).to_vec());
    }
    let known: BTreeSet<&str> = calls.iter().flat_map(|call| call.fields.keys()).map(String::as_str).collect();
    match by.iter().find(|field| !known.contains(field.as_str())) {
        None => Ok(by.to_vec()),
        Some(unknown) => {
            let failure = Failure::new(Exit::Usage, format!("no call has a field \"{unknown}\" to split by"));
            let known: Vec<&str> = known.into_iter().collect();
            Err(match known[..] {
                [] => failure.help("add it to the labelled calls, or as a column to the table of --labels"),
                _ => failure.help(format!("the fields are: {}", known.join(", "))),
            })
        }
    }
}

/// What was measured over all calls.
#[derive(Default)]
struct All {
    measured: Measured,
    groups: BTreeMap<String, Measured>,
    wrong: Vec<WrongCall>,
    done: usize,
}

/// Measures all calls, and each group of them; those done so far when the user stops it.
async fn measure(
    calls: Vec<Labelled>,
    by: &[String],
    settings: Settings,
    rater: &Arc<dyn Rater>,
) -> Result<(All, Ended), Failure> {
    let (count, settings) = (calls.len(), Arc::new(settings));
    let mut all = All::default();
    let mut progress = Progress::new();
    let pieces = calls.into_iter().map(|call| {
        let (settings, rater) = (Arc::clone(&settings), Arc::clone(rater));
        async move { (Measured::of(&call, &settings, rater.as_ref()).await, call) }
    });
    let take = |((measured, wrong), call): ((Measured, Option<WrongCall>), Labelled)| {
        for name in call.groups(by) {
            all.groups.entry(name).or_default().add(&measured);
        }
        all.measured.add(&measured);
        all.wrong.extend(wrong);
        all.done += 1;
        progress.far(all.done, Some(count), "calls measured");
        Ok::<_, Failure>(())
    };
    let ended = Cores::new()?.until_stopped(pieces, take).await?;
    progress.clear();
    WrongCall::sort(&mut all.wrong);
    Ok((all, ended))
}
