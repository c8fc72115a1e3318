//! What we ask of a room, as calls of the server's API, and what comes of them ([`Desk`]).
//!
//! Agents that carry out what we ask for have the attribute `sentiment-sidecar`, and answer the methods below. They are asked
//! through the server (`RoomService/PerformRpc`), as nobody else can answer a hidden participant; so they know, too, that it is
//! no other participant who asks.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use prost::Message as _;
use serde_json::{Value, json};

use super::failure::{code, not_transferred, why_not};
use super::proto::api::{
    self, PerformRpcRequest, TransferSipParticipantRequest, UpdateParticipantRequest, UpdateRoomMetadataRequest,
};
use super::seen::{Act, ApiCall, ApiError, ApiMethod};
use crate::room::message::{CommandStatus, RoomMessage, TakenAlert, Tool};

/// Says a sentence: `{"text"}`; answered when it has been said.
pub(super) const SAY: &str = "sentiment-sidecar.say";
/// Tells the agent how to sound: `{"label", "instruction"}`.
pub(super) const TONE: &str = "sentiment-sidecar.tone";
/// Offers tools to the agent's model: `{"tools": [{"name", "description", "parameters"}]}`.
pub(super) const TOOLS: &str = "sentiment-sidecar.tools";
/// Answers a tool call: `{"call_id", "ok", "output"}`.
pub(super) const TOOL_RESULT: &str = "sentiment-sidecar.tool_result";
/// The name of ours among attributes and in a room's metadata.
const OURS: &str = "sentiment-sidecar";
/// Attributes of the caller that begin so, with an alert's id behind it, say that it was taken up.
pub(super) const TAKEN: &str = "sentiment-sidecar.alert.";
/// Those that begin so say what came of its transfer. They are others, as what is set at a time may come in any order.
pub(super) const OUTCOME: &str = "sentiment-sidecar.outcome.";
/// Those that begin so say that a webhook of it was delivered.
pub(super) const TOLD: &str = "sentiment-sidecar.told.";

/// How long what nobody waits for may take.
const USUAL: Duration = Duration::from_secs(10);
/// How long what is to be done waits for the word that it will be.
const MARKING: Duration = Duration::from_secs(2);
/// How long the answer may be on its way, beside what was to be done.
const SLACK: Duration = Duration::from_secs(2);
/// How often others may wipe our flag from a room's metadata before it is left so.
const MAX_RESTORED: u8 = 5;

/// A flag, as it is set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Flag {
    /// The alert behind it.
    pub(super) alert_id: String,
    /// Its severity.
    pub(super) severity: String,
    /// What upset the caller.
    pub(super) description: String,
}

/// Whom a transfer is of, and to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transfer {
    /// The caller's identity.
    pub(super) caller: String,
    /// E.164.
    pub(super) target: String,
    /// How long the phone may ring.
    pub(super) ringing: Duration,
    /// How long we wait.
    pub(super) patience: Duration,
}

/// What was asked for under an id.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Asked {
    Command(String),
    Transfer(String),
    /// The mark of an alert that is taken up: what is done about it waits for that.
    Mark,
    /// Something that nobody waits for.
    Aside(&'static str),
}

/// What was asked of the room and is not answered yet.
#[derive(Debug, Default)]
pub(super) struct Desk {
    room: String,
    calls: u64,
    open: HashMap<String, Asked>,
    /// The room's metadata, as it was seen last.
    metadata: String,
    /// What is to be done once alerts are marked that are taken up.
    held: Vec<Act>,
    /// Our flag in the room's metadata, and how often it was restored.
    flag: Option<(Value, u8)>,
}

impl Desk {
    /// The room that calls are about.
    pub(super) fn enter(&mut self, room: &str) {
        room.clone_into(&mut self.room);
    }

    /// A command that was asked for and is not answered: after a cut it is asked for again, and must not be done again.
    pub(super) fn is_open(&self, command_id: &str) -> bool {
        let is_it = |asked: &Asked| matches!(asked, Asked::Command(id) | Asked::Transfer(id) if id == command_id);
        self.open.values().any(is_it)
    }

