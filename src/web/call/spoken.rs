//! Who said what in a call, turn by turn, as its recording has it: a room tells a turn's words with its end, or in pieces before.

use crate::recording::Recording;
use crate::room::message::{RoomMessage, Transcript, TurnEnded};

/// So many turns and pieces back the end of a turn, or a piece of it, is looked for.
const LOOK_BACK: usize = 256;

/// A turn, or a piece whose turn nobody ended.
#[derive(Debug)]
pub(super) struct Spoken {
    /// Who.
    pub(super) who: String,
    /// What the call's course calls it: the room's id or, where the room did not end it, `t-` and the first piece's.
    pub(super) id: String,
    /// Its words as the room's end of it has them, which go before those of its pieces.
    words: Option<String>,
    /// The pieces that it names.
    names: Vec<String>,
    /// Those of them that are there.
    pieces: Vec<Transcript>,
    /// Whether the room ended it.
    ended: bool,
}

impl Spoken {
    fn piece(piece: &Transcript) -> Self {
        Self {
            who: piece.participant_id.clone(),
            id: format!("t-{}", piece.segment_id),
            words: None,
            names: vec![piece.segment_id.clone()],
            pieces: vec![piece.clone()],
            ended: false,
        }
    }

    fn of_room(turn: &TurnEnded) -> Self {
        Self {
            who: turn.participant_id.clone(),
            id: turn.turn_id.clone(),
            words: turn.text.clone(),
            names: turn.segment_ids.clone(),
            pieces: Vec::new(),
            ended: true,
        }
    }

    /// Its words.
    pub(super) fn text(&self) -> String {
        if let Some(words) = &self.words {
            return words.trim().to_owned();
        }
        let mut pieces: Vec<&Transcript> = self.pieces.iter().collect();
        // In the order of speech, where times tell it.
        pieces.sort_by_key(|piece| piece.start_ms.unwrap_or(u64::MAX));
        let texts = pieces.into_iter().map(|piece| piece.text.trim()).filter(|text| !text.is_empty());
        texts.collect::<Vec<_>>().join(" ")
    }

    /// Takes a piece of it; said again under its id, the newest version counts.
    fn take(&mut self, piece: &Transcript) {
        match self.pieces.iter_mut().find(|known| known.segment_id == piece.segment_id) {
            Some(known) if known.rev <= piece.rev => *known = piece.clone(),
            Some(_) => {}
            None => self.pieces.push(piece.clone()),
        }
    }
}

/// All that was said, in its order. What the course rates by itself (`is_rated`, by its id) stays a turn of its own unless another
/// one names it.
pub(super) fn spoken(recording: &Recording, is_rated: impl Fn(&str) -> bool) -> Vec<Spoken> {
    let mut all = Vec::new();
    for timed in &recording.messages {
        match &timed.message {
            RoomMessage::Transcript(piece) if piece.is_final => said(&mut all, piece),
            RoomMessage::TurnEnded(turn) => ended(&mut all, turn, &is_rated),
            _ => {}
        }
    }
    let mut told: Vec<Spoken> = Vec::with_capacity(all.len());
    for one in all {
        if one.ended || is_rated(&one.id) {
            told.push(one);
        } else if let Some(before) = told.last_mut().filter(|before| before.who == one.who && !before.ended) {
            // Nobody ended either, and nobody spoke in between.
            one.pieces.iter().for_each(|piece| before.take(piece));
        } else if !is_told_already(&told, &one) {
            told.push(one);
        }
    }
    told.retain(|one| !one.text().is_empty());
    told
}

fn said(all: &mut Vec<Spoken>, piece: &Transcript) {
    let of = |one: &&mut Spoken| one.who == piece.participant_id && one.names.contains(&piece.segment_id);
    match all.iter_mut().rev().take(LOOK_BACK).find(of) {
        Some(turn) => turn.take(piece),
        None => all.push(Spoken::piece(piece)),
    }
}

fn ended(all: &mut Vec<Spoken>, turn: &TurnEnded, is_rated: &impl Fn(&str) -> bool) {
    let mut recent = all.split_off(all.len().saturating_sub(LOOK_BACK));
    let known = recent.iter().position(|one| one.ended && one.who == turn.participant_id && one.id == turn.turn_id);
    let is_of_it = |one: &Spoken| {
        let named = || one.names.iter().any(|id| turn.segment_ids.contains(id));
        let waits = || turn.segment_ids.is_empty() && !is_rated(&one.id);
        !one.ended && one.who == turn.participant_id && (named() || waits())
    };
    // It stands where its last piece did: somebody else may have spoken before the room said that it was over.
    let at = known.or_else(|| recent.iter().rposition(is_of_it));
    let mut whole = Spoken::of_room(turn);
    // The room may revise it.
    let parts = known.map(|at| &recent[at]).into_iter().chain(recent.iter().filter(|one| is_of_it(one)));
    for part in parts {
        part.pieces.iter().for_each(|piece| whole.take(piece));
        whole.words = whole.words.or_else(|| part.words.clone());
        whole.names.extend(part.names.iter().cloned());
    }
    match at {
        Some(at) => recent[at] = whole,
        None => recent.push(whole),
    }
    recent.retain(|one| !is_of_it(one));
    all.append(&mut recent);
}

