//! `convert`: any transcript that can be read, as a native recording or a vCon; redacted on request.

use std::collections::BTreeSet;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};
use serde_json::{Map, Value, json};

use super::calls::CallsArgs;
use super::cores::{Cores, Ended};
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, bad, warn};
use super::private::save;
use super::progress::Progress;
use super::raters::{Asks, answered_some, asked};
use super::reading::{Reading, Way};
use crate::clock::unix_ms;
use crate::config::settings::Settings;
use crate::recording::CutLine;
use crate::recording::import::Source;
use crate::recording::problem::RecordingError;
use crate::recording::redact::Redaction;
use crate::replay::engine;
use crate::replay::files;
use crate::replay::played::{Played, PlayedTurn};
use crate::replay::tune::recommend::plural;
use crate::replay::vcon::{Analysis, vcon};
use crate::sentiment::Rater;

/// Write transcripts in any format as recordings or as vCons.
///
/// A recording has the call's turns with who said them and when. A vCon has them as text dialogs, and this program's
/// rating of every caller turn, with its escalations, as an analysis of type "sentiment". A call whose file names no date
/// begins in 1970 there, as a vCon has no other times.
///
/// Ratings are of the words as they were said; what is redacted is taken out afterwards.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar convert call.vtt --caller \"Dana Cole\" > call.jsonl
  sentiment-sidecar convert calls/ --to vcon --out vcons/
  sentiment-sidecar convert export.csv --out recordings/ --redact \\
      --redact-name Dana --redact-name \"Sam Hill\"

Exit codes: 0 all is written, 1 the LLM answered about no turn, 2 usage, 5 a
file cannot be read (the others are still written), 6 a setting is wrong.")]
pub struct ConvertArgs {
    /// Write this.
    #[arg(long, value_enum, default_value_t = To::Recording)]
    to: To,

    /// Write a file for each call into this folder, which only you may read then; nothing there is overwritten.
    ///
    /// Without it calls go to the standard output: one recording, or any number of vCons, a line each.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,

    /// Put marks such as [PHONE] in the place of phone, card and account numbers, of e-mail addresses, and of the names
    /// that a file has for those who speak; in the names of the written files as well.
    #[arg(long)]
    redact: bool,

    /// Put [NAME] in the place of this name, and redact as --redact does; may be repeated. Each part of a name of several
    /// words that has three letters or more goes on its own as well, as a whole word: of "Sam Hill" also "sam" and "Hill".
    #[arg(long, value_name = "NAME")]
    redact_name: Vec<String>,

    #[command(flatten)]
    import: ImportArgs,

    #[command(flatten)]
    calls: CallsArgs,
}

/// What `convert` writes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum To {
    /// A recording of this program.
    Recording,
    /// A vCon with a sentiment analysis.
    Vcon,
}

/// A call on its way, or in its place what cannot be read.
enum Found {
    Call(Box<Source>, Box<Settings>, Arc<dyn Rater>),
    Bad(RecordingError),
    Stopped(Failure),
}

impl Found {
    async fn rated(self, to: To) -> Done {
        match self {
            Self::Bad(error) => Done::Bad(error),
            Self::Stopped(failure) => Done::Stopped(failure),
            Self::Call(source, settings, rater) => {
                let rated = match to {
                    To::Recording => None,
                    To::Vcon => {
                        let played = engine::replay(&source.recording, &settings, rater.as_ref(), None).await;
                        Some(Rated { played: Box::new(played), settings })
                    }
                };
                Done::Call(source, rated)
            }
        }
    }
}

/// What the core made of a call.
struct Rated {
    played: Box<Played>,
    settings: Box<Settings>,
}

enum Done {
    Call(Box<Source>, Option<Rated>),
    Bad(RecordingError),
    Stopped(Failure),
}

