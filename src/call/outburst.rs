//! One outburst, cut by short pauses: where a room ends a turn at each of them, they are one turn all the same (rule 4).

use super::book::TurnBook;
use super::segment::TurnKey;

impl TurnBook {
    /// Joins a turn that the room just ended to its neighbour, if its own times show no silence between them and nobody
    /// spoke there. A room that counts turns knows where they end.
    pub(super) fn join_outburst(&mut self, key: TurnKey, silence_ms: u64) {
        let at = self.position(key);
        let neighbour = |other: Option<usize>| other.and_then(|other| self.order.get(other)).copied();
        let before = neighbour(at.checked_sub(1)).filter(|k| self.goes_on(*k, key, silence_ms));
        let after = neighbour(Some(at + 1)).filter(|k| self.goes_on(key, *k, silence_ms));
        if let Some(home) = before.or(after) {
            self.merge(key, home);
        }
    }

    /// Whether `second` goes on with `first`.
    fn goes_on(&self, first: TurnKey, second: TurnKey, silence_ms: u64) -> bool {
        let (one, two) = (&self.turns[first.0], &self.turns[second.0]);
        let (Some(end), Some(start)) = (one.end_ms(), two.start_ms()) else { return false };
        !one.is_whole()
            && !two.is_whole()
            && one.participant_id == two.participant_id
            && one.stretch == two.stretch
            && one.index().is_none()
            && two.index().is_none()
            && start < end.saturating_add(silence_ms)
            && self.nobody_else_speaks(&one.participant_id, end, start)
    }

    fn nobody_else_speaks(&self, who: &str, from: u64, to: u64) -> bool {
        let mut others = self.pools.iter().filter(|(one, _)| *one != who).flat_map(|(one, pool)| {
            pool.segments.iter().filter_map(|s| self.segments.get(&(one.clone(), s.clone()))?.start_ms)
        });
        !others.any(|start| (from..to).contains(&start))
    }

    /// Moves all of a turn into another; it is nowhere any more.
    fn merge(&mut self, key: TurnKey, home: TurnKey) {
        let at = self.position(key);
        self.order.remove(at);
        self.disturb(at.min(self.order.len()));
        let who = self.turns[key.0].participant_id.clone();
        let merged = &mut self.turns[key.0];
        merged.text.clear();
        let (parts, ended_at) = (std::mem::take(&mut merged.parts), merged.ended_at);
        for part in &parts {
            self.rename(&part.id, home);
            for segment_id in &part.segments {
                if let Some(segment) = self.segments.get_mut(&(who.clone(), segment_id.clone())) {
                    segment.turn = Some(home);
                }
            }
        }
        let turn = &mut self.turns[home.0];
        turn.parts.extend(parts);
        turn.parts.sort_by_key(|part| part.start_ms);
        turn.ended_at = turn.ended_at.max(ended_at);
        self.rebuild(home);
        self.place(home);
    }
}
