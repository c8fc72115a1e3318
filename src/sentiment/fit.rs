//! Fits the points of the lexicon on rated calls, and writes them into `lexicon.rs`. Run by hand:
//!
//! ```sh
//! SENTIMENT_CALLS=train-calls.jsonl SENTIMENT_SENTENCES=rated-sentences.jsonl \
//!     cargo test --lib sentiment::fit -- --ignored
//! ```
//!
//! A call is one line `{"turns":[{"role":"caller","text":…,"sentiment":1-10,"frustration":0-1,"urgency":0-1}, …]}`, a
//! sentence one line `{"text":…,"sentiment":…}`. The fit is a ridge regression through the same reading of turns
//! that rates: each pattern is drawn to the mean of its entry, that to what the table expects of it, and patterns of
//! entries that expect a point or more keep their sign. There is no randomness: the same files give the same table.

use serde_json::Value;

use super::lexicon::{CONTEXT, ENTRIES};
use super::reading::{Reading, bounded, carry, stretch};

/// Weight of the pull towards the expected points, in rows.
const RIDGE: f64 = 30.0;
/// Points that a cue starts from, as a share of what the table expects.
const STARTING_SHARE: f64 = 0.3;
/// How much the mean of an entry's patterns tells against what the table expects.
const MEAN_TELLS: f64 = 3.0;
/// Weight of a sentence out of any call, beside a turn of a call.
const SENTENCE_WEIGHT: f64 = 0.2;
/// Weight of an anchor.
const ANCHOR_WEIGHT: f64 = 15.0;
/// Low turns are rarer than they matter.
const LOW_WEIGHT: f64 = 1.3;
const ROUNDS: usize = 4;
const STEPS: i32 = 200;

/// Plain cases that the table must get right whatever the calls at hand say.
const ANCHORS: &[(f64, &str)] = &[
    (2.0, "this is ridiculous i've been trying to fix this for three days"),
    (2.0, "nobody at your company seems to care"),
    (2.0, "i want to speak to someone who can actually help"),
    (2.0, "this is absolutely ridiculous"),
    (2.0, "this is unacceptable"),
    (2.0, "nobody cares and nobody listens"),
    (2.0, "get me your manager right now"),
    (2.0, "let me speak to your supervisor i've had enough"),
    (1.5, "you people are useless"),
    (1.5, "you are all incompetent"),
    (1.5, "this is the worst service i have ever had"),
    (1.5, "i am going to sue you"),
    (1.5, "i'm cancelling my account and taking my business elsewhere"),
    (1.5, "you will hear from my lawyer"),
    (1.5, "i'm going to report you to the regulator"),
    (1.0, "you lying thieves"),
    (1.0, "go to hell you idiots"),
    (1.0, "you're a bunch of crooks"),
    (2.0, "thanks for nothing"),
    (2.0, "oh great another form to fill in"),
    (2.0, "i am sick and tired of this"),
    (2.0, "i'm so frustrated right now"),
    (2.0, "i am really angry about this"),
    (2.0, "how many times do i have to tell you"),
    (2.0, "are you even listening to me"),
    (2.0, "stop wasting my time"),
    (2.0, "what a joke"),
    (2.5, "this is the third time i've called about this and nothing has changed"),
    (3.0, "i already gave you that"),
    (3.0, "that's not what i was told"),
    (3.0, "i'm not happy with this at all"),
    (3.0, "i'm very disappointed"),
    (3.0, "i've been waiting for two weeks"),
    (4.0, "hmm that's not great"),
    (4.0, "how long is this going to take"),
    (4.0, "i'm a bit worried about it"),
    (5.0, "how do i reset my password"),
    (5.0, "my card was stolen"),
    (5.0, "i need to cancel my order"),
    (5.0, "i'd like to cancel my subscription please"),
    (5.0, "my father passed away and i need to close his account"),
    (5.0, "my mother died last week"),
    (5.0, "my internet is not working"),
    (5.0, "i lost my phone"),
    (5.0, "can i speak to someone about a mortgage"),
    (5.0, "could i talk to a person about my bill please"),
    (5.0, "i need an ambulance please hurry"),
    (5.0, "it's urgent my flight leaves in an hour"),
    (5.0, "my ex is an idiot he took my card"),
    (5.0, "the burglar broke the window"),
    (5.0, "i want to change my address"),
    (5.0, "what are your opening hours"),
    (5.0, "i have a question about my invoice"),
    (5.0, "there's a charge on my account i don't recognise"),
    (5.0, "someone used my card without permission"),
    (5.0, "i was in a car accident"),
    (5.0, "i'd like to make a payment"),
    (5.0, "can you tell me my balance"),
    (6.0, "great thanks"),
    (6.0, "sounds good"),
    (6.0, "no problem take your time"),
    (6.0, "can't complain"),
    (7.0, "thank you very much for your help"),
    (8.0, "that's brilliant thank you so much"),
    (9.0, "you've been amazing you made my day"),
    (9.0, "wonderful service thank you so much you are a star"),
];

