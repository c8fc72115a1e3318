//! Judging how a caller feels: the [`Rating`] of one turn, and the [`Rater`] that makes it.
//!
//! A rating is made of one caller turn *in the context of the call*: its earlier turns and the agent's last
//! words ([`TurnInContext`]). Scores follow the rubric in `src/sentiment/RUBRIC.md`.

mod asks;
pub mod blend;
#[cfg(test)]
mod cases;
pub mod cassette;
mod cues;
pub mod describe;
pub mod embedded;
mod filler;
#[cfg(test)]
mod fit;
mod hidden;
pub mod lexical;
mod lexicon;
pub(crate) mod likeness;
mod list;
pub mod llm;
mod mask;
pub(crate) mod masked;
pub mod model;
mod numbers;
mod pattern;
pub mod raters;
mod reading;
pub(crate) mod sounds;
pub(crate) mod spelled;
mod text;
mod trouble;

use std::fmt;
use std::future::Future;
use std::pin::Pin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use embedded::embedded;

/// A number that does not fit the range of what it was meant to be.
#[derive(Debug, Clone, Copy, PartialEq, thiserror::Error)]
#[error("{what} is {value}, but it must be a number from {min} to {max}")]
pub struct OutOfRange {
    /// What the number was meant to be, e.g. `sentiment`.
    pub what: &'static str,
    /// The number.
    pub value: f64,
    /// Smallest allowed value.
    pub min: f64,
    /// Largest allowed value.
    pub max: f64,
}

fn in_range(what: &'static str, value: f64, min: f64, max: f64) -> Result<f64, OutOfRange> {
    if (min..=max).contains(&value) { Ok(value) } else { Err(OutOfRange { what, value, min, max }) }
}

/// Sentiment from 1.0 (extremely negative) to 10.0 (delighted), with one decimal; 5.0 is neutral.
///
/// Kept in tenths, so that comparison with a threshold is exact.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "f64", into = "f64")]
#[schemars(with = "f64")]
pub struct Sentiment(u8);

impl Sentiment {
    /// Rounds `value` to one decimal.
    ///
    /// # Errors
    /// [`OutOfRange`] unless `value` is from 1 to 10.
    pub fn new(value: f64) -> Result<Self, OutOfRange> {
        in_range("sentiment", value, 1.0, 10.0).map(Self::clamped)
    }

    /// The nearest sentiment to any number; what is not a number is neutral.
    #[must_use]
    pub fn clamped(value: f64) -> Self {
        let value = if value.is_nan() { 5.0 } else { value.clamp(1.0, 10.0) };
        // In 10..=100 after the clamp, so the cast is exact.
        Self((value * 10.0).round() as u8)
    }

    /// The sentiment as a number from 1.0 to 10.0.
    #[must_use]
    pub fn value(self) -> f64 {
        f64::from(self.0) / 10.0
    }

    /// The whole number promised to webhooks and tools (`sentiment_score`): the floor, which is below an integer
    /// threshold exactly when the sentiment is.
    #[must_use]
    pub fn score(self) -> u8 {
        self.0 / 10
    }

    /// Strictly below `threshold` (a whole number from 1 to 10): 3.0 is not below 3.
    #[must_use]
    pub fn is_below(self, threshold: u8) -> bool {
        self.0 < threshold.saturating_mul(10)
    }
}

impl TryFrom<f64> for Sentiment {
    type Error = OutOfRange;
    fn try_from(value: f64) -> Result<Self, OutOfRange> {
        Self::new(value)
    }
}

impl From<Sentiment> for f64 {
    fn from(sentiment: Sentiment) -> f64 {
        sentiment.value()
    }
}

impl fmt::Debug for Sentiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Sentiment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:.1}", self.value())
    }
}

