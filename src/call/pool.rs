//! Where segments wait for the end of their turn.

use crate::clock::Millis;

/// What a participant said that belongs to no turn yet.
#[derive(Debug, Default)]
pub(super) struct Pool {
    pub(super) segments: Vec<String>,
    /// When the first and the last of them came.
    pub(super) first_at: Millis,
    pub(super) last_at: Millis,
    /// When somebody else took over since.
    pub(super) taken_over: Option<Millis>,
    /// Latched by the participant's first `turn.ended`: silence closes nothing from then on.
    pub(super) room_ends_turns: bool,
}

impl Pool {
    pub(super) fn add(&mut self, now: Millis, segment_id: &str) {
        if self.segments.is_empty() {
            self.first_at = now;
        }
        if !self.segments.iter().any(|id| id == segment_id) {
            self.segments.push(segment_id.to_owned());
        }
        self.last_at = now;
        self.taken_over = None;
    }

    /// Takes out the named segments; returns those that came before the last of them and are not named.
    pub(super) fn drain_to(&mut self, named: &[String]) -> Vec<String> {
        let last = self.segments.iter().rposition(|s| named.contains(s)).map_or(0, |p| p + 1);
        self.segments.drain(..last).filter(|s| !named.contains(s)).collect()
    }
}