/// Where a row comes from.
#[derive(Clone, Copy, PartialEq)]
enum From {
    Call,
    Sentence,
    Anchor,
}

struct Row {
    from: From,
    reading: Reading,
    hits: Vec<(usize, f64)>,
    urgent: Vec<(usize, f64)>,
    sentiment: f64,
    frustration: f64,
    urgency: f64,
    carry: f64,
    fitted: f64,
}

impl Row {
    fn new(from: From, reading: Reading, rated: &Value) -> Self {
        let number = |key: &str| rated[key].as_f64().unwrap_or_default();
        let weights = |hit: &super::cues::Hit| (hit.pattern, hit.weight);
        let hits = reading.felt_hits().map(weights).collect();
        let urgent = reading.urgent_hits().map(weights).collect();
        let (sentiment, frustration, urgency) = (number("sentiment"), number("frustration"), number("urgency"));
        Self { from, reading, hits, urgent, sentiment, frustration, urgency, carry: 0.0, fitted: 5.0 }
    }

    fn weight(&self) -> f64 {
        match self.from {
            From::Sentence => SENTENCE_WEIGHT,
            From::Anchor => ANCHOR_WEIGHT,
            From::Call if self.sentiment <= 2.5 => LOW_WEIGHT,
            From::Call => 1.0,
        }
    }
}

/// What is fitted.
struct Points {
    patterns: Vec<f64>,
    context: Vec<f64>,
    /// What sentences out of any call have beyond their cues; not kept.
    aside: f64,
}

impl Points {
    fn start() -> Self {
        let patterns = entries().iter().map(|&entry| STARTING_SHARE * ENTRIES[entry].expected).collect();
        Self { patterns, context: CONTEXT.iter().map(|row| row.weight).collect(), aside: 0.0 }
    }

    /// The unbounded sentiment, the turn's own points and the context's inputs.
    fn raw(&self, row: &Row) -> (f64, f64, Vec<f64>) {
        let own: f64 = row.hits.iter().map(|&(pattern, weight)| self.patterns[pattern] * weight).sum();
        let context = row.reading.context(row.carry, own).to_vec();
        let around: f64 = context.iter().zip(&self.context).map(|(x, weight)| x * weight).sum();
        let aside = if row.from == From::Sentence { self.aside } else { 0.0 };
        (own + around + aside, own, context)
    }

    /// Rates the calls turn by turn, so that each carry comes from our own ratings as it will when live.
    fn rate(&self, calls: &mut [Vec<Row>]) {
        for call in calls {
            let mut said: Vec<f64> = Vec::new();
            for row in call {
                row.carry = carry(said.iter().rev().copied());
                row.fitted = if row.reading.filler { 5.0 } else { stretch(bounded(self.raw(row).0)) };
                if !row.reading.filler {
                    said.push(row.fitted);
                }
            }
        }
    }
}

/// The entry of each pattern.
fn entries() -> Vec<usize> {
    ENTRIES.iter().enumerate().flat_map(|(at, entry)| entry.patterns.iter().map(move |_| at)).collect()
}

fn fit(calls: &mut [Vec<Row>]) -> Points {
    let mut points = Points::start();
    let mut seen = vec![0.0; points.patterns.len()];
    for &(pattern, _) in calls.iter().flatten().flat_map(|row| &row.hits) {
        seen[pattern] += 1.0;
    }
    for round in 0..ROUNDS {
        let drawn_to = if round == 0 { points.patterns.clone() } else { means(&points.patterns, &seen) };
        points.rate(calls);
        descend(&mut points, calls, &drawn_to);
    }
    points.rate(calls);
    points
}

