//! Takes out of a recording what tells who somebody is: numbers of phones, cards and accounts, e-mail addresses, and
//! names. A mark such as `[PHONE]` stands in their place. What a number is, `sentiment::spelled` finds.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::LazyLock;

use regex_lite::Regex;
use serde_json::Value;

use super::pieced::Pieced;
use super::{Recording, address, amounts};
use crate::room::message::{Participant, RoomMessage};
use crate::sentiment::spelled::{self, Spelled};

/// What is taken out.
#[derive(Debug, Clone, Default)]
pub struct Redaction {
    names: Vec<Name>,
}

/// A name that is taken out.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Name {
    text: String,
    /// Whether only that spelling is the name, as "will" is a word.
    exact: bool,
}

impl Name {
    /// One that a file or somebody gives as one of several words, or that may be a word as well.
    fn part(text: &str) -> Self {
        Self { text: text.to_owned(), exact: WORDS.contains(&text.to_lowercase().as_str()) }
    }
}

/// The parts of a name of several words.
fn parts(name: &str) -> impl Iterator<Item = &str> {
    let name = name.trim();
    let parts = name.split(|c: char| !c.is_alphanumeric() && !matches!(c, '\'' | '-'));
    // An initial is a letter, and a number is none of a name.
    let is_name = |part: &&str| part.chars().count() > 2 && part.chars().all(|c| !c.is_numeric());
    parts.filter(is_name).filter(move |part| part.len() < name.len())
}

