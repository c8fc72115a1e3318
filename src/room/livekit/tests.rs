//! A call in a LiveKit room, as the translator tells it.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use prost::Message as _;
use serde_json::{Value, json};

use super::proto::api::{PerformRpcRequest, TransferSipParticipantRequest, UpdateParticipantRequest};
use super::proto::models::{
    DataPacket, DisconnectReason, EncryptedPacket, ParticipantInfo, ParticipantKind, ParticipantPermission,
    ParticipantState, Payload, Room, StreamHeader, Transcription, TranscriptionSegment,
};
use super::proto::session::{
    AgentSessionMessage, AgentState, AgentStateChanged, ChatContent, ChatHistory, ChatItem, ChatItemKind, ChatMessage,
    ChatPayload, ChatRole, ConversationItemAdded, FunctionCall, SessionAnswer, SessionContent, SessionEvent,
    SessionEventKind, SessionResponse, ToolExecutionUpdated, ToolStarted, ToolUpdate,
};
use super::seen::{Act, Api, ApiCall, ApiError, ApiMethod, Joined, Seen};
use super::translator::{Livekit, Out};
use crate::room::message::{
    CommandKind, CommandStatus, Role, RoomMessage, SidecarMessage, TakenAlert, Welcome, tool::escalate_sentiment,
};

const ALL: Api = Api { room: true, sip: true };

fn person(identity: &str, kind: ParticipantKind) -> ParticipantInfo {
    let (identity, sid) = (identity.to_owned(), format!("PA_{identity}"));
    ParticipantInfo { identity, sid, kind: kind.into(), joined_at_ms: 10_000, ..ParticipantInfo::default() }
}

fn phone() -> ParticipantInfo {
    let mut phone = person("sip-1", ParticipantKind::Sip);
    let attributes = [("sip.phoneNumber", "+15550111"), ("sip.trunkPhoneNumber", "+15550122"), ("sip.ruleID", "R")];
    phone.attributes.extend(attributes.map(|(name, value)| (name.to_owned(), value.to_owned())));
    phone
}

fn agent() -> ParticipantInfo {
    person("agent-1", ParticipantKind::Agent)
}

fn wired() -> ParticipantInfo {
    let mut agent = agent();
    agent.attributes.insert("sentiment-sidecar".to_owned(), "1".to_owned());
    agent.version += 1;
    agent
}

fn gone(info: ParticipantInfo) -> ParticipantInfo {
    ParticipantInfo { state: ParticipantState::Disconnected.into(), ..info }
}

/// A room, and what the translator makes of it.
#[derive(Default)]
struct Call {
    livekit: Livekit,
    acts: Vec<Act>,
}

impl Call {
    fn begin(others: Vec<ParticipantInfo>) -> (Self, Welcome) {
        Self::begin_with(Livekit::default(), others, ALL)
    }

    fn begin_with(livekit: Livekit, others: Vec<ParticipantInfo>, api: Api) -> (Self, Welcome) {
        let mut call = Self { livekit, acts: Vec::new() };
        let (welcome, _) = call.join("RM_1", others, false, api);
        (call, welcome)
    }

    fn join(&mut self, sid: &str, others: Vec<ParticipantInfo>, again: bool, api: Api) -> (Welcome, Vec<RoomMessage>) {
        let room = Room { sid: sid.to_owned(), name: "room_1".to_owned(), creation_time_ms: 1_000, ..Room::default() };
        let permission = Some(ParticipantPermission { can_publish_data: true, ..ParticipantPermission::default() });
        let me = person("sentiment-sidecar", ParticipantKind::Agent);
        let me = ParticipantInfo { joined_at_ms: 11_000, permission, ..me };
        let seen = Seen::Joined(Box::new(Joined { room, me, others, again, api }));
        let mut out = self.livekit.see(&seen).into_iter();
        let Some(Out::Welcome(welcome)) = out.next() else { panic!("no welcome first") };
        (welcome, self.take(out.collect()))
    }

    fn take(&mut self, out: Vec<Out>) -> Vec<RoomMessage> {
        let mut heard = Vec::new();
        for out in out {
            match out {
                Out::Message(message) => heard.push(message),
                Out::Do(act) => self.acts.push(act),
                Out::Bad(error) => panic!("{error}"),
                Out::Welcome(welcome) => panic!("a second welcome: {welcome:?}"),
            }
        }
        heard
    }