/// The mean of each pattern's entry, shrunk to what the table expects.
fn means(patterns: &[f64], seen: &[f64]) -> Vec<f64> {
    let mut sums = vec![(0.0, 0.0); ENTRIES.len()];
    let entries = entries();
    for (at, &entry) in entries.iter().enumerate() {
        let weight = seen[at].min(20.0);
        sums[entry].0 += weight * patterns[at];
        sums[entry].1 += weight;
    }
    let mean = |&entry: &usize| {
        let (sum, weight) = sums[entry];
        (MEAN_TELLS * sum + 20.0 * STARTING_SHARE * ENTRIES[entry].expected) / (MEAN_TELLS * weight + 20.0)
    };
    entries.iter().map(mean).collect()
}

/// Adam on the weighted square error through the bounded scale.
fn descend(points: &mut Points, calls: &[Vec<Row>], drawn_to: &[f64]) {
    let rows: Vec<&Row> =
        calls.iter().flatten().filter(|row| !row.reading.filler || row.from == From::Anchor).collect();
    let turns = rows.iter().filter(|row| row.from == From::Call).count() as f64;
    let (patterns, all) = (points.patterns.len(), points.patterns.len() + points.context.len());
    let expected: Vec<f64> = entries().iter().map(|&entry| ENTRIES[entry].expected).collect();
    let (mut mean, mut square) = (vec![0.0; all], vec![0.0; all]);
    for step in 1..=STEPS {
        let mut slope = vec![0.0; all];
        for row in &rows {
            let (raw, own, context) = points.raw(row);
            let fitted = bounded(raw);
            let room = if raw < 5.0 { 4.0 } else { 5.0 };
            let bend = 1.0 - ((fitted - 5.0) / room).powi(2);
            let pull = row.weight() * (fitted - row.sentiment) * bend / turns;
            if row.from == From::Sentence {
                points.aside -= 0.3 * pull;
            } else {
                context.iter().enumerate().for_each(|(at, x)| slope[patterns + at] += pull * x);
            }
            let angry = row.carry.max(0.0);
            let more = 1.0 + angry * if own < 0.0 { points.context[2] } else { points.context[3] };
            row.hits.iter().for_each(|&(pattern, weight)| slope[pattern] += pull * more * weight);
        }
        for at in 0..patterns {
            slope[at] += RIDGE / turns * (points.patterns[at] - drawn_to[at]);
        }
        for at in 0..all {
            mean[at] = 0.9 * mean[at] + 0.1 * slope[at];
            square[at] = 0.999 * square[at] + 0.001 * slope[at] * slope[at];
            let (mean, square) = (mean[at] / (1.0 - 0.9_f64.powi(step)), square[at] / (1.0 - 0.999_f64.powi(step)));
            let change = 0.03 * mean / (square.sqrt() + 1e-8);
            match at.checked_sub(patterns) {
                Some(context) => points.context[context] -= change,
                None => points.patterns[at] = keeping_sign(points.patterns[at] - change, expected[at]),
            }
        }
        // What says "it did not help" or says again what was said never pleases.
        points.context[4] = points.context[4].min(-0.1);
        points.context[5] = points.context[5].min(-0.3);
    }
}

fn keeping_sign(points: f64, expected: f64) -> f64 {
    match expected {
        e if e <= -1.0 => points.min(0.1 * e),
        e if e >= 1.0 => points.max(0.1 * e),
        _ => points,
    }
}

