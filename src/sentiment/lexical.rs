//! The rater by cues: adds the points of what was said, and reads it in the context of the call.
//!
//! A turn's own cues give its points. The carry is how far below neutral the caller's last turns were; it pulls a turn
//! that says something down with it, weighs complaints more, and leaves a bare datum alone. Of the agent's words
//! only a question is looked at, and only to understand a short answer to it.

use super::filler::is_sounds;
use super::lexicon::{CONFIDENCE, CONTEXT, FRUSTRATION, URGENCY};
use super::reading::{Reading, carry};
use super::{
    Cue, CueKind, Label, RateFuture, Rater, Rating, RatingSource, Sentiment, Speaker, TurnInContext, Unit, Valence,
};

/// Cues weaker than this are not shown.
const SHOWN_FROM: f64 = 0.25;
/// The call so far is a cue where it moved the rating by more than this.
const CARRIED_FROM: f64 = 0.45;
/// At most so many cues are shown.
const SHOWN: usize = 8;
/// How sure a filler decision is: the share of fillers so decided that the rated calls call neutral.
const FILLER_CONFIDENCE: f64 = 0.8;
/// The longest quote of a cue, in characters.
const LONGEST_QUOTE: usize = 80;

/// Rates by the table of cues alone: no model, no network, the same answer every time.
#[derive(Debug, Clone, Copy, Default)]
pub struct LexicalRater;

impl Rater for LexicalRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(Ok(rate(turn))))
    }
}

/// An earlier caller turn that says something.
struct Earlier<'t> {
    text: &'t str,
    reading: Reading,
    sentiment: f64,
}

/// Rates one caller turn; see the module.
#[must_use]
pub fn rate(turn: &TurnInContext) -> Rating {
    let Heard { mut rating, earlier, carried, .. } = heard(turn);
    let room = SHOWN.saturating_sub(rating.cues.len());
    rating.cues.extend(context_cue(&earlier, carried).into_iter().take(room));
    rating
}

/// What the table hears in a turn.
pub(super) struct Heard<'t> {
    /// The turn as the table rates it, with the cues of its own words.
    pub(super) rating: Rating,
    /// It says something against us: no filler, however short.
    pub(super) hostile: bool,
    /// It is filler and nothing but sounds of listening, whatever was said before it.
    pub(super) sounds: bool,
    /// What the table would rate it without the call so far.
    pub(super) alone: Sentiment,
    earlier: Vec<Earlier<'t>>,
    /// By how many points the call so far moves the table's own rating.
    carried: f64,
}

impl Heard<'_> {
    /// The cue for a rating that the call so far moved by so many points; none where that is next to nothing.
    pub(super) fn carried(&self, points: f64) -> Option<Cue> {
        context_cue(&self.earlier, points)
    }
}

/// The rating, and what of it stands whatever another view says.
pub(super) fn heard(turn: &TurnInContext) -> Heard<'_> {
    let (earlier, asked) = read_earlier(turn);
    let said: Vec<&Reading> = earlier.iter().map(|earlier| &earlier.reading).collect();
    let reading = Reading::of(&turn.text, asked, &said);
    let carry = carry(earlier.iter().rev().map(|earlier| earlier.sentiment));
    let sentiment = Sentiment::clamped(reading.sentiment(carry));
    let mut cues = own_cues(&turn.text, &reading);
    if !reading.filler {
        cues.extend(repetition(&turn.text, &reading));
    }
    cues.retain(|cue| cue.effect.abs() >= SHOWN_FROM || matches!(cue.kind, CueKind::Urgency | CueKind::HumanRequest));
    cues.sort_by(|a, b| b.effect.abs().total_cmp(&a.effect.abs()));
    cues.truncate(SHOWN);
    let rating = Rating {
        sentiment,
        valence: Valence::of(sentiment),
        frustration: frustration(sentiment, carry, reading.filler),
        urgency: urgency(sentiment, &reading),
        label: Label::of(sentiment),
        confidence: confidence(sentiment, reading.filler),
        filler: reading.filler,
        asks_human: reading.asks.is_some(),
        cues,
        source: RatingSource::Embedded,
        description: None,
        embedded: None,
    };
    let carried = if reading.filler { 0.0 } else { by_context(&reading, carry) };
    let alone = Sentiment::clamped(reading.sentiment(0.0));
    let sounds = reading.filler && is_sounds(&reading.words);
    Heard { rating, hostile: reading.hostile, sounds, alone, earlier, carried }
}

/// Reads the caller's earlier turns that say something, oldest first, rating those that bring no rating; and the
/// agent's words right before the turn.
fn read_earlier(turn: &TurnInContext) -> (Vec<Earlier<'_>>, Option<&str>) {
    let from = turn.earlier.len().saturating_sub(TurnInContext::MAX_EARLIER);
    let mut said: Vec<Earlier<'_>> = Vec::new();
    let mut asked = None;
    for before in &turn.earlier[from..] {
        match before.speaker {
            Speaker::Agent => asked = Some(before.text.as_str()),
            Speaker::Caller => {
                let readings: Vec<&Reading> = said.iter().map(|earlier| &earlier.reading).collect();
                let reading = Reading::of(&before.text, asked.take(), &readings);
                if !reading.filler {
                    let own = || reading.sentiment(carry(said.iter().rev().map(|earlier| earlier.sentiment)));
                    let sentiment = before.sentiment.map_or_else(own, Sentiment::value);
                    said.push(Earlier { text: &before.text, reading, sentiment });
                }
            }
        }
    }
    (said, asked)
}

fn below_and_above(sentiment: Sentiment) -> (f64, f64) {
    let value = sentiment.value();
    ((5.0 - value).max(0.0), (value - 5.0).max(0.0))
}

