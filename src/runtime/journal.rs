//! The journal on disk: one JSON line for everything that the core took in and put out.

use std::fs::File;
use std::io::{self, Write};
use std::path::Path;

use crate::call::event::{Entry, Input, Output};
use crate::clock::Millis;

/// Appends [`Entry`]s to a file that only its owner may read, for it holds what the caller said.
#[derive(Debug)]
pub struct Journal(File);

impl Journal {
    /// Begins a journal in a new file.
    ///
    /// # Errors
    /// When the file exists already or cannot be written.
    pub fn create(path: &Path) -> io::Result<Self> {
        let mut options = File::options();
        options.append(true).create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        Ok(Self(options.open(path)?))
    }

    /// Writes down an input.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn input(&mut self, at_ms: Millis, event: &Input) -> io::Result<()> {
        self.line(&Entry::In { at_ms, event: event.clone() })
    }

    /// Writes down an output.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn output(&mut self, at_ms: Millis, event: &Output) -> io::Result<()> {
        self.line(&Entry::Out { at_ms, event: event.clone() })
    }

    fn line(&mut self, entry: &Entry) -> io::Result<()> {
        let mut line = serde_json::to_vec(entry)?;
        line.push(b'\n');
        self.0.write_all(&line)
    }
}
