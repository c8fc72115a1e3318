//! One sample or more of every message: the examples of the published AsyncAPI document, which tests hold against the
//! code and the schemas alike.

use serde_json::json;

use super::message::{
    About, AgentActivity, CallInfo, CommandKind, CommandStatus, ErrorMessage, Participant, Resume, Role, RoomMessage,
    SidecarMessage, SipDialog, TakenAlert, Transcript, TurnEnded, VERSION, Welcome, capability,
};
use crate::room::message::tool::escalate_sentiment;

fn s(text: &str) -> String {
    text.to_owned()
}

fn some(text: &str) -> Option<String> {
    Some(s(text))
}

fn caller() -> Participant {
    Participant { id: s("p-caller"), role: Role::Caller, name: None }
}

fn supervisor() -> Participant {
    Participant { id: s("p-supervisor"), role: Role::Supervisor, name: some("Robin") }
}

fn welcome() -> Welcome {
    let dialog = SipDialog {
        call_id: s("a84b4c76e66710@gw.example.com"),
        local_tag: s("1928301774"),
        remote_tag: s("a6c85cf"),
        local_uri: some("sip:agent@gw.example.com"),
        remote_uri: some("sip:+14155550100@carrier.example.net"),
        remote_target: some("sip:+14155550100@192.0.2.4:5060"),
        route_set: vec![s("<sip:proxy.example.com;lr>")],
        cseq: Some(314_160),
    };
    let call =
        CallInfo { id: s("call-7"), from: some("+14155550100"), to: some("+14155550199"), sip: Some(Box::new(dialog)) };
    let capabilities = [
        capability::TURN_EVENTS,
        capability::TRANSFER,
        capability::SAY,
        capability::SET_FLAG,
        capability::TOOLS,
        capability::ALERTS,
    ];
    Welcome {
        version: VERSION,
        session_id: s("session-1"),
        room_name: s("room_abc123"),
        call,
        participants: vec![caller(), Participant { id: s("p-agent"), role: Role::Agent, name: some("Ava") }],
        capabilities: capabilities.map(str::to_owned).to_vec(),
        resumed: false,
        alerts: vec![TakenAlert { alert_id: s("alert_1f0c"), outcome: some("no_answer"), told: true }],
    }
}

fn transcript() -> Transcript {
    Transcript {
        seq: Some(2),
        segment_id: s("seg-1"),
        rev: 3,
        participant_id: s("p-caller"),
        text: s("I have been trying to fix this for three days"),
        is_final: true,
        start_ms: Some(1_200),
        end_ms: Some(3_900),
        confidence: Some(0.94),
        lang: some("en-US"),
        mended: Vec::new(),
    }
}

fn turn_ended() -> TurnEnded {
    TurnEnded {
        seq: Some(3),
        turn_id: s("turn-1"),
        index: Some(1),
        participant_id: s("p-caller"),
        text: some("I have been trying to fix this for three days"),
        segment_ids: vec![s("seg-1")],
        start_ms: Some(1_200),
        end_ms: Some(3_900),
        whole: false,
        mended: Vec::new(),
    }
}

fn error() -> ErrorMessage {
    ErrorMessage {
        code: s("bad_frame"),
        message: s("message \"transcript\" does not fit: missing field `segment_id`"),
        reference: some("4"),
        retryable: false,
    }
}

/// What a room may send.
#[must_use]
pub fn room_messages() -> Vec<RoomMessage> {
    let bare = Transcript {
        seq: None,
        rev: 0,
        is_final: false,
        start_ms: None,
        end_ms: None,
        confidence: None,
        lang: None,
        ..transcript()
    };
    let result = |seq, status, code: Option<&str>| RoomMessage::CommandResult {
        seq: Some(seq),
        command_id: s("alert_1f0c-transfer"),
        status,
        code: code.map(str::to_owned),
        detail: code.map(|_| s("486 Busy Here")),
    };
    vec![
        RoomMessage::Welcome(welcome()),
        RoomMessage::ParticipantJoined { seq: Some(1), participant: supervisor() },
        RoomMessage::ParticipantLeft { seq: Some(9), participant: caller() },
        RoomMessage::Transcript(transcript()),
        RoomMessage::Transcript(bare),
        RoomMessage::TurnEnded(turn_ended()),
        RoomMessage::AgentState { seq: Some(4), state: AgentActivity::Speaking },
        RoomMessage::ToolCall {
            seq: Some(5),
            call_id: s("tool-1"),
            name: s("escalate_sentiment"),
            arguments: json!({"sentiment_score": 2, "description": "billing problem open for three days"}),
        },
        result(6, CommandStatus::Accepted, None),
        result(7, CommandStatus::Done, None),
        result(8, CommandStatus::Failed, Some("busy")),
        RoomMessage::SessionEnded { seq: Some(10), reason: s("caller hung up") },
        RoomMessage::Ack { seq: 12 },
        RoomMessage::Error(error()),
    ]
}

/// What the sidecar may send.
#[must_use]
pub fn sidecar_messages() -> Vec<SidecarMessage> {
    let hello = |resume| SidecarMessage::Hello {
        versions: vec![VERSION],
        about: About { name: s("sentiment-sidecar"), version: s(env!("CARGO_PKG_VERSION")) },
        room_name: s("room_abc123"),
        resume,
    };
    let command = |id: &str, command| SidecarMessage::Command { command_id: s(id), command, deadline_ms: 45_000 };
    vec![
        hello(None),
        hello(Some(Resume { session_id: s("session-1"), last_seq: 7 })),
        SidecarMessage::ToolsRegister { tools: vec![escalate_sentiment()] },
        SidecarMessage::Sentiment {
            turn_id: s("turn-1"),
            sentiment: 2.4,
            valence: -0.62,
            frustration: 0.71,
            urgency: 0.3,
            label: s("negative"),
            streak: 1,
            mean: Some(3.96),
            window: 3,
            trend: s("declining"),
        },
        SidecarMessage::Tone {
            label: s("negative"),
            instruction: s("The customer is frustrated. Acknowledge their frustration."),
        },
        command("alert_1f0c-say", CommandKind::Say { text: s("Let me connect you with a supervisor.") }),
        command("alert_1f0c-transfer", CommandKind::Transfer { target: s("+14155551234"), ringing_timeout_ms: 30_000 }),
        command(
            "alert_1f0c-flag",
            CommandKind::SetFlag {
                alert_id: s("alert_1f0c"),
                severity: s("high"),
                description: s("billing problem open for three days"),
            },
        ),
        command("alert_1f0c-hangup", CommandKind::Hangup {}),
        SidecarMessage::Alert(TakenAlert { alert_id: s("alert_1f0c"), outcome: None, told: false }),
        SidecarMessage::ToolResult {
            call_id: s("tool-1"),
            ok: true,
            output: json!({"escalated": true, "action": "transfer"}),
        },
        SidecarMessage::Ack { seq: 7 },
        SidecarMessage::Error(error()),
    ]
}
