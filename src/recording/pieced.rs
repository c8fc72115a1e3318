//! Numbers that are read out in pieces, over several turns: "it's four one five", "uh huh", "five five five".
//!
//! What one speaker says is one text as far as numbers go, while others say no more than a few words in between or read the
//! number back.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::Range;

use super::Timed;
use crate::room::message::RoomMessage;
use crate::sentiment::spelled::{self, Spelled};

/// So many words of somebody else, besides numbers, interrupt no number.
const FEW: usize = 5;

/// What a number is to be replaced with, by the text that it stands in.
type Mark = fn(&str, &Spelled) -> Option<&'static str>;

/// Whether it is a segment or a turn, whose, and its id.
type Key = (bool, String, String);

/// The parts of such numbers, by what they are said in.
pub(super) struct Pieced(BTreeMap<Key, Part>);

/// What is said in the end under one id, and what of that goes.
struct Part {
    text: String,
    marks: Vec<(Range<usize>, &'static str)>,
}

impl Pieced {
    /// Finds them in what a room says.
    pub(super) fn of(messages: &[Timed], mark: Mark) -> Self {
        let mut pieced = Self(BTreeMap::new());
        // A turn says its segments again: each has its own order.
        for segments in [true, false] {
            let said = said(messages, segments);
            let mut open: BTreeMap<&str, Vec<&Said>> = BTreeMap::new();
            for one in &said {
                if !is_brief(&one.text) {
                    let own = open.remove_entry(one.key.1.as_str());
                    std::mem::take(&mut open).into_values().for_each(|chain| pieced.add(&chain, mark));
                    open.extend(own);
                }
                open.entry(one.key.1.as_str()).or_default().push(one);
            }
            open.into_values().for_each(|chain| pieced.add(&chain, mark));
        }
        pieced
    }

    /// Takes in the numbers that lie in several of these, which one speaker says one after the other.
    fn add(&mut self, chain: &[&Said], mark: Mark) {
        let mut text = String::new();
        let mut places: Vec<Range<usize>> = Vec::new();
        for said in chain {
            let start = text.len();
            text.push_str(&said.text);
            places.push(start..text.len());
            text.push(' ');
        }
        for number in spelled::numbers(&text) {
            let (Some(first), Some(last)) = (number.pieces.first(), number.pieces.last()) else { continue };
            let from = places.partition_point(|place| place.end <= first.start);
            let to = places.partition_point(|place| place.start < last.end);
            let Some(within) = chain.get(from..to).filter(|within| within.len() > 1) else { continue };
            // "… since 2019", "two of them": no turn is a number's alone.
            if !within.iter().any(|said| said.is_number) {
                continue;
            }
            let Some(mark) = mark(&text, &number) else { continue };
            for (said, place) in within.iter().zip(&places[from..to]) {
                let part = self.0.entry(said.key.clone()).or_insert_with(|| Part::new(said.text.clone()));
                part.marks.extend(number.pieces.iter().filter_map(|piece| Some((shared(&text, piece, place)?, mark))));
            }
        }
    }

    /// Puts marks in the place of their parts in a message.
    pub(super) fn message(&self, message: &mut RoomMessage) {
        let Some((key, text)) = told(message) else { return };
        let Some(part) = self.0.get(&key) else { return };
        let text = match part.text == text {
            true => part.marked(),
            // An earlier wording of it.
            false => spelled::replaced(&text, |_| Some("[NUMBER]")),
        };
        match message {
            RoomMessage::Transcript(piece) => piece.text = text,
            RoomMessage::TurnEnded(turn) => turn.text = Some(text),
            _ => {}
        }
    }
}

impl Part {
    fn new(text: String) -> Self {
        Self { text, marks: Vec::new() }
    }

    fn marked(&self) -> String {
        let (mut out, mut last) = (String::with_capacity(self.text.len()), 0);
        // Numbers come in their order, and none shares a part with another.
        for (place, mark) in &self.marks {
            let Some(before) = self.text.get(last..place.start) else { continue };
            out.push_str(before);
            out.push_str(mark);
            last = place.end;
        }
        out.push_str(&self.text[last..]);
        out
    }
}

/// What somebody says under one id.
struct Said {
    key: Key,
    text: String,
    /// Whether it is little else than a number.
    is_number: bool,
}

/// The last wordings of all segments, or of all turns, where each was said first; a segment that is final, where it first was that.
fn said(messages: &[Timed], segments: bool) -> Vec<Said> {
    let mut said: Vec<Said> = Vec::new();
    let mut known: HashMap<Key, usize> = HashMap::new();
    let finals = messages.iter().map(|timed| &timed.message).filter(|message| !message.is_interim());
    let finals: HashSet<Key> = finals.filter_map(told).map(|(key, _)| key).collect();
    let counts =
        |message: &RoomMessage, key: &Key| key.0 == segments && !(message.is_interim() && finals.contains(key));
    let counted = |timed: &Timed| told(&timed.message).filter(|(key, _)| counts(&timed.message, key));
    for (key, text) in messages.iter().filter_map(counted) {
        let at = *known.entry(key.clone()).or_insert(said.len());
        let one = Said { is_number: is_number(&text), key, text };
        match said.get_mut(at) {
            Some(before) => *before = one,
            None => said.push(one),
        }
    }
    said
}

fn told(message: &RoomMessage) -> Option<(Key, String)> {
    match message {
        RoomMessage::Transcript(piece) => {
            Some(((true, piece.participant_id.clone(), piece.segment_id.clone()), piece.text.clone()))
        }
        RoomMessage::TurnEnded(turn) => {
            Some(((false, turn.participant_id.clone(), turn.turn_id.clone()), turn.text.clone()?))
        }
        _ => None,
    }
}

fn is_brief(text: &str) -> bool {
    others(text) <= FEW
}

/// Whether a turn is a number and nothing else, but for a word before one that is spelled out: "uh five five five".
fn is_number(text: &str) -> bool {
    let numbers = spelled::numbers(text);
    let most = usize::from(numbers.iter().any(|number| !number.is_written()));
    !numbers.is_empty() && others(text) <= most
}

/// How many words of a text are none of a number.
fn others(text: &str) -> usize {
    let rest = spelled::replaced(text, |_| Some(""));
    rest.split_whitespace().filter(|word| word.contains(char::is_alphanumeric)).count()
}

/// What a piece of a number and a place share, from the place's beginning on, without the signs around it.
fn shared(text: &str, piece: &Range<usize>, place: &Range<usize>) -> Option<Range<usize>> {
    let (start, end) = (piece.start.max(place.start), piece.end.min(place.end));
    let within = text.get(start..end)?;
    let first = within.find(|c: char| c.is_alphanumeric() || matches!(c, '+' | '(' | '#'))?;
    let last = within.rfind(char::is_alphanumeric)?;
    let last = last + within[last..].chars().next()?.len_utf8();
    (first < last).then(|| start + first - place.start..start + last - place.start)
}
