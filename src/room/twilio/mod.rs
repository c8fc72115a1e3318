//! Twilio's ConversationRelay, and Telnyx', which speaks nearly the same: the platform dials the app, and we stand between them.
//!
//! - [`relay`] carries the frames, unchanged, and `down` puts what we say between those of the app; `wire` sees where messages end, and
//!   `shared` is what both ways know. [`tap`] lies between them and the link, which is as slow as it likes.
//! - This file is the translator. `frames` is what goes over the wire; `agent` knows how much of what the app says is heard, `seam`
//!   what a platform says again after a cut, and `eager` which ends of turns are not sure.
//! - [`sign`] checks who dialled us.
//!
//! The caller's turns are prompts; the agent's are the app's texts up to the last piece, cut where the caller broke in.

mod agent;
mod down;
mod eager;
pub mod frames;
pub mod relay;
mod seam;
mod shared;
pub mod sign;
pub mod tap;
mod wire;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
mod tests;

use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use self::agent::{AGENT, Agent, Told};
use self::eager::Eager;
use self::frames::{FromApp, FromPlatform, Setup, end, sentence};
use self::relay::BROKEN;
use self::seam::{Said, Seam};
use self::tap::{Injection, Tapped};
use super::error::RoomError;
use super::link::dialect::{Credentials, Dialect, Greeting, Handshake, Heard, Limits, Received, Unsayable, Written};
use super::message::{
    CallInfo, CommandKind, CommandStatus, FrameError, Participant, Role, RoomMessage, SidecarMessage, Transcript,
    TurnEnded, VERSION, Welcome, capability,
};

const CALLER: &str = "caller";
/// The close code for what breaks WebSocket's rules (RFC 6455 section 7.4.1).
const PROTOCOL_ERROR: u16 = 1002;
/// How long a sentence is heard: its first sound, and then each character.
const FIRST_SOUND: Duration = Duration::from_millis(800);
const CHARACTER: Duration = Duration::from_millis(70);

/// How long a text is heard.
fn speaking_time(text: &str) -> Duration {
    CHARACTER.saturating_mul(u32::try_from(text.chars().count()).unwrap_or(u32::MAX))
}

/// Why a caller is handed over: what the action's URL is told beside the call. Filled in by whoever hears what the call reports.
#[derive(Debug, Clone, Default)]
pub struct Handoff(Arc<Mutex<Option<Why>>>);

/// What led to an escalation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Why {
    /// The alert.
    pub alert_id: String,
    /// What decided.
    pub reason: String,
    /// low, medium, high, critical.
    pub severity: String,
    /// What upset the caller.
    pub description: String,
}

impl Handoff {
    /// The call escalated.
    pub fn set(&self, why: Why) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(why);
    }

    fn get(&self) -> Option<Why> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Whose relay it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// Twilio's: the app gets what it ends a session with to the action's URL.
    Twilio,
    /// Telnyx': the same frames, and nothing to hand a caller over by.
    Telnyx,
}

/// A sentence of ours on its way to the caller.
#[derive(Debug)]
struct Playing {
    id: String,
    /// Whether it is heard by now, and not what the app said before it.
    begun: bool,
}

/// The translator.
#[derive(Debug)]
pub struct Twilio {
    platform: Platform,
    handoff: Handoff,
    setup: Setup,
    /// Whether this call was joined before, by this process.
    again: bool,
    seam: Seam,
    eager: Eager,
    /// What the caller is saying, as far as it is known.
    partial: Option<Said>,
    /// How many turns the caller has had. They are counted by who spoke: whatever else a process has heard, it counts what the
    /// platform says again as another did.
    turns: u64,
    agent: Agent,
    /// The commands that were carried out: after a cut they may be given again.
    begun: HashSet<String>,
    /// The commands that this connection has been given.
    given: HashSet<String>,
    /// The sentence that is to be said, until it was heard.
    sentence: Option<String>,
    /// The sentence that is being heard.
    playing: Option<Playing>,
    /// The transfer that the platform is at.
    transfer: Option<String>,
}

