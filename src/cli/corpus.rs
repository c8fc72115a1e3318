//! The calls of all files that a command is given, one by one as they are fetched, each with its labels.

use std::path::PathBuf;

use clap::Args;

use super::exit::{Exit, Failure};
use super::import_args::bad;
use super::reading::{Reading, Way};
use crate::recording::Timed;
use crate::recording::import::{Options, Source};
use crate::recording::problem::RecordingError;
use crate::replay::files;
use crate::replay::label_table::{LabelTable, LabelTableError};
use crate::room::message::RoomMessage;

/// Labels that stand beside the calls.
#[derive(Debug, Clone, Default, Args)]
pub struct LabelsArgs {
    /// Take labels from this CSV: file,escalate,turn (a call's path or its end, or its id; yes or no; a caller turn from
    /// 1). They go before those in the files; other columns are fields of the calls.
    #[arg(long, value_name = "FILE")]
    pub labels: Option<PathBuf>,
}

impl From<LabelTableError> for Failure {
    fn from(error: LabelTableError) -> Self {
        Self::new(Exit::BadRecording, error)
    }
}

/// What there is in a call's place.
pub(super) enum Unread {
    /// It cannot be read; the others go on.
    Bad(RecordingError),
    /// Its labels are unclear, which stops everything.
    Stop(Failure),
}

/// All calls of all files.
pub(super) struct Corpus {
    reading: Reading,
    labels: Option<LabelTable>,
    /// What the last call is called.
    last: Option<String>,
}

impl Corpus {
    /// Finds the files, and reads the table of labels.
    ///
    /// # Errors
    /// When the table cannot be used.
    pub(super) fn new(paths: &[PathBuf], options: Options, labels: &LabelsArgs) -> Result<Self, Failure> {
        let labels = labels.labels.as_deref().map(LabelTable::open).transpose()?;
        Ok(Self { reading: Reading::new(files::find(paths), options), labels, last: None })
    }

    /// The next call, and how far it lies through the files.
    pub(super) fn fetch(&mut self) -> Option<(Result<Source, Unread>, Way)> {
        let call = self.next()?;
        Some((call, self.reading.way()))
    }

    /// Says which labels are of no call.
    pub(super) fn warn_of_unused_labels(&self) {
        const SHOWN: usize = 3;
        let unused = self.labels.as_ref().map(LabelTable::unused).unwrap_or_default();
        if unused.is_empty() {
            return;
        }
        let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
        let names = unused.iter().take(SHOWN).copied().collect::<Vec<_>>().join(", ");
        let more = if unused.len() > SHOWN { ", …" } else { "" };
        let labels = if unused.len() == 1 { "1 label is".to_owned() } else { format!("{} labels are", unused.len()) };
        let right =
            self.last.as_ref().map(|last| format!("; a call's name is, for instance, {last}")).unwrap_or_default();
        anstream::eprintln!("{yellow}warning{yellow:#}: {labels} of no call: {names}{more}{right}");
    }
}

impl Iterator for Corpus {
    type Item = Result<Source, Unread>;

    fn next(&mut self) -> Option<Self::Item> {
        let mut source = match self.reading.next()? {
            Ok(source) => source,
            Err(error) => return Some(Err(Unread::Bad(error))),
        };
        let labelled = self.labels.as_mut().map_or(Ok(()), |labels| labels.label(&mut source));
        source.warnings.extend(turn_that_is_not_there(&source));
        self.last = Some(source.name.clone());
        Some(labelled.map(|()| source).map_err(|error| Unread::Stop(error.into())))
    }
}

/// A label that names a turn after the call's last one.
fn turn_that_is_not_there(source: &Source) -> Option<String> {
    let wanted = source.labels.as_ref()?.at?.saturating_add(1);
    let of_caller =
        |timed: &&Timed| matches!(&timed.message, RoomMessage::TurnEnded(turn) if turn.participant_id == "caller");
    let turns = source.recording.messages.iter().filter(of_caller).count();
    // A recording of a room may call its caller by another name.
    (turns > 0 && usize::try_from(wanted).is_ok_and(|wanted| wanted > turns))
        .then(|| format!("its label says caller turn {wanted}, and the call has {turns}"))
}

/// How many calls or files could not be read.
#[derive(Debug, Default)]
pub(super) struct Bad(pub(super) usize);

impl Bad {
    /// Says what cannot be read and counts it.
    ///
    /// # Errors
    /// What stops everything.
    pub(super) fn take(&mut self, unread: Unread) -> Result<(), Failure> {
        match unread {
            Unread::Stop(failure) => Err(failure),
            Unread::Bad(error) => {
                self.0 += 1;
                bad(&error);
                Ok(())
            }
        }
    }
}
