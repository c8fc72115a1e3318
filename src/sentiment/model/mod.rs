//! The embedded statistical rater: a small transformer, and beside it linear scores over hashed n-grams, joined by small
//! trees. They err in different places, so that their mean is better than either.
//!
//! Both see the turn and the agent's last words, and nothing else of the call: what was said before explains a line and
//! does not repaint it. The ratings of earlier turns then move the rating of the words, within bounds.
//!
//! Everything that was trained lies in `encoder.bin` and `weights.bin`, parts of the program: their pages are shared by
//! all processes that run it. `MODEL_CARD.md` says what it was trained on, how good it is and where it fails; `recipe/`
//! trains it again.
//!
//! 1. `words` brings a turn's words into one form for all recognisers.
//! 2. `features` hashes n-grams of the turn and of the agent's last words; two linear stages score them (`weights`): one on
//!    the turn alone, one with what the agent said.
//! 3. `shape` adds the turn's shape, and trees give the scores.
//! 4. `encoder` reads the same words as the transformer does.
//! 5. `joint` makes one rating of both views.
//! 6. `history` says how far the ratings so far may move it.

mod encoder;
mod features;
mod history;
mod joint;
mod language;
mod rater;
mod shape;
mod weights;
mod words;

use std::ops::Range;
use std::sync::LazyLock;

use super::{Sentiment, Speaker, TurnInContext};
use encoder::Encoder;
use features::{Feature, View};
pub use history::most as most_by_history;
pub(in crate::sentiment) use language::Language;
pub use rater::ModelRater;
pub(in crate::sentiment) use rater::{FILLER, rating};
pub use weights::WeightsError;
use weights::{HEADS, OUTPUTS, Weights};
use words::Word;

static WEIGHTS: &[u8] = include_bytes!("weights.bin");
static ENCODER: &[u8] = &Aligned(*include_bytes!("encoder.bin")).0;

/// Begins where a line of the processor's cache does, as the encoder's matrices do within its file.
#[repr(C, align(64))]
struct Aligned<T>(T);

#[expect(clippy::expect_used, reason = "the weights are part of the program, and a test reads them")]
static EMBEDDED: LazyLock<Model> =
    LazyLock::new(|| Model::read(WEIGHTS, ENCODER).expect("the weights in the program fit the program"));

/// How the model sees a turn.
#[derive(Debug, Clone, PartialEq)]
pub struct Scores {
    /// Sentiment by the words as the transformer sees them, 1 to 10.
    pub transformer: f32,
    /// Sentiment by the words as the linear stages and the trees see them, 1 to 10.
    pub trees: f32,
    /// Sentiment by the words as both see them, 1 to 10.
    pub words: f32,
    /// How many points the ratings of earlier turns move it, within [`most_by_history`].
    pub history: f32,
    /// 0 to 1.
    pub frustration: f32,
    /// 0 to 1.
    pub urgency: f32,
    /// How likely the turn carries no feeling (0 to 1).
    pub filler_probability: f32,
    /// How likely a careful reader's rating is at most one point away (0 to 1).
    pub confidence: f32,
    /// The words that moved the linear score most, strongest first.
    pub contributions: Vec<Contribution>,
}

/// Some words of the turn, and how they moved its score.
#[derive(Debug, Clone, PartialEq)]
pub struct Contribution {
    /// Where the words stand in the turn's text, in bytes.
    pub at: Range<usize>,
    /// How many points of sentiment they moved the score in context; negative is worse.
    pub effect: f32,
}

/// The trained rater.
pub struct Model {
    weights: Weights,
    encoder: Encoder,
}

impl Scores {
    /// Sentiment by the words and by what went before, 1 to 10.
    #[must_use]
    pub fn sentiment(&self) -> f32 {
        joint::sentiment(self.words, self.history)
    }
}

