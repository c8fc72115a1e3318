//! Exit codes, and the failures that lead to them.

use std::fmt;
use std::process::ExitCode;

use crate::store::StoreError;

/// What the process tells its parent when it ends. A contract: platforms act on these.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// Ended well.
    Ok = 0,
    /// Something unforeseen, such as an output that cannot be written.
    Other = 1,
    /// The command line does not fit.
    Usage = 2,
    /// A recording's expectation failed, or a journal came out otherwise.
    ExpectationFailed = 3,
    /// The escalation rate lies outside its band, or a gate failed.
    RateOutsideBand = 4,
    /// A recording or labelled file cannot be read.
    BadRecording = 5,
    /// A setting or secret is wrong.
    BadSettings = 6,
    /// The room refused us.
    RoomRefused = 7,
    /// The room was lost and did not come back.
    RoomLost = 8,
    /// The store cannot be used.
    StoreUnusable = 9,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        // The discriminants are 0..=9.
        Self::from(exit as u8)
    }
}

/// A failure that ends the process: what went wrong, and how to mend it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What was wrong and where.
    pub message: String,
    /// How to mend it.
    pub help: Option<String>,
    /// Whether whoever read our output has gone, and so has had enough of it.
    pub unread: bool,
}

impl Failure {
    /// A failure with nothing to add.
    #[must_use]
    pub fn new(exit: Exit, message: impl fmt::Display) -> Self {
        Self { exit, message: message.to_string(), help: None, unread: false }
    }

    /// Adds how to mend it.
    #[must_use]
    pub fn help(mut self, help: impl fmt::Display) -> Self {
        self.help = Some(help.to_string());
        self
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}

impl From<std::io::Error> for Failure {
    fn from(error: std::io::Error) -> Self {
        let unread = error.kind() == std::io::ErrorKind::BrokenPipe;
        Self { unread, ..Self::new(Exit::Other, error) }
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Self::new(Exit::StoreUnusable, format_args!("store {}: {}", error.store, error.problem)).help(error.mend())
    }
}
