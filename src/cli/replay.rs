//! `replay`: recorded transcripts through the same core that live calls use.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use clap::{Args, ValueEnum};
use serde_json::json;

use super::cores::Cores;
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, bad, warn};
use super::private;
use super::progress::Progress;
use super::raters::{Asks, CassetteArgs, answered_some, asked};
use super::reading::{Reading, Way};
use super::settings_args::SettingsArgs;
use super::terminal::{columns, width, words};
use crate::call::event::Entry;
use crate::config::settings::Settings;
use crate::config::{AgentFile, Layers, load};
use crate::recording::CutLine;
use crate::recording::import::Source;
use crate::recording::problem::{Problem, RecordingError};
use crate::replay::again::{Again, At, JournalError, again};
use crate::replay::engine;
use crate::replay::files;
use crate::replay::junit::Junit;
use crate::replay::report::{Json, Printer, Replayed, Tally};
use crate::replay::shorten;
use crate::replay::table::Table;
use crate::sentiment::Rater;
use crate::sentiment::raters::Raters;

/// Replay recorded calls and check what they expect.
///
/// A FILE is a recording (as `attach --record` writes it) or a transcript in any form that QA has: what it is, its
/// content says. A folder stands for the files in it and below, a pattern for what it fits, and - for the standard
/// input.
///
/// Settings come from flags, else from --agent, else from the recording's own header, else they are the defaults. An
/// agent document takes the header's place as a whole.
///
/// Without a FILE, --journal takes what `attach --journal` wrote of a live call through the core again, under the call's
/// settings (--agent): the core must come to the same journal, byte for byte.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar replay fixtures/
  sentiment-sidecar replay --threshold 4 --window 2 call.jsonl
  sentiment-sidecar replay --format json fixtures/ > turns.jsonl
  sentiment-sidecar replay --journal live.journal --agent agent.json

Exit codes: 0 all is as expected, 1 the LLM answered about no turn, 2 usage,
3 an expectation failed, or a journal comes out otherwise, 5 a recording cannot
be read (the others are still replayed), 6 a setting is wrong.")]
pub struct ReplayArgs {
    /// Print a table for people, JSON Lines for programs, or a JUnit report for CI.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// With a call: write everything that the core takes in and puts out into this new file, as JSON Lines, which only you
    /// may read. Without one: take
    /// this journal of a live call through the core again, and fail on any difference.
    #[arg(long, value_name = "JOURNAL")]
    journal: Option<PathBuf>,

    /// Leave out a last line that is cut off, as a crash while recording leaves it.
    #[arg(long)]
    mend: bool,

    #[command(flatten)]
    import: ImportArgs,

    /// Go through these files, folders of them, or patterns; - is the standard input.
    // Without the heading of what stands before it.
    #[arg(value_name = "FILE", required_unless_present = "journal", help_heading = None::<&'static str>)]
    paths: Vec<PathBuf>,

    #[command(flatten)]
    cassette: CassetteArgs,

    #[command(flatten)]
    settings: SettingsArgs,
}

/// What `replay` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// An aligned table per call.
    Table,
    /// JSON Lines: turn, escalation, summary.
    Json,
    /// A JUnit report.
    Junit,
}

/// Runs `replay`.
///
/// # Errors
/// [`Failure`] for wrong settings, a journal for several calls, and an output that cannot be written.
pub async fn run(args: ReplayArgs) -> Result<Exit, Failure> {
    if let Some(journal) = args.journal.as_deref().filter(|_| args.paths.is_empty()) {
        return journal_again(&args, journal);
    }
    if let Some(journal) = args.journal.as_deref() {
        private::check(journal).map_err(|error| unwritable(journal, &error))?;
    }
    match Run::new(&args).all(&args).await {
        // Whoever read our output has enough of it.
        Err(failure) if failure.broken_pipe => Ok(Exit::Ok),
        Err(failure) => Err(failure.failure),
        Ok(tally) if !tally.bad.is_empty() => Ok(Exit::BadRecording),
        Ok(tally) if tally.failed > 0 => Ok(Exit::ExpectationFailed),
        Ok(_) => Ok(Exit::Ok),
    }
}

