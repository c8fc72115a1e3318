//! Plain text with speaker labels, as people and programs write it: `Agent: …`, `[00:00:02] AGENT (Dana): …`,
//! `[SPEAKER_00]: …`, `Speaker 1 (00:03):` and `Dana Cole  0:49` with the words below, `**User:** …`.

use std::collections::{BTreeMap, BTreeSet};

use super::call::{Call, Fault};
use super::caller::agent_score;
use super::labels::{HEADINGS, Label, Names, alone, colon, has_lines_alone, heading, label};
use super::notices::{is_footer, is_notice, is_sentence};
use super::roles::party_of_label;
use super::stamps::stamp;
use super::times::DAY_MS;

pub(super) fn looks(text: &str) -> bool {
    let lines: Vec<&str> = text.lines().map(visible).map(str::trim).take(800).collect();
    let filled = lines.iter().filter(|line| !line.is_empty()).count();
    let labels = || lines.iter().filter_map(|line| label(line).or_else(|| heading(line)));
    let names = Names::among(labels());
    let spoken = labels().filter(|label| names.has(label.name)).count();
    let (count, sure) = names.count();
    // Letters and logs have lines with colons too.
    spoken > 0 && (sure > 0 || (count <= 8 && spoken >= 2 && spoken * 6 >= filled)) || has_lines_alone(&lines)
}

pub(super) fn read(text: &str) -> Result<Vec<Call>, Fault> {
    let lines: Vec<&str> = text.lines().map(visible).map(str::trim_end).collect();
    let titles: Vec<(usize, &str)> = titles(&lines).collect();
    let begins = titles.iter().map(|(at, _)| *at);
    let ends = begins.clone().skip(1).chain([lines.len()]);
    let mut calls: Vec<Call> = Vec::new();
    if titles.len() > 1 {
        for ((begin, end), (_, id)) in begins.zip(ends).zip(&titles) {
            let call = one(lines.get(begin + 1..end).unwrap_or_default());
            calls.extend(Some(Call { id: Some((*id).to_owned()), ..call }).filter(|call| !call.pieces.is_empty()));
        }
    }
    if calls.len() > 1 {
        return Ok(calls);
    }
    let call = one(&lines);
    Ok(vec![if call.pieces.is_empty() { unlabelled(text) } else { call }])
}

/// A line without the marks that nobody sees and that tell which way it is written, as chats have them.
fn visible(line: &str) -> &str {
    line.trim_start_matches(['\u{200e}', '\u{200f}', '\u{202a}', '\u{202c}', '\u{2068}', '\u{2069}', '\u{feff}'])
}

/// Lines that begin a call of several, with its id: `Call 2`, `## Conversation 17`, `Call ID: 4711`.
fn titles<'a>(lines: &[&'a str]) -> impl Iterator<Item = (usize, &'a str)> {
    let kinds = [
        "call",
        "case",
        "chat",
        "contact",
        "conversation",
        "dialog",
        "dialogue",
        "interaction",
        "session",
        "transcript",
    ];
    let mut blank = true;
    lines.iter().enumerate().filter_map(move |(at, line)| {
        let begins = std::mem::replace(&mut blank, !line.contains(char::is_alphanumeric));
        let line = line.trim_matches(|c: char| !c.is_alphanumeric());
        let (kind, rest) = line.split_once(|c: char| !c.is_alphanumeric())?;
        let rest = rest.trim_matches(|c: char| !c.is_alphanumeric());
        let id = match rest.split_once(|c: char| !c.is_alphanumeric()) {
            Some((word, id)) if ["id", "no", "nr", "number"].contains(&word.to_lowercase().as_str()) => id,
            _ => rest,
        };
        let id = id.trim_matches(|c: char| !c.is_alphanumeric());
        let is_id = !id.contains(char::is_whitespace) && id.contains(|c: char| c.is_ascii_digit());
        (begins && kinds.contains(&kind.to_lowercase().as_str()) && is_id).then_some((at, id))
    })
}

/// Whether a line tells something of the call, such as `Call ID: 4711`.
fn is_fact(line: &str) -> bool {
    colon(line).is_some_and(|(key, _)| HEADINGS.contains(&key.trim().to_lowercase().as_str()))
}

/// How many lines stand before what was said, in a paragraph of facts such as `Call ID: 4711` and `Agent: Dana Cole`.
fn preamble(lines: &[&str]) -> usize {
    let first = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let end = lines[first..].iter().position(|line| line.trim().is_empty()).map_or(lines.len(), |at| first + at);
    let facts =
        lines[first..end].iter().all(|line| label(line).is_some_and(|label| label.at.is_none()) || is_fact(line));
    let spoken = lines[end..].iter().any(|line| label(line).or_else(|| heading(line)).is_some());
    if facts && spoken && lines[first..end].iter().any(|line| is_fact(line)) { end } else { 0 }
}