    fn call(&mut self, asked: Asked, method: ApiMethod, body: Vec<u8>, timeout: Duration) -> Act {
        let id = self.id(asked);
        Act::Call(ApiCall { id, method, body, timeout })
    }

    fn id(&mut self, asked: Asked) -> String {
        self.calls += 1;
        let id = format!("call-{}", self.calls);
        self.open.insert(id.clone(), asked);
        id
    }

    /// A command that cannot be carried out: it fails at once.
    pub(super) fn decline(&mut self, command_id: &str, why: &'static str) -> Act {
        let id = self.id(Asked::Command(command_id.to_owned()));
        Act::Decline { id, error: ApiError::Nobody(why) }
    }

    /// Asks an agent. `command_id` is answered by what comes of it, where something waits for it.
    pub(super) fn ask(
        &mut self,
        agent: &str,
        method: &'static str,
        payload: &Value,
        command: Option<(&str, Duration)>,
    ) -> Act {
        let patience = command.map_or(USUAL, |(_, patience)| patience);
        let asked = command.map_or(Asked::Aside(method), |(id, _)| Asked::Command(id.to_owned()));
        let request = PerformRpcRequest {
            room: self.room.clone(),
            destination_identity: agent.to_owned(),
            method: method.to_owned(),
            payload: payload.to_string(),
            response_timeout_ms: u32::try_from(patience.as_millis()).unwrap_or(u32::MAX),
        };
        self.call(asked, ApiMethod::PerformRpc, request.encode_to_vec(), patience + SLACK)
    }

    /// Marks an alert at the caller, for whoever takes the call over: it is about to be acted on, its transfer has an outcome, or
    /// it was told to somebody.
    pub(super) fn mark(&mut self, alert: &TakenAlert, caller: &str) -> Act {
        let TakenAlert { alert_id, outcome, told } = alert;
        let (asked, prefix, value) = match outcome {
            Some(outcome) => (Asked::Aside("an alert's outcome"), OUTCOME, outcome.as_str()),
            None if *told => (Asked::Aside("that an alert was told"), TOLD, "1"),
            None => (Asked::Mark, TAKEN, "1"),
        };
        let timeout = if asked == Asked::Mark { MARKING } else { USUAL };
        self.set_attributes(asked, caller, BTreeMap::from([(format!("{prefix}{alert_id}"), value.to_owned())]), timeout)
    }

    /// What can be done now: what must not be done twice waits until alerts are marked that are taken up.
    pub(super) fn after_marks(&mut self, act: Act) -> Option<Act> {
        if self.open.values().any(|asked| *asked == Asked::Mark) {
            self.held.push(act);
            return None;
        }
        Some(act)
    }

    /// What waited for marks that are set by now, or cannot be.
    pub(super) fn released(&mut self) -> Vec<Act> {
        if self.open.values().any(|asked| *asked == Asked::Mark) { Vec::new() } else { std::mem::take(&mut self.held) }
    }

    fn set_attributes(
        &mut self,
        asked: Asked,
        caller: &str,
        attributes: BTreeMap<String, String>,
        timeout: Duration,
    ) -> Act {
        let request = UpdateParticipantRequest { room: self.room.clone(), identity: caller.to_owned(), attributes };
        self.call(asked, ApiMethod::UpdateParticipant, request.encode_to_vec(), timeout)
    }

    /// Sets a flag: as attributes of the caller, which the server merges; in the room's metadata, merged by us, where no caller
    /// is there.
    pub(super) fn flag(&mut self, command_id: &str, flag: &Flag, caller: Option<&str>, patience: Duration) -> Act {
        let asked = Asked::Command(command_id.to_owned());
        let Some(caller) = caller else { return self.flag_room(command_id, flag, patience) };
        let attribute = |name: &str, value: &str| (format!("{OURS}.{name}"), value.to_owned());
        let attributes = BTreeMap::from([
            attribute("alert_id", &flag.alert_id),
            attribute("severity", &flag.severity),
            attribute("description", &flag.description),
        ]);
        self.set_attributes(asked, caller, attributes, patience)
    }

