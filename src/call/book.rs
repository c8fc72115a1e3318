//! Turns from segments (rule 4): a final transcript is not a turn.
//!
//! Segments are keyed by (participant, segment id) and merged; they wait in their participant's *pool* until the
//! room says `turn.ended`, or, where it never does, until the agent speaks or a silence passes (`ends`). What comes late finds
//! the turn that it belongs to and revises it (`late_segments`), and so does what a room ended piece by piece (`outburst`);
//! neither adds a turn. Ids, revisions and clocks that begin anew are seen through first (`restart`).

use std::collections::HashMap;

use super::clocks::{Clocks, Seen};
use super::generations::Generations;
use super::odd::{Odd, Oddities};
use super::pool::Pool;
use super::segment::{Segment, TurnKey, join};
use super::turn::{Part, Turn};
use crate::clock::Millis;
use crate::room::message::{Transcript, TurnEnded};

/// All turns of a call, in order, and the segments that are not part of one yet.
#[derive(Debug, Default)]
pub struct TurnBook {
    pub(super) turns: Vec<Turn>,
    pub(super) order: Vec<TurnKey>,
    pub(super) by_id: HashMap<String, TurnKey>,
    pub(super) segments: HashMap<(String, String), Segment>,
    pub(super) pools: HashMap<String, Pool>,
    pub(super) clocks: Clocks,
    pub(super) generations: Generations,
    pub(super) oddities: Oddities,
    /// Counts how often the word passed from one participant to another, in the order of arrival: what one says in the same
    /// stretch, nobody interrupted.
    pub(super) stretch: u64,
    /// Whether the room offers to end turns, everyone's.
    pub(super) room_ends_turns: bool,
    /// Whether the room gives its turns an index.
    pub(super) counts_turns: bool,
    speaker: Option<String>,
    arrivals: u64,
    changed: Vec<TurnKey>,
    disturbed: Option<usize>,
}

impl TurnBook {
    /// The turn of a key.
    #[must_use]
    pub fn turn(&self, key: TurnKey) -> &Turn {
        &self.turns[key.0]
    }

    /// The turns in the order of the call.
    #[must_use]
    pub fn order(&self) -> &[TurnKey] {
        &self.order
    }

    /// Where in [`TurnBook::order`] a turn is.
    #[must_use]
    pub fn position(&self, key: TurnKey) -> usize {
        // Every key that has a part is in `order`; it is near its end in a live call.
        self.order.iter().rposition(|k| *k == key).unwrap_or_default()
    }

    /// The turn that has, or once had, this id.
    #[must_use]
    pub fn find(&self, id: &str) -> Option<TurnKey> {
        self.by_id.get(id).copied()
    }

    /// Turns that were added or whose text changed since this was last asked, each once, in order of change.
    pub fn take_changed(&mut self) -> Vec<TurnKey> {
        std::mem::take(&mut self.changed)
    }

    /// The first position in [`TurnBook::order`] at or after which anything changed since this was last asked.
    pub fn take_disturbed(&mut self) -> Option<usize> {
        self.disturbed.take()
    }

    /// Looks at all turns of a participant anew, because their role became known.
    pub fn revisit(&mut self, participant_id: &str) {
        let theirs: Vec<TurnKey> =
            self.order.iter().copied().filter(|k| self.turns[k.0].participant_id == participant_id).collect();
        for key in theirs {
            self.note(key);
        }
    }

    fn note(&mut self, key: TurnKey) {
        let at = self.position(key);
        self.disturb(at);
        if !self.changed.contains(&key) {
            self.changed.push(key);
        }
    }

    pub(super) fn disturb(&mut self, at: usize) {
        self.disturbed = Some(self.disturbed.map_or(at, |before| before.min(at)));
    }

    /// Someone has the word now.
    pub(super) fn speaks(&mut self, who: &str) {
        if self.speaker.as_deref() != Some(who) {
            self.speaker = Some(who.to_owned());
            self.stretch += 1;
        }
    }

    /// Takes in one piece of transcript. Returns whether its speaker is speaking now: something new was said, and it is
    /// not late for a turn that is over.
    pub fn transcript(&mut self, now: Millis, piece: &Transcript, silence_ms: u64) -> bool {
        let Seen { piece, shift } = &self.seen_through(now, piece);
        let id = (piece.participant_id.clone(), piece.segment_id.clone());
        match self.segments.get_mut(&id) {
            Some(known) => {
                if !known.take(piece) {
                    return false;
                }
                match known.turn {
                    Some(turn) => {
                        self.rebuild(turn);
                        return false;
                    }
                    None => self.touch(now, piece),
                }
            }
            None if piece.text.trim().is_empty() => return false,
            None => {
                self.arrivals += 1;
                let home = self.late_home(piece, silence_ms);
                if home.is_none() {
                    self.close_before(now, piece, silence_ms);
                }
                self.segments.insert(id, Segment::new(now, piece, *shift, self.arrivals, home));
                match home {
                    Some(turn) => {
                        if !self.turns[turn.0].has_segment(&piece.segment_id)
                            && let Some(part) = self.turns[turn.0].last_part()
                        {
                            part.segments.push(piece.segment_id.clone());
                        }
                        self.rebuild(turn);
                        self.absorb(turn, piece, silence_ms);
                        return false;
                    }
                    None => self.touch(now, piece),
                }
            }
        }
        true
    }

