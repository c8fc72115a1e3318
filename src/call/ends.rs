//! Where a turn ends that the room does not end: at a silence, when somebody else takes over, and, in a room that should have
//! ended it, when its end is overdue.

use super::book::TurnBook;
use super::odd::Odd;
use super::pool::Pool;
use super::segment::TurnKey;
use super::turn::{Part, Turn};
use crate::clock::Millis;
use crate::room::message::{Transcript, TurnEnded};

/// How long the end of a turn may stay away after somebody else took over, in ms.
const OVERDUE_MS: u64 = 2_000;
/// The same in a room that counts its turns: it knows of each, and tells of some late.
const COUNTED_OVERDUE_MS: u64 = 12_000;
/// How long it may stay away while nobody says anything, in ms: people think, and recognisers are slow.
const SILENT_MS: u64 = 20_000;
/// What comes so soon after the end of a turn, in ms, belongs to it where no times say otherwise.
const TAIL_MS: u64 = 3_000;

impl Turn {
    /// Takes out a tail that was added after the room's end of the turn.
    pub(super) fn take_tail(&mut self) -> Option<Part> {
        (self.parts.len() > 1).then(|| self.parts.pop_if(|part| !part.from_room)).flatten()
    }
}

/// Why what somebody said is closed here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Why {
    /// The room ends no turns, and this one is over.
    Over,
    /// The room should have ended it by now.
    Overdue,
    /// The call is over.
    Ending,
}

impl TurnBook {
    /// When the next pool is to be closed.
    #[must_use]
    pub fn next_silence(&self, silence_ms: u64) -> Option<Millis> {
        self.pools.values().filter(|pool| !pool.segments.is_empty()).map(|pool| self.due(pool, silence_ms)).min()
    }

    fn due(&self, pool: &Pool, silence_ms: u64) -> Millis {
        if !self.room_ends(pool) {
            return pool.last_at.plus(silence_ms);
        }
        let silent = pool.last_at.plus(SILENT_MS);
        let overdue_ms = if self.counts_turns { COUNTED_OVERDUE_MS } else { OVERDUE_MS };
        pool.taken_over.map_or(silent, |at| at.plus(overdue_ms).min(silent))
    }

    fn room_ends(&self, pool: &Pool) -> bool {
        self.room_ends_turns || pool.room_ends_turns
    }

    /// Closes the pools that were silent for `silence_ms`, or, where the room ends turns, those whose end is overdue.
    pub fn close_silent(&mut self, now: Millis, silence_ms: u64) {
        self.close_where(now, |book, _, pool| {
            let why = if book.room_ends(pool) { Why::Overdue } else { Why::Over };
            (now >= book.due(pool, silence_ms)).then_some(why)
        });
    }

    /// Someone began to speak: everyone else's turn is over, in a room without turn events.
    pub fn close_others(&mut self, now: Millis, speaker: &str) {
        for (_, pool) in self.pools.iter_mut().filter(|(who, pool)| *who != speaker && !pool.segments.is_empty()) {
            pool.taken_over.get_or_insert(now);
        }
        self.close_where(now, |book, who, pool| (who != speaker && !book.room_ends(pool)).then_some(Why::Over));
    }

    /// The caller began to speak: what somebody of whom no end ever came said before is over.
    pub fn close_unended(&mut self, now: Millis, who: &str) {
        self.close_where(now, |_, one, pool| (one == who && !pool.room_ends_turns).then_some(Why::Over));
    }

    /// A piece begins after a silence by its own times: what came before it was a turn, however late both arrived.
    pub(super) fn close_before(&mut self, now: Millis, piece: &Transcript, silence_ms: u64) {
        let who = &piece.participant_id;
        let Some(pool) = self.pools.get(who).filter(|pool| !self.room_ends(pool)) else { return };
        let of_pool = || pool.segments.iter().filter_map(|s| self.segments.get(&(who.clone(), s.clone())));
        let end = of_pool().filter_map(|s| s.end_ms.or(s.start_ms)).max();
        let all_timed = of_pool().all(|s| s.start_ms.is_some());
        let (Some(start), Some(end), true) = (piece.start_ms, end, all_timed) else { return };
        if start >= end.saturating_add(silence_ms) {
            self.close_where(now, |_, one, _| (one == who).then_some(Why::Over));
        }
    }

    fn close_where(&mut self, now: Millis, which: impl Fn(&Self, &str, &Pool) -> Option<Why>) {
        let mut due: Vec<(u64, String, Why)> = self
            .pools
            .iter()
            .filter(|(_, pool)| !pool.segments.is_empty())
            .filter_map(|(who, pool)| Some((self.first_arrival(who, pool), who.clone(), which(self, who, pool)?)))
            .collect();
        // Pools are in a hash map; the journal must not depend on its order.
        due.sort_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
        for (_, who, why) in due {
            self.close_pool(now, &who, why);
        }
    }

