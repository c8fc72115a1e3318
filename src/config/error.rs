//! What can be wrong with settings, told with key, value, what is allowed, and where it came from.

use std::fmt;
use std::path::PathBuf;

use super::shown::plain;

/// Where a setting's value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// Nobody set it.
    Default,
    /// The agent document.
    File {
        /// The file.
        path: PathBuf,
        /// Where in the document (RFC 6901).
        pointer: String,
        /// Line of the key, from 1.
        line: usize,
        /// Column of the key in characters, from 1.
        column: usize,
    },
    /// A variable of the environment.
    Env {
        /// Its name.
        name: String,
    },
    /// A flag of the command line.
    Flag {
        /// Its name with dashes.
        name: String,
    },
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, pointer, line, column } => {
                write!(f, "{}:{line}:{column} ({})", path.display(), plain(pointer))
            }
            Self::Env { name } => f.write_str(&plain(name)),
            Self::Flag { name } => f.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SettingsError {
    /// The agent document cannot be read.
    #[error("{}: {problem}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        problem: String,
    },
    /// The agent document is no JSON object.
    #[error("{}:{line}:{column}: {problem}; allowed: a JSON object", path.display())]
    NotAnAgent {
        /// The file.
        path: PathBuf,
        /// Line, from 1.
        line: usize,
        /// Column, from 1.
        column: usize,
        /// Why.
        problem: String,
    },
    /// A key that looks like ours and is not.
    #[error("{origin}: unknown setting {key}; {advice}")]
    UnknownKey {
        /// The key, fit to print.
        key: String,
        /// Where it stands.
        origin: Source,
        /// What was probably meant.
        advice: String,
    },
    /// A value that its key does not take.
    #[error("{origin}: {key} = {value}: {problem}; allowed: {allowed}")]
    WrongValue {
        /// The key.
        key: &'static str,
        /// The value, shortened; phone numbers and URLs only in part.
        value: String,
        /// What is wrong with it.
        problem: String,
        /// What is allowed.
        allowed: String,
        /// Where it came from.
        origin: Source,
    },
    /// A setting that is not to be set there.
    #[error("{origin}: {key} is not set here: {problem}")]
    NotHere {
        /// The key.
        key: &'static str,
        /// Why not, and where it is set.
        problem: &'static str,
        /// Where it stands.
        origin: Source,
    },
    /// One layer sets a key twice, differently.
    #[error("{second}: {key} = {second_value}, but {first} says {first_value}; allowed: one value")]
    Contradiction {
        /// The key.
        key: &'static str,
        /// The value met first.
        first_value: String,
        /// Where.
        first: Source,
        /// The other value.
        second_value: String,
        /// Where.
        second: Source,
    },
    /// Values that are right one by one and wrong together.
    #[error("{problem}; {mend} ({})", list(origins))]
    Clash {
        /// What does not fit.
        problem: String,
        /// What would be right.
        mend: String,
        /// The keys concerned and where their values came from.
        origins: Vec<(&'static str, Source)>,
    },
}

fn list(origins: &[(&'static str, Source)]) -> String {
    origins.iter().map(|(key, origin)| format!("{key}: {origin}")).collect::<Vec<_>>().join(", ")
}

/// Everything that is wrong, in the order of the layers; never empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingsErrors(Vec<SettingsError>);

impl SettingsErrors {
    /// `Ok` when nothing is wrong.
    pub(super) fn check(errors: Vec<SettingsError>) -> Result<(), Self> {
        if errors.is_empty() { Ok(()) } else { Err(Self(errors)) }
    }

    /// Each error.
    pub fn iter(&self) -> impl Iterator<Item = &SettingsError> {
        self.0.iter()
    }
}

impl From<SettingsError> for SettingsErrors {
    fn from(error: SettingsError) -> Self {
        Self(vec![error])
    }
}

impl fmt::Display for SettingsErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        list_errors(f, "setting", &self.0)
    }
}

impl std::error::Error for SettingsErrors {}

/// "1 setting is wrong:" and the errors, one per line.
pub(super) fn list_errors<E: fmt::Display>(f: &mut fmt::Formatter<'_>, what: &str, errors: &[E]) -> fmt::Result {
    match errors.len() {
        1 => write!(f, "1 {what} is wrong:")?,
        n => write!(f, "{n} {what}s are wrong:")?,
    }
    errors.iter().try_for_each(|error| write!(f, "\n  {error}"))
}
