//! `evaluate`: labelled calls through the same core that live calls use; how good the ratings and the settings are.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use comfy_table::{Cell, CellAlignment, Table, presets};
use serde::Serialize;

use super::calls::CallsArgs;
use super::cores::Cores;
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, warn};
use super::progress::Progress;
use super::raters::{Asks, asked};
use crate::config::settings::{Action, Settings};
use crate::recording::CutLine;
use crate::recording::import::Sources;
use crate::replay::engine;
use crate::replay::figures::{Figures, JudgedCall, LabelledTurn, Share};
use crate::replay::files;
use crate::replay::labels::Labelled;
use crate::replay::played::PlayedTurn;
use crate::replay::swap::swap_agents;
use crate::sentiment::Rater;

/// Measure ratings and escalations against labelled calls.
///
/// A FILE holds labelled calls, a line each: {"id":"7","escalate":true,"at":3,"turns":[{"role":"caller","text":"…",
/// "sentiment":2.5},{"role":"agent","text":"…"}]}. `sentiment` is a careful reader's 1 to 10, `escalate` whether a
/// supervisor should be brought in, `at` from which caller turn on (0 is the first); `kind` and `style` group calls.
/// Recordings that expect an escalation, or none, are labelled as well, and a transcript in any other form is a call
/// without labels. A folder stands for the files in it and below, a pattern for what it fits, and - for the standard
/// input.
///
/// With llmUrl set, the LLM is asked about every turn and its answers are awaited, however long llmDeadlineMs is; with a
/// cassette the figures are the same each time.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar evaluate labelled.jsonl
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

    /// Give every call the agent's words of another call, which one follows from SEED: whoever rates the caller should
    /// hardly notice.
    #[arg(long, value_name = "SEED")]
    swap_agents: Option<u64>,

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
    /// An aligned table.
    Table,
    /// JSON Lines: one per group of calls, then one with the gates.
    Json,
}

/// What must hold over all calls. A figure that the labels do not give fails its gate.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Gates (exit code 4 when one fails)")]
pub struct Gates {
    /// Of the calls that should escalate, at least this share must (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    min_recall: Option<f64>,
    /// Of the calls that should not escalate, at most this share may (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_false: Option<f64>,
    /// At least this AUROC of turns of gold 2 or less against 4 or more (0 to 1).
    #[arg(long, value_name = "AUROC", value_parser = share)]
    min_auroc: Option<f64>,
    /// At least this rank correlation with gold (0 to 1).
    #[arg(long, value_name = "RHO", value_parser = share)]
    min_spearman: Option<f64>,
    /// At most this mean distance from gold, in points (0 to 9).
    #[arg(long, value_name = "POINTS", value_parser = points)]
    max_error: Option<f64>,
    /// At most this share of calm turns taken for low (0 to 1).
    #[arg(long, value_name = "SHARE", value_parser = share)]
    max_calm_low: Option<f64>,
    /// At most this many turns late, at the median.
    #[arg(long, value_name = "TURNS", value_parser = points)]
    max_late: Option<f64>,
}

fn share(text: &str) -> Result<f64, String> {
    number(text, 1.0).ok_or_else(|| "give a number from 0 to 1, such as 0.9".to_owned())
}

fn points(text: &str) -> Result<f64, String> {
    number(text, 1000.0).ok_or_else(|| "give a number from 0 to 1000".to_owned())
}

fn number(text: &str, most: f64) -> Option<f64> {
    text.parse().ok().filter(|value| (0.0..=most).contains(value))
}

/// One gate and whether it holds.
#[derive(Debug, Serialize)]
struct Checked {
    gate: &'static str,
    bound: f64,
    found: Option<f64>,
    holds: bool,
}

