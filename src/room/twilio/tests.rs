use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, timeout};

use super::*;
use crate::room::error::RoomEvent;
use crate::room::{RoomHandle, Target, open};
use crate::tls::Authorities;

fn twilio() -> Twilio {
    Twilio::new(Platform::Twilio, Handoff::default())
}

/// What is heard of it, as the native dialect would say it.
fn heard(twilio: &mut Twilio, tapped: &Tapped) -> Vec<Value> {
    let message = |heard| match heard {
        Heard::Welcome(welcome) => serde_json::to_value(RoomMessage::Welcome(welcome)).unwrap(),
        Heard::Message { message, .. } => serde_json::to_value(message).unwrap(),
        Heard::Bad { error, .. } => json!({"bad": error.to_string()}),
        other => panic!("{other:?}"),
    };
    twilio.read(Received::Tapped(tapped)).into_iter().map(message).collect()
}

fn platform(twilio: &mut Twilio, message: Value) -> Vec<Value> {
    heard(twilio, &Tapped::Platform(message.to_string()))
}

fn app(twilio: &mut Twilio, token: &str, last: bool) -> Vec<Value> {
    heard(twilio, &Tapped::App(json!({"type": "text", "token": token, "last": last}).to_string()))
}

fn setup(twilio: &mut Twilio) -> Vec<Value> {
    platform(
        twilio,
        json!({"type": "setup", "sessionId": "VX1", "callSid": "CA1", "from": "+14155550123", "to": "", "extra": null}),
    )
}

fn prompt(twilio: &mut Twilio, text: &str) -> Vec<Value> {
    platform(twilio, json!({"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": true}))
}

/// What is told at the end of the call.
fn last_words(twilio: &mut Twilio) -> Vec<String> {
    let words = |heard| match heard {
        Heard::Message { message: Some(RoomMessage::Transcript(said)), .. } => Some(said.text),
        _ => None,
    };
    twilio.ended().into_iter().filter_map(words).collect()
}

/// Who said what.
fn said(messages: &[Value]) -> Vec<(&str, &str)> {
    let transcripts = messages.iter().filter(|message| message["type"] == "transcript");
    transcripts.map(|one| (one["participant_id"].as_str().unwrap(), one["text"].as_str().unwrap())).collect()
}

#[test]
fn a_setup_is_the_welcome_and_a_second_one_goes_on() {
    let mut twilio = twilio();
    let welcome = &setup(&mut twilio)[0];
    assert_eq!((&welcome["session_id"], &welcome["room_name"]), (&json!("VX1"), &json!("CA1")));
    assert_eq!(welcome["call"], json!({"id": "CA1", "from": "+14155550123"}));
    assert_eq!(welcome["capabilities"], json!(["turn_events", "say", "transfer"]));
    assert_eq!((&welcome["resumed"], &setup(&mut twilio)[0]["resumed"]), (&json!(false), &json!(true)));
    let nobody = platform(&mut self::twilio(), json!({"type": "setup", "callSid": ""}));
    assert!(nobody[0]["bad"].is_string(), "{nobody:?}");
}

#[test]
fn whoever_is_on_the_phone_is_the_caller_whoever_called() {
    let (ours, theirs) = ("+14155550100", "+14155550123");
    for (direction, from, to) in [
        (Some("inbound"), theirs, ours),
        (None, theirs, ours),
        (Some("outbound-api"), ours, theirs),
        (Some("OUTBOUND"), ours, theirs),
    ] {
        let setup = json!({"type": "setup", "callSid": "CA1", "from": from, "to": to, "direction": direction});
        let welcome = &platform(&mut twilio(), setup)[0];
        assert_eq!(welcome["call"], json!({"id": "CA1", "from": theirs, "to": ours}), "{direction:?}");
    }
}

#[test]
fn what_the_caller_was_saying_when_the_call_ended_is_a_turn() {
    let partial = |text: &str| json!({"type": "prompt", "voicePrompt": text, "lang": "en-US", "last": false});
    let mut twilio = twilio();
    setup(&mut twilio);
    for text in ["Nobody", "Nobody cares", ""] {
        assert!(platform(&mut twilio, partial(text)).is_empty());
    }
    // Nor does a cut end it: the platform may say the whole of it after that.
    assert!(said(&setup(&mut twilio)).is_empty());
    assert_eq!(last_words(&mut twilio), ["Nobody cares"]);
    assert!(last_words(&mut twilio).is_empty(), "once");
    // What was told whole was told.
    platform(&mut twilio, partial("And"));
    prompt(&mut twilio, "And now?");
    assert!(last_words(&mut twilio).is_empty());
    // An end without words takes nothing away.
    platform(&mut twilio, partial("Hello"));
    assert!(prompt(&mut twilio, "").is_empty());
    assert_eq!(last_words(&mut twilio), ["Hello"]);
    // A call that comes back from somewhere does not go on with it.
    platform(&mut twilio, partial("I want"));
    let again = platform(&mut twilio, json!({"type": "setup", "sessionId": "VX2", "callSid": "CA1"}));
    assert_eq!(said(&again), [("caller", "I want")]);
}

