//! What one turn says by itself, and how the call around it bears on that.

use std::collections::HashSet;
use std::ops::Range;

use super::CueKind;
use super::asks::for_a_human;
use super::cues::{self, Hit};
use super::filler::is_filler;
use super::hidden::Told;
use super::lexicon::CONTEXT;
use super::text::Words;

/// How much less each rated turn further back weighs in the carry.
const FADING: f64 = 0.6;
/// How many rated turns back the carry reaches.
const REACH: usize = 4;
/// Doubt that keeps the carry of one or two turns small.
const DOUBT: f64 = 0.5;
/// Points expected of a cue from which a turn is felt, and so never filler.
const FELT: Range<f64> = -0.95..1.25;
/// A shared run of this many words is saying it again.
const AGAIN: usize = 3;
/// Turns of at most so many words are curt.
const CURT: usize = 4;
/// How far the fitted points, which shy away from the ends of the scale, are stretched below neutral.
const STRETCH: f64 = 1.15;

/// One caller turn, read by itself and against what the caller said before.
#[derive(Debug, Clone)]
pub(super) struct Reading {
    /// The turn's words.
    pub(super) words: Words,
    /// The cues in it.
    pub(super) hits: Vec<Hit>,
    /// Where it asks for a human, in tokens.
    pub(super) asks: Option<Range<usize>>,
    /// It says something against us, however short: no filler, whatever else judges it.
    pub(super) hostile: bool,
    /// It only answers, confirms, spells or backchannels.
    pub(super) filler: bool,
    /// Where it repeats an earlier turn of the caller, in tokens.
    pub(super) again: Option<Range<usize>>,
    /// It says no to whether something helped.
    pub(super) unhelped: bool,
}

impl Reading {
    /// Reads a turn. `asked` are the agent's last words, `said` the earlier readings of this caller.
    pub(super) fn of(text: &str, asked: Option<&str>, said: &[&Self]) -> Self {
        let words = Words::told(text, Told::after(asked));
        let hits = cues::find(&words);
        let asked = asked.map(Words::of);
        let expected = |hit: &Hit| hit.entry().expected * hit.weight;
        let felt = hits.iter().any(|hit| !FELT.contains(&expected(hit)));
        let asks = for_a_human(&words, asked.as_ref());
        let unhelped = asked.as_ref().is_some_and(asks_whether_it_helped) && says_no(&words);
        let hostile = unhelped || asks.is_some() || hits.iter().any(|hit| expected(hit) < FELT.start);
        let filler = !felt && !hostile && is_filler(&words, asked.as_ref());
        let again = if filler { None } else { said_again(&words, said) };
        Self { words, hits, asks, hostile, filler, again, unhelped }
    }

    /// The points of the turn's own cues of sentiment.
    pub(super) fn points(&self) -> f64 {
        self.felt_hits().map(Hit::effect).sum()
    }

    /// The cues that move sentiment.
    pub(super) fn felt_hits(&self) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(|hit| hit.entry().kind != CueKind::Urgency)
    }

    /// The cues that move urgency.
    pub(super) fn urgent_hits(&self) -> impl Iterator<Item = &Hit> {
        self.hits.iter().filter(|hit| hit.entry().kind == CueKind::Urgency)
    }

    /// What each row of [`CONTEXT`] multiplies, for a turn with these points after this carry.
    pub(super) fn context(&self, carry: f64, points: f64) -> [f64; CONTEXT.len()] {
        let flag = |yes: bool| f64::from(u8::from(yes));
        let angry = carry.max(0.0);
        // At most 400 words are looked at.
        let length = ((1.0 + self.words.tokens.len() as f64).ln() - 2.3).clamp(-2.0, 2.0);
        [
            1.0,
            carry,
            angry * points.min(0.0),
            angry * points.max(0.0),
            flag(self.again.is_some()),
            flag(self.unhelped),
            length,
            carry * flag(self.words.tokens.len() <= CURT),
            angry * length,
        ]
    }

    /// The sentiment after this carry, from 1 to 10; filler is neutral.
    pub(super) fn sentiment(&self, carry: f64) -> f64 {
        if self.filler {
            return 5.0;
        }
        let points = self.points();
        let around: f64 = self.context(carry, points).iter().zip(&CONTEXT).map(|(x, row)| x * row.weight).sum();
        stretch(bounded(points + around))
    }
}

/// Bends any number into 1 to 10, gently at the ends.
pub(super) fn bounded(raw: f64) -> f64 {
    let room = if raw < 5.0 { 4.0 } else { 5.0 };
    5.0 + room * ((raw - 5.0) / room).tanh()
}

/// Uses the whole scale below neutral.
pub(super) fn stretch(sentiment: f64) -> f64 {
    if sentiment < 5.0 { (5.0 - (5.0 - sentiment) * STRETCH).max(1.0) } else { sentiment }
}

/// How far below neutral the last rated turns that say something were, newest first: positive in an angry call.
pub(super) fn carry(newest_first: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut total, mut weight) = (0.0, DOUBT, 1.0);
    for sentiment in newest_first.take(REACH) {
        sum += weight * (5.0 - sentiment);
        total += weight;
        weight *= FADING;
    }
    sum / total
}

fn said_again(words: &Words, said: &[&Reading]) -> Option<Range<usize>> {
    let earlier: Vec<Vec<&str>> = said.iter().map(|reading| reading.words.iter().collect()).collect();
    let runs: HashSet<&[&str]> = earlier.iter().flat_map(|words| words.windows(AGAIN)).collect();
    let now: Vec<&str> = words.iter().collect();
    let first = now.windows(AGAIN).position(|run| runs.contains(run))?;
    let more = now[first + 1..].windows(AGAIN).take_while(|run| runs.contains(run)).count();
    Some(first..first + AGAIN + more)
}

fn asks_whether_it_helped(asked: &Words) -> bool {
    asked.has_any(&["did", "does", "has", "is"])
        && asked.has_any(&[
            "helped", "help", "work", "worked", "working", "resolved", "resolve", "solved", "fixed", "sorted",
        ])
        && !asked.has_any(&["else", "can", "may"])
}

fn says_no(words: &Words) -> bool {
    let first = words.tokens.first().map(|token| token.word.as_str());
    first.is_some_and(|word| ["no", "not", "never", "didnt", "doesnt", "hasnt", "isnt"].contains(&word))
}