impl Twilio {
    /// For one call.
    #[must_use]
    pub fn new(platform: Platform, handoff: Handoff) -> Self {
        Self {
            platform,
            handoff,
            setup: Setup::default(),
            again: false,
            seam: Seam::default(),
            eager: Eager::default(),
            partial: None,
            turns: 0,
            agent: Agent::default(),
            begun: HashSet::new(),
            given: HashSet::new(),
            sentence: None,
            playing: None,
            transfer: None,
        }
    }

    fn platform(&mut self, message: FromPlatform) -> Vec<Heard> {
        match message {
            FromPlatform::Setup(setup) => self.joined(setup),
            FromPlatform::Prompt { voice_prompt, lang, last, eager_end_of_turn, turn_resumed } => {
                if turn_resumed == Some(Value::Bool(true)) {
                    self.eager.resumed();
                }
                let unsure = eager_end_of_turn == Some(Value::Bool(true));
                let said = voice_prompt.filter(|text| !text.trim().is_empty()).map(|text| Said { text, lang });
                if !last.unwrap_or(true) {
                    self.partial = said.or(self.partial.take());
                    return Vec::new();
                }
                // One without words says nothing of those that were being said.
                let Some(said) = said else { return Vec::new() };
                self.partial = None;
                let said = self.eager.prompt(said, unsure);
                said.map(|said| self.prompted(said)).unwrap_or_default()
            }
            FromPlatform::Interrupt { utterance_until_interrupt } => {
                self.agent_was_cut(utterance_until_interrupt.as_deref())
            }
            FromPlatform::Info { name, value } => self.info(name.as_deref(), value.as_ref()),
            FromPlatform::Other => Vec::new(),
        }
    }

    fn joined(&mut self, setup: Setup) -> Vec<Heard> {
        let Some(call_id) = setup.call_id().map(str::to_owned) else {
            let field = "it has neither callSid nor sessionId".to_owned();
            return vec![bad(field)];
        };
        let session_id = setup.session_id().unwrap_or(&call_id).to_owned();
        let mut capabilities = vec![capability::TURN_EVENTS, capability::SAY];
        if self.platform == Platform::Twilio {
            capabilities.push(capability::TRANSFER);
        }
        // Whoever is on the phone is our caller, though it was us who called.
        let [from, to] = setup.numbers().map(|number| number.map(str::to_owned));
        let welcome = Welcome {
            version: VERSION,
            session_id,
            room_name: call_id.clone(),
            call: CallInfo { id: call_id, from, to, sip: None },
            participants: [(CALLER, Role::Caller), (AGENT, Role::Agent)]
                .map(|(id, role)| Participant { id: id.to_owned(), role, name: None })
                .to_vec(),
            capabilities: capabilities.into_iter().map(str::to_owned).collect(),
            resumed: self.again,
            alerts: Vec::new(),
        };
        let mut heard = vec![Heard::Welcome(welcome)];
        // What was held before this would be lost.
        if self.again && self.setup.session_id() == setup.session_id() {
            heard.extend(self.settled());
            self.seam.cut();
        } else {
            // Another session says nothing again, and does not go on with what was being said.
            heard.extend(self.broken_off());
        }
        (self.again, self.setup) = (true, setup);
        heard
    }

    /// The caller's turn is over.
    fn prompted(&mut self, said: Said) -> Vec<Heard> {
        let mut heard = self.agent_is_done();
        self.agent.is_answered();
        let new = self.seam.prompt(said);
        heard.extend(self.callers(new));
        heard
    }

    /// What the caller said and was held is in doubt no longer.
    fn settled(&mut self) -> Vec<Heard> {
        let unsure = self.eager.settle();
        let mut heard = unsure.map(|said| self.prompted(said)).unwrap_or_default();
        let held = self.seam.settle();
        heard.extend(self.callers(held));
        heard
    }

