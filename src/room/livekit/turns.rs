//! What is passed on of a conversation that agents tell of ([`Turns`]): of the account that is believed ([`Accounts`]), each turn
//! once, with the segments of it that a lesser account told before.

use std::collections::{HashMap, HashSet, VecDeque};

use super::accounts::{Accounts, Belief, Source, Standing, Way};
use super::proto::models::Transcription;
use super::proto::session::{ChatMessage, ChatPayload, ChatRole, Timestamp};
use super::streams::Stream;
use crate::room::message::{RoomMessage, Transcript, TurnEnded};

const SEGMENT: &str = "lk.segment_id";
const FINAL: &str = "lk.transcription_final";
/// How many segments are remembered that no turn names.
const MAX_LOOSE: usize = 256;
/// Who said a turn of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Said<'a> {
    /// The caller.
    ByCaller(&'a str),
    /// The agent.
    ByAgent(&'a str),
}

impl<'a> Said<'a> {
    fn who(self) -> &'a str {
        match self {
            Self::ByCaller(who) | Self::ByAgent(who) => who,
        }
    }
}

/// A segment that was passed on, and that no turn has named.
#[derive(Debug)]
struct Loose {
    who: String,
    segment_id: String,
    words: String,
    is_final: bool,
}

/// The conversation, as one agent tells it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    accounts: Accounts,
    /// How often each segment was passed on.
    revisions: HashMap<(String, String), u32>,
    loose: VecDeque<Loose>,
    /// What a session whose account is believed told by streams besides, and by no turn yet: where it breaks off, nobody else
    /// has these words.
    untold: VecDeque<Piece>,
    /// The turns that were passed on, by their ids.
    told: HashSet<String>,
    /// When the call began, in ms since 1970.
    began_ms: i64,
}

impl Turns {
    /// When the call began, in ms since 1970: what the times of its turns count from.
    pub(super) fn began(&mut self, at_ms: i64) {
        self.began_ms = at_ms;
    }

    /// Whose account is believed.
    pub(super) fn source(&self) -> Option<&Source> {
        self.accounts.source()
    }

    /// Whether an account is believed; a better one is from now on.
    pub(super) fn believes(&mut self, way: Way, sid: &str, standing: impl Fn(&str) -> Standing) -> bool {
        let belief = self.accounts.hears(way, sid, standing);
        if belief == Belief::Instead {
            self.untold.clear();
        }
        belief != Belief::Not
    }

    /// Somebody is gone: another one's account may be believed. What the caller said, and they had not told as a turn, is told
    /// now, in pieces.
    pub(super) fn forget(&mut self, sid: &str, is_caller: impl Fn(&str) -> bool) -> Vec<RoomMessage> {
        if !self.accounts.forget(sid) {
            return Vec::new();
        }
        let untold = std::mem::take(&mut self.untold);
        untold.into_iter().filter(|piece| is_caller(&piece.who)).map(|piece| self.piece(piece)).collect()
    }

    /// Keeps what a session tells by streams besides.
    fn keep(&mut self, piece: Piece) {
        self.untold.retain(|kept| kept.who != piece.who || kept.segment_id != piece.segment_id);
        if !piece.is_final || words(&piece.text).trim().is_empty() {
            return;
        }
        self.untold.push_back(piece);
        if self.untold.len() > MAX_LOOSE {
            self.untold.pop_front();
        }
    }

    /// A turn was told that has these words: so is what was kept of it, and what was said before that. Who tells what they
    /// never heard so has changed the words: then all of it was told.
    fn settle(&mut self, who: &str, of_turn: &str, is_last: bool) {
        let (mut rest, mut last) = (of_turn, None);
        for (at, kept) in self.untold.iter().enumerate().filter(|(_, kept)| kept.who == who) {
            let words = words(&kept.text);
            if let Some(found) = rest.find(&words) {
                rest = &rest[found + words.len() - 1..];
                last = Some(at);
            }
        }
        let told = match last {
            Some(at) => at + 1,
            None if is_last => self.untold.len(),
            None => 0,
        };
        let mut at = 0;
        self.untold.retain(|kept| {
            at += 1;
            at > told || kept.who != who
        });
    }

