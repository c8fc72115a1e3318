//! OpenAI's Realtime API, joined as a sideband of a phone call: `wss://…/v1/realtime?call_id=rtc_…`, with the API key; Azure's
//! form too (`wss://….openai.azure.com/openai/v1/realtime?call_id=…`, whose key travels in `api-key`).
//!
//! The caller's turns are the items of the conversation that they spoke (`items`); the agent's are answers that were given
//! whole. What the agent is asked to say waits for the answer in progress (`speech`), and our tool stands among the
//! app's (`tools`). `events` is what goes over the wire.

mod events;
mod items;
mod speech;
mod tools;
mod turn;

use std::collections::{HashSet, VecDeque};
use std::time::Duration;

use serde_json::{Value, json};
use url::Url;

use self::events::{ApiError, Item, Response, ServerEvent, Session, ToolCall};
use self::items::{Items, Placed};
use self::speech::{Speech, Wanted};
use self::tools::Tools;
use self::turn::{AGENT, CALLER, turn};
use super::error::{RoomError, close_code};
use super::link::dialect::{
    Answer, Call, Credentials, Dialect, Greeting, Handshake, Heard, Limits, Received, Unsayable, Written,
};
use super::message::{
    AgentActivity, CallInfo, CommandKind, CommandStatus, ErrorMessage, FrameError, Participant, Role, RoomMessage,
    SidecarMessage, TurnEnded, VERSION, Welcome, capability,
};
use crate::config::secret::Secret;

/// The close code for what breaks WebSocket's rules (RFC 6455 section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;
/// The largest event: a session with long instructions and many tools has some 100 KB.
const MAX_FRAME: usize = 4 * 1024 * 1024;
/// How long the API may take to hand a transfer to its SIP provider.
const REFER_TIMEOUT: Duration = Duration::from_secs(10);
/// So many calls of our tool may still have their results said again.
const MOST_CALLS: usize = 64;
/// Where the address names the call.
const CALL_ID: &str = "call_id";
/// The error of a session that has lasted as long as sessions may.
const EXPIRED: &str = "session_expired";

/// The translator.
#[derive(Debug)]
pub struct OpenAi {
    key: Credentials,
    /// That of the address, where it names one.
    call_id: String,
    /// Whether this call was joined before, by this process.
    again: bool,
    items: Items,
    speech: Speech,
    tools: Tools,
    /// Calls of our tool that came with others, of the app's: it is the app that has the agent go on, once it has answered those.
    /// Oldest first; they stay when they are answered, as after a cut a result may be said again.
    apps_to_go_on: VecDeque<String>,
    /// The commands that were carried out: after a cut they may be given again.
    begun: HashSet<String>,
    /// The transfer that was asked for and not refused.
    transfer: Option<String>,
    /// Who calls, where whoever took the call has told us: the API does not.
    caller: Option<Secret>,
}

impl OpenAi {
    /// For a session at this address.
    #[must_use]
    pub fn at(url: &Url) -> Self {
        // Azure's paths begin so; its keys are no bearer tokens.
        let azure = url.path().starts_with("/openai/");
        let key = if azure { Credentials::Header("api-key") } else { Credentials::Bearer };
        // What is transferred is the call that is heard, whatever else it is called.
        let call_id = url.query_pairs().find(|(name, _)| name == CALL_ID).map(|(_, id)| id.into_owned());
        Self {
            key,
            call_id: call_id.unwrap_or_default(),
            again: false,
            items: Items::default(),
            speech: Speech::default(),
            tools: Tools::default(),
            apps_to_go_on: VecDeque::new(),
            begun: HashSet::new(),
            transfer: None,
            caller: None,
        }
    }

    /// The number or address of who calls.
    #[must_use]
    pub fn of_caller(mut self, caller: Option<Secret>) -> Self {
        self.caller = caller;
        self
    }

    /// The address of the call's session: `call_id` in its query, where the user has not put one there.
    #[must_use]
    pub fn address(mut url: Url, call_id: &str) -> Url {
        if !url.query_pairs().any(|(name, _)| name == CALL_ID) {
            url.query_pairs_mut().append_pair(CALL_ID, call_id);
        }
        url
    }