impl Gates {
    fn check(&self, all: &Figures) -> Vec<Checked> {
        let least = [
            ("min-recall", self.min_recall, all.recall.share),
            ("min-auroc", self.min_auroc, all.auroc),
            ("min-spearman", self.min_spearman, all.spearman),
        ];
        let most = [
            ("max-false", self.max_false, all.false_escalations.share),
            ("max-error", self.max_error, all.mean_error),
            ("max-calm-low", self.max_calm_low, all.calm_low.share),
            ("max-late", self.max_late, all.median_late),
        ];
        let checked = |holds: fn(f64, f64) -> bool| {
            move |(gate, bound, found): (&'static str, Option<f64>, Option<f64>)| {
                let bound = bound?;
                Some(Checked { gate, bound, found, holds: found.is_some_and(|found| holds(found, bound)) })
            }
        };
        let least = least.into_iter().filter_map(checked(|found, bound| found >= bound));
        least.chain(most.into_iter().filter_map(checked(|found, bound| found <= bound))).collect()
    }
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
    let (all, groups) = measure(calls, settings, &rater).await?;
    let said = asked(&raters)?;
    let all = all.figures();
    let groups = groups.into_iter().map(|(name, group)| (name, group.figures()));
    let rows: Vec<(String, Figures)> = std::iter::once(("all".to_owned(), all.clone())).chain(groups).collect();
    let checked = args.gates.check(&all);
    let written = match args.format {
        Format::Table => table(&mut anstream::stdout(), &rows, &checked),
        Format::Json => json(&mut io::stdout().lock(), &rows, &checked),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if let Some(said) = said {
        anstream::eprintln!("{said}");
    }
    Ok(match (bad, checked.iter().all(|gate| gate.holds)) {
        (0, true) => Exit::Ok,
        (0, false) => Exit::RateOutsideBand,
        _ => Exit::BadRecording,
    })
}

/// All calls of all files, with their agents' words swapped where that is wanted, and how many could not be read.
fn read(args: &EvaluateArgs) -> Result<(Vec<Labelled>, usize), Failure> {
    let options = args.import.options(CutLine::Refuse);
    let (mut calls, mut bad) = (Vec::new(), 0);
    for path in files::find(&args.calls.paths) {
        let sources: Sources<'static> = match path {
            Ok(path) => files::open(&path, &options),
            Err(error) => Box::new(std::iter::once(Err(error))),
        };
        for source in sources {
            match source {
                Ok(source) => {
                    warn(&source);
                    calls.push(Labelled::from(source));
                }
                Err(error) => {
                    bad += 1;
                    let red = anstyle::AnsiColor::Red.on_default().bold();
                    anstream::eprintln!("{red}error{red:#}: {error}");
                }
            }
        }
    }
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
    Ok((calls, bad))
}

/// Measures all calls, and each group of them.
async fn measure(
    calls: Vec<Labelled>,
    settings: Settings,
    rater: &Arc<dyn Rater>,
) -> Result<(Group, BTreeMap<String, Group>), Failure> {
    let (count, settings) = (calls.len(), Arc::new(settings));
    let (mut all, mut groups): (Group, BTreeMap<String, Group>) = Default::default();
    let (mut progress, mut done) = (Progress::new(), 0);
    let pieces = calls.into_iter().map(|call| {
        let (settings, rater) = (Arc::clone(&settings), Arc::clone(rater));
        async move { (Group::of(&call, &settings, rater.as_ref()).await, call) }
    });
    let take = |(measured, call): (Group, Labelled)| {
        for name in call.groups() {
            groups.entry(name).or_default().add(&measured);
        }
        all.add(&measured);
        done += 1;
        progress.tell(|| format!("{done} of {count} calls measured"));
        Ok::<_, Failure>(())
    };
    Cores::new()?.in_order(pieces, take).await?;
    progress.clear();
    Ok((all, groups))
}

/// What was measured over some calls.
#[derive(Debug, Default)]
struct Group {
    calls: Vec<JudgedCall>,
    turns: Vec<LabelledTurn>,
    unjudged: usize,
    unrated: usize,
}