    fn first_arrival(&self, who: &str, pool: &Pool) -> u64 {
        let of = |s: &String| self.segments.get(&(who.to_owned(), s.clone())).map(|s| s.arrival);
        pool.segments.iter().filter_map(of).min().unwrap_or_default()
    }

    /// The call is over: whatever waits is a turn.
    pub fn close_all(&mut self, now: Millis) {
        self.close_where(now, |_, _, _| Some(Why::Ending));
    }

    fn close_pool(&mut self, now: Millis, who: &str, why: Why) {
        let Some(pool) = self.pools.get_mut(who) else { return };
        let had_ends = pool.room_ends_turns;
        let (first_at, taken_over) = (pool.first_at, pool.taken_over.take().is_some());
        let segments = std::mem::take(&mut pool.segments);
        let owed = why == Why::Overdue || (why == Why::Ending && taken_over && had_ends);
        if owed { self.close_owed(now, who, segments, first_at, had_ends) } else { self.close_segments(who, segments) }
    }

    /// A turn ended without what its speaker said before somebody else spoke: that was another turn, whose end is lost. In
    /// a room that counts turns it may be late, and is waited for.
    pub(super) fn part_with_earlier(&mut self, now: Millis, ended: &TurnEnded) {
        let who = &ended.participant_id;
        let Some(begins) = ended.segment_ids.iter().filter_map(|id| self.stretch_of(who, id)).min() else { return };
        let Some(pool) = self.pools.get(who) else { return };
        let (earlier, rest): (Vec<String>, Vec<String>) =
            pool.segments.iter().cloned().partition(|s| self.stretch_of(who, s).is_some_and(|s| s < begins));
        let first_at = pool.first_at;
        if earlier.is_empty() {
            return;
        }
        let waits = self.counts_turns;
        if let Some(pool) = self.pools.get_mut(who) {
            if waits {
                pool.taken_over.get_or_insert(now);
                // Behind those that are named, which are taken out now.
                pool.segments = rest.into_iter().chain(earlier).collect();
                return;
            }
            pool.segments = rest;
        }
        self.close_owed(now, who, earlier, first_at, true);
    }

    /// Closes what the room should have ended.
    fn close_owed(&mut self, now: Millis, who: &str, segments: Vec<String>, first_at: Millis, had_ends: bool) {
        if let Some(turn) = self.turn_of_tail(who, &segments, first_at) {
            return self.append_tail(now, who, turn, segments);
        }
        self.oddities.note(Odd::NoEnd { who: who.to_owned(), had_ends });
        self.close_segments(who, segments);
    }

    fn close_segments(&mut self, who: &str, segments: Vec<String>) {
        let Some(first) = segments.first() else { return };
        let part = Part::closed_here(format!("t-{first}"), segments);
        self.push_closed(who, part);
    }

    /// The turn that the room ended just before these words: nobody spoke in between, and no silence lies there.
    fn turn_of_tail(&self, who: &str, segments: &[String], first_at: Millis) -> Option<TurnKey> {
        let key = *self.order.iter().rev().take(64).find(|k| self.turns[k.0].participant_id == who)?;
        let turn = &self.turns[key.0];
        let first = segments.first()?;
        let start = self.segments.get(&(who.to_owned(), first.clone()))?.start_ms;
        let soon = match (turn.end_ms(), start) {
            (Some(end), Some(start)) => start < end.saturating_add(TAIL_MS),
            _ => first_at <= turn.ended_at.plus(TAIL_MS),
        };
        let uninterrupted = segments.iter().all(|s| self.stretch_of(who, s) == Some(turn.stretch));
        (turn.ended_by_room() && soon && uninterrupted).then_some(key)
    }

    /// Before a bare `turn.ended` takes all that waits: words from before somebody else spoke belong to the turn before.
    pub(super) fn give_tail(&mut self, who: &str) {
        let Some(pool) = self.pools.get(who) else { return };
        let Some(last) = pool.segments.last().and_then(|s| self.stretch_of(who, s)) else { return };
        let (earlier, rest): (Vec<String>, Vec<String>) =
            pool.segments.iter().cloned().partition(|s| self.stretch_of(who, s) != Some(last));
        let first_at = pool.first_at;
        if earlier.is_empty() {
            return;
        }
        if let Some(turn) = self.turn_of_tail(who, &earlier, first_at) {
            self.append_tail(first_at, who, turn, earlier);
            if let Some(pool) = self.pools.get_mut(who) {
                pool.segments = rest;
            }
        }
    }

    fn append_tail(&mut self, now: Millis, who: &str, key: TurnKey, segments: Vec<String>) {
        self.oddities.note(Odd::Tail { who: who.to_owned() });
        for segment_id in &segments {
            if let Some(segment) = self.segments.get_mut(&(who.to_owned(), segment_id.clone())) {
                segment.turn = Some(key);
            }
        }
        let turn = &mut self.turns[key.0];
        turn.ended_at = turn.ended_at.max(now);
        let id = segments.first().map(|first| format!("t-{first}")).unwrap_or_default();
        turn.parts.push(Part::closed_here(id, segments));
        self.rebuild(key);
    }
}
