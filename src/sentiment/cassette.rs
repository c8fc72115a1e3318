//! Cassettes: an LLM's answers, recorded once and replayed, so that QA's replays are free and always the same.
//!
//! A cassette is a file of JSON Lines, one answer each:
//!
//! ```json
//! {"type":"llm_answer","version":1,"key":"9f2c…","model":"gpt-4o-mini","answer":{"sentiment":2.0,"frustration":0.8,…}}
//! ```
//!
//! The key is a SHA-256 of model, prompt version, turn and context, so an answer only ever stands for the very
//! question that it was given to. What the caller said is not in the file, nor is any secret; the description is, as an
//! alert may show it.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::llm::LlmRating;

/// The version of the format.
const VERSION: u32 = 1;
/// The longest line, in bytes.
const LONGEST_LINE: u64 = 64 * 1024;

/// Why a cassette cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CassetteError {
    /// The file cannot be read or written.
    #[error("the cassette {} cannot be {what}: {problem}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// `read` or `written`.
        what: &'static str,
        /// Why not.
        problem: String,
    },
    /// A line is no answer.
    #[error("{}:{line}: no answer of an LLM: {problem}; record the cassette anew or remove the line", path.display())]
    Line {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong with it.
        problem: String,
    },
}

/// The line.
#[derive(Serialize, Deserialize)]
struct Line {
    #[serde(rename = "type")]
    kind: Kind,
    version: u32,
    key: String,
    model: String,
    answer: LlmRating,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "llm_answer")]
    LlmAnswer,
}

/// Answers by question, and where new ones go.
#[derive(Debug)]
pub struct Cassette {
    path: PathBuf,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    answers: HashMap<String, LlmRating>,
    out: Option<File>,
    problem: Option<CassetteError>,
}

impl Cassette {
    /// Reads a cassette that takes nothing more.
    ///
    /// # Errors
    /// [`CassetteError`] when the file cannot be read, or a line of it is no answer.
    pub fn play(path: &Path) -> Result<Self, CassetteError> {
        let file = File::open(path).map_err(|error| io_error(path, "read", &error))?;
        Self::read(path, file, None)
    }