/// Runs `convert`.
///
/// # Errors
/// [`Failure`] for wrong settings and an output that cannot be written.
pub async fn run(args: ConvertArgs) -> Result<Exit, Failure> {
    if let Some(folder) = &args.out {
        std::fs::create_dir_all(folder).map_err(|error| unwritable(folder, &error))?;
    }
    let settings = args.calls.settings.load()?.settings;
    let raters = args.calls.cassette.unhurried(Asks::WhereSet)?;
    let rater: Arc<dyn Rater> = match args.to {
        To::Vcon => raters.of(&settings)?,
        To::Recording => Arc::new(crate::sentiment::embedded()),
    };
    let options = args.import.options(CutLine::Refuse);
    let mut reading = Reading::new(files::find(&args.calls.paths), options);
    let mut calls = 0;
    let mut found = |source| match source {
        Err(error) => Found::Bad(error),
        Ok(source) => {
            calls += 1;
            if calls > 1 && args.out.is_none() && args.to == To::Recording {
                return Found::Stopped(several());
            }
            Found::Call(Box::new(source), Box::new(settings.clone()), Arc::clone(&rater))
        }
    };
    let mut writer = Writer::new(&args);
    let to = args.to;
    let pieces = std::iter::from_fn(|| {
        let (source, way) = reading.fetch()?;
        let found = found(source);
        Some(async move { (found.rated(to).await, way) })
    });
    let written = Cores::new()?.until_stopped(pieces, |(done, way)| writer.done(done, way)).await;
    let written = match written {
        Ok(Ended::Whole) => writer.end().map(|()| Ended::Whole).map_err(Failure::from),
        written => written,
    };
    writer.progress.clear();
    if let Some(said) = asked(&raters)? {
        anstream::eprintln!("{said}");
    }
    match written {
        // Whoever read our output has enough of it.
        Err(_) if writer.closed => Ok(Exit::Ok),
        Err(failure) => Err(failure),
        Ok(ended) => {
            ended.failure(|| format!("{} are written", plural(writer.written, "call")))?;
            if writer.bad > 0 {
                return Ok(Exit::BadRecording);
            }
            answered_some(&raters)?;
            Ok(Exit::Ok)
        }
    }
}

fn several() -> Failure {
    Failure::new(Exit::Usage, "there are several calls, and a recording holds one").help("name a folder with --out")
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(Exit::Other, format!("{} cannot be written: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::AlreadyExists => failure.help("nothing is overwritten; give another folder"),
        _ => failure,
    }
}

struct Writer<'a> {
    args: &'a ConvertArgs,
    redaction: Option<Redaction>,
    names: BTreeSet<String>,
    progress: Progress,
    written: usize,
    bad: usize,
    closed: bool,
    /// A recording for the standard output, until it is known that there is no other.
    only: Option<Vec<u8>>,
}

impl<'a> Writer<'a> {
    fn new(args: &'a ConvertArgs) -> Self {
        let redacts = args.redact || !args.redact_name.is_empty();
        let redaction = redacts.then(|| Redaction::new(args.redact_name.iter().cloned()));
        let (names, progress) = (BTreeSet::new(), Progress::new());
        Self { args, redaction, names, progress, written: 0, bad: 0, closed: false, only: None }
    }

    fn done(&mut self, done: Done, way: Way) -> Result<(), Failure> {
        match done {
            Done::Stopped(failure) => return Err(failure),
            Done::Bad(error) => {
                self.bad += 1;
                self.progress.clear();
                bad(&error);
            }
            Done::Call(source, rated) => self.call(*source, rated)?,
        }
        self.progress.far(self.written, way, "written");
        Ok(())
    }

