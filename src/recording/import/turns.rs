//! Pieces into turns: without their marks, in order of time, joined while nobody else takes over.

use super::call::{Party, Piece};
use super::marks::without_marks;

/// Words that say no more than that somebody listens.
const BACKCHANNELS: [&str; 28] = [
    "ah", "aha", "alright", "hm", "hmm", "huh", "i", "see", "it", "got", "mhm", "mm", "mmhm", "mmhmm", "mmm", "oh",
    "ok", "okay", "right", "sure", "uh", "uhhuh", "uhuh", "um", "yeah", "yep", "yes", "yup",
];

/// Longest backchannel, in words.
const BACKCHANNEL_WORDS: usize = 3;

/// A pause that ends an utterance where a file names no speakers, in ms.
const PAUSE_MS: i64 = 1200;

/// A silence after which whoever speaks again takes a turn of their own, though nobody spoke meanwhile, in ms. Long enough to
/// part no utterance in which somebody thinks or looks something up.
const SILENCE_MS: i64 = 10_000;

/// All that one party says until another takes over.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Turn {
    pub(super) party: Party,
    pub(super) text: String,
    pub(super) start: Option<i64>,
    pub(super) end: Option<i64>,
    pub(super) gold: Option<f64>,
}

impl Turn {
    fn of(party: Party, piece: Piece) -> Self {
        Self { party, text: piece.text, start: piece.start, end: piece.end, gold: piece.gold }
    }

    fn take(&mut self, piece: Piece) {
        if !self.text.is_empty() && !piece.text.is_empty() {
            self.text.push(' ');
        }
        self.text.push_str(&piece.text);
        self.start = self.start.or(piece.start);
        self.end = self.end.max(piece.end).max(piece.start);
    }
}

/// Pieces as they stand, each a turn: for files that know turns.
pub(super) fn as_they_stand(pieces: Vec<Piece>, parties: &[Party]) -> Vec<Turn> {
    let turn = |piece: Piece| Turn::of(party_of(&piece, parties), piece);
    pieces.into_iter().map(turn).filter(|turn| turn.party != Party::Nobody).collect()
}

fn party_of(piece: &Piece, parties: &[Party]) -> Party {
    piece.speaker.and_then(|at| parties.get(at)).copied().unwrap_or(Party::Caller)
}

/// Turns out of pieces. Speakers must have been given to all pieces, unless the file names none at all.
pub(super) fn joined(pieces: Vec<Piece>, parties: &[Party]) -> Vec<Turn> {
    let nameless = pieces.iter().all(|piece| piece.speaker.is_none());
    let mut turns: Vec<Turn> = Vec::new();
    // The turn that goes on, unless somebody takes over.
    let mut open: Option<usize> = None;
    // Who was only heard to listen since the open turn last went on.
    let mut listener: Option<usize> = None;
    for piece in ordered(cleaned(pieces, parties)) {
        let party = party_of(&piece, parties);
        let same = |at: &usize| turns.get(*at).is_some_and(|turn| turn.party == party);
        let goes_on = |at: &usize| {
            let turn = &turns[*at];
            if nameless { continues(turn, &piece) } else { !paused(turn, &piece, SILENCE_MS) }
        };
        if let Some(at) = open.filter(same).filter(goes_on) {
            turns[at].take(piece);
            listener = None;
            continue;
        }
        let backchannel = open.is_some_and(|at| turns[at].party != party && is_backchannel(&turns[at], &piece));
        let at = match listener.filter(same) {
            Some(at) => {
                turns[at].take(piece);
                at
            }
            None => {
                turns.push(Turn::of(party, piece));
                turns.len() - 1
            }
        };
        if backchannel {
            listener = Some(at);
        } else {
            (open, listener) = (Some(at), None);
        }
    }
    turns.retain(|turn| !turn.text.is_empty());
    turns
}

/// Words only. What was redacted whole stays as an empty piece, for somebody spoke there.
fn cleaned(mut pieces: Vec<Piece>, parties: &[Party]) -> Vec<Piece> {
    pieces.retain_mut(|piece| {
        let spoken = without_marks(&piece.text);
        piece.text = spoken.text;
        party_of(piece, parties) != Party::Nobody && (!piece.text.is_empty() || spoken.redacted)
    });
    pieces
}

/// Where pieces stand in order of their start; the file's order for ties, and for those that have none.
pub(super) fn order(pieces: &[Piece]) -> Vec<usize> {
    let mut latest = i64::MIN;
    let places: Vec<i64> = pieces
        .iter()
        .map(|piece| {
            latest = piece.start.unwrap_or(latest);
            latest
        })
        .collect();
    let mut order: Vec<usize> = (0..pieces.len()).collect();
    order.sort_by_key(|at| places[*at]);
    order
}