    /// A stream of transcript.
    pub(super) fn stream(
        &mut self,
        stream: Stream,
        standing: impl Fn(&str) -> Standing,
    ) -> Result<Option<RoomMessage>, &'static str> {
        let besides = |source: &Source| source.way == Way::Session && source.sid == stream.sender.sid;
        let besides = self.accounts.source().is_some_and(besides);
        if !besides && !self.believes(Way::Streams, &stream.sender.sid, standing) {
            return Ok(None);
        }
        let Ok(text) = String::from_utf8(stream.content) else { return Err("its text is not UTF-8") };
        let Some(segment_id) = stream.attributes.get(SEGMENT).filter(|id| !id.is_empty()) else {
            return Err("it names no lk.segment_id");
        };
        // Where nothing is said of it, all that is said is there.
        let is_final = stream.attributes.get(FINAL).is_none_or(|value| value != "false");
        let piece = Piece { who: stream.sender.identity, segment_id: segment_id.clone(), text, is_final };
        if besides {
            self.keep(piece);
            return Ok(None);
        }
        Ok(Some(self.piece(piece)))
    }

    /// A packet of transcript.
    pub(super) fn packet(
        &mut self,
        sid: &str,
        transcription: Transcription,
        standing: impl Fn(&str) -> Standing,
    ) -> Vec<RoomMessage> {
        if !self.believes(Way::Packets, sid, standing) {
            return Vec::new();
        }
        let who = transcription.transcribed_participant_identity;
        let pieces = transcription.segments.into_iter().filter(|segment| !segment.id.is_empty());
        pieces
            .map(|segment| {
                let (segment_id, text, is_final) = (segment.id, segment.text, segment.r#final);
                self.piece(Piece { who: who.clone(), segment_id, text, is_final })
            })
            .collect()
    }

    fn piece(&mut self, piece: Piece) -> RoomMessage {
        let Piece { who, segment_id, text, is_final } = piece;
        let rev = self.revisions.entry((who.clone(), segment_id.clone())).or_default();
        *rev += 1;
        let rev = *rev;
        self.loose.retain(|loose| loose.who != who || loose.segment_id != segment_id);
        let words = words(&text);
        if !words.trim().is_empty() {
            self.loose.push_back(Loose { who: who.clone(), segment_id: segment_id.clone(), words, is_final });
        }
        if self.loose.len() > MAX_LOOSE {
            self.loose.pop_front();
        }
        RoomMessage::Transcript(Transcript {
            seq: None,
            segment_id,
            rev,
            participant_id: who,
            text,
            is_final,
            start_ms: None,
            end_ms: None,
            confidence: None,
            lang: None,
            mended: Vec::new(),
        })
    }

    /// A turn of a session, once. What was passed on of it before, by a lesser account, is named as its own.
    pub(super) fn turn(&mut self, said: Said<'_>, message: &ChatMessage) -> Option<RoomMessage> {
        if !self.is_new(message) {
            return None;
        }
        let words = words(&text(message));
        self.settle(said.who(), &words, true);
        let segment_ids = self.claim(said.who(), &words);
        Some(RoomMessage::TurnEnded(self.tell(said, message, segment_ids)))
    }

    /// What was said before we came, each turn once. Those between two of somebody else are whole: where what follows was told
    /// already, the next one of the same speaker is a neighbour until the other's between them is told.
    ///
    /// A turn of which nothing was passed on names itself as its segment: naming none, it would take what is being said just
    /// now. What a lesser account passed on and had not finished is part of the last turn: its end comes by this account.
    pub(super) fn history<'a>(
        &mut self,
        history: Vec<ChatMessage>,
        said: impl Fn(ChatRole) -> Said<'a>,
    ) -> Vec<RoomMessage> {
        let mut ids = HashSet::new();
        let history: Vec<ChatMessage> =
            history.into_iter().filter(|message| is_said(message) && ids.insert(message.id.clone())).collect();
        let role = |at: Option<usize>| Some(history.get(at?)?.role());
        let is_whole = |at: usize| {
            let (before, own, after) = (role(at.checked_sub(1)), role(Some(at)), role(Some(at + 1)));
            before != own && after.is_some() && after != own
        };
        let new: Vec<(&ChatMessage, bool)> = history
            .iter()
            .enumerate()
            .filter(|(_, one)| self.is_new(one))
            .map(|(at, one)| (one, is_whole(at)))
            .collect();
        for (message, _) in &new {
            self.settle(said(message.role()).who(), &words(&text(message)), false);
        }
        // What was passed on was said last.
        let claimed: Vec<Vec<String>> =
            new.iter().rev().map(|(message, _)| self.claim_before(said(message.role()).who(), message)).collect();
        let told = new.iter().zip(claimed.into_iter().rev());
        told.map(|((message, whole), segment_ids)| {
            let turn = self.tell(said(message.role()), message, segment_ids);
            RoomMessage::TurnEnded(TurnEnded { whole: *whole, ..turn })
        })
        .collect()
    }

    /// The segments of a turn of before: those that were passed on of it, else itself.
    fn claim_before(&mut self, who: &str, message: &ChatMessage) -> Vec<String> {
        let mut segment_ids = self.claim(who, &words(&text(message)));
        segment_ids.extend(self.claim_unfinished(who));
        if segment_ids.is_empty() {
            segment_ids.push(message.id.clone());
        }
        segment_ids
    }

    fn tell(&mut self, said: Said<'_>, message: &ChatMessage, segment_ids: Vec<String>) -> TurnEnded {
        self.told.insert(message.id.clone());
        let metrics = message.metrics.unwrap_or_default();
        TurnEnded {
            seq: None,
            turn_id: message.id.clone(),
            index: None,
            participant_id: said.who().to_owned(),
            segment_ids,
            text: Some(text(message)),
            start_ms: self.ms(metrics.started_speaking_at),
            end_ms: self.ms(metrics.stopped_speaking_at),
            whole: false,
            mended: Vec::new(),
        }
    }

    /// Whether somebody said it, and it was not told yet.
    fn is_new(&self, message: &ChatMessage) -> bool {
        is_said(message) && !self.told.contains(&message.id)
    }

    /// The segments that a turn consists of, in their order.
    fn claim(&mut self, who: &str, words: &str) -> Vec<String> {
        let (mut claimed, mut rest) = (Vec::new(), words);
        self.loose.retain(|loose| {
            let at = (loose.who == who && loose.is_final).then(|| rest.find(&loose.words)).flatten();
            let Some(at) = at else { return true };
            // The space behind it is the one before the next.
            rest = &rest[at + loose.words.len() - 1..];
            claimed.push(loose.segment_id.clone());
            false
        });
        claimed
    }

    /// What somebody had not finished.
    fn claim_unfinished(&mut self, who: &str) -> Vec<String> {
        let is_unfinished = |loose: &Loose| loose.who == who && !loose.is_final;
        let unfinished = self.loose.iter().filter(|loose| is_unfinished(loose));
        let claimed = unfinished.map(|loose| loose.segment_id.clone()).collect();
        self.loose.retain(|loose| !is_unfinished(loose));
        claimed
    }

    /// A moment, in ms since the call began. The agent's clock is not the server's: what seems to lie before is left out.
    fn ms(&self, at: Option<Timestamp>) -> Option<u64> {
        let at = at?;
        let ms = at.seconds.checked_mul(1000)?.checked_add(i64::from(at.nanos) / 1_000_000)?;
        u64::try_from(ms.checked_sub(self.began_ms)?).ok()
    }
}