    fn event(&mut self, event: ServerEvent) -> Vec<Heard> {
        let mut heard = match event {
            ServerEvent::SessionCreated { session } => self.joined(&session),
            ServerEvent::SessionUpdated { session } => self.tools_of(&session),
            ServerEvent::Committed { item_id, previous_item_id } => {
                self.placed(&item_id, previous_item_id.as_deref(), true)
            }
            ServerEvent::ItemPlaced { previous_item_id, item } => {
                let id = item.id.as_deref().unwrap_or_default();
                let mut heard = self.placed(id, previous_item_id.as_deref(), item.is_callers());
                heard.extend(self.items.take(&item).into_iter().map(ended));
                heard
            }
            ServerEvent::ItemRetrieved { item } => self.items.take(&item).into_iter().map(ended).collect(),
            ServerEvent::TranscriptionCompleted { item_id, content_index, transcript } => {
                self.items.said(&item_id, content_index, &transcript).map(ended).into_iter().collect()
            }
            ServerEvent::TranscriptionFailed { item_id } => {
                self.items.failed(&item_id).map(ended).into_iter().collect()
            }
            ServerEvent::ResponseCreated {} => {
                self.speech.began();
                vec![activity(AgentActivity::Thinking)]
            }
            ServerEvent::ResponseDone { response } => self.answered(&response),
            ServerEvent::SpeechStarted {} => {
                self.speech.audio_began();
                vec![activity(AgentActivity::Speaking)]
            }
            ServerEvent::SpeechStopped { response_id } => self.silent(response_id.as_deref(), true),
            ServerEvent::SpeechCleared { response_id } => self.silent(response_id.as_deref(), false),
            ServerEvent::Error { error } => self.refused(error),
            ServerEvent::Other => Vec::new(),
        };
        // With whatever comes next: where the session was known before our tool was, no event may tell of the session again.
        if self.tools.is_news() {
            let why = "the session has MCP servers without credentials that we see, and ours beside them might take those away";
            heard.push(problem("tool_not_offered", why, None));
        }
        heard
    }

    fn joined(&mut self, session: &Session) -> Vec<Heard> {
        if !session.transcribes() {
            let problem = "the session transcribes nothing of what the caller says; the app has to set \
                           audio.input.transcription when it accepts the call"
                .to_owned();
            let reason = "no transcription".to_owned();
            return vec![Heard::Unacceptable { error: RoomError::Unfit { problem }, code: close_code::NORMAL, reason }];
        }
        let welcome = Welcome {
            version: VERSION,
            session_id: self.call_id.clone(),
            room_name: self.call_id.clone(),
            call: CallInfo {
                id: self.call_id.clone(),
                from: self.caller.as_ref().map(|caller| caller.expose().to_owned()),
                ..CallInfo::default()
            },
            participants: vec![participant(CALLER, Role::Caller), participant(AGENT, Role::Agent)],
            capabilities: [capability::TURN_EVENTS, capability::SAY, capability::TRANSFER, capability::TOOLS]
                .map(str::to_owned)
                .to_vec(),
            resumed: self.again,
            alerts: Vec::new(),
        };
        self.again = true;
        let mut heard = vec![Heard::Welcome(welcome)];
        heard.extend(self.tools_of(session));
        // What was said during a cut is asked for.
        heard.extend(self.items.wanting().iter().map(|id| retrieve(id)));
        // What waited when the connection was cut.
        heard.extend(self.speech.next().map(reply));
        heard
    }

    fn tools_of(&mut self, session: &Session) -> Vec<Heard> {
        let tools = session.tools.as_deref().unwrap_or_default();
        self.tools.session(tools).map(reply).into_iter().collect()
    }

    fn placed(&mut self, id: &str, previous: Option<&str>, callers: bool) -> Vec<Heard> {
        let Placed { turn, unknown } = self.items.place(id, previous, callers);
        unknown.as_deref().map(retrieve).into_iter().chain(turn.map(ended)).collect()
    }

    fn silent(&mut self, response_id: Option<&str>, whole: bool) -> Vec<Heard> {
        let result = self.speech.audio_ended(response_id, whole).map(said);
        result.into_iter().chain([activity(AgentActivity::Listening)]).collect()
    }