    /// A piece of its own is being said: it waits for its turn to end.
    fn touch(&mut self, now: Millis, piece: &Transcript) {
        self.speaks(&piece.participant_id);
        let id = (piece.participant_id.clone(), piece.segment_id.clone());
        if let Some(segment) = self.segments.get_mut(&id) {
            segment.stretch = self.stretch;
        }
        self.pools.entry(piece.participant_id.clone()).or_default().add(now, &piece.segment_id);
    }

    /// Whether a turn tells words of which no piece came before: until now nobody could know that they are being said.
    #[must_use]
    pub fn is_news(&self, ended: &TurnEnded) -> bool {
        let who = &ended.participant_id;
        let no_piece_came = if ended.segment_ids.is_empty() {
            self.pools.get(who).is_none_or(|pool| pool.segments.is_empty())
        } else {
            ended.segment_ids.iter().all(|id| self.stretch_of(who, id).is_none())
        };
        no_piece_came && self.find(&ended.turn_id).is_none()
    }

    /// The room ended a turn, or revises one that it ended.
    pub fn turn_ended(&mut self, now: Millis, ended: &TurnEnded, silence_ms: u64) {
        let ended = &self.seen_through_end(now, ended);
        let who = &ended.participant_id;
        let known = self.find(&ended.turn_id);
        self.counts_turns |= ended.index.is_some();
        if known.is_none() && !ended.segment_ids.is_empty() {
            self.part_with_earlier(now, ended);
        }
        let key = known
            .or_else(|| self.adoptable(ended))
            .unwrap_or_else(|| self.push_turn(Turn::new(who, Part::of_room(ended.turn_id.clone()))));
        self.claim(key, ended);
        if known.is_none() {
            if self.turns[key.0].segments().all(|id| self.stretch_of(who, id).is_none()) {
                self.speaks(who);
                self.turns[key.0].stretch = self.stretch;
            }
            self.turns[key.0].ended_at = now;
        }
        self.pools.entry(who.clone()).or_default().room_ends_turns = true;
        self.rebuild(key);
        self.place(key);
        if known.is_none() {
            self.join_outburst(key, silence_ms);
        }
    }

    /// A turn that was closed here before the room ended it under its own id.
    fn adoptable(&mut self, ended: &TurnEnded) -> Option<TurnKey> {
        let who = &ended.participant_id;
        if !ended.segment_ids.is_empty() {
            let lists = |k: &&TurnKey| ended.segment_ids.iter().any(|s| self.turns[k.0].has_segment(s));
            return self.closed_here_by(who).rfind(lists).copied();
        }
        let pool_is_empty = self.pools.get(who).is_none_or(|p| p.segments.is_empty());
        let last = self.order.iter().rev().take(64).find(|k| self.turns[k.0].participant_id == *who).copied();
        // A tail that was given to the turn before it is a turn of its own, after all.
        if let Some(last) = last.filter(|_| pool_is_empty && ended.start_ms.is_none())
            && let Some(tail) = self.turns[last.0].take_tail()
        {
            self.rebuild(last);
            return Some(self.push_closed(who, tail));
        }
        let overlaps = |k: &&TurnKey| match (self.turns[k.0].start_ms(), ended.end_ms) {
            (Some(start), Some(end)) => start < end && self.turns[k.0].end_ms() >= ended.start_ms,
            _ => pool_is_empty,
        };
        self.closed_here_by(who).take(1).find(overlaps).copied()
    }

    /// The turns of a participant that the room did not name, latest first.
    fn closed_here_by(&self, who: &str) -> impl DoubleEndedIterator<Item = &TurnKey> {
        let recent = self.order.iter().rev().take(64);
        recent.filter(move |k| self.turns[k.0].participant_id == who && !self.turns[k.0].ended_by_room())
    }

    /// Makes a turn of what was closed here.
    pub(super) fn push_closed(&mut self, who: &str, part: Part) -> TurnKey {
        let segments = part.segments.clone();
        let key = self.push_turn(Turn::new(who, part));
        for segment_id in segments {
            if let Some(segment) = self.segments.get_mut(&(who.to_owned(), segment_id)) {
                segment.turn = Some(key);
                self.turns[key.0].stretch = self.turns[key.0].stretch.max(segment.stretch);
            }
        }
        self.rebuild(key);
        self.place(key);
        key
    }

    fn push_turn(&mut self, turn: Turn) -> TurnKey {
        let key = TurnKey(self.turns.len());
        self.by_id.insert(turn.id.clone(), key);
        self.turns.push(turn);
        self.order.push(key);
        key
    }

    /// Gives an id that belongs to a turn to another.
    pub(super) fn rename(&mut self, id: &str, key: TurnKey) {
        self.by_id.insert(id.to_owned(), key);
    }

