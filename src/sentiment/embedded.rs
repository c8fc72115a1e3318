//! The rater inside the program: the trained model judges, and the table of cues says why.
//!
//! The model rates the words with what the agent said last, and lets the ratings so far move that within bounds
//! (`model`). The table names the reasons in the caller's own words. It also knows how data and backchannels sound:
//! where it takes a turn for filler, less is enough for the model to agree.

use super::lexical;
use super::masked::unmasked;
use super::model::{FILLER, Language, ModelRater, Scores, rating};
use super::sounds::{Wordless, wordless};
use super::text::Words;
use super::{Cue, CueKind, Label, RateError, RateFuture, Rater, Rating, Sentiment, TurnInContext, Unit, Valence};

/// A turn that the table takes for filler is one from this probability on.
const FILLER_BY_THE_TABLE: f32 = 0.15;
/// How much the table counts where it hears sarcasm in the turn.
const MOCKED: f64 = 0.85;
/// Anger at others is rated no lower than so: it is not aimed at us.
const ELSEWHERE: f64 = 4.0;
/// A mixed turn whose English part is rated so says nothing in English.
const UNMOVED: std::ops::RangeInclusive<f64> = 4.5..=5.5;

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
        match wordless(&turn.text) {
            Some(Wordless::Unheard) => return Err(RateError::Unheard),
            Some(Wordless::Sounds) => {
                return Ok(lexical::rate(&TurnInContext { text: String::new(), ..turn.clone() }));
            }
            None => {}
        }
        let language = Language::of(&turn.text, turn.lang.as_deref());
        let heard = lexical::heard(turn);
        if heard.rating.filler && !turn.text.contains(char::is_alphanumeric) {
            // Nothing was said, which is no matter for the model.
            return Ok(heard.rating);
        }
        if heard.sounds && !matches!(language, Language::Other(_)) {
            // To the model, a "hello?" after anger is angry.
            return Ok(heard.rating);
        }
        let unmasked = unmasked(turn);
        let plain = unmasked.as_ref().unwrap_or(turn);
        let scores = ModelRater.scores(plain)?;
        let bar = match heard.rating.filler {
            // Curt and hostile, or a word that asks for a human: it may sound like a datum, and is none.
            _ if heard.hostile || heard.rating.asks_human => f32::INFINITY,
            true => FILLER_BY_THE_TABLE,
            false => FILLER,
        };
        let judge = |scores: &Scores, by_table| judged(turn, &heard.rating, by_table, rating(&plain.text, scores, bar));
        let rated = judge(&scores, heard.rating.sentiment);
        // What the call so far did to it: what it is, against what it would be without.
        let alone = judge(&Scores { history: 0.0, ..scores }, heard.alone);
        let carried = heard.carried(rated.sentiment.value() - alone.sentiment.value());
        if let Language::Mixed(lang) = language
            && UNMOVED.contains(&rated.sentiment.value())
            && !heard.rating.asks_human
        {
            // Whatever was said, it was not said in the English part.
            return Err(RateError::Language { lang });
        }
        let cues = joined(heard.rating.cues, rated.cues.clone(), carried);
        Ok(Rating { asks_human: heard.rating.asks_human, cues, ..rated })
    }
}

/// The model's rating in the light of what the table hears in the turn, and of how it rates that.
fn judged(turn: &TurnInContext, table: &Rating, by_table: Sentiment, rated: Rating) -> Rating {
    if table.cues.iter().any(|cue| cue.kind == CueKind::Sarcasm && cue.effect < 0.0) {
        // To the model, mocking praise is praise.
        let (model, frustration) = (rated.sentiment.value(), rated.frustration.value());
        let both = moved(rated, (MOCKED * by_table.value() + (1.0 - MOCKED) * model).min(model));
        Rating { frustration: Unit::clamped(frustration.max(table.frustration.value())), ..both }
    } else if rated.sentiment.value() < ELSEWHERE && aims_elsewhere(&turn.text) {
        moved(rated, ELSEWHERE)
    } else {
        rated
    }
}

/// The same rating with another sentiment.
fn moved(rating: Rating, sentiment: f64) -> Rating {
    let sentiment = Sentiment::clamped(sentiment);
    Rating { sentiment, valence: Valence::of(sentiment), label: Label::of(sentiment), ..rating }
}

