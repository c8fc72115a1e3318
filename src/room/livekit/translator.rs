//! What a participant sees, in our words, and our words, as what it does ([`Livekit`]).

use std::time::Duration;

use serde_json::{Value, json};

use super::accounts::Way;
use super::act::{self, Desk, Flag, Transfer};
use super::cast::{Cast, Change, Person, joined_at_ms};
use super::proto::models::{DataPacket, DisconnectReason, Payload, StreamHeader};
use super::proto::session::{ChatRole, FunctionCall};
use super::seen::{Act, Api, Joined, Seen};
use super::session::{Sessions, Told};
use super::streams::{SESSION, Sender, Stream, StreamError, Streams, TRANSCRIPTION};
use super::turns::{Said, Turns};
use crate::room::message::{
    AgentActivity, CallInfo, CommandKind, ErrorMessage, FrameError, RoomMessage, SidecarMessage, Tool, VERSION,
    Welcome, capability,
};

/// Who joins so much later than anybody else, in ms, may have missed something.
const LATE_MS: i64 = 3_000;
/// An agent that comes so long after the caller, in ms, was not the first one that they spoke to.
const SECOND_AGENT_MS: i64 = 60_000;
/// Whose turns they are when the one who said them never was in the room.
const CALLER: &str = "caller";

/// What comes of what a participant sees.
#[derive(Debug)]
pub(super) enum Out {
    /// We are in the room.
    Welcome(Welcome),
    /// The room says something.
    Message(RoomMessage),
    /// Something that cannot be used.
    Bad(FrameError),
    /// To be done at once.
    Do(Act),
}

/// The dialect of `LiveKit`'s rooms: a pure translator of what a hidden participant sees and does, for one call.
#[derive(Debug, Default)]
pub struct Livekit {
    cast: Cast,
    streams: Streams,
    turns: Turns,
    sessions: Sessions,
    desk: Desk,
    api: Api,
    /// The first room of this name that we were in: the same call goes on in another one when the server begins anew.
    session: Option<String>,
    /// The room that we are in.
    room_sid: String,
    /// Our own stay there.
    my_sid: String,
    joined_at_ms: i64,
    tools: Vec<Tool>,
    tone: Option<Value>,
    agent: Option<AgentActivity>,
    /// What was told once and is not told again.
    told_encrypted: bool,
    told_missing: bool,
    /// We were not there from the beginning of the call.
    late: bool,
    /// Turns were missed, and nobody has told them.
    missed: bool,
}

impl Livekit {
    /// For a call whose caller has this identity in the room; else the first phone is the caller, else whoever is no agent.
    #[must_use]
    pub fn new(caller_identity: Option<String>) -> Self {
        Self { cast: Cast::new(caller_identity), ..Self::default() }
    }

    /// What comes of what was seen.
    pub(super) fn see(&mut self, seen: &Seen) -> Vec<Out> {
        let mut out = Vec::new();
        match seen {
            Seen::Joined(joined) => self.joined(joined, &mut out),
            Seen::Participants(infos) => {
                // One that is not hidden is told of itself, too.
                let others = infos.iter().filter(|info| info.sid != self.my_sid);
                let changes = self.cast.updated(others);
                self.changed(changes, &mut out);
            }
            Seen::Room(room) => out.extend(self.desk.metadata_is(&room.metadata).map(Out::Do)),
            Seen::Packet(packet) => self.packet(packet.clone(), &mut out),
            Seen::Answered { id, result } => {
                out.extend(self.desk.answered(id, result.as_deref()).map(Out::Message));
                out.extend(self.desk.released().into_iter().map(Out::Do));
            }
            Seen::Left(reason) => out.extend(ended(*reason).map(Out::Message)),
        }
        out
    }

