//! What an agent tells of its session on the topic `lk.agent.session`, and how its history is asked for ([`Sessions`]).

use std::collections::{HashMap, HashSet};

use prost::Message as _;

use super::proto::models::{ByteHeader, ContentHeader, DataPacket, Payload, StreamHeader};
use super::proto::session::{
    AgentSessionMessage, AgentState, ChatItemKind, ChatMessage, FunctionCall, Nothing, SessionAnswer, SessionContent,
    SessionEvent, SessionEventKind, SessionQuestion, SessionRequest, SessionResponse, ToolUpdate,
};
use super::streams::SESSION;
use crate::room::message::AgentActivity;

/// What an agent told.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Told {
    /// Somebody said something.
    Turn(ChatMessage),
    /// The agent does something else.
    State(AgentActivity),
    /// The agent calls a tool.
    Tool(FunctionCall),
    /// All that was said so far.
    History(Vec<ChatMessage>),
}

/// Which agents were asked for their history, and which have answered.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    asked: u64,
    /// The agents' stays, by what they were asked under.
    open: HashMap<String, String>,
    /// The stays of those that answered.
    answered: HashSet<String>,
    /// The stays of those that were asked once more, when they were heard for the first time.
    heard: HashSet<String>,
}

impl Sessions {
    /// Asks an agent what was said so far.
    pub(super) fn ask(&mut self, identity: &str, sid: &str) -> DataPacket {
        self.asked += 1;
        let request_id = format!("sentiment-sidecar-{}", self.asked);
        self.open.insert(request_id.clone(), sid.to_owned());
        let question = SessionQuestion::GetChatHistory(Nothing {});
        let request = SessionRequest { request_id: request_id.clone(), request: Some(question) };
        let message = AgentSessionMessage { message: Some(SessionContent::Request(request)) };
        let content = message.encode_to_vec();
        let header = StreamHeader {
            stream_id: request_id.clone(),
            topic: SESSION.to_owned(),
            mime_type: "application/octet-stream".to_owned(),
            total_length: Some(content.len() as u64),
            content_header: Some(ContentHeader::Byte(ByteHeader { name: request_id })),
            inline_content: Some(content),
            ..StreamHeader::default()
        };
        DataPacket {
            destination_identities: vec![identity.to_owned()],
            value: Some(Payload::StreamHeader(header)),
            ..DataPacket::default()
        }
    }

    /// Whether an agent that is heard is to be asked again: it may not have listened when it was asked before.
    pub(super) fn asks_again(&mut self, sid: &str) -> bool {
        !self.answered.contains(sid) && self.heard.insert(sid.to_owned())
    }

    /// Whether anybody has told what was said so far.
    pub(super) fn is_known(&self) -> bool {
        !self.answered.is_empty()
    }

    /// After a rejoin everybody is asked anew.
    pub(super) fn begin_anew(&mut self) {
        let asked = self.asked;
        *self = Self { asked, ..Self::default() };
    }

    /// Reads a message. What others ask of the agent, and what it answers others, is not for us.
    ///
    /// # Errors
    /// In words, without the caller's.
    pub(super) fn read(&mut self, content: &[u8]) -> Result<Option<Told>, &'static str> {
        let message = AgentSessionMessage::decode(content).map_err(|_| "it is no message of an agent's session")?;
        Ok(match message.message {
            Some(SessionContent::Event(event)) => told(event),
            Some(SessionContent::Response(response)) => self.answer(response),
            Some(SessionContent::Request(_)) | None => None,
        })
    }

    fn answer(&mut self, response: SessionResponse) -> Option<Told> {
        let sid = self.open.remove(&response.request_id)?;
        if let Some(error) = response.error {
            tracing::debug!(%error, "an agent does not tell what was said before");
            return None;
        }
        let Some(SessionAnswer::ChatHistory(history)) = response.response else { return None };
        self.answered.insert(sid);
        let messages = history.items.into_iter().filter_map(|item| match item.item {
            Some(ChatItemKind::Message(message)) => Some(message),
            Some(ChatItemKind::FunctionCall(_) | ChatItemKind::AgentHandoff(_)) | None => None,
        });
        Some(Told::History(messages.collect()))
    }
}

fn told(event: SessionEvent) -> Option<Told> {
    match event.event? {
        SessionEventKind::AgentStateChanged(changed) => Some(Told::State(activity(changed.new_state()))),
        SessionEventKind::ConversationItemAdded(added) => match added.item?.item? {
            ChatItemKind::Message(message) => Some(Told::Turn(message)),
            ChatItemKind::AgentHandoff(handoff) => {
                tracing::debug!(agent = %handoff.new_agent_id, "another agent is on the call");
                None
            }
            ChatItemKind::FunctionCall(_) => None,
        },
        SessionEventKind::ToolExecutionUpdated(updated) => match updated.update? {
            ToolUpdate::Started(started) => started.function_call.map(Told::Tool),
        },
    }
}