/// Whether the turn names its anger and somebody else as its target, and nothing else in it is anger: "mad at whoever did
/// this", "furious with my brother", "angry at myself".
fn aims_elsewhere(text: &str) -> bool {
    const FEELINGS: [&str; 7] = ["mad", "angry", "furious", "annoyed", "upset", "frustrated", "livid"];
    const TARGETS: [&str; 8] = ["whoever", "him", "her", "myself", "my", "his", "somebody", "someone"];
    let words = Words::of(text);
    let words: Vec<&str> = words.iter().collect();
    words.windows(3).any(|w| FEELINGS.contains(&w[0]) && matches!(w[1], "at" | "with") && TARGETS.contains(&w[2]))
        && !words.iter().any(|word| matches!(*word, "you" | "your" | "youre" | "yours"))
}

/// The table's cues, the model's where the table heard nothing that moved the turn itself, and at last what earlier turns
/// carried.
fn joined(table: Vec<Cue>, model: Vec<Cue>, carried: Option<Cue>) -> Vec<Cue> {
    let mut cues = table;
    if cues.iter().all(|cue| cue.effect == 0.0) {
        cues.extend(model);
    }
    cues.extend(carried);
    cues
}

impl Rater for EmbeddedRater {
    fn rate<'a>(&'a self, turn: &'a TurnInContext) -> RateFuture<'a> {
        Box::pin(std::future::ready(self.rate_now(turn)))
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::sentiment::{ContextTurn, Speaker};

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

    fn after_anger(agent: &str, text: &str) -> Rating {
        let before = |speaker, text: &str, sentiment: Option<f64>| ContextTurn {
            speaker,
            text: text.to_owned(),
            sentiment: sentiment.map(Sentiment::clamped),
        };
        let earlier = vec![
            before(Speaker::Caller, "you people are useless liars, nobody helps", Some(1.3)),
            before(Speaker::Agent, "One moment.", None),
            before(Speaker::Caller, "this is the third time i've called and nobody does anything", Some(1.8)),
            before(Speaker::Agent, agent, None),
        ];
        EmbeddedRater.rate_now(&TurnInContext { text: text.to_owned(), lang: None, earlier }).unwrap()
    }

    #[test]
    fn sounds_of_listening_are_filler_after_anger_too() {
        for text in
            ["mm-hmm", "hm", "hmm", "Hmmm.", "oh", "ah", "sure", "correct", "hello", "hello?", "hi", "bye", "Mm. Okay."]
        {
            let rating = after_anger("Let me check that.", text);
            assert!(rating.filler && rating.sentiment.value() == 5.0, "{text}: {}", rating.sentiment);
        }
    }

    #[test]
    fn curt_hostile_answers_after_anger_are_no_filler() {
        for text in [
            "bullshit",
            "piss off",
            "oh come on",
            "same as before",
            "it's on the screen",
            "up yours",
            "third time",
            "it's in the notes",
            "you must be joking",
            "operator",
            "a human",
            "oh please",
            "so what",
            "oh wow",
            "so",
            "I see.",
            "****",
        ] {
            let rating = after_anger("i'm sorry, one moment", text);
            assert!(!rating.filler, "{text}: {}", rating.sentiment);
        }
    }

    #[test]
    fn masked_data_is_not_anger_and_masked_profanity_is() {
        let after = |agent: &str, text: &str| {
            let earlier = vec![ContextTurn { speaker: Speaker::Agent, text: agent.to_owned(), sentiment: None }];
            let turn = TurnInContext { text: text.to_owned(), lang: None, earlier };
            EmbeddedRater.rate_now(&turn).unwrap().sentiment.value()
        };
        for (agent, text) in [
            ("Welcome to First Bank. May I have your name?", "My name is *****."),
            ("And your PIN?", "It's ****."),
            ("And your mother's maiden name?", "****."),
            ("How can I help?", "my name is ***** ****** and my date of birth is ********"),
            ("How can I help?", "hi, my pin is **** and i'd like my balance"),
        ] {
            assert!(after(agent, text) >= 4.5, "{text}: {}", after(agent, text));
        }
        for (agent, text) in [
            ("And your PIN?", "what the **** is wrong with you"),
            ("I understand.", "****"),
            ("And your PIN?", "not this **** thing again"),
        ] {
            assert!(after(agent, text) < 4.0, "{text}: {}", after(agent, text));
        }
    }

    #[test]
    fn another_language_is_unrated_not_wrong() {
        let turn = TurnInContext::alone("ich habe jetzt schon dreimal angerufen und niemand kann mir weiterhelfen");
        assert!(matches!(EmbeddedRater.rate_now(&turn), Err(RateError::Language { .. })));
    }
}
