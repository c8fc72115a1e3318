//! SIGKILL at each named point between the decision and the delivery: every alert arrives, and what arrives twice has
//! the same `webhook-id`.
//!
//! | point | the process dies … | who finishes |
//! | --- | --- | --- |
//! | decided | after the decision, before it is on disk | the next process of the call |
//! | stored | after the alert is on disk, before any attempt went through | `deliver` |
//! | sent | after the request was read, before it was answered | `deliver` |
//! | answered | after the 200, before that is on disk | `deliver` |
//! | delivered | after that is on disk | nobody: nothing is sent again |
//! | transferring | while the human's phone rings | the next process, or `deliver` once the hold is over |

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{Connection as _, SqliteConnection};
use tokio::net::TcpSocket;

use crate::support::{Connection, Hook, Program, Room, Running};

/// Holds the store's write lock, so that the program cannot write until it is let go.
pub(crate) struct Lock(SqliteConnection);

impl Lock {
    pub(crate) async fn take(program: &Program) -> Self {
        let mut connection = SqliteConnection::connect(&format!("sqlite://{}", program.store())).await.unwrap();
        sqlx::query("PRAGMA busy_timeout = 10000").execute(&mut connection).await.unwrap();
        sqlx::query("BEGIN IMMEDIATE").execute(&mut connection).await.unwrap();
        Self(connection)
    }

    pub(crate) async fn release(mut self) {
        sqlx::query("ROLLBACK").execute(&mut self.0).await.unwrap();
        self.0.close().await.unwrap();
    }
}

fn settings(hook_url: &str) -> Value {
    json!({"sentimentEscalationAction": "notify", "sentimentNotifyWebhook": hook_url,
        "sentimentWebhookAllow": ["127.0.0.1"], "sentimentWebhookTimeoutMs": 1000})
}

async fn attached(program: &Program, room: &Room, settings: Value) -> (Running, Connection) {
    let mut sidecar = program.attach(room, settings);
    let (mut connection, hello) = room.accept().await;
    assert!(hello.get("resume").is_none(), "a new process knows of no session");
    connection.welcome(&["transfer"], false).await;
    sidecar.event("attached").await;
    (sidecar, connection)
}

/// Delivers what is left, waiting for leases and retries of the dead process to run out.
async fn deliver_rest(program: &Program, hook: &Hook) -> String {
    let mut deliver = program.run(&["deliver", "--until-empty", "--for", "25"]);
    let (id, _) = hook.attempt().await.accept().await;
    assert_eq!(deliver.exit().await, Some(0));
    id
}

/// The call ends, and the program with it.
async fn end(mut sidecar: Running, connection: Connection, seq: u64) {
    connection.end(seq).await;
    assert_eq!(sidecar.exit().await, Some(0));
}

async fn nothing_is_left(program: &Program, hook: &Hook) {
    assert_eq!(program.deliver(&[]).await, Some(0));
    assert!(hook.is_quiet_for(Duration::from_millis(300)).await, "an alert was sent again");
}

#[tokio::test]
async fn killed_when_decided_the_next_process_of_the_call_decides_again() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    let lock = Lock::take(&program).await;
    connection.seed_turns(1).await;
    // It is decided with its last turn, and told once the store has it.
    while sidecar.event("turn").await["turn"] != 3 {}
    assert_eq!(sidecar.count("escalation"), 0);
    sidecar.kill().await;
    lock.release().await;
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    connection.seed_turns(1).await;
    let decided = sidecar.event("escalation").await;
    let (id, _) = hook.attempt().await.accept().await;
    assert_eq!(decided["alert_id"], id);
    sidecar.event("delivery").await;
    end(sidecar, connection, 4).await;
    nothing_is_left(&program, &hook).await;
}

#[tokio::test]
async fn killed_when_stored_deliver_sends_it() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    // A port that is ours, and that nobody listens on yet.
    let closed = TcpSocket::new_v4().unwrap();
    closed.bind(([127, 0, 0, 1], 0).into()).unwrap();
    let dead = format!("http://{}/hook", closed.local_addr().unwrap());
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&dead)).await;
    connection.seed_turns(1).await;
    let failed = sidecar.event("delivery").await;
    assert_eq!(failed["result"]["delivery"], "retry");
    sidecar.kill().await;
    drop(hook);
    let hook = Hook::on(closed.listen(16).unwrap());
    assert_eq!(failed["alert_id"], deliver_rest(&program, &hook).await);
    nothing_is_left(&program, &hook).await;
}

