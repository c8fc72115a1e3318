//! A turn: all that one participant says until another takes over. Where that comes in several `Part`s (a room that ends a
//! turn at each pause, a tail after its end), they are one turn.

use super::segment::{Segment, join};
use crate::clock::Millis;
use crate::room::message::TurnEnded;

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
    /// In the order of speech. Without any, the turn was joined to another, and is nowhere any more.
    pub(super) parts: Vec<Part>,
    /// The stretch of speech in which it was last added to (`TurnBook::stretch`).
    pub(super) stretch: u64,
    /// When it was last ended or added to.
    pub(super) ended_at: Millis,
}

/// What a room ended at once, or what was closed here.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Part {
    /// As [`Turn::id`].
    pub(super) id: String,
    pub(super) index: Option<u64>,
    pub(super) start_ms: Option<u64>,
    pub(super) end_ms: Option<u64>,
    /// Whether the room named it.
    pub(super) from_room: bool,
    pub(super) room_text: Option<String>,
    pub(super) segments: Vec<String>,
    /// Whether it is known to be no part of a longer turn.
    pub(super) whole: bool,
}

impl Part {
    /// A part that the room names, of which nothing else is known yet.
    pub(super) fn of_room(id: String) -> Self {
        Self { from_room: true, ..Self::closed_here(id, Vec::new()) }
    }

    /// What the room did not end.
    pub(super) fn closed_here(id: String, segments: Vec<String>) -> Self {
        Self {
            id,
            index: None,
            start_ms: None,
            end_ms: None,
            from_room: false,
            room_text: None,
            segments,
            whole: false,
        }
    }

    /// Takes what the room says of it; `segments` are those that it consists of.
    pub(super) fn take(&mut self, ended: &TurnEnded, segments: Vec<String>) {
        self.id.clone_from(&ended.turn_id);
        self.from_room = true;
        self.whole |= ended.whole;
        self.index = ended.index.or(self.index);
        self.start_ms = ended.start_ms.or(self.start_ms);
        self.end_ms = ended.end_ms.or(self.end_ms);
        self.room_text = ended.text.clone().or_else(|| self.room_text.take());
        for segment in segments {
            if !self.segments.contains(&segment) {
                self.segments.push(segment);
            }
        }
    }

    /// Its words, from its segments (in the order of speech) or as the room has them.
    pub(super) fn text(&self, segments: &[&Segment]) -> String {
        let all_final =
            segments.len() == self.segments.len() && !segments.is_empty() && segments.iter().all(|s| s.is_final);
        match &self.room_text {
            // A segment that was finalised again says more than the room's summary of the turn.
            Some(text) if !(all_final && segments.iter().any(|s| s.rev > 0)) => text.clone(),
            _ => join(segments.iter().map(|s| s.text.as_str())),
        }
    }
}

impl Turn {
    pub(super) fn new(participant_id: &str, part: Part) -> Self {
        Self {
            id: part.id.clone(),
            participant_id: participant_id.to_owned(),
            text: String::new(),
            rev: 0,
            lang: None,
            parts: vec![part],
            stretch: 0,
            ended_at: Millis::default(),
        }
    }

    /// Whether anything was said. An empty turn neither counts nor resets.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.text.trim().is_empty()
    }

    /// The room's number of it, where the room counts turns.
    pub(super) fn index(&self) -> Option<u64> {
        self.parts.iter().find_map(|part| part.index)
    }

    /// When its first word was said, in ms since the call began.
    pub(super) fn start_ms(&self) -> Option<u64> {
        self.parts.iter().filter_map(|part| part.start_ms).min()
    }

    /// When its last word was said, in ms since the call began.
    pub(super) fn end_ms(&self) -> Option<u64> {
        self.parts.iter().filter_map(|part| part.end_ms).max()
    }

    /// Whether the room named it, or a part of it.
    pub(super) fn ended_by_room(&self) -> bool {
        self.parts.iter().any(|part| part.from_room)
    }

    /// Whether it is known to be no part of a longer one.
    pub(super) fn is_whole(&self) -> bool {
        self.parts.iter().any(|part| part.whole)
    }

    pub(super) fn segments(&self) -> impl Iterator<Item = &String> {
        self.parts.iter().flat_map(|part| &part.segments)
    }

    pub(super) fn has_segment(&self, segment_id: &str) -> bool {
        self.segments().any(|id| id == segment_id)
    }

    /// A segment went to another turn.
    pub(super) fn lose_segment(&mut self, segment_id: &str) {
        for part in &mut self.parts {
            part.segments.retain(|id| id != segment_id);
        }
        if self.parts.len() > 1 {
            self.parts.retain(|part| part.from_room || !part.segments.is_empty());
        }
    }

    /// The part that segments without one of their own belong to.
    pub(super) fn last_part(&mut self) -> Option<&mut Part> {
        self.parts.last_mut()
    }
}