    fn call(&mut self, mut source: Source, rated: Option<Rated>) -> Result<(), Failure> {
        if !source.warnings.is_empty() {
            self.progress.clear();
            warn(&source);
        }
        let redaction = self.redaction.as_ref();
        let redaction = redaction.map(|redaction| redaction.with_people(source.people.iter().map(String::as_str)));
        if let Some(redaction) = &redaction {
            redaction.recording(&mut source.recording);
            source.name = redaction.id(&source.name);
            source.call_id = source.call_id.map(|id| redaction.id(&id));
        }
        let vcon = rated.map(|Rated { played, settings }| {
            let analysis = analysis(&played, redaction.as_ref());
            // The same turns, in the words that are left.
            let said = match &redaction {
                None => played.said,
                Some(_) => engine::said(&source.recording, &settings),
            };
            vcon(&source.recording, &said, source.began, unix_ms(), Some(analysis))
        });
        let write = |out: &mut dyn Write| match &vcon {
            None => source.recording.write(&mut &mut *out),
            Some(vcon) => {
                serde_json::to_writer(&mut *out, vcon)?;
                out.write_all(b"\n")
            }
        };
        match &self.args.out {
            None if self.args.to == To::Recording => {
                let mut only = Vec::new();
                write(&mut only)?;
                self.only = Some(only);
                return Ok(());
            }
            None => self.print(write)?,
            Some(folder) => {
                let path = folder.join(self.name(source.file(), source.call_id.as_deref()));
                save(&path, write).map_err(|error| unwritable(&path, &error))?;
            }
        }
        self.written += 1;
        Ok(())
    }

    /// Writes what waited for the end of all files.
    fn end(&mut self) -> io::Result<()> {
        let Some(only) = self.only.take() else { return Ok(()) };
        self.print(|out| out.write_all(&only))?;
        self.written += 1;
        Ok(())
    }

    fn print(&mut self, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
        let mut out = BufWriter::new(io::stdout().lock());
        let written = write(&mut out).and_then(|()| out.flush());
        self.closed = matches!(&written, Err(error) if error.kind() == io::ErrorKind::BrokenPipe);
        written
    }

    /// A file's name for a call: that of its own file and, where there are several in it, of the call.
    fn name(&mut self, file: &str, call: Option<&str>) -> String {
        let stem = Path::new(file).file_stem().map_or_else(|| "call".into(), |stem| stem.to_string_lossy());
        let stem = if file == "-" { "call".into() } else { stem };
        let whole = call.map_or_else(|| stem.to_string(), |call| format!("{stem}-{call}"));
        let safe: String =
            whole.chars().map(|c| if c.is_alphanumeric() || "._-".contains(c) { c } else { '_' }).take(120).collect();
        let safe = safe.trim_start_matches('.');
        let extension = match self.args.to {
            To::Recording => "jsonl",
            To::Vcon => "vcon.json",
        };
        let names =
            std::iter::once(format!("{safe}.{extension}")).chain((2..).map(|n| format!("{safe}-{n}.{extension}")));
        let mut names = names.skip_while(|name| self.names.contains(name));
        // There is always a next number.
        let name = names.next().unwrap_or_default();
        self.names.insert(name.clone());
        name
    }
}

/// What was found of a call, as a vCon's analysis has it. It quotes words only where they are not redacted.
fn analysis(played: &Played, redaction: Option<&Redaction>) -> Analysis {
    let turns = played.turns().into_iter().map(|turn| {
        let value = match turn {
            PlayedTurn::Unrated { turn, error, .. } => json!({"turn": turn, "unrated": error.to_string()}),
            PlayedTurn::Rated(report) => {
                let mut value = json!({"turn": report.turn, "sentiment": report.sentiment, "valence": report.valence,
                    "frustration": report.frustration, "urgency": report.urgency, "label": report.label,
                    "confidence": report.confidence, "filler": report.filler, "streak": report.streak, "low": report.low});
                if redaction.is_none() {
                    value["cues"] = json!(report.cues);
                }
                value
            }
        };
        (turn.id().to_owned(), value)
    });
    let escalations: Vec<Value> = played
        .escalations
        .iter()
        .map(|one| {
            let description =
                redaction.map_or_else(|| one.description.clone(), |redaction| redaction.text(&one.description));
            json!({"turn": one.turn, "rule": one.rule, "severity": one.severity, "action": one.action,
                "description": description})
        })
        .collect();
    let call = Map::from_iter([
        ("scale".to_owned(), json!("1 extremely negative to 10 extremely positive")),
        ("escalated_at_turn".to_owned(), json!(played.at_turn())),
        ("escalations".to_owned(), Value::Array(escalations)),
    ]);
    Analysis { turns: turns.collect(), call }
}
