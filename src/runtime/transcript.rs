//! What is kept of what was said in a call ([`Transcript`]): a recording, with numbers, addresses and names taken out.

use serde_json::{Map, json};

use super::interims::{Interims, without_words};
use crate::call::report::Report;
use crate::clock::{Millis, unix_ms};
use crate::config::settings::{KeepTranscripts, Settings};
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
    silence_ms: u64,
    messages: Vec<Timed>,
    interims: Interims,
    course: Course,
}

impl Transcript {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            keep: settings.keep_transcripts,
            silence_ms: settings.turn_silence_ms,
            messages: Vec::new(),
            interims: Interims::new(settings.turn_silence_ms),
            course: Course { threshold: settings.threshold, ..Course::default() },
        }
    }

    /// Takes note of a message, unless the same turns come of the call without it.
    pub(super) fn heard(&mut self, now: Millis, message: &RoomMessage) {
        let passing = matches!(message, RoomMessage::Ack { .. } | RoomMessage::Error(_));
        if self.keep == KeepTranscripts::None || passing || self.messages.len() >= MOST_MESSAGES {
            return;
        }
        let (before, keeps) = self.interims.heard(now, message);
        before.into_iter().for_each(|before| self.insert(before));
        if !keeps {
            return;
        }
        let mut message = message.clone();
        if let RoomMessage::Welcome(welcome) = &mut message {
            // Addresses of a dialog that is over are of no use to anybody.
            welcome.call.sip = None;
        }
        self.messages.push(Timed { at: now, message });
    }

    /// Puts an earlier message in its place.
    fn insert(&mut self, earlier: Timed) {
        let at = self.messages.partition_point(|timed| timed.at <= earlier.at);
        self.messages.insert(at, earlier);
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
        let last: Vec<Timed> = self.interims.last().collect();
        last.into_iter().for_each(|last| self.insert(last));
        let mut messages = std::mem::take(&mut self.messages);
        without_words(&mut messages);
        let course = std::mem::take(&mut self.course);
        match self.keep {
            KeepTranscripts::None => return None,
            KeepTranscripts::Escalated if !escalated => return None,
            KeepTranscripts::Escalated | KeepTranscripts::All => {}
        }
        let names: Vec<String> = messages.iter().flat_map(|timed| people(&timed.message)).filter_map(name).collect();
        // Turns are made of it as they were made of the call.
        let agent = Map::from_iter([("turnSilenceMs".to_owned(), json!(self.silence_ms))]);
        let header = Header { room_name: room_name.to_owned(), agent: Some(agent), ..Header::default() };
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
    use crate::replay::engine;
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
        let mut transcript = Transcript::new(&Settings { keep_transcripts: keep, ..Settings::default() });
        transcript.heard(Millis(0), &welcome());
        transcript.heard(Millis(1), &said("my card", false));
        transcript.heard(Millis(2), &said("my card is 4111 1111 1111 1111, Dana Cole here", true));
        transcript
    }

    #[test]
    fn what_is_kept_is_a_recording_without_what_tells_who_it_is() {
        let (text, _) = heard(KeepTranscripts::All).kept("room 4155550123", false).unwrap();
        let recording = Recording::read(text.as_bytes(), "kept", CutLine::Refuse).unwrap();
        assert_eq!((recording.messages.len(), recording.header.room_name.as_str()), (3, "room 4155550123"));
        assert_eq!(text.matches("my card").count(), 1, "an interim's words are its final's: {text}");
        for secret in ["4111", "Dana", "Cole", "+1415", "7@host"] {
            assert!(!text.contains(secret), "{secret} in {text}");
        }
        assert!(text.contains("my card is"), "{text}");
    }

    fn word_of(number: u64) -> String {
        let letter = |n: u64| char::from(b'a' + u8::try_from(n % 26).unwrap());
        format!("w{}{}", letter(number / 26), letter(number))
    }

    /// What a room with interims says: two who speak in turn and at once, with pauses of all lengths, and finals that come late
    /// or never.
    fn with_interims(mut chance: u64, ends_turns: bool) -> Vec<Timed> {
        let mut next = |below: u64| {
            chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (chance >> 33) % below
        };
        let mut messages = vec![Timed { at: Millis(0), message: welcome() }];
        let (mut at, mut segments) = (0, [0_u64; 2]);
        for word in 0..60_u64 {
            at += [90, 200, 400, 700, 1_000, 1_150, 1_300, 2_500][usize::try_from(next(8)).unwrap()];
            let who = usize::try_from(next(6) / 5).unwrap();
            let is_final = next(4) == 0;
            let text = if next(9) == 0 { String::new() } else { word_of(word) };
            let RoomMessage::Transcript(mut piece) = said(&text, is_final) else { continue };
            piece.rev = u32::try_from(next(3)).unwrap();
            piece.participant_id = ["c", "a"][who].to_owned();
            piece.segment_id = format!("{}{}", piece.participant_id, segments[who]);
            segments[who] += u64::from(is_final || next(12) == 0);
            let (who, segment) = (piece.participant_id.clone(), piece.segment_id.clone());
            messages.push(Timed { at: Millis(at), message: RoomMessage::Transcript(piece) });
            if ends_turns && next(9) == 0 {
                let segments = if next(2) == 0 { vec![segment] } else { Vec::new() };
                let ended = json!({"type": "turn.ended", "turn_id": format!("t{word}"), "participant_id": who,
                    "segment_ids": segments, "text": format!("{} whole", word_of(word))});
                messages.push(Timed { at: Millis(at + 50), message: serde_json::from_value(ended).unwrap() });
            }
        }
        messages
    }

    #[test]
    fn the_same_turns_come_of_what_is_kept() {
        let settings = Settings { keep_transcripts: KeepTranscripts::All, ..Settings::default() };
        let mut left_out = 0;
        for chance in 0..300 {
            let messages = with_interims(chance, chance % 3 == 0);
            let mut transcript = Transcript::new(&settings);
            messages.iter().for_each(|timed| transcript.heard(timed.at, &timed.message));
            let (text, _) = transcript.kept("room", true).unwrap();
            let kept = Recording::read(text.as_bytes(), "kept", CutLine::Refuse).unwrap();
            left_out += messages.len() - kept.messages.len();
            let live = Recording { messages, ..Recording::default() };
            let turns = |of: &Recording| -> Vec<_> {
                engine::said(of, &settings).into_iter().map(|said| (said.ids, said.participant_id, said.text)).collect()
            };
            assert_eq!(turns(&kept), turns(&live), "{chance}: {text}");
        }
        assert!(left_out > 300, "{left_out}");
    }

    /// What is kept of a call in which a caller says this, piece by piece.
    fn kept_of(messages: Vec<RoomMessage>) -> String {
        let settings = Settings { keep_transcripts: KeepTranscripts::All, ..Settings::default() };
        let mut transcript = Transcript::new(&settings);
        transcript.heard(Millis(0), &welcome());
        for (at, message) in (1..).zip(messages) {
            transcript.heard(Millis(at * 500), &message);
        }
        transcript.kept("room", true).unwrap().0
    }

    #[test]
    fn what_was_half_said_of_a_number_is_not_kept() {
        let piece = |who: &str, segment: &str, text: &str, is_final| {
            let RoomMessage::Transcript(mut piece) = said(text, is_final) else { panic!() };
            (piece.participant_id, piece.segment_id) = (who.to_owned(), segment.to_owned());
            RoomMessage::Transcript(piece)
        };
        let ended = |segments: &[&str]| {
            let ended = json!({"type": "turn.ended", "turn_id": "u1", "participant_id": "c", "segment_ids": segments,
                "text": "my card is 4111 1111 1111 1111"});
            serde_json::from_value::<RoomMessage>(ended).unwrap()
        };
        let half = || ["my card is 4111", "my card is 4111 1111"].map(|text| piece("c", "s1", text, false)).to_vec();
        for end in [ended(&["s1"]), ended(&[])] {
            let text = kept_of([half(), vec![end]].concat());
            assert!(!text.contains("4111") && text.contains("my card is"), "{text}");
        }
        // A number in pieces is one, however long somebody else speaks while its first one is being heard.
        let mut messages = vec![piece("c", "c1", "4111", false)];
        messages.push(piece("a", "a1", "Could you read me the number on your card, please?", true));
        messages.extend(
            [("c1", "4111"), ("c2", "1111"), ("c3", "1111"), ("c4", "1111")]
                .map(|(segment, text)| piece("c", segment, text, true)),
        );
        let text = kept_of(messages);
        assert!(!text.contains("4111") && !text.contains("1111"), "{text}");
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