    fn joined(&mut self, joined: &Joined, out: &mut Vec<Out>) {
        let Joined { room, me, others, again, api } = joined;
        let again = *again;
        self.api = *api;
        self.joined_at_ms = joined_at_ms(me);
        let anew = again && self.room_sid != room.sid;
        self.room_sid.clone_from(&room.sid);
        self.my_sid.clone_from(&me.sid);
        self.desk.enter(&room.name);
        let restore = self.desk.metadata_is(&room.metadata);
        let session_id = self.session.get_or_insert_with(|| room.sid.clone()).clone();
        if again {
            self.streams.clear();
            self.sessions.begin_anew();
            self.missed = true;
        } else {
            self.turns.began(if room.creation_time_ms > 0 {
                room.creation_time_ms
            } else {
                room.creation_time.saturating_mul(1000)
            });
        }
        // The room closed behind us, and by coming back we opened another one of its name.
        let over = anew && self.cast.caller_has_left();
        let changes = self.cast.joined(others.iter().filter(|other| other.identity != me.identity), anew);
        let over = over && self.cast.caller().is_none();
        if !again {
            self.late = self.cast.people().any(|one| one.joined_at_ms().saturating_add(LATE_MS) < self.joined_at_ms);
            self.missed |= self.late;
        }
        out.push(Out::Welcome(self.welcome(room.name.clone(), session_id, again)));
        // The welcome names everybody who is there.
        let welcomed = |change: &Change| matches!(change, Change::Joined(_));
        self.changed(changes.into_iter().filter(|change| again || !welcomed(change)).collect(), out);
        if again {
            for (identity, sid) in self.agents() {
                self.ask_history(&identity, &sid, out);
            }
        }
        if !me.permission.is_some_and(|may| may.can_publish_data) {
            out.push(warning("cannot_send", "our token lacks canPublishData, so what was said before stays unknown"));
        }
        out.extend(restore.map(Out::Do));
        if over {
            out.extend(ended(DisconnectReason::RoomClosed).map(Out::Message));
        }
    }

    fn welcome(&self, room_name: String, session_id: String, resumed: bool) -> Welcome {
        let caller = self.cast.caller();
        let number = |of: fn(&Person) -> Option<&str>| caller.and_then(of).map(str::to_owned);
        let mut capabilities = Vec::new();
        if self.api.room {
            capabilities.extend([capability::SAY, capability::SET_FLAG, capability::TOOLS, capability::ALERTS]);
        }
        // Whose caller is transferred is a matter of the room, too.
        if self.api.room && self.api.sip {
            capabilities.push(capability::TRANSFER);
        }
        Welcome {
            version: VERSION,
            // The caller's own ids come with the caller, maybe later: they would make other alerts of a call that is taken over.
            call: CallInfo {
                id: session_id.clone(),
                from: number(Person::number_of_phone),
                to: number(Person::number_called),
                sip: None,
            },
            session_id,
            room_name,
            participants: self.cast.participants(),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            resumed,
            alerts: self.cast.taken_alerts(),
        }
    }

    fn agents(&self) -> Vec<(String, String)> {
        self.cast.agents().map(|agent| (agent.identity().to_owned(), agent.sid().to_owned())).collect()
    }

    fn changed(&mut self, changes: Vec<Change>, out: &mut Vec<Out>) {
        for change in changes {
            match change {
                Change::Joined(participant) => {
                    out.push(Out::Message(RoomMessage::ParticipantJoined { seq: None, participant }));
                }
                Change::Left(participant) => {
                    out.push(Out::Message(RoomMessage::ParticipantLeft { seq: None, participant }));
                }
                Change::AgentCame { identity } => {
                    let sid = self.cast.person(&identity).map(|agent| agent.sid().to_owned());
                    self.ask_history(&identity, &sid.unwrap_or_default(), out);
                }
                Change::Gone { sid } => self.gone(&sid, out),
                Change::Wired { identity } => self.outfit(&identity, out),
            }
        }
    }

    /// Somebody is gone. Where it was the one who told of the conversation, another one may: with what it told before.
    fn gone(&mut self, sid: &str, out: &mut Vec<Out>) {
        self.streams.forget(sid);
        if self.turns.source().is_none_or(|source| source.sid != sid) {
            return;
        }
        for piece in self.turns.forget(sid, |who| self.cast.is_caller(who)) {
            self.piece(piece, out);
        }
        for (identity, sid) in self.agents() {
            self.ask_history(&identity, &sid, out);
        }
    }

