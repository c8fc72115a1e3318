//! Calls in a storm: killed, cut, doubled, reordered and slowly rated at random, the core in virtual time. Whatever happens,
//! the call comes to the same alerts as in fair weather, each once.
//!
//! Failures print their seed; `SIDECAR_TEST_SEED=N` brings one back, `SIDECAR_TEST_STORMS=N` runs more of them.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use fastrand::Rng;
use sentiment_sidecar::alert::AlertId;
use sentiment_sidecar::alert::record::{StoreResult, StoreWrite};
use sentiment_sidecar::call::event::{Input, Output, RateResult};
use sentiment_sidecar::call::{Call, CallOptions};
use sentiment_sidecar::clock::Millis;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::room::link::sequence::Sequencer;
use sentiment_sidecar::room::message::RoomMessage;
use sentiment_sidecar::sentiment::{Label, Rating, RatingSource, Sentiment, Unit, Valence};
use serde_json::{Value, json};

use crate::chance;

/// How many storms CI goes through.
const STORMS: usize = 1_500;

fn rating(text: &str) -> Rating {
    let number: f64 = text.split(' ').next().and_then(|word| word.parse().ok()).unwrap_or(5.0);
    let sentiment = Sentiment::clamped(number);
    Rating {
        sentiment,
        valence: Valence::clamped((number - 5.0) / 5.0),
        frustration: Unit::clamped((6.0 - number) / 5.0),
        urgency: Unit::clamped(0.0),
        label: Label::of(sentiment),
        confidence: Unit::clamped(1.0),
        filler: false,
        asks_human: text.contains("human"),
        cues: Vec::new(),
        source: RatingSource::Embedded,
        description: None,
        embedded: None,
    }
}

/// All that a room says of a call, numbered from 1: turns of both sides, the agent's own tool calls, pieces before turns.
fn call(rng: &mut Rng) -> Vec<Value> {
    let mut messages = Vec::new();
    let mut number = |mut message: Value| {
        message["seq"] = json!(messages.len() + 1);
        messages.push(message);
    };
    for turn in 0..rng.usize(3..14) {
        let asks = if rng.usize(0..5) == 0 { " to a human" } else { "" };
        let words = format!("{} as the caller says{asks}", rng.usize(1..7));
        if rng.bool() {
            number(json!({"type": "transcript", "segment_id": format!("s{turn}"), "participant_id": "c",
                "text": words, "final": rng.bool()}));
        }
        number(json!({"type": "turn.ended", "turn_id": format!("u{turn}"), "index": 2 * turn, "participant_id": "c",
            "text": words}));
        if rng.usize(0..6) == 0 {
            number(json!({"type": "tool.call", "call_id": format!("k{turn}"), "name": "escalate_sentiment",
                "arguments": {"sentiment_score": rng.usize(1..5), "description": "the agent's own words"}}));
        }
        number(
            json!({"type": "turn.ended", "turn_id": format!("a{turn}"), "index": 2 * turn + 1, "participant_id": "a",
            "text": "as the agent says"}),
        );
    }
    number(json!({"type": "session.ended", "reason": "hangup"}));
    messages
}

fn message(value: &Value) -> RoomMessage {
    RoomMessage::from_value(value.clone()).unwrap().unwrap()
}

/// What outlives a process: how often each alert was written anew.
type Store = BTreeMap<AlertId, usize>;

/// One process of the call, with edges that take their time.
struct Process {
    call: Call,
    now: u64,
    sequencer: Sequencer<RoomMessage>,
    began: Instant,
    /// Ratings under way, with the moment when each is there.
    ratings: VecDeque<(u64, Input)>,
    ended: bool,
}

impl Process {
    fn begin(settings: &Arc<Settings>, store: &mut Store, rng: &mut Rng, slow: bool) -> Self {
        let options = CallOptions { room_name: "room".to_owned(), shadow: false };
        let mut process = Self {
            call: Call::new(Arc::clone(settings), options),
            now: 0,
            sequencer: Sequencer::default(),
            began: Instant::now(),
            ratings: VecDeque::new(),
            ended: false,
        };
        let welcome = json!({"type": "welcome", "version": 1, "session_id": "s1", "room_name": "room",
            "capabilities": ["turn_events", "set_flag"],
            "participants": [{"id": "c", "role": "caller"}, {"id": "a", "role": "agent"}]});
        process.input(Input::Room { message: message(&welcome) }, store, rng, slow);
        process
    }

    fn input(&mut self, input: Input, store: &mut Store, rng: &mut Rng, slow: bool) {
        let mut inputs = VecDeque::from([input]);
        while let Some(input) = inputs.pop_front() {
            self.call.handle(Millis(self.now), input);
            loop {
                match self.call.poll() {
                    Output::Wait { .. } => break,
                    Output::Ended { .. } => {
                        self.ended = true;
                        break;
                    }
                    Output::Rate { turn_id, rev, turn } => {
                        let done = Input::Rated { turn_id, rev, result: RateResult::Rating(rating(&turn.text)) };
                        let takes = if slow { rng.u64(0..1_500) } else { 0 };
                        self.ratings.push_back((self.now + takes, done));
                    }
                    Output::Store { write: StoreWrite::Alert { alert, .. } } => {
                        let there = store.contains_key(&alert.id);
                        if !there {
                            store.insert(alert.id.clone(), 1);
                        }
                        let result = if there { StoreResult::Existing { outcome: None } } else { StoreResult::Written };
                        inputs.push_back(Input::Stored { alert_id: alert.id, result });
                    }
                    _ => {}
                }
            }
            if !slow {
                inputs.extend(self.ratings.drain(..).map(|(_, rated)| rated));
            }
        }
    }

