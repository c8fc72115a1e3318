//! A journal again: what a live call's core took in, fed to this core, must come to the same journal, byte for byte.
//!
//! A journal holds the processes of a call one after the other, each with its own time and its own core. A process that
//! was killed may have left its last answers unwritten, which is no difference.

use std::collections::VecDeque;
use std::io::{self, BufRead};
use std::sync::Arc;

use serde::Serialize;
use serde_json::Value;

use crate::call::event::{Entry, Input, Output};
use crate::call::{Call, CallOptions};
use crate::clock::Millis;
use crate::config::settings::Settings;
use crate::room::message::RoomMessage;

use super::shorten;

/// Why a journal cannot be read. It quotes nothing of it, as that is what the caller said.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {problem}", if *line > 0 { format!(", line {line}") } else { String::new() })]
pub struct JournalError {
    /// The file.
    pub file: String,
    /// The line, from 1; 0 for the file as a whole.
    pub line: u64,
    /// What is wrong there.
    pub problem: JournalProblem,
}

/// What is wrong with a journal.
#[derive(Debug, thiserror::Error)]
pub enum JournalProblem {
    /// The file itself.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// A line that no journal holds.
    #[error("it is no line of a journal at column {0}; give a file that attach --journal or replay --journal wrote")]
    NotAnEntry(usize),
    /// There is nothing in it.
    #[error("it is empty; give a file that attach --journal or replay --journal wrote")]
    Empty,
}

/// What came of a journal.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Again {
    /// How many processes of the call wrote it.
    pub processes: u64,
    /// How much they took in.
    pub inputs: u64,
    /// How much of what they put out was compared.
    pub outputs: u64,
    /// The last line, where the journal breaks off within it; it is left out.
    pub cut: Option<u64>,
    /// The first difference.
    pub difference: Option<Difference>,
}

/// Where this core answers otherwise.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// The line of the journal, from 1.
    pub line: u64,
    /// What stands there; none where this core has more to say.
    pub was: Option<String>,
    /// What this core says; none where it has no more to say.
    pub now: Option<String>,
}

/// Where two lines part.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct At {
    /// The first field that differs, as a path; none where one side says nothing, or something of another kind.
    pub field: Option<String>,
    /// What stands there.
    pub was: String,
    /// What this core says there.
    pub now: String,
}

impl Difference {
    /// The first field that differs, and what both say there.
    #[must_use]
    pub fn first(&self) -> At {
        let value = |line: &Option<String>| line.as_deref().and_then(|line| serde_json::from_str::<Value>(line).ok());
        match (value(&self.was), value(&self.now)) {
            (Some(was), Some(now)) => apart(&was, &now),
            (was, now) => {
                let told =
                    |value: Option<Value>| value.map_or_else(|| "nothing more".to_owned(), |value| value.to_string());
                At { field: None, was: told(was), now: told(now) }
            }
        }
    }
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let At { field, was, now } = self.first();
        write!(f, "the core answers otherwise at line {}", self.line)?;
        if let Some(field) = field {
            write!(f, ", first at {field}")?;
        }
        write!(f, ": was {}, now {}", shorten(&was, 200), shorten(&now, 200))
    }
}

/// What says of which kind an object is: where that differs, no other field says anything.
const KINDS: [&str; 4] = ["input", "output", "type", "name"];

/// Where two values part that are not the same.
fn apart(was: &Value, now: &Value) -> At {
    let (mut was, mut now, mut path) = (was, now, String::new());
    loop {
        let next = match (was, now) {
            (Value::Object(a), Value::Object(b)) => {
                let first = KINDS.iter().copied().chain(a.keys().chain(b.keys()).map(String::as_str));
                let mut differing = first.filter(|key| a.get(*key) != b.get(*key));
                differing.next().map(|key| (format!(".{key}"), a.get(key), b.get(key)))
            }
            (Value::Array(a), Value::Array(b)) => {
                let differing = (0..a.len().max(b.len())).find(|at| a.get(*at) != b.get(*at));
                differing.map(|at| (format!("[{at}]"), a.get(at), b.get(at)))
            }
            _ => None,
        };
        let told = |value: Option<&Value>| value.map_or_else(|| "nothing".to_owned(), Value::to_string);
        let Some((step, a, b)) = next else {
            return At {
                field: Some(path.trim_start_matches('.').to_owned()),
                was: told(Some(was)),
                now: told(Some(now)),
            };
        };
        path.push_str(&step);
        match (a, b) {
            (Some(a), Some(b)) => (was, now) = (a, b),
            _ => return At { field: Some(path.trim_start_matches('.').to_owned()), was: told(a), now: told(b) },
        }
    }
}

