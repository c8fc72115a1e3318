//! How many events a second the core takes: room messages in, everything that it puts out drained, no I/O.
//!
//! Ratings are pinned, so that the rater's cost stays out of it. One event is one input: a room message, or the answer
//! to something that the core asked for.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on should panic")]

use std::hint::black_box;
use std::path::PathBuf;
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sentiment_sidecar::alert::record::StoreResult;
use sentiment_sidecar::call::event::{Input, Output};
use sentiment_sidecar::call::{Call, CallOptions};
use sentiment_sidecar::clock::Millis;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::recording::import::from_turns;
use sentiment_sidecar::recording::{CutLine, PinnedRating, Recording, Timed};
use sentiment_sidecar::replay::engine;
use sentiment_sidecar::room::message::Role;
use sentiment_sidecar::sentiment::{RateFuture, Rater, Rating, Sentiment, TurnInContext};

/// A rater that costs nothing: every turn is 4.0, which never escalates.
struct Pinned(Rating);

impl Rater for Pinned {
    fn rate<'a>(&'a self, _turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(Ok(self.0.clone())))
    }
}

fn pinned() -> Pinned {
    Pinned(PinnedRating::from_sentiment(Sentiment::clamped(4.0)))
}

/// A call in which caller and agent take turns.
fn long_call(turns: usize) -> Recording {
    let turn = |n: usize| match n % 2 {
        0 => (Role::Agent, format!("Let me look into number {n} for you, one moment please.")),
        _ => (Role::Caller, format!("I have been waiting for an answer to question {n} since this morning.")),
    };
    let mut recording = from_turns("bench", (0..turns).map(turn));
    let welcome = serde_json::json!({
        "type": "welcome", "version": 1, "session_id": "s", "room_name": "bench", "capabilities": ["turn_events"],
        "participants": [{"id": "caller", "role": "caller"}, {"id": "agent", "role": "agent"}],
    });
    let message = serde_json::from_value(welcome).unwrap();
    recording.messages.insert(0, Timed { at: Millis(0), message });
    recording
}

/// Feeds a recording straight into the core and returns how many inputs that took.
fn drive(recording: &Recording, settings: &Arc<Settings>, rater: &Pinned) -> u64 {
    let mut call = Call::new(Arc::clone(settings), CallOptions::default());
    let mut events = 0;
    for timed in &recording.messages {
        let mut next = Some(Input::Room { message: timed.message.clone() });
        let mut answers = Vec::new();
        while let Some(input) = next.take() {
            events += 1;
            call.handle(timed.at, input);
            loop {
                match call.poll() {
                    Output::Wait { .. } | Output::Ended { .. } => break,
                    Output::Rate { turn_id, rev, .. } => {
                        answers.push(Input::Rated { turn_id, rev, result: Ok(rater.0.clone()).into() });
                    }
                    Output::Store { write } => {
                        let alert_id = write.alert().id.clone();
                        answers.push(Input::Stored { alert_id, result: StoreResult::Written });
                    }
                    output => drop(black_box(output)),
                }
            }
            next = answers.pop();
        }
    }
    events
}

fn fixtures() -> Vec<Recording> {
    let folder = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("fixtures");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    files.sort();
    let read = |path: &PathBuf| {
        Recording::read(std::fs::read(path).unwrap().as_slice(), &path.display().to_string(), CutLine::Refuse).unwrap()
    };
    files.iter().map(read).collect()
}

fn core(criterion: &mut Criterion) {
    let settings = Arc::new(Settings { enabled: true, ..Settings::default() });
    let rater = pinned();
    let mut group = criterion.benchmark_group("core");
    for turns in [100, 1_000, 10_000] {
        let recording = long_call(turns);
        group.throughput(Throughput::Elements(drive(&recording, &settings, &rater)));
        group.sample_size(if turns > 1_000 { 10 } else { 50 });
        group.bench_function(format!("{turns} turns"), |b| b.iter(|| drive(black_box(&recording), &settings, &rater)));
    }
    group.finish();

    let recordings = fixtures();
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let mut group = criterion.benchmark_group("replay");
    let messages = recordings.iter().map(|recording| recording.messages.len() as u64).sum();
    group.throughput(Throughput::Elements(messages));
    group.bench_function("fixtures", |b| {
        b.iter(|| {
            for recording in &recordings {
                black_box(runtime.block_on(engine::replay(recording, &settings, &rater, None)));
            }
        });
    });
    group.finish();
}

criterion_group!(benches, core);
criterion_main!(benches);
