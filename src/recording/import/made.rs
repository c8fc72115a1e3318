//! The recording of a call: its turns with the room's turn events, on a clock of their own where the file has none.

use std::collections::{BTreeMap, BTreeSet};

use super::call::{Call, Fault, Labels, Party, Piece};
use super::caller::{self, Voices};
use super::labels;
use super::midnight;
use super::source::Source;
use super::titles;
use super::turns::{Turn, as_they_stand, joined};
use crate::clock::Millis;
use crate::recording::{Header, MAX_AT_MS, Recording, Timed};
use crate::room::message::{Participant, Role, RoomMessage, TurnEnded};

/// Milliseconds that a spoken word takes at 150 words a minute.
const WORD_MS: u64 = 400;
/// Milliseconds between two people's turns.
const GAP_MS: u64 = 300;
/// Times from later than this on are moments, not offsets: they are told from the call's first one.
const LONGEST_CALL_MS: i64 = 7 * 86_400_000;

/// A recording of plain turns, with a made clock and the room's turn events. Whoever is neither caller nor agent joins
/// when they first speak: a core that hears somebody whom nobody announced may take them for the caller.
#[must_use]
pub fn from_turns(room_name: &str, turns: impl IntoIterator<Item = (Role, String)>) -> Recording {
    let turns = turns.into_iter().map(|(role, text)| Said { role, text, start: None, end: None });
    recording(room_name, turns)
}

struct Said {
    role: Role,
    text: String,
    start: Option<u64>,
    end: Option<u64>,
}

fn recording(room_name: &str, turns: impl IntoIterator<Item = Said>) -> Recording {
    let mut at = 0;
    let mut joined = BTreeSet::from(["caller", "agent"]);
    let turns = turns.into_iter();
    let mut messages = Vec::with_capacity(turns.size_hint().0);
    for (index, said) in (0_u64..).zip(turns) {
        let (role, participant_id) = match said.role {
            Role::Caller => (Role::Caller, "caller"),
            Role::Agent => (Role::Agent, "agent"),
            Role::Supervisor => (Role::Supervisor, "supervisor"),
            Role::Observer | Role::Unknown => (Role::Observer, "observer"),
        };
        let spoken = WORD_MS * said.text.split_whitespace().count() as u64;
        let start = said.start.unwrap_or(at + GAP_MS).min(MAX_AT_MS);
        let end = said.end.unwrap_or(start + spoken).max(start).min(MAX_AT_MS);
        if joined.insert(participant_id) {
            let participant = Participant { id: participant_id.to_owned(), role, name: None };
            let message = RoomMessage::ParticipantJoined { seq: None, participant };
            messages.push(Timed { at: Millis(at.max(start)), message });
        }
        // Turns may overlap, but a recording's lines stand in the order of arrival.
        at = at.max(end);
        let ended = TurnEnded {
            seq: Some(index + 1),
            turn_id: format!("u{}", index + 1),
            index: Some(index),
            participant_id: participant_id.to_owned(),
            text: Some(said.text),
            segment_ids: Vec::new(),
            start_ms: Some(start),
            end_ms: Some(end),
            whole: false,
            mended: Vec::new(),
        };
        messages.push(Timed { at: Millis(at), message: RoomMessage::TurnEnded(ended) });
    }
    let header = Header { room_name: room_name.to_owned(), ..Header::default() };
    Recording { header, messages, ..Recording::default() }
}

/// Decides who is the caller and what the turns are. `file` names the call where it has no name of its own, `many` says
/// whether other calls are in it, `caller` is whom `--caller` names.
///
/// # Errors
/// A [`Fault`] when nothing was said in it, or nothing that may be read, or when `caller` is nobody in it.
pub(super) fn source(mut call: Call, file: &str, many: bool, caller: Option<&str>) -> Result<Source, Fault> {
    if !call.pieces.iter().any(|piece| !piece.text.trim().is_empty()) {
        return Err(Fault::new("", "has no words that anybody said"));
    }
    if !call.turns_as_they_stand {
        midnight::pass(&mut call.pieces);
    }
    if call.unread_times > 0 {
        let (times, are) = if call.unread_times == 1 { ("time", "is") } else { ("times", "are") };
        call.warnings.push(format!(
            "{} {times} {are} in no form that can be read, so the file's order stands in their place",
            call.unread_times
        ));
    }
    match caller::voices(&call, caller) {
        Voices::None => call.warnings.push(format!("it names no speakers, {ALL_ONE}")),
        Voices::One(name) => {
            if caller.is_none() {
                call.warnings.push(format!("it has only one speaker, \"{name}\", {ALL_ONE}"));
            }
            // One label for all tells as little of turns as none.
            call.pieces.iter_mut().for_each(|piece| piece.speaker = None);
        }
        Voices::Several => give_speakers(&mut call),
    }
    let mut parties = caller::parties(&mut call, caller)?;
    titles::settle(&mut call, &mut parties);
    let pieces = std::mem::take(&mut call.pieces);
    let turns = if call.turns_as_they_stand { as_they_stand(pieces, &parties) } else { joined(pieces, &parties) };
    if turns.is_empty() {
        return Err(Fault::new("", "has no words left that anybody said; all of it is redacted, sounds or a system's"));
    }
    let labels = call.labels.map(|labels| with_gold(labels, &turns));
    let call_id = call.id.clone().filter(|_| many);
    let name = call_id.as_ref().map_or_else(|| file.to_owned(), |id| format!("{file}#{id}"));
    let room_name = call.id.filter(|id| !id.is_empty()).unwrap_or_else(|| file.to_owned());
    let base = base(&turns, call.began);
    let recording = recording(&room_name, on_one_clock(turns, base));
    let began = call.began.or(Some(base).filter(|base| *base > 0)).and_then(|began| u64::try_from(began).ok());
    let people =
        call.speakers.iter().flat_map(|speaker| &speaker.names).filter_map(|name| labels::person(name)).collect();
    Ok(Source { name, call_id, recording, warnings: call.warnings, labels, people, began })
}

