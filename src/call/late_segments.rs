//! Where a late segment belongs, by the times of speech: what comes first was not always said first.

use super::book::TurnBook;
use super::segment::TurnKey;
use crate::room::message::Transcript;

impl TurnBook {
    /// The closed turn that a segment of an unknown id belongs to: one that names it, or one during which it began.
    pub(super) fn late_home(&self, piece: &Transcript, silence_ms: u64) -> Option<TurnKey> {
        let mine = |key: &&TurnKey| self.turns[key.0].participant_id == piece.participant_id;
        let recent = || self.order.iter().rev().take(64);
        if let Some(named) = recent().filter(mine).find(|k| self.turns[k.0].has_segment(&piece.segment_id)) {
            return Some(*named);
        }
        let start = piece.start_ms?;
        let began = |k: &TurnKey| self.turns[k.0].start_ms();
        let before = recent().filter(mine).find(|k| began(k).is_some_and(|s| s <= start)).copied();
        let after = recent().filter(mine).rfind(|k| began(k).is_some_and(|s| s > start)).copied();
        // The room says what its own turns consist of; an unlisted segment waits for the turn that lists it.
        let own = |k: &TurnKey| !self.turns[k.0].ended_by_room();
        before
            .filter(|k| own(k) && self.continues(*k, start, silence_ms))
            .or(after.filter(|k| own(k) && self.leads_to(*k, piece, start, silence_ms)))
    }

    /// Whether a piece that began during or after a turn goes on with it: nobody else had taken over.
    fn continues(&self, turn: TurnKey, start: u64, silence_ms: u64) -> bool {
        let turn = &self.turns[turn.0];
        let (Some(began), Some(end)) = (turn.start_ms(), turn.end_ms().or(turn.start_ms())) else { return false };
        let taken_over = self.next_other_start(&turn.participant_id, began);
        match taken_over {
            _ if start < end => true,
            Some(other) => start < other,
            None => start - end < silence_ms,
        }
    }

    /// Whether a piece that began before a turn belongs to it: no silence and nobody else lies between.
    fn leads_to(&self, turn: TurnKey, piece: &Transcript, start: u64, silence_ms: u64) -> bool {
        let Some(began) = self.turns[turn.0].start_ms() else { return false };
        let gap = began.saturating_sub(piece.end_ms.unwrap_or(start));
        gap < silence_ms && self.next_other_start(&piece.participant_id, start).is_none_or(|other| other >= began)
    }

    /// A late piece may have closed the gap to what was taken for the next turn, or is about to be: then that is part
    /// of this turn too.
    pub(super) fn absorb(&mut self, home: TurnKey, piece: &Transcript, silence_ms: u64) {
        let who = &piece.participant_id;
        let Some(began) = self.turns[home.0].start_ms() else { return };
        let of_turns = self.order.iter().rev().take(64).map(|k| (*k, &self.turns[k.0]));
        let of_turns = of_turns.filter(|(k, t)| *k != home && !t.ended_by_room() && t.participant_id == *who);
        let of_turns = of_turns.flat_map(|(_, t)| t.segments());
        let of_pool = self.pools.get(who).into_iter().flat_map(|pool| pool.segments.iter());
        let start = |id: &String| self.segments.get(&(who.clone(), id.clone())).and_then(|segment| segment.start_ms);
        let mut later: Vec<(u64, String)> = of_turns
            .chain(of_pool)
            .filter_map(|id| Some((start(id)?, id.clone())))
            .filter(|(s, _)| *s > began)
            .collect();
        later.sort();
        for (start, segment_id) in later {
            if !self.continues(home, start, silence_ms) {
                return;
            }
            self.move_segment(who, segment_id, home);
        }
    }

    fn move_segment(&mut self, who: &str, segment_id: String, home: TurnKey) {
        if let Some(pool) = self.pools.get_mut(who) {
            pool.segments.retain(|id| *id != segment_id);
        }
        let Some(segment) = self.segments.get_mut(&(who.to_owned(), segment_id.clone())) else { return };
        if let Some(other) = segment.turn.replace(home) {
            self.turns[other.0].lose_segment(&segment_id);
            self.rebuild(other);
        }
        if let Some(part) = self.turns[home.0].last_part() {
            part.segments.push(segment_id);
        }
        self.rebuild(home);
    }

    /// When someone else first began to speak after `after`.
    fn next_other_start(&self, participant_id: &str, after: u64) -> Option<u64> {
        let closed = self.order.iter().rev().take(64).map(|k| &self.turns[k.0]);
        let closed = closed.filter(|t| t.participant_id != participant_id).filter_map(|t| t.start_ms());
        let open = self.pools.iter().filter(|(who, _)| *who != participant_id).flat_map(|(who, pool)| {
            pool.segments.iter().filter_map(|s| self.segments.get(&(who.clone(), s.clone()))?.start_ms)
        });
        closed.chain(open).filter(|start| *start > after).min()
    }
}