    fn see(&mut self, seen: &Seen) -> Vec<RoomMessage> {
        let out = self.livekit.see(seen);
        self.take(out)
    }

    fn packet(&mut self, identity: &str, sid: &str, value: Payload) -> Vec<RoomMessage> {
        let (participant_identity, participant_sid) = (identity.to_owned(), sid.to_owned());
        self.see(&Seen::Packet(DataPacket {
            participant_identity,
            participant_sid,
            value: Some(value),
            ..DataPacket::default()
        }))
    }

    fn stream(
        &mut self,
        identity: &str,
        sid: &str,
        topic: &str,
        content: &[u8],
        attributes: &[(&str, &str)],
    ) -> Vec<RoomMessage> {
        let header = StreamHeader {
            stream_id: "s".to_owned(),
            topic: topic.to_owned(),
            attributes: attributes.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            inline_content: Some(content.to_vec()),
            ..StreamHeader::default()
        };
        self.packet(identity, sid, Payload::StreamHeader(header))
    }

    fn said(&mut self, agent_sid: &str, segment: &str, text: &str) -> Vec<RoomMessage> {
        let attributes = [("lk.segment_id", segment), ("lk.transcription_final", "true")];
        self.stream("sip-1", agent_sid, "lk.transcription", text.as_bytes(), &attributes)
    }

    fn session(&mut self, agent: &str, content: SessionContent) -> Vec<RoomMessage> {
        let content = AgentSessionMessage { message: Some(content) }.encode_to_vec();
        self.stream(agent, &format!("PA_{agent}"), "lk.agent.session", &content, &[])
    }

    fn event(&mut self, agent: &str, kind: SessionEventKind) -> Vec<RoomMessage> {
        self.session(agent, SessionContent::Event(SessionEvent { created_at: None, event: Some(kind) }))
    }

    fn added(&mut self, agent: &str, message: ChatMessage) -> Vec<RoomMessage> {
        let item = Some(ChatItem { item: Some(ChatItemKind::Message(message)) });
        self.event(agent, SessionEventKind::ConversationItemAdded(ConversationItemAdded { item }))
    }

    /// Answers the latest question for the history.
    fn history(&mut self, agent: &str, messages: Vec<ChatMessage>) -> Vec<RoomMessage> {
        let request_id = self.asked().last().unwrap().0.clone();
        let items = messages.into_iter().map(|one| ChatItem { item: Some(ChatItemKind::Message(one)) }).collect();
        let response = Some(SessionAnswer::ChatHistory(ChatHistory { items }));
        self.session(agent, SessionContent::Response(SessionResponse { request_id, error: None, response }))
    }

    /// The questions for the history so far: under which id, and to whom.
    fn asked(&self) -> Vec<(String, String)> {
        let question = |act: &Act| match act {
            Act::Send(DataPacket { destination_identities, value: Some(Payload::StreamHeader(header)), .. }) => {
                Some((header.stream_id.clone(), destination_identities[0].clone()))
            }
            _ => None,
        };
        self.acts.iter().filter_map(question).collect()
    }

