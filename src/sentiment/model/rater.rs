//! The model as a [`Rater`].

use super::features::View;
use super::language::Language;
use super::{Contribution, Model, Scores};
use crate::sentiment::{
    Cue, CueKind, Label, RateError, RateFuture, Rater, Rating, RatingSource, Sentiment, TurnInContext, Unit, Valence,
};

/// A turn is filler from this probability on, where it also reads as calm.
pub(in crate::sentiment) const FILLER: f32 = 0.3;
/// Everyday calm: what lies outside carries feeling, and is no filler.
const CALM: std::ops::RangeInclusive<f64> = 4.0..=6.5;
/// A supervisor reads at a glance.
const MOST_CUES: usize = 4;

/// Rates with the model inside the program: no network, no download, no key.
#[derive(Debug, Clone, Copy, Default)]
pub struct ModelRater;

impl ModelRater {
    /// Rates one turn, at once.
    ///
    /// # Errors
    /// [`RateError::Language`] when the turn is not English.
    pub fn rate_now(self, turn: &TurnInContext) -> Result<Rating, RateError> {
        self.scores(turn).map(|scores| rating(&turn.text, &scores, FILLER))
    }

    /// How the model sees one turn.
    ///
    /// # Errors
    /// [`RateError::Language`] when the turn is not English.
    pub fn scores(self, turn: &TurnInContext) -> Result<Scores, RateError> {
        if let Language::Other(lang) = Language::of(&turn.text, turn.lang.as_deref()) {
            return Err(RateError::Language { lang });
        }
        Ok(Model::embedded().score_view(&View::of(turn), turn))
    }
}

impl Rater for ModelRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(self.rate_now(turn)))
    }
}

/// The scores as a rating: filler, and so neutral, from this probability on.
pub(in crate::sentiment) fn rating(text: &str, scores: &Scores, filler: f32) -> Rating {
    let sentiment = Sentiment::clamped(scores.sentiment().into());
    let filler = scores.filler_probability >= filler && CALM.contains(&sentiment.value());
    let sentiment = if filler { Sentiment::clamped(5.0) } else { sentiment };
    Rating {
        sentiment,
        valence: Valence::of(sentiment),
        frustration: Unit::clamped(scores.frustration.into()),
        urgency: Unit::clamped(scores.urgency.into()),
        label: Label::of(sentiment),
        confidence: Unit::clamped(scores.confidence.into()),
        filler,
        asks_human: false,
        cues: scores.contributions.iter().take(MOST_CUES).map(|contribution| cue(text, contribution)).collect(),
        source: RatingSource::Embedded,
        description: None,
        embedded: None,
    }
}

fn cue(text: &str, contribution: &Contribution) -> Cue {
    Cue::own(
        text.get(contribution.at.clone()).unwrap_or_default().to_owned(),
        if contribution.effect > 0.0 { CueKind::Praise } else { CueKind::Word },
        f64::from((contribution.effect * 100.0).round()) / 100.0,
    )
}
