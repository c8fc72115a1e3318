//! `tune`: grids of every rule's settings over calls of one's own, and one recommendation.

mod json;
mod show;

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, ValueEnum};

use super::cached::CacheArgs;
use super::calls::CallsArgs;
use super::cores::{Cores, Ended};
use super::corpus::{Bad, Corpus, LabelsArgs, Unread};
use super::exit::{Exit, Failure};
use super::import_args::{ImportArgs, warn_of};
use super::progress::Progress;
use super::raters::{Asks, answered_some, asked};
use super::reading::Way;
use super::settings_args::warn_of_switch;
use crate::config::settings::Settings;
use crate::recording::CutLine;
use crate::replay::labels::Labelled;
use crate::replay::tune::outcomes::{Outcomes, TunedCall};
use crate::replay::tune::weigh::{Band, Side};
use crate::replay::tune::{Stage, Tuning, page};
use crate::sentiment::Rater;

/// Try a thousand settings on calls of yours, and get one recommendation.
///
/// Every call is rated once; then each rule goes through a grid of its settings: the streak rule (threshold and window 1
/// to 10), the sustained rule (level and weight), requests for a human, the trajectory rules; and combinations around the
/// best of each. The rates come with their 95 % intervals. Where calls are labelled (in their files, or by --labels),
/// recall, precision and false alarms decide, and are shown as they are on calls that the recommendation was not made
/// from (cross-validation). Otherwise the rate decides: 5 to 15 % of calls, unless --rate-min and --rate-max say
/// something else.
///
/// Today's settings are those of --agent, the environment and the flags. What the recordings bring along does not count.
///
/// An LLM is asked only to record a cassette, and heard from one.
///
/// Ratings are kept in your cache folder, by a hash of the words and without them, so that a second run rates nothing.
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  sentiment-sidecar tune calls/ --agent agent.json
  sentiment-sidecar tune calls/ --labels judged.csv --html tuning.html
  sentiment-sidecar tune calls/ --agent agent.json --rate-min 5% --rate-max 15%

Exit codes: 0 done, 1 the LLM answered about no turn, 4 today's rate lies
  outside --rate-min and --rate-max, 5 a file cannot be read (the others are
  still used), 6 a setting is wrong.")]
pub struct TuneArgs {
    /// What to print: tables for people, or JSON Lines for programs.
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,

    /// Write all of it as one page of HTML as well, which needs nothing else to be shown. It quotes the calls, and only
    /// you may read it.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,

    /// At least this share of calls is to escalate, e.g. 0.05 or 5%; exit code 4 where today's settings fall short.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    rate_min: Option<f64>,

    /// At most this share of calls is to escalate, e.g. 0.15 or 15%; exit code 4 where today's settings exceed it.
    #[arg(long, value_name = "SHARE", value_parser = share)]
    rate_max: Option<f64>,

    /// List at most so many of the calls that the recommendation changes; --format json and --html have all.
    #[arg(long, value_name = "N", default_value_t = 10)]
    show: usize,

    #[command(flatten)]
    labels: LabelsArgs,

    #[command(flatten)]
    cache: CacheArgs,

    #[command(flatten)]
    import: ImportArgs,

    #[command(flatten)]
    calls: CallsArgs,
}

/// What `tune` prints.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Heat maps, tables, the recommendation.
    Table,
    /// JSON Lines: the calls, every cell, the recommendation, the calls that it changes.
    Json,
}

/// A share as `0.05` or `5%`.
fn share(text: &str) -> Result<f64, String> {
    let (number, of) = text.strip_suffix('%').map_or((text, 1.0), |percent| (percent.trim_end(), 100.0));
    let share = number.parse::<f64>().ok().map(|number| number / of).filter(|share| (0.0..=1.0).contains(share));
    share.ok_or_else(|| "give a share such as 0.05 or 5%".to_owned())
}

/// Runs `tune`.
///
/// # Errors
/// [`Failure`] for wrong settings, labels that cannot be used, and an output that cannot be written.
pub async fn run(args: TuneArgs) -> Result<Exit, Failure> {
    let band = band(&args)?;
    let settings = args.calls.settings.load()?.settings;
    // Whoever waits for minutes should not then hear that there is no such folder.
    let html = args.html.as_deref().map(Page::open).transpose()?;
    let cache = args.cache.open();
    args.calls.cassette.warn_of_silence(&settings);
    if let Some(agent) = &args.calls.settings.sources.agent {
        warn_of_switch(&settings, agent);
    }
    let raters = args.calls.cassette.unhurried_by(cache.rater(), Asks::ToRecord)?;
    let rater = raters.of(&settings)?;
    let (calls, bad, ended) = rate(&args, &settings, &rater).await?;
    let counts = cache.close();
    let rated = calls.len();
    if calls.is_empty() {
        ended.failure(|| "no call is rated yet".to_owned())?;
        return Err(Failure::new(Exit::BadRecording, "there is no call that could be read"));
    }
    let tuning = tune(calls, settings, band);
    let written = match args.format {
        Format::Table => show::table(&mut anstream::stdout(), &tuning, counts, args.show),
        Format::Json => json::lines(&mut io::BufWriter::new(io::stdout().lock()), &tuning, counts),
    };
    match written {
        // Whoever read our output has enough of it.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => return Err(error.into()),
        _ => {}
    }
    if let Some(html) = html {
        html.write(&tuning)?;
    }
    if let Some(said) = asked(&raters)? {
        anstream::eprintln!("{said}");
    }
    ended.failure(|| format!("this is what {rated} calls say, and others were yet to be rated"))?;
    if bad == 0 {
        answered_some(&raters)?;
    }
    Ok(match tuning.tried.today.side {
        _ if bad > 0 => Exit::BadRecording,
        Side::Below | Side::Above if band.given => Exit::RateOutsideBand,
        _ => Exit::Ok,
    })
}

