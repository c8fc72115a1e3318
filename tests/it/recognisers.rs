//! How much a rating may move when a recogniser writes the same words otherwise: over calls that the rater was not
//! trained on, each turn in its context, all of a caller's turns written in the same odd way.

use std::sync::LazyLock;

use sentiment_sidecar::sentiment::embedded::EmbeddedRater;
use sentiment_sidecar::sentiment::{ContextTurn, Rating, Speaker, TurnInContext};

const CALLS: [&str; 2] = [
    include_str!("../../src/sentiment/model/recipe/calls/held-out-1.txt"),
    include_str!("../../src/sentiment/model/recipe/calls/held-out-2.txt"),
];

/// Words that sound alike, as recognisers take them for one another.
const HOMOPHONES: [(&str, &str); 28] = [
    ("your", "you're"),
    ("you're", "your"),
    ("their", "there"),
    ("they're", "their"),
    ("there", "their"),
    ("it's", "its"),
    ("its", "it's"),
    ("too", "to"),
    ("to", "two"),
    ("for", "four"),
    ("know", "no"),
    ("hear", "here"),
    ("right", "write"),
    ("wait", "weight"),
    ("waiting", "weighting"),
    ("week", "weak"),
    ("whole", "hole"),
    ("waste", "waist"),
    ("been", "bin"),
    ("by", "buy"),
    ("bye", "by"),
    ("mail", "male"),
    ("would've", "would of"),
    ("should've", "should of"),
    ("won", "one"),
    ("piece", "peace"),
    ("break", "brake"),
    ("passed", "past"),
];

/// One call in so many, to keep the test short.
const ONE_IN: usize = 4;

type Call = Vec<(Speaker, &'static str)>;

/// Calls, and their ratings as they are written there.
static PLAIN: LazyLock<Vec<(Call, Vec<Option<Rating>>)>> =
    LazyLock::new(|| calls().map(|call| (call.clone(), ratings(&call, str::to_owned))).collect());

/// The speakers' lines, without the labels.
fn calls() -> impl Iterator<Item = Call> {
    CALLS.iter().flat_map(|file| file.split("\n# ")).step_by(ONE_IN).map(|call| {
        let line = |line: &'static str| match line.split_once(' ')? {
            ("A", text) => Some((Speaker::Agent, text)),
            ("C", labelled) => Some((Speaker::Caller, labelled.splitn(5, ' ').nth(4)?)),
            _ => None,
        };
        call.lines().filter_map(line).collect()
    })
}

/// The ratings of a call's caller turns, each line of theirs rewritten.
fn ratings(call: &[(Speaker, &str)], mut rewrite: impl FnMut(&str) -> String) -> Vec<Option<Rating>> {
    let mut turn = TurnInContext { text: String::new(), lang: None, earlier: Vec::new() };
    let mut ratings = Vec::new();
    for (speaker, text) in call {
        let mut said = ContextTurn { speaker: *speaker, text: (*text).to_owned(), sentiment: None };
        if *speaker == Speaker::Caller {
            said.text = rewrite(text);
            turn.text.clone_from(&said.text);
            let rating = EmbeddedRater.rate_now(&turn).ok();
            said.sentiment = rating.as_ref().map(|rating| rating.sentiment);
            ratings.push(rating);
        }
        turn.earlier.push(said);
    }
    ratings
}

fn words(text: &str, of: impl FnMut(&str) -> String) -> String {
    text.split_whitespace().map(of).collect::<Vec<_>>().join(" ")
}

/// The word without what a recogniser may leave out around it.
fn bare(word: &str) -> String {
    word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase()
}

/// By how many points the ratings moved, and which share of them came to lie on the other side of the threshold.
#[derive(Debug)]
struct Moved {
    mean: f64,
    /// One turn in a hundred moved further.
    hundredth: f64,
    crossed: f64,
}

fn moved(mut rewrite: impl FnMut(&str) -> String) -> Moved {
    let (mut moves, mut crossed) = (Vec::new(), 0);
    for (call, plain) in PLAIN.iter() {
        for pair in plain.iter().zip(ratings(call, &mut rewrite)) {
            let (Some(plain), Some(other)) = pair else { continue };
            moves.push((plain.sentiment.value() - other.sentiment.value()).abs());
            crossed += usize::from(plain.sentiment.is_below(3) != other.sentiment.is_below(3));
        }
    }
    moves.sort_by(f64::total_cmp);
    let count = moves.len();
    assert!(count > 1_200 / ONE_IN, "only {count} turns were rated both ways");
    Moved {
        mean: moves.iter().sum::<f64>() / count as f64,
        hundredth: moves[count - 1 - count / 100],
        crossed: crossed as f64 / count as f64,
    }
}

#[track_caller]
fn at_most(moved: &Moved, mean: f64, hundredth: f64, crossed: f64) {
    let within = moved.mean <= mean && moved.hundredth <= hundredth && moved.crossed <= crossed;
    assert!(within, "{moved:?}, but at most {mean}, {hundredth} and {crossed} are allowed");
}

#[test]
fn capitals_marks_and_hesitations_move_no_rating() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut um = |word: String| if random.u8(..) < 50 { format!("uh, {word}") } else { word };
    at_most(&moved(|text| words(text, |word| um(bare(word).replace('\'', "")))), 0.0, 0.0, 0.0);
    at_most(&moved(|text| words(text, |word| um(word.to_uppercase()))), 0.0, 0.0, 0.0);
}

#[test]
fn false_starts_and_words_said_twice_hardly_move_a_rating() {
    let mut random = fastrand::Rng::with_seed(6);
    let start = |text: &str| {
        words(text, |word| match word.char_indices().nth(2) {
            Some((end, _)) if random.u8(..) < 50 => format!("{}- {word}", &word[..end]),
            _ => word.to_owned(),
        })
    };
    at_most(&moved(start), 0.1, 1.0, 0.015);
    let mut random = fastrand::Rng::with_seed(7);
    let mut twice = |word: &str| if random.u8(..) < 50 { format!("{word} {word}") } else { word.to_owned() };
    at_most(&moved(|text| words(text, |word| twice(word))), 0.03, 0.5, 0.01);
}

#[test]
fn words_that_sound_alike_move_a_rating_by_a_tenth_on_average() {
    let alike = |word: &str| {
        let plain = bare(word);
        let other = HOMOPHONES.iter().find(|(said, _)| *said == plain);
        other.map_or_else(|| word.to_owned(), |(_, heard)| (*heard).to_owned())
    };
    at_most(&moved(|text| words(text, |word| alike(word))), 0.12, 1.0, 0.04);
}
