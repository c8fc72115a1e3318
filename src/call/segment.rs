//! One piece of transcript, merged from all its revisions.

use crate::clock::Millis;
use crate::room::message::Transcript;

/// A turn's place in the book of turns, never reused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TurnKey(pub(super) usize);

/// A segment as far as it is known.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Segment {
    pub(super) rev: u32,
    pub(super) is_final: bool,
    pub(super) text: String,
    pub(super) start_ms: Option<u64>,
    pub(super) end_ms: Option<u64>,
    pub(super) lang: Option<String>,
    /// When it first came.
    pub(super) came: Millis,
    /// Order of first arrival, for segments without times.
    pub(super) arrival: u64,
    /// The stretch of speech in which it was last said or corrected (`TurnBook::stretch`).
    pub(super) stretch: u64,
    /// What was added to its recogniser's times, in ms.
    pub(super) shift: u64,
    /// The turn that it belongs to, once it does.
    pub(super) turn: Option<TurnKey>,
}

impl Segment {
    pub(super) fn new(came: Millis, piece: &Transcript, shift: u64, arrival: u64, turn: Option<TurnKey>) -> Self {
        Self {
            rev: piece.rev,
            is_final: piece.is_final,
            text: piece.text.trim().to_owned(),
            start_ms: piece.start_ms,
            end_ms: piece.end_ms,
            lang: piece.lang.clone(),
            came,
            arrival,
            stretch: 0,
            shift,
            turn,
        }
    }

    /// Takes a newer version of the segment: finals replace interims, then the highest `rev` wins. Returns whether
    /// anything changed.
    pub(super) fn take(&mut self, piece: &Transcript) -> bool {
        if (piece.is_final, piece.rev) < (self.is_final, self.rev) {
            return false;
        }
        let newer = Self {
            start_ms: piece.start_ms.or(self.start_ms),
            end_ms: piece.end_ms.or(self.end_ms),
            lang: piece.lang.clone().or_else(|| self.lang.clone()),
            stretch: self.stretch,
            ..Self::new(self.came, piece, self.shift, self.arrival, self.turn)
        };
        let changed = newer != *self;
        *self = newer;
        changed
    }
}

pub(super) fn join<'a>(parts: impl Iterator<Item = &'a str>) -> String {
    let mut text = String::new();
    for part in parts.map(str::trim).filter(|p| !p.is_empty()) {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(part);
    }
    text
}
