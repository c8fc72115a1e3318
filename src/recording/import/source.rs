//! What comes of reading: a call, and what is to be said of it.

use super::call::Labels;
use crate::recording::Recording;

/// One call out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The file, and for files of many calls the call's id after a `#`.
    pub name: String,
    /// The call.
    pub recording: Recording,
    /// What was odd or had to be guessed, and how to overrule it.
    pub warnings: Vec<String>,
    /// What people have said of the call, where the file has it.
    pub labels: Option<Labels>,
    /// The names of those who speak, as far as the file has any.
    pub people: Vec<String>,
    /// When the call began, in ms since 1970, where the file says so.
    pub began: Option<u64>,
}

impl Source {
    pub(super) fn native(name: &str, recording: Recording) -> Self {
        Self { name: name.to_owned(), recording, warnings: Vec::new(), labels: None, people: Vec::new(), began: None }
    }
}