fn frustration(sentiment: Sentiment, carry: f64, filler: bool) -> Unit {
    let (below, above) = below_and_above(sentiment);
    let [base, per_below, per_above, per_carry] = FRUSTRATION;
    let carry = if filler { 0.0 } else { carry };
    Unit::clamped(base + per_below * below + per_above * above + per_carry * carry.max(0.0))
}

fn urgency(sentiment: Sentiment, reading: &Reading) -> Unit {
    let (below, above) = below_and_above(sentiment);
    let [base, per_below, per_above] = URGENCY;
    let cues: f64 = reading.urgent_hits().map(super::cues::Hit::effect).sum();
    Unit::clamped(base + per_below * below + per_above * above + cues)
}

fn confidence(sentiment: Sentiment, filler: bool) -> Unit {
    // 0 to 9, as a sentiment is 1.0 to 10.0.
    let nearest = (sentiment.value().round() as usize).saturating_sub(1);
    let rated = CONFIDENCE.get(nearest).copied().unwrap_or_default();
    Unit::clamped(if filler { FILLER_CONFIDENCE } else { rated })
}

fn rounded(effect: f64) -> f64 {
    (effect * 100.0).round() / 100.0 + 0.0
}

fn quote(text: &str) -> String {
    text.chars().take(LONGEST_QUOTE).collect()
}

fn own_cues(text: &str, reading: &Reading) -> Vec<Cue> {
    let quoted = |at| quote(reading.words.quote(text, at));
    let shown = |hit: &super::cues::Hit| {
        let kind = match hit.entry().kind {
            // "in charge", "a person": words of asking in a turn that does not ask.
            CueKind::HumanRequest if reading.asks.is_none() => CueKind::Word,
            kind => kind,
        };
        // Urgency moves no sentiment.
        let effect = if kind == CueKind::Urgency { 0.0 } else { rounded(hit.effect()) };
        Cue::own(quoted(hit.at.clone()), kind, effect)
    };
    let mut cues: Vec<Cue> = if reading.filler { Vec::new() } else { reading.felt_hits().map(shown).collect() };
    if let Some(at) = reading.asks.clone().filter(|_| !cues.iter().any(|cue| cue.kind == CueKind::HumanRequest)) {
        cues.push(Cue::own(quoted(at), CueKind::HumanRequest, 0.0));
    }
    cues.extend(reading.urgent_hits().map(shown));
    if let Some((at, lost)) = super::cues::lost_to_but(&reading.words, &reading.hits) {
        cues.push(Cue::own(quoted(at), CueKind::Contrast, rounded(lost)));
    }
    cues
}

fn repetition(text: &str, reading: &Reading) -> Option<Cue> {
    let again = reading.again.clone()?;
    let weight = CONTEXT.iter().find(|row| row.name == "says again what an earlier turn said")?.weight;
    Some(Cue::own(quote(reading.words.quote(text, again)), CueKind::Repetition, rounded(weight)))
}

/// The points that the call so far puts on the turn.
fn by_context(reading: &Reading, carry: f64) -> f64 {
    let points = reading.points();
    dot(&reading.context(carry, points)) - dot(&reading.context(0.0, points))
}

/// By how many points the call so far moved a rating, quoting the earlier turn that lies farthest on that side.
fn context_cue(earlier: &[Earlier<'_>], points: f64) -> Option<Cue> {
    let by_sentiment = |a: &&Earlier<'_>, b: &&Earlier<'_>| a.sentiment.total_cmp(&b.sentiment);
    let turns = earlier.iter();
    let farthest = if points < 0.0 { turns.min_by(by_sentiment) } else { turns.max_by(by_sentiment) }?;
    let text = match strongest(&farthest.reading, points) {
        Some(hit) => farthest.reading.words.quote(farthest.text, hit.at.clone()),
        None => farthest.text,
    };
    (points.abs() >= CARRIED_FROM)
        .then(|| Cue { carried: true, ..Cue::own(quote(text), CueKind::Context, rounded(points)) })
}

/// The words that moved a turn most to that side.
fn strongest(reading: &Reading, side: f64) -> Option<&super::cues::Hit> {
    let effect = |hit: &super::cues::Hit| hit.effect() * side.signum();
    reading.felt_hits().max_by(|a, b| effect(a).total_cmp(&effect(b))).filter(|hit| effect(hit) > 0.0)
}

fn dot(context: &[f64; CONTEXT.len()]) -> f64 {
    context.iter().zip(&CONTEXT).map(|(x, row)| x * row.weight).sum()
}

/// The part of a turn around its strongest low cue that fits into `max` characters, cut at words: the whole turn where
/// that is short enough.
pub(super) fn lowest_words<'t>(text: &'t str, cues: &[Cue], max: usize) -> &'t str {
    let text = text.trim();
    if text.chars().count() <= max {
        return text;
    }
    let low = cues.iter().filter(|cue| cue.effect < 0.0 && cue.kind != CueKind::Context);
    let at = low.filter_map(|cue| text.find(&cue.text)).next().unwrap_or(0);
    // Start at a word a little before the cue, so that the quote can be understood.
    let lead = text[..at].char_indices().rev().nth(max / 3).map_or(0, |(start, _)| start);
    let start = if lead == 0 { 0 } else { text[lead..at].find(' ').map_or(at, |space| lead + space + 1) };
    let end = text[start..].char_indices().nth(max).map_or(text.len(), |(end, _)| start + end);
    let end = if end == text.len() { end } else { text[start..end].rfind(' ').map_or(end, |space| start + space) };
    text[start..end].trim()
}
