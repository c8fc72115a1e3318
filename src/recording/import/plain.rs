//! Plain text with speaker labels, as people and programs write it: `Agent: …`, `[00:00:02] AGENT (Dana): …`,
//! `[SPEAKER_00]: …`, `Speaker 1 (00:03):` and `Dana Cole  0:49` with the words below, `**User:** …`.
//!
//! A name is short, begins a line, and recurs or is a role: "Sure: go ahead" is speech.

use std::collections::BTreeMap;

use super::call::{Call, Fault};
use super::caller::agent_score;
use super::roles::{party, party_of_label};
use super::times::clock;

/// Longest name, in characters and in words.
const MAX_NAME: (usize, usize) = (40, 5);

/// Lines that come before a transcript and look as if somebody spoke.
const HEADINGS: [&str; 28] = [
    "call",
    "call id",
    "case",
    "case id",
    "conversation",
    "conversation id",
    "date",
    "duration",
    "end",
    "end time",
    "file",
    "filename",
    "from",
    "id",
    "language",
    "length",
    "participants",
    "queue",
    "recorded",
    "recording",
    "session",
    "start",
    "start time",
    "subject",
    "time",
    "title",
    "to",
    "transcript",
];

/// Words that begin speech and are followed by a colon now and then.
const OPENERS: [&str; 24] = [
    "actually", "and", "anyway", "but", "correct", "exactly", "first", "hello", "hi", "listen", "look", "no", "note",
    "ok", "okay", "please", "question", "second", "so", "sorry", "sure", "well", "yeah", "yes",
];

/// How a line begins when it begins with a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    /// What stands after it.
    pub(super) rest: &'a str,
    /// When, in ms, where a stamp says so.
    pub(super) at: Option<i64>,
    /// Whether a stamp or brackets make it sure that it is a name.
    pub(super) sure: bool,
}

/// The speaker that a line may begin with.
pub(super) fn label(line: &str) -> Option<Label<'_>> {
    let line = line.trim();
    let (before, line) = match stamp(line) {
        Some((at, rest)) => (Some(at), rest.trim_start_matches(['-', '–', '—', '|', '>']).trim_start()),
        None => (None, line),
    };
    let line = line.strip_prefix("- ").unwrap_or(line).trim_start_matches("**").trim_start();
    if let Some(label) = bracketed(line) {
        return Some(Label { at: before.or(label.at), ..label });
    }
    let (head, rest) = colon(line)?;
    let head = head.trim_end_matches('*').trim_end();
    let rest = rest.trim_start_matches('*').trim_start();
    // `Speaker 1 (00:03)`, `Dana [00:03]`, `Dana 00:03`.
    let (name, after) = match trailing_stamp(head) {
        Some((name, at)) => (name, Some(at)),
        None => (head, None),
    };
    let at = before.or(after);
    is_name(name).then(|| Label { name, rest, at, sure: at.is_some() && is_sure(name) })
}

/// Whether a name beside a stamp is one: "be there at 4:30" is speech.
fn is_sure(name: &str) -> bool {
    is_proper(name) || party_of_label(name).is_some() || is_numbered(name)
}

/// The colon that ends a name: not one within a stamp, nor one that an address has.
fn colon(line: &str) -> Option<(&str, &str)> {
    let in_stamp = |at: usize| {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        digit(line.as_bytes().get(at + 1)) && digit(at.checked_sub(1).and_then(|at| line.as_bytes().get(at)))
    };
    let at = line.match_indices([':', '：']).map(|(at, colon)| (at, colon.len())).find(|(at, _)| !in_stamp(*at));
    let (at, len) = at?;
    let (name, rest) = (line.get(..at)?, line.get(at + len..)?);
    (!rest.starts_with("//")).then_some((name, rest))
}

/// `[SPEAKER_00]: text`, `[Dana] text`, `<Dana> text`.
fn bracketed(line: &str) -> Option<Label<'_>> {
    let close = match line.chars().next()? {
        '[' => ']',
        '<' => '>',
        _ => return None,
    };
    let (name, rest) = line.get(1..)?.split_once(close)?;
    let colon = rest.trim_start().strip_prefix(':');
    // A mark such as [silence] stands in brackets as well.
    let is_speaker = party_of_label(name).is_some() || is_numbered(name) || colon.is_some();
    (is_name(name) && is_speaker).then(|| Label {
        name: name.trim(),
        rest: colon.unwrap_or(rest).trim(),
        at: None,
        sure: true,
    })
}

/// `SPEAKER_00`, `spk_1`, `Speaker 2`, `ch_0`.
fn is_numbered(name: &str) -> bool {
    let letters = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | ' ' | '-'));
    letters.len() < name.trim().len()
        && matches!(letters.to_lowercase().as_str(), "speaker" | "spk" | "channel" | "ch" | "s" | "participant")
}

