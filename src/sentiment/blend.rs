//! Two raters as one: the embedded rating is always there, and an LLM's moves it within bounds.
//!
//! # The rule
//! With *e* the embedded rating and *l* the LLM's:
//!
//! 1. **Weighted mean.** Each counts by its confidence, the LLM's being [`LLM_CONFIDENCE`].
//! 2. **Bound.** From *e*, the mean may go [`ALONE`] (2.0) points towards the other side of neutral. In the direction in
//!    which *e* itself already lies from neutral, both agree, and it may go as much further as *e* lies from neutral.
//! 3. **Sarcasm.** When the LLM hears it, praise in *e* is set aside: *e* counts as at most neutral in 1 and 2.
//!
//! | embedded | the blend lies within | why                                                                           |
//! | -------: | --------------------- | ----------------------------------------------------------------------------- |
//! |      1.5 | 1.0 to 3.5            | no LLM alone talks a furious turn into a calm one                             |
//! |      4.0 | 1.0 to 6.0            | both hear something amiss: the LLM may say how much                           |
//! |      5.0 | 3.0 to 7.0            | at the default threshold no LLM alone makes a low turn of a neutral one       |
//! |      6.0 | 3.0 to 9.0            | nor of a friendly one, sarcasm or not                                         |
//!
//! Frustration and urgency are weighted means too, bounded to [`ALONE_INTENSITY`] (0.3) either way. The confidence is
//! the weighted mean of both, less the more they disagree. Cues and filler are the embedded rater's, and turns that it
//! calls filler are not asked about. The description is the LLM's where the blend is negative.
//!
//! The embedded rating hangs on earlier turns as the embedded rater alone rated them ([`Rating::by_embedded`]), not on
//! their blends: an LLM cannot pull the anchor away bit by bit.
//!
//! Where the embedded rater cannot rate (a language that it does not know), the LLM's rating stands alone, and without
//! a bound. It is asked about such a turn without any context, so that whatever was said before cannot move it.
//!
//! # Time
//! Both start together. A turn waits for the LLM until the deadline and not a moment longer: then the embedded rating
//! stands, and an answer that still comes is given as a later opinion ([`Opinions::later`]).

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use super::llm::{LLM_CONFIDENCE, LlmError, LlmRater, LlmRating, LlmStats};
use super::{
    Cue, CueKind, Label, Opinions, OpinionsFuture, RateError, RateFuture, Rater, Rating, RatingSource, Sentiment,
    TurnInContext, Unit, Valence,
};

/// How many points of sentiment an LLM alone may move a rating.
pub const ALONE: f64 = 2.0;
/// How far an LLM alone may move frustration and urgency.
pub const ALONE_INTENSITY: f64 = 0.3;
const NEUTRAL: f64 = 5.0;
/// The part of the confidence that is lost when the two lie at opposite ends.
const DOUBT: f64 = 0.5;
/// Sarcasm that moves a rating by less is not shown as a cue.
const SHOWN_FROM: f64 = 0.25;
/// The longest quote of a sarcastic turn, in characters.
const LONGEST_QUOTE: usize = 80;

/// How long a rating waits for the LLM.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// So long after both have started; live calls.
    Until(Duration),
    /// Until it has answered or failed; replays, which have all the time that it takes.
    ForTheAnswer,
}

/// A question that is under way.
type Asked<'a> = Pin<Box<dyn Future<Output = Result<LlmRating, LlmError>> + Send + 'a>>;

/// The embedded rater and an LLM as one rater.
pub struct BlendedRater {
    embedded: Arc<dyn Rater>,
    llm: Arc<LlmRater>,
    wait: Wait,
}

impl BlendedRater {
    /// Blends what both say.
    #[must_use]
    pub fn new(embedded: Arc<dyn Rater>, llm: Arc<LlmRater>, wait: Wait) -> Self {
        Self { embedded, llm, wait }
    }

