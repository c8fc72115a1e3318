//! The layers of settings: defaults, then the agent document, then the environment, then flags.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde_json::Value;

use super::check::{Together, Warning, action, warnings};
use super::document::{Member, NotADocument, members, place};
use super::env::{Env, PREFIX};
use super::error::{SettingsError, SettingsErrors, Source};
use super::keys::{Draft, ROWS, Row, row};
use super::nearest::{advice, looks_like_ours};
use super::provenance::Provenance;
use super::settings::Settings;
use super::shown;

/// The member of a call's metadata that names an agent document: no setting.
pub(super) const NAMED_AGENT: &str = "sentimentAgent";
/// Largest agent document, in bytes.
const AGENT_BYTES: u64 = 4 * 1024 * 1024;

/// An agent document that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentFile {
    /// Where it came from.
    pub path: PathBuf,
    /// What it says: any JSON object.
    pub text: String,
}

impl AgentFile {
    /// Reads a file, which may be a pipe.
    ///
    /// # Errors
    /// When it cannot be read, is larger than 4 MiB, or is not UTF-8.
    pub fn read(path: &Path) -> Result<Self, SettingsErrors> {
        let unreadable = |problem: String| SettingsError::Unreadable { path: path.to_owned(), problem };
        let mut bytes = Vec::new();
        let reading = File::open(path).and_then(|file| file.take(AGENT_BYTES + 1).read_to_end(&mut bytes));
        let size = reading.map_err(|e| unreadable(format!("the agent document cannot be read: {e}")))?;
        if size as u64 > AGENT_BYTES {
            return Err(unreadable(format!("the agent document is larger than {} MiB", AGENT_BYTES >> 20)).into());
        }
        match String::from_utf8(bytes) {
            Ok(text) => Ok(Self { path: path.to_owned(), text }),
            Err(error) => {
                let valid = error.utf8_error().valid_up_to();
                let text = String::from_utf8_lossy(&error.as_bytes()[..valid]).into_owned();
                let (line, column) = place(&text, valid);
                let problem = "it is not UTF-8".to_owned();
                Err(SettingsError::NotAnAgent { path: path.to_owned(), line, column, problem }.into())
            }
        }
    }
}

/// A value from the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlagValue {
    /// The flag, e.g. `--threshold`.
    pub flag: String,
    /// The key that it sets.
    pub key: String,
    /// As it was typed.
    pub value: String,
}

/// What is laid over the defaults, from the bottom up.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    /// The agent document.
    pub agent: Option<AgentFile>,
    /// The environment.
    pub env: Env,
    /// Flags.
    pub flags: Vec<FlagValue>,
}

/// Settings, and how they came about.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// The settings.
    pub settings: Settings,
    /// Where they came from.
    pub provenance: Provenance,
    /// What is allowed and probably not meant.
    pub warnings: Vec<Warning>,
    draft: Draft,
}

/// One key as it stands. `Display` shortens phone numbers and URLs; [`Explained::value`] has them whole.
#[derive(Debug, Clone, PartialEq)]
pub struct Explained {
    /// The key.
    pub key: &'static str,
    /// Its variable of the environment.
    pub env: String,
    /// The value as an agent document has it; null when there is none.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
    /// What the key means.
    pub about: &'static str,
}

impl fmt::Display for Explained {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} = {} ({})", self.key, shown::value(&self.value), self.source)
    }
}

impl Loaded {
    /// Every key in the order of the table, with its value and source. Read back as an agent document, the keys and
    /// values give the same settings.
    pub fn explain(&self) -> impl Iterator<Item = Explained> {
        ROWS.iter().map(|row| Explained {
            key: row.name,
            env: row.env_name(),
            value: row.get(&self.draft),
            source: self.provenance.of(row.name).clone(),
            about: row.about,
        })
    }
}

/// Reads the layers: each overrides those below it, and every value in every layer is checked.
///
/// # Errors
/// Everything that is wrong, at once.
pub fn load(layers: &Layers) -> Result<Loaded, SettingsErrors> {
    load_with(layers, None)
}

/// The same with a document over the agent's and below the environment.
pub(super) fn load_with(layers: &Layers, over: Option<&Over<'_>>) -> Result<Loaded, SettingsErrors> {
    let mut reading = Reading::default();
    let mut readable = layers.agent.as_ref().is_none_or(|agent| reading.agent(agent, None));
    if let Some(Over { document, may_set }) = over {
        readable &= reading.agent(document, Some(*may_set));
    }
    reading.env(&layers.env);
    reading.flags(&layers.flags);
    reading.finish(readable)
}

/// A document that may not set every key.
pub(super) struct Over<'a> {
    pub(super) document: &'a AgentFile,
    /// Why a key may not be set.
    pub(super) may_set: MaySet,
}

