//! `demo`: what a newcomer sees first.

use crate::support::{Program, soon};

async fn demo(args: &[&str]) -> String {
    let program = Program::new();
    let mut all = vec!["demo", "--speed", "40"];
    all.extend(args);
    let output = soon("the demo", program.command(&all).output()).await.unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success(), "{text}");
    assert!(!text.contains('\u{1b}'), "NO_COLOR is set");
    text
}

fn third_turn_escalates(text: &str) {
    let lines: Vec<&str> = text.lines().collect();
    let escalation = lines.iter().position(|l| l.contains("ESCALATION")).unwrap_or_else(|| panic!("{text}"));
    let callers = lines[..escalation].iter().filter(|l| l.contains(" s  caller ")).count();
    assert_eq!(callers, 3, "{text}");
    assert!(text.contains("I want to speak to someone who can actually help."), "{text}");
}

#[tokio::test]
async fn the_seeds_call_is_transferred_with_the_sip_exchange_in_view() {
    let text = demo(&["--action", "transfer"]).await;
    third_turn_escalates(&text);
    for part in [
        "▶ REFER sip:",
        "Refer-To: <tel:+14155551234>",
        "SIP/2.0 202 Accepted",
        "SIP/2.0 180 Ringing",
        "✔ signature verified",
        "✔ escalated: transferred",
    ] {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[tokio::test]
async fn a_busy_line_is_shown_as_such() {
    let text = demo(&["--busy"]).await;
    third_turn_escalates(&text);
    assert!(text.contains("SIP/2.0 486") && text.contains("✔ escalated: busy"), "{text}");
}

#[tokio::test]
async fn the_seeds_call_notifies_a_receiver_that_verifies() {
    let text = demo(&["--action", "notify"]).await;
    third_turn_escalates(&text);
    for part in ["✔ signature verified", r#""event":"sentiment.alert""#, r#""action":"notify""#, "✔ escalated: notify"]
    {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
}

#[tokio::test]
async fn the_seeds_call_is_flagged_for_review() {
    let text = demo(&["--action", "flag"]).await;
    third_turn_escalates(&text);
    assert!(text.contains("is told to flag the session") && text.contains("review: open"), "{text}");
}