impl Model {
    /// The model inside the program.
    #[must_use]
    pub fn embedded() -> &'static Self {
        &EMBEDDED
    }

    /// A model from the bytes of a weights file and of an encoder file.
    ///
    /// # Errors
    /// [`WeightsError`] when a file was made for another version or is damaged.
    pub fn read(weights: &'static [u8], encoder: &'static [u8]) -> Result<Self, WeightsError> {
        Ok(Self { weights: Weights::read(weights)?, encoder: Encoder::read(encoder)? })
    }

    /// How the model sees a turn. Linear in the text's length, and at most the last 4,000 characters are read.
    #[must_use]
    pub fn score(&self, turn: &TurnInContext) -> Scores {
        self.score_view(&View::of(turn), turn)
    }

    fn score_view(&self, view: &View, turn: &TurnInContext) -> Scores {
        let ([words, letters], asked) = (view.own(), view.asked());
        let own = self.weights.own.score(&[&words, &letters]);
        let context = self.weights.context.score(&[&words, &letters, &asked]);
        let [trees, frustration, urgency, filler, confidence] = self.outputs(view, &own, &context);
        let heads = self.encoder.score(view);
        let transformer = (5.0 + 2.0 * heads[0]).clamp(1.0, 10.0);
        let trees = trees.clamp(1.0, 10.0);
        let by_words = joint::words(transformer, trees);
        let filler_probability = f32::midpoint(joint::probability(heads[6]), filler).clamp(0.0, 1.0);
        Scores {
            transformer,
            trees,
            words: by_words,
            history: self.history(view, by_words, &context, turn),
            frustration: joint::frustration(joint::probability(heads[4]), frustration),
            urgency: joint::urgency(joint::probability(heads[5]), urgency),
            filler_probability,
            confidence: joint::confidence(confidence, (transformer - trees).abs(), by_words, filler_probability),
            contributions: self.contributions(&view.words, &[&words, &letters]),
        }
    }

    fn outputs(&self, view: &View, own: &[f32; HEADS], context: &[f32; HEADS]) -> [f32; OUTPUTS] {
        let inputs = shape::shape(view, own, context);
        self.weights.forests.each_ref().map(|forest| forest.score(&inputs))
    }

    /// By how many points the ratings so far move a rating of the words; not at all where there are none.
    fn history(&self, view: &View, words: f32, context: &[f32; HEADS], turn: &TurnInContext) -> f32 {
        let from = turn.earlier.len().saturating_sub(TurnInContext::MAX_EARLIER);
        let callers = turn.earlier[from..].iter().filter(|before| before.speaker == Speaker::Caller);
        let ratings: Vec<f32> =
            callers.filter_map(|before| before.sentiment).map(Sentiment::value).map(|value| value as f32).collect();
        if ratings.is_empty() {
            return 0.0;
        }
        history::bounded(words, self.weights.history.score(&history::past(view, words, context, &ratings)))
    }

    /// An n-gram's effect is shared by its words; neighbours that pull the same way, and enough, form one contribution.
    fn contributions(&self, words: &[Word], spaces: &[&[Feature]]) -> Vec<Contribution> {
        /// Words that move the score by less tell nothing.
        const LEAST: f32 = 0.08;
        let mut effects = vec![0.0f32; words.len()];
        for (feature, effect) in spaces.iter().flat_map(|space| self.weights.context.effects(space)) {
            let span = feature.words.end() + 1 - feature.words.start();
            for place in feature.words.clone() {
                if let Some(sum) = effects.get_mut(place) {
                    *sum += effect / span as f32;
                }
            }
        }
        let mut found: Vec<Contribution> = Vec::new();
        let mut open = false;
        for (word, effect) in words.iter().zip(effects) {
            if effect.abs() < LEAST {
                open = false;
                continue;
            }
            match found.last_mut() {
                Some(last) if open && last.effect.signum() == effect.signum() => {
                    last.at.end = word.at.end;
                    last.effect += effect;
                }
                _ => found.push(Contribution { at: word.at.clone(), effect }),
            }
            open = true;
        }
        found.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
        found
    }
}

#[cfg(test)]
mod tests;
