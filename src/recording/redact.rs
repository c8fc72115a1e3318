//! Takes out of a recording what tells who somebody is: numbers of phones, cards and accounts, e-mail addresses, and
//! the names that one gives. A mark such as `[PHONE]` stands in their place.

use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

use super::Recording;
use crate::room::message::{Participant, RoomMessage};

/// What is taken out.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    names: Vec<String>,
}

static EMAIL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}").ok());
/// Digits, in groups that blanks, dots, hyphens and brackets hold together.
static DIGITS: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"[+(]{0,2}[0-9](?:[ ().-]{0,2}[0-9])+").ok());
/// A word of letters and digits with at least five of them in a row, as accounts, orders and policies have.
static ACCOUNT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z]{1,6}[-#]?[0-9]{5,}[A-Za-z0-9]*|[0-9]{5,}[A-Za-z][A-Za-z0-9]*").ok());

/// Digits as they are said.
const SAID: [&str; 13] =
    ["zero", "oh", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "double", "triple"];
/// So many said digits in a row are a number of something.
const SAID_IN_A_ROW: usize = 4;

impl Redaction {
    /// Takes out all numbers and addresses, and these names.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut names: Vec<String> =
            names.into_iter().map(|name| name.trim().to_owned()).filter(|name| !name.is_empty()).collect();
        // "Dana Cole" goes before "Dana".
        names.sort_by_key(|name| std::cmp::Reverse(name.len()));
        Self { names }
    }

    /// A text without them.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        // An address goes as a whole before a name within it does.
        let text = replaced(text, &EMAIL, |_| Some("[EMAIL]"));
        let text = self.names.iter().fold(text, |text, name| without_name(&text, name));
        let text = replaced(&text, &ACCOUNT, |_| Some("[ACCOUNT]"));
        let text = replaced(&text, &DIGITS, mark_of_number);
        without_said_digits(&text)
    }

    /// Takes them out of all that a recording tells of people.
    pub fn recording(&self, recording: &mut Recording) {
        let header = &mut recording.header;
        header.room_name = self.text(&header.room_name);
        header.title = header.title.take().map(|title| self.text(&title));
        header.participants.iter_mut().flatten().for_each(|one| self.participant(one));
        // Settings hold targets and addresses of the team, not of the caller.
        for timed in &mut recording.messages {
            self.message(&mut timed.message);
        }
        for rating in recording.pinned.values_mut().flatten() {
            rating.description = rating.description.take().map(|text| self.text(&text));
            rating.cues.clear();
        }
    }

    fn participant(&self, participant: &mut Participant) {
        participant.name = participant.name.take().map(|name| self.text(&name));
    }

    fn message(&self, message: &mut RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => {
                welcome.room_name = self.text(&welcome.room_name);
                welcome.participants.iter_mut().for_each(|one| self.participant(one));
                welcome.call.from = welcome.call.from.as_ref().map(|_| "[PHONE]".to_owned());
                welcome.call.to = welcome.call.to.as_ref().map(|_| "[PHONE]".to_owned());
                if let Some(sip) = &mut welcome.call.sip {
                    // Addresses of the two ends; no request goes out in a replay.
                    for uri in [&mut sip.local_uri, &mut sip.remote_uri, &mut sip.remote_target] {
                        *uri = uri.as_ref().map(|_| "sip:redacted.invalid".to_owned());
                    }
                }
            }
            RoomMessage::ParticipantJoined { participant, .. } | RoomMessage::ParticipantLeft { participant, .. } => {
                self.participant(participant);
            }
            RoomMessage::Transcript(piece) => piece.text = self.text(&piece.text),
            RoomMessage::TurnEnded(turn) => turn.text = turn.text.take().map(|text| self.text(&text)),
            RoomMessage::ToolCall { arguments, .. } => self.value(arguments),
            RoomMessage::CommandResult { detail, .. } => *detail = detail.take().map(|text| self.text(&text)),
            RoomMessage::SessionEnded { reason, .. } => *reason = self.text(reason),
            RoomMessage::Error(error) => error.message = self.text(&error.message),
            RoomMessage::AgentState { .. } | RoomMessage::Ack { .. } => {}
        }
    }

    /// A tool's arguments.
    fn value(&self, value: &mut Value) {
        match value {
            Value::String(text) => *text = self.text(text),
            Value::Array(list) => list.iter_mut().for_each(|value| self.value(value)),
            Value::Object(object) => object.values_mut().for_each(|value| self.value(value)),
            Value::Number(number) => {
                let text = number.to_string();
                if self.text(&text) != text {
                    *value = Value::String(self.text(&text));
                }
            }
            Value::Null | Value::Bool(_) => {}
        }
    }
}