/// What the file's times count from: the call's begin, unless they are moments.
fn base(turns: &[Turn], began: Option<i64>) -> i64 {
    let first = turns.iter().filter_map(|turn| turn.start).min().unwrap_or(0);
    match began {
        _ if (0..LONGEST_CALL_MS).contains(&first) => 0,
        Some(began) if (began..began.saturating_add(LONGEST_CALL_MS)).contains(&first) => began,
        _ => first,
    }
}

const ALL_ONE: &str =
    "so all of it is taken for the caller's; transcribe it with speakers apart (diarization or channels)";

/// Words without a speaker go on with who spoke before.
fn give_speakers(call: &mut Call) {
    let first = call.pieces.iter().find_map(|piece| piece.speaker);
    let mut order: Vec<usize> = (0..call.pieces.len()).collect();
    // By time where they have one, as whoever spoke last may stand elsewhere in the file.
    if call.pieces.iter().all(|piece| piece.start.is_some()) {
        order.sort_by_key(|at| call.pieces[*at].start);
    }
    let (mut last, mut given) = (first, 0_u32);
    for at in order {
        let piece: &mut Piece = &mut call.pieces[at];
        if piece.speaker.is_none() {
            piece.speaker = last;
            given += u32::from(!piece.text.trim().is_empty());
        }
        last = piece.speaker;
    }
    if given > 0 {
        let (pieces, are) = if given == 1 { ("piece", "is") } else { ("pieces", "are") };
        call.warnings.push(format!("{given} {pieces} without a speaker {are} taken for who spoke before"));
    }
}

fn with_gold(labels: Labels, turns: &[Turn]) -> Labels {
    let gold = |(index, turn): (usize, &Turn)| Some((format!("u{}", index + 1), turn.gold?));
    let callers = turns.iter().enumerate().filter(|(_, turn)| turn.party == Party::Caller);
    let gold: BTreeMap<_, _> = callers.filter_map(gold).collect();
    Labels { gold, ..labels }
}

/// Offsets from the call's begin, whatever the file counts from.
fn on_one_clock(turns: Vec<Turn>, base: i64) -> impl Iterator<Item = Said> {
    let offset = move |at: i64| u64::try_from(at.saturating_sub(base)).unwrap_or(0);
    turns.into_iter().map(move |turn| Said {
        role: match turn.party {
            Party::Caller => Role::Caller,
            Party::Agent => Role::Agent,
            Party::Supervisor => Role::Supervisor,
            Party::Observer | Party::Nobody => Role::Observer,
        },
        text: turn.text,
        start: turn.start.map(offset),
        end: turn.end.map(offset),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whoever_is_neither_caller_nor_agent_joins_before_they_speak_and_once() {
        let roles = [Role::Observer, Role::Caller, Role::Unknown, Role::Agent, Role::Supervisor, Role::Supervisor];
        let recording = from_turns("r", roles.map(|role| (role, "well".to_owned())));
        let told = recording.messages.iter().map(|timed| match &timed.message {
            RoomMessage::ParticipantJoined { participant, .. } => {
                format!("{} as {:?}", participant.id, participant.role)
            }
            RoomMessage::TurnEnded(turn) => turn.participant_id.clone(),
            _ => String::new(),
        });
        let told: Vec<String> = told.collect();
        let joined = ["observer as Observer", "observer", "caller", "observer", "agent"];
        assert_eq!(told, [&joined[..], &["supervisor as Supervisor", "supervisor", "supervisor"]].concat());
        assert!(recording.messages.is_sorted_by_key(|timed| timed.at));
    }
}