static EMAIL: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z0-9._%+-]+@[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*\.[A-Za-z]{2,}").ok());
/// A word of letters and digits with at least five of them in a row, as accounts, orders and policies have.
static ACCOUNT: LazyLock<Option<Regex>> =
    LazyLock::new(|| Regex::new(r"[A-Za-z]{1,6}[-#]?[0-9]{5,}[A-Za-z0-9]*|[0-9]{5,}[A-Za-z][A-Za-z0-9]*").ok());

/// So many digits that are said as words are a number of something.
const FEWEST_SAID: usize = 4;

/// Names that are words as well.
const WORDS: [&str; 52] = [
    "angel", "april", "art", "august", "bank", "bell", "best", "bill", "black", "brown", "case", "cash", "chase",
    "cook", "dawn", "day", "drew", "faith", "frank", "good", "grace", "grant", "gray", "green", "hope", "jack", "joy",
    "june", "king", "law", "little", "long", "love", "mark", "may", "miles", "page", "pat", "post", "power", "price",
    "rich", "rob", "rose", "sharp", "short", "strong", "sue", "summer", "white", "will", "young",
];

impl Redaction {
    /// Takes out all numbers and addresses, and these names, whole and in parts.
    #[must_use]
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        let mut redaction = Self::default();
        for name in names {
            let parts = parts(&name).map(Name::part);
            redaction.names.extend(parts.chain([Name { text: name.trim().to_owned(), exact: false }]));
        }
        redaction.put_in_order();
        redaction
    }

    /// The same, and the names of people as a file gives them, whole and in parts.
    #[must_use]
    pub fn with_people<'a>(&self, people: impl IntoIterator<Item = &'a str>) -> Self {
        let mut redaction = self.clone();
        for person in people {
            redaction.names.extend(std::iter::once(person.trim()).chain(parts(person)).map(Name::part));
        }
        redaction.put_in_order();
        redaction
    }

    /// "Dana Cole" goes before "Dana".
    fn put_in_order(&mut self) {
        self.names.retain(|name| !name.text.is_empty());
        self.names.sort_by_key(|name| std::cmp::Reverse(name.text.len()));
    }

    /// A text without them.
    #[must_use]
    pub fn text(&self, text: &str) -> String {
        // An address goes as a whole before a name within it does.
        let text = replaced(&address::without_spoken(text, "[EMAIL]"), &EMAIL, "[EMAIL]");
        let text = self.without_names(text);
        let text = replaced(&text, &ACCOUNT, "[ACCOUNT]");
        spelled::replaced(&text, |number| mark_of_number(&text, number))
    }

    /// An id, or a file's name, without them; what a program made of digits and letters stays.
    #[must_use]
    pub fn id(&self, id: &str) -> String {
        let id = self.without_names(replaced(id, &EMAIL, "[EMAIL]"));
        let ends = |at: usize, c: char| {
            let extends = c == '.' && id[at + 1..].starts_with(char::is_alphabetic);
            extends || matches!(c, '/' | '\\' | '#' | '_' | ':')
        };
        let mut parts = String::with_capacity(id.len());
        let mut last = 0;
        for (at, c) in id.char_indices().filter(|(at, c)| ends(*at, *c)) {
            parts.push_str(&without_own_number(&id[last..at]));
            parts.push(c);
            last = at + 1;
        }
        parts.push_str(&without_own_number(&id[last..]));
        parts
    }

    fn without_names(&self, text: String) -> String {
        self.names.iter().fold(text, |text, name| without_name(&text, name))
    }

    /// Takes them out of all that a recording tells of people.
    pub fn recording(&self, recording: &mut Recording) {
        let people: Vec<String> = people(recording).filter_map(|one| one.name.clone()).collect();
        let all = self.with_people(people.iter().map(String::as_str));
        let header = &mut recording.header;
        header.room_name = all.id(&header.room_name);
        header.title = header.title.take().map(|title| all.text(&title));
        let mut ids = Ids { redaction: &all, known: BTreeMap::new() };
        header.participants.iter_mut().flatten().for_each(|one| ids.participant(one));
        let pieced = Pieced::of(&recording.messages, mark_of_number);
        // Settings hold targets and addresses of the team, not of the caller.
        for timed in &mut recording.messages {
            pieced.message(&mut timed.message);
            ids.message(&mut timed.message);
            all.message(&mut timed.message);
        }
        for rating in recording.pinned.values_mut().flatten() {
            rating.description = rating.description.take().map(|text| all.text(&text));
            rating.cues.clear();
        }
    }

    fn message(&self, message: &mut RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => {
                welcome.room_name = self.id(&welcome.room_name);
                welcome.call.from = welcome.call.from.as_ref().map(|_| "[PHONE]".to_owned());
                welcome.call.to = welcome.call.to.as_ref().map(|_| "[PHONE]".to_owned());
                if let Some(sip) = &mut welcome.call.sip {
                    // Addresses of the two ends; no request goes out in a replay.
                    for uri in [&mut sip.local_uri, &mut sip.remote_uri, &mut sip.remote_target] {
                        *uri = uri.as_ref().map(|_| "sip:redacted.invalid".to_owned());
                    }
                }
            }
            RoomMessage::Transcript(piece) => piece.text = self.text(&piece.text),
            RoomMessage::TurnEnded(turn) => turn.text = turn.text.take().map(|text| self.text(&text)),
            RoomMessage::ToolCall { arguments, .. } => self.value(arguments),
            RoomMessage::CommandResult { detail, .. } => *detail = detail.take().map(|text| self.text(&text)),
            RoomMessage::SessionEnded { reason, .. } => *reason = self.text(reason),
            RoomMessage::Error(error) => error.message = self.text(&error.message),
            RoomMessage::ParticipantJoined { .. }
            | RoomMessage::ParticipantLeft { .. }
            | RoomMessage::AgentState { .. }
            | RoomMessage::Ack { .. } => {}
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

/// Everyone whom a recording announces.
fn people(recording: &Recording) -> impl Iterator<Item = &Participant> {
    let told = recording.messages.iter().flat_map(|timed| match &timed.message {
        RoomMessage::Welcome(welcome) => welcome.participants.as_slice(),
        RoomMessage::ParticipantJoined { participant, .. } | RoomMessage::ParticipantLeft { participant, .. } => {
            std::slice::from_ref(participant)
        }
        _ => &[],
    });
    recording.header.participants.iter().flatten().chain(told)
}

/// The ids of people, who stay apart: two phones are two people.
struct Ids<'a> {
    redaction: &'a Redaction,
    known: BTreeMap<String, String>,
}

impl Ids<'_> {
    fn id(&mut self, id: &mut String) {
        if !self.known.contains_key(id) {
            let plain = self.redaction.id(id);
            let mut named = (1..).map(|n| if n == 1 { plain.clone() } else { format!("{plain} {n}") });
            // There is always a next number.
            let free = named.find(|name| !self.known.values().any(|taken| taken == name));
            self.known.insert(id.clone(), free.unwrap_or_default());
        }
        if let Some(known) = self.known.get(id) {
            id.clone_from(known);
        }
    }

    fn participant(&mut self, participant: &mut Participant) {
        self.id(&mut participant.id);
        participant.name = participant.name.take().map(|name| self.redaction.text(&name));
    }

    fn message(&mut self, message: &mut RoomMessage) {
        match message {
            RoomMessage::Welcome(welcome) => welcome.participants.iter_mut().for_each(|one| self.participant(one)),
            RoomMessage::ParticipantJoined { participant, .. } | RoomMessage::ParticipantLeft { participant, .. } => {
                self.participant(participant);
            }
            RoomMessage::Transcript(piece) => self.id(&mut piece.participant_id),
            RoomMessage::TurnEnded(turn) => self.id(&mut turn.participant_id),
            _ => {}
        }
    }
}