/// Defines a real number in a closed range, kept to three decimals so that it prints the same everywhere.
macro_rules! bounded {
    ($(#[$doc:meta])* $name:ident, $what:literal, $min:literal, $max:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, Default, PartialEq, PartialOrd, Serialize, Deserialize, JsonSchema)]
        #[serde(try_from = "f64", into = "f64")]
        #[schemars(with = "f64")]
        pub struct $name(f64);

        impl $name {
            /// Rounds `value` to three decimals.
            ///
            /// # Errors
            /// [`OutOfRange`] when `value` lies outside the range or is not a number.
            pub fn new(value: f64) -> Result<Self, OutOfRange> {
                in_range($what, value, $min, $max).map(Self::clamped)
            }

            /// The nearest allowed value to any number; what is not a number is 0.
            #[must_use]
            pub fn clamped(value: f64) -> Self {
                let value = if value.is_nan() { 0.0 } else { value.clamp($min, $max) };
                // Adding zero turns -0.0 into 0.0, which would print differently.
                Self((value * 1000.0).round() / 1000.0 + 0.0)
            }

            /// The plain number.
            #[must_use]
            pub fn value(self) -> f64 {
                self.0
            }
        }

        impl TryFrom<f64> for $name {
            type Error = OutOfRange;
            fn try_from(value: f64) -> Result<Self, OutOfRange> {
                Self::new(value)
            }
        }

        impl From<$name> for f64 {
            fn from(value: $name) -> f64 {
                value.0
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}", self.0)
            }
        }
    };
}

bounded! {
    /// The seed's score: -1.0 (extremely negative) to 1.0 (extremely positive).
    Valence, "valence", -1.0, 1.0
}
bounded! {
    /// An intensity from 0.0 (none) to 1.0 (extreme): frustration, urgency, confidence.
    Unit, "intensity", 0.0, 1.0
}

impl Valence {
    /// The seed's score of a sentiment: 5 is 0, and both halves of the scale are used.
    #[must_use]
    pub fn of(sentiment: Sentiment) -> Self {
        let from_neutral = sentiment.value() - 5.0;
        Self::clamped(from_neutral / if from_neutral < 0.0 { 4.0 } else { 5.0 })
    }
}

/// The seed's three labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Label {
    /// Displeased with how they are being served.
    Negative,
    /// Matter-of-fact.
    Neutral,
    /// Pleased.
    Positive,
}

impl Label {
    /// The label that a sentiment has: below 4.0 negative, above 6.0 positive (the rubric's 4 to 6 is everyday calm).
    #[must_use]
    pub fn of(sentiment: Sentiment) -> Self {
        match sentiment.value() {
            s if s < 4.0 => Self::Negative,
            s if s > 6.0 => Self::Positive,
            _ => Self::Neutral,
        }
    }

    /// The label's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Negative => "negative",
            Self::Neutral => "neutral",
            Self::Positive => "positive",
        }
    }
}

/// What kind of words moved a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CueKind {
    /// A word or phrase that carries feeling.
    Word,
    /// A negation that turned a word around.
    Negation,
    /// A word that made another stronger or weaker.
    Intensity,
    /// A "but" after which the other side counts more.
    Contrast,
    /// The caller says again what was said before, or counts the times.
    Repetition,
    /// The caller asks for a human.
    HumanRequest,
    /// Blame or accusation.
    Blame,
    /// A threat to leave, sue, report or post.
    Threat,
    /// Abuse or swearing at the other side.
    Abuse,
    /// Praise that mocks.
    Sarcasm,
    /// Time pressure.
    Urgency,
    /// Thanks, relief or praise.
    Praise,
    /// Weight that earlier turns of the call put on this one.
    Context,
}

/// Words that moved a score, so that a supervisor sees why.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Cue {
    /// The words, as the caller said them.
    pub text: String,
    /// What kind of words they are.
    pub kind: CueKind,
    /// How many points of sentiment they moved the rating; negative is worse.
    pub effect: f64,
    /// Whether an earlier turn said them, and their weight was carried into this one.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub carried: bool,
}

impl Cue {
    /// Words of the turn itself.
    #[must_use]
    pub fn own(text: String, kind: CueKind, effect: f64) -> Self {
        Self { text, kind, effect, carried: false }
    }
}

/// Who made a rating.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RatingSource {
    /// The model inside the program.
    #[default]
    Embedded,
    /// A large language model.
    Llm,
    /// Both, by the blending rule.
    Blend,
}

impl RatingSource {
    /// Whether no LLM had a part in it.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        *self == Self::Embedded
    }
}