/// The stamp that a line begins with, and the rest: `[00:00:02]`, `(00:02)`, `00:00:02.5`, `[00:01 - 00:04]`.
fn stamp(line: &str) -> Option<(i64, &str)> {
    let close = match line.chars().next()? {
        '[' => Some(']'),
        '(' => Some(')'),
        '{' => Some('}'),
        _ => None,
    };
    let (inner, rest) = match close {
        Some(close) => line.get(1..)?.split_once(close)?,
        None => match line.split_once(char::is_whitespace) {
            Some((first, rest)) => (first, rest),
            None => (line, ""),
        },
    };
    let first = inner.split([' ', '-', '–', '>']).find(|part| !part.is_empty())?;
    Some((clock(first.trim_end_matches(':'))?, rest.trim_start_matches(':').trim_start()))
}

/// The stamp that ends a heading, and the name before it.
fn trailing_stamp(head: &str) -> Option<(&str, i64)> {
    let head = head.trim_end();
    let (name, stamp) = match head.chars().last()? {
        ')' => head.strip_suffix(')')?.rsplit_once('(')?,
        ']' => head.strip_suffix(']')?.rsplit_once('[')?,
        _ => head.rsplit_once(char::is_whitespace)?,
    };
    Some((name.trim_end_matches(['-', '–', '|', ' ', '\t', ',']), clock(stamp.trim())?))
}

fn is_name(name: &str) -> bool {
    let name = name.trim();
    let first = name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '+');
    let (characters, words) = (name.chars().count(), name.split_whitespace().count());
    first && characters <= MAX_NAME.0 && words <= MAX_NAME.1 && !name.contains(['.', '?', '!', ',', ';', '"', '“', ':'])
        || (party(name).is_some() && !name.is_empty())
        || is_abbreviated(name) && characters <= MAX_NAME.0 && words <= MAX_NAME.1
}

/// `Dr. Cole`, `Dana C.`, `Cole, Dana`.
fn is_abbreviated(name: &str) -> bool {
    let plain =
        |word: &str| word.chars().next().is_some_and(char::is_uppercase) && !word.contains(['?', '!', ';', '"', ':']);
    let ends = |word: &&str| word.ends_with(['.', ',']);
    let words: Vec<&str> = name.split_whitespace().collect();
    (2..=3).contains(&words.len())
        && words.iter().all(|word| plain(word))
        && words.iter().any(|word| ends(word) && word.len() <= 3 || word.ends_with(','))
}

/// A heading with a stamp, its words below: `Dana Cole  0:49`, `Speaker 1 (00:03)`, `00:00:05 Dana Cole`.
fn heading(line: &str) -> Option<Label<'_>> {
    let line = line.trim();
    let (name, at) = match trailing_stamp(line) {
        Some(found) => found,
        None => stamp(line).map(|(at, name)| (name, at))?,
    };
    (is_name(name) && is_sure(name)).then_some(Label { name: name.trim(), rest: "", at: Some(at), sure: true })
}

/// Which of a text's labels are names.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, bool>);

impl Names {
    /// The names among labels: those that a stamp or a role makes sure of, those that recur, and those that look like
    /// nothing else.
    pub(super) fn among<'a>(labels: impl Iterator<Item = Label<'a>>) -> Self {
        let mut counts: BTreeMap<String, (usize, bool, &str)> = BTreeMap::new();
        for label in labels {
            let entry = counts.entry(label.name.trim().to_lowercase()).or_insert((0, false, label.name));
            entry.0 += 1;
            entry.1 |= label.sure || party_of_label(label.name).is_some() || is_numbered(label.name);
        }
        let names = counts.into_iter().filter(|(lower, (count, sure, shown))| {
            *sure
                || (!OPENERS.contains(&lower.as_str())
                    && !HEADINGS.contains(&lower.as_str())
                    && (*count > 1 || is_proper(shown)))
        });
        Self(names.map(|(lower, (_, sure, _))| (lower, sure)).collect())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.trim().to_lowercase())
    }
}

/// Whether each word of a name begins with a capital, a digit or a plus.
fn is_proper(name: &str) -> bool {
    let begins = |word: &str| {
        word.trim_start_matches(['(', '*'])
            .chars()
            .next()
            .is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || c == '+')
    };
    let mut words = name.split_whitespace();
    let opener = words.clone().next().is_some_and(|word| OPENERS.contains(&word.to_lowercase().as_str()));
    // "It's 4: …" begins with a capital as well.
    let contracted =
        |word: &str| ["'s", "'m", "'re", "'ll", "'ve", "'d", "’s", "’m"].iter().any(|end| word.ends_with(end));
    !opener && !name.trim().is_empty() && words.all(|word| begins(word) && !contracted(word))
}