/// A line with what it says.
struct Line {
    number: u64,
    text: String,
    entry: Entry,
}

/// Feeds a journal to the core again, under the settings that the call had; `file` names it in errors.
///
/// # Errors
/// [`JournalError`] when it is no journal.
pub fn again(input: impl BufRead, file: &str, settings: &Arc<Settings>) -> Result<Again, JournalError> {
    let fail = |line, problem| JournalError { file: file.to_owned(), line, problem };
    let (lines, cut) = read(input, file)?;
    if lines.is_empty() {
        return Err(fail(0, JournalProblem::Empty));
    }
    let mut again = Again { cut, ..Again::default() };
    for process in processes(&lines) {
        again.processes += 1;
        again.difference = Process::new(process, settings).run(&mut again);
        if again.difference.is_some() {
            break;
        }
    }
    Ok(again)
}

/// All whole lines; a last one that a process which died left without its end is left out, and its number told.
fn read(mut input: impl BufRead, file: &str) -> Result<(Vec<Line>, Option<u64>), JournalError> {
    let (mut lines, mut number) = (Vec::new(), 0);
    loop {
        let mut text = String::new();
        number += 1;
        let fail = |problem| JournalError { file: file.to_owned(), line: number, problem };
        if input.read_line(&mut text).map_err(|error| fail(error.into()))? == 0 {
            return Ok((lines, None));
        }
        let whole = text.ends_with('\n');
        text.truncate(text.trim_end_matches(['\r', '\n']).len());
        match serde_json::from_str(&text) {
            Ok(entry) => lines.push(Line { number, text, entry }),
            Err(_) if !whole && !lines.is_empty() => return Ok((lines, Some(number))),
            Err(error) => return Err(fail(JournalProblem::NotAnEntry(error.column()))),
        }
    }
}

/// The journal's parts, a process each: where one ends, or where time begins anew.
fn processes(lines: &[Line]) -> impl Iterator<Item = &[Line]> {
    lines.chunk_by(|before, after| match (&before.entry, &after.entry) {
        (Entry::Out { event: Output::Ended { .. }, .. }, Entry::In { .. }) => false,
        (before, Entry::In { at_ms, .. }) => at(before) <= *at_ms,
        _ => true,
    })
}

fn at(entry: &Entry) -> Millis {
    match entry {
        Entry::In { at_ms, .. } | Entry::Out { at_ms, .. } => *at_ms,
    }
}

/// One process of the call, over again.
struct Process<'a> {
    lines: &'a [Line],
    call: Call,
    /// What this core said to the last input, as lines that are still to be compared.
    said: VecDeque<String>,
}

impl<'a> Process<'a> {
    fn new(lines: &'a [Line], settings: &Arc<Settings>) -> Self {
        let welcomed = |line: &Line| match &line.entry {
            Entry::In { event: Input::Room { message: RoomMessage::Welcome(welcome) }, .. } => {
                Some(welcome.room_name.clone())
            }
            _ => None,
        };
        let room_name = lines.iter().find_map(welcomed);
        // Whoever is let in tells the room something at once, unless nothing is to be touched.
        let told = lines.iter().any(|line| matches!(line.entry, Entry::Out { event: Output::Room { .. }, .. }));
        let options = CallOptions { shadow: room_name.is_some() && !told, room_name: room_name.unwrap_or_default() };
        Self { lines, call: Call::new(Arc::clone(settings), options), said: VecDeque::new() }
    }

    /// The first difference.
    fn run(mut self, tally: &mut Again) -> Option<Difference> {
        // A replay asks the core before it has heard anything; a live call does not.
        if let Some(Line { entry: Entry::Out { at_ms, .. }, .. }) = self.lines.first() {
            self.listen(*at_ms);
        }
        for Line { number, text, entry } in self.lines {
            match entry {
                Entry::In { at_ms, event } => {
                    if let Some(now) = self.said.pop_front() {
                        return Some(Difference { line: *number, was: None, now: Some(now) });
                    }
                    tally.inputs += 1;
                    self.call.handle(*at_ms, event.clone());
                    self.listen(*at_ms);
                }
                Entry::Out { .. } => {
                    tally.outputs += 1;
                    let now = self.said.pop_front();
                    if now.as_deref() != Some(text) {
                        return Some(Difference { line: *number, was: Some(text.clone()), now });
                    }
                }
            }
        }
        None
    }

