//! `compare`: two agent documents over the same calls; which calls flip, and at which turn.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde::Serialize;

use super::cached::CacheArgs;
use super::cores::{Cores, Ended};
use super::corpus::{Bad, Corpus, LabelsArgs, Unread};
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, warn_of};
use super::progress::Progress;
use super::raters::{Asks, CassetteArgs, answered_some, asked};
use super::reading::Way;
use super::settings_args::warn_of_switch;
use super::terminal::{self, words};
use crate::alert::Rule;
use crate::config::settings::Settings;
use crate::config::{AgentFile, Env, Layers, load};
use crate::recording::CutLine;
use crate::recording::import::Source;
use crate::replay::figures::Share;
use crate::replay::labels::Labelled;
use crate::replay::played::Played;
use crate::replay::tune::recommend::{plural, shown};
use crate::replay::{engine, shorten};
use crate::sentiment::{Rater, Sentiment};
use crate::telemetry::shown::json_line;

/// Compare two agent documents over the same calls.
///
/// Every call goes through the core under both: which calls escalate under one of them alone, which at another turn, and
/// the turn that decides. Environment variables hold for both, and go before the documents, as everywhere.
///
/// A FILE is a recording or a transcript in any form that QA has. Where calls are labelled, recall and false alarms of
/// both are shown as well. An LLM is asked only to record a cassette, and heard from one.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar compare agent.json new-agent.json calls/
  sentiment-sidecar compare agent.json new-agent.json calls/ --format json

Exit codes: 0 done, whether or not anything flips, 1 the LLM answered about no
  turn, 5 a file cannot be read (the others are still compared), 6 a setting is
  wrong.")]
pub struct CompareArgs {
    /// The one agent document: any JSON object that holds settings somewhere.
    #[arg(value_name = "A")]
    a: PathBuf,

    /// The other one.
    #[arg(value_name = "B")]
    b: PathBuf,

    /// Go through these files, folders of them, or patterns; - is the standard input.
    #[arg(value_name = "FILE", required = true)]
    paths: Vec<PathBuf>,

    /// What to print: text for people, or JSON Lines for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    #[command(flatten)]
    labels: LabelsArgs,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    import: ImportArgs,

    #[command(flatten)]
    cassette: CassetteArgs,
}

/// What `compare` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// The calls that flip, then the rates of both.
    Table,
    /// JSON Lines: one per call that flips, then one per document.
    Json,
}

/// An escalation, and the turn that decided.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Escalates {
    turn: u32,
    rule: Rule,
    sentiment: Option<Sentiment>,
    text: String,
}

impl Escalates {
    fn of(played: &Played) -> Option<Self> {
        let first = played.escalations.first()?;
        let turns = played.turns();
        let decided = turns.iter().find(|turn| turn.number() == first.turn);
        Some(Self {
            turn: first.turn,
            rule: first.rule,
            sentiment: decided.and_then(|turn| turn.rated()).map(|turn| turn.sentiment),
            text: decided.map(|turn| turn.text().to_owned()).unwrap_or_default(),
        })
    }
}

/// A call under both documents.
#[derive(Debug, Serialize)]
struct Compared {
    file: String,
    escalate: Option<bool>,
    a: Option<Escalates>,
    b: Option<Escalates>,
}

impl Compared {
    /// Plays a call under both; and what was odd about it.
    async fn of(mut source: Source, a: &Side, b: &Side) -> (Self, Vec<String>) {
        let warnings = std::mem::take(&mut source.warnings);
        let call = Labelled::from(source);
        let under = async |side: &Side| {
            Escalates::of(&engine::replay(&call.recording, &side.settings, side.rater.as_ref(), None).await)
        };
        let (a, b) = (under(a).await, under(b).await);
        (Self { file: call.name, escalate: call.escalate, a, b }, warnings)
    }

    fn flips(&self) -> bool {
        self.turns().0 != self.turns().1
    }

    fn turns(&self) -> (Option<u32>, Option<u32>) {
        let turn = |side: &Option<Escalates>| side.as_ref().map(|escalates| escalates.turn);
        (turn(&self.a), turn(&self.b))
    }
}