    fn flag_room(&mut self, command_id: &str, flag: &Flag, patience: Duration) -> Act {
        let Flag { alert_id, severity, description } = flag;
        let value = json!({"alert_id": alert_id, "severity": severity, "description": description});
        let Some(metadata) = merged(&self.metadata, &value) else {
            let why = "the caller is gone, and the room's metadata is no JSON object that a flag could be added to";
            return self.decline(command_id, why);
        };
        self.flag = Some((value, 0));
        self.set_metadata(Asked::Command(command_id.to_owned()), metadata, patience)
    }

    fn set_metadata(&mut self, asked: Asked, metadata: String, patience: Duration) -> Act {
        let request = UpdateRoomMetadataRequest { room: self.room.clone(), metadata };
        self.call(asked, ApiMethod::UpdateRoomMetadata, request.encode_to_vec(), patience)
    }

    /// The room's metadata is another. Whoever wrote it may have read it before our flag was in it: then it is added again.
    pub(super) fn metadata_is(&mut self, metadata: &str) -> Option<Act> {
        metadata.clone_into(&mut self.metadata);
        let (value, restored) = self.flag.as_mut()?;
        let missing = serde_json::from_str::<Value>(metadata).ok().is_none_or(|now| now.get(OURS).is_none());
        if !missing || *restored >= MAX_RESTORED {
            return None;
        }
        *restored += 1;
        let metadata = merged(metadata, value)?;
        Some(self.set_metadata(Asked::Aside("the flag in the room's metadata"), metadata, USUAL))
    }

    /// Has the SIP service transfer the caller.
    pub(super) fn transfer(&mut self, command_id: &str, transfer: &Transfer) -> Act {
        let request = TransferSipParticipantRequest {
            participant_identity: transfer.caller.clone(),
            room_name: self.room.clone(),
            transfer_to: format!("tel:{}", transfer.target),
            play_dialtone: true,
            ringing_timeout: Some(api::Duration {
                seconds: i64::try_from(transfer.ringing.as_secs()).unwrap_or(i64::MAX),
                nanos: i32::try_from(transfer.ringing.subsec_nanos()).unwrap_or_default(),
            }),
        };
        let asked = Asked::Transfer(command_id.to_owned());
        self.call(asked, ApiMethod::TransferSipParticipant, request.encode_to_vec(), transfer.patience)
    }

    /// What came of a call: the result of a command, where it was one.
    pub(super) fn answered(&mut self, id: &str, result: Result<&[u8], &ApiError>) -> Option<RoomMessage> {
        let (command_id, failed) = match (self.open.remove(id)?, result) {
            (Asked::Aside(_) | Asked::Mark, Ok(_)) => return None,
            (Asked::Mark, Err(error)) => {
                tracing::warn!(%error, "whoever takes the call over will not know that an alert was taken up");
                return None;
            }
            (Asked::Aside(what), Err(error)) => {
                tracing::warn!(%error, what, "the room did not take it");
                return None;
            }
            (Asked::Command(id), Ok(_)) => (id, None),
            (Asked::Command(id), Err(error)) => (id, Some((code(error), error.to_string()))),
            (Asked::Transfer(id), Ok(body)) => (id, not_transferred(body)),
            (Asked::Transfer(id), Err(error)) => (id, Some((why_not(error), error.to_string()))),
        };
        let status = if failed.is_none() { CommandStatus::Done } else { CommandStatus::Failed };
        let (code, detail) = failed.unzip();
        Some(RoomMessage::CommandResult { seq: None, command_id, status, code, detail })
    }
}

/// The tools, as an agent is offered them.
pub(super) fn tools(tools: &[Tool]) -> Value {
    json!({ "tools": tools })
}