fn replaced(text: &str, pattern: &LazyLock<Option<Regex>>, mark: &str) -> String {
    // The patterns are constant, and a test compiles them.
    pattern.as_ref().map_or_else(|| text.to_owned(), |pattern| pattern.replace_all(text, mark).into_owned())
}

/// A part of an id without a number that is somebody's: a letter in it or beside it makes it something else.
fn without_own_number(part: &str) -> String {
    let is_glued = |piece: &Range<usize>| {
        let letter = |c: Option<char>| c.is_some_and(char::is_alphabetic);
        let within = part[piece.clone()].contains(char::is_alphabetic);
        within || letter(part[..piece.start].chars().next_back()) || letter(part[piece.end..].chars().next())
    };
    spelled::replaced(part, |number| {
        let is_own = number.is_written() && !number.pieces.iter().any(is_glued);
        mark_of_number(part, number).filter(|_| is_own && number.digits >= FEWEST_OF_A_PHONE)
    })
}

/// Fewest digits of a phone number.
const FEWEST_OF_A_PHONE: usize = 7;

/// What a number is: a card's check digit fits; a phone's has 7 to 15 digits; four and fewer are a year or a sum, and so
/// are those that look it.
fn mark_of_number(text: &str, number: &Spelled) -> Option<&'static str> {
    match number.digits {
        13..=19 if number.is_written() && is_card(&number.written) => Some("[CARD]"),
        _ if amounts::is_nobodys(text, number) => None,
        _ if !number.is_written() => (number.digits >= FEWEST_SAID).then_some("[NUMBER]"),
        FEWEST_OF_A_PHONE..=15 => Some("[PHONE]"),
        5.. => Some("[ACCOUNT]"),
        _ => None,
    }
}

/// Luhn's check.
fn is_card(digits: &[u32]) -> bool {
    let doubled = |(at, digit): (usize, &u32)| if at % 2 == 1 { (digit * 2) / 10 + (digit * 2) % 10 } else { *digit };
    digits.iter().rev().enumerate().map(doubled).sum::<u32>() % 10 == 0
}