/// Whether a document may set a key, or why not.
type MaySet = fn(&'static str) -> Result<(), &'static str>;

/// One value of one layer, before its shape is checked.
struct Given {
    row: &'static Row,
    raw: Raw,
    origin: Source,
}

/// A value as a layer has it.
#[derive(PartialEq)]
enum Raw {
    Json(Value),
    Text(String),
}

impl Raw {
    fn shown(&self) -> String {
        match self {
            Self::Json(value) => shown::value(value),
            Self::Text(text) => shown::value(&Value::String(text.clone())),
        }
    }
}

#[derive(Default)]
struct Reading {
    draft: Draft,
    provenance: Provenance,
    refused: BTreeSet<&'static str>,
    errors: Vec<SettingsError>,
}

impl Reading {
    /// Reads an agent document, which may set everything unless it is one of a call; false when it is none.
    fn agent(&mut self, agent: &AgentFile, of_call: Option<MaySet>) -> bool {
        let path = &agent.path;
        let text = agent.text.strip_prefix('\u{feff}').unwrap_or(&agent.text);
        let members = match members(text, |key| row(key).is_some() || looks_like_ours(key)) {
            Ok(members) => members,
            Err(NotADocument { line, column, problem }) => {
                self.errors.push(SettingsError::NotAnAgent { path: path.clone(), line, column, problem });
                return false;
            }
        };
        let mut given = Vec::new();
        for Member { key, pointer, line, column, value } in members {
            if of_call.is_some() && pointer.strip_prefix('/') == Some(NAMED_AGENT) {
                continue;
            }
            let origin = Source::File { path: path.clone(), pointer, line, column };
            match row(&key) {
                Some(row) => match of_call.map_or(Ok(()), |may_set| may_set(row.name)) {
                    Ok(()) => given.push(Given { row, raw: Raw::Json(value), origin }),
                    Err(problem) => self.errors.push(SettingsError::NotHere { key: row.name, problem, origin }),
                },
                None => self.unknown(&key, origin, |row| row.name.to_owned()),
            }
        }
        self.layer(given);
        true
    }

    /// Reads the environment.
    fn env(&mut self, env: &Env) {
        let mut given = Vec::new();
        for name in env.names() {
            let origin = Source::Env { name: name.to_owned() };
            let Some(row) = ROWS.iter().find(|row| row.env_name() == name) else {
                if looks_like_ours(name.trim_start_matches(PREFIX)) {
                    self.unknown(name, origin, Row::env_name);
                }
                continue;
            };
            match env.get(name) {
                Ok(Some(text)) => given.push(Given { row, raw: Raw::Text(text.to_owned()), origin }),
                Ok(None) => {}
                Err(error) => self.refuse(row, "…".to_owned(), error.to_string(), origin),
            }
        }
        self.layer(given);
    }

    /// Reads the flags.
    fn flags(&mut self, flags: &[FlagValue]) {
        let mut given = Vec::new();
        for FlagValue { flag, key, value } in flags {
            let origin = Source::Flag { name: flag.clone() };
            match row(key) {
                Some(row) => given.push(Given { row, raw: Raw::Text(value.clone()), origin }),
                None => self.unknown(key, origin, |row| row.name.to_owned()),
            }
        }
        self.layer(given);
    }

    /// Lays one layer over what is there.
    fn layer(&mut self, given: Vec<Given>) {
        let mut first: BTreeMap<&'static str, Given> = BTreeMap::new();
        for given in given {
            match first.get(given.row.name) {
                Some(earlier) if earlier.raw != given.raw => {
                    self.refused.insert(given.row.name);
                    self.errors.push(SettingsError::Contradiction {
                        key: given.row.name,
                        first_value: earlier.raw.shown(),
                        first: earlier.origin.clone(),
                        second_value: given.raw.shown(),
                        second: given.origin,
                    });
                }
                Some(_) => {}
                None => {
                    self.take(&given);
                    first.insert(given.row.name, given);
                }
            }
        }
    }

    fn take(&mut self, given: &Given) {
        let Given { row, raw, origin } = given;
        let accepted = match raw {
            Raw::Json(value) => row.shape.accept(value),
            Raw::Text(text) => row.shape.accept_text(text),
        };
        match accepted.and_then(|value| row.set(&mut self.draft, &value)) {
            Ok(()) => {
                self.provenance.0.insert(row.name, origin.clone());
            }
            Err(problem) => self.refuse(row, raw.shown(), problem, origin.clone()),
        }
    }

    fn refuse(&mut self, row: &'static Row, value: String, problem: String, origin: Source) {
        self.refused.insert(row.name);
        let allowed = row.shape.allowed();
        self.errors.push(SettingsError::WrongValue { key: row.name, value, problem, allowed, origin });
    }

    fn unknown(&mut self, key: &str, origin: Source, say: fn(&Row) -> String) {
        let advice = advice(key, say);
        self.errors.push(SettingsError::UnknownKey { key: shown::plain(key), origin, advice });
    }

    /// The settings, if all is well. Without a readable document nothing is said about what belongs together.
    fn finish(mut self, readable: bool) -> Result<Loaded, SettingsErrors> {
        if readable {
            let Self { draft, provenance, refused, errors } = &mut self;
            Together { draft, provenance, refused, errors }.check();
        }
        SettingsErrors::check(self.errors)?;
        let warnings = warnings(&self.draft, &self.provenance);
        let mut settings = self.draft.settings.clone();
        if let Some(action) = action(&self.draft) {
            settings.action = action;
        }
        Ok(Loaded { settings, provenance: self.provenance, warnings, draft: self.draft })
    }
}