    async fn both<'a>(&'a self, turn: &'a TurnInContext) -> Opinions<'a> {
        let start = Instant::now();
        let mut rating = self.embedded.rate(turn);
        let mut asked: Asked<'a> = Box::pin(self.llm.ask(turn));
        // The embedded one goes first: it takes milliseconds, and says which turns need no second opinion.
        let (embedded, early) = tokio::select! {
            biased;
            embedded = &mut rating => (embedded, None),
            answer = &mut asked => (rating.await, Some(answer)),
        };
        if embedded.as_ref().is_ok_and(|rating| rating.filler) {
            return Opinions::only(embedded);
        }
        let early = if embedded.is_err() {
            // Nothing bounds the LLM's word here, so it hears nothing but the turn itself.
            let alone = TurnInContext { earlier: Vec::new(), ..turn.clone() };
            asked = Box::pin(async move { self.llm.ask(&alone).await });
            None
        } else {
            early
        };
        let answer = match (early, self.wait) {
            (Some(answer), _) => answer,
            (None, Wait::ForTheAnswer) => asked.await,
            (None, Wait::Until(wait)) => match timeout_at(start + wait, &mut asked).await {
                Ok(answer) => answer,
                Err(_) => {
                    self.llm.stats().count(LlmStats::LATE);
                    let first = embedded.clone();
                    let later = async move {
                        let failed = |error: LlmError| RateError::Failed { detail: error.to_string() };
                        asked.await.map_err(failed).map(|llm| merged(embedded, &llm, &turn.text))
                    };
                    return Opinions { first, later: Some(Box::pin(later)) };
                }
            },
        };
        Opinions::only(match answer {
            Ok(llm) => Ok(merged(embedded, &llm, &turn.text)),
            Err(_) => embedded,
        })
    }
}

impl Rater for BlendedRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(async move { self.both(turn).await.first })
    }

    fn opinions<'a>(&'a self, turn: &'a TurnInContext) -> OpinionsFuture<'a> {
        Box::pin(self.both(turn))
    }
}

fn merged(embedded: Result<Rating, RateError>, llm: &LlmRating, text: &str) -> Rating {
    let Ok(embedded) = embedded else { return llm.alone() };
    let mut blend = blend(&embedded, llm);
    let moved = blend.sentiment.value() - embedded.sentiment.value();
    if llm.sarcasm && moved <= -SHOWN_FROM {
        blend.cues.insert(0, sarcasm_cue(text, moved));
    }
    blend
}

/// The least and the most that a blend with this embedded rating can be, whatever the LLM says.
#[must_use]
pub fn bounds(embedded: Sentiment) -> (Sentiment, Sentiment) {
    let sarcastic = within(anchor(embedded, true)).0;
    let (low, high) = within(embedded.value());
    (Sentiment::clamped(low.min(sarcastic)), Sentiment::clamped(high))
}

fn anchor(embedded: Sentiment, sarcasm: bool) -> f64 {
    if sarcasm { embedded.value().min(NEUTRAL) } else { embedded.value() }
}

/// How far the mean may go from an anchor.
fn within(anchor: f64) -> (f64, f64) {
    (anchor - ALONE - (NEUTRAL - anchor).max(0.0), anchor + ALONE + (anchor - NEUTRAL).max(0.0))
}

/// Blends one turn's ratings; see the module.
#[must_use]
pub fn blend(embedded: &Rating, llm: &LlmRating) -> Rating {
    let own = embedded.confidence.value();
    let weight = LLM_CONFIDENCE / (LLM_CONFIDENCE + own);
    let mean = |a: f64, b: f64| a + weight * (b - a);
    let anchor = anchor(embedded.sentiment, llm.sarcasm);
    let (low, high) = within(anchor);
    let sentiment = Sentiment::clamped(mean(anchor, llm.sentiment.value()).clamp(low, high));
    let intensity = |own: Unit, other: Unit| {
        let own = own.value();
        Unit::clamped(mean(own, other.value()).clamp(own - ALONE_INTENSITY, own + ALONE_INTENSITY))
    };
    let apart = (embedded.sentiment.value() - llm.sentiment.value()).abs() / 9.0;
    let label = Label::of(sentiment);
    Rating {
        sentiment,
        valence: Valence::of(sentiment),
        frustration: intensity(embedded.frustration, llm.frustration),
        urgency: intensity(embedded.urgency, llm.urgency),
        label,
        confidence: Unit::clamped(mean(own, LLM_CONFIDENCE) * (1.0 - DOUBT * apart)),
        filler: embedded.filler,
        asks_human: embedded.asks_human,
        cues: embedded.cues.clone(),
        source: RatingSource::Blend,
        description: llm.description.clone().filter(|_| label == Label::Negative),
        embedded: Some(embedded.sentiment),
    }
}

