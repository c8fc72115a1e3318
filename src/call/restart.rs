//! Recognisers that reconnect: their clock, segment ids, revisions and turn ids begin anew, and words come again under
//! another id. What comes in is put on one clock and under ids of its own, so that no words take the place of others.

use super::book::TurnBook;
use super::clocks::Seen;
use super::odd::Odd;
use super::turn::Part;
use crate::clock::Millis;
use crate::room::message::{Transcript, TurnEnded};
use crate::sentiment::likeness::likeness;

/// Two versions of one piece begin no further apart than this, in ms.
const ONE_MOMENT_MS: u64 = 2_000;
/// Two versions of one piece have at least so much in common.
const ALIKE: f64 = 0.5;
/// Words that come again under another id cover at least so much of the same time.
const SAME_TIME: f64 = 0.9;

impl TurnBook {
    /// A piece of transcript, on the call's clock and under an id of its own.
    pub(super) fn seen_through(&mut self, now: Millis, piece: &Transcript) -> Seen {
        let mut piece = piece.clone();
        let who = piece.participant_id.clone();
        let id = self.generations.segment(&who, &piece.segment_id).to_owned();
        let known = self.segments.get(&(who.clone(), id.clone()));
        let began = known.and_then(|known| Some(known.start_ms?.saturating_sub(known.shift)));
        // Another version of a known piece is told on the clock of the first one.
        let same_clock = began.zip(piece.start_ms).is_some_and(|(began, start)| began.abs_diff(start) < ONE_MOMENT_MS);
        let shift = match known {
            Some(known) if same_clock => known.shift,
            _ => self.on_one_clock(now, &who, piece.start_ms, piece.end_ms),
        };
        piece.start_ms = piece.start_ms.map(|start| start.saturating_add(shift));
        piece.end_ms = piece.end_ms.map(|end| end.saturating_add(shift));
        let resolved = if self.is_other(&who, &id, &piece) {
            self.oddities.note(Odd::SegmentIdsRestarted { who: who.clone() });
            Some(self.generations.anew(&piece.segment_id))
        } else {
            self.said_again(&id, &mut piece)
        };
        if let Some(resolved) = &resolved {
            self.generations.segments.insert((who, piece.segment_id), resolved.clone());
        }
        piece.segment_id = resolved.unwrap_or(id);
        Seen { piece, shift }
    }

    fn on_one_clock(&mut self, now: Millis, who: &str, start: Option<u64>, end: Option<u64>) -> u64 {
        let clock = self.clocks.0.entry(who.to_owned()).or_default();
        if let Some(start) = start
            && clock.take(now, start, end)
        {
            self.oddities.note(Odd::ClockRestarted { who: who.to_owned() });
        }
        clock.shift
    }

    /// Whether a final has an id that stands for other words: they are unlike, and neither their times nor their revision
    /// say that they correct the ones that are known.
    fn is_other(&self, who: &str, id: &str, piece: &Transcript) -> bool {
        let Some(known) = self.segments.get(&(who.to_owned(), id.to_owned())) else { return false };
        if !piece.is_final || !known.is_final || piece.text.trim().is_empty() {
            return false;
        }
        let unlike = likeness(&known.text, &piece.text) < ALIKE;
        if let (Some(one), Some(other)) = (known.start_ms, piece.start_ms) {
            let apart = known.end_ms.is_some_and(|end| other >= end) || piece.end_ms.is_some_and(|end| one >= end);
            return one.abs_diff(other) >= ONE_MOMENT_MS && (unlike || apart);
        }
        let others_spoke = known.turn.is_some() && known.stretch != self.stretch;
        unlike && (piece.rev <= known.rev || others_spoke)
    }

