//! A call that another process takes over, killed at every point, and a platform that does not read.

use std::io::Write as _;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::AsyncReadExt as _;

use crate::support::{Connection, Hook, Program, Room, Running, SEED_TURNS, soon};

fn notify(hook: &Hook) -> Value {
    json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook.url,
        "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookTimeoutMs": 1000})
}

/// Attaches, and says the first `heard` messages of a call whose room keeps them all.
async fn attached(program: &Program, room: &Room, hook: &Hook, heard: usize) -> (Running, Connection) {
    let mut sidecar = program.attach(room, notify(hook));
    let (mut connection, hello) = room.accept().await;
    assert!(hello.get("resume").is_none(), "a new process knows of no session");
    connection.welcome(&["turn_events"], false).await;
    sidecar.event("attached").await;
    for (n, text) in SEED_TURNS.iter().enumerate().take(heard) {
        connection.turn(n as u64 + 1, n, text).await;
    }
    (sidecar, connection)
}

#[tokio::test]
async fn killed_after_any_ack_the_call_comes_to_one_alert() {
    for acked in 0..=SEED_TURNS.len() {
        let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
        let (sidecar, mut connection) = attached(&program, &room, &hook, acked).await;
        while acked > 0 && connection.until("ack").await["seq"] != acked as u64 {}
        let told = if acked == SEED_TURNS.len() { Some(hook.attempt().await.accept().await.0) } else { None };
        sidecar.kill().await;
        // A room keeps a session's messages until it ends: who takes over hears them all.
        let (mut sidecar, connection) = attached(&program, &room, &hook, SEED_TURNS.len()).await;
        let escalation = sidecar.event("escalation").await;
        assert_eq!(escalation["turn"], 3, "killed after ack {acked}");
        match told {
            Some(told) => assert_eq!(escalation["alert_id"], told),
            None => assert_eq!(escalation["alert_id"], hook.attempt().await.accept().await.0),
        }
        connection.end(4).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert!(hook.is_quiet_for(Duration::from_millis(200)).await, "an alert was sent again");
    }
}

/// How many of its agent's tool calls a room has answered in [`flood`].
const CALLS: u64 = 5_000;

/// So many tool calls that what is told of them on standard output is far more than any pipe holds.
async fn flood(connection: &mut Connection) {
    for seq in 1..=CALLS {
        connection
            .send(json!({"type": "tool.call", "seq": seq, "call_id": format!("k{seq}"), "name": "escalate_sentiment",
                "arguments": {"sentiment_score": 9, "description": "all is well, says the agent"}}))
            .await;
    }
}

