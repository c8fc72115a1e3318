//! What is kept of what was said in a call ([`Transcript`]): a recording, with numbers, addresses and names taken out.

use crate::call::report::Report;
use crate::clock::{Millis, unix_ms};
use crate::config::settings::KeepTranscripts;
use crate::recording::redact::Redaction;
use crate::recording::{Header, Recording, Timed};
use crate::room::message::{Participant, RoomMessage};
use crate::sentiment::Cue;
use crate::sentiment::describe::masked;
use crate::store::course::{Course, RatedTurn};

/// Most messages that are kept of a call; what comes after them is left out.
const MOST_MESSAGES: usize = 20_000;
/// Most words that are kept of a turn for having made its rating worse.
const MOST_CUES: usize = 6;

/// Collects what a room says, until the call ends.
#[derive(Debug)]
pub(super) struct Transcript {
    keep: KeepTranscripts,
    messages: Vec<Timed>,
    course: Course,
}

impl Transcript {
    pub(super) fn new(keep: KeepTranscripts, threshold: u8) -> Self {
        Self { keep, messages: Vec::new(), course: Course { threshold, ..Course::default() } }
    }

    /// Takes note of a message. What only repeats or prepares another is none.
    pub(super) fn heard(&mut self, now: Millis, message: &RoomMessage) {
        let passing = message.is_interim() || matches!(message, RoomMessage::Ack { .. } | RoomMessage::Error(_));
        if self.keep == KeepTranscripts::None || passing || self.messages.len() >= MOST_MESSAGES {
            return;
        }
        let mut message = message.clone();
        if let RoomMessage::Welcome(welcome) = &mut message {
            // Addresses of a dialog that is over are of no use to anybody.
            welcome.call.sip = None;
        }
        self.messages.push(Timed { at: now, message });
    }

    /// Takes note of what the core reports.
    pub(super) fn reported(&mut self, report: &Report) {
        if self.keep == KeepTranscripts::None {
            return;
        }
        match report {
            Report::Turn(turn) => self.course.rated(RatedTurn {
                turn: turn.turn,
                turn_id: turn.turn_id.clone(),
                at_ms: unix_ms(),
                sentiment: turn.sentiment,
                low: turn.low,
                filler: turn.filler,
                asks_human: turn.asks_human,
                cues: worse(&turn.cues),
            }),
            Report::Transfer { alert_id, .. } => self.course.stepped(alert_id, unix_ms()),
            _ => {}
        }
    }

    /// The recording of a call that ends, and how it went, where they are to be kept.
    pub(super) fn kept(&mut self, room_name: &str, escalated: bool) -> Option<(String, Course)> {
        let messages = std::mem::take(&mut self.messages);
        let course = std::mem::take(&mut self.course);
        match self.keep {
            KeepTranscripts::None => return None,
            KeepTranscripts::Escalated if !escalated => return None,
            KeepTranscripts::Escalated | KeepTranscripts::All => {}
        }
        let names: Vec<String> = messages.iter().flat_map(|timed| people(&timed.message)).filter_map(name).collect();
        let header = Header { room_name: room_name.to_owned(), ..Header::default() };
        let mut recording = Recording { header, messages, ..Recording::default() };
        Redaction::new(names).recording(&mut recording);
        // Its room is found by its name.
        room_name.clone_into(&mut recording.header.room_name);
        let mut out = Vec::new();
        recording.write(&mut out).ok()?;
        Some((String::from_utf8(out).ok()?, course))
    }
}

/// The words of the turn itself that made its rating worse, those that did most first.
fn worse(cues: &[Cue]) -> Vec<Cue> {
    let mut cues: Vec<Cue> = cues.iter().filter(|cue| cue.effect < 0.0 && !cue.carried).cloned().collect();
    cues.sort_by(|a, b| a.effect.total_cmp(&b.effect));
    cues.truncate(MOST_CUES);
    cues.iter_mut().for_each(|cue| cue.text = masked(&cue.text));
    cues
}

fn people(message: &RoomMessage) -> &[Participant] {
    match message {
        RoomMessage::Welcome(welcome) => &welcome.participants,
        RoomMessage::ParticipantJoined { participant, .. } => std::slice::from_ref(participant),
        _ => &[],
    }
}

/// What a caller is called; roles that stand for a name ("agent") are none.
fn name(participant: &Participant) -> Option<String> {
    let name = participant.name.as_ref()?;
    (participant.role == crate::room::message::Role::Caller).then(|| name.clone())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::CutLine;
    use crate::room::message::{CallInfo, Role, SipDialog, Transcript as Said, Welcome};

    fn said(text: &str, is_final: bool) -> RoomMessage {
        RoomMessage::Transcript(Said {
            seq: Some(1),
            segment_id: "s1".to_owned(),
            rev: 0,
            participant_id: "c".to_owned(),
            text: text.to_owned(),
            is_final,
            start_ms: None,
            end_ms: None,
            confidence: None,
            lang: None,
            mended: Vec::new(),
        })
    }

    fn welcome() -> RoomMessage {
        let caller = Participant { id: "c".to_owned(), role: Role::Caller, name: Some("Dana Cole".to_owned()) };
        let sip = SipDialog { call_id: "7@host".to_owned(), ..SipDialog::default() };
        let call = CallInfo { from: Some("+14155550123".to_owned()), sip: Some(Box::new(sip)), ..CallInfo::default() };
        RoomMessage::Welcome(Welcome {
            version: 1,
            session_id: "session_1".to_owned(),
            room_name: "room 4155550123".to_owned(),
            call,
            participants: vec![caller],
            capabilities: Vec::new(),
            resumed: false,
            alerts: Vec::new(),
        })
    }

    fn heard(keep: KeepTranscripts) -> Transcript {
        let mut transcript = Transcript::new(keep, 3);
        transcript.heard(Millis(0), &welcome());
        transcript.heard(Millis(1), &said("my card", false));
        transcript.heard(Millis(2), &said("my card is 4111 1111 1111 1111, Dana Cole here", true));
        transcript
    }

    #[test]
    fn what_is_kept_is_a_recording_without_what_tells_who_it_is() {
        let (text, _) = heard(KeepTranscripts::All).kept("room 4155550123", false).unwrap();
        let recording = Recording::read(text.as_bytes(), "kept", CutLine::Refuse).unwrap();
        assert_eq!((recording.messages.len(), recording.header.room_name.as_str()), (2, "room 4155550123"));
        for secret in ["4111", "Dana", "Cole", "+1415", "7@host"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.contains("my card is"), "{text}");
    }

    #[test]
    fn a_call_is_kept_as_the_settings_say() {
        for (keep, calm, escalated) in [
            (KeepTranscripts::None, false, false),
            (KeepTranscripts::Escalated, false, true),
            (KeepTranscripts::All, true, true),
        ] {
            assert_eq!(heard(keep).kept("room", false).is_some(), calm, "{keep:?}");
            assert_eq!(heard(keep).kept("room", true).is_some(), escalated, "{keep:?}");
        }
        assert!(heard(KeepTranscripts::None).messages.is_empty());
    }
}