#[test]
fn prompts_are_turns_and_so_are_the_apps_texts() {
    let mut twilio = twilio();
    setup(&mut twilio);
    let partial = json!({"type": "prompt", "voicePrompt": "Nobody", "last": false});
    assert!(platform(&mut twilio, partial).is_empty());
    let turn = prompt(&mut twilio, "Nobody seems to care.");
    assert_eq!((&turn[0]["lang"], &turn[1]["type"]), (&json!("en-US"), &json!("turn.ended")));
    assert_eq!(said(&turn), [("caller", "Nobody seems to care.")]);
    assert!(app(&mut twilio, "I am ", false).is_empty());
    assert_eq!(said(&app(&mut twilio, "sorry.", true)), [("agent", "I am sorry.")]);
    assert_eq!(said(&app(&mut twilio, "Let me see.", true)), [("agent", "Let me see.")]);
    let turn = prompt(&mut twilio, "And now?");
    assert_eq!(turn[1]["turn_id"], "caller-2", "whatever the agent said in between");
    for text in
        [json!({"type": "dtmf", "digit": "1"}), json!({"type": "error", "description": "x"}), json!({"type": "new"})]
    {
        assert!(platform(&mut twilio, text).is_empty());
    }
    for bad in ["{", "[]", r#"{"type":"prompt","voicePrompt":7}"#] {
        assert!(heard(&mut twilio, &Tapped::Platform(bad.to_owned()))[0]["bad"].is_string(), "{bad}");
    }
}

#[test]
fn an_interrupt_cuts_what_the_agent_says_where_it_was_cut() {
    let mut twilio = twilio();
    setup(&mut twilio);
    let whole = app(&mut twilio, "One two three four.", true);
    let id = whole[0]["segment_id"].clone();
    let cut = platform(&mut twilio, json!({"type": "interrupt", "utteranceUntilInterrupt": "One two"}));
    assert_eq!((&cut[0]["turn_id"], &cut[0]["text"]), (&id, &json!("One two")));
    // In the middle of one.
    app(&mut twilio, "Five six", false);
    let cut = platform(&mut twilio, json!({"type": "interrupt", "utteranceUntilInterrupt": "Five"}));
    assert_eq!(said(&cut), [("agent", "Five")]);
    assert_eq!(said(&prompt(&mut twilio, "Stop!")), [("caller", "Stop!")]);
}

#[test]
fn what_the_app_said_beyond_the_interrupt_was_not_heard() {
    let mut twilio = twilio();
    setup(&mut twilio);
    let ids = ["One two three four.", "Five six."].map(|text| app(&mut twilio, text, true)[0]["segment_id"].clone());
    let cut = platform(&mut twilio, json!({"type": "interrupt", "utteranceUntilInterrupt": "One two"}));
    let revised: Vec<_> = cut.iter().map(|one| (&one["turn_id"], &one["text"])).collect();
    assert_eq!(revised, [(&ids[0], &json!("One two")), (&ids[1], &json!(""))]);
    // What is said after that is another turn.
    assert_eq!(said(&prompt(&mut twilio, "Stop!")), [("caller", "Stop!")]);
    assert_eq!(app(&mut twilio, "Sorry.", true)[0]["segment_id"], "agent-3");
}