/// A failure, with a closed pipe told apart.
struct Stop {
    failure: Failure,
    broken_pipe: bool,
}

impl From<io::Error> for Stop {
    fn from(error: io::Error) -> Self {
        Self { broken_pipe: error.kind() == io::ErrorKind::BrokenPipe, failure: error.into() }
    }
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Self {
        Self { failure, broken_pipe: false }
    }
}

/// What there is for one call of the files, or in its place.
enum Found {
    /// A call, and how it is to be replayed.
    Call(Box<Prepared>),
    /// What cannot be read.
    Bad(RecordingError),
    /// What stops the whole replay.
    Stopped(Failure),
}

struct Prepared {
    source: Source,
    settings: Settings,
    rater: Arc<dyn Rater>,
    journaled: bool,
}

/// What came of it.
enum Done {
    Call(Box<Replayed>, Vec<Entry>),
    Bad(RecordingError),
    Stopped(Failure),
}

impl Found {
    async fn replayed(self) -> Done {
        let Prepared { source, settings, rater, journaled } = match self {
            Self::Call(prepared) => *prepared,
            Self::Bad(error) => return Done::Bad(error),
            Self::Stopped(failure) => return Done::Stopped(failure),
        };
        let mut entries = Vec::new();
        let mut keep = |entry: Entry| entries.push(entry);
        let journal: Option<engine::Journal<'_>> = if journaled { Some(&mut keep) } else { None };
        let began = Instant::now();
        let played = engine::replay(&source.recording, &settings, rater.as_ref(), journal).await;
        Done::Call(Box::new(Replayed::new(source, settings, played, began.elapsed())), entries)
    }
}

/// All calls of all files, opened and prepared one after the other as they are fetched, and how far that has come.
fn prepared<'a>(args: &'a ReplayArgs, raters: &'a Raters) -> Result<impl Iterator<Item = (Found, Way)> + 'a, Failure> {
    let cut = if args.mend { CutLine::LeaveOut } else { CutLine::Refuse };
    let journaled = args.journal.is_some();
    let found = files::find(&args.paths);
    if journaled && found.len() > 1 {
        return Err(one_journal());
    }
    let mut reading = Reading::new(found, args.import.options(cut));
    let next = move || {
        let (source, way) = reading.fetch()?;
        let second = journaled && reading.next().is_some();
        Some((if second { Err(Found::Stopped(one_journal())) } else { source.map_err(Found::Bad) }, way))
    };
    let fetched = std::iter::from_fn(next);
    Ok(fetched
        .map(move |(source, way)| (source.map_or_else(|found| found, |source| prepare(args, raters, source)), way)))
}

fn prepare(args: &ReplayArgs, raters: &Raters, source: Source) -> Found {
    let settings = match settings(&args.settings, &source) {
        Ok(settings) => settings,
        Err(WrongSettings::Given(failure)) => return Found::Stopped(failure),
        Err(WrongSettings::Recorded(error)) => return Found::Bad(error),
    };
    match raters.of(&settings) {
        Ok(rater) => Found::Call(Box::new(Prepared { source, settings, rater, journaled: args.journal.is_some() })),
        Err(error) => Found::Stopped(error.into()),
    }
}

struct Run {
    printer: Box<dyn Printer>,
    out: Box<dyn Write>,
    progress: Progress,
    tally: Tally,
}

impl Run {
    fn new(args: &ReplayArgs) -> Self {
        let (printer, out): (Box<dyn Printer>, Box<dyn Write>) = match args.format {
            Format::Table => (Box::new(Table::new(columns())), Box::new(anstream::stdout())),
            Format::Json => (Box::new(Json), Box::new(BufWriter::new(io::stdout()))),
            Format::Junit => (Box::new(Junit::default()), Box::new(BufWriter::new(io::stdout()))),
        };
        Self { printer, out, progress: Progress::new(), tally: Tally::default() }
    }