/// A room's metadata with our value in it; none where it is something else than a JSON object.
fn merged(metadata: &str, value: &Value) -> Option<String> {
    let mut object = match metadata.trim() {
        "" => serde_json::Map::new(),
        text => match serde_json::from_str(text) {
            Ok(Value::Object(object)) => object,
            Ok(_) | Err(_) => return None,
        },
    };
    object.insert(OURS.to_owned(), value.clone());
    Some(Value::Object(object).to_string())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]
    use super::super::proto::api::{SipStatus, SipTransferReason, SipTransferStatus, TransferSipParticipantResponse};
    use super::*;

    fn desk() -> Desk {
        let mut desk = Desk::default();
        desk.enter("room_1");
        desk
    }

    fn call(act: Act) -> ApiCall {
        match act {
            Act::Call(call) => call,
            other => panic!("{other:?}"),
        }
    }

    fn flag() -> Flag {
        let [alert_id, severity, description] = ["a1", "high", "Nobody calls back"].map(str::to_owned);
        Flag { alert_id, severity, description }
    }

    fn transfer() -> Transfer {
        let (caller, target) = ("sip_1".to_owned(), "+15550100".to_owned());
        Transfer { caller, target, ringing: Duration::from_millis(25_500), patience: Duration::from_secs(40) }
    }

    fn failed(message: RoomMessage) -> (String, Option<String>) {
        match message {
            RoomMessage::CommandResult { command_id, status: CommandStatus::Failed, code, .. } => (command_id, code),
            RoomMessage::CommandResult { command_id, .. } => (command_id, None),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn an_agent_is_asked_through_the_server_for_as_long_as_we_wait() {
        let mut desk = desk();
        let payload = json!({"text": "One moment, please."});
        let asked = call(desk.ask("agent-1", SAY, &payload, Some(("say-1", Duration::from_secs(9)))));
        let request = PerformRpcRequest::decode(asked.body.as_slice()).unwrap();
        assert_eq!((request.destination_identity.as_str(), request.method.as_str()), ("agent-1", SAY));
        assert_eq!((request.response_timeout_ms, asked.timeout), (9_000, Duration::from_secs(11)));
        assert_eq!(request.payload, payload.to_string());
        assert!(desk.is_open("say-1"));
        assert_eq!(desk.answered(&asked.id, Ok(&[])).map(failed), Some(("say-1".to_owned(), None)));
        assert!(!desk.is_open("say-1"));
        assert_eq!(desk.answered(&asked.id, Ok(&[])), None, "once");
        let aside = call(desk.ask("agent-1", TONE, &json!({}), None));
        assert_eq!(desk.answered(&aside.id, Err(&ApiError::Unauthorized { status: 401 })), None);
    }

    #[test]
    fn the_right_caller_is_transferred_and_may_be_rung_for_as_long_as_the_settings_say() {
        let asked = call(desk().transfer("transfer-1", &transfer()));
        let request = TransferSipParticipantRequest::decode(asked.body.as_slice()).unwrap();
        assert_eq!(request.participant_identity, "sip_1");
        assert_eq!(request.transfer_to, "tel:+15550100");
        assert_eq!(request.ringing_timeout, Some(api::Duration { seconds: 25, nanos: 500_000_000 }));
        assert_eq!(asked.timeout, Duration::from_secs(40));
    }

    fn outcome(result: Result<Vec<u8>, ApiError>) -> Option<String> {
        let mut desk = desk();
        let asked = call(desk.transfer("transfer-1", &transfer()));
        failed(desk.answered(&asked.id, result.as_deref()).unwrap()).1
    }

    #[test]
    fn what_a_transfer_came_to_is_told_in_the_words_of_outcomes() {
        let refused = |status: u16, sip: Option<u16>, reason: Option<&str>| ApiError::Refused {
            status,
            code: "failed_precondition".to_owned(),
            sip,
            reason: reason.map(str::to_owned),
        };
        let is = |result, code: &str| assert_eq!(outcome(result).as_deref(), Some(code));
        is(Err(refused(429, Some(486), Some("STR_REJECTED"))), "486");
        is(Err(refused(403, Some(603), None)), "603");
        is(Err(refused(408, None, Some("STR_RINGING_TIMEOUT"))), "no_answer");
        is(Err(refused(412, None, Some("STR_CALL_ENDED"))), "caller_gone");
        is(Err(refused(404, None, None)), "unreachable");
        is(Err(refused(408, None, None)), "unknown");
        is(Err(refused(500, None, None)), "unknown");
        is(Err(ApiError::Timeout { after_ms: 1 }), "unknown");
        is(Err(ApiError::Cut { problem: "reset".to_owned() }), "unknown");
        is(Err(ApiError::Unreachable { problem: "refused".to_owned() }), "unreachable");
        is(Err(ApiError::Unauthorized { status: 401 }), "http_401");
        let answer = |status: SipTransferStatus, reason: SipTransferReason, sip: Option<i32>| {
            let sip_status = sip.map(|code| SipStatus { code, status: String::new() });
            let (status, reason) = (status.into(), reason.into());
            Ok(TransferSipParticipantResponse { transfer_id: "T".to_owned(), status, reason, sip_status }
                .encode_to_vec())
        };
        assert_eq!(outcome(Ok(Vec::new())), None, "an older server says nothing but that it was done");
        assert_eq!(outcome(answer(SipTransferStatus::Successful, SipTransferReason::Completed, Some(200))), None);
        is(answer(SipTransferStatus::Failed, SipTransferReason::Rejected, Some(486)), "486");
        is(answer(SipTransferStatus::Failed, SipTransferReason::Rejected, None), "declined");
        is(answer(SipTransferStatus::Ongoing, SipTransferReason::Unspecified, None), "unknown");
        is(Ok(b"\xff".to_vec()), "unknown");
    }

    #[test]
    fn a_flag_is_attributes_of_the_caller_that_the_server_merges() {
        let asked = call(desk().flag("set_flag-1", &flag(), Some("sip_1"), USUAL));
        assert_eq!(asked.method, ApiMethod::UpdateParticipant);
        let request = UpdateParticipantRequest::decode(asked.body.as_slice()).unwrap();
        assert_eq!((request.room.as_str(), request.identity.as_str()), ("room_1", "sip_1"));
        assert_eq!(request.attributes["sentiment-sidecar.alert_id"], "a1");
        assert_eq!(request.attributes.len(), 3);
    }

    fn metadata(act: Act) -> Value {
        let asked = call(act);
        assert_eq!(asked.method, ApiMethod::UpdateRoomMetadata);
        serde_json::from_str(&UpdateRoomMetadataRequest::decode(asked.body.as_slice()).unwrap().metadata).unwrap()
    }

    #[test]
    fn without_a_caller_a_flag_is_merged_into_the_room_s_metadata_and_added_again_when_it_is_wiped() {
        let mut desk = desk();
        assert_eq!(desk.metadata_is(r#"{"tenant": 7}"#), None);
        let ours = json!({"alert_id": "a1", "severity": "high", "description": "Nobody calls back"});
        let set = metadata(desk.flag("set_flag-1", &flag(), None, USUAL));
        assert_eq!(set, json!({"tenant": 7, "sentiment-sidecar": ours}));
        assert_eq!(desk.metadata_is(&set.to_string()), None);
        let again = metadata(desk.metadata_is(r#"{"tenant": 7, "queue": "b"}"#).unwrap());
        assert_eq!(again, json!({"tenant": 7, "queue": "b", "sentiment-sidecar": ours}));
        for _ in 1..MAX_RESTORED {
            assert!(desk.metadata_is("{}").is_some());
        }
        assert_eq!(desk.metadata_is("{}"), None, "two programs do not fight for ever");
    }

    #[test]
    fn metadata_that_is_no_object_is_left_alone() {
        let mut desk = desk();
        desk.metadata_is("tenant 7");
        let Act::Decline { id, error } = desk.flag("set_flag-1", &flag(), None, USUAL) else { panic!("not declined") };
        assert_eq!(failed(desk.answered(&id, Err(&error)).unwrap()).1.as_deref(), Some("unreachable"));
    }
}