    /// What was held when the call ended, and what the caller was saying then: nobody says any more that it is whole.
    fn broken_off(&mut self) -> Vec<Heard> {
        let partial = self.partial.take();
        if let Some(partial) = &partial {
            self.eager.is_part_of(partial);
        }
        let mut heard = self.settled();
        heard.extend(partial.into_iter().flat_map(|said| self.prompted(said)));
        heard
    }

    fn callers(&mut self, said: Vec<Said>) -> Vec<Heard> {
        let turn = |Said { text, lang }| {
            self.turns += 1;
            said_turn(&format!("{CALLER}-{}", self.turns), CALLER, text, lang)
        };
        said.into_iter().flat_map(turn).collect()
    }

    fn app(&mut self, message: FromApp) -> Vec<Heard> {
        match message {
            FromApp::Text { token, last } => {
                // Who answers has heard.
                let mut heard = self.settled();
                self.agent.says(token.as_deref().unwrap_or_default());
                if last.unwrap_or(false) {
                    heard.extend(self.agent_is_done());
                }
                heard
            }
            FromApp::End | FromApp::Other => Vec::new(),
        }
    }

    /// What the agent said so far is its turn.
    fn agent_is_done(&mut self) -> Vec<Heard> {
        self.agent.is_done().map(agent_turn).unwrap_or_default()
    }

    /// The caller heard no more than that of what the agent said.
    fn agent_was_cut(&mut self, until: Option<&str>) -> Vec<Heard> {
        let broken = self.heard_until(|_| true);
        let failed = broken.map(|id| result(id, CommandStatus::Failed, None, Some("the caller broke in")));
        let mut heard: Vec<Heard> = failed.into_iter().collect();
        match until.map(str::trim).filter(|until| !until.is_empty()) {
            Some(until) => heard.extend(self.agent.is_cut(until).into_iter().flat_map(agent_turn)),
            None => heard.extend(self.agent_is_done()),
        }
        heard
    }

    /// The platform says when it plays, where the TwiML asks for that.
    fn info(&mut self, name: Option<&str>, value: Option<&Value>) -> Vec<Heard> {
        let is_over = name == Some("agentSpeaking") && value.and_then(Value::as_str) == Some("off");
        match self.heard_until(|playing| is_over && playing.begun) {
            Some(id) => vec![result(id, CommandStatus::Done, None, None)],
            None => Vec::new(),
        }
    }

    /// The sentence that is heard no longer, where it is the one.
    fn heard_until(&mut self, is_it: impl FnOnce(&Playing) -> bool) -> Option<String> {
        let Playing { id, .. } = self.playing.take_if(|playing| is_it(playing))?;
        self.sentence.take_if(|sentence| *sentence == id);
        Some(id)
    }

    fn tapped(&mut self, tapped: &Tapped) -> Vec<Heard> {
        match tapped {
            Tapped::Platform(text) => match serde_json::from_str(text) {
                Ok(message) => self.platform(message),
                Err(error) => {
                    vec![bad(format!("a message of the platform that cannot be read at column {}", error.column()))]
                }
            },
            Tapped::App(text) => match serde_json::from_str(text) {
                Ok(message) => self.app(message),
                Err(error) => {
                    vec![bad(format!("a message of the app that cannot be read at column {}", error.column()))]
                }
            },
            Tapped::Unread => {
                vec![bad("a message passed that is no text, compressed, or longer than 64 KiB".to_owned())]
            }
            Tapped::Missed(many) => vec![bad(format!("{many} messages passed unheard, as this process was behind"))],
            Tapped::Injected(id) => {
                self.begun.insert(id.clone());
                if self.transfer.as_ref() != Some(id) {
                    self.playing = Some(Playing { id: id.clone(), begun: false });
                }
                vec![result(id.clone(), CommandStatus::Accepted, None, None)]
            }
            Tapped::Expired(id) => {
                self.transfer.take_if(|transfer| transfer == id);
                self.sentence.take_if(|sentence| sentence == id);
                let why = "the app did not end its sentence in time";
                vec![result(id.clone(), CommandStatus::Failed, None, Some(why))]
            }
            Tapped::Begun(id) => {
                if let Some(playing) = self.playing.as_mut().filter(|playing| playing.id == *id) {
                    playing.begun = true;
                }
                Vec::new()
            }
            Tapped::Played(id) => match self.heard_until(|playing| playing.id == *id) {
                Some(id) => vec![result(id, CommandStatus::Done, None, None)],
                None => Vec::new(),
            },
            Tapped::Dialled(status) => self.dialled(status),
        }
    }