    async fn all(mut self, args: &ReplayArgs) -> Result<Tally, Stop> {
        let raters = args.cassette.unhurried(Asks::ToRecord)?;
        let cores = Cores::new()?;
        let calls = prepared(args, &raters)?.map(|(found, way)| async move { (found.replayed().await, way) });
        let take = |(done, way)| {
            self.done(args, done)?;
            self.progress.far(self.tally.calls, way, "replayed");
            Ok::<_, Stop>(())
        };
        let ended = cores.until_stopped(calls, take).await?;
        let tally = self.finish(args.format, &raters)?;
        ended.failure(|| format!("{} calls are replayed", tally.calls))?;
        if tally.bad.is_empty() {
            answered_some(&raters)?;
        }
        Ok(tally)
    }

    fn done(&mut self, args: &ReplayArgs, done: Done) -> Result<(), Stop> {
        match done {
            Done::Call(call, entries) => self.one(args, &call, &entries),
            Done::Bad(error) => self.bad(&error),
            Done::Stopped(failure) => Err(failure.into()),
        }
    }

    fn one(&mut self, args: &ReplayArgs, call: &Replayed, entries: &[Entry]) -> Result<(), Stop> {
        if let Some(path) = &args.journal {
            write_journal(path, entries).map_err(|error| unwritable(path, &error))?;
        }
        self.tally.count(call);
        if !call.source.warnings.is_empty() {
            self.progress.clear();
            // What was printed before stands before it.
            self.out.flush()?;
            warn(&call.source);
        }
        self.printer.call(&mut self.out, call)?;
        if args.format != Format::Table {
            self.progress.clear();
            for mismatch in &call.mismatches {
                anstream::eprintln!("{}: {mismatch}", call.source.name);
            }
        }
        Ok(())
    }

    fn bad(&mut self, error: &RecordingError) -> Result<(), Stop> {
        self.tally.cannot_read(error);
        self.progress.clear();
        // What was printed before stands before it.
        self.out.flush()?;
        bad(error);
        self.printer.bad(&mut self.out, error)?;
        Ok(())
    }

    fn finish(mut self, format: Format, raters: &Raters) -> Result<Tally, Stop> {
        self.progress.clear();
        self.printer.finish(&mut self.out)?;
        if format == Format::Table {
            writeln!(self.out, "{}", self.tally)?;
        } else {
            anstream::eprintln!("{}", self.tally);
        }
        self.out.flush()?;
        if let Some(said) = asked(raters)? {
            anstream::eprintln!("{said}");
        }
        Ok(self.tally)
    }
}

/// Whose settings are wrong.
enum WrongSettings {
    /// The flags', the agent document's, the environment's: everything stops.
    Given(Failure),
    /// The recording's own.
    Recorded(RecordingError),
}

/// The settings of one call.
fn settings(args: &SettingsArgs, source: &Source) -> Result<Settings, WrongSettings> {
    let header = source.recording.header.agent.as_ref().filter(|_| args.sources.agent.is_none());
    let document = header.map(|agent| AgentFile { path: source.name.clone().into(), text: json!(agent).to_string() });
    let failure = match args.load_over(document.clone()) {
        Ok(loaded) => return Ok(loaded.settings),
        Err(failure) => failure,
    };
    let alone = document.map(|agent| load(&Layers { agent: Some(agent), ..Layers::default() }));
    match alone {
        Some(Err(errors)) => {
            Err(WrongSettings::Recorded(Problem::Agent { detail: errors.to_string() }.at(&source.name, 1)))
        }
        _ => Err(WrongSettings::Given(failure)),
    }
}