    /// Goes on with a cassette, or begins one in a file that only its owner may read. Answers that it has are played,
    /// new ones are appended.
    ///
    /// # Errors
    /// [`CassetteError`] when the file cannot be read or written, or a line of it is no answer.
    pub fn record(path: &Path) -> Result<Self, CassetteError> {
        let mut options = File::options();
        options.read(true).append(true).create(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
        let file = options.open(path).map_err(|error| io_error(path, "written", &error))?;
        let out = file.try_clone().map_err(|error| io_error(path, "written", &error))?;
        Self::read(path, file, Some(out))
    }

    fn read(path: &Path, file: File, out: Option<File>) -> Result<Self, CassetteError> {
        let mut reader = BufReader::new(file);
        let mut answers = HashMap::new();
        for number in 1.. {
            let mut bytes = Vec::new();
            let read = reader.by_ref().take(LONGEST_LINE).read_until(b'\n', &mut bytes);
            if read.map_err(|error| io_error(path, "read", &error))? == 0 {
                break;
            }
            let wrong = |problem: String| CassetteError::Line { path: path.to_owned(), line: number, problem };
            if bytes.last() != Some(&b'\n') {
                let cut = bytes.len() < LONGEST_LINE as usize;
                return Err(wrong(if cut { "it is cut off".to_owned() } else { "it is too long".to_owned() }));
            }
            let line: Line = serde_json::from_slice(&bytes).map_err(|error| wrong(error.to_string()))?;
            if line.version != VERSION {
                return Err(wrong(format!("its version is {}, not {VERSION}", line.version)));
            }
            // Two processes may have asked the same: the first answer stands.
            answers.entry(line.key).or_insert(line.answer);
        }
        Ok(Self { path: path.to_owned(), inside: Mutex::new(Inside { answers, out, problem: None }) })
    }

    fn inside(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The answer to a question.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<LlmRating> {
        self.inside().answers.get(key).cloned()
    }

    /// How many answers it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.inside().answers.len()
    }

    /// Whether it has none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What kept an answer from being written, where something did.
    #[must_use]
    pub fn problem(&self) -> Option<CassetteError> {
        self.inside().problem.clone()
    }

    /// Appends an answer, in one write, and returns the answer that stands: the first one to a question. When writing
    /// fails, the answer is kept for this process, and [`Cassette::problem`] says what happened; nothing more is
    /// written, so that at most the last line is cut.
    pub(super) fn add(&self, key: &str, model: &str, answer: LlmRating) -> LlmRating {
        let mut inside = self.inside();
        if let Some(first) = inside.answers.get(key) {
            return first.clone();
        }
        if inside.out.is_none() {
            return answer;
        }
        inside.answers.insert(key.to_owned(), answer.clone());
        let (key, model) = (key.to_owned(), model.to_owned());
        let line = Line { kind: Kind::LlmAnswer, version: VERSION, key, model, answer: answer.clone() };
        let text = serde_json::to_string(&line).map_err(std::io::Error::from);
        let written = text.and_then(|text| match &mut inside.out {
            Some(out) => out.write_all(format!("{text}\n").as_bytes()),
            None => Ok(()),
        });
        if let Err(error) = written {
            let problem = io_error(&self.path, "written", &error);
            tracing::error!(%problem, "answers are no longer recorded");
            (inside.out, inside.problem) = (None, Some(problem));
        }
        answer
    }
}

fn io_error(path: &Path, what: &'static str, error: &std::io::Error) -> CassetteError {
    CassetteError::Io { path: path.to_owned(), what, problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::{Sentiment, Unit};

    fn answer(sentiment: f64) -> LlmRating {
        LlmRating {
            sentiment: Sentiment::clamped(sentiment),
            frustration: Unit::clamped(0.8),
            urgency: Unit::clamped(0.0),
            sarcasm: true,
            description: Some("Billing unresolved".to_owned()),
        }
    }

    #[test]
    fn what_is_recorded_is_played_and_recorded_only_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        let cassette = Cassette::record(&path).unwrap();
        assert!(cassette.is_empty());
        assert_eq!(cassette.add("a", "m", answer(2.0)), answer(2.0));
        assert_eq!(cassette.add("a", "m", answer(9.0)), answer(2.0), "the first answer stands");
        assert_eq!(cassette.get("a"), Some(answer(2.0)));
        let again = Cassette::record(&path).unwrap();
        again.add("a", "m", answer(9.0));
        again.add("b", "m", answer(5.0));
        assert_eq!(cassette.problem(), None);
        let played = Cassette::play(&path).unwrap();
        assert_eq!((played.len(), played.get("a"), played.get("b")), (2, Some(answer(2.0)), Some(answer(5.0))));
        played.add("c", "m", answer(5.0));
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn a_broken_cassette_is_refused_with_the_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("tape.jsonl");
        Cassette::record(&path).unwrap().add("a", "m", answer(2.0));
        let good = std::fs::read_to_string(&path).unwrap();
        for (second, problem) in [
            ("{\"type\":\"llm_answer\"}\n".to_owned(), "missing field"),
            (good.replace("\"sentiment\":2.0", "\"sentiment\":11"), "must be a number from 1 to 10"),
            (good.replace("\"version\":1", "\"version\":2"), "its version is 2"),
            (good.replace("llm_answer", "rating"), "unknown variant"),
            (good.trim_end().to_owned(), "it is cut off"),
            ("x".repeat(70_000), "it is too long"),
            ("\n".to_owned(), "EOF"),
        ] {
            std::fs::write(&path, format!("{good}{second}")).unwrap();
            for error in [Cassette::play(&path).unwrap_err(), Cassette::record(&path).unwrap_err()] {
                let said = error.to_string();
                assert!(said.contains("tape.jsonl:2: ") && said.contains(problem), "{said}");
            }
        }
        let missing = Cassette::play(&folder.path().join("none")).unwrap_err().to_string();
        assert!(missing.contains("cannot be read"), "{missing}");
        let folder_itself = Cassette::record(folder.path()).unwrap_err().to_string();
        assert!(folder_itself.contains("cannot be written"), "{folder_itself}");
    }
}