    fn answered(&mut self, response: &Response) -> Vec<Heard> {
        let mut heard: Vec<Heard> = self.speech.ended(response).map(said).into_iter().collect();
        self.tools.answered();
        if response.is_complete() {
            self.note_calls(response);
            heard.extend(response.output().filter_map(|item| self.output(item)));
        }
        heard.push(activity(AgentActivity::Listening));
        heard.extend(self.speech.next().map(reply));
        heard
    }

    /// An answer may call tools of ours and of the app's at once.
    fn note_calls(&mut self, response: &Response) {
        let calls = response.output().filter_map(Item::tool_call);
        let (ours, apps): (Vec<ToolCall<'_>>, Vec<_>) = calls.partition(|call| self.tools.has(call.name));
        if !apps.is_empty() {
            self.apps_to_go_on.extend(ours.iter().map(|call| call.call_id.to_owned()));
            let many = self.apps_to_go_on.len().saturating_sub(MOST_CALLS);
            self.apps_to_go_on.drain(..many);
        }
    }

    /// What the agent said, or the call of our tool.
    fn output(&self, item: &Item) -> Option<Heard> {
        if let Some(call) = item.tool_call() {
            let arguments = serde_json::from_str(call.arguments).unwrap_or(Value::Null);
            let (call_id, name) = (call.call_id.to_owned(), call.name.to_owned());
            return self.tools.has(&name).then(|| said(RoomMessage::ToolCall { seq: None, call_id, name, arguments }));
        }
        let id = item.id.as_deref()?;
        Some(ended(turn(AGENT, id, self.items.index(id), item.said()?)))
    }

    fn refused(&mut self, error: ApiError) -> Vec<Heard> {
        if error.code.as_deref() == Some(EXPIRED) {
            let ended = said(RoomMessage::SessionEnded { seq: None, reason: error.message });
            return self.left().into_iter().chain([ended]).collect();
        }
        if let Some(result) = self.speech.refused(&error) {
            return vec![said(result)];
        }
        vec![problem(error.code.as_deref().unwrap_or("error"), &error.message, error.event_id)]
    }

    /// What is asked of the call: a sentence, or a transfer, which the API hands to its SIP provider.
    fn command(&mut self, command_id: &str, command: &CommandKind) -> Vec<Written> {
        if !matches!(command, CommandKind::Say { .. } | CommandKind::Transfer { .. })
            || !self.begun.insert(command_id.to_owned())
        {
            return Vec::new();
        }
        // What was to be said before is out of date.
        self.speech.forget_sentences();
        match command {
            CommandKind::Say { text } => {
                let wanted = Wanted::Sentence { command_id: command_id.to_owned(), text: text.clone() };
                self.speech.want(wanted).map(frame).into_iter().collect()
            }
            CommandKind::Transfer { target, .. } => {
                self.transfer = Some(command_id.to_owned());
                vec![Written::Call(Call {
                    id: command_id.to_owned(),
                    path: ["calls", &self.call_id, "refer"].map(str::to_owned).to_vec(),
                    body: json!({ "target_uri": format!("tel:{target}") }),
                    timeout: REFER_TIMEOUT,
                })]
            }
            CommandKind::SetFlag { .. } | CommandKind::Hangup {} => Vec::new(),
        }
    }

    /// What came of asking for a transfer. That the API took it says nothing of the human's phone, and no event follows: the
    /// call's end settles it, or the deadline.
    fn referred(&mut self, command_id: &str, answer: &Answer) -> Option<Heard> {
        let (status, code, detail) = match answer {
            Answer::Status(200..=299) => (CommandStatus::Accepted, None, None),
            Answer::Status(status) => {
                self.transfer.take_if(|transfer| transfer == command_id);
                let detail = "the API refused to transfer the call".to_owned();
                (CommandStatus::Failed, Some(format!("http_{status}")), Some(detail))
            }
            // It may have been asked for all the same.
            Answer::None { problem } => {
                tracing::warn!(%problem, "whether the API transfers the call is not known");
                return None;
            }
        };
        Some(said(RoomMessage::CommandResult { seq: None, command_id: command_id.to_owned(), status, code, detail }))
    }

    /// The call is over here. One that was to be transferred leaves the session as one that was hung up does: nobody tells
    /// which it was. The answer to the asking may be late, so it is not waited for.
    fn left(&mut self) -> Vec<Heard> {
        let Some(command_id) = self.transfer.take() else { return Vec::new() };
        let left = RoomMessage::ParticipantLeft { seq: None, participant: participant(CALLER, Role::Caller) };
        let (code, detail) =
            ("unknown".to_owned(), "the call has left the session, and the API tells no more".to_owned());
        let (code, detail, status) = (Some(code), Some(detail), CommandStatus::Failed);
        let result = RoomMessage::CommandResult { seq: None, command_id, status, code, detail };
        vec![said(left), said(result)]
    }
}

impl Dialect for OpenAi {
    fn handshake(&self) -> Handshake {
        Handshake { subprotocol: None, credentials: self.key }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_frame: MAX_FRAME,
            violation: PROTOCOL_ERROR,
            heartbeat: Duration::from_secs(15),
            missed_heartbeats: 2,
        }
    }