    fn command(&mut self, id: &str, command: CommandKind) -> Vec<Act> {
        self.livekit.act(&SidecarMessage::Command { command_id: id.to_owned(), command, deadline_ms: 8_000 })
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

fn user(id: &str, text: &str) -> ChatMessage {
    message(id, ChatRole::User, text)
}

/// What was heard, in a line each.
fn told(heard: &[RoomMessage]) -> Vec<String> {
    heard
        .iter()
        .map(|message| match message {
            RoomMessage::TurnEnded(turn) => {
                format!(
                    "{} {}: {} {:?}",
                    turn.turn_id,
                    turn.participant_id,
                    turn.text.as_deref().unwrap(),
                    turn.segment_ids
                )
            }
            RoomMessage::Transcript(piece) => {
                format!("{}.{} {}: {}", piece.segment_id, piece.rev, piece.participant_id, piece.text)
            }
            RoomMessage::Error(error) => error.code.clone(),
            RoomMessage::AgentState { state, .. } => format!("{state:?}"),
            RoomMessage::ParticipantJoined { participant, .. } => format!("+{} {:?}", participant.id, participant.role),
            RoomMessage::ParticipantLeft { participant, .. } => format!("-{} {:?}", participant.id, participant.role),
            other => format!("{other:?}"),
        })
        .collect()
}

fn call(acts: &[Act]) -> ApiCall {
    match acts {
        [Act::Call(call)] => call.clone(),
        other => panic!("not one call: {other:?}"),
    }
}

fn rpc(call: &ApiCall) -> (String, String, Value) {
    let request = PerformRpcRequest::decode(call.body.as_slice()).unwrap();
    (request.destination_identity, request.method, serde_json::from_str(&request.payload).unwrap())
}

#[test]
fn the_welcome_says_who_calls_and_what_our_key_opens() {
    let (_, welcome) = Call::begin(vec![phone(), agent()]);
    assert_eq!((welcome.session_id.as_str(), welcome.room_name.as_str()), ("RM_1", "room_1"));
    assert_eq!((welcome.call.from.as_deref(), welcome.call.to.as_deref()), (Some("+15550111"), Some("+15550122")));
    assert_eq!(welcome.participants.iter().map(|one| one.role).collect::<Vec<_>>(), [Role::Caller, Role::Agent]);
    assert_eq!(welcome.capabilities, ["say", "set_flag", "tools", "alerts", "transfer"]);
    let (_, welcome) = Call::begin_with(Livekit::default(), vec![phone()], Api::default());
    assert!(welcome.capabilities.is_empty());
}

#[test]
fn a_session_tells_turns_by_their_ids_and_its_streams_are_not_counted_besides() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    assert_eq!(call.asked().len(), 1);
    assert_eq!(told(&call.history("agent-1", vec![user("item_1", "Hello.")])), [r#"item_1 sip-1: Hello. ["item_1"]"#]);
    assert!(call.said("PA_agent-1", "SG_2", "No.").is_empty());
    assert_eq!(told(&call.added("agent-1", user("item_2", "No."))), ["item_2 sip-1: No. []"]);
    let answer = message("item_3", ChatRole::Assistant, "I am sorry.");
    assert_eq!(told(&call.added("agent-1", answer)), ["item_3 agent-1: I am sorry. []"]);
    assert!(call.added("agent-1", user("item_2", "No.")).is_empty());
    assert_eq!(call.asked().len(), 1, "it has answered");
}

#[test]
fn an_agent_that_did_not_listen_yet_is_asked_again_when_it_is_heard() {
    let (mut call, _) = Call::begin(vec![phone()]);
    assert_eq!(told(&call.see(&Seen::Participants(vec![agent()]))), ["+agent-1 Agent"]);
    assert_eq!(call.asked().len(), 1);
    let state = AgentStateChanged { old_state: 0, new_state: AgentState::Listening.into() };
    assert_eq!(told(&call.event("agent-1", SessionEventKind::AgentStateChanged(state))), ["Listening"]);
    assert_eq!(call.asked().len(), 2);
    call.added("agent-1", user("item_1", "Hello."));
    assert_eq!(call.asked().len(), 2, "twice, and no more");
}

#[test]
fn a_turn_of_a_session_takes_the_place_of_the_streams_that_told_it_first() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "no")), ["SG_1.1 sip-1: no"]);
    assert_eq!(told(&call.added("agent-1", user("item_1", "No!"))), [r#"item_1 sip-1: No! ["SG_1"]"#]);
}

#[test]
fn packets_of_an_agent_that_does_not_tell_of_its_session_are_transcripts() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let segment = TranscriptionSegment {
        id: "SG_1".to_owned(),
        text: "No.".to_owned(),
        r#final: true,
        ..TranscriptionSegment::default()
    };
    let transcription = Transcription {
        transcribed_participant_identity: "sip-1".to_owned(),
        segments: vec![segment],
        ..Transcription::default()
    };
    let heard = call.packet("agent-1", "PA_agent-1", Payload::Transcription(transcription));
    assert_eq!(told(&heard), ["SG_1.1 sip-1: No."]);
}