/// What a document comes to over all calls.
#[derive(Debug, Serialize)]
struct Rates {
    rate: Share,
    recall: Share,
    false_alarms: Share,
}

/// One document's settings, and who rates under them.
#[derive(Clone)]
struct Side {
    settings: Arc<Settings>,
    rater: Arc<dyn Rater>,
}

/// Runs `compare`.
///
/// # Errors
/// [`Failure`] for wrong settings, labels that cannot be used, and an output that cannot be written.
pub async fn run(args: CompareArgs) -> Result<Exit, Failure> {
    let cache = args.cache.open();
    let raters = args.cassette.unhurried_by(cache.rater(), Asks::ToRecord)?;
    let side = |path: &Path| {
        let settings = settings(path)?;
        args.cassette.warn_of_silence(&settings);
        warn_of_switch(&settings, path);
        let rater = raters.of(&settings)?;
        Ok::<_, Failure>(Side { settings: Arc::new(settings), rater })
    };
    let (a, b) = (side(&args.a)?, side(&args.b)?);
    let (calls, bad, ended) = compare(&args, &a, &b).await?;
    cache.close();
    if calls.is_empty() {
        ended.failure(|| "no call is compared yet".to_owned())?;
        return Err(Failure::new(Exit::BadRecording, "there is no call that could be read"));
    }
    let written = match args.format {
        Format::Table => table(&mut anstream::stdout(), &args, &calls),
        Format::Json => json(&mut io::BufWriter::new(io::stdout().lock()), &args, &calls),
    };
    match written {
        // Whoever read our output has enough of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if let Some(said) = asked(&raters)? {
        anstream::eprintln!("{said}");
    }
    ended.failure(|| format!("{} calls are compared", calls.len()))?;
    if bad > 0 {
        return Ok(Exit::BadRecording);
    }
    answered_some(&raters)?;
    Ok(Exit::Ok)
}

fn settings(path: &Path) -> Result<Settings, Failure> {
    let wrong = |errors| {
        Failure::new(Exit::BadSettings, errors)
            .help("sentiment-sidecar doctor checks settings; sentiment-sidecar schema prints every key")
    };
    let agent = Some(AgentFile::read(path).map_err(wrong)?);
    Ok(load(&Layers { agent, env: Env::of_process(), flags: Vec::new() }).map_err(wrong)?.settings)
}

/// All calls of all files under both documents, or those that were when the user stopped it, and how many files could not
/// be read.
async fn compare(args: &CompareArgs, a: &Side, b: &Side) -> Result<(Vec<Compared>, usize, Ended), Failure> {
    let mut corpus = Corpus::new(&args.paths, args.import.options(CutLine::Refuse), &args.labels)?;
    let (mut calls, mut bad, mut progress) = (Vec::new(), Bad::default(), Progress::new());
    let pieces = std::iter::from_fn(|| {
        let (source, way) = corpus.fetch()?;
        let (a, b) = (a.clone(), b.clone());
        Some(async move {
            let compared = match source {
                Ok(source) => Ok(Compared::of(source, &a, &b).await),
                Err(unread) => Err(unread),
            };
            (compared, way)
        })
    });
    let take = |(compared, way): (Result<(Compared, Vec<String>), Unread>, Way)| {
        match compared {
            Ok((call, warnings)) => {
                if !warnings.is_empty() {
                    progress.clear();
                    warn_of(&call.file, &warnings);
                }
                calls.push(call);
            }
            Err(unread) => {
                progress.clear();
                bad.take(unread)?;
            }
        }
        progress.far(calls.len(), way, "compared");
        Ok::<_, Failure>(())
    };
    let ended = Cores::new()?.until_stopped(pieces, take).await?;
    progress.clear();
    if ended == Ended::Whole {
        corpus.warn_of_unused_labels();
    }
    Ok((calls, bad.0, ended))
}

