//! The rater inside the program: the trained model and the table of cues, joined.
//!
//! The model knows how calls go and is the better judge of how bad a turn is in its context; the table says why, in
//! the caller's own words, and knows strong words that are rare in calls. A rating's sentiment is their weighted mean:
//! on 270 calls by other writers the mean orders turns better than either alone (AUROC .985; model .981, cues .973)
//! and takes fewer calm turns for low ones (1.2 %; 1.8 %, 3.0 %). Where the caller has said nothing before, the model
//! has no context to go by and the table weighs more. The model alone judges frustration, urgency and
//! confidence; a turn is filler where either says so.

use super::lexical;
use super::model::ModelRater;
use super::{CueKind, Label, RateError, RateFuture, Rater, Rating, Sentiment, Speaker, TurnInContext, Valence};

/// The model's weight where the caller has spoken before.
const MODEL_IN_CONTEXT: f64 = 0.6;
/// The model's weight at the caller's first turn.
const MODEL_AT_FIRST: f64 = 0.3;
/// The model's weight where the table hears sarcasm: to the model, mocking praise is praise.
const MODEL_IN_SARCASM: f64 = 0.15;
/// The mean that becomes 3.0, the border of "frustrated or angry at us": averaging draws ratings to the middle.
const BORDER: f64 = 3.05;
/// From here on the mean is left as it is.
const UNMOVED: f64 = 4.5;
/// From here up to 5.0 nothing was heard: the rubric's neutral is exactly 5.
const NEUTRAL_FROM: f64 = 4.75;

/// Rates with what is inside the program: no network, no download, no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct EmbeddedRater;

impl EmbeddedRater {
    /// Rates one turn, at once.
    ///
    /// # Errors
    /// [`RateError::Language`] when the turn is not English.
    pub fn rate_now(self, turn: &TurnInContext) -> Result<Rating, RateError> {
        let model = ModelRater.rate_now(turn)?;
        let table = lexical::rate(turn);
        if table.filler {
            // A bare datum or "yeah" is neutral, however angry the call.
            return Ok(Rating { filler: true, ..table });
        }
        let weight = model_weight(turn, &table);
        let mean = weight * model.sentiment.value() + (1.0 - weight) * table.sentiment.value();
        let sentiment = Sentiment::clamped(calibrated(mean));
        Ok(Rating {
            sentiment,
            valence: Valence::of(sentiment),
            label: Label::of(sentiment),
            cues: if table.cues.is_empty() { model.cues } else { table.cues },
            ..model
        })
    }
}

impl Rater for EmbeddedRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(self.rate_now(turn)))
    }
}

fn model_weight(turn: &TurnInContext, table: &Rating) -> f64 {
    if table.cues.iter().any(|cue| cue.kind == CueKind::Sarcasm && cue.effect < 0.0) {
        MODEL_IN_SARCASM
    } else if turn.earlier.iter().any(|earlier| earlier.speaker == Speaker::Caller) {
        MODEL_IN_CONTEXT
    } else {
        MODEL_AT_FIRST
    }
}

/// Moves the border to 3.0, stretches what lies around it in straight pieces, and makes near-neutral neutral.
fn calibrated(mean: f64) -> f64 {
    if mean <= BORDER {
        1.0 + (mean - 1.0) * 2.0 / (BORDER - 1.0)
    } else if mean < UNMOVED {
        3.0 + (mean - BORDER) * (UNMOVED - 3.0) / (UNMOVED - BORDER)
    } else if (NEUTRAL_FROM..5.0).contains(&mean) {
        5.0
    } else {
        mean
    }
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
        assert_eq!(calibrated(BORDER), 3.0);
    }
}