/// A turn's sentiment, with what it consists of.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Rating {
    /// 1 to 10, in the context of the call.
    pub sentiment: Sentiment,
    /// -1 to 1.
    pub valence: Valence,
    /// 0 (calm) to 1 (extremely frustrated).
    pub frustration: Unit,
    /// 0 (no rush) to 1 (needs action this minute).
    pub urgency: Unit,
    /// The seed's label for the sentiment.
    pub label: Label,
    /// 0 (a guess) to 1 (certain).
    pub confidence: Unit,
    /// A bare backchannel or data answer that carries no feeling.
    pub filler: bool,
    /// The caller asks for a human, be it in one word.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub asks_human: bool,
    /// The words that moved the score: the turn's own first, strongest first, then what earlier turns carried into it.
    pub cues: Vec<Cue>,
    /// Who made the rating.
    #[serde(default)]
    pub source: RatingSource,
    /// One sentence on what upset the caller, where the rater can say so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// The embedded rater's own sentiment, where this is a blend.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub embedded: Option<Sentiment>,
}

impl Rating {
    /// What the embedded rater thought, which is all that the context of later turns tells of this one: no answer of an
    /// LLM moves any turn but its own.
    #[must_use]
    pub fn by_embedded(&self) -> Option<Sentiment> {
        match self.source {
            RatingSource::Embedded => Some(self.sentiment),
            RatingSource::Blend => self.embedded,
            RatingSource::Llm => None,
        }
    }
}

/// Who said a turn of the context.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Speaker {
    /// The caller, whose turns are rated.
    Caller,
    /// Whoever serves the caller.
    Agent,
}

/// An earlier turn of the call.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ContextTurn {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said.
    pub text: String,
    /// How the embedded rater rated a caller turn, where it did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sentiment: Option<Sentiment>,
}

/// One caller turn and what went before it: all that a rater may look at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TurnInContext {
    /// The turn to rate.
    pub text: String,
    /// BCP 47 language tag from the recogniser, where it gave one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lang: Option<String>,
    /// Earlier turns, oldest first, at most [`TurnInContext::MAX_EARLIER`].
    pub earlier: Vec<ContextTurn>,
}

impl TurnInContext {
    /// How many earlier turns a rater gets to see.
    pub const MAX_EARLIER: usize = 12;

    /// A turn with nothing before it.
    #[must_use]
    pub fn alone(text: impl Into<String>) -> Self {
        Self { text: text.into(), lang: None, earlier: Vec::new() }
    }
}

/// Why a turn could not be rated. An unrated turn neither counts nor resets a streak.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema, thiserror::Error)]
#[serde(rename_all = "snake_case", tag = "reason")]
pub enum RateError {
    /// The rater did not answer in time.
    #[error("the rater gave no answer within {deadline_ms} ms")]
    Deadline {
        /// The deadline in milliseconds.
        deadline_ms: u64,
    },
    /// The turn is in a language that the rater does not know.
    #[error("the turn is in a language that the rater does not know: {lang}")]
    Language {
        /// BCP 47 or ISO 639 code of the language.
        lang: String,
    },
    /// The recogniser heard somebody speak and could not make out a word.
    #[error("the recogniser could not make out the words")]
    Unheard,
    /// The rater failed.
    #[error("the rater failed: {detail}")]
    Failed {
        /// What went wrong, without the caller's words.
        detail: String,
    },
}

/// What [`Rater::rate`] returns.
pub type RateFuture<'a> = Pin<Box<dyn Future<Output = Result<Rating, RateError>> + Send + 'a>>;

/// What produces ratings: the embedded model, an LLM, or both.
///
/// Raters are pure in what they see: the same turn in the same context gets the same rating. Deadlines are kept by
/// the caller of `rate`, which drops the future.
pub trait Rater: Send + Sync {
    /// Rates one caller turn in the context of the call.
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a>;

    /// The same, with what else may be known of the turn in a while. Raters that think once have nothing to add.
    fn opinions<'a>(&'a self, turn: &'a TurnInContext) -> OpinionsFuture<'a> {
        let rating = self.rate(turn);
        Box::pin(async move { Opinions::only(rating.await) })
    }
}

/// What a rater makes of a turn: a rating now, and maybe a better one later.
pub struct Opinions<'a> {
    /// What [`Rater::rate`] returns.
    pub first: Result<Rating, RateError>,
    /// Comes to a rating that takes the first one's place, or to an error, which leaves it where it is. It may take as
    /// long as it likes; whoever has no use for it drops it.
    pub later: Option<RateFuture<'a>>,
}

impl Opinions<'_> {
    /// All that there is to say.
    #[must_use]
    pub fn only(first: Result<Rating, RateError>) -> Self {
        Self { first, later: None }
    }
}

/// What [`Rater::opinions`] returns.
pub type OpinionsFuture<'a> = Pin<Box<dyn Future<Output = Opinions<'a>> + Send + 'a>>;