    fn ask_history(&mut self, identity: &str, sid: &str, out: &mut Vec<Out>) {
        out.push(Out::Do(Act::Send(self.sessions.ask(identity, sid))));
    }

    fn agent_is(&mut self, activity: AgentActivity, out: &mut Vec<Out>) {
        if self.agent.replace(activity) != Some(activity) {
            out.push(Out::Message(RoomMessage::AgentState { seq: None, state: activity }));
        }
    }

    /// An agent carries out what we ask for: it is told what was said to those before it.
    fn outfit(&mut self, identity: &str, out: &mut Vec<Out>) {
        if !self.api.room {
            return;
        }
        if !self.tools.is_empty() {
            out.push(Out::Do(self.desk.ask(identity, act::TOOLS, &act::tools(&self.tools), None)));
        }
        if let Some(tone) = &self.tone {
            out.push(Out::Do(self.desk.ask(identity, act::TONE, tone, None)));
        }
    }

    fn packet(&mut self, packet: DataPacket, out: &mut Vec<Out>) {
        let DataPacket { participant_identity: identity, participant_sid: sid, value, .. } = packet;
        let sender = Sender { identity, sid };
        match value {
            // Whoever else is in the room could make up words, or take the place of the agent's account.
            Some(Payload::StreamHeader(header)) if !self.may_tell(&sender, &header.topic) => {}
            Some(Payload::StreamHeader(header)) => {
                let topic = header.topic.clone();
                self.agent_begins(&sender, &header, out);
                let stream = self.streams.header(sender, header);
                self.stream(&topic, stream, out);
            }
            Some(Payload::StreamChunk(chunk)) => {
                let stream = self.streams.chunk(&sender, chunk).map(|()| None);
                self.stream("a data stream", stream, out);
            }
            Some(Payload::StreamTrailer(trailer)) => {
                let stream = self.streams.trailer(&sender, trailer);
                self.stream("a data stream", stream, out);
            }
            Some(Payload::Transcription(transcription))
                if !self.cast.may_transcribe(&sender.sid, &transcription.transcribed_participant_identity) => {}
            Some(Payload::Transcription(transcription)) => {
                let pieces = self.turns.packet(&sender.sid, transcription, |sid| self.cast.standing(sid));
                for piece in pieces {
                    self.piece(piece, out);
                }
            }
            Some(Payload::Encrypted(_)) => {
                if !std::mem::replace(&mut self.told_encrypted, true) {
                    out.push(warning("encrypted", "packets are encrypted end to end, and we have no key for them"));
                }
            }
            Some(
                Payload::User(_)
                | Payload::SipDtmf(_)
                | Payload::RpcRequest(_)
                | Payload::RpcAck(_)
                | Payload::RpcResponse(_),
            )
            | None => {}
        }
    }

    /// How many streams have begun and not ended.
    #[cfg(test)]
    pub(super) fn streams_under_way(&self) -> usize {
        self.streams.under_way()
    }

    fn may_tell(&self, sender: &Sender, topic: &str) -> bool {
        match topic {
            TRANSCRIPTION => self.cast.may_transcribe(&sender.sid, &sender.identity),
            SESSION => self.cast.may_be_agent(&sender.sid),
            _ => true,
        }
    }

    /// An agent begins to speak, where that is not told otherwise: the caller's turn is over. What the agent does by its
    /// attributes comes by another way than the caller's words, and may overtake them.
    fn agent_begins(&mut self, sender: &Sender, header: &StreamHeader, out: &mut Vec<Out>) {
        let by_agent = header.topic == TRANSCRIPTION
            && self.cast.agents().any(|agent| agent.identity() == sender.identity && agent.sid() == sender.sid);
        if by_agent && self.turns.believes(Way::Streams, &sender.sid, |sid| self.cast.standing(sid)) {
            out.push(Out::Message(RoomMessage::AgentState { seq: None, state: AgentActivity::Speaking }));
        }
    }

