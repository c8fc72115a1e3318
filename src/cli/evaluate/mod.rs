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
use super::corpus::{Bad, Corpus, LabelsArgs, Unread};
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, warn_of, warn_that};
use super::progress::Progress;
use super::raters::{Asks, answered_some, asked};
use super::reading::Way;
use crate::config::settings::{Action, Settings};
use crate::recording::CutLine;
use crate::recording::import::Source;
use crate::replay::labels::{GROUPED_BY, Labelled, groups};
use crate::replay::measured::{Measured, WrongCall};
use crate::replay::swap::swap_agents;
use crate::replay::tune::recommend::plural;
use crate::sentiment::Rater;
use gates::Gates;
use show::{Row, Shown};

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

Exit codes: 0 all gates hold, 1 the LLM answered about no turn, 4 a gate fails,
  5 a file cannot be read (the others are still measured), 6 a setting is wrong.")]
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
/// [`Failure`] for wrong settings, a field that no call has, and an output that cannot be written.
pub async fn run(args: EvaluateArgs) -> Result<Exit, Failure> {
    // Every call is rated to its end, so that all its turns are measured.
    let settings = Settings { action: Action::Flag, ..args.calls.settings.load()?.settings };
    let raters = args.calls.cassette.unhurried(Asks::WhereSet)?;
    let rater = raters.of(&settings)?;
    let (all, ended) = measure(&args, settings, &rater).await?;
    if all.done == 0 {
        ended.failure(|| "no call is measured yet".to_owned())?;
        return Err(Failure::new(Exit::BadRecording, "there is no call that could be read"));
    }
    if ended == Ended::Whole {
        all.knows(&args.by)?;
    }
    let said = asked(&raters)?;
    let figures = all.measured.figures();
    let is_labelled = figures.is_labelled();
    let checked = args.gates.check(&figures);
    let groups =
        all.groups.into_iter().map(|(group, measured)| Row { group: Some(group), figures: measured.figures() });
    let rows = std::iter::once(Row { group: None, figures }).chain(groups).collect();
    let shown = Shown { rows, gates: &checked, wrong: all.wrong, most: args.show };
    let written = match args.format {
        Format::Table => shown.table(&mut anstream::stdout()),
        Format::Json => shown.json(&mut io::stdout().lock()),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if !is_labelled {
        warn_that(
            "no call is labelled, so that there is nothing to measure: give --labels a table of file,escalate,turn, or \
             label the calls in their files",
        );
    }
    if let Some(said) = said {
        anstream::eprintln!("{said}");
    }
    ended.failure(|| format!("{} are measured, and others were yet to be", plural(all.done, "call")))?;
    if all.bad == 0 {
        answered_some(&raters)?;
    }
    Ok(match (all.bad, checked.iter().all(|gate| gate.holds)) {
        (0, true) => Exit::Ok,
        (0, false) => Exit::RateOutsideBand,
        _ => Exit::BadRecording,
    })
}

/// What is to be measured, one by one as it is fetched, and how far that has come.
type Pieces<'a> = Box<dyn Iterator<Item = (Result<Source, Unread>, Way)> + 'a>;

/// All calls, each with the agent's words of another one: whose, is open until all of them are read.
fn swapped(corpus: &mut Corpus, seed: u64, bad: &mut Bad) -> Result<Vec<Source>, Failure> {
    let mut calls = Vec::new();
    for source in corpus {
        match source {
            Ok(source) => calls.push(source),
            Err(unread) => bad.take(unread)?,
        }
    }
    if !calls.is_empty() && swap_agents(calls.iter_mut().map(|source| &mut source.recording), seed) == 0 {
        let message = "--swap-agents needs at least two calls with an agent who speaks, to swap their words";
        return Err(Failure::new(Exit::Usage, message));
    }
    Ok(calls)
}

/// What was measured over all calls.
#[derive(Default)]
struct All {
    measured: Measured,
    /// By field and value.
    groups: BTreeMap<(String, String), Measured>,
    /// The fields that some call has.
    fields: BTreeSet<String>,
    wrong: Vec<WrongCall>,
    done: usize,
    bad: usize,
}

impl All {
    fn add(&mut self, by: &[String], one: One) {
        for group in groups(&one.fields, by) {
            self.groups.entry(group).or_default().add(&one.measured);
        }
        self.fields.extend(one.fields.into_keys());
        self.measured.add(&one.measured);
        self.wrong.extend(one.wrong);
        self.done += 1;
    }

    /// Checks that some call has each of these fields.
    fn knows(&self, by: &[String]) -> Result<(), Failure> {
        let Some(unknown) = by.iter().find(|field| !self.fields.contains(*field)) else { return Ok(()) };
        let failure = Failure::new(Exit::Usage, format!("no call has a field \"{unknown}\" to split by"));
        let known: Vec<&str> = self.fields.iter().map(String::as_str).collect();
        Err(match known[..] {
            [] => failure.help("add it to the labelled calls, or as a column to the table of --labels"),
            _ => failure.help(format!("the fields are: {}", known.join(", "))),
        })
    }
}

/// What was measured of one call.
struct One {
    name: String,
    warnings: Vec<String>,
    fields: BTreeMap<String, String>,
    measured: Measured,
    wrong: Option<WrongCall>,
}

impl One {
    async fn of(mut source: Source, settings: &Settings, rater: &dyn Rater) -> Self {
        let warnings = std::mem::take(&mut source.warnings);
        let call = Labelled::from(source);
        let (measured, wrong) = Measured::of(&call, settings, rater).await;
        Self { name: call.name, warnings, fields: call.fields, measured, wrong }
    }
}

/// Measures all calls as they are read, and each group of them; those done so far when the user stops it.
async fn measure(args: &EvaluateArgs, settings: Settings, rater: &Arc<dyn Rater>) -> Result<(All, Ended), Failure> {
    let mut corpus = Corpus::new(&args.calls.paths, args.import.options(CutLine::Refuse), &args.labels)?;
    let (mut all, mut bad, mut progress) = (All::default(), Bad::default(), Progress::new());
    let usual = GROUPED_BY.map(str::to_owned);
    let by = if args.by.is_empty() { &usual[..] } else { &args.by };
    let settings = Arc::new(settings);
    let fetched: Pieces<'_> = match args.swap_agents {
        None => Box::new(std::iter::from_fn(|| corpus.fetch())),
        Some(seed) => {
            let calls = swapped(&mut corpus, seed, &mut bad)?;
            let all = calls.len() as f64;
            let way = move |at: usize| Way { files: 0, of: 1, share: Some((at + 1) as f64 / all) };
            Box::new(calls.into_iter().enumerate().map(move |(at, source)| (Ok(source), way(at))))
        }
    };
    let pieces = fetched.map(|(source, way)| {
        let (settings, rater) = (Arc::clone(&settings), Arc::clone(rater));
        async move {
            let one = match source {
                Ok(source) => Ok(One::of(source, &settings, rater.as_ref()).await),
                Err(unread) => Err(unread),
            };
            (one, way)
        }
    });
    let take = |(one, way): (Result<One, Unread>, Way)| {
        match one {
            Ok(one) => {
                if !one.warnings.is_empty() {
                    progress.clear();
                    warn_of(&one.name, &one.warnings);
                }
                all.add(by, one);
            }
            Err(unread) => {
                progress.clear();
                bad.take(unread)?;
            }
        }
        progress.far(all.done, way, "measured");
        Ok::<_, Failure>(())
    };
    let ended = Cores::new()?.until_stopped(pieces, take).await?;
    progress.clear();
    if ended == Ended::Whole {
        corpus.warn_of_unused_labels();
    }
    WrongCall::sort(&mut all.wrong);
    all.bad = bad.0;
    Ok((all, ended))
}