#[test]
fn who_is_no_agent_tells_of_no_session() {
    let (mut call, _) = Call::begin(vec![phone(), agent(), person("web-1", ParticipantKind::Standard)]);
    assert!(call.added("web-1", user("item_1", "I am furious!")).is_empty());
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "Hello.")), ["SG_1.1 sip-1: Hello."]);
}

#[test]
fn who_is_no_agent_keeps_nothing_of_a_session_under_way() {
    let (mut call, _) = Call::begin(vec![phone(), agent(), person("web-1", ParticipantKind::Standard)]);
    let begins = || {
        let [stream_id, topic] = ["s", "lk.agent.session"].map(str::to_owned);
        Payload::StreamHeader(StreamHeader { stream_id, topic, ..StreamHeader::default() })
    };
    for (identity, sid, kept) in [("web-1", "PA_web-1", 0), ("sip-1", "PA_sip-1", 0), ("agent-1", "PA_agent-1", 1)] {
        call.packet(identity, sid, begins());
        assert_eq!(call.livekit.streams_under_way(), kept, "{identity}");
    }
    call.packet("agent-2", "PA_agent-2", begins());
    assert_eq!(call.livekit.streams_under_way(), 2, "data may overtake the word that its sender came");
}

#[test]
fn a_caller_s_app_may_tell_its_own_words_and_nobody_beside_it_any() {
    let final_one = [("lk.segment_id", "SG_1"), ("lk.transcription_final", "true")];
    let (mut call, _) = Call::begin(vec![phone(), agent(), person("web-1", ParticipantKind::Standard)]);
    assert!(call.stream("web-1", "PA_web-1", "lk.transcription", b"I am furious!", &final_one).is_empty());
    assert!(call.stream("sip-1", "PA_web-1", "lk.transcription", b"I am furious!", &final_one).is_empty());
    let segment = TranscriptionSegment { id: "SG_1".to_owned(), r#final: true, ..TranscriptionSegment::default() };
    let transcription = Transcription {
        transcribed_participant_identity: "sip-1".to_owned(),
        segments: vec![segment],
        ..Transcription::default()
    };
    assert!(call.packet("web-1", "PA_web-1", Payload::Transcription(transcription)).is_empty());
    // Data may overtake the word that its sender came.
    assert_eq!(told(&call.said("PA_agent-2", "SG_2", "Hello.")), ["SG_2.1 sip-1: Hello."]);
    let (mut call, _) = Call::begin(vec![person("web-1", ParticipantKind::Standard), agent()]);
    let heard = call.stream("web-1", "PA_web-1", "lk.transcription", b"Hello.", &final_one);
    assert_eq!(told(&heard), ["SG_1.1 web-1: Hello."]);
}

#[test]
fn a_session_that_only_refuses_its_history_leaves_the_word_to_the_transcripts() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let request_id = call.asked().last().unwrap().0.clone();
    let refusal = SessionResponse { request_id, error: Some("not supported".to_owned()), response: None };
    assert!(call.session("agent-1", SessionContent::Response(refusal)).is_empty());
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "No.")), ["SG_1.1 sip-1: No."]);
}

#[test]
fn another_agent_tells_what_was_said_when_the_first_one_is_gone() {
    let (mut call, _) = Call::begin(vec![phone(), agent(), person("agent-2", ParticipantKind::Agent)]);
    call.added("agent-1", user("item_1", "Hello."));
    assert!(call.added("agent-2", user("item_a", "Hello.")).is_empty(), "both hear the same caller");
    let asked = call.asked().len();
    assert_eq!(told(&call.see(&Seen::Participants(vec![gone(agent())]))), ["-agent-1 Agent"]);
    assert_eq!(call.asked()[asked..].iter().map(|(_, whom)| whom.as_str()).collect::<Vec<_>>(), ["agent-2"]);
    let heard = call.history("agent-2", vec![user("item_b", "I want a human.")]);
    assert_eq!(told(&heard), [r#"item_b sip-1: I want a human. ["item_b"]"#]);
}

#[test]
fn the_last_words_of_an_agent_that_has_left_count_and_keep_the_next_one_from_nothing() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "Hello.")), ["SG_1.1 sip-1: Hello."]);
    call.see(&Seen::Participants(vec![gone(agent())]));
    assert_eq!(told(&call.said("PA_agent-1", "SG_2", "I want a human.")), ["SG_2.1 sip-1: I want a human."]);
    call.see(&Seen::Participants(vec![person("agent-2", ParticipantKind::Agent)]));
    assert_eq!(told(&call.said("PA_agent-2", "SG_a", "No.")), ["SG_a.1 sip-1: No."]);
    assert!(call.said("PA_agent-1", "SG_3", "No.").is_empty(), "another one tells now");
}