/// Whether the last turn of the same person has a piece's words: it came after the end of the turn that it is of.
fn is_told_already(told: &[Spoken], piece: &Spoken) -> bool {
    let last = told.iter().rev().find(|one| one.who == piece.who);
    last.and_then(|last| last.words.as_ref()).is_some_and(|words| words.contains(&piece.text()))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use serde_json::{Value, json};

    use super::*;
    use crate::recording::CutLine;

    fn piece(who: &str, id: &str, text: &str) -> Value {
        json!({"type": "transcript", "segment_id": id, "rev": 0, "participant_id": who, "text": text, "final": true})
    }

    fn end(who: &str, id: &str, segment_ids: &[&str], text: Option<&str>) -> Value {
        json!({"type": "turn.ended", "turn_id": id, "participant_id": who, "segment_ids": segment_ids, "text": text})
    }

    /// Who said what, as `id who: words`.
    fn told(messages: &[Value], rated: &[&str]) -> Vec<String> {
        let mut text = format!("{}\n", json!({"type": "recording", "version": 1, "room_name": "r"}));
        for (at, message) in messages.iter().enumerate() {
            let mut message = message.clone();
            message["at_ms"] = at.into();
            text.push_str(&format!("{message}\n"));
        }
        let recording = Recording::read(text.as_bytes(), "r", CutLine::Refuse).unwrap();
        let all = spoken(&recording, |id| rated.contains(&id));
        all.iter().map(|one| format!("{} {}: {}", one.id, one.who, one.text())).collect()
    }

    #[test]
    fn a_turn_without_words_of_its_own_says_those_of_its_pieces() {
        // As a call that is heard on its way says it: each turn as a piece and its end.
        let proxied = [
            piece("agent", "agent-1", "How can I help?"),
            end("agent", "agent-1", &["agent-1"], None),
            piece("caller", "caller-1", "You charged me twice."),
            end("caller", "caller-1", &["caller-1"], None),
            // Cut where the caller interrupted.
            end("agent", "agent-1", &["agent-1"], Some("How can")),
        ];
        assert_eq!(told(&proxied, &["caller-1"]), ["agent-1 agent: How can", "caller-1 caller: You charged me twice."]);
        // Without names, those that wait; the words of an end go before those of its pieces.
        let native = [
            piece("c", "s1", "So"),
            piece("a", "s2", "Yes?"),
            piece("c", "s3", "I want my money."),
            piece("c", "s3", "I want my money back."),
            end("c", "u1", &[], None),
            end("a", "u2", &["s2"], Some("Yes?")),
            piece("c", "s4", "now"),
            end("c", "u3", &[], Some("Now.")),
        ];
        assert_eq!(told(&native, &[]), ["u2 a: Yes?", "u1 c: So I want my money back.", "u3 c: Now."]);
    }

    #[test]
    fn a_piece_that_comes_after_its_end_is_of_its_turn() {
        let late = [
            end("c", "u1", &["s1", "s2"], None),
            piece("c", "s2", "late"),
            piece("c", "s1", "too"),
            end("c", "u2", &[], Some("And that.")),
            piece("c", "s3", "And that."),
        ];
        assert_eq!(told(&late, &[]), ["u1 c: late too", "u2 c: And that."]);
    }

    #[test]
    fn what_nobody_ended_is_told_up_to_where_somebody_else_speaks_or_another_turn_is_rated() {
        let silent = [
            piece("c", "s1", "Nobody"),
            piece("c", "s2", "cares."),
            piece("a", "s3", "Well."),
            piece("c", "s4", "One."),
            piece("c", "s5", "Two."),
        ];
        let expected = ["t-s1 c: Nobody cares.", "t-s3 a: Well.", "t-s4 c: One.", "t-s5 c: Two."];
        assert_eq!(told(&silent, &["t-s1", "t-s4", "t-s5"]), expected);
        // The agent's turns have an end, and the caller's do not.
        let mixed = [piece("c", "s1", "Hello?"), end("a", "u1", &[], Some("Hi.")), piece("c", "s2", "Bye.")];
        assert_eq!(told(&mixed, &["t-s1"]), ["t-s1 c: Hello?", "u1 a: Hi.", "t-s2 c: Bye."]);
    }
}