/// Solves the ridge regression of `y` on `x`, by elimination with pivoting.
fn least_squares(x: &[Vec<f64>], y: &[f64], ridge: f64) -> Vec<f64> {
    let n = x.first().map_or(0, Vec::len);
    let mut a = vec![vec![0.0; n + 1]; n];
    for (x, y) in x.iter().zip(y) {
        for i in 0..n {
            (0..n).for_each(|j| a[i][j] += x[i] * x[j]);
            a[i][n] += x[i] * y;
        }
    }
    (0..n).for_each(|i| a[i][i] += ridge);
    for i in 0..n {
        let pivot = (i..n).max_by(|&p, &q| a[p][i].abs().total_cmp(&a[q][i].abs())).unwrap_or(i);
        a.swap(i, pivot);
        let top = a[i].clone();
        for (j, row) in a.iter_mut().enumerate().filter(|(j, _)| *j != i) {
            let factor = row[i] / top[i];
            debug_assert!(j < n);
            row.iter_mut().zip(&top).for_each(|(cell, top)| *cell -= factor * top);
        }
    }
    (0..n).map(|i| a[i][n] / a[i][i]).collect()
}

fn sides(row: &Row) -> [f64; 3] {
    [1.0, (5.0 - row.fitted).max(0.0), (row.fitted - 5.0).max(0.0)]
}

fn fit_frustration(calls: &[Vec<Row>]) -> Vec<f64> {
    let rows: Vec<&Row> = calls.iter().flatten().filter(|row| row.from == From::Call).collect();
    let angry = |row: &Row| if row.reading.filler { 0.0 } else { row.carry.max(0.0) };
    let x: Vec<Vec<f64>> = rows.iter().map(|row| [&sides(row)[..], &[angry(row)]].concat()).collect();
    let y: Vec<f64> = rows.iter().map(|row| row.frustration).collect();
    least_squares(&x, &y, 0.1)
}

/// The weights of [`super::lexicon::URGENCY`], and the points of all patterns of urgency by pattern.
fn fit_urgency(calls: &[Vec<Row>], patterns: &mut [f64]) -> Vec<f64> {
    let rows: Vec<&Row> = calls.iter().flatten().filter(|row| row.from == From::Call).collect();
    let urgent: Vec<usize> = (0..patterns.len()).filter(|&at| is_urgency(at)).collect();
    let entries = entries();
    let expected: Vec<f64> = urgent.iter().map(|&at| 0.5 * ENTRIES[entries[at]].expected).collect();
    let cues = |row: &Row| -> Vec<f64> {
        urgent.iter().map(|at| row.urgent.iter().find(|(p, _)| p == at).map_or(0.0, |(_, weight)| *weight)).collect()
    };
    let x: Vec<Vec<f64>> = rows.iter().map(|row| [&sides(row)[..], &cues(row)].concat()).collect();
    // Fitted as the difference from what is expected, so that the ridge draws there.
    let base = |x: &[f64]| -> f64 { x[3..].iter().zip(&expected).map(|(x, e)| x * e).sum() };
    let y: Vec<f64> = rows.iter().zip(&x).map(|(row, x)| row.urgency - base(x)).collect();
    let solved = least_squares(&x, &y, 5.0);
    for ((&at, more), expected) in urgent.iter().zip(&solved[3..]).zip(&expected) {
        patterns[at] = (expected + more).max(0.02);
    }
    solved[..3].to_vec()
}

fn is_urgency(pattern: usize) -> bool {
    ENTRIES[entries()[pattern]].kind == super::CueKind::Urgency
}

/// How often the rating lay within one point, by our sentiment of 1 to 10, smoothed with the overall share.
fn fit_confidence(calls: &[Vec<Row>]) -> Vec<f64> {
    let rows: Vec<&Row> = calls.iter().flatten().filter(|row| row.from == From::Call && !row.reading.filler).collect();
    let within = |row: &&&Row| (row.fitted - row.sentiment).abs() <= 1.0;
    let overall = rows.iter().filter(within).count() as f64 / rows.len().max(1) as f64;
    let share = |nearest: usize| {
        let like: Vec<&&Row> = rows.iter().filter(|row| row.fitted.round() as usize == nearest).collect();
        let good = like.iter().filter(|row| within(row)).count() as f64;
        (good + 10.0 * overall) / (like.len() as f64 + 10.0)
    };
    (1..=10).map(share).collect()
}