    /// How the platform's call to the human went.
    fn dialled(&mut self, status: &str) -> Vec<Heard> {
        let Some(id) = self.transfer.take_if(|_| is_final(status)) else { return Vec::new() };
        vec![match status {
            "completed" | "answered" | "in-progress" => result(id, CommandStatus::Done, None, None),
            "busy" => result(id, CommandStatus::Failed, Some("busy"), None),
            "no-answer" => result(id, CommandStatus::Failed, Some("no_answer"), None),
            "canceled" => result(id, CommandStatus::Failed, Some("caller_gone"), None),
            "failed" => result(id, CommandStatus::Failed, Some("unreachable"), Some("the platform could not dial")),
            _ => result(id, CommandStatus::Failed, Some("unknown"), None),
        }]
    }

    fn command(&mut self, command_id: &str, command: &CommandKind, within: Duration) -> Vec<Written> {
        let (text, plays_for) = match command {
            CommandKind::Say { text } => (sentence(text), Some(FIRST_SOUND + speaking_time(text))),
            CommandKind::Transfer { .. } if self.platform == Platform::Twilio => (end(&self.handoff_data()), None),
            CommandKind::Transfer { .. } | CommandKind::SetFlag { .. } | CommandKind::Hangup {} => return Vec::new(),
        };
        if self.begun.contains(command_id) || !self.given.insert(command_id.to_owned()) {
            return Vec::new();
        }
        let (command_id, waits) = (command_id.to_owned(), plays_for.is_none() && self.sentence.is_some());
        let place = if plays_for.is_none() { &mut self.transfer } else { &mut self.sentence };
        *place = Some(command_id.clone());
        vec![Written::Tapped(Injection { command_id, text, plays_for, within, waits })]
    }

    /// What the action's URL is told. Whom to call is the app's to know: it is told the setting's name, and no number.
    fn handoff_data(&self) -> Value {
        let why = self.handoff.get();
        let why = why.as_ref();
        json!({
            "reasonCode": "sentiment-escalation",
            "reason": why.map(|why| &why.reason),
            "severity": why.map(|why| &why.severity),
            "description": why.map(|why| &why.description),
            "alertId": why.map(|why| &why.alert_id),
            "target": "sentimentEscalationTarget",
            "callSid": self.setup.call_sid,
            "sessionId": self.setup.session_id,
            "from": self.setup.from,
            "to": self.setup.to,
        })
    }
}

impl Dialect for Twilio {
    fn handshake(&self) -> Handshake {
        Handshake { subprotocol: None, credentials: Credentials::Bearer }
    }

    fn limits(&self) -> Limits {
        Limits {
            max_frame: wire::MAX_TEXT,
            violation: PROTOCOL_ERROR,
            heartbeat: Duration::from_secs(60),
            missed_heartbeats: 3,
        }
    }

    // The platform speaks first.
    fn hello(&mut self, _: Greeting<'_>) -> Vec<Written> {
        self.given.clear();
        (self.sentence, self.playing) = (None, None);
        Vec::new()
    }