impl Group {
    async fn of(call: &Labelled, settings: &Settings, rater: &dyn Rater) -> Self {
        let played = engine::replay(&call.recording, settings, rater, None).await;
        let mut group = Self::default();
        for turn in played.turns() {
            let Some(gold) = call.gold.get(turn.id()).copied() else { continue };
            match turn {
                PlayedTurn::Unrated { .. } => group.unrated += 1,
                PlayedTurn::Rated(report) => group.turns.push(LabelledTurn {
                    gold,
                    rated: report.sentiment.value(),
                    calm: call.calm,
                    low: report.sentiment.is_below(settings.threshold),
                }),
            }
        }
        match call.escalate {
            None => group.unjudged = 1,
            Some(wanted) => group.calls.push(JudgedCall {
                wanted,
                wanted_at: call.at,
                escalated_at: played.escalations.first().map(|escalation| escalation.turn.saturating_sub(1)),
            }),
        }
        group
    }

    fn add(&mut self, other: &Self) {
        self.calls.extend(&other.calls);
        self.turns.extend(&other.turns);
        self.unjudged += other.unjudged;
        self.unrated += other.unrated;
    }

    fn figures(&self) -> Figures {
        Figures { calls: self.calls.len() + self.unjudged, ..Figures::of(&self.calls, &self.turns, self.unrated) }
    }
}

fn json(out: &mut impl Write, rows: &[(String, Figures)], gates: &[Checked]) -> io::Result<()> {
    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Line<'a> {
        Figures { group: &'a str, figures: &'a Figures },
        Gates { gates: &'a [Checked] },
    }
    let lines = rows.iter().map(|(group, figures)| Line::Figures { group, figures });
    for line in lines.chain([Line::Gates { gates }]) {
        serde_json::to_writer(&mut *out, &line)?;
        writeln!(out)?;
    }
    out.flush()
}

fn table(out: &mut impl Write, rows: &[(String, Figures)], gates: &[Checked]) -> io::Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "CALLS",
        "",
        "TURNS",
        "RECALL (95 %)",
        "FALSE (95 %)",
        "LATE",
        "EARLY",
        "AUROC",
        "SPEARMAN",
        "ERROR",
        "CALM LOW (95 %)",
    ]);
    for (group, f) in rows {
        let cells = [
            f.calls.to_string(),
            f.turns.to_string(),
            shown_share(&f.recall),
            shown_share(&f.false_escalations),
            shown(f.median_late, 1),
            format!("{}/{}", f.early.count, f.early.of),
            shown(f.auroc, 3),
            shown(f.spearman, 3),
            shown(f.mean_error, 2),
            shown_share(&f.calm_low),
        ];
        let cells = cells.into_iter().map(|text| Cell::new(text).set_alignment(CellAlignment::Right));
        table.add_row(std::iter::once(Cell::new(group)).chain(cells));
    }
    for line in table.lines() {
        writeln!(out, "{}", line.trim_end())?;
    }
    if let Some(unrated) = rows.first().map(|(_, all)| all.unrated).filter(|count| *count > 0) {
        writeln!(out, "{unrated} turns could not be rated and count in no figure")?;
    }
    let red = anstyle::AnsiColor::Red.on_default().bold();
    for gate in gates {
        let (gate, bound, found) = (gate.gate, gate.bound, if gate.holds { "holds" } else { "fails" });
        match found {
            "holds" => writeln!(out, "gate --{gate} {bound} holds")?,
            _ => writeln!(out, "{red}gate --{gate} {bound} fails{red:#}")?,
        }
    }
    out.flush()
}

fn shown(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

fn shown_share(share: &Share) -> String {
    match share.share {
        None => "-".to_owned(),
        Some(p) => {
            let percent = |value: f64| format!("{:.1}", 100.0 * value);
            format!("{}/{} {} % ({}-{})", share.count, share.of, percent(p), percent(share.low), percent(share.high))
        }
    }
}