#[test]
fn an_agent_that_comes_back_under_its_name_is_believed_at_once() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    call.see(&Seen::Participants(vec![ParticipantInfo { sid: "PA_again".to_owned(), ..agent() }]));
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "Hello.")), ["SG_1.1 sip-1: Hello."], "it was under way");
    assert_eq!(told(&call.said("PA_again", "SG_2", "No.")), ["SG_2.1 sip-1: No."]);
}

#[test]
fn an_agent_that_nobody_sees_may_be_started_again() {
    let (mut call, _) = Call::begin(vec![phone()]);
    assert_eq!(told(&call.said("PA_hidden", "SG_1", "Hello.")), ["SG_1.1 sip-1: Hello."]);
    assert_eq!(told(&call.said("PA_restarted", "SG_2", "No.")), ["SG_2.1 sip-1: No."]);
    assert!(call.said("PA_hidden", "SG_3", "No.").is_empty(), "they do not take turns");
}

#[test]
fn a_stranger_who_tells_something_first_does_not_keep_the_agent_out() {
    let web = || person("web-1", ParticipantKind::Standard);
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    // Nobody knows yet who it is.
    assert_eq!(told(&call.said("PA_web-1", "SG_1", "Hello.")), ["SG_1.1 sip-1: Hello."]);
    assert_eq!(told(&call.said("PA_agent-1", "SG_2", "No.")), ["SG_2.1 sip-1: No."]);
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    call.said("PA_web-1", "SG_1", "Hello.");
    call.see(&Seen::Participants(vec![web()]));
    assert!(call.said("PA_web-1", "SG_2", "I am furious!").is_empty());
    assert_eq!(told(&call.said("PA_agent-1", "SG_3", "No.")), ["SG_3.1 sip-1: No."]);
    call.see(&Seen::Participants(vec![gone(web()), gone(agent())]));
    assert!(call.said("PA_web-1", "SG_4", "I am furious!").is_empty(), "once they are gone, too");
}

#[test]
fn who_joins_late_and_is_told_no_history_says_so_once() {
    let early = |mut info: ParticipantInfo| {
        info.joined_at_ms = 2_000;
        info
    };
    let (mut call, _) = Call::begin(vec![early(phone()), early(agent())]);
    assert_eq!(told(&call.said("PA_agent-1", "SG_1", "No.")), ["history_missing", "SG_1.1 sip-1: No."]);
    assert_eq!(told(&call.said("PA_agent-1", "SG_2", "No.")), ["SG_2.1 sip-1: No."]);
    let (mut call, _) = Call::begin(vec![early(phone()), early(agent())]);
    call.history("agent-1", Vec::new());
    assert_eq!(told(&call.added("agent-1", user("item_1", "No."))), ["item_1 sip-1: No. []"]);
}

