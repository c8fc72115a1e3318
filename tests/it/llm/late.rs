//! Answers that come after their turn was rated.

use std::sync::{Mutex, mpsc};
use std::time::Duration;

use sentiment_sidecar::sentiment::blend::blend;
use sentiment_sidecar::sentiment::{Rater, RatingSource, TurnInContext, embedded};
use serde_json::{Value, json};
use wiremock::Request;

use super::{TURN, blended, good, rater, server, written};
use crate::support::{Program, Room};

#[tokio::test]
async fn a_late_answer_is_a_later_opinion() {
    let server = server(good(1.0).set_delay(Duration::from_millis(600))).await;
    let llm = rater(&server.uri());
    let rater = blended(&llm, 50);
    let turn = TurnInContext::alone(TURN);
    let opinions = rater.opinions(&turn).await;
    let first = opinions.first.unwrap();
    assert_eq!(first.source, RatingSource::Embedded);
    let later = opinions.later.unwrap().await.unwrap();
    assert_eq!(later.source, RatingSource::Blend);
    assert!(later.sentiment < first.sentiment);
    assert_eq!((llm.stats().of("late"), llm.stats().of("answered")), (1, 1));
    assert_eq!(server.received_requests().await.unwrap().len(), 1, "one question a turn");
}

#[tokio::test]
async fn a_late_answer_re_rates_the_turn_of_a_live_call() {
    // Nothing is answered before the first turn has been rated.
    let (rated, is_rated) = mpsc::channel::<()>();
    let is_rated = Mutex::new(is_rated);
    let server = server(move |_: &Request| {
        // Once for the first request; later ones find the other end gone.
        is_rated.lock().unwrap().recv().ok();
        good(1.0)
    })
    .await;
    let (room, program) = (Room::start().await, Program::new());
    let tape = program.folder.path().join("tape.jsonl").display().to_string();
    let record = program.folder.path().join("call.jsonl").display().to_string();
    let url = format!("llmUrl={}/v1", server.uri());
    let args = [
        ["attach", "--room-url", &room.url],
        ["--room", "room_abc123", "--set"],
        ["sentimentEscalationEnabled=true", "--set", &url],
        ["--record-cassette", &tape, "--set"],
        ["llmDeadlineMs=500", "--record", &record],
    ]
    .concat();
    let mut sidecar = program.run(&args);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, TURN).await;
    let first = sidecar.event("turn").await;
    assert_eq!(first["source"], Value::Null);
    drop(rated);
    let again = sidecar.event("turn").await;
    assert_eq!((&again["turn_id"], &again["source"]), (&first["turn_id"], &json!("blend")));
    assert!(again["sentiment"].as_f64() < first["sentiment"].as_f64(), "{first} {again}");
    connection.turn(2, 1, "And it is still not working.").await;
    let mut second = sidecar.event("turn").await;
    // On a busy machine this answer may be late as well.
    while second["source"] != "blend" {
        second = sidecar.event("turn").await;
    }
    assert_eq!(second["turn"], 2);
    connection.end(3).await;
    assert_eq!(sidecar.exit().await, Some(0));

    // The recorded call and the recorded answers give the same ratings, without the server.
    drop(server);
    let mut replay = program.run(&["replay", "--format", "json", "--llm-cassette", &tape, &record]);
    let replayed = [replay.event("turn").await, replay.event("turn").await];
    assert_eq!(replay.exit().await, Some(0));
    for (live, replayed) in [again, second].iter().zip(&replayed) {
        assert_eq!((&live["sentiment"], &live["cues"]), (&replayed["sentiment"], &replayed["cues"]));
    }
}

/// A turn and a threshold: not low as the embedded rater hears it, low once an LLM has called it a 1.
async fn in_between() -> (&'static str, u8) {
    let furious = serde_json::from_value(written(1.0)).unwrap();
    for text in
        [TURN, "And it is still not working.", "I have been waiting for three weeks now.", "This is a bit slow."]
    {
        let alone = embedded().rate(&TurnInContext::alone(text)).await.unwrap();
        let both = blend(&alone, &furious);
        let between = (2..=10).find(|bar| both.sentiment.is_below(*bar) && !alone.sentiment.is_below(*bar));
        if let Some(bar) = between {
            return (text, bar);
        }
    }
    panic!("no turn lies in between");
}

#[tokio::test]
async fn a_late_answer_decides_before_the_next_turn_does() {
    let (text, threshold) = in_between().await;
    let server = server(good(1.0).set_delay(Duration::from_millis(900))).await;
    let (room, program) = (Room::start().await, Program::new());
    let settings = json!({"llmUrl": format!("{}/v1", server.uri()), "llmDeadlineMs": 100, "sentimentWindowTurns": 1,
        "sentimentThreshold": threshold});
    let mut sidecar = program.attach(&room, settings);
    let (mut connection, _) = room.accept().await;
    connection.welcome(&[], false).await;
    connection.turn(1, 0, text).await;
    let first = sidecar.event("turn").await;
    assert_eq!((&first["low"], &first["source"]), (&json!(false), &Value::Null), "{first}");
    let again = sidecar.event("turn").await;
    assert_eq!((&again["low"], &again["source"]), (&json!(true), &json!("blend")), "{again}");
    let escalation = sidecar.event("escalation").await;
    assert_eq!((&escalation["turn"], sidecar.count("turn")), (&json!(1), 2), "{escalation}");
    assert_eq!(escalation["description"], "Promised calls never came");
    connection.end(2).await;
    assert_eq!(sidecar.exit().await, Some(0));
}