fn one_journal() -> Failure {
    Failure::new(Exit::Usage, "--journal takes one call, but there are several")
        .help("replay the call that you want the journal of on its own")
}

fn write_journal(path: &Path, entries: &[Entry]) -> io::Result<()> {
    private::save(path, |out| {
        for entry in entries {
            serde_json::to_writer(&mut *out, entry)?;
            out.write_all(b"\n")?;
        }
        Ok(())
    })
}

fn unwritable(path: &Path, error: &io::Error) -> Failure {
    let failure = Failure::new(Exit::Other, format!("the journal {} cannot be written: {error}", path.display()));
    match error.kind() {
        io::ErrorKind::AlreadyExists => failure.help(
            "with a call, --journal writes a new file, and nothing is overwritten; to take a journal through the core again, \
             name no call",
        ),
        _ => failure,
    }
}

impl From<JournalError> for Failure {
    fn from(error: JournalError) -> Self {
        Self::new(Exit::BadRecording, error)
    }
}

/// Takes a live call's journal through the core again.
fn journal_again(args: &ReplayArgs, path: &Path) -> Result<Exit, Failure> {
    let settings = Arc::new(args.settings.load()?.settings);
    let file = path.display().to_string();
    let input: Box<dyn io::Read> = match file.as_str() {
        "-" => Box::new(io::stdin()),
        _ => Box::new(File::open(path).map_err(|error| JournalError {
            file: file.clone(),
            line: 0,
            problem: error.into(),
        })?),
    };
    let began = Instant::now();
    let again = again(BufReader::new(input), &file, &settings)?;
    let written = match args.format {
        Format::Table => tell_again(&mut anstream::stdout(), &file, &again),
        Format::Json => writeln!(io::stdout(), "{}", json!({"type": "journal", "file": file, "again": again})),
        Format::Junit => Junit::journal(&mut io::stdout(), &file, &again, began.elapsed()),
    };
    match written {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error.into()),
        _ if again.difference.is_some() => Ok(Exit::ExpectationFailed),
        _ => Ok(Exit::Ok),
    }
}

fn tell_again(out: &mut impl Write, file: &str, again: &Again) -> io::Result<()> {
    let Again { processes, inputs, outputs, cut, difference } = again;
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    if let Some(line) = cut {
        let told = format!(
            "{file} breaks off within line {line}, which is left out: its last process was killed, or the file is not whole"
        );
        for line in words(&told, "", "  ") {
            writeln!(out, "{yellow}{line}{yellow:#}")?;
        }
    }
    let Some(difference) = difference else {
        let of = if *processes == 1 { String::new() } else { format!(", of {}", plural(*processes, "process")) };
        let told = format!("{file}: {} and {}{of}", plural(*inputs, "input"), plural(*outputs, "output"));
        return writeln!(out, "{told}, all as they were{}", if cut.is_some() { " up to there" } else { "" });
    };
    let red = anstyle::AnsiColor::Red.on_default().bold();
    let told = format!("{file}, line {}: the core answers otherwise", difference.line);
    for line in words(&told, "", "  ") {
        writeln!(out, "{red}{line}{red:#}")?;
    }
    let At { field, was, now } = difference.first();
    if let Some(field) = field {
        writeln!(out, "  first at {}", shorten(&field, width() - 11))?;
    }
    for (when, said) in [("was", was), ("now", now)] {
        writeln!(out, "  {when}  {}", shorten(&said, width() - 7))?;
    }
    for line in words(
        "Under other settings than the call had it answers otherwise as well: give its --agent. --format json has both \
                       lines whole.",
        "  ",
        "  ",
    ) {
        writeln!(out, "{line}")?;
    }
    Ok(())
}

/// `1 process`, `2 processes`.
fn plural(count: u64, what: &str) -> String {
    let ending = match count {
        1 => "",
        _ if what.ends_with('s') => "es",
        _ => "s",
    };
    format!("{count} {what}{ending}")
}