fn band(args: &TuneArgs) -> Result<Band, Failure> {
    let band = match (args.rate_min, args.rate_max) {
        (None, None) => Band::USUAL,
        (min, max) => Band { min: min.unwrap_or(0.0), max: max.unwrap_or(1.0), given: true },
    };
    if band.min > band.max {
        return Err(Failure::new(Exit::Usage, "--rate-min is above --rate-max, so that no rate lies between them"));
    }
    Ok(band)
}

/// All calls of all files, rated, or those that were when the user stopped it; and how many files could not be read.
async fn rate(
    args: &TuneArgs,
    settings: &Settings,
    rater: &Arc<dyn Rater>,
) -> Result<(Vec<TunedCall>, usize, Ended), Failure> {
    let mut corpus = Corpus::new(&args.calls.paths, args.import.options(CutLine::Refuse), &args.labels)?;
    let settings = Arc::new(settings.clone());
    let (mut calls, mut bad, mut progress) = (Vec::new(), Bad::default(), Progress::new());
    let pieces = std::iter::from_fn(|| {
        let (source, way) = corpus.fetch()?;
        let (settings, rater) = (Arc::clone(&settings), Arc::clone(rater));
        Some(async move {
            let rated = async {
                let mut source = source?;
                let warnings = std::mem::take(&mut source.warnings);
                let call = TunedCall::rated(Labelled::from(source), &settings, rater.as_ref()).await;
                Ok::<_, Unread>((call, warnings))
            };
            (rated.await, way)
        })
    });
    let take = |(rated, way): (Result<(TunedCall, Vec<String>), Unread>, Way)| {
        match rated {
            Ok((call, warnings)) => {
                if !warnings.is_empty() {
                    progress.clear();
                    warn_of(&call.name, &warnings);
                }
                calls.push(call);
            }
            Err(unread) => {
                progress.clear();
                bad.take(unread)?;
            }
        }
        progress.far(calls.len(), way, "rated");
        Ok::<_, Failure>(())
    };
    let ended = Cores::new()?.until_stopped(pieces, take).await?;
    progress.clear();
    if ended == Ended::Whole {
        corpus.warn_of_unused_labels();
    }
    Ok((calls, bad.0, ended))
}

fn tune(calls: Vec<TunedCall>, settings: Settings, band: Band) -> Tuning {
    let mut progress = Progress::new();
    let tuning = Tuning::of(Outcomes::new(calls, settings), band, |stage, done, of| {
        let what = match stage {
            Stage::Grids => "calls tried under all settings",
            Stage::CrossValidation => "calls tried for cross-validation",
        };
        progress.tell(|| format!("{done} of {of} {what}"));
    });
    progress.clear();
    tuning
}

/// The page that is written in the end.
struct Page<'a> {
    path: &'a Path,
    file: File,
    /// Whether it was made for this, and is still empty.
    is_new: bool,
}

impl<'a> Page<'a> {
    fn open(path: &'a Path) -> Result<Self, Failure> {
        let unwritable = |error: &io::Error| Self::unwritable(path, error);
        let mut options = File::options();
        options.write(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        match options.clone().create_new(true).open(path) {
            Ok(file) => Ok(Self { path, file, is_new: true }),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let file = options.open(path).map_err(|error| unwritable(&error))?;
                Ok(Self { path, file, is_new: false })
            }
            Err(error) => Err(unwritable(&error)),
        }
    }

    fn unwritable(path: &Path, error: &io::Error) -> Failure {
        Failure::new(Exit::Other, format!("the page {} cannot be written: {error}", path.display()))
            .help("give --html a file in a folder that is there and that you may write to")
    }

    fn write(mut self, tuning: &Tuning) -> Result<(), Failure> {
        let text = page::page(tuning).map_err(|error| Failure::new(Exit::Other, error))?;
        let written = self.make_private().and_then(|()| self.file.set_len(0));
        let written = written.and_then(|()| self.file.write_all(text.as_bytes()));
        self.is_new &= written.is_err();
        written.map_err(|error| Self::unwritable(self.path, &error))
    }

    /// Also what was there before, and others could read.
    fn make_private(&self) -> io::Result<()> {
        #[cfg(unix)]
        if self.file.metadata()?.is_file() {
            self.file.set_permissions(std::os::unix::fs::PermissionsExt::from_mode(0o600))?;
        }
        Ok(())
    }
}

impl Drop for Page<'_> {
    fn drop(&mut self) {
        // An empty page helps nobody.
        if self.is_new {
            drop(std::fs::remove_file(self.path));
        }
    }
}