    fn listen(&mut self, at_ms: Millis) {
        loop {
            let event = self.call.poll();
            let last = matches!(event, Output::Wait { .. } | Output::Ended { .. });
            let entry: Entry = Entry::Out { at_ms, event };
            // What the journal's writer writes; it fails for no output.
            self.said.push_back(serde_json::to_string(&entry).unwrap_or_default());
            if last {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::import::from_turns;
    use crate::replay::engine;
    use crate::room::message::Role;
    use crate::sentiment::embedded;

    fn journal(settings: &Settings) -> String {
        let angry = ["This is ridiculous, you people are useless!", "Nobody at your company cares, you liars!"];
        let call = from_turns("room", angry.map(|text| (Role::Caller, text.to_owned())));
        let mut lines = String::new();
        let mut write = |entry: Entry| lines.push_str(&(serde_json::to_string(&entry).unwrap() + "\n"));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(engine::replay(&call, settings, &embedded(), Some(&mut write)));
        lines
    }

    fn settings(window: u32) -> Arc<Settings> {
        Arc::new(Settings { enabled: true, window, ..Settings::default() })
    }

    #[test]
    fn the_same_settings_come_to_the_same_journal_and_others_do_not() {
        let text = journal(&settings(2));
        let same = again(text.as_bytes(), "j", &settings(2)).unwrap();
        assert_eq!((same.processes, same.difference), (1, None));
        assert_eq!(same.inputs + same.outputs, text.lines().count() as u64);
        let other = again(text.as_bytes(), "j", &settings(3)).unwrap().difference.unwrap();
        let line = text.lines().nth(usize::try_from(other.line).unwrap() - 1);
        assert_eq!(other.was.as_deref(), line);
        assert_ne!(other.now, other.was);
    }

    #[test]
    fn a_byte_more_or_less_is_a_difference() {
        let text = journal(&settings(2));
        let changed = text.replacen("useless!\",\"sentiment\"", "useless?\",\"sentiment\"", 1);
        assert_ne!(changed, text, "the report of the turn");
        assert!(again(changed.as_bytes(), "j", &settings(2)).unwrap().difference.is_some());
        let turns = text.lines().filter(|line| !line.contains(r#""output":"room""#));
        let silent = turns.map(|line| format!("{line}\n")).collect::<String>();
        // Without a word to the room it is a shadow, which says the rest alike.
        let shadow = again(silent.as_bytes(), "j", &settings(2)).unwrap();
        assert_eq!(shadow.difference.map(|d| d.was.unwrap().contains(r#""shadow":false"#)), Some(true));
    }

    #[test]
    fn processes_follow_one_another_and_the_last_words_of_one_may_be_missing() {
        let text = journal(&settings(2));
        let cut = text.len() / 2;
        let whole = text[..cut].rsplit_once('\n').unwrap().0;
        let two = format!("{whole}\n{text}");
        let both = again(two.as_bytes(), "j", &settings(2)).unwrap();
        assert_eq!((both.processes, both.difference), (2, None));
        let torn = again(&text.as_bytes()[..cut], "j", &settings(2)).unwrap();
        assert_eq!((torn.difference, torn.cut), (None, Some(whole.lines().count() as u64 + 1)), "it is said");
        assert_eq!(again(format!("{whole}\n").as_bytes(), "j", &settings(2)).unwrap().cut, None);
    }

    #[test]
    fn the_first_field_that_differs_is_named() {
        let first = |was: Option<&str>, now: Option<&str>| {
            let owned = |line: Option<&str>| line.map(str::to_owned);
            let At { field, was, now } = Difference { line: 7, was: owned(was), now: owned(now) }.first();
            (field.unwrap_or_default(), was, now)
        };
        let told = |field: &str, was: &str, now: &str| (field.to_owned(), was.to_owned(), now.to_owned());
        let report = r#"{"out":{"at_ms":6,"event":{"output":"report","report":{"cues":[1,2],"low":true}}}}"#;
        let other = report.replace("true", "false");
        assert_eq!(first(Some(report), Some(&other)), told("out.event.report.low", "true", "false"));
        let other = report.replace("[1,2]", "[1]");
        assert_eq!(first(Some(report), Some(&other)), told("out.event.report.cues[1]", "2", "nothing"));
        let wait = r#"{"out":{"at_ms":6,"event":{"output":"wait"}}}"#;
        assert_eq!(first(Some(report), Some(wait)), told("out.event.output", r#""report""#, r#""wait""#));
        assert_eq!(first(Some(wait), None), told("", wait, "nothing more"));
    }

    #[test]
    fn what_is_no_journal_is_told_by_its_line() {
        let said = |text: &str| again(text.as_bytes(), "j", &settings(3)).unwrap_err().to_string();
        assert!(said("").contains("j: it is empty"));
        assert!(said("{\"type\":\"recording\"}\n").contains("j, line 1: it is no line of a journal at column"));
    }
}