/// The call of some lines; without pieces where nobody speaks in them.
fn one(lines: &[&str]) -> Call {
    let (facts, lines) = lines.split_at(preamble(lines));
    let is_alone = has_lines_alone(lines);
    let mut reading = Reading {
        names: Names::among(lines.iter().filter_map(|line| label(line).or_else(|| heading(line)))),
        is_alone,
        headed: headed(lines),
        ..Reading::default()
    };
    lines.iter().for_each(|line| reading.line(line));
    reading.end();
    if reading.dropped > 0 && !reading.call.pieces.is_empty() {
        let (lines, are) = if reading.dropped == 1 { ("line", "is") } else { ("lines", "are") };
        let problem = format!("{} {lines} before the first speaker {are} left out", reading.dropped);
        reading.call.warnings.push(problem);
    }
    // "Agent: Dana Cole" among the facts says what she is whose name stands before her words.
    for Label { name, rest, .. } in facts.iter().filter_map(|line| label(line)) {
        for speaker in &mut reading.call.speakers {
            if speaker.shown().eq_ignore_ascii_case(rest.trim()) {
                speaker.party = speaker.party.or_else(|| party_of_label(name));
            }
        }
    }
    reading.call
}

/// The names of headings that need no blank line above them: all names where none has one and some recur, else those
/// that recur.
fn headed<'a>(lines: &[&'a str]) -> BTreeSet<&'a str> {
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let (mut apart, mut blank) = (0, true);
    for line in lines {
        if let Some(heading) = heading(line) {
            *times.entry(heading.name).or_default() += 1;
            apart += usize::from(blank);
        }
        blank = line.trim().is_empty();
    }
    let recurs = |times: &usize| *times > 1;
    // The first line has nothing above it.
    if apart > 1 || !times.values().any(recurs) {
        times.retain(|_, times| recurs(times));
    }
    times.into_keys().collect()
}

/// A text on its way.
#[derive(Debug, Default)]
struct Reading<'a> {
    names: Names,
    /// Whether names stand on lines of their own.
    is_alone: bool,
    /// The names of headings that no blank line need set apart.
    headed: BTreeSet<&'a str>,
    call: Call,
    current: Option<(usize, String, Option<i64>)>,
    /// When, where a stamp stood on a line of its own.
    stamped: Option<i64>,
    follows: bool,
    /// When the last heading says that it was.
    latest: i64,
    /// How many lines of words stand before the first speaker.
    dropped: usize,
}

impl Reading<'_> {
    fn line(&mut self, line: &str) {
        let begins = !std::mem::replace(&mut self.follows, !line.trim().is_empty());
        if let Some((at, _)) = stamp(line.trim()).filter(|(_, rest)| rest.is_empty()) {
            (self.stamped, self.follows) = (Some(at), false);
            return;
        }
        let known = label(line).filter(|label| self.names.has(label.name));
        // Where blanks set a stamp apart from a name, no empty line need do it.
        let is_apart = line.contains("  ") || line.contains('\t');
        // A time in what somebody says is seldom a later one; a clock may begin again at midnight.
        let is_later = |at: i64| at >= self.latest || self.latest - at > DAY_MS / 2;
        let is_headed = |label: &Label<'_>| self.headed.contains(label.name) && label.at.is_some_and(is_later);
        let known = known.or_else(|| heading(line).filter(|label| begins || is_apart || is_headed(label)));
        let alone = |stamped: bool| alone(line, stamped).filter(|_| begins && (self.is_alone || stamped));
        if let Some(Label { name, rest, at, .. }) = known.or_else(|| alone(self.stamped.is_some())) {
            let speaker = self.call.speaker(name.trim(), None);
            let at = at.or(self.stamped.take());
            self.latest = at.unwrap_or(self.latest);
            self.end();
            self.current = Some((speaker, rest.trim().to_owned(), at));
        } else if is_footer(line) || is_notice(line) {
            // Nobody said it.
        } else if self.current.is_none() {
            self.dropped += usize::from(is_sentence(line) && !is_fact(line));
        } else if let Some((_, text, _)) = self.current.as_mut() {
            // A stamp in brackets before a wrapped line says no words.
            let stamped = stamp(line.trim()).filter(|_| line.trim().starts_with(['[', '(', '{']));
            let said = stamped.map_or(line.trim(), |(_, rest)| rest);
            if said.contains(char::is_alphanumeric) {
                if !text.is_empty() {
                    text.push(' ');
                }
                text.push_str(said);
            }
        }
    }

    fn end(&mut self) {
        if let Some((speaker, text, at)) = self.current.take() {
            self.call.say(Some(speaker), &text, at, None);
        }
    }
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