#[test]
fn an_end_of_a_turn_that_is_not_sure_is_no_turn_of_its_own() {
    let mut telnyx = Twilio::new(Platform::Telnyx, Handoff::default());
    setup(&mut telnyx);
    let flux = |text: &str, flags: Value| {
        let mut prompt = json!({"type": "prompt", "voicePrompt": text, "lang": "en", "last": true});
        prompt.as_object_mut().unwrap().extend(flags.as_object().unwrap().clone());
        prompt
    };
    let (eager, sure) = (json!({"eagerEndOfTurn": true}), json!({"eagerEndOfTurn": false}));
    assert!(platform(&mut telnyx, flux("I want", eager.clone())).is_empty());
    let resumed = json!({"type": "prompt", "voicePrompt": "I want a", "last": false, "turnResumed": true});
    assert!(platform(&mut telnyx, resumed).is_empty());
    assert!(platform(&mut telnyx, flux("I want a human.", eager.clone())).is_empty());
    assert_eq!(said(&platform(&mut telnyx, flux("I want a human.", sure.clone()))), [("caller", "I want a human.")]);
    // An app that answers at once, before it is sure.
    assert!(platform(&mut telnyx, flux("Now!", eager.clone())).is_empty());
    assert_eq!(said(&app(&mut telnyx, "Yes.", true)), [("caller", "Now!"), ("agent", "Yes.")]);
    assert!(platform(&mut telnyx, flux("Now!", sure)).is_empty());
    // Nothing is lost with the call's end, nor of a form that nobody knows.
    assert_eq!(said(&platform(&mut telnyx, flux("Hm.", json!({"turnResumed": {"at": 1}})))), [("caller", "Hm.")]);
    assert!(platform(&mut telnyx, flux("Bye.", eager)).is_empty());
    assert_eq!(telnyx.ended().len(), 2);
}

#[test]
fn a_turn_that_went_on_when_the_call_ended_is_told_once() {
    let held = |text: &str| {
        let mut telnyx = Twilio::new(Platform::Telnyx, Handoff::default());
        setup(&mut telnyx);
        let eager = json!({"type": "prompt", "voicePrompt": "I want", "last": true, "eagerEndOfTurn": true});
        assert!(platform(&mut telnyx, eager).is_empty());
        // Nobody says that it was no end.
        assert!(platform(&mut telnyx, json!({"type": "prompt", "voicePrompt": text, "last": false})).is_empty());
        telnyx
    };
    assert_eq!(last_words(&mut held("I want a human")), ["I want a human"]);
    assert_eq!(last_words(&mut held("Hello?")), ["I want", "Hello?"], "that is another turn");
    // Another session does not go on with it either.
    let again = platform(&mut held("I want a human"), json!({"type": "setup", "sessionId": "VX2", "callSid": "CA1"}));
    assert_eq!(said(&again), [("caller", "I want a human")]);
}

#[test]
fn what_is_said_again_after_a_cut_counts_once() {
    let mut twilio = twilio();
    setup(&mut twilio);
    prompt(&mut twilio, "First.");
    prompt(&mut twilio, "Second.");
    setup(&mut twilio);
    assert!(prompt(&mut twilio, "Second.").is_empty());
    assert_eq!(said(&prompt(&mut twilio, "Second.")), [("caller", "Second.")]);
    setup(&mut twilio);
    assert!(prompt(&mut twilio, "First.").is_empty(), "it is not yet known");
    assert_eq!(said(&app(&mut twilio, "Yes?", true)), [("caller", "First."), ("agent", "Yes?")]);
}

#[test]
fn what_is_held_after_a_cut_is_told_at_the_next_one_and_at_the_end() {
    let mut twilio = twilio();
    setup(&mut twilio);
    for text in ["First.", "Second."] {
        prompt(&mut twilio, text);
    }
    setup(&mut twilio);
    assert!(prompt(&mut twilio, "First.").is_empty());
    assert_eq!(said(&setup(&mut twilio)), [("caller", "First.")]);
    assert!(prompt(&mut twilio, "Second.").is_empty());
    let [Heard::Message { message: Some(RoomMessage::Transcript(last)), .. }, _] = &twilio.ended()[..] else {
        panic!()
    };
    assert_eq!(last.text, "Second.");
}

/// A connection of a call, with its setup.
async fn connected(taps: &mpsc::Sender<tap::Tap>) -> tap::Spout {
    listening(taps).await.0
}

/// The same, with what is to be said to the platform.
async fn listening(taps: &mpsc::Sender<tap::Tap>) -> (tap::Spout, tap::Injections) {
    let (tap, spout, wanted) = tap::tap();
    taps.send(tap).await.unwrap();
    spout.tell(Tapped::Platform(json!({"type": "setup", "sessionId": "VX1", "callSid": "CA1"}).to_string()));
    (spout, wanted)
}