/// The cue of a turn whose praise the LLM does not believe.
fn sarcasm_cue(text: &str, effect: f64) -> Cue {
    let quote = text.trim().chars().take(LONGEST_QUOTE).collect();
    Cue::own(quote, CueKind::Sarcasm, (effect * 100.0).round() / 100.0 + 0.0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn embedded(sentiment: f64, confidence: f64) -> Rating {
        let alone = llm(sentiment, false).alone();
        let (frustration, urgency) = (Unit::clamped(-alone.valence.value()), Unit::default());
        let (source, description) = (RatingSource::default(), None);
        Rating { frustration, urgency, confidence: Unit::clamped(confidence), source, description, ..alone }
    }

    fn llm(sentiment: f64, sarcasm: bool) -> LlmRating {
        LlmRating {
            sentiment: Sentiment::clamped(sentiment),
            frustration: Unit::clamped(0.9),
            urgency: Unit::clamped(0.0),
            sarcasm,
            description: Some("Promised calls never came".to_owned()),
        }
    }

    fn blended(e: f64, confidence: f64, l: f64, sarcasm: bool) -> f64 {
        blend(&embedded(e, confidence), &llm(l, sarcasm)).sentiment.value()
    }

    #[test]
    fn the_documented_examples() {
        // Equal confidence: the middle.
        assert_eq!(blended(4.0, 0.7, 2.0, false), 3.0);
        assert_eq!(blended(2.0, 0.7, 2.0, false), 2.0);
        // The less sure one gives way.
        assert_eq!(blended(4.5, 0.3, 1.5, false), 2.4);
        // Neutral is not made low by an LLM alone, however unsure the embedded rater is.
        assert_eq!(blended(5.0, 0.0, 1.0, false), 3.0);
        assert_eq!(blended(8.0, 0.0, 1.0, true), 3.0);
        assert_eq!(blended(8.0, 0.0, 1.0, false), 6.0);
        // Fury is not talked into calm.
        assert_eq!(blended(1.5, 0.0, 10.0, false), 3.5);
        let bounds = |e| {
            let (low, high) = bounds(Sentiment::clamped(e));
            (low.value(), high.value())
        };
        assert_eq!([1.5, 4.0, 5.0, 6.0].map(bounds), [(1.0, 3.5), (1.0, 6.0), (3.0, 7.0), (3.0, 9.0)]);
    }

    #[test]
    fn the_description_is_for_negative_turns_and_sarcasm_is_shown() {
        let merge = |e, l, sarcasm| merged(Ok(embedded(e, 0.5)), &llm(l, sarcasm), " oh wonderful ");
        let low = merge(4.0, 1.0, true);
        assert_eq!(low.description.as_deref(), Some("Promised calls never came"));
        assert_eq!((low.cues[0].kind, low.cues[0].text.as_str()), (CueKind::Sarcasm, "oh wonderful"));
        assert_eq!(low.source, RatingSource::Blend);
        let calm = merge(6.0, 7.0, true);
        assert_eq!((calm.description, calm.cues.len()), (None, 0));
    }

    #[test]
    fn without_an_embedded_rating_the_llm_stands_alone() {
        let unknown = Err(RateError::Language { lang: "de".to_owned() });
        let rating = merged(unknown, &llm(2.0, false), "das ist ungeheuerlich");
        assert_eq!((rating.sentiment.value(), rating.source), (2.0, RatingSource::Llm));
    }

    #[test]
    fn later_turns_hear_what_the_embedded_rater_thought() {
        let before = embedded(4.0, 0.7);
        let blend = blend(&before, &llm(1.0, false));
        assert_ne!(blend.sentiment, before.sentiment);
        assert_eq!(blend.by_embedded(), before.by_embedded());
        assert_eq!(before.by_embedded(), Some(before.sentiment));
        assert_eq!(llm(1.0, false).alone().by_embedded(), None);
    }

    proptest! {
        #[test]
        fn no_llm_moves_a_rating_past_its_bounds(
            e in 1.0..=10.0, confidence in 0.0..=1.0, l in 1.0..=10.0, sarcasm in any::<bool>(),
            frustration in 0.0..=1.0,
        ) {
            let before = Rating { frustration: Unit::clamped(frustration), ..embedded(e, confidence) };
            let after = blend(&before, &llm(l, sarcasm));
            let (low, high) = bounds(before.sentiment);
            prop_assert!(low <= after.sentiment && after.sentiment <= high);
            prop_assert!((after.frustration.value() - before.frustration.value()).abs() <= ALONE_INTENSITY + 1e-9);
            prop_assert!(e < 5.0 || !after.sentiment.is_below(3), "an LLM alone made a low turn");
            prop_assert_eq!(after.label, Label::of(after.sentiment));
            prop_assert_eq!(after.filler, before.filler);
            // The blend lies between what both say, or what both say with the praise set aside.
            let (anchor, other) = (anchor(before.sentiment, sarcasm), Sentiment::clamped(l).value());
            let value = after.sentiment.value();
            prop_assert!(value >= anchor.min(other) - 0.05 && value <= anchor.max(other) + 0.05);
        }

        #[test]
        fn a_worse_opinion_never_makes_a_better_rating(e in 1.0..=10.0, c in 0.0..=1.0, l in 1.0..=9.0, d in 0.0..=1.0) {
            prop_assert!(blended(e, c, l, false) <= blended(e, c, l + d, false));
        }
    }
}