    /// Lets time pass: ratings arrive when they are done, in whatever order that is.
    fn pass(&mut self, ms: u64, store: &mut Store, rng: &mut Rng, slow: bool) {
        let until = self.now + ms;
        while let Some(at) = (0..self.ratings.len()).min_by_key(|at| self.ratings[*at].0) {
            let (due, _) = self.ratings[at];
            if due > until {
                break;
            }
            let (_, rated) = self.ratings.remove(at).unwrap();
            self.now = self.now.max(due);
            self.input(rated, store, rng, slow);
        }
        self.now = until;
        let mut out = Vec::new();
        self.sequencer.expire(self.began + Duration::from_millis(self.now), &mut out);
        for (_, message) in out {
            self.input(Input::Room { message }, store, rng, slow);
        }
        self.input(Input::Tick, store, rng, slow);
    }

    fn hear(&mut self, value: &Value, store: &mut Store, rng: &mut Rng, slow: bool) {
        let (seq, mut out) = (value["seq"].as_u64().unwrap(), Vec::new());
        let now = self.began + Duration::from_millis(self.now);
        self.sequencer.accept(now, seq, message(value), &mut out);
        for (_, message) in out {
            self.input(Input::Room { message }, store, rng, slow);
        }
    }
}

fn fair(settings: &Arc<Settings>, messages: &[Value], rng: &mut Rng) -> Store {
    let mut store = Store::new();
    let mut process = Process::begin(settings, &mut store, rng, false);
    for value in messages {
        process.hear(value, &mut store, rng, false);
    }
    assert!(process.ended);
    store
}

fn storm(settings: &Arc<Settings>, messages: &[Value], rng: &mut Rng) -> Store {
    let mut store = Store::new();
    for _ in 0..rng.usize(0..4) {
        // This one is killed somewhere on the way.
        let heard = rng.usize(0..=messages.len());
        live(settings, &messages[..heard], &mut store, rng, false);
    }
    live(settings, messages, &mut store, rng, true);
    store
}

/// One process hears the messages over connections that break, double and reorder, and, unless it is killed, to the end.
fn live(settings: &Arc<Settings>, messages: &[Value], store: &mut Store, rng: &mut Rng, to_the_end: bool) {
    let mut process = Process::begin(settings, store, rng, true);
    loop {
        // A resumed room says everything again from the first message that did not arrive.
        let from = usize::try_from(process.sequencer.contiguous()).unwrap().min(messages.len());
        let mut wire: Vec<&Value> = messages[from..].iter().collect();
        // What overtakes does so by moments; where things come in order, minutes may lie between them.
        let (reach, pause) = if rng.bool() { (rng.usize(2..6), 80) } else { (1, 400) };
        wire.sort_by_cached_key(|value| value["seq"].as_u64().unwrap() as usize + rng.usize(0..reach));
        for value in &wire {
            process.hear(value, store, rng, true);
            if rng.usize(0..5) == 0 {
                process.hear(value, store, rng, true);
            }
            process.pass(rng.u64(0..pause), store, rng, true);
            if reach == 1 && rng.usize(0..12) == 0 {
                break;
            }
        }
        if !to_the_end && rng.bool() {
            return;
        }
        if usize::try_from(process.sequencer.contiguous()).unwrap() >= messages.len() {
            break;
        }
    }
    for _ in 0..20 {
        process.pass(500, store, rng, true);
    }
    assert!(process.ended || !to_the_end, "the call does not end");
}

#[test]
fn whatever_the_weather_a_call_comes_to_the_same_alerts_each_once() {
    let storms = std::env::var("SIDECAR_TEST_STORMS").ok().and_then(|n| n.parse().ok()).unwrap_or(STORMS);
    let seed = chance::seed();
    let (mut alerts, mut calm) = (0, 0);
    for number in 0..storms as u64 {
        let mut rng = Rng::with_seed(seed.wrapping_add(number));
        let window = rng.u32(1..4);
        let mut settings = Settings { enabled: true, window, human_requests: rng.u32(0..3), ..Settings::default() };
        settings.sustained.enabled = rng.bool();
        settings.trajectory.enabled = rng.bool();
        let settings = Arc::new(settings);
        let messages = call(&mut rng);
        let expected = fair(&settings, &messages, &mut rng);
        let got = storm(&settings, &messages, &mut rng);
        assert_eq!(got, expected, "SIDECAR_TEST_SEED={}, window {window}: {messages:#?}", seed.wrapping_add(number));
        alerts += expected.len();
        calm += usize::from(expected.is_empty());
    }
    assert!(alerts > storms / 4 && calm > storms / 50, "{alerts} alerts, {calm} calls without: too few to tell");
}
