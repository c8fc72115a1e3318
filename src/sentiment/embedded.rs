//! The rater inside the program: the trained model and the table of cues, joined.
//!
//! The model's two views, a transformer's and that of linear stages with trees, know how calls go and are the better
//! judges of how bad a turn is in its context; the table says why, in the caller's own words, and knows strong words that
//! are rare in calls. A rating's sentiment is their weighted mean, which orders turns better than any of the three
//! (`model/MODEL_CARD.md` has the figures). Where the caller has said nothing before, there is no context to go by and
//! the table weighs more. The model alone judges frustration, urgency and confidence; a turn is filler where either
//! says so.

use super::lexical;
use super::masked::unmasked;
use super::model::{Language, ModelRater, Scores, rating};
use super::{Cue, CueKind, RateError, RateFuture, Rater, Rating, Sentiment, Speaker, TurnInContext};

/// How much each view counts; together 1.
struct Weights {
    transformer: f64,
    trees: f64,
    table: f64,
}

/// Where the caller has spoken before.
const IN_CONTEXT: Weights = Weights { transformer: 0.4, trees: 0.5, table: 0.1 };
/// At the caller's first turn.
const AT_FIRST: Weights = Weights { transformer: 0.4, trees: 0.1, table: 0.5 };
/// Where the table hears sarcasm: to the model, mocking praise is praise.
const IN_SARCASM: Weights = Weights { transformer: 0.1, trees: 0.05, table: 0.85 };
/// Means, and the ratings that they become: averaging draws ratings to the middle, so that what careful readers call
/// "frustrated or angry at us" (below 3) lies below 3.35 there. From 4.6 on the mean is left as it is.
const CURVE: [(f64, f64); 4] = [(1.0, 1.0), (3.335, 2.97), (4.6, 4.6), (10.0, 10.0)];
/// A mixed turn whose English part is rated so says nothing in English.
const UNMOVED: std::ops::RangeInclusive<f64> = 4.5..=5.5;
/// From here up to 5.0 nothing was heard: the rubric's neutral is exactly 5.
const NEUTRAL_FROM: f64 = 4.75;

/// Rates with what is inside the program: no network, no download, no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmbeddedRater;

/// The rater inside the program: needs no network and no key, and always answers.
#[must_use]
pub fn embedded() -> impl Rater {
    EmbeddedRater
}

impl EmbeddedRater {
    /// Rates one turn, at once.
    ///
    /// # Errors
    /// [`RateError::Language`] when the turn is not English.
    pub fn rate_now(self, turn: &TurnInContext) -> Result<Rating, RateError> {
        let language = Language::of(&turn.text, turn.lang.as_deref());
        let heard = lexical::heard(turn);
        let unmasked = unmasked(turn);
        let plain = unmasked.as_ref().unwrap_or(turn);
        let scores = ModelRater.scores(plain)?;
        let table = heard.rating;
        if table.filler {
            // A bare datum or "yeah" is neutral, however angry the call.
            return Ok(Rating { filler: true, ..table });
        }
        let sentiment = Sentiment::clamped(calibrated(mean(&scores, &table, turn)));
        let model = rating(&plain.text, &scores, sentiment);
        if let Language::Mixed(lang) = language
            && UNMOVED.contains(&sentiment.value())
            && !table.asks_human
        {
            // Whatever was said, it was not said in the English part.
            return Err(RateError::Language { lang });
        }
        let filler = model.filler && !heard.hostile;
        let cues = joined(table.cues, model.cues);
        Ok(Rating { filler, asks_human: table.asks_human, cues, ..model })
    }
}

/// The table's cues, and before those that earlier turns carried the model's, where the table heard nothing that moved
/// the turn itself.
fn joined(table: Vec<Cue>, model: Vec<Cue>) -> Vec<Cue> {
    let (carried, mut own): (Vec<Cue>, Vec<Cue>) = table.into_iter().partition(|cue| cue.carried);
    if own.iter().all(|cue| cue.effect == 0.0) {
        own.extend(model);
    }
    own.extend(carried);
    own
}

impl Rater for EmbeddedRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(self.rate_now(turn)))
    }
}

fn mean(scores: &Scores, table: &Rating, turn: &TurnInContext) -> f64 {
    let weights = if table.cues.iter().any(|cue| cue.kind == CueKind::Sarcasm && cue.effect < 0.0) {
        IN_SARCASM
    } else if turn.earlier.iter().any(|earlier| earlier.speaker == Speaker::Caller) {
        IN_CONTEXT
    } else {
        AT_FIRST
    };
    weights.transformer * f64::from(scores.transformer)
        + weights.trees * f64::from(scores.trees)
        + weights.table * table.sentiment.value()
}

/// Straight lines between the knots of [`CURVE`]; near-neutral becomes neutral.
fn calibrated(mean: f64) -> f64 {
    let line = CURVE.windows(2).find(|ends| mean <= ends[1].0);
    let rating = line.map_or(mean, |ends| {
        let ((x0, y0), (x1, y1)) = (ends[0], ends[1]);
        y0 + (mean - x0) * (y1 - y0) / (x1 - x0)
    });
    if (NEUTRAL_FROM..5.0).contains(&rating) { 5.0 } else { rating }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::ContextTurn;

    fn alone(text: &str) -> f64 {
        EmbeddedRater.rate_now(&TurnInContext::alone(text)).unwrap().sentiment.value()
    }

    const SEED: [&str; 3] = [
        "This is ridiculous, I've been trying to fix this for three days!",
        "Nobody at your company seems to care.",
        "I want to speak to someone who can actually help.",
    ];

    #[test]
    fn the_seeds_lines_are_low_alone_in_context_and_however_they_are_written() {
        let mut call = TurnInContext::alone("");
        for line in SEED {
            let plain: String = line.to_lowercase().chars().filter(|c| c.is_alphanumeric() || *c == ' ').collect();
            assert!(alone(line) < 3.0 && alone(&plain) < 3.0, "{line}: {} {}", alone(line), alone(&plain));
            call.text = line.to_owned();
            let rating = EmbeddedRater.rate_now(&call).unwrap();
            assert!(rating.sentiment.is_below(3), "{line} in its call: {}", rating.sentiment);
            assert!(!rating.cues.is_empty(), "{line} says why");
            call.earlier.push(ContextTurn {
                speaker: Speaker::Caller,
                text: line.to_owned(),
                sentiment: Some(rating.sentiment),
            });
        }
    }

    #[test]
    fn what_is_calm_is_not_low_however_bad_the_facts() {
        for line in ["how do i reset my password", "yes", "it's four five two"] {
            assert!(alone(line) >= 5.0, "{line}: {}", alone(line));
        }
        for line in
            ["my card was stolen", "i need to cancel my order", "my father passed away and i need to close his account"]
        {
            assert!(alone(line) >= 4.5, "{line}: {}", alone(line));
        }
    }

    #[test]
    fn another_language_is_unrated_not_wrong() {
        let turn = TurnInContext::alone("ich habe jetzt schon dreimal angerufen und niemand kann mir weiterhelfen");
        assert!(matches!(EmbeddedRater.rate_now(&turn), Err(RateError::Language { .. })));
    }

    #[test]
    fn calibration_keeps_the_order_and_the_ends() {
        let steps: Vec<f64> = (10..=100).map(|tenth| calibrated(f64::from(tenth) / 10.0)).collect();
        assert!(steps.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!((steps[0], steps[90]), (1.0, 10.0));
        assert!(calibrated(CURVE[1].0) < 3.0 && calibrated(CURVE[1].0 + 0.1) > 3.0);
    }
}