    /// Gives a turn what the room's `turn.ended` says of it: its name, its place and its segments.
    fn claim(&mut self, key: TurnKey, ended: &TurnEnded) {
        let who = &ended.participant_id;
        let claimed = if ended.segment_ids.is_empty() {
            self.give_tail(who);
            std::mem::take(&mut self.pools.entry(who.clone()).or_default().segments)
        } else {
            let left_out = self.pools.entry(who.clone()).or_default().drain_to(&ended.segment_ids);
            self.keep_left_out(who, left_out, key);
            ended.segment_ids.clone()
        };
        for segment_id in &claimed {
            let id = (who.clone(), segment_id.clone());
            let Some(segment) = self.segments.get_mut(&id) else { continue };
            let stretch = segment.stretch;
            if let Some(other) = segment.turn.replace(key).filter(|other| *other != key) {
                self.turns[other.0].lose_segment(segment_id);
                self.rebuild(other);
            }
            self.turns[key.0].stretch = self.turns[key.0].stretch.max(stretch);
        }
        self.rename(&ended.turn_id, key);
        let turn = &mut self.turns[key.0];
        let named = turn.parts.iter().position(|part| part.id == ended.turn_id);
        // What the room left out stands before it.
        let at = named.or_else(|| turn.parts.iter().rposition(|part| !part.from_room));
        if let Some(part) = at.and_then(|at| turn.parts.get_mut(at)) {
            part.take(ended, claimed);
        }
        if let Some(first) = turn.parts.first() {
            turn.id.clone_from(&first.id);
        }
    }

    /// Segments that came before those of a turn, in the same breath, and are not in it: the room left them out.
    fn keep_left_out(&mut self, who: &str, left_out: Vec<String>, key: TurnKey) {
        let Some(first) = left_out.first() else { return };
        self.oddities.note(Odd::LeftOut { who: who.to_owned() });
        let id = format!("t-{first}");
        for segment_id in &left_out {
            if let Some(segment) = self.segments.get_mut(&(who.to_owned(), segment_id.clone())) {
                segment.turn = Some(key);
            }
        }
        self.turns[key.0].parts.insert(0, Part::closed_here(id, left_out));
    }

    pub(super) fn stretch_of(&self, who: &str, segment_id: &str) -> Option<u64> {
        self.segments.get(&(who.to_owned(), segment_id.to_owned())).map(|segment| segment.stretch)
    }

    /// Puts a turn where it belongs: by index, else by start time, else where it arrived.
    pub(super) fn place(&mut self, key: TurnKey) {
        let Some(mut at) = self.order.iter().rposition(|k| *k == key) else { return };
        let from = at;
        while at > 0 && self.goes_before(key, self.order[at - 1]) {
            self.order.swap(at, at - 1);
            at -= 1;
        }
        while at + 1 < self.order.len() && self.goes_before(self.order[at + 1], key) {
            self.order.swap(at, at + 1);
            at += 1;
        }
        if at != from {
            self.disturb(at.min(from));
        }
    }

    fn goes_before(&self, a: TurnKey, b: TurnKey) -> bool {
        let (a, b) = (&self.turns[a.0], &self.turns[b.0]);
        match (a.index(), b.index(), a.start_ms(), b.start_ms()) {
            (Some(a), Some(b), _, _) | (_, _, Some(a), Some(b)) => a < b,
            _ => false,
        }
    }

    /// Makes a turn's text anew from what is known, and notes a change.
    pub(super) fn rebuild(&mut self, key: TurnKey) {
        let who = self.turns[key.0].participant_id.clone();
        let mut parts = std::mem::take(&mut self.turns[key.0].parts);
        let mut texts = Vec::with_capacity(parts.len());
        let mut lang = None;
        for part in &mut parts {
            let mut segments: Vec<&Segment> =
                part.segments.iter().filter_map(|s| self.segments.get(&(who.clone(), s.clone()))).collect();
            segments.sort_by_key(|s| (s.start_ms.unwrap_or(u64::MAX), s.arrival));
            texts.push(part.text(&segments));
            lang = lang.or_else(|| segments.iter().find_map(|s| s.lang.clone()));
            if !part.from_room {
                // A part whose segments went to others is nowhere any more.
                part.start_ms = segments.iter().filter_map(|s| s.start_ms).min();
                part.end_ms = segments.iter().filter_map(|s| s.end_ms).max();
            }
        }
        let text = join(texts.iter().map(String::as_str));
        let turn = &mut self.turns[key.0];
        turn.parts = parts;
        turn.lang = lang.or_else(|| turn.lang.take());
        if turn.rev == 0 || turn.text != text {
            turn.text = text;
            turn.rev += 1;
            self.note(key);
        }
    }

    /// What a participant is saying and has not finished, for the context of a rating.
    #[must_use]
    pub fn open_text(&self, participant_id: &str) -> Option<String> {
        let pool = self.pools.get(participant_id)?;
        let of = |s: &String| self.segments.get(&(participant_id.to_owned(), s.clone())).map(|s| s.text.as_str());
        Some(join(pool.segments.iter().filter_map(of))).filter(|text| !text.is_empty())
    }
}
