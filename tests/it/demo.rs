//! `demo`: what a newcomer sees first.

use textwrap::core::display_width;

use crate::support::{Program, soon};

async fn demo(args: &[&str]) -> String {
    let program = Program::new();
    let mut all = vec!["demo", "--speed", "40"];
    all.extend(args);
    let output = soon("the demo", program.command(&all).output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('\u{1b}'), "NO_COLOR is set");
    for line in text.lines() {
        assert!(display_width(line) <= 80, "wider than 80 columns: {line}\n{text}");
    }
    text
}

fn third_turn_escalates(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let escalation = lines.iter().position(|l| l.contains("ESCALATION")).unwrap_or_else(|| panic!("{text}"));
    let callers = lines[..escalation].iter().filter(|l| l.contains(" s  caller ")).count();
    assert_eq!(callers, 3, "{text}");
    assert!(text.contains("I want to speak to someone who can actually help."), "{text}");
}

fn has(text: &str, parts: &[&str]) {
    for part in parts {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[tokio::test]
async fn the_seeds_call_is_transferred_with_the_sip_exchange_in_view() {
    let text = demo(&["--action", "transfer", "--sip"]).await;
    third_turn_escalates(&text);
    has(
        &text,
        &[
            "The supervisor answers (200).",
            "▶ REFER sip:",
            "Refer-To: <tel:+14155551234>",
            "SIP/2.0 202 Accepted",
            "SIP/2.0 180 Ringing",
            "nothing: beside a transfer the webhook is for one that fails",
            "✔ escalated: transferred",
        ],
    );
}

#[tokio::test]
async fn a_reader_that_goes_away_ends_it_quietly() {
    let program = Program::new();
    let mut command = program.command(&["demo", "--speed", "40"]);
    let mut child = command.stderr(std::process::Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let done = soon("the demo", child.wait_with_output()).await.unwrap();
    assert_eq!((done.status.code(), String::from_utf8_lossy(&done.stderr).as_ref()), (Some(0), ""));
}

#[tokio::test]
async fn a_busy_line_is_shown_as_such() {
    let text = demo(&["--busy"]).await;
    third_turn_escalates(&text);
    has(
        &text,
        &[
            "The supervisor's line is busy (486).",
            "busy: the supervisors are told by webhook instead.",
            "I could not reach a supervisor just now.",
            "✔ signature verified",
            r#""action":"transfer""#,
            "✔ escalated: busy",
            "--sip shows the SIP messages",
        ],
    );
    assert!(!text.contains("REFER sip:"), "nobody asked for SIP messages:\n{text}");
}

#[tokio::test]
async fn the_seeds_call_notifies_a_receiver_that_verifies() {
    let text = demo(&["--action", "notify"]).await;
    third_turn_escalates(&text);
    has(
        &text,
        &["✔ signature verified", r#""event":"sentiment.alert""#, r#""action":"notify""#, "✔ escalated: notify"],
    );
    assert!(!text.contains("sip"), "there is nothing to transfer:\n{text}");
}

#[tokio::test]
async fn the_seeds_call_is_flagged_for_review() {
    let text = demo(&["--action", "flag"]).await;
    third_turn_escalates(&text);
    has(&text, &["is told to flag the session", "nothing: a flag sends no webhook", "review: open"]);
    assert!(!text.contains("signature verified"), "{text}");
}

#[tokio::test]
async fn the_webhooks_are_those_that_the_settings_ask_for() {
    // The address is the demo's own all the same.
    let always = [
        ["--set", "sentimentNotifyWebhook=https://supervisors.example/hook"],
        ["--set", "sentimentNotifyAlways=true"],
        ["--set", "sentimentWebhookDetail=full"],
    ];
    let text = demo(&[&["--action", "flag"], &always.concat()[..]].concat()).await;
    has(&text, &["✔ signature verified", r#""action":"flag""#, r#""history":["#, r#""last_turns":["#]);
}