pub(super) fn looks(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).take(400).collect();
    let labels = || lines.iter().filter_map(|line| label(line).or_else(|| heading(line)));
    let names = Names::among(labels());
    let spoken = labels().filter(|label| names.has(label.name)).count();
    let sure = names.0.values().filter(|sure| **sure).count();
    // Letters and logs have lines with colons too.
    spoken > 0 && (sure > 0 || (names.0.len() <= 8 && spoken >= 2 && spoken * 6 >= lines.len()))
}

pub(super) fn read(text: &str) -> Result<Vec<Call>, Fault> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let names = Names::among(lines.iter().filter_map(|line| label(line).or_else(|| heading(line))));
    let mut call = Call::default();
    let mut current: Option<(usize, String, Option<i64>)> = None;
    let mut blank_before = true;
    for line in lines {
        let known =
            label(line).filter(|label| names.has(label.name)).or_else(|| heading(line).filter(|_| blank_before));
        if let Some(Label { name, rest, at, .. }) = known {
            let speaker = call.speaker(name.trim(), None);
            if let Some((speaker, text, at)) = current.replace((speaker, rest.trim().to_owned(), at)) {
                call.say(Some(speaker), &text, at, None);
            }
        } else if let Some((_, text, _)) = current.as_mut().filter(|_| !line.trim().is_empty() && !is_footer(line)) {
            // A stamp in brackets before a wrapped line says no words.
            let stamped = stamp(line.trim()).filter(|_| line.trim().starts_with(['[', '(', '{']));
            let said = stamped.map_or(line.trim(), |(_, rest)| rest);
            if !text.is_empty() && !said.is_empty() {
                text.push(' ');
            }
            text.push_str(said);
        }
        blank_before = line.trim().is_empty();
    }
    if let Some((speaker, text, at)) = current {
        call.say(Some(speaker), &text, at, None);
    }
    if call.pieces.is_empty() {
        return Ok(vec![unlabelled(text)]);
    }
    Ok(vec![call])
}

/// What a program says of itself below a transcript.
fn is_footer(line: &str) -> bool {
    let lower = line.trim().to_lowercase();
    lower.starts_with("transcribed by http")
        || lower.starts_with("transcribed by otter")
        || lower.starts_with("generated by http")
}

/// A text without speakers. Paragraphs apart by blank lines are turns, in alternation; a single one is one voice.
pub(super) fn unlabelled(text: &str) -> Call {
    let mut call = Call::default();
    let paragraphs: Vec<String> = text
        .replace("\r\n", "\n")
        .split("\n\n")
        .map(|part| part.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|part| !part.is_empty())
        .collect();
    let heard = paragraphs.iter().any(|part| agent_score(part) > 2);
    if paragraphs.len() < 2 || !heard {
        for part in paragraphs {
            call.say(None, &part, None, None);
        }
        return call;
    }
    for (at, part) in paragraphs.iter().enumerate() {
        let speaker = call.speaker(["A", "B"][at % 2], None);
        call.say(Some(speaker), part, None, None);
    }
    call.warnings
        .push("it names no speakers; its paragraphs are taken for the turns of two, \"A\" and \"B\"".to_owned());
    call
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<(&str, &str, Option<i64>)> {
        label(line).or_else(|| heading(line)).map(|label| (label.name, label.rest, label.at))
    }

    #[test]
    fn labels_are_found_however_they_are_written() {
        assert_eq!(told("[00:00:02] AGENT (Dana): Good day."), Some(("AGENT (Dana)", "Good day.", Some(2000))));
        assert_eq!(told("[SPEAKER_01]: Thank you."), Some(("SPEAKER_01", "Thank you.", None)));
        assert_eq!(told("Speaker 1 (00:03):"), Some(("Speaker 1", "", Some(3000))));
        assert_eq!(told("Dana Cole  0:49  "), Some(("Dana Cole", "", Some(49_000))));
        assert_eq!(told("**User:** Hi."), Some(("User", "Hi.", None)));
        assert_eq!(told("00:05 - Dana: Hi."), Some(("Dana", "Hi.", Some(5000))));
        assert_eq!(told("Wireless Caller (5***1): Hi."), Some(("Wireless Caller (5***1)", "Hi.", None)));
        assert_eq!(told("see https://example.com"), None);
        assert_eq!(told("[silence]"), None);
        assert_eq!(told("I told him, and this is it: no."), None);
    }

    #[test]
    fn speech_with_a_colon_is_no_name() {
        let names =
            Names::among(["Dana Cole: Hi.", "Sure: go ahead.", "Tom: a", "Tom: b"].into_iter().filter_map(label));
        assert!(names.has("Dana Cole") && names.has("tom") && !names.has("Sure"));
    }
}
