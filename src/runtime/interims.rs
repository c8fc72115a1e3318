//! Which interims are kept of a call ([`Interims`]): those without which other turns would be made of it. The others only say a
//! little more of what is kept, or what a final says again.

use std::collections::{BTreeMap, HashMap, HashSet};

use crate::clock::Millis;
use crate::recording::Timed;
use crate::room::message::{RoomMessage, Transcript};
use crate::sentiment::spelled;

/// A participant and a segment.
type Id = (String, String);

fn id(piece: &Transcript) -> Id {
    (piece.participant_id.clone(), piece.segment_id.clone())
}

/// Looks at all that a room says, in its order.
#[derive(Debug)]
pub(super) struct Interims {
    /// So long a silence ends a turn, in ms.
    silence_ms: u64,
    /// Who has the word.
    speaker: Option<String>,
    /// What counts of each segment, by participant and id: whether it is final, and its revision.
    known: HashMap<Id, (bool, u32)>,
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
        Self { silence_ms, speaker: None, known: HashMap::new(), voices: BTreeMap::new() }
    }

    /// What is to be kept now that a room says something: an interim from before, and whether the message itself is.
    pub(super) fn heard(&mut self, now: Millis, message: &RoomMessage) -> (Option<Timed>, bool) {
        let RoomMessage::Transcript(piece) = message else {
            // It may have given the word to somebody else.
            self.speaker = None;
            return (None, true);
        };
        let (who, id, counts) = (&piece.participant_id, id(piece), (piece.is_final, piece.rev));
        let known = self.known.get(&id).copied();
        if known.is_none() && piece.text.trim().is_empty() {
            // It begins nothing; but whoever nobody announced is somebody from now on.
            return (None, true);
        }
        if !piece.is_final && known.is_some_and(|known| counts < known) {
            // Overtaken by a later one.
            return (None, false);
        }
        let begins = self.known.insert(id, counts.max(known.unwrap_or_default())).is_none();
        let voice = self.voices.entry(who.clone()).or_default();
        let again = Some(Transcript { seq: None, confidence: None, ..piece.clone() });
        if !piece.is_final && voice.last == again {
            // Nothing is said.
            return (None, false);
        }
        voice.last = again;
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

/// Takes out the words that come again: in a later piece of the same segment, or in the room's own words of its turn. What is half
/// said of a number is not known for one, so that no number stays in what does not come again either.
pub(super) fn without_words(messages: &mut [Timed]) {
    let mut again: HashSet<Id> = HashSet::new();
    let mut said: HashMap<Id, usize> = HashMap::new();
    for timed in messages.iter_mut().rev() {
        match &mut timed.message {
            RoomMessage::TurnEnded(turn) if turn.text.is_some() => {
                again.extend(turn.segment_ids.iter().map(|segment| (turn.participant_id.clone(), segment.clone())));
            }
            RoomMessage::Transcript(piece) if !piece.text.trim().is_empty() => {
                let id = id(piece);
                let comes_again = !again.insert(id.clone());
                if !piece.is_final && comes_again {
                    let said = said.entry(id).or_default();
                    // What is no other than before says nothing.
                    ["…", "……"][*said % 2].clone_into(&mut piece.text);
                    *said += 1;
                } else if !piece.is_final {
                    piece.text = spelled::replaced(&piece.text, |_| Some("[NUMBER]"));
                }
            }
            _ => {}
        }
    }
}

fn kept((at, piece): (Millis, Transcript)) -> Timed {
    Timed { at, message: RoomMessage::Transcript(piece) }
}