#[test]
fn who_joins_late_and_hears_of_the_call_from_a_second_agent_says_that_the_first_one_s_turns_are_unknown() {
    let history = |agent_joined_at_ms| {
        let at = |mut info: ParticipantInfo, joined_at_ms| {
            info.joined_at_ms = joined_at_ms;
            info
        };
        let (mut call, _) = Call::begin(vec![at(phone(), 1_000), at(agent(), agent_joined_at_ms)]);
        told(&call.history("agent-1", vec![user("item_1", "Hello.")]))
    };
    assert_eq!(history(9_000), [r#"item_1 sip-1: Hello. ["item_1"]"#], "as it had to be found first");
    assert_eq!(history(61_000), ["history_missing", r#"item_1 sip-1: Hello. ["item_1"]"#]);
}

#[test]
fn after_a_rejoin_the_session_goes_on_and_what_was_missed_is_asked_for() {
    let (mut call, first) = Call::begin(vec![phone(), agent()]);
    call.history("agent-1", vec![user("item_1", "Hello.")]);
    let (welcome, heard) = call.join("RM_2", vec![agent()], true, ALL);
    assert!(welcome.resumed && welcome.session_id == first.session_id, "{welcome:?}");
    assert!(heard.is_empty(), "a caller who is on the way back has not left: {heard:?}");
    let heard = call.history("agent-1", vec![user("item_1", "Hello."), user("item_2", "Are you there?")]);
    assert_eq!(told(&heard), [r#"item_2 sip-1: Are you there? ["item_2"]"#]);
}

#[test]
fn whoever_comes_back_after_the_caller_has_left_and_opens_another_room_is_at_the_end() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    call.see(&Seen::Participants(vec![gone(phone())]));
    let (_, heard) = call.join("RM_1", vec![agent()], true, ALL);
    assert!(heard.is_empty(), "the agent still speaks: {heard:?}");
    let (_, heard) = call.join("RM_2", Vec::new(), true, ALL);
    assert!(matches!(&heard[..], [RoomMessage::SessionEnded { .. }]), "{heard:?}");
}

#[test]
fn an_agent_that_begins_to_speak_ends_the_caller_s_turn_in_the_order_of_its_words() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let begins = || {
        Payload::StreamHeader(StreamHeader {
            stream_id: "s".to_owned(),
            topic: "lk.transcription".to_owned(),
            ..StreamHeader::default()
        })
    };
    assert_eq!(told(&call.packet("agent-1", "PA_agent-1", begins())), ["Speaking"]);
    assert!(call.packet("sip-1", "PA_agent-1", begins()).is_empty(), "the caller's words, by the agent");
    let state = AgentStateChanged { old_state: 0, new_state: AgentState::Listening.into() };
    assert_eq!(told(&call.event("agent-1", SessionEventKind::AgentStateChanged(state))), ["Listening"]);
    assert!(call.packet("agent-1", "PA_agent-1", begins()).is_empty(), "its session tells it");
}

#[test]
fn a_hang_up_and_the_end_of_the_room_are_seen() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    assert_eq!(told(&call.see(&Seen::Participants(vec![gone(phone())]))), ["-sip-1 Caller"]);
    assert_eq!(
        told(&call.added("agent-1", user("item_1", "Hello."))),
        ["item_1 sip-1: Hello. []"],
        "as it is told late"
    );
    let ended = call.see(&Seen::Left(DisconnectReason::RoomClosed));
    assert!(matches!(&ended[..], [RoomMessage::SessionEnded { reason, .. }] if reason == "everybody has left"));
    assert!(call.see(&Seen::Left(DisconnectReason::DuplicateIdentity)).is_empty());
}

#[test]
fn what_the_server_says_of_ourselves_makes_no_agent_of_us() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let asked = call.asked().len();
    let me = ParticipantInfo { version: 2, ..person("sentiment-sidecar", ParticipantKind::Agent) };
    assert!(call.see(&Seen::Participants(vec![me, phone()])).is_empty());
    assert_eq!(call.asked().len(), asked);
}

#[test]
fn encrypted_packets_are_told_once() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let packet = || Payload::Encrypted(EncryptedPacket { key_index: 0 });
    assert_eq!(told(&call.packet("agent-1", "PA_agent-1", packet())), ["encrypted"]);
    assert!(call.packet("agent-1", "PA_agent-1", packet()).is_empty());
}

#[test]
fn a_stream_that_cannot_be_read_is_told_without_its_content() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let header = StreamHeader {
        topic: "lk.transcription".to_owned(),
        inline_content: Some(b"secret words".to_vec()),
        compression: 1,
        ..StreamHeader::default()
    };
    let packet = DataPacket { value: Some(Payload::StreamHeader(header)), ..DataPacket::default() };
    let out = call.livekit.see(&Seen::Packet(packet));
    let [Out::Bad(error)] = &out[..] else { panic!("{out:?}") };
    assert_eq!(error.to_string(), r#"message "lk.transcription" does not fit: it cannot be inflated"#);
}

#[test]
fn an_agent_that_carries_out_what_we_ask_for_gets_the_tools_the_tone_and_sentences() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    let tools = SidecarMessage::ToolsRegister { tools: vec![escalate_sentiment()] };
    assert!(call.livekit.act(&tools).is_empty(), "nobody takes them yet");
    let say = || CommandKind::Say { text: "One moment.".to_owned() };
    let [Act::Decline { id, error }] = &call.command("say-1", say())[..] else { panic!("said by nobody") };
    let failed = call.see(&Seen::Answered { id: id.clone(), result: Err(error.clone()) });
    assert!(matches!(&failed[..], [RoomMessage::CommandResult { status: CommandStatus::Failed, .. }]), "{failed:?}");
    call.acts.clear();
    call.see(&Seen::Participants(vec![wired()]));
    let (agent, method, payload) = rpc(&super::tests::call(&call.acts));
    assert_eq!((agent.as_str(), method.as_str()), ("agent-1", "sentiment-sidecar.tools"));
    assert_eq!(payload["tools"][0]["name"], "escalate_sentiment");
    let tone = SidecarMessage::Tone { label: "negative".to_owned(), instruction: "Be calm.".to_owned() };
    let tone = rpc(&super::tests::call(&call.livekit.act(&tone)));
    assert_eq!(tone.2, json!({"label": "negative", "instruction": "Be calm."}));
    let said = super::tests::call(&call.command("say-2", say()));
    assert_eq!(rpc(&said).2, json!({"text": "One moment."}));
    assert!(call.command("say-2", say()).is_empty(), "asked for again after a cut: the first asking is under way");
    let done = call.see(&Seen::Answered { id: said.id, result: Ok(Vec::new()) });
    assert!(
        matches!(&done[..], [RoomMessage::CommandResult { status: CommandStatus::Done, command_id, .. }] if command_id == "say-2")
    );
}