#[tokio::test]
async fn killed_when_sent_deliver_sends_the_same_again() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    connection.seed_turns(1).await;
    let decided = sidecar.event("escalation").await;
    let first = hook.attempt().await;
    sidecar.kill().await;
    let (first_id, first_body) = (first.id(), first.body.clone());
    drop(first);
    let mut deliver = program.run(&["deliver", "--until-empty", "--for", "25"]);
    let second = hook.attempt().await;
    second.verify();
    assert_eq!((second.id(), &second.body), (first_id, &first_body));
    assert_eq!(decided["alert_id"], second.id());
    second.answer(200).await;
    assert_eq!(deliver.exit().await, Some(0));
    nothing_is_left(&program, &hook).await;
}

#[tokio::test]
async fn killed_when_answered_a_duplicate_has_the_same_id() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    connection.seed_turns(1).await;
    let first = hook.attempt().await;
    let lock = Lock::take(&program).await;
    let id = first.id();
    first.answer(200).await;
    sidecar.kill().await;
    lock.release().await;
    assert_eq!(deliver_rest(&program, &hook).await, id);
    nothing_is_left(&program, &hook).await;
}

#[tokio::test]
async fn killed_when_delivered_nothing_is_sent_again() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    connection.seed_turns(1).await;
    hook.attempt().await.answer(200).await;
    assert_eq!(sidecar.event("delivery").await["result"]["delivery"], "delivered");
    sidecar.kill().await;
    nothing_is_left(&program, &hook).await;
    // The next process of the call hears it all again, and knows that it was told.
    let (mut sidecar, mut connection) = attached(&program, &room, settings(&hook.url)).await;
    connection.seed_turns(1).await;
    sidecar.event("escalation").await;
    end(sidecar, connection, 4).await;
    nothing_is_left(&program, &hook).await;
}

fn transferring(hook: &Hook) -> Value {
    let mut settings = settings(&hook.url);
    let more = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentHandoverSentence": "", "sentimentSayDeadlineMs": 100, "sentimentRingingTimeoutMs": 1000,
        "sentimentTransferDeadlineMs": 1500});
    settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    settings
}

#[tokio::test]
async fn killed_while_it_rings_the_next_process_does_not_ring_again_and_tells() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (sidecar, mut connection) = attached(&program, &room, transferring(&hook)).await;
    connection.seed_turns(1).await;
    connection.command("transfer").await;
    sidecar.kill().await;
    let (mut sidecar, mut connection) = attached(&program, &room, transferring(&hook)).await;
    connection.seed_turns(1).await;
    let outcome = sidecar.event("outcome").await;
    assert_eq!((&outcome["transfer"]["outcome"], &outcome["fallback"]), (&json!("unknown"), &json!(true)));
    let (_, alert) = hook.attempt().await.accept().await;
    assert_eq!(alert["action"], "transfer");
    sidecar.event("delivery").await;
    end(sidecar, connection, 4).await;
    nothing_is_left(&program, &hook).await;
}

#[tokio::test]
async fn killed_while_it_rings_deliver_tells_once_the_hold_is_over() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (sidecar, mut connection) = attached(&program, &room, transferring(&hook)).await;
    connection.seed_turns(1).await;
    connection.command("transfer").await;
    sidecar.kill().await;
    nothing_is_left(&program, &hook).await;
    let mut deliver = program.run(&["deliver", "--until-empty", "--for", "40"]);
    hook.attempt().await.accept().await;
    assert_eq!(deliver.exit().await, Some(0));
}

#[tokio::test]
async fn a_transfer_that_succeeded_cancels_the_held_webhook() {
    let (room, hook, program) = (Room::start().await, Hook::start().await, Program::new());
    let (mut sidecar, mut connection) = attached(&program, &room, transferring(&hook)).await;
    connection.seed_turns(1).await;
    let transfer = connection.command("transfer").await;
    connection.result(4, &transfer, "done", None).await;
    sidecar.event("outcome").await;
    end(sidecar, connection, 5).await;
    assert_eq!(program.deliver(&["--until-empty", "--for", "2"]).await, Some(0));
    nothing_is_left(&program, &hook).await;
}