fn activity(state: AgentState) -> AgentActivity {
    match state {
        AgentState::Listening => AgentActivity::Listening,
        AgentState::Thinking => AgentActivity::Thinking,
        AgentState::Speaking => AgentActivity::Speaking,
        AgentState::Initializing | AgentState::Idle => AgentActivity::Other,
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::super::proto::session::{
        AgentHandoff, AgentStateChanged, ChatHistory, ChatItem, ConversationItemAdded, ToolExecutionUpdated,
        ToolStarted,
    };
    use super::*;

    fn event(kind: SessionEventKind) -> Vec<u8> {
        let event = SessionEvent { created_at: None, event: Some(kind) };
        AgentSessionMessage { message: Some(SessionContent::Event(event)) }.encode_to_vec()
    }

    fn added(item: ChatItemKind) -> Vec<u8> {
        let item = Some(ChatItem { item: Some(item) });
        event(SessionEventKind::ConversationItemAdded(ConversationItemAdded { item }))
    }

    fn answer(request_id: &str, error: Option<&str>, items: Vec<ChatItemKind>) -> Vec<u8> {
        let items = items.into_iter().map(|item| ChatItem { item: Some(item) }).collect();
        let response = SessionResponse {
            request_id: request_id.to_owned(),
            error: error.map(str::to_owned),
            response: error.is_none().then_some(SessionAnswer::ChatHistory(ChatHistory { items })),
        };
        AgentSessionMessage { message: Some(SessionContent::Response(response)) }.encode_to_vec()
    }

    fn asked(packet: &DataPacket) -> (String, SessionRequest) {
        let Some(Payload::StreamHeader(header)) = &packet.value else { panic!("{packet:?}") };
        let content = AgentSessionMessage::decode(header.inline_content.as_deref().unwrap()).unwrap();
        let Some(SessionContent::Request(request)) = content.message else { panic!("{content:?}") };
        (header.topic.clone(), request)
    }

    #[test]
    fn the_history_is_asked_of_one_agent_and_read_once() {
        let mut sessions = Sessions::default();
        let packet = sessions.ask("agent-1", "PA_1");
        assert_eq!(packet.destination_identities, ["agent-1"]);
        let (topic, request) = asked(&packet);
        assert_eq!((topic.as_str(), request.request), (SESSION, Some(SessionQuestion::GetChatHistory(Nothing {}))));
        assert!(!sessions.is_known());
        let said = ChatMessage { id: "item_1".to_owned(), ..ChatMessage::default() };
        let items = || vec![ChatItemKind::Message(said.clone()), ChatItemKind::FunctionCall(FunctionCall::default())];
        assert_eq!(sessions.read(&answer("another's", None, items())), Ok(None));
        let history = sessions.read(&answer(&request.request_id, None, items()));
        assert_eq!(history, Ok(Some(Told::History(vec![said.clone()]))));
        assert_eq!(sessions.read(&answer(&request.request_id, None, items())), Ok(None));
        assert!(sessions.is_known() && !sessions.asks_again("PA_1"));
    }

    #[test]
    fn who_does_not_answer_is_asked_again_when_heard_and_after_a_rejoin() {
        let mut sessions = Sessions::default();
        let (_, request) = asked(&sessions.ask("agent-1", "PA_1"));
        assert_eq!(sessions.read(&answer(&request.request_id, Some("not yet"), Vec::new())), Ok(None));
        assert!(sessions.asks_again("PA_1"));
        assert!(!sessions.asks_again("PA_1"), "once");
        let (_, request) = asked(&sessions.ask("agent-1", "PA_1"));
        sessions.read(&answer(&request.request_id, None, Vec::new())).unwrap();
        sessions.begin_anew();
        assert!(!sessions.is_known());
        let (_, another) = asked(&sessions.ask("agent-1", "PA_1"));
        assert_ne!(another.request_id, request.request_id);
    }

    #[test]
    fn events_are_read_and_those_of_others_passed_over() {
        let mut sessions = Sessions::default();
        let said = ChatMessage { id: "item_1".to_owned(), ..ChatMessage::default() };
        let turn = added(ChatItemKind::Message(said.clone()));
        assert_eq!(sessions.read(&turn), Ok(Some(Told::Turn(said))));
        assert_eq!(sessions.read(&added(ChatItemKind::AgentHandoff(AgentHandoff::default()))), Ok(None));
        let changed = AgentStateChanged { old_state: 2, new_state: AgentState::Speaking.into() };
        let state = event(SessionEventKind::AgentStateChanged(changed));
        assert_eq!(sessions.read(&state), Ok(Some(Told::State(AgentActivity::Speaking))));
        let call = FunctionCall { call_id: "call_1".to_owned(), ..FunctionCall::default() };
        let started = ToolUpdate::Started(ToolStarted { function_call: Some(call.clone()) });
        let tool = event(SessionEventKind::ToolExecutionUpdated(ToolExecutionUpdated { update: Some(started) }));
        assert_eq!(sessions.read(&tool), Ok(Some(Told::Tool(call))));
        // A kind that is not read: `session_usage_updated`, field 17.
        assert_eq!(sessions.read(&[0x1a, 0x03, 0x8a, 0x01, 0x00]), Ok(None));
        assert!(sessions.read(b"\xff\xff").is_err());
    }
}
