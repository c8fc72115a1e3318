//! Turns from segments (rule 4): a final transcript is not a turn.
//!
//! Segments are keyed by (participant, segment id) and merged; they wait in their participant's *pool* until the
//! room says `turn.ended`, or, where it never does, until the agent speaks or a silence passes. What comes late finds
//! the turn that it belongs to and revises it; it adds none.

use std::collections::HashMap;

use super::segment::{Segment, TurnKey, join};
use crate::clock::Millis;
use crate::room::message::{Transcript, TurnEnded};

/// All that one participant said until another took over.
#[derive(Debug, Clone, PartialEq)]
pub struct Turn {
    /// The room's id, or `t-` and the first segment's.
    pub id: String,
    /// Who spoke.
    pub participant_id: String,
    /// The words.
    pub text: String,
    /// Counts changes of `text`; a rating belongs to one revision.
    pub rev: u32,
    /// BCP 47 tag, where the recogniser gave one.
    pub lang: Option<String>,
    index: Option<u64>,
    pub(super) start_ms: Option<u64>,
    pub(super) end_ms: Option<u64>,
    /// Whether the room named the turn itself.
    pub(super) from_room: bool,
    room_text: Option<String>,
    pub(super) segments: Vec<String>,
}

impl Turn {
    /// Whether anything was said. An empty turn neither counts nor resets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }
}

#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) segments: Vec<String>,
    last_at: Millis,
    /// Latched by the participant's first `turn.ended`: silence closes nothing from then on.
    room_ends_turns: bool,
}

/// All turns of a call, in order, and the segments that are not part of one yet.
#[derive(Debug, Default)]
pub struct TurnBook {
    pub(super) turns: Vec<Turn>,
    pub(super) order: Vec<TurnKey>,
    by_id: HashMap<String, TurnKey>,
    pub(super) segments: HashMap<(String, String), Segment>,
    pub(super) pools: HashMap<String, Pool>,
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
        // Every key is in `order`; it is near its end in a live call.
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

    fn disturb(&mut self, at: usize) {
        self.disturbed = Some(self.disturbed.map_or(at, |before| before.min(at)));
    }