#[test]
fn a_tool_call_is_heard_and_its_answer_goes_to_the_agent() {
    let (mut call, _) = Call::begin(vec![phone(), wired()]);
    let function_call = FunctionCall {
        call_id: "call_1".to_owned(),
        name: "escalate_sentiment".to_owned(),
        arguments: r#"{"sentiment_score": 2}"#.to_owned(),
        ..FunctionCall::default()
    };
    let started = ToolUpdate::Started(ToolStarted { function_call: Some(function_call) });
    let update = SessionEventKind::ToolExecutionUpdated(ToolExecutionUpdated { update: Some(started) });
    let heard = call.event("agent-1", update);
    let [RoomMessage::ToolCall { call_id, arguments, .. }] = &heard[..] else { panic!("{heard:?}") };
    assert_eq!((call_id.as_str(), &arguments["sentiment_score"]), ("call_1", &json!(2)));
    let answer =
        SidecarMessage::ToolResult { call_id: "call_1".to_owned(), ok: true, output: json!({"escalated": true}) };
    let (_, method, payload) = rpc(&super::tests::call(&call.livekit.act(&answer)));
    assert_eq!(method, "sentiment-sidecar.tool_result");
    assert_eq!(payload, json!({"call_id": "call_1", "ok": true, "output": {"escalated": true}}));
}

#[test]
fn the_caller_is_transferred_and_flagged_and_nobody_else() {
    let (mut call, _) = Call::begin(vec![person("web-1", ParticipantKind::Standard), agent(), phone()]);
    let transfer = || CommandKind::Transfer { target: "+15550199".to_owned(), ringing_timeout_ms: 20_000 };
    let asked = super::tests::call(&call.command("transfer-1", transfer()));
    let request = TransferSipParticipantRequest::decode(asked.body.as_slice()).unwrap();
    assert_eq!((request.participant_identity.as_str(), request.transfer_to.as_str()), ("sip-1", "tel:+15550199"));
    let [alert_id, severity, description] = ["a1", "high", "Nobody cares"].map(str::to_owned);
    let flag = CommandKind::SetFlag { alert_id, severity, description };
    let asked = super::tests::call(&call.command("set_flag-1", flag.clone()));
    assert_eq!(UpdateParticipantRequest::decode(asked.body.as_slice()).unwrap().identity, "sip-1");
    call.see(&Seen::Participants(vec![gone(phone()), gone(person("web-1", ParticipantKind::Standard))]));
    let declined = call.command("transfer-2", transfer());
    let Act::Decline { error, .. } = &declined[0] else { panic!("{declined:?}") };
    assert_eq!(*error, ApiError::Nobody("no caller in the room came by SIP"));
    assert_eq!(super::tests::call(&call.command("set_flag-2", flag)).method, ApiMethod::UpdateRoomMetadata);
}

