//! Which interims are kept of a call ([`Interims`]): those without which other turns would be made of it. The others only say a
//! little more of what is kept, or what a final says again.

use std::collections::{BTreeMap, HashSet};

use crate::clock::Millis;
use crate::recording::Timed;
use crate::room::message::{RoomMessage, Transcript};

/// Looks at all that a room says, in its order.
#[derive(Debug)]
pub(super) struct Interims {
    /// So long a silence ends a turn, in ms.
    silence_ms: u64,
    /// Who has the word.
    speaker: Option<String>,
    /// Participants and segments that something is kept of.
    known: HashSet<(String, String)>,
    voices: BTreeMap<String, Voice>,
}

/// What is kept of one participant.
#[derive(Debug, Default)]
struct Voice {
    kept_at: Millis,
    /// What they said last, kept or not.
    last: Option<Transcript>,
    /// The last interim since, which is not.
    passing: Option<(Millis, Transcript)>,
}

impl Interims {
    pub(super) fn new(silence_ms: u64) -> Self {
        Self { silence_ms, speaker: None, known: HashSet::new(), voices: BTreeMap::new() }
    }

    /// What is to be kept now that a room says something: an interim from before, and whether the message itself is.
    pub(super) fn heard(&mut self, now: Millis, message: &RoomMessage) -> (Option<Timed>, bool) {
        let RoomMessage::Transcript(piece) = message else {
            // It may have given the word to somebody else.
            self.speaker = None;
            return (None, true);
        };
        let who = &piece.participant_id;
        let voice = self.voices.entry(who.clone()).or_default();
        let again = Some(Transcript { seq: None, confidence: None, ..piece.clone() });
        if !piece.is_final && voice.last == again {
            // Nothing is said.
            return (None, false);
        }
        voice.last = again;
        let begins = self.known.insert((who.clone(), piece.segment_id.clone()));
        let takes_over = self.speaker.as_ref() != Some(who);
        if takes_over {
            self.speaker = Some(who.clone());
        }
        // Without what was heard in between it would be a silence.
        let is_far = now >= voice.kept_at.plus(self.silence_ms);
        let before = voice.passing.take().filter(|(_, before)| is_far || before.segment_id != piece.segment_id);
        if let Some((at, _)) = &before {
            voice.kept_at = *at;
        }
        let is_near = now < voice.kept_at.plus(self.silence_ms);
        let keeps = piece.is_final || begins || takes_over || !is_near;
        if keeps {
            voice.kept_at = now;
        } else {
            voice.passing = Some((now, piece.clone()));
        }
        (before.map(kept), keeps)
    }

    /// The call is over: the words that no final came of.
    pub(super) fn last(&mut self) -> impl Iterator<Item = Timed> {
        std::mem::take(&mut self.voices).into_values().filter_map(|voice| voice.passing).map(kept)
    }
}

/// Takes out the words that a final says again: what is half said of a number or a name is not known for one.
pub(super) fn without_words(messages: &mut [Timed]) {
    let segment = |piece: &Transcript| (piece.participant_id.clone(), piece.segment_id.clone());
    let finals = messages.iter().filter_map(|timed| match &timed.message {
        RoomMessage::Transcript(piece) if piece.is_final => Some(segment(piece)),
        _ => None,
    });
    let mut said: BTreeMap<_, usize> = finals.map(|segment| (segment, 0)).collect();
    for timed in messages {
        let RoomMessage::Transcript(piece) = &mut timed.message else { continue };
        let Some(said) = said.get_mut(&segment(piece)).filter(|_| !piece.is_final) else { continue };
        // What is no other than before says nothing.
        ["…", "……"][*said % 2].clone_into(&mut piece.text);
        *said += 1;
    }
}

fn kept((at, piece): (Millis, Transcript)) -> Timed {
    Timed { at, message: RoomMessage::Transcript(piece) }
}