/// A text without a name, as whole words, however it is capitalised unless only its own spelling is the name.
fn without_name(text: &str, name: &Name) -> String {
    let (lower, wanted) = (text.to_lowercase(), name.text.to_lowercase());
    // Where lower case is of another length, places do not match: only what is written the same is found then.
    let any_case = !name.exact && lower.len() == text.len();
    let (hay, needle) = if any_case { (lower.as_str(), wanted.as_str()) } else { (text, name.text.as_str()) };
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::clock::Millis;
    use crate::recording::Timed;

    #[test]
    fn numbers_addresses_and_names_are_taken_out_and_nothing_else() {
        let redaction = Redaction::new(["Dana".to_owned(), "Dana Cole".to_owned()]);
        for (text, redacted) in [
            ("I'm Dana Cole, call dana.", "I'm [NAME], call [NAME]."),
            ("Danas dog", "Danas dog"),
            ("write to a.b+c@mail.example.org!", "write to [EMAIL]!"),
            ("it's dana dot cole at example dot com", "it's [EMAIL]"),
            ("call +1 (555) 010-0199 now", "call [PHONE] now"),
            ("card 4111 1111 1111 1111.", "card [CARD]."),
            ("account 55231, order AX876293", "account [ACCOUNT], order [ACCOUNT]"),
            ("my number is five six, eight seven two.", "my number is [NUMBER]."),
            ("in 2024 I paid 49.90 for 3 of 4", "in 2024 I paid 49.90 for 3 of 4"),
            ("one or two or three", "one or two or three"),
            ("ÄDana İDana Dana", "ÄDana İDana [NAME]"),
            ("card 4111 1111 um 1111 1111", "card [CARD] um [CARD]"),
            ("it was $120.50, or 12.50 pounds, or £1,200,500", "it was $120.50, or 12.50 pounds, or £1,200,500"),
            ("I pay 12000 euros for 120.50 megabits", "I pay 12000 euros for 120.50 megabits"),
            ("twelve thousand four hundred fifty dollars", "twelve thousand four hundred fifty dollars"),
            ("in 2019 2020 2021, or 2019-2021", "in 2019 2020 2021, or 2019-2021"),
            ("$20 4155550142 or 415.555.0142 or 555 01.42", "$[PHONE] or [PHONE] or [PHONE]"),
            ("my pin is four one five five dollars", "my pin is [NUMBER] dollars"),
            ("pay account 12345678 and 4155550142 euros", "pay account [ACCOUNT] and [ACCOUNT] euros"),
        ] {
            assert_eq!(redaction.text(text), redacted, "{text}");
        }
    }

    #[test]
    fn the_names_of_a_files_people_go_whole_and_in_parts_and_words_do_not() {
        let redaction = Redaction::default().with_people(["Grace O'Neil", "Bo Li-Wang"]);
        for (text, redacted) in [
            ("Hi Grace, by the grace of God", "Hi [NAME], by the grace of God"),
            ("mrs o'neil or GRACE O'NEIL", "mrs [NAME] or [NAME]"),
            ("Bo said no, Li-Wang", "Bo said no, [NAME]"),
        ] {
            assert_eq!(redaction.text(text), redacted, "{text}");
        }
    }

    #[test]
    fn a_name_of_several_words_goes_in_parts_as_well() {
        let redaction = Redaction::new(["Sam Hill".to_owned(), "Bo Young".to_owned()]);
        for (text, redacted) in [
            ("thank you sam, SAM HILL", "thank you [NAME], [NAME]"),
            ("the same, uphill", "the same, uphill"),
            ("Bo is young, Young", "Bo is young, [NAME]"),
        ] {
            assert_eq!(redaction.text(text), redacted, "{text}");
        }
    }

    #[test]
    fn a_number_that_is_read_out_over_several_turns_goes_as_a_whole() {
        let redacted = |turns: &[(&str, &str)]| {
            let turns = turns.iter().enumerate().map(|(at, (who, text))| {
                let turn = serde_json::json!({"type": "turn.ended", "turn_id": format!("t{at}"), "participant_id": who,
                    "text": text});
                Timed { at: Millis(at as u64), message: RoomMessage::from_value(turn).unwrap().unwrap() }
            });
            let mut recording = Recording { messages: turns.collect(), ..Recording::default() };
            Redaction::default().recording(&mut recording);
            let text = |timed: &Timed| match &timed.message {
                RoomMessage::TurnEnded(turn) => turn.text.clone().unwrap(),
                _ => String::new(),
            };
            recording.messages.iter().map(text).collect::<Vec<_>>()
        };
        let read_out = [
            ("c", "My number is four one five."),
            ("a", "uh huh"),
            ("c", "Five five five."),
            ("a", "five five five, okay"),
            ("c", "oh one four two"),
            ("a", "Thank you, I have that now and will call you back."),
        ];
        let after = [
            "My number is [NUMBER].",
            "uh huh",
            "[NUMBER].",
            "five five five, okay",
            "[NUMBER]",
            "Thank you, I have that now and will call you back.",
        ];
        assert_eq!(redacted(&read_out), after);
        assert_eq!(redacted(&[("c", "415"), ("a", "yes"), ("c", "555"), ("a", "yes"), ("c", "0142")])[2], "[PHONE]");
        for plain in [
            [("c", "since 2019"), ("a", "okay"), ("c", "two of them are broken"), ("a", "okay")],
            [("c", "four one"), ("a", "which is what the last one of you said to me"), ("c", "five five"), ("a", "ok")],
        ] {
            assert_eq!(redacted(&plain), plain.map(|(_, text)| text));
        }
    }

    #[test]
    fn ids_lose_phones_and_names_and_stay_ids() {
        let redaction = Redaction::new(["Dana".to_owned()]);
        for (id, redacted) in [
            ("calls/+1 555 010-0199.vtt", "calls/[PHONE].vtt"),
            ("/data/v2/+15550100199.mp3#7", "/data/v2/[PHONE].mp3#7"),
            ("dana-2026-03.json", "[NAME]-2026-03.json"),
            ("645bb6b6-3c36-4653-a337-3e74d5a284ce", "645bb6b6-3c36-4653-a337-3e74d5a284ce"),
            ("CA1234567890123456", "CA1234567890123456"),
            ("call-70012", "call-70012"),
        ] {
            assert_eq!(redaction.id(id), redacted, "{id}");
        }
    }

    #[test]
    fn people_whose_ids_are_their_numbers_stay_apart() {
        let turn = |id: &str, n: u64| {
            let turn = serde_json::json!({"type": "turn.ended", "turn_id": format!("t{n}"), "participant_id": id, "text": "hi"});
            Timed { at: Millis(n), message: RoomMessage::from_value(turn).unwrap().unwrap() }
        };
        let messages = vec![turn("+15550100199", 0), turn("+15550100200", 1), turn("+15550100199", 2)];
        let mut recording = Recording { messages, ..Recording::default() };
        Redaction::default().recording(&mut recording);
        let who = |timed: &Timed| match &timed.message {
            RoomMessage::TurnEnded(turn) => turn.participant_id.clone(),
            _ => String::new(),
        };
        let ids: Vec<String> = recording.messages.iter().map(who).collect();
        assert_eq!(ids, ["[PHONE]", "[PHONE] 2", "[PHONE]"]);
    }
}