    /// The segment that has the same words of the same moment under another id: a recogniser that says them once raw and once
    /// formatted.
    fn said_again(&mut self, id: &str, piece: &mut Transcript) -> Option<String> {
        let who = &piece.participant_id;
        if self.segments.contains_key(&(who.clone(), id.to_owned())) {
            return None;
        }
        let (start, end) = (piece.start_ms?, piece.end_ms?);
        let open = self.pools.get(who).into_iter().flat_map(|pool| pool.segments.iter().rev());
        let closed = self.order.iter().rev().take(8).map(|k| &self.turns[k.0]);
        let closed = closed.filter(|turn| turn.participant_id == *who).take(1).flat_map(|turn| turn.segments());
        let again = |id: &&String| {
            let Some(known) = self.segments.get(&(who.clone(), (*id).clone())) else { return false };
            let (Some(began), Some(over)) = (known.start_ms, known.end_ms) else { return false };
            let common = over.min(end).saturating_sub(began.max(start));
            let longest = over.saturating_sub(began).max(end.saturating_sub(start));
            let alike = likeness(&known.text, &piece.text) >= ALIKE;
            known.is_final && piece.is_final && longest > 0 && alike && share(common, longest) >= SAME_TIME
        };
        let known = open.take(4).chain(closed).find(again).cloned()?;
        self.oddities.note(Odd::Repeated { who: who.clone() });
        // The later version is the better one, whatever its number.
        let before = self.segments.get(&(who.clone(), known.clone())).map_or(0, |segment| segment.rev);
        piece.rev = piece.rev.max(before);
        Some(known)
    }

    /// The end of a turn, on the call's clock and under an id of its own.
    pub(super) fn seen_through_end(&mut self, now: Millis, ended: &TurnEnded) -> TurnEnded {
        let mut ended = ended.clone();
        let who = ended.participant_id.clone();
        for id in &mut ended.segment_ids {
            *id = self.generations.segment(&who, id).to_owned();
        }
        ended.segment_ids.dedup();
        let of_segments = ended.segment_ids.iter().filter_map(|s| self.segments.get(&(who.clone(), s.clone())));
        let of_segments = of_segments.map(|segment| segment.shift).next_back();
        let shift = match (of_segments, ended.index) {
            (Some(shift), _) => shift,
            // A room that counts turns may tell of an early one late.
            (None, Some(_)) => 0,
            (None, None) if self.find(self.generations.turn(&ended.turn_id)).is_some() => 0,
            (None, None) => self.on_one_clock(now, &who, ended.start_ms, ended.end_ms),
        };
        ended.start_ms = ended.start_ms.map(|start| start.saturating_add(shift));
        ended.end_ms = ended.end_ms.map(|end| end.saturating_add(shift));
        let id = self.generations.turn(&ended.turn_id).to_owned();
        ended.turn_id = if self.is_other_turn(&id, &ended) {
            self.oddities.note(Odd::TurnIdsRestarted { who });
            let anew = self.generations.anew(&ended.turn_id);
            self.generations.turns.insert(ended.turn_id, anew.clone());
            anew
        } else {
            id
        };
        ended
    }

    /// Whether a turn has an id that stands for another turn, since which somebody else spoke.
    fn is_other_turn(&self, id: &str, ended: &TurnEnded) -> bool {
        let Some(turn) = self.find(id).map(|key| self.turn(key)) else { return false };
        let Some(part) = turn.parts.iter().find(|part| part.id == id).filter(|part| part.from_room) else {
            return false;
        };
        if turn.participant_id != ended.participant_id {
            return true;
        }
        if turn.stretch == self.stretch || same_place(part, ended) {
            return false;
        }
        if !ended.segment_ids.is_empty() {
            let part_has = |id: &String| part.segments.contains(id);
            let in_pool = |id: &String| self.pools.get(&ended.participant_id).is_some_and(|p| p.segments.contains(id));
            return !ended.segment_ids.iter().any(part_has) && ended.segment_ids.iter().any(in_pool);
        }
        match &ended.text {
            Some(text) => likeness(text, &turn.text) < ALIKE,
            None => self.pools.get(&ended.participant_id).is_some_and(|pool| !pool.segments.is_empty()),
        }
    }
}

/// Whether index or time say that it is the same turn.
fn same_place(part: &Part, ended: &TurnEnded) -> bool {
    let index = part.index.is_some() && part.index == ended.index;
    let start = part.start_ms.zip(ended.start_ms).is_some_and(|(one, other)| one.abs_diff(other) < ONE_MOMENT_MS);
    index || start
}

fn share(part: u64, whole: u64) -> f64 {
    // Milliseconds of a call are far fewer than what an f64 counts exactly.
    #[expect(clippy::cast_precision_loss, reason = "see above")]
    let share = part as f64 / whole as f64;
    share
}