    /// Takes in one piece of transcript. Returns whether its speaker is speaking now: something new was said, and it is
    /// not late for a turn that is over.
    pub fn transcript(&mut self, now: Millis, piece: &Transcript, silence_ms: u64) -> bool {
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
                self.segments.insert(id, Segment::new(piece, self.arrivals, home));
                match home {
                    Some(turn) => {
                        if !self.turns[turn.0].segments.contains(&piece.segment_id) {
                            self.turns[turn.0].segments.push(piece.segment_id.clone());
                        }
                        self.rebuild(turn);
                        self.absorb(turn, piece, silence_ms);
                        return false;
                    }
                    None => {
                        self.pools
                            .entry(piece.participant_id.clone())
                            .or_default()
                            .segments
                            .push(piece.segment_id.clone());
                        self.touch(now, piece);
                    }
                }
            }
        }
        true
    }

    fn touch(&mut self, now: Millis, piece: &Transcript) {
        self.pools.entry(piece.participant_id.clone()).or_default().last_at = now;
    }

    /// The room ended a turn, or revises one that it ended.
    pub fn turn_ended(&mut self, ended: &TurnEnded) {
        let key = self.find(&ended.turn_id).or_else(|| self.adoptable(ended)).unwrap_or_else(|| self.new_turn(ended));
        self.claim(key, ended);
        let pool = self.pools.entry(ended.participant_id.clone()).or_default();
        pool.room_ends_turns = true;
        self.place(key);
        self.rebuild(key);
    }

    /// A turn that was closed here before the room ended it under its own id.
    fn adoptable(&self, ended: &TurnEnded) -> Option<TurnKey> {
        let mut own = self.order.iter().rev().take(64).filter(|k| {
            let turn = &self.turns[k.0];
            turn.participant_id == ended.participant_id && !turn.from_room
        });
        if ended.segment_ids.is_empty() {
            let pool_is_empty = self.pools.get(&ended.participant_id).is_none_or(|p| p.segments.is_empty());
            let overlaps = |k: &&TurnKey| match (self.turns[k.0].start_ms, ended.end_ms) {
                (Some(start), Some(end)) => start < end && self.turns[k.0].end_ms >= ended.start_ms,
                _ => pool_is_empty,
            };
            return own.take(1).find(overlaps).copied();
        }
        let lists = |k: &&TurnKey| self.turns[k.0].segments.iter().any(|s| ended.segment_ids.contains(s));
        own.rfind(lists).copied()
    }

    fn new_turn(&mut self, ended: &TurnEnded) -> TurnKey {
        self.push_turn(Turn {
            id: ended.turn_id.clone(),
            participant_id: ended.participant_id.clone(),
            text: String::new(),
            rev: 0,
            lang: None,
            index: ended.index,
            start_ms: ended.start_ms,
            end_ms: ended.end_ms,
            from_room: true,
            room_text: None,
            segments: Vec::new(),
        })
    }

    fn push_turn(&mut self, turn: Turn) -> TurnKey {
        let key = TurnKey(self.turns.len());
        self.by_id.insert(turn.id.clone(), key);
        self.turns.push(turn);
        self.order.push(key);
        self.place(key);
        key
    }

    /// Gives a turn what the room's `turn.ended` says of it: its name, its place and its segments.
    fn claim(&mut self, key: TurnKey, ended: &TurnEnded) {
        let mut claimed = ended.segment_ids.clone();
        let pool = self.pools.entry(ended.participant_id.clone()).or_default();
        if claimed.is_empty() {
            claimed.append(&mut pool.segments);
        } else {
            // What began before the turn and is not in it was left out by the room.
            let last = pool.segments.iter().rposition(|s| claimed.contains(s)).map_or(0, |p| p + 1);
            pool.segments.drain(..last);
        }
        for segment_id in &claimed {
            let id = (ended.participant_id.clone(), segment_id.clone());
            if let Some(segment) = self.segments.get_mut(&id)
                && let Some(other) = segment.turn.replace(key).filter(|other| *other != key)
            {
                self.turns[other.0].segments.retain(|s| s != segment_id);
                self.rebuild(other);
            }
        }
        self.by_id.insert(ended.turn_id.clone(), key);
        let turn = &mut self.turns[key.0];
        turn.id.clone_from(&ended.turn_id);
        turn.from_room = true;
        turn.index = ended.index.or(turn.index);
        turn.start_ms = ended.start_ms.or(turn.start_ms);
        turn.end_ms = ended.end_ms.or(turn.end_ms);
        turn.room_text = ended.text.clone().or_else(|| turn.room_text.take());
        for segment_id in claimed {
            if !turn.segments.contains(&segment_id) {
                turn.segments.push(segment_id);
            }
        }
    }

    /// When the next pool is silent for long enough to close, in a room without turn events.
    #[must_use]
    pub fn next_silence(&self, silence_ms: u64, room_ends_turns: bool) -> Option<Millis> {
        self.closable(room_ends_turns).map(|(_, pool)| pool.last_at.plus(silence_ms)).min()
    }

    fn closable(&self, room_ends_turns: bool) -> impl Iterator<Item = (&String, &Pool)> {
        self.pools.iter().filter(move |(_, p)| !room_ends_turns && !p.room_ends_turns && !p.segments.is_empty())
    }

    /// Closes the pools that were silent for `silence_ms`, in a room without turn events.
    pub fn close_silent(&mut self, now: Millis, silence_ms: u64, room_ends_turns: bool) {
        self.close_where(room_ends_turns, |_, pool| now >= pool.last_at.plus(silence_ms));
    }

    /// Someone began to speak: everyone else's turn is over, in a room without turn events.
    pub fn close_others(&mut self, speaker: &str, room_ends_turns: bool) {
        self.close_where(room_ends_turns, |who, _| who != speaker);
    }

    fn close_where(&mut self, room_ends_turns: bool, which: impl Fn(&str, &Pool) -> bool) {
        let mut due: Vec<(u64, String)> = self
            .closable(room_ends_turns)
            .filter(|(who, pool)| which(who, pool))
            .map(|(who, pool)| (self.first_arrival(who, pool), who.clone()))
            .collect();
        // Pools are in a hash map; the journal must not depend on its order.
        due.sort();
        for (_, who) in due {
            self.close_pool(&who);
        }
    }

    fn first_arrival(&self, who: &str, pool: &Pool) -> u64 {
        let of = |s: &String| self.segments.get(&(who.to_owned(), s.clone())).map(|s| s.arrival);
        pool.segments.iter().filter_map(of).min().unwrap_or_default()
    }

    /// The call is over: whatever waits is a turn.
    pub fn close_all(&mut self) {
        for pool in self.pools.values_mut() {
            pool.room_ends_turns = false;
        }
        self.close_where(false, |_, _| true);
    }

    fn close_pool(&mut self, who: &str) {
        let Some(pool) = self.pools.get_mut(who) else { return };
        let segments = std::mem::take(&mut pool.segments);
        let Some(first) = segments.first() else { return };
        let key = self.push_turn(Turn {
            id: format!("t-{first}"),
            participant_id: who.to_owned(),
            text: String::new(),
            rev: 0,
            lang: None,
            index: None,
            start_ms: None,
            end_ms: None,
            from_room: false,
            room_text: None,
            segments: segments.clone(),
        });
        for segment_id in segments {
            if let Some(segment) = self.segments.get_mut(&(who.to_owned(), segment_id)) {
                segment.turn = Some(key);
            }
        }
        self.rebuild(key);
        self.place(key);
    }

    /// Puts a turn where it belongs: by index, else by start time, else where it arrived.
    fn place(&mut self, key: TurnKey) {
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
        match (a.index, b.index, a.start_ms, b.start_ms) {
            (Some(a), Some(b), _, _) | (_, _, Some(a), Some(b)) => a < b,
            _ => false,
        }
    }

    /// Makes a turn's text anew from what is known, and notes a change.
    pub(super) fn rebuild(&mut self, key: TurnKey) {
        let turn = &self.turns[key.0];
        let mut parts: Vec<&Segment> =
            turn.segments.iter().filter_map(|s| self.segments.get(&(turn.participant_id.clone(), s.clone()))).collect();
        parts.sort_by_key(|s| (s.start_ms.unwrap_or(u64::MAX), s.arrival));
        let all_final = parts.len() == turn.segments.len() && !parts.is_empty() && parts.iter().all(|s| s.is_final);
        let text = match &turn.room_text {
            // A segment that was finalised again says more than the room's summary of the turn.
            Some(text) if !(all_final && parts.iter().any(|s| s.rev > 0)) => text.clone(),
            _ => join(parts.iter().map(|s| s.text.as_str())),
        };
        let lang = parts.iter().find_map(|s| s.lang.clone());
        let (start, end) = (parts.iter().filter_map(|s| s.start_ms).min(), parts.iter().filter_map(|s| s.end_ms).max());
        let turn = &mut self.turns[key.0];
        turn.lang = lang.or_else(|| turn.lang.take());
        if !turn.from_room {
            // A turn whose segments went to others is nowhere any more.
            (turn.start_ms, turn.end_ms) = (start, end);
        }
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