fn read_calls(text: &str) -> Vec<Vec<Row>> {
    let mut calls = Vec::new();
    for line in text.lines() {
        let call: Value = serde_json::from_str(line).unwrap_or_default();
        let mut rows: Vec<Row> = Vec::new();
        let mut asked: Option<String> = None;
        for turn in call["turns"].as_array().map(Vec::as_slice).unwrap_or_default() {
            let text = turn["text"].as_str().unwrap_or_default();
            if turn["role"] == "caller" {
                let said: Vec<&Reading> = rows.iter().map(|row| &row.reading).filter(|said| !said.filler).collect();
                let reading = Reading::of(text, asked.take().as_deref(), &said);
                rows.push(Row::new(From::Call, reading, turn));
            } else {
                asked = Some(text.to_owned());
            }
        }
        calls.push(rows);
    }
    calls
}

fn read_sentences(text: &str) -> Vec<Vec<Row>> {
    let rows = text.lines().map(|line| {
        let rated: Value = serde_json::from_str(line).unwrap_or_default();
        let reading = Reading::of(rated["text"].as_str().unwrap_or_default(), None, &[]);
        vec![Row::new(From::Sentence, reading, &rated)]
    });
    rows.collect()
}

fn read_anchors() -> Vec<Vec<Row>> {
    let row = |&(sentiment, text): &(f64, &str)| {
        let rated = serde_json::json!({ "sentiment": sentiment });
        vec![Row::new(From::Anchor, Reading::of(text, None, &[]), &rated)]
    };
    ANCHORS.iter().map(row).collect()
}

/// Puts fitted numbers into the source of the table.
fn rewrite(source: &str, points: &Points, lists: &[(&str, Vec<f64>)]) -> String {
    let mut out = source.to_owned();
    let mut from = 0;
    for (at, (_, pattern)) in ENTRIES.iter().flat_map(|entry| entry.patterns).enumerate() {
        let after = format!(", \"{pattern}\")");
        let Some(end) = out[from..].find(&after).map(|found| from + found) else { continue };
        let Some(start) = out[..end].rfind('(').map(|open| open + 1) else { continue };
        out.replace_range(start..end, &format!("{:.2}", points.patterns[at]));
        from = start;
    }
    for (row, weight) in CONTEXT.iter().zip(&points.context) {
        out = replace_after(&out, &format!("context(\"{}\", ", row.name), ')', &format!("{weight:.2}"));
    }
    for (list, values) in lists {
        let values: Vec<String> = values.iter().map(|value| format!("{value:.3}")).collect();
        out = replace_after(&out, &format!("{list}: [f64; {}] = [", values.len()), ']', &values.join(", "));
    }
    out
}

fn replace_after(source: &str, before: &str, close: char, value: &str) -> String {
    let Some((head, tail)) = source.split_once(before) else { return source.to_owned() };
    let Some((_, rest)) = tail.split_once(close) else { return source.to_owned() };
    format!("{head}{before}{value}{close}{rest}")
}

/// The whole run: reads, fits, and gives the new source of the table.
pub(super) fn refit(calls: &str, sentences: &str, source: &str) -> String {
    let mut rows = read_calls(calls);
    rows.extend(read_sentences(sentences));
    rows.extend(read_anchors());
    let mut points = fit(&mut rows);
    let frustration = fit_frustration(&rows);
    let urgency = fit_urgency(&rows, &mut points.patterns);
    let confidence = fit_confidence(&rows);
    let lists = [("FRUSTRATION", frustration), ("URGENCY", urgency), ("CONFIDENCE", confidence)];
    rewrite(source, &points, &lists)
}

#[test]
#[ignore = "needs rated calls, and rewrites lexicon.rs; see the module"]
fn the_points_are_fitted_anew() {
    let read = |key: &str| std::env::var(key).ok().and_then(|path| std::fs::read_to_string(path).ok());
    let calls = read("SENTIMENT_CALLS").unwrap_or_default();
    assert!(!calls.is_empty(), "SENTIMENT_CALLS must name a file of rated calls");
    let sentences = read("SENTIMENT_SENTENCES").unwrap_or_default();
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sentiment/lexicon.rs");
    let source = std::fs::read_to_string(path).unwrap_or_default();
    let fitted = refit(&calls, &sentences, &source);
    assert!(fitted.len() > source.len() / 2, "the table must not get lost");
    assert!(std::fs::write(path, fitted).is_ok(), "the table must be writable");
}