fn ordered(mut pieces: Vec<Piece>) -> impl Iterator<Item = Piece> {
    let order = order(&pieces).into_iter();
    order.map(move |at| pieces.get_mut(at).map(std::mem::take).unwrap_or_default())
}

/// Whether a piece says no more than that its speaker listens, while another speaks.
fn is_backchannel(turn: &Turn, piece: &Piece) -> bool {
    let within = matches!((piece.start, turn.end), (Some(start), Some(end)) if start < end);
    let words =
        || piece.text.split_whitespace().map(|word| word.chars().filter(|c| c.is_alphanumeric()).collect::<String>());
    within
        && words().count() <= BACKCHANNEL_WORDS
        && words().all(|word| word.is_empty() || BACKCHANNELS.contains(&word.to_lowercase().as_str()))
}

/// Whether words without a speaker go on with what was said before: neither a sentence nor a pause lies between.
fn continues(turn: &Turn, piece: &Piece) -> bool {
    let ended =
        turn.text.trim_end_matches(['"', '\'', '”', '’', ')']).ends_with(['.', '?', '!', '…', '。', '？', '！']);
    !ended && !paused(turn, piece, PAUSE_MS)
}

/// Whether nobody was heard for so long between the two, in ms.
fn paused(turn: &Turn, piece: &Piece, ms: i64) -> bool {
    matches!((turn.end, piece.start), (Some(end), Some(start)) if start.saturating_sub(end) >= ms)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(speaker: usize, text: &str, start: i64, end: i64) -> Piece {
        Piece { speaker: Some(speaker), text: text.to_owned(), start: Some(start), end: Some(end), gold: None }
    }

    fn told(pieces: Vec<Piece>) -> Vec<String> {
        let turns = joined(pieces, &[Party::Caller, Party::Agent, Party::Nobody]);
        turns.into_iter().map(|turn| format!("{:?}: {}", turn.party, turn.text)).collect()
    }

    #[test]
    fn pieces_come_in_order_of_time_and_are_joined_until_somebody_takes_over() {
        let pieces = vec![
            piece(0, "I want", 5000, 6000),
            piece(0, "to cancel.", 6100, 7000),
            piece(1, "Hello.", 0, 1000),
            piece(1, "Why?", 8000, 8500),
            piece(2, "tool", 6000, 6001),
        ];
        assert_eq!(told(pieces), ["Agent: Hello.", "Caller: I want to cancel.", "Agent: Why?"]);
    }

    #[test]
    fn a_long_silence_ends_a_turn_though_nobody_else_speaks() {
        let pieces = vec![
            piece(0, "I wait", 0, 1000),
            piece(0, "and wait.", 9000, 10_000),
            piece(0, "Still nobody.", 20_000, 21_000),
        ];
        assert_eq!(told(pieces), ["Caller: I wait and wait.", "Caller: Still nobody."]);
    }

    #[test]
    fn a_backchannel_ends_no_turn_but_an_interruption_does() {
        let pieces = vec![
            piece(0, "Well, my card", 0, 4000),
            piece(1, "Mm", 2000, 2200),
            piece(0, "fell into the water", 4500, 8000),
            piece(1, "Oh no, when?", 7000, 9000),
            piece(0, "Today.", 9500, 9900),
        ];
        let turns = ["Caller: Well, my card fell into the water", "Agent: Mm", "Agent: Oh no, when?", "Caller: Today."];
        assert_eq!(told(pieces), turns);
    }

    #[test]
    fn what_is_redacted_whole_is_no_turn_but_somebody_spoke() {
        let pieces = vec![
            piece(1, "Your name?", 0, 1),
            piece(0, "[PII].", 2, 3),
            piece(1, "And [PII].", 4, 5),
            piece(0, "[noise]", 6, 7),
        ];
        assert_eq!(told(pieces), ["Agent: Your name?", "Agent: And."]);
    }

    #[test]
    fn without_speakers_a_sentence_or_a_pause_ends_a_turn() {
        let piece = |text: &str, start, end| Piece { speaker: None, ..piece(0, text, start, end) };
        let pieces = vec![
            piece("I have", 0, 900),
            piece("been waiting.", 900, 2000),
            piece("All day", 2000, 3000),
            piece("long", 9000, 9100),
        ];
        assert_eq!(told(pieces), ["Caller: I have been waiting.", "Caller: All day", "Caller: long"]);
    }
}
