//! Plain text with speaker labels, as people and programs write it: `Agent: …`, `[00:00:02] AGENT (Dana): …`,
//! `[SPEAKER_00]: …`, `Speaker 1 (00:03):` and `Dana Cole  0:49` with the words below, `**User:** …`.
//!
//! A name is short, begins a line, and recurs or is a role: "Sure: go ahead" is speech.

use std::collections::BTreeMap;

use super::call::{Call, Fault};
use super::caller::agent_score;
use super::roles::{party, party_of_label};
use super::times::{clock, moment};

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
    let Some((head, rest)) = colon(line).filter(|(head, _)| head.chars().count() <= MAX_HEAD) else {
        return dashed(line).map(|label| Label { at: before, ..label });
    };
    let head = head.trim_end_matches('*').trim_end();
    let rest = rest.trim_start_matches('*').trim_start();
    // `Speaker 1 (00:03)`, `Dana [00:03]`, `Dana 00:03`.
    let (name, after) = match trailing_stamp(head) {
        Some((name, at)) => (name, Some(at)),
        None => (head, None),
    };
    let at = before.or(after);
    if !is_name(name) {
        return dashed(line).map(|label| Label { at: before, ..label });
    }
    Some(Label { name, rest, at, sure: at.is_some() && is_sure(name) })
}

/// Longest that a name and its stamp are, in characters.
const MAX_HEAD: usize = 80;

/// `Agent - text`, `Caller > text`: a role set apart by something else than a colon.
fn dashed(line: &str) -> Option<Label<'_>> {
    let apart = [" - ", " – ", " — ", " > ", " | ", "\t"].iter().filter_map(|sign| line.split_once(sign));
    let (name, rest) = apart.min_by_key(|(name, _)| name.len())?;
    let is_role = party(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ')).is_some();
    (is_role && !rest.trim().is_empty()).then(|| Label { name: name.trim(), rest: rest.trim(), at: None, sure: true })
}

/// A line that is nothing but a role, a numbered speaker or, where a stamp stands above it, a name; the words are below.
fn alone(line: &str, stamped: bool) -> Option<Label<'_>> {
    let name = line.trim().trim_matches('*').trim();
    let is_speaker = party(name).is_some() || is_numbered(name) || (stamped && is_name(name) && is_proper(name));
    is_speaker.then_some(Label { name, rest: "", at: None, sure: true })
}

/// Where the lines of a text stand alone that are speakers: only where two of them recur or take turns.
fn has_lines_alone(lines: &[&str]) -> bool {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut blank = true;
    for line in lines {
        if let Some(label) = alone(line, false).filter(|_| blank) {
            *names.entry(label.name).or_default() += 1;
        }
        blank = line.trim().is_empty() || is_stamp(line);
    }
    names.len() >= 2
}

/// Whether a line is a stamp and nothing else.
fn is_stamp(line: &str) -> bool {
    stamp(line.trim()).is_some_and(|(_, rest)| rest.is_empty())
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
        '(' => ')',
        _ => return None,
    };
    let (name, rest) = line.get(1..)?.split_once(close)?;
    let colon = rest.trim_start().strip_prefix(':').filter(|_| close != ')');
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
    match close {
        Some(close) => {
            let (inner, rest) = line.get(1..)?.split_once(close)?;
            Some((time(inner.trim())?.0, rest.trim_start_matches(':').trim_start()))
        }
        None => time(line).map(|(at, rest)| (at, rest.trim_start_matches(':').trim_start())),
    }
}

/// The time that a text begins with, and the rest: a clock, in twelve hours too, with or without a date before it.
fn time(text: &str) -> Option<(i64, &str)> {
    let token = |text: &'_ str| -> (usize, usize) {
        let begin = text.len() - text.trim_start().len();
        (begin, text[begin..].find(char::is_whitespace).map_or(text.len(), |at| begin + at))
    };
    let (begin, end) = token(text);
    let (first, rest) = (text.get(begin..end)?, text.get(end..)?);
    if let Some(at) = moment(first.trim_end_matches([',', ':'])) {
        return Some((at, rest.trim_start()));
    }
    let date = first.trim_end_matches(',');
    if is_date(date) {
        let (at, after) = time_of_day(rest.trim_start())?;
        // Dates whose order nobody knows only part a stamp from its day.
        return Some((moment(&format!("{date} 00:00")).unwrap_or(0) + at, after));
    }
    time_of_day(&text[begin..])
}

/// Three numbers with signs between them.
fn is_date(text: &str) -> bool {
    let parts: Vec<&str> = text.split(['-', '/', '.']).collect();
    parts.len() == 3
        && parts.iter().all(|part| (1..=4).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
}

/// A clock, in ms since its zero, with `AM` or `PM` if it has one.
fn time_of_day(text: &str) -> Option<(i64, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit() && !matches!(c, ':' | '.' | ',')).unwrap_or(text.len());
    let (first, rest) = text.split_at(end);
    let at = clock(first.trim_end_matches([':', ',', '.']))?;
    let rest = rest.trim_start();
    let half = rest.get(..2).filter(|half| half.eq_ignore_ascii_case("am") || half.eq_ignore_ascii_case("pm"));
    let ends = |rest: &str| rest.chars().next().is_none_or(|c| !c.is_alphanumeric());
    match half.filter(|_| ends(&rest[2..]) && at < 13 * HOUR_MS) {
        Some(half) => {
            let noon = if half.eq_ignore_ascii_case("pm") { 12 * HOUR_MS } else { 0 };
            Some((at % (12 * HOUR_MS) + noon, rest[2..].trim_start()))
        }
        None => Some((at, rest)),
    }
}