/// What the call hears next, of all that tells of it.
async fn next(room: &mut RoomHandle) -> RoomMessage {
    loop {
        match room.next().await {
            RoomEvent::Message(message) => return message,
            RoomEvent::Lost { .. } => {}
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_is_waited_for_and_then_over() {
    let (taps, connections) = mpsc::channel(4);
    let mut room = open(Target::tapped(twilio(), connections, "CA1"), &Authorities::default());
    let spout = connected(&taps).await;
    assert!(matches!(next(&mut room).await, RoomMessage::Welcome(welcome) if !welcome.resumed));
    spout.close(BROKEN).await;
    // Nobody knows how long a platform is away.
    sleep(Duration::from_secs(100)).await;
    let spout = connected(&taps).await;
    assert!(matches!(next(&mut room).await, RoomMessage::Welcome(welcome) if welcome.resumed));
    let cut = Instant::now();
    spout.close(BROKEN).await;
    assert!(matches!(next(&mut room).await, RoomMessage::SessionEnded { .. }));
    assert!((Duration::from_secs(120)..Duration::from_secs(122)).contains(&cut.elapsed()), "{:?}", cut.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_call_that_was_cut_is_over_when_nobody_waits_for_it_any_more() {
    let (taps, connections) = mpsc::channel(4);
    let mut room = open(Target::tapped(twilio(), connections, "CA1"), &Authorities::default());
    connected(&taps).await.close(BROKEN).await;
    drop(taps);
    assert!(matches!(next(&mut room).await, RoomMessage::Welcome(_)));
    let ended = timeout(Duration::from_secs(5), next(&mut room)).await.unwrap();
    assert!(matches!(ended, RoomMessage::SessionEnded { .. }), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn what_is_wanted_again_after_a_cut_has_only_what_is_left_of_its_time() {
    let (taps, connections) = mpsc::channel(4);
    let mut room = open(Target::tapped(twilio(), connections, "CA1"), &Authorities::default());
    let (spout, mut wanted) = listening(&taps).await;
    assert!(matches!(next(&mut room).await, RoomMessage::Welcome(_)));
    let command = CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
    room.send(SidecarMessage::Command { command_id: "transfer-1".to_owned(), command, deadline_ms: 60_000 });
    let whole = wanted.recv().await.unwrap();
    assert!(whole.within > Duration::from_secs(59), "{whole:?}");
    // The app is in the middle of a sentence, and nothing can be said.
    sleep(Duration::from_secs(40)).await;
    spout.close(BROKEN).await;
    let (_spout, mut wanted) = listening(&taps).await;
    assert!(matches!(next(&mut room).await, RoomMessage::Welcome(_)));
    let left = wanted.recv().await.unwrap();
    assert!(left.within <= Duration::from_secs(20) && left.within > Duration::ZERO, "{left:?}");
}

fn write(twilio: &mut Twilio, id: &str, command: CommandKind) -> Vec<Written> {
    let message = SidecarMessage::Command { command_id: id.to_owned(), command, deadline_ms: 1000 };
    twilio.write(&message).unwrap()
}

#[test]
fn a_sentence_is_done_when_it_was_heard_and_a_transfer_by_its_outcome() {
    let mut twilio = twilio();
    let handoff = twilio.handoff.clone();
    setup(&mut twilio);
    let say = CommandKind::Say { text: "One moment.".to_owned() };
    let [Written::Tapped(injection)] = &write(&mut twilio, "say-1", say.clone())[..] else { panic!() };
    assert_eq!(serde_json::from_str::<Value>(&injection.text).unwrap()["last"], true);
    assert!(injection.plays_for.is_some_and(|time| time > FIRST_SOUND));
    assert_eq!(injection.within, Duration::from_secs(1));
    assert!(write(&mut twilio, "say-1", say.clone()).is_empty(), "it is said once");
    let status =
        |messages: Vec<Value>| messages.iter().map(|m| m["status"].as_str().unwrap().to_owned()).collect::<Vec<_>>();
    assert_eq!(status(heard(&mut twilio, &Tapped::Injected("say-1".to_owned()))), ["accepted"]);
    let spoken = json!({"type": "info", "name": "agentSpeaking", "value": "off"});
    assert!(platform(&mut twilio, spoken.clone()).is_empty(), "that was what the app said before");
    assert!(heard(&mut twilio, &Tapped::Begun("say-1".to_owned())).is_empty());
    assert_eq!(status(platform(&mut twilio, spoken)), ["done"]);
    assert!(heard(&mut twilio, &Tapped::Played("say-1".to_owned())).is_empty());

    handoff.set(Why {
        alert_id: "alert_1".to_owned(),
        reason: "streak".to_owned(),
        severity: "high".to_owned(),
        description: "angry".to_owned(),
    });
    let transfer = CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
    let [Written::Tapped(injection)] = &write(&mut twilio, "transfer-1", transfer)[..] else { panic!() };
    assert!(!injection.waits, "the sentence was heard");
    let end: Value = serde_json::from_str(&injection.text).unwrap();
    let data: Value = serde_json::from_str(end["handoffData"].as_str().unwrap()).unwrap();
    assert_eq!(
        (&data["alertId"], &data["severity"], &data["from"]),
        (&json!("alert_1"), &json!("high"), &json!("+14155550123"))
    );
    assert!(!injection.text.contains("4155551234"), "the target is the app's to know");
    assert_eq!(status(heard(&mut twilio, &Tapped::Injected("transfer-1".to_owned()))), ["accepted"]);
    assert!(heard(&mut twilio, &Tapped::Dialled("ringing".to_owned())).is_empty());
    let busy = heard(&mut twilio, &Tapped::Dialled("busy".to_owned()));
    assert_eq!((&busy[0]["status"], &busy[0]["code"]), (&json!("failed"), &json!("busy")));
    assert!(heard(&mut twilio, &Tapped::Dialled("completed".to_owned())).is_empty(), "one outcome");
}

#[test]
fn what_a_cut_kept_from_being_said_is_said_after_it() {
    let mut twilio = twilio();
    setup(&mut twilio);
    let say = || CommandKind::Say { text: "One moment.".to_owned() };
    let transfer = || CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
    assert_eq!(write(&mut twilio, "say-1", say()).len(), 1);
    let [Written::Tapped(end)] = &write(&mut twilio, "transfer-1", transfer())[..] else { panic!() };
    assert!(end.waits, "the sentence is not heard yet");
    let again = |twilio: &mut Twilio| {
        twilio.hello(Greeting { room_name: "CA1", resume: None });
        setup(twilio);
    };
    again(&mut twilio);
    assert_eq!(write(&mut twilio, "say-1", say()).len(), 1);
    heard(&mut twilio, &Tapped::Injected("say-1".to_owned()));
    again(&mut twilio);
    assert!(write(&mut twilio, "say-1", say()).is_empty(), "it was said");
    assert_eq!(write(&mut twilio, "transfer-1", transfer()).len(), 1);
    let failed = heard(&mut twilio, &Tapped::Expired("transfer-1".to_owned()));
    assert_eq!((&failed[0]["command_id"], &failed[0]["status"]), (&json!("transfer-1"), &json!("failed")));
    assert!(heard(&mut twilio, &Tapped::Dialled("completed".to_owned())).is_empty(), "nobody was dialled for us");
}

#[test]
fn a_call_that_ends_after_its_handover_went_nobody_knows_where() {
    let transfer = || CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
    for (injected, dialled) in [(true, false), (false, false), (true, true)] {
        let mut twilio = twilio();
        setup(&mut twilio);
        assert_eq!(write(&mut twilio, "transfer-1", transfer()).len(), 1);
        if injected {
            heard(&mut twilio, &Tapped::Injected("transfer-1".to_owned()));
        }
        if dialled {
            assert_eq!(heard(&mut twilio, &Tapped::Dialled("completed".to_owned()))[0]["status"], "done");
        }
        let told: Vec<Value> = twilio
            .ended()
            .into_iter()
            .map(|heard| match heard {
                Heard::Message { message, .. } => serde_json::to_value(message).unwrap(),
                other => panic!("{other:?}"),
            })
            .collect();
        let right =
            if injected && !dialled { vec![json!("participant.left"), json!("command.result")] } else { vec![] };
        assert_eq!(told.iter().map(|one| one["type"].clone()).collect::<Vec<_>>(), right, "{injected} {dialled}");
        assert!(told.last().is_none_or(|result| result["code"] == "unknown"), "{told:?}");
    }
}

#[test]
fn another_session_of_a_call_says_nothing_again() {
    let mut twilio = twilio();
    setup(&mut twilio);
    prompt(&mut twilio, "Nobody seems to care.");
    platform(&mut twilio, json!({"type": "setup", "sessionId": "VX2", "callSid": "CA1"}));
    assert_eq!(said(&prompt(&mut twilio, "Nobody seems to care.")), [("caller", "Nobody seems to care.")]);
}

#[test]
fn telnyx_has_nothing_to_hand_over_by() {
    let mut twilio = Twilio::new(Platform::Telnyx, Handoff::default());
    let welcome = platform(&mut twilio, json!({"type": "setup", "callControlId": "v3:1", "sessionId": "s"}));
    assert_eq!(
        (&welcome[0]["room_name"], &welcome[0]["capabilities"]),
        (&json!("v3:1"), &json!(["turn_events", "say"]))
    );
    let transfer = CommandKind::Transfer { target: "+14155551234".to_owned(), ringing_timeout_ms: 1000 };
    assert!(write(&mut twilio, "transfer-1", transfer).is_empty());
}