fn rates(calls: &[Compared], side: fn(&Compared) -> &Option<Escalates>) -> Rates {
    let share = |of: &dyn Fn(&&Compared) -> bool| {
        let count = calls.iter().filter(of).filter(|call| side(call).is_some()).count();
        Share::new(count, calls.iter().filter(of).count())
    };
    Rates {
        rate: share(&|_| true),
        recall: share(&|call| call.escalate == Some(true)),
        false_alarms: share(&|call| call.escalate == Some(false)),
    }
}

fn both<'a>(args: &'a CompareArgs, calls: &[Compared]) -> [(&'static str, &'a Path, Rates); 2] {
    [("A", &args.a, rates(calls, |call| &call.a)), ("B", &args.b, rates(calls, |call| &call.b))]
}

fn json(out: &mut impl Write, args: &CompareArgs, calls: &[Compared]) -> io::Result<()> {
    #[derive(Serialize)]
    #[serde(tag = "type", rename_all = "snake_case")]
    enum Line<'a> {
        Flip {
            #[serde(flatten)]
            call: &'a Compared,
        },
        Rates {
            side: &'a str,
            agent: String,
            #[serde(flatten)]
            rates: &'a Rates,
        },
    }
    for call in calls.iter().filter(|call| call.flips()) {
        out.write_all(json_line(&Line::Flip { call })?.as_bytes())?;
    }
    for (side, agent, rates) in &both(args, calls) {
        let line = Line::Rates { side, agent: agent.display().to_string(), rates };
        out.write_all(json_line(&line)?.as_bytes())?;
    }
    out.flush()
}

fn table(out: &mut impl Write, args: &CompareArgs, calls: &[Compared]) -> io::Result<()> {
    type Fits = fn(&Compared) -> bool;
    let groups: [(&str, Fits); 3] = [
        ("ESCALATE UNDER A ALONE", |call| call.a.is_some() && call.b.is_none()),
        ("ESCALATE UNDER B ALONE", |call| call.a.is_none() && call.b.is_some()),
        ("ESCALATE AT ANOTHER TURN", |call| call.a.is_some() && call.b.is_some()),
    ];
    for (title, fits) in groups {
        let calls: Vec<&Compared> = calls.iter().filter(|call| call.flips() && fits(call)).collect();
        if calls.is_empty() {
            continue;
        }
        let bold = anstyle::Style::new().bold();
        writeln!(out, "{bold}{title}{bold:#}  {}", calls.len())?;
        for call in calls {
            flip(out, call)?;
        }
        writeln!(out)?;
    }
    for (side, agent, rates) in both(args, calls) {
        let mut told = format!(
            "{side} ({}): {} of {} escalate{}, {}",
            shorten(&agent.display().to_string(), 40),
            rates.rate.count,
            plural(rates.rate.of, "call"),
            if rates.rate.of == 1 { "s" } else { "" },
            shown(&rates.rate)
        );
        if rates.recall.of + rates.false_alarms.of > 0 {
            told.push_str(&format!("; recall {}, false alarms {}", shown(&rates.recall), shown(&rates.false_alarms)));
        }
        for line in words(&told, "", "  ") {
            writeln!(out, "{line}")?;
        }
    }
    let flips = calls.iter().filter(|call| call.flips()).count();
    writeln!(out, "{} flip{}", plural(flips, "call"), if flips == 1 { "s" } else { "" })?;
    out.flush()
}

fn flip(out: &mut impl Write, call: &Compared) -> io::Result<()> {
    let judged = match call.escalate {
        Some(true) => "  (should escalate)",
        Some(false) => "  (should not)",
        None => "",
    };
    writeln!(out, "  {}{judged}", shorten(&call.file, 60))?;
    for (side, escalates) in [("A", &call.a), ("B", &call.b)] {
        let Some(Escalates { turn, rule, sentiment, text }) = escalates else { continue };
        let style = sentiment.map_or(anstyle::Style::new(), terminal::by_score);
        let rated = sentiment.map_or_else(String::new, |sentiment| format!(", rated {sentiment}: “{text}”"));
        for line in words(&format!("{side}: turn {turn}, {} rule{rated}", rule.name()), "      ", "         ") {
            writeln!(out, "{style}{line}{style:#}")?;
        }
    }
    Ok(())
}
