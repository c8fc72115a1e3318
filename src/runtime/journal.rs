//! The journal on disk: one JSON line for everything that the core took in and put out.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::call::event::{Entry, EntryRef, Input, Output};
use crate::clock::Millis;
use crate::recording::lasting::go_on;

/// Why a journal could not be begun or gone on with.
#[derive(Debug, thiserror::Error)]
pub enum NoJournal {
    /// It cannot be written.
    #[error("the journal cannot be written: {0}")]
    Io(#[from] io::Error),
    /// What is there is none, and nothing is overwritten.
    #[error("the file is there already and is no journal; name a new file")]
    Another,
}

/// Appends [`Entry`]s to a file that only its owner may read, for it holds what the caller said.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Begins a journal, or goes on with that of an earlier process of the same call: its time begins anew there.
    ///
    /// # Errors
    /// [`NoJournal`] when the file holds something else (nothing is ever overwritten) or cannot be written.
    pub fn create(path: &Path) -> Result<Self, NoJournal> {
        let ours = |first: &str| first.starts_with(r#"{"in":"#) || first.starts_with(r#"{"out":"#);
        go_on(path, ours).map(Self).map_err(|error| match error.kind() {
            io::ErrorKind::AlreadyExists => NoJournal::Another,
            _ => NoJournal::Io(error),
        })
    }

    /// Writes down an input.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn input(&mut self, at_ms: Millis, event: &Input) -> io::Result<()> {
        self.line(&Entry::In { at_ms, event })
    }

    /// Writes down an output.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn output(&mut self, at_ms: Millis, event: &Output) -> io::Result<()> {
        self.line(&Entry::Out { at_ms, event })
    }

    fn line(&mut self, entry: &EntryRef<'_>) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::room::message::RoomMessage;

    #[test]
    fn what_is_no_journal_is_left_alone_and_said_to_be_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "mine\n").unwrap();
        let told = Journal::create(&path).unwrap_err().to_string();
        assert_eq!(told, "the file is there already and is no journal; name a new file");
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\n");
    }

    #[test]
    fn what_is_written_by_reference_reads_back_as_the_same_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal.jsonl");
        let input = Input::Room { message: RoomMessage::SessionEnded { seq: Some(7), reason: "hangup".to_owned() } };
        let output = Output::Ended { reason: "hangup".to_owned() };
        let mut journal = Journal::create(&path).unwrap();
        journal.input(Millis(5), &input).unwrap();
        journal.output(Millis(6), &output).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        let entries = [Entry::In { at_ms: Millis(5), event: input }, Entry::Out { at_ms: Millis(6), event: output }];
        let read: Vec<Entry> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!(read, entries);
        let lines: Vec<String> = entries.iter().map(|entry| serde_json::to_string(entry).unwrap()).collect();
        assert_eq!(text.lines().collect::<Vec<_>>(), lines);
        assert_eq!(lines[1], r#"{"out":{"at_ms":6,"event":{"output":"ended","reason":"hangup"}}}"#);
    }
}