#[test]
fn the_last_words_that_an_agent_heard_and_did_not_tell_are_told_once_it_is_gone() {
    let (mut call, _) = Call::begin(vec![phone(), agent()]);
    call.added("agent-1", user("item_1", "Hello."));
    assert!(call.said("PA_agent-1", "SG_1", "Is anybody there?").is_empty());
    let heard = call.see(&Seen::Participants(vec![gone(agent())]));
    assert_eq!(told(&heard), ["-agent-1 Agent", "SG_1.1 sip-1: Is anybody there?"]);
}

#[test]
fn an_alert_is_marked_at_the_caller_before_anything_is_done_and_known_to_whoever_joins_later() {
    let (mut call, welcome) = Call::begin(vec![phone(), wired()]);
    assert!(welcome.capabilities.iter().any(|offered| offered == "alerts") && welcome.alerts.is_empty());
    let alert = |outcome: Option<&str>| {
        let (alert_id, outcome) = ("a1".to_owned(), outcome.map(str::to_owned));
        SidecarMessage::Alert(TakenAlert { alert_id, outcome, told: false })
    };
    let attributes = |asked: &ApiCall| {
        let request = UpdateParticipantRequest::decode(asked.body.as_slice()).unwrap();
        assert_eq!((request.identity.as_str(), request.attributes.len()), ("sip-1", 1));
        request.attributes.into_iter().next().unwrap()
    };
    let mark = super::tests::call(&call.livekit.act(&alert(None)));
    let mut later = phone();
    later.attributes.extend([attributes(&mark)]);
    let say = || CommandKind::Say { text: "One moment.".to_owned() };
    for result in [Ok(Vec::new()), Err(ApiError::Timeout { after_ms: 2_000 })] {
        let mark = super::tests::call(&call.livekit.act(&alert(None)));
        call.acts.clear();
        assert!(call.command("say-1", say()).is_empty(), "it waits for the mark");
        assert!(call.command("say-1", say()).is_empty(), "asked for again after a cut, it waits once");
        assert!(call.see(&Seen::Answered { id: mark.id, result }).is_empty());
        assert!(call.acts.is_empty(), "another alert is to be marked, too");
    }
    call.see(&Seen::Answered { id: mark.id, result: Ok(Vec::new()) });
    let said = super::tests::call(&call.acts);
    assert_eq!(rpc(&said).1, "sentiment-sidecar.say");
    let outcome = super::tests::call(&call.livekit.act(&alert(Some("no_answer"))));
    assert_eq!(super::tests::call(&call.command("say-2", say())).method, ApiMethod::PerformRpc, "nothing waits for it");
    let (_, welcome) = Call::begin(vec![later.clone(), wired()]);
    let known = |outcome: Option<&str>| {
        [TakenAlert { alert_id: "a1".to_owned(), outcome: outcome.map(str::to_owned), told: false }]
    };
    assert_eq!(welcome.alerts, known(None));
    later.attributes.extend([attributes(&outcome)]);
    assert_eq!(Call::begin(vec![later, wired()]).1.alerts, known(Some("no_answer")));
}

#[test]
fn without_a_caller_or_the_right_to_nothing_is_marked() {
    let alert = SidecarMessage::Alert(TakenAlert { alert_id: "a1".to_owned(), outcome: None, told: false });
    let (mut call, _) = Call::begin(vec![wired()]);
    assert!(call.livekit.act(&alert).is_empty());
    let (mut call, welcome) = Call::begin_with(Livekit::default(), vec![phone()], Api::default());
    assert!(call.livekit.act(&alert).is_empty() && welcome.capabilities.is_empty());
}

#[test]
fn whom_the_settings_name_is_the_caller() {
    let livekit = Livekit::new(Some("web-1".to_owned()));
    let (mut call, welcome) =
        Call::begin_with(livekit, vec![phone(), person("web-1", ParticipantKind::Standard), agent()], ALL);
    assert_eq!(welcome.call.from, None);
    assert_eq!(told(&call.added("agent-1", user("item_1", "Hello."))), ["item_1 web-1: Hello. []"]);
}