    // The session speaks first.
    fn hello(&mut self, greeting: Greeting<'_>) -> Vec<Written> {
        if self.call_id.is_empty() {
            greeting.room_name.clone_into(&mut self.call_id);
        }
        self.speech.reconnected();
        self.tools.reconnected();
        Vec::new()
    }

    fn read(&mut self, frame: Received<'_>) -> Vec<Heard> {
        let bad = |detail: String| vec![Heard::Bad { seq: None, error: FrameError::NotAMessage { detail } }];
        match frame {
            Received::Text(text) => match serde_json::from_str(text) {
                Ok(event) => self.event(event),
                // serde's words may repeat the caller's.
                Err(error) => bad(format!("an event that cannot be read at column {}", error.column())),
            },
            Received::Answered { id, answer } => self.referred(id, answer).into_iter().collect(),
            _ => bad("no text frame, where only those are spoken".to_owned()),
        }
    }

    fn is_over(&self, error: &RoomError) -> bool {
        is_over(error, self.again)
    }

    fn ended(&mut self) -> Vec<Heard> {
        self.left()
    }

    fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable> {
        let events = match message {
            SidecarMessage::ToolsRegister { tools } => self.tools.register(tools).into_iter().collect(),
            SidecarMessage::ToolResult { call_id, output, .. } => {
                let item = json!({"type": "function_call_output", "call_id": call_id, "output": output.to_string()});
                let created = json!({"type": "conversation.item.create", "item": item});
                let is_apps_to_go_on = self.apps_to_go_on.contains(call_id);
                let go_on = if is_apps_to_go_on { None } else { self.speech.want(Wanted::GoOn) };
                std::iter::once(created).chain(go_on).collect()
            }
            SidecarMessage::Tone { instruction, .. } => {
                let content = json!([{"type": "input_text", "text": instruction}]);
                let item = json!({"type": "message", "role": "system", "content": content});
                vec![json!({"type": "conversation.item.create", "item": item})]
            }
            SidecarMessage::Command { command_id, command, .. } => return Ok(self.command(command_id, command)),
            _ => Vec::new(),
        };
        Ok(events.into_iter().map(frame).collect::<Vec<Written>>())
    }
}

/// The call's end closes the session, and there is none to join again.
fn is_over(error: &RoomError, again: bool) -> bool {
    again
        && match error {
            RoomError::Closed { code, .. } => *code == close_code::NORMAL,
            RoomError::Http { status } => matches!(status, 404 | 410),
            _ => false,
        }
}

fn participant(id: &str, role: Role) -> Participant {
    Participant { id: id.to_owned(), role, name: None }
}

fn frame(event: Value) -> Written {
    Written::Text(event.to_string())
}

fn reply(event: Value) -> Heard {
    Heard::Reply(frame(event))
}

fn retrieve(item_id: &str) -> Heard {
    reply(json!({"type": "conversation.item.retrieve", "item_id": item_id}))
}

fn said(message: RoomMessage) -> Heard {
    Heard::Message { seq: None, message: Some(message) }
}

fn ended(turn: TurnEnded) -> Heard {
    said(RoomMessage::TurnEnded(turn))
}