    fn read(&mut self, frame: Received<'_>) -> Vec<Heard> {
        match frame {
            Received::Tapped(tapped) => self.tapped(tapped),
            _ => vec![bad("what is no message of a relay".to_owned())],
        }
    }

    fn write(&mut self, message: &SidecarMessage) -> Result<Vec<Written>, Unsayable> {
        Ok(match message {
            SidecarMessage::Command { command_id, command, deadline_ms } => {
                self.command(command_id, command, Duration::from_millis(*deadline_ms))
            }
            _ => Vec::new(),
        })
    }

    /// A connection that was closed is over with its call; one that broke may come again, as long as somebody waits for it.
    fn is_over(&self, error: &RoomError) -> bool {
        match error {
            RoomError::Closed { code, .. } => *code != BROKEN,
            RoomError::Unreachable { .. } => self.again,
            _ => false,
        }
    }

    /// The platform says nothing of a call that ended in a cut.
    fn is_over_unless_back(&self) -> bool {
        self.again
    }

    fn ended(&mut self) -> Vec<Heard> {
        let mut heard = self.broken_off();
        // The call has left the app for the human, and whether they met nobody has told.
        if let Some(id) = self.transfer.take_if(|id| self.begun.contains(id)) {
            let participant = Participant { id: CALLER.to_owned(), role: Role::Caller, name: None };
            let left = RoomMessage::ParticipantLeft { seq: None, participant };
            heard.push(Heard::Message { seq: None, message: Some(left) });
            let why = "the platform did not tell how its call to the human went";
            heard.push(result(id, CommandStatus::Failed, Some("unknown"), Some(why)));
        }
        heard
    }
}

/// Whether a status says how the platform's call to the human went, and not only that it is made.
#[must_use]
pub fn is_final(status: &str) -> bool {
    !matches!(status, "queued" | "initiated" | "ringing")
}

/// Whether a status says that nobody took the call, so that the caller is still there, and may come back to the app.
#[must_use]
pub fn has_failed(status: &str) -> bool {
    is_final(status) && !matches!(status, "completed" | "answered" | "in-progress" | "canceled")
}

fn agent_turn(Told { id, text, revised }: Told) -> Vec<Heard> {
    match revised {
        true => vec![Heard::Message { seq: None, message: Some(turn_ended(&id, AGENT, Some(text))) }],
        false => said_turn(&id, AGENT, text, None),
    }
}

fn said_turn(id: &str, participant: &str, text: String, lang: Option<String>) -> Vec<Heard> {
    let transcript = RoomMessage::Transcript(Transcript {
        seq: None,
        segment_id: id.to_owned(),
        rev: 0,
        participant_id: participant.to_owned(),
        text,
        is_final: true,
        start_ms: None,
        end_ms: None,
        confidence: None,
        lang,
        mended: Vec::new(),
    });
    [transcript, turn_ended(id, participant, None)]
        .map(|message| Heard::Message { seq: None, message: Some(message) })
        .into()
}

fn turn_ended(id: &str, participant: &str, text: Option<String>) -> RoomMessage {
    RoomMessage::TurnEnded(TurnEnded {
        seq: None,
        turn_id: id.to_owned(),
        index: None,
        participant_id: participant.to_owned(),
        text,
        segment_ids: vec![id.to_owned()],
        start_ms: None,
        end_ms: None,
        whole: false,
        mended: Vec::new(),
    })
}

fn result(command_id: String, status: CommandStatus, code: Option<&str>, detail: Option<&str>) -> Heard {
    let (code, detail) = (code.map(str::to_owned), detail.map(str::to_owned));
    Heard::Message {
        seq: None,
        message: Some(RoomMessage::CommandResult { seq: None, command_id, status, code, detail }),
    }
}

fn bad(detail: String) -> Heard {
    Heard::Bad { seq: None, error: FrameError::NotAMessage { detail } }
}