fn replaced(text: &str, pattern: &LazyLock<Option<Regex>>, mark: impl Fn(&str) -> Option<&'static str>) -> String {
    // The patterns are constant, and a test compiles them.
    let Some(pattern) = pattern.as_ref() else { return text.to_owned() };
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for found in pattern.find_iter(text) {
        if let Some(mark) = mark(found.as_str()) {
            out.push_str(&text[last..found.start()]);
            out.push_str(mark);
            last = found.end();
        }
    }
    out.push_str(&text[last..]);
    out
}

/// What a row of digits is: a card's check digit fits; a phone's has 7 to 15; four and fewer are a year or a sum.
fn mark_of_number(text: &str) -> Option<&'static str> {
    let digits: Vec<u32> = text.chars().filter_map(|c| c.to_digit(10)).collect();
    match digits.len() {
        13..=19 if is_card(&digits) => Some("[CARD]"),
        7..=15 => Some("[PHONE]"),
        5.. => Some("[ACCOUNT]"),
        _ => None,
    }
}

/// Luhn's check.
fn is_card(digits: &[u32]) -> bool {
    let doubled = |(at, digit): (usize, &u32)| if at % 2 == 1 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// A text without a name, as whole words, however it is capitalised.
fn without_name(text: &str, name: &str) -> String {
    let (lower, wanted) = (text.to_lowercase(), name.to_lowercase());
    // Where lower case is of another length, places do not match: only what is written the same is found then.
    let (hay, needle) = if lower.len() == text.len() { (lower.as_str(), wanted.as_str()) } else { (text, name) };
    let is_word = |c: char| c.is_alphanumeric();
    let whole = |at: &usize| {
        let before = hay[..*at].chars().next_back().is_some_and(is_word);
        let after = hay[at + needle.len()..].chars().next().is_some_and(is_word);
        !before && !after
    };
    let mut out = String::with_capacity(text.len());
    let mut last = 0;
    for at in hay.match_indices(needle).map(|(at, _)| at).filter(whole) {
        if let Some(kept) = text.get(last..at) {
            out.push_str(kept);
            out.push_str("[NAME]");
            last = at + needle.len();
        }
    }
    out.push_str(text.get(last..).unwrap_or_default());
    out
}

/// "five six eight seven two" is a number of something as well.
fn without_said_digits(text: &str) -> String {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut run: Option<(Range<usize>, usize)> = None;
    let mut at = 0;
    for word in text.split_inclusive(char::is_whitespace) {
        let bare = word.trim_matches(|c: char| !c.is_alphanumeric());
        let start = at + word.find(bare).unwrap_or(0);
        let is_digit = SAID.contains(&bare.to_lowercase().as_str())
            || (bare.len() == 1 && bare.chars().all(|c| c.is_ascii_digit()));
        run = match (run.take(), is_digit) {
            (Some((range, count)), true) => Some((range.start..start + bare.len(), count + 1)),
            (None, true) => Some((start..start + bare.len(), 1)),
            (Some((range, count)), false) => {
                runs.extend((count >= SAID_IN_A_ROW).then_some(range));
                None
            }
            (None, false) => None,
        };
        at += word.len();
    }
    runs.extend(run.filter(|(_, count)| *count >= SAID_IN_A_ROW).map(|(range, _)| range));
    let mut out = text.to_owned();
    for range in runs.into_iter().rev() {
        out.replace_range(range, "[NUMBER]");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_addresses_and_names_are_taken_out_and_nothing_else() {
        let redaction = Redaction::new(["Dana".to_owned(), "Dana Cole".to_owned()]);
        for (text, redacted) in [
            ("I'm Dana Cole, call dana.", "I'm [NAME], call [NAME]."),
            ("Danas dog", "Danas dog"),
            ("write to a.b+c@mail.example.org!", "write to [EMAIL]!"),
            ("call +1 (555) 010-0199 now", "call [PHONE] now"),
            ("card 4111 1111 1111 1111.", "card [CARD]."),
            ("account 55231, order AX876293", "account [ACCOUNT], order [ACCOUNT]"),
            ("my number is five six, eight seven two.", "my number is [NUMBER]."),
            ("in 2024 I paid 49.90 for 3 of 4", "in 2024 I paid 49.90 for 3 of 4"),
            ("one or two or three", "one or two or three"),
            ("ÄDana İDana Dana", "ÄDana İDana [NAME]"),
        ] {
            assert_eq!(redaction.text(text), redacted, "{text}");
        }
    }
}
