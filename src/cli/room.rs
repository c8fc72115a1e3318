//! `room`: serves a recording as a live room.

use std::io::{BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Instant;

use clap::Args;
use serde::Serialize;

use super::exit::{Exit, Failure};
use super::secrets;
use crate::clock::unix_ms;
use crate::config::secret::{Secret, SecretName};
use crate::recording::{CutLine, Recording};
use crate::room::message::{CommandKind, RoomMessage, SidecarMessage, TakenAlert};
use crate::room::script::{Script, Speed};
use crate::room::server::{RoomServer, ServerEvent};
use crate::telemetry::shown::shown;

/// What help ends with.
const EXAMPLE: &str = "\
Example, in two terminals (--room is the name in the recording's header):
  sentiment-sidecar room call.jsonl --listen 127.0.0.1:7880
  sentiment-sidecar attach --room-url ws://127.0.0.1:7880/room \\
      --room room_abc123 --agent agent.json

Exit codes: 0 the call was played to its end, 1 cannot listen there, 2 usage,
5 bad recording, 6 bad secret.";

/// Serve a recording as a live room, for people building a platform side.
///
/// You are building the platform side, and want to know what a sidecar expects of a room: this is a room that does it
/// right. It listens, waits for a sidecar to join, and then plays the recording to it, each message at its time. It
/// prints what it says (→) and what it hears (←), one line each, and ends when the call does.
///
/// What a recording alone does not say: messages are numbered with seq as they go out, and all are kept. A sidecar
/// that comes back with resume goes on where it was; one without gets everything again. Each command.result is held
/// back until the sidecar has sent the command that it answers; a command that the recording does not answer is done
/// (say, set_flag) or fails with code unsupported (transfer). Of two sidecars, the older is closed with 4409.
///
/// `sentiment-sidecar schema asyncapi` has the whole protocol.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLE)]
pub struct RoomArgs {
    /// Play this recording (JSON Lines, as `attach --record` writes it).
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Listen here; port 0 picks a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// Play so fast: 1 is real time, 10 ten times as fast.
    #[arg(long, value_name = "N", default_value = "1", value_parser = speed)]
    speed: Speed,
    /// Admit only who presents the bearer token in SIDECAR_ROOM_TOKEN (or SIDECAR_ROOM_TOKEN_FILE).
    #[arg(long)]
    token_from_env: bool,
}

fn speed(text: &str) -> Result<Speed, String> {
    let factor: f64 = text.parse().map_err(|_| "not a number".to_owned())?;
    Speed::new(factor).map_err(|error| error.to_string())
}

/// Plays one recording to its end.
///
/// # Errors
/// [`Exit::BadRecording`], [`Exit::BadSettings`] when a token is asked for and there is none, [`Exit::Other`] when the
/// address cannot be listened on.
pub async fn run(args: RoomArgs) -> Result<Exit, Failure> {
    let token = if args.token_from_env { Some(token()?) } else { None };
    let mut script = read(&args.file)?;
    // Each serving is a call of its own: a sidecar does nothing twice for a session that it knows.
    script.welcome.session_id = format!("{}-{}", script.welcome.session_id, unix_ms());
    let room_name = script.welcome.room_name.clone();
    let (room, mut events) = RoomServer::start(args.listen, script, args.speed, token).await.map_err(|error| {
        Failure::new(Exit::Other, format!("cannot listen on {}: {error}", args.listen))
            .help("choose another address with --listen")
    })?;
    let mut out = anstream::stdout();
    writeln!(out, "listening on {}", room.url())?;
    let url = room.url();
    writeln!(out, "join with: sentiment-sidecar attach --room-url {url} --room {room_name} --agent agent.json")?;
    let mut joined = None;
    while let Some(event) = events.recv().await {
        if matches!(event, ServerEvent::Joined { .. }) {
            joined.get_or_insert_with(Instant::now);
        }
        let at = joined.map_or(0.0, |start: Instant| start.elapsed().as_secs_f64());
        writeln!(out, "{at:7.1} s  {}", shown(&line(&event)))?;
        if event == ServerEvent::Over {
            break;
        }
    }
    Ok(Exit::Ok)
}

fn token() -> Result<Secret, Failure> {
    secrets::load(&[SecretName::RoomToken])?.room_token.ok_or_else(|| {
        Failure::new(Exit::BadSettings, "--token-from-env is given, but there is no room token")
            .help("set SIDECAR_ROOM_TOKEN, or SIDECAR_ROOM_TOKEN_FILE to a path")
    })
}

fn read(path: &Path) -> Result<Script, Failure> {
    let name = path.display().to_string();
    let bad = |message: String| Failure::new(Exit::BadRecording, message);
    let file = std::fs::File::open(path).map_err(|error| bad(format!("{name}: {error}")))?;
    let recording = Recording::read(BufReader::new(file), &name, CutLine::Refuse)
        .map_err(|error| bad(error.to_string()).help("sentiment-sidecar schema recording has what a line may hold"))?;
    let header = recording.header;
    let messages = recording.messages.into_iter().map(|timed| (timed.at.0, timed.message)).collect();
    Ok(Script::new(&header.room_name, messages, header.participants, header.capabilities))
}

/// One event in one line.
fn line(event: &ServerEvent) -> String {
    match event {
        ServerEvent::TurnedAway { code, reason } => format!("turned somebody away with {code}: {reason}"),
        ServerEvent::Joined { about, resumed_after: None } => format!("{} {} joined", about.name, about.version),
        ServerEvent::Joined { about, resumed_after: Some(seq) } => {
            format!("{} {} came back and goes on after {seq}", about.name, about.version)
        }
        ServerEvent::Said(message) => format!("→ {}", said(message)),
        ServerEvent::Heard(message) => format!("← {}", heard(message)),
        ServerEvent::BadFrame { detail } => format!("← unusable: {detail}"),
        ServerEvent::Left { code: Some(code) } => format!("the connection was closed with {code}"),
        ServerEvent::Left { code: None } => "the connection broke".to_owned(),
        ServerEvent::Over => "the call is over".to_owned(),
    }
}

/// A word as it goes over the wire.
fn wire(word: &impl Serialize) -> String {
    let word = serde_json::to_value(word).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

fn said(message: &RoomMessage) -> String {
    match message {
        RoomMessage::Welcome(welcome) => format!("welcome to session {}", welcome.session_id),
        RoomMessage::ParticipantJoined { participant, .. } => {
            format!("participant.joined {} {}", wire(&participant.role), participant.id)
        }
        RoomMessage::ParticipantLeft { participant, .. } => {
            format!("participant.left {} {}", wire(&participant.role), participant.id)
        }
        RoomMessage::Transcript(t) => {
            let how = if t.is_final { "final" } else { "interim" };
            format!("transcript {} {how} {:?}: {}", t.participant_id, t.segment_id, t.text)
        }
        RoomMessage::TurnEnded(t) => {
            let text = t.text.as_ref().map(|text| format!(": {text}")).unwrap_or_default();
            format!("turn.ended {} {:?}{text}", t.participant_id, t.turn_id)
        }
        RoomMessage::AgentState { state, .. } => format!("agent.state {}", wire(state)),
        RoomMessage::ToolCall { call_id, name, arguments, .. } => format!("tool.call {call_id} {name} {arguments}"),
        RoomMessage::CommandResult { command_id, status, code, .. } => {
            let code = code.as_ref().map(|code| format!(" ({code})")).unwrap_or_default();
            format!("command.result {command_id} {}{code}", wire(status))
        }
        RoomMessage::SessionEnded { reason, .. } => format!("session.ended: {reason}"),
        RoomMessage::Ack { seq } => format!("ack {seq}"),
        RoomMessage::Error(error) => format!("error {}: {}", error.code, error.message),
    }
}

fn heard(message: &SidecarMessage) -> String {
    match message {
        SidecarMessage::Hello { room_name, .. } => format!("hello to {room_name}"),
        SidecarMessage::ToolsRegister { tools } => {
            let names: Vec<&str> = tools.iter().map(|tool| tool.name.as_str()).collect();
            format!("tools.register {}", names.join(" "))
        }
        SidecarMessage::Sentiment { turn_id, sentiment, label, streak, window, trend, .. } => {
            format!("sentiment {turn_id} {sentiment:.1} {label}, streak {streak} of {window}, {trend}")
        }
        SidecarMessage::Tone { label, instruction } => format!("tone {label}: {instruction}"),
        SidecarMessage::Command { command_id, command, deadline_ms } => {
            let what = match command {
                CommandKind::Say { text } => format!("say {text:?}"),
                CommandKind::Transfer { target, .. } => format!("transfer to {target}"),
                CommandKind::SetFlag { severity, description, .. } => format!("set_flag {severity}: {description}"),
                CommandKind::Hangup {} => "hangup".to_owned(),
            };
            format!("command {command_id} within {deadline_ms} ms: {what}")
        }
        SidecarMessage::Alert(TakenAlert { alert_id, outcome, told }) => {
            let what = outcome.as_deref().unwrap_or(if *told { "told" } else { "taken up" });
            format!("alert {alert_id}: {what}")
        }
        SidecarMessage::ToolResult { call_id, ok, output } => {
            format!("tool.result {call_id} {}: {output}", if *ok { "ok" } else { "not ok" })
        }
        SidecarMessage::Ack { seq } => format!("ack {seq}"),
        SidecarMessage::Error(error) => format!("error {}: {}", error.code, error.message),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_said_is_told_in_the_words_of_the_wire() {
        for (message, told) in [
            (json!({"type": "command.result", "command_id": "c1", "status": "done"}), "→ command.result c1 done"),
            (json!({"type": "agent.state", "state": "speaking"}), "→ agent.state speaking"),
            (
                json!({"type": "participant.joined", "participant": {"id": "p", "role": "caller"}}),
                "→ participant.joined caller p",
            ),
        ] {
            let message = serde_json::from_value(message).unwrap();
            assert_eq!(line(&ServerEvent::Said(message)), told);
        }
    }
}