    fn stream(&mut self, topic: &str, stream: Result<Option<Stream>, StreamError>, out: &mut Vec<Out>) {
        match stream {
            Ok(Some(stream)) if stream.topic == SESSION => self.session(&stream, out),
            Ok(Some(stream)) => match self.turns.stream(stream, |sid| self.cast.standing(sid)) {
                Ok(piece) => piece.into_iter().for_each(|piece| self.piece(piece, out)),
                Err(detail) => out.push(bad(TRANSCRIPTION, detail)),
            },
            Ok(None) => {}
            Err(error) => out.push(bad(topic, &error.to_string())),
        }
    }

    fn piece(&mut self, piece: RoomMessage, out: &mut Vec<Out>) {
        if matches!(&piece, RoomMessage::Transcript(piece) if piece.is_final) {
            self.tell_missing(out);
        }
        out.push(Out::Message(piece));
    }

    /// Turns were missed, and this account does not bring them.
    fn tell_missing(&mut self, out: &mut Vec<Out>) {
        if self.missed && !self.sessions.is_known() && !std::mem::replace(&mut self.told_missing, true) {
            out.push(warning("history_missing", "no agent offers its history, so earlier turns are unknown"));
        }
    }

    /// Turns were missed, and this agent's history brings them, but for those of an agent before it.
    fn tell_history(&mut self, sid: &str, out: &mut Vec<Out>) {
        if !std::mem::take(&mut self.missed) || !self.late {
            return;
        }
        let joined = |person: Option<&Person>| person.map_or(0, Person::joined_at_ms);
        let (agent, caller) = (joined(self.cast.by_sid(sid)), joined(self.cast.caller()));
        let later_ms = agent.saturating_sub(caller);
        if caller > 0 && later_ms >= SECOND_AGENT_MS && !std::mem::replace(&mut self.told_missing, true) {
            let detail = format!(
                "the agent came {} s after the caller, and its history may begin there, so earlier turns are unknown",
                later_ms / 1_000
            );
            out.push(warning("history_missing", &detail));
        }
    }

    /// A message of a session. Whoever is no agent could make up turns.
    fn session(&mut self, stream: &Stream, out: &mut Vec<Out>) {
        let Sender { identity, sid } = &stream.sender;
        if !self.cast.agents().any(|agent| agent.sid() == sid && agent.identity() == identity) {
            return;
        }
        let told = match self.sessions.read(&stream.content) {
            Ok(told) => told,
            Err(detail) => return out.push(bad(SESSION, detail)),
        };
        // An agent that only refuses its history must not silence its transcripts.
        if told.is_none() || !self.turns.believes(Way::Session, sid, |sid| self.cast.standing(sid)) {
            return;
        }
        match told {
            Some(Told::Turn(message)) => {
                let said = said(&self.cast, identity, message.role());
                out.extend(self.turns.turn(said, &message).map(Out::Message));
            }
            Some(Told::History(messages)) => {
                self.tell_history(sid, out);
                let told = self.turns.history(messages, |role| said(&self.cast, identity, role));
                out.extend(told.into_iter().map(Out::Message));
            }
            Some(Told::State(activity)) => self.agent_is(activity, out),
            Some(Told::Tool(call)) => out.push(Out::Message(tool_call(call))),
            None => {}
        }
        if self.sessions.asks_again(sid) {
            self.ask_history(identity, sid, out);
        }
    }

    /// What is done about a message.
    pub(super) fn act(&mut self, message: &SidecarMessage) -> Vec<Act> {
        match message {
            SidecarMessage::Command { command_id, command, deadline_ms } => {
                // Asked for again after a cut, while the first asking is under way.
                if self.desk.is_open(command_id) {
                    return Vec::new();
                }
                let act = self.command(command_id, command, Duration::from_millis(*deadline_ms));
                self.desk.after_marks(act).into_iter().collect()
            }
            SidecarMessage::ToolsRegister { tools } => {
                self.tools.clone_from(tools);
                self.tell_agents(act::TOOLS, &act::tools(tools))
            }
            SidecarMessage::Tone { label, instruction } => {
                let tone = json!({"label": label, "instruction": instruction});
                self.tone = Some(tone.clone());
                self.tell_agents(act::TONE, &tone)
            }
            SidecarMessage::Alert(alert) => {
                let caller = self.cast.caller().filter(|_| self.api.room).map(Person::identity);
                caller.map(|caller| self.desk.mark(alert, caller)).into_iter().collect()
            }
            SidecarMessage::ToolResult { call_id, ok, output } => {
                self.tell_agents(act::TOOL_RESULT, &json!({"call_id": call_id, "ok": ok, "output": output}))
            }
            // Ratings are nobody's business in a room that the caller is in, and there is nobody to complain to.
            SidecarMessage::Sentiment { .. }
            | SidecarMessage::Hello { .. }
            | SidecarMessage::Ack { .. }
            | SidecarMessage::Error(_) => Vec::new(),
        }
    }