#[tokio::test]
async fn a_platform_that_does_not_read_holds_nothing_up() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut child = program.attach_command(&room, notify(&hook)).spawn().unwrap();
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["turn_events", "tools"], false).await;
    flood(&mut connection).await;
    while connection.until("ack").await["seq"] != CALLS {}
    connection.seed_turns(CALLS + 1).await;
    let (alert_id, _) = hook.attempt().await.accept().await;
    let pid = child.id().unwrap().to_string();
    assert!(std::process::Command::new("kill").arg(&pid).status().unwrap().success());
    connection.drain().await;
    let status = soon("the program to end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let mut text = String::new();
    child.stdout.take().unwrap().read_to_string(&mut text).await.unwrap();
    // What the pipe held when the process went is cut where it was full.
    assert!(text.starts_with(r#"{"type":"attached""#), "{}", &text[..100]);
    assert!(!text.contains(&alert_id), "the pipe was full before the alert: {}", text.len());
}

#[tokio::test]
async fn when_reading_resumes_what_is_missing_is_said_and_the_alert_is_there() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut child = program.attach_command(&room, notify(&hook)).spawn().unwrap();
    let (mut connection, _) = room.accept().await;
    connection.welcome(&["turn_events", "tools"], false).await;
    flood(&mut connection).await;
    connection.seed_turns(CALLS + 1).await;
    let (alert_id, _) = hook.attempt().await.accept().await;
    let mut stdout = child.stdout.take().unwrap();
    let reading = tokio::spawn(async move {
        let mut text = String::new();
        stdout.read_to_string(&mut text).await.map(|_| text)
    });
    connection.end(CALLS + 4).await;
    let status = soon("the program to end", child.wait()).await.unwrap();
    assert_eq!(status.code(), Some(0));
    let text = reading.await.unwrap().unwrap();
    let events: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let of = |kind: &str| events.iter().filter(|event| event["type"] == kind).collect::<Vec<_>>();
    assert!(of("tool").len() < CALLS as usize, "more fits a pipe than was thought");
    let warned =
        of("warning").iter().any(|w| w["detail"].as_str().unwrap().contains("events before this one were dropped"));
    assert!(warned, "{:?}", of("warning"));
    assert_eq!(of("escalation").iter().map(|e| e["alert_id"].as_str().unwrap()).collect::<Vec<_>>(), [alert_id]);
    assert_eq!(of("ended").len(), 1);
}

#[tokio::test]
async fn asked_to_stop_in_its_first_moments_it_ends_well() {
    let program = Program::new();
    let room = Room::start().await;
    for _ in 0..20 {
        let mut child = program.attach_command(&room, json!({})).spawn().unwrap();
        // As soon as there is something to read the signal is listened to; before, nothing of ours has run.
        let pid = child.id().unwrap();
        let status = format!("/proc/{pid}/status");
        soon("the signal to be caught", async {
            loop {
                let text = std::fs::read_to_string(&status).unwrap_or_default();
                let caught = text.lines().find_map(|line| line.strip_prefix("SigCgt:\t")).unwrap_or_default();
                if u64::from_str_radix(caught, 16).is_ok_and(|mask| mask & (1 << 14) != 0) {
                    break;
                }
                tokio::task::yield_now().await;
            }
        })
        .await;
        assert!(std::process::Command::new("kill").arg(pid.to_string()).status().unwrap().success());
        assert_eq!(soon("the program to end", child.wait()).await.unwrap().code(), Some(0));
    }
}

#[tokio::test]
async fn a_session_id_that_comes_again_for_another_call_gets_an_alert_of_its_own() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let mut told = Vec::new();
    for call in 0..3 {
        let (mut sidecar, connection) = attached(&program, &room, &hook, SEED_TURNS.len()).await;
        let (alert_id, _) = hook.attempt().await.accept().await;
        assert_eq!(sidecar.event("escalation").await["alert_id"], alert_id);
        assert!(!told.contains(&alert_id), "call {call} was taken for one before it");
        told.push(alert_id);
        connection.end(4).await;
        assert_eq!(sidecar.exit().await, Some(0));
    }
}

#[tokio::test]
async fn another_call_is_known_by_its_words_where_the_end_of_the_one_before_was_never_seen() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (sidecar, mut connection) = attached(&program, &room, &hook, SEED_TURNS.len()).await;
    let (first, _) = hook.attempt().await.accept().await;
    while connection.until("ack").await["seq"] != SEED_TURNS.len() as u64 {}
    sidecar.kill().await;
    let (mut sidecar, mut connection) = attached(&program, &room, &hook, 0).await;
    let others = ["You lied to me about the refund.", "Stop lying, this is a scam.", "You are a bunch of liars."];
    for (n, text) in others.iter().enumerate() {
        connection.turn(n as u64 + 1, n, text).await;
    }
    let (second, _) = hook.attempt().await.accept().await;
    assert_ne!(first, second);
    connection.end(4).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

#[tokio::test]
async fn of_two_that_live_on_one_room_with_one_store_one_acts() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (mut first, mut one) = attached(&program, &room, &hook, 0).await;
    let (mut second, mut other) = attached(&program, &room, &hook, 0).await;
    let (told, _answers) = answering(hook);
    for (n, text) in SEED_TURNS.iter().enumerate() {
        one.turn(n as u64 + 1, n, text).await;
        other.turn(n as u64 + 1, n, text).await;
    }
    let alert_id = first.event("escalation").await["alert_id"].clone();
    assert_eq!(second.event("escalation").await["alert_id"], alert_id);
    one.end(4).await;
    other.end(4).await;
    assert_eq!((first.exit().await, second.exit().await), (Some(0), Some(0)));
    assert_eq!(program.deliver(&["--until-empty"]).await, Some(0));
    assert_eq!(*told.lock().unwrap(), [alert_id.as_str().unwrap()]);
}