/// A piece of transcript.
#[derive(Debug)]
struct Piece {
    who: String,
    segment_id: String,
    text: String,
    is_final: bool,
}

fn is_said(message: &ChatMessage) -> bool {
    matches!(message.role(), ChatRole::User | ChatRole::Assistant) && !text(message).trim().is_empty()
}

/// All that was said in a turn.
fn text(message: &ChatMessage) -> String {
    let parts: Vec<&str> = message
        .content
        .iter()
        .filter_map(|content| content.payload.as_ref().map(|ChatPayload::Text(text)| text.as_str()))
        .collect();
    parts.join("\n")
}

/// The words alone: a turn's text is punctuated anew.
fn words(text: &str) -> String {
    let words: Vec<String> = text
        .split(|c: char| !(c.is_alphanumeric() || c == '\''))
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect();
    // Between spaces, so that no word is found within another one.
    format!(" {} ", words.join(" "))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use std::collections::BTreeMap;

    use super::super::proto::models::TranscriptionSegment;
    use super::super::proto::session::{ChatContent, MetricsReport};
    use super::super::streams::Sender;
    use super::*;

    fn stream(sid: &str, segment: &str, text: &str, is_final: &str) -> Stream {
        let attributes = [(SEGMENT, segment), (FINAL, is_final)].map(|(k, v)| (k.to_owned(), v.to_owned()));
        Stream {
            sender: Sender { identity: "caller".to_owned(), sid: sid.to_owned() },
            topic: "lk.transcription".to_owned(),
            attributes: BTreeMap::from(attributes),
            content: text.as_bytes().to_vec(),
        }
    }

    fn packet(segment: &str, text: &str) -> Transcription {
        let (id, text) = (segment.to_owned(), text.to_owned());
        Transcription {
            transcribed_participant_identity: "caller".to_owned(),
            segments: vec![TranscriptionSegment { id, text, r#final: true, ..TranscriptionSegment::default() }],
            ..Transcription::default()
        }
    }

    fn message(id: &str, role: ChatRole, text: &str) -> ChatMessage {
        let payload = Some(ChatPayload::Text(text.to_owned()));
        ChatMessage {
            id: id.to_owned(),
            role: role.into(),
            content: vec![ChatContent { payload }],
            ..ChatMessage::default()
        }
    }

    /// Everybody is in the room.
    fn there(_: &str) -> Standing {
        Standing::There
    }

    fn said(turns: &mut Turns, stream: Stream) -> Option<(String, u32, String, bool)> {
        match turns.stream(stream, there).unwrap() {
            Some(RoomMessage::Transcript(t)) => Some((t.segment_id, t.rev, t.text, t.is_final)),
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    }

    fn turn(turns: &mut Turns, message: &ChatMessage) -> Option<TurnEnded> {
        match turns.turn(Said::ByCaller("caller"), message) {
            Some(RoomMessage::TurnEnded(turn)) => Some(turn),
            Some(other) => panic!("{other:?}"),
            None => None,
        }
    }

    #[test]
    fn a_segment_is_revised_under_its_id() {
        let mut turns = Turns::default();
        let first = said(&mut turns, stream("PA_1", "SG_1", "this is", "false"));
        assert_eq!(first, Some(("SG_1".to_owned(), 1, "this is".to_owned(), false)));
        let last = said(&mut turns, stream("PA_1", "SG_1", "This is ridiculous.", "true"));
        assert_eq!(last, Some(("SG_1".to_owned(), 2, "This is ridiculous.".to_owned(), true)));
    }

    #[test]
    fn of_two_ways_and_of_two_agents_one_is_believed() {
        let mut turns = Turns::default();
        assert_eq!(turns.packet("PA_1", packet("SG_1", "No."), there).len(), 1);
        assert!(said(&mut turns, stream("PA_1", "SG_1", "No.", "true")).is_some(), "streams are better than packets");
        assert!(turns.packet("PA_1", packet("SG_2", "No!"), there).is_empty());
        assert!(
            said(&mut turns, stream("PA_2", "SG_9", "No.", "true")).is_none(),
            "another agent hears the same caller"
        );
        turns.forget("PA_2", |_| true);
        assert!(said(&mut turns, stream("PA_2", "SG_9", "No.", "true")).is_none());
        turns.forget("PA_1", |_| true);
        assert!(said(&mut turns, stream("PA_2", "SG_9", "No.", "true")).is_some(), "the first agent is gone");
        assert!(turns.believes(Way::Session, "PA_3", there));
        assert!(
            said(&mut turns, stream("PA_2", "SG_10", "Stop.", "true")).is_none(),
            "a session is better than streams"
        );
    }

    #[test]
    fn a_turn_names_what_was_passed_on_of_it_before() {
        let mut turns = Turns::default();
        for (segment, text) in [("SG_1", "I have been waiting"), ("SG_2", "for an hour!"), ("SG_3", "Hello?")] {
            said(&mut turns, stream("PA_1", segment, text, "true"));
        }
        let first = message("item_1", ChatRole::User, "I have been waiting. For an hour.");
        assert_eq!(turn(&mut turns, &first).unwrap().segment_ids, ["SG_1", "SG_2"]);
        let second = message("item_2", ChatRole::User, "Hello?");
        assert_eq!(turn(&mut turns, &second).unwrap().segment_ids, ["SG_3"]);
        let third = message("item_3", ChatRole::User, "Hello? Othello?");
        assert!(turn(&mut turns, &third).unwrap().segment_ids.is_empty());
    }

    #[test]
    fn a_turn_is_told_once_and_what_is_empty_or_another_s_is_not() {
        let mut turns = Turns::default();
        let item = message("item_1", ChatRole::User, "No.");
        assert!(turn(&mut turns, &item).is_some());
        assert!(turn(&mut turns, &item).is_none(), "it stands in the history, too");
        assert!(turn(&mut turns, &message("item_2", ChatRole::User, "No.")).is_some(), "said twice");
        assert!(turn(&mut turns, &message("item_3", ChatRole::User, " ")).is_none());
        assert!(turn(&mut turns, &message("item_4", ChatRole::System, "Be kind.")).is_none());
    }

    #[test]
    fn turns_of_a_history_between_two_of_somebody_else_are_whole() {
        let mut turns = Turns::default();
        let history = vec![
            message("item_0", ChatRole::System, "Be kind."),
            message("item_1", ChatRole::User, "Hello?"),
            message("item_2", ChatRole::Assistant, "Hello."),
            message("item_3", ChatRole::User, "I have been"),
            message("item_4", ChatRole::User, "waiting."),
            message("item_5", ChatRole::Assistant, "Sorry."),
            message("item_6", ChatRole::User, "No."),
        ];
        turn(&mut turns, &history[6]).unwrap();
        let by = |role| if role == ChatRole::User { Said::ByCaller("caller") } else { Said::ByAgent("agent") };
        let told = turns.history(history, by).into_iter().map(|one| match one {
            RoomMessage::TurnEnded(turn) => (turn.turn_id, turn.whole),
            other => panic!("{other:?}"),
        });
        let expected = [("item_1", true), ("item_2", true), ("item_3", false), ("item_4", false), ("item_5", true)];
        assert_eq!(told.collect::<Vec<_>>(), expected.map(|(id, whole)| (id.to_owned(), whole)));
    }

    #[test]
    fn a_history_takes_only_what_was_passed_on_of_it() {
        let mut turns = Turns::default();
        for (segment, text, is_final) in [("SG_1", "Hello?", "true"), ("SG_2", "Is any", "false")] {
            said(&mut turns, stream("PA_1", segment, text, is_final));
        }
        let history = vec![
            message("item_0", ChatRole::System, "Be kind."),
            message("item_1", ChatRole::User, "Hello?"),
            message("item_2", ChatRole::Assistant, "Hello."),
            message("item_3", ChatRole::User, "Hello? Is anybody there?"),
            message("item_3", ChatRole::User, "Hello? Is anybody there?"),
        ];
        let by = |role| if role == ChatRole::User { Said::ByCaller("caller") } else { Said::ByAgent("agent") };
        let segments = |told: Vec<RoomMessage>| -> Vec<(String, Vec<String>)> {
            let turns = told.into_iter().map(|one| match one {
                RoomMessage::TurnEnded(turn) => (turn.turn_id, turn.segment_ids),
                other => panic!("{other:?}"),
            });
            turns.collect()
        };
        let told = segments(turns.history(history.clone(), by));
        let expected = [("item_1", vec!["item_1"]), ("item_2", vec!["item_2"]), ("item_3", vec!["SG_1", "SG_2"])];
        let expected = expected.map(|(id, ids)| (id.to_owned(), ids.into_iter().map(str::to_owned).collect()));
        assert_eq!(told, expected);
        assert!(segments(turns.history(history, by)).is_empty(), "once");
    }

    /// What is told once the agent of a session is gone.
    fn left_behind(turns: &mut Turns, sid: &str) -> Vec<String> {
        let told = turns.forget(sid, |who| who == "caller");
        told.into_iter()
            .map(|one| match one {
                RoomMessage::Transcript(piece) if piece.is_final => piece.segment_id,
                other => panic!("{other:?}"),
            })
            .collect()
    }

    #[test]
    fn what_a_session_heard_and_did_not_tell_is_told_when_it_breaks_off() {
        let mut turns = Turns::default();
        assert!(turns.believes(Way::Session, "PA_1", there));
        let hear = |turns: &mut Turns, segment, text, is_final| {
            assert!(said(turns, stream("PA_1", segment, text, is_final)).is_none(), "its turns are told");
        };
        hear(&mut turns, "SG_1", "I have been waiting", "true");
        hear(&mut turns, "SG_2", "for an hour!", "true");
        hear(&mut turns, "SG_3", "Hello?", "true");
        let told = message("item_1", ChatRole::User, "I have been waiting. For an hour.");
        assert!(turn(&mut turns, &told).unwrap().segment_ids.is_empty(), "the core never heard of them");
        hear(&mut turns, "SG_4", "Is any", "false");
        hear(&mut turns, "SG_5", "Is anybody the", "true");
        hear(&mut turns, "SG_5", "Is anybody there?", "true");
        let agents = Stream {
            sender: Sender { identity: "bot".to_owned(), sid: "PA_1".to_owned() },
            ..stream("", "SG_6", "Yes.", "true")
        };
        assert!(turns.stream(agents, there).unwrap().is_none());
        assert!(said(&mut turns, stream("PA_2", "SG_9", "Hello?", "true")).is_none(), "another agent hears it, too");
        assert_eq!(left_behind(&mut turns, "PA_2"), [""; 0]);
        assert_eq!(left_behind(&mut turns, "PA_1"), ["SG_3", "SG_5"]);
        assert_eq!(left_behind(&mut turns, "PA_1"), [""; 0], "once");
        // Whoever takes the agent's place may know it.
        let history = vec![message("item_2", ChatRole::User, "Hello? Is anybody there?")];
        let told = turns.history(history, |_| Said::ByCaller("caller"));
        let [RoomMessage::TurnEnded(known)] = &told[..] else { panic!("{told:?}") };
        assert_eq!(known.segment_ids, ["SG_3", "SG_5"]);
    }

    #[test]
    fn what_a_session_told_in_other_words_is_not_told_again() {
        let mut turns = Turns::default();
        assert!(turns.believes(Way::Session, "PA_1", there));
        said(&mut turns, stream("PA_1", "SG_1", "my number is five five five", "true"));
        turn(&mut turns, &message("item_1", ChatRole::User, "My number is 555.")).unwrap();
        assert_eq!(left_behind(&mut turns, "PA_1"), [""; 0]);
        assert!(turns.believes(Way::Session, "PA_1", there));
        said(&mut turns, stream("PA_1", "SG_2", "Hello?", "true"));
        let history =
            vec![message("item_0", ChatRole::User, "Good morning."), message("item_2", ChatRole::User, "Hello?")];
        assert_eq!(turns.history(history, |_| Said::ByCaller("caller")).len(), 2);
        assert_eq!(left_behind(&mut turns, "PA_1"), [""; 0]);
        assert!(turns.believes(Way::Session, "PA_1", there));
        for n in 0..2 * MAX_LOOSE {
            said(&mut turns, stream("PA_1", &format!("SG_{n}"), "Hello?", "true"));
        }
        assert_eq!(left_behind(&mut turns, "PA_1").len(), MAX_LOOSE);
    }

    #[test]
    fn times_count_from_the_call_s_beginning() {
        let mut turns = Turns::default();
        turns.began(1_700_000_000_000);
        let at = |seconds, nanos| Some(Timestamp { seconds, nanos });
        let metrics = MetricsReport {
            started_speaking_at: at(1_700_000_001, 500_000_000),
            stopped_speaking_at: at(1_699_999_999, 0),
        };
        let item = ChatMessage { metrics: Some(metrics), ..message("item_1", ChatRole::User, "No.") };
        let turn = turn(&mut turns, &item).unwrap();
        assert_eq!((turn.start_ms, turn.end_ms), (Some(1_500), None));
    }

    #[test]
    fn a_stream_that_says_of_no_segment_is_told_without_its_words() {
        let mut turns = Turns::default();
        let nameless = Stream { attributes: BTreeMap::new(), ..stream("PA_1", "", "Secret.", "true") };
        assert_eq!(turns.stream(nameless, there).unwrap_err(), "it names no lk.segment_id");
        let garbled = Stream { content: vec![0xff], ..stream("PA_1", "SG_1", "", "true") };
        assert_eq!(turns.stream(garbled, there).unwrap_err(), "its text is not UTF-8");
    }
}
