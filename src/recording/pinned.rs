//! Pinned ratings: what stands in for the rater at a turn.

use serde::Deserialize;

use crate::recording::problem::Problem;
use crate::sentiment::{Cue, Label, RateError, Rating, RatingSource, Sentiment, Unit, Valence};

/// A rating that a recording gives a turn in the rater's stead.
#[derive(Debug, Clone, PartialEq)]
pub struct PinnedRating {
    /// The turn.
    pub turn_id: String,
    /// Its rating, or why it has none.
    pub result: Result<Rating, RateError>,
}

impl PinnedRating {
    /// A rating of which only the sentiment is known: the rest follows from it, evenly on either side of 5.
    #[must_use]
    pub fn from_sentiment(sentiment: Sentiment) -> Rating {
        let value = sentiment.value();
        let valence = if value < 5.0 { (value - 5.0) / 4.0 } else { (value - 5.0) / 5.0 };
        Rating {
            sentiment,
            valence: Valence::clamped(valence),
            frustration: Unit::clamped(-valence),
            urgency: Unit::default(),
            label: Label::of(sentiment),
            confidence: Unit::clamped(1.0),
            filler: false,
            asks_human: false,
            cues: Vec::new(),
            source: RatingSource::default(),
            description: None,
            embedded: None,
        }
    }
}

/// The fields of a `rating` line.
#[derive(Deserialize)]
pub(super) struct RatingFields {
    turn_id: String,
    sentiment: Option<Sentiment>,
    valence: Option<Valence>,
    frustration: Option<Unit>,
    urgency: Option<Unit>,
    confidence: Option<Unit>,
    #[serde(default)]
    filler: bool,
    #[serde(default)]
    asks_human: bool,
    #[serde(default)]
    unrated: bool,
    #[serde(default)]
    cues: Vec<Cue>,
    description: Option<String>,
}

impl RatingFields {
    pub(super) fn pinned(self) -> Result<PinnedRating, Problem> {
        let result = match (self.sentiment, self.unrated) {
            (None, true) => Err(RateError::Failed { detail: "the recording says that it fails here".to_owned() }),
            (Some(sentiment), false) => {
                let derived = PinnedRating::from_sentiment(sentiment);
                Ok(Rating {
                    valence: self.valence.unwrap_or(derived.valence),
                    frustration: self.frustration.unwrap_or(derived.frustration),
                    urgency: self.urgency.unwrap_or(derived.urgency),
                    confidence: self.confidence.unwrap_or(derived.confidence),
                    filler: self.filler,
                    asks_human: self.asks_human,
                    cues: self.cues,
                    description: self.description,
                    ..derived
                })
            }
            (Some(_), true) => {
                return Err(Problem::field("rating", "unrated", "contradicts its \"sentiment\"; give one of them"));
            }
            (None, false) => {
                return Err(Problem::field(
                    "rating",
                    "sentiment",
                    "is missing; give a number from 1 to 10, or \"unrated\":true",
                ));
            }
        };
        Ok(PinnedRating { turn_id: self.turn_id, result })
    }
}