    fn command(&mut self, command_id: &str, command: &CommandKind, patience: Duration) -> Act {
        match command {
            CommandKind::Say { text } => match self.speaker() {
                Some(agent) => self.desk.ask(&agent, act::SAY, &json!({"text": text}), Some((command_id, patience))),
                None => self.desk.decline(command_id, "no agent in the room carries out what we ask for"),
            },
            CommandKind::Transfer { target, ringing_timeout_ms } => {
                let Some(caller) = self.cast.caller_by_sip().map(|caller| caller.identity().to_owned()) else {
                    return self.desk.decline(command_id, "no caller in the room came by SIP");
                };
                let ringing = Duration::from_millis(*ringing_timeout_ms);
                self.desk.transfer(command_id, &Transfer { caller, target: target.clone(), ringing, patience })
            }
            CommandKind::SetFlag { alert_id, severity, description } => {
                let flag =
                    Flag { alert_id: alert_id.clone(), severity: severity.clone(), description: description.clone() };
                self.desk.flag(command_id, &flag, self.cast.caller().map(Person::identity), patience)
            }
            CommandKind::Hangup {} => self.desk.decline(command_id, "calls are not hung up"),
        }
    }

    /// The agent that speaks to the caller: the one that tells of the conversation, or the first one.
    fn speaker(&self) -> Option<String> {
        let source = self.turns.source().and_then(|source| self.cast.by_sid(&source.sid)).filter(|one| one.is_wired());
        source.or_else(|| self.cast.agents().find(|agent| agent.is_wired())).map(|agent| agent.identity().to_owned())
    }

    fn tell_agents(&mut self, method: &'static str, payload: &Value) -> Vec<Act> {
        if !self.api.room {
            return Vec::new();
        }
        let wired: Vec<String> =
            self.cast.agents().filter(|agent| agent.is_wired()).map(|agent| agent.identity().to_owned()).collect();
        wired.iter().map(|agent| self.desk.ask(agent, method, payload, None)).collect()
    }
}

/// Who said what an agent tells of.
fn said<'a>(cast: &'a Cast, agent: &'a str, role: ChatRole) -> Said<'a> {
    match role {
        ChatRole::User => Said::ByCaller(cast.caller_identity().unwrap_or(CALLER)),
        _ => Said::ByAgent(agent),
    }
}

fn tool_call(call: FunctionCall) -> RoomMessage {
    // What the model wrote that is no JSON is refused by whoever reads the arguments.
    let arguments = serde_json::from_str(&call.arguments).unwrap_or(Value::String(call.arguments));
    RoomMessage::ToolCall { seq: None, call_id: call.call_id, name: call.name, arguments }
}

fn ended(reason: DisconnectReason) -> Option<RoomMessage> {
    let reason = match reason {
        DisconnectReason::RoomClosed => "everybody has left",
        DisconnectReason::RoomDeleted => "the room was deleted",
        _ => return None,
    };
    Some(RoomMessage::SessionEnded { seq: None, reason: reason.to_owned() })
}

fn bad(topic: &str, detail: &str) -> Out {
    Out::Bad(FrameError::BadFields { kind: topic.to_owned(), detail: detail.to_owned() })
}

fn warning(code: &str, message: &str) -> Out {
    let (code, message) = (code.to_owned(), message.to_owned());
    Out::Message(RoomMessage::Error(ErrorMessage { code, message, reference: None, retryable: false }))
}