const HOUR_MS: i64 = 3_600_000;

/// The stamp that ends a heading, and the name before it.
fn trailing_stamp(head: &str) -> Option<(&str, i64)> {
    let head = head.trim_end();
    let (name, stamp) = match head.chars().last()? {
        ')' => head.strip_suffix(')')?.rsplit_once('(')?,
        ']' => head.strip_suffix(']')?.rsplit_once('[')?,
        'M' | 'm' => {
            let at = head.trim_end_matches(|c: char| c.is_ascii_alphabetic() || c == ' ').rfind(char::is_whitespace)?;
            head.split_at(at)
        }
        _ => head.rsplit_once(char::is_whitespace)?,
    };
    let (at, rest) = time(stamp.trim())?;
    rest.is_empty().then(|| (name.trim_end_matches(['-', '–', '|', ' ', '\t', ',']), at))
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
    let lines: Vec<&str> = text.lines().map(str::trim).take(800).collect();
    let filled = lines.iter().filter(|line| !line.is_empty()).count();
    let labels = || lines.iter().filter_map(|line| label(line).or_else(|| heading(line)));
    let names = Names::among(labels());
    let spoken = labels().filter(|label| names.has(label.name)).count();
    let sure = names.0.values().filter(|sure| **sure).count();
    // Letters and logs have lines with colons too.
    spoken > 0 && (sure > 0 || (names.0.len() <= 8 && spoken >= 2 && spoken * 6 >= filled)) || has_lines_alone(&lines)
}

pub(super) fn read(text: &str) -> Result<Vec<Call>, Fault> {
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
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

/// How many lines stand before what was said, in a paragraph of facts such as `Call ID: 4711` and `Agent: Dana Cole`.
fn preamble(lines: &[&str]) -> usize {
    let first = lines.iter().position(|line| !line.trim().is_empty()).unwrap_or(0);
    let end = lines[first..].iter().position(|line| line.trim().is_empty()).map_or(lines.len(), |at| first + at);
    let is_fact =
        |line: &&str| colon(line).is_some_and(|(key, _)| HEADINGS.contains(&key.trim().to_lowercase().as_str()));
    let facts =
        lines[first..end].iter().all(|line| label(line).is_some_and(|label| label.at.is_none()) || is_fact(line));
    let spoken = lines[end..].iter().any(|line| label(line).or_else(|| heading(line)).is_some());
    if facts && spoken && lines[first..end].iter().any(is_fact) { end } else { 0 }
}

/// The call of some lines; without pieces where nobody speaks in them.
fn one(lines: &[&str]) -> Call {
    let (facts, lines) = lines.split_at(preamble(lines));
    let is_alone = has_lines_alone(lines);
    let mut reading = Reading {
        names: Names::among(lines.iter().filter_map(|line| label(line).or_else(|| heading(line)))),
        is_alone,
        ..Reading::default()
    };
    lines.iter().for_each(|line| reading.line(line));
    reading.end();
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

/// A text on its way.
#[derive(Debug, Default)]
struct Reading {
    names: Names,
    /// Whether names stand on lines of their own.
    is_alone: bool,
    call: Call,
    current: Option<(usize, String, Option<i64>)>,
    /// When, where a stamp stood on a line of its own.
    stamped: Option<i64>,
    follows: bool,
    latest: i64,
}

impl Reading {
    fn line(&mut self, line: &str) {
        let begins = !std::mem::replace(&mut self.follows, !line.trim().is_empty());
        if let Some((at, _)) = stamp(line.trim()).filter(|(_, rest)| rest.is_empty()) {
            (self.stamped, self.follows) = (Some(at), false);
            return;
        }
        let known = label(line).filter(|label| self.names.has(label.name));
        let known = known.or_else(|| heading(line).filter(|_| begins));
        let alone = |stamped: bool| alone(line, stamped).filter(|_| begins && (self.is_alone || stamped));
        if let Some(Label { name, rest, at, .. }) = known.or_else(|| alone(self.stamped.is_some())) {
            let speaker = self.call.speaker(name.trim(), None);
            let at = at.or(self.stamped.take()).map(|at| self.after_midnight(at));
            self.end();
            self.current = Some((speaker, rest.trim().to_owned(), at));
        } else if let Some((_, text, _)) = self.current.as_mut().filter(|_| !is_footer(line)) {
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

    /// A clock that went back by half a day has passed midnight.
    fn after_midnight(&mut self, at: i64) -> i64 {
        let at =
            if at < DAY_MS && self.latest - at > DAY_MS / 2 && self.latest < 2 * DAY_MS { at + DAY_MS } else { at };
        self.latest = self.latest.max(at);
        at
    }

    fn end(&mut self) {
        if let Some((speaker, text, at)) = self.current.take() {
            self.call.say(Some(speaker), &text, at, None);
        }
    }
}

const DAY_MS: i64 = 24 * HOUR_MS;

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