fn activity(state: AgentActivity) -> Heard {
    said(RoomMessage::AgentState { seq: None, state })
}

fn problem(code: &str, message: &str, reference: Option<String>) -> Heard {
    let (code, message) = (code.to_owned(), message.to_owned());
    said(RoomMessage::Error(ErrorMessage { code, message, reference, retryable: false }))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::room::message::tool::escalate_sentiment;

    #[test]
    fn the_call_that_is_heard_is_the_one_that_is_transferred() {
        for (url, right) in [
            ("wss://api.openai.com/v1/realtime", "rtc_room"),
            ("wss://api.openai.com/v1/realtime?call_id=rtc_url", "rtc_url"),
        ] {
            let url = OpenAi::address(url.parse().unwrap(), "rtc_room");
            let mut openai = OpenAi::at(&url);
            openai.hello(Greeting { room_name: "rtc_room", resume: None });
            let command = CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
            let [Written::Call(call)] = &openai.command("transfer-1", &command)[..] else { panic!("no call") };
            assert_eq!((call.path[1].as_str(), url.query()), (right, Some(format!("call_id={right}").as_str())));
        }
    }

    /// One that knows its tool, but no session.
    fn registered() -> OpenAi {
        let mut openai = OpenAi::at(&"wss://api.openai.com/v1/realtime?call_id=rtc_1".parse().unwrap());
        assert!(openai.write(&register()).unwrap().is_empty());
        openai
    }

    fn register() -> SidecarMessage {
        SidecarMessage::ToolsRegister { tools: vec![escalate_sentiment()] }
    }

    /// What the sidecar sends, by type, once its tool has been called in an answer that calls these as well.
    fn sent_after(openai: &mut OpenAi, others: &[&str]) -> Vec<String> {
        let calls = others.iter().copied().chain(["escalate_sentiment"]);
        let output: Vec<Value> = calls
            .map(|name| json!({"type": "function_call", "call_id": format!("call_{name}"), "name": name, "arguments": "{}"}))
            .collect();
        let response = json!({"id": "resp_1", "status": "completed", "output": output});
        let heard = openai.read(Received::Text(&json!({"type": "response.done", "response": response}).to_string()));
        assert_eq!(told(heard).iter().filter(|said| said["type"] == "tool.call").count(), 1, "only ours is ours");
        result_sent(openai)
    }

    /// The same, when the tool returns.
    fn result_sent(openai: &mut OpenAi) -> Vec<String> {
        let call_id = "call_escalate_sentiment".to_owned();
        let result = SidecarMessage::ToolResult { call_id, ok: true, output: json!({}) };
        let kind = |written| match written {
            Written::Text(text) => serde_json::from_str::<Value>(&text).unwrap()["type"].as_str().unwrap().to_owned(),
            other => panic!("{other:?}"),
        };
        openai.write(&result).unwrap().into_iter().map(kind).collect()
    }

    #[test]
    fn where_the_app_has_calls_to_answer_as_well_it_is_the_app_that_has_the_agent_go_on() {
        assert_eq!(sent_after(&mut registered(), &[]), ["conversation.item.create", "response.create"]);
        let mut openai = registered();
        assert_eq!(sent_after(&mut openai, &["look_up_order"]), ["conversation.item.create"]);
        // Nobody knows whether the API had it before the cut.
        openai.hello(Greeting { room_name: "rtc_1", resume: None });
        assert_eq!(result_sent(&mut openai), ["conversation.item.create"], "nor when it is said again");
        for _ in 0..2 * MOST_CALLS {
            sent_after(&mut openai, &["look_up_order"]);
        }
        assert_eq!(openai.apps_to_go_on.len(), MOST_CALLS);
    }

    #[test]
    fn that_our_tool_is_not_offered_is_told_with_the_next_event_whatever_was_known_first() {
        let crm = json!([{"type": "mcp", "server_label": "crm"}]);
        let session = json!({"audio": {"input": {"transcription": {"model": "m"}}}, "tools": crm});
        let created = json!({"type": "session.created", "session": session}).to_string();
        let read = |openai: &mut OpenAi, event: &str| {
            let is_problem = |heard: &Heard| {
                matches!(heard, Heard::Message { message: Some(RoomMessage::Error(error)), .. }
                    if error.code == "tool_not_offered")
            };
            openai.read(Received::Text(event)).iter().filter(|heard| is_problem(heard)).count()
        };
        // Any event will do; the API sends one whenever somebody speaks.
        let spoken = r#"{"type":"input_audio_buffer.speech_started"}"#;
        let mut openai = registered();
        assert_eq!([read(&mut openai, &created), read(&mut openai, spoken)], [1, 0]);
        let mut openai = OpenAi::at(&"wss://api.openai.com/v1/realtime?call_id=rtc_1".parse().unwrap());
        assert_eq!([read(&mut openai, &created), read(&mut openai, spoken)], [0, 0], "there is none to offer");
        assert!(openai.write(&register()).unwrap().is_empty());
        assert_eq!([read(&mut openai, spoken), read(&mut openai, &created)], [1, 0]);
    }

    fn transferring() -> OpenAi {
        let mut openai = OpenAi::at(&"wss://api.openai.com/v1/realtime?call_id=rtc_1".parse().unwrap());
        let command = CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
        assert_eq!(openai.command("transfer-1", &command).len(), 1);
        openai
    }

    /// What is heard, as the native dialect would say it.
    fn told(heard: Vec<Heard>) -> Vec<Value> {
        let message = |heard| match heard {
            Heard::Message { message, .. } => serde_json::to_value(message).unwrap(),
            other => panic!("{other:?}"),
        };
        heard.into_iter().map(message).collect()
    }

    #[test]
    fn a_call_that_leaves_after_a_refer_went_nobody_knows_where() {
        let expired = r#"{"type":"error","error":{"code":"session_expired","message":"60 minutes"}}"#;
        // The call may be gone before the answer is there.
        for answer in [Some(Answer::Status(200)), Some(Answer::None { problem: "reset".to_owned() }), None] {
            for expires in [true, false] {
                let mut openai = transferring();
                let read = |openai: &mut OpenAi, answer| openai.read(Received::Answered { id: "transfer-1", answer });
                let accepted = answer.as_ref().map(|answer| told(read(&mut openai, answer)));
                let is_accepted = accepted.into_iter().flatten().any(|said| said["status"] == "accepted");
                assert_eq!(is_accepted, answer == Some(Answer::Status(200)));
                let ended = if expires { openai.read(Received::Text(expired)) } else { openai.ended() };
                let ended = told(ended);
                assert_eq!(
                    (&ended[0]["type"], &ended[0]["participant"]["role"]),
                    (&json!("participant.left"), &json!("caller"))
                );
                assert_eq!(
                    (&ended[1]["command_id"], &ended[1]["status"], &ended[1]["code"]),
                    (&json!("transfer-1"), &json!("failed"), &json!("unknown"))
                );
                assert_eq!(ended.get(2).map(|said| &said["type"]), expires.then_some(&json!("session.ended")));
                assert!(openai.ended().is_empty(), "it is said once");
            }
        }
    }

    #[test]
    fn a_call_that_leaves_without_a_transfer_was_hung_up() {
        let mut openai = transferring();
        let refused = told(openai.read(Received::Answered { id: "transfer-1", answer: &Answer::Status(404) }));
        assert_eq!(refused[0]["code"], "http_404");
        assert!(openai.ended().is_empty());
        assert!(OpenAi::at(&"wss://api.openai.com/v1/realtime".parse().unwrap()).ended().is_empty());
    }

    #[test]
    fn the_caller_is_whom_we_are_told_of_and_no_debug_shows_the_number() {
        let created = r#"{"type":"session.created","session":{"audio":{"input":{"transcription":{"model":"m"}}}}}"#;
        for caller in [Some("sip:+14155550123@carrier.example"), None] {
            let openai = OpenAi::at(&"wss://api.openai.com/v1/realtime?call_id=rtc_1".parse().unwrap());
            let mut openai = openai.of_caller(caller.map(Secret::new));
            assert!(!format!("{openai:?}").contains("5550123"));
            let [Heard::Welcome(welcome), ..] = &openai.read(Received::Text(created))[..] else { panic!("no welcome") };
            assert_eq!(welcome.call.from.as_deref(), caller);
        }
    }
}
