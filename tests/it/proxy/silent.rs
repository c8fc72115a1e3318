//! What is not said: the secrets of a call, and how a handover went of which the platform tells nothing.

use std::fs::File;

use futures_util::SinkExt;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::{
    Behind, PUBLIC, TOKEN, between, command_between, dial, dial_signed, hang_up, listening, outcome, prompt, setup,
    sign, text,
};
use crate::support::{Hook, Program, Running, SEED_TURNS, soon};

/// All that the program has said by its end, as events and as log.
async fn all_said(mut running: Running, program: &Program) -> String {
    running.signal("-TERM");
    assert_eq!(running.exit().await, Some(0));
    let log = std::fs::read_to_string(program.folder.path().join("log")).unwrap();
    assert!(log.contains("DEBUG"), "everything is logged: {log}");
    running.seen.iter().map(Value::to_string).chain([log]).collect::<Vec<_>>().join("\n")
}

/// The program, with all that it ever logs written to a file.
async fn chatty(program: &mut Program, app: &Behind, more: &[&str]) -> (Running, std::net::SocketAddr) {
    let (mut command, address) = command_between(program, app, json!({}), more);
    let log = File::create(program.folder.path().join("log")).unwrap();
    command.env("SIDECAR_LOG", "trace").stderr(log);
    (listening(command, address).await, address)
}

#[tokio::test]
async fn neither_events_nor_logs_show_a_token_or_a_signature() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (mut running, proxy) = chatty(&mut program, &app, &[]).await;
    let (good, forged) = (sign(&format!("wss://{PUBLIC}/relay")), sign("forged"));
    let refused = soon("an answer", dial(proxy, "/relay", Some(&forged))).await;
    assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 403), "{refused:?}");
    let (mut platform, (mut behind, _)) = tokio::join!(dial_signed(proxy, "/relay"), app.accept());
    for said in [setup("CA1", &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut behind).await;
    }
    running.event("escalation").await;
    let fields = [("ParentCallSid", "CA1"), ("CallSid", "CA9"), ("CallStatus", "busy")];
    assert_eq!(outcome(proxy, &fields, Some(forged.clone())).await, 403);
    assert_eq!(outcome(proxy, &fields, None).await, 200);
    hang_up(platform, behind).await;
    running.event("ended").await;
    let said = all_said(running, &program).await;
    for secret in [TOKEN, &good, &forged] {
        assert!(!said.contains(secret), "{secret} in {said}");
    }
}

#[tokio::test]
async fn neither_events_nor_logs_show_the_token_of_a_path() {
    let (mut program, app) = (Program::new(), Behind::start().await);
    let (running, proxy) = chatty(&mut program, &app, &["--dialect", "telnyx"]).await;
    let refused = soon("an answer", dial(proxy, "/t0kem/relay", None)).await;
    assert!(matches!(&refused, Err(Error::Http(response)) if response.status() == 403), "{refused:?}");
    let (platform, (mut behind, _)) = tokio::join!(dial(proxy, "/t0ken/relay", None), app.accept());
    let mut platform = platform.unwrap();
    platform.send(Message::text(setup("CA1", &json!({})))).await.unwrap();
    text(&mut behind).await;
    hang_up(platform, behind).await;
    let said = all_said(running, &program).await;
    // One that is nearly right tells as much.
    assert!(!said.contains("t0ken") && !said.contains("t0kem"), "{said}");
}

#[tokio::test]
async fn a_handover_that_nobody_tells_of_is_unknown_and_supervisors_are_told_so() {
    let (mut program, behind, hook) = (Program::new(), Behind::start().await, Hook::start().await);
    let settings = json!({"sentimentEscalationAction": "transfer", "sentimentEscalationTarget": "+14155551234",
        "sentimentHandoverSentence": "", "sentimentTransferDeadlineMs": 2000, "sentimentRingingTimeoutMs": 1000,
        "sentimentNotifyWebhook": hook.url, "sentimentWebhookAllow": ["127.0.0.1"]});
    let (mut running, proxy) = between(&mut program, &behind, settings, &[]).await;
    let (mut platform, (mut app, _)) = tokio::join!(dial_signed(proxy, "/relay"), behind.accept());
    for said in [setup("CA4", &json!({}))].into_iter().chain(SEED_TURNS.map(prompt)) {
        platform.send(Message::text(said)).await.unwrap();
        text(&mut app).await;
    }
    soon("the end of the session", async { while !text(&mut platform).await.contains("handoffData") {} }).await;
    hang_up(platform, app).await;
    let outcome = running.event("outcome").await;
    assert_eq!((&outcome["transfer"], &outcome["fallback"]), (&json!({"outcome": "unknown"}), &json!(true)));
    let attempt = hook.attempt().await;
    let body: Value = serde_json::from_str(&attempt.body).unwrap();
    assert!(body["description"].as_str().unwrap().starts_with("Transfer unclear. "), "{body}");
    attempt.answer(204).await;
}
