//! What comes of reading: a call, and what is to be said of it.

use super::call::Labels;
use crate::recording::Recording;

/// One call out of a file.
#[derive(Debug, Clone, PartialEq)]
pub struct Source {
    /// The file, and for files of many calls the call's id after a `#`.
    pub name: String,
    /// The call's id within a file of many, with which the name ends. A file's own name may have a `#` as well.
    pub call_id: Option<String>,
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
        Self {
            name: name.to_owned(),
            call_id: None,
            recording,
            warnings: Vec::new(),
            labels: None,
            people: Vec::new(),
            began: None,
        }
    }

    /// The file, without the call's id within it.
    #[must_use]
    pub fn file(&self) -> &str {
        let of_many = |id: &String| self.name.strip_suffix(id.as_str())?.strip_suffix('#');
        self.call_id.as_ref().and_then(of_many).unwrap_or(&self.name)
    }
}