/// How often the program is killed, and its connection cut, below; `SIDECAR_TEST_TIMES` says otherwise.
const TIMES: usize = 30;

fn by_chance(what: &str) -> (usize, fastrand::Rng) {
    let times = std::env::var("SIDECAR_TEST_TIMES").ok().and_then(|times| times.parse().ok()).unwrap_or(TIMES);
    let seed = crate::chance::seed();
    // Not captured, so that it is there even if the test dies.
    let mut shown = std::io::stderr();
    writeln!(shown, "{times} {what}: SIDECAR_TEST_SEED={seed}").unwrap();
    (times, fastrand::Rng::with_seed(seed))
}

/// Answers every webhook, and keeps the ids.
fn answering(hook: Hook) -> (Arc<Mutex<Vec<String>>>, AbortOnDrop) {
    let told = Arc::new(Mutex::new(Vec::new()));
    let kept = Arc::clone(&told);
    let answers = tokio::spawn(async move {
        loop {
            let (id, _) = hook.attempt().await.accept().await;
            kept.lock().unwrap().push(id);
        }
    });
    (told, AbortOnDrop(answers))
}

struct AbortOnDrop(tokio::task::JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[tokio::test]
async fn killed_at_any_moment_the_call_comes_to_one_alert_and_none_is_lost() {
    let (times, mut rng) = by_chance("kills");
    for _ in 0..times {
        let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
        let (sidecar, mut connection) = attached(&program, &room, &hook, 0).await;
        let (settings, (told, _answers)) = (notify(&hook), answering(hook));
        // From before the first turn until well after the webhook is answered.
        let moment = Duration::from_micros(rng.u64(0..60_000));
        let said = async {
            for (n, text) in SEED_TURNS.iter().enumerate() {
                connection.turn(n as u64 + 1, n, text).await;
            }
            std::future::pending::<()>().await;
        };
        assert!(tokio::time::timeout(moment, said).await.is_err());
        sidecar.kill().await;
        let mut sidecar = program.attach(&room, settings);
        let (mut connection, _) = room.accept().await;
        connection.welcome(&["turn_events"], false).await;
        connection.seed_turns(1).await;
        let alert_id = sidecar.event("escalation").await["alert_id"].as_str().unwrap().to_owned();
        connection.end(4).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert_eq!(program.deliver(&["--until-empty"]).await, Some(0));
        let told = told.lock().unwrap().clone();
        // Killed between the answer and its note, it asks again under the same id.
        assert!(!told.is_empty() && told.iter().all(|id| *id == alert_id), "{moment:?}: {told:?}, not {alert_id}");
    }
}

#[tokio::test]
async fn cut_at_any_moment_the_call_comes_to_one_alert() {
    let (times, mut rng) = by_chance("cuts");
    for _ in 0..times {
        let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
        let (mut sidecar, mut connection) = attached(&program, &room, &hook, 0).await;
        let (told, _answers) = answering(hook);
        let moment = Duration::from_micros(rng.u64(0..30_000));
        let said = async {
            for (n, text) in SEED_TURNS.iter().enumerate() {
                connection.turn(n as u64 + 1, n, text).await;
            }
            std::future::pending::<()>().await;
        };
        assert!(tokio::time::timeout(moment, said).await.is_err());
        drop(connection);
        let (mut connection, hello) = room.accept().await;
        let last = hello["resume"]["last_seq"].as_u64().unwrap();
        connection.welcome(&["turn_events"], true).await;
        for (n, text) in SEED_TURNS.iter().enumerate().skip(usize::try_from(last).unwrap()) {
            connection.turn(n as u64 + 1, n, text).await;
        }
        let alert_id = sidecar.event("escalation").await["alert_id"].as_str().unwrap().to_owned();
        connection.end(4).await;
        assert_eq!(sidecar.exit().await, Some(0));
        assert_eq!(sidecar.count("escalation"), 1);
        assert_eq!(*told.lock().unwrap(), [alert_id], "{moment:?}");
    }
}
