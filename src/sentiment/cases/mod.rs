//! What the rater by cues must get right: plain cases over the whole rubric, turns in context, and properties.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use proptest::prelude::*;

use super::embedded::EmbeddedRater;
use super::lexical::rate;
use super::{ContextTurn, CueKind, Label, Rating, Sentiment, Speaker, TurnInContext};
use crate::clock::measured;

fn alone(text: &str) -> Rating {
    rate(&TurnInContext::alone(text))
}

fn sentiment(text: &str) -> f64 {
    alone(text).sentiment.value()
}

fn turn(speaker: Speaker, text: &str) -> ContextTurn {
    ContextTurn { speaker, text: text.to_owned(), sentiment: None }
}

fn after(earlier: &[(Speaker, &str)], text: &str) -> Rating {
    let earlier = earlier.iter().map(|&(speaker, text)| turn(speaker, text)).collect();
    rate(&TurnInContext { text: text.to_owned(), lang: None, earlier })
}

/// From, to (both included), and what is said out of any context.
const CASES: &[(f64, f64, &str)] = &[
    // Frustrated or angry at us.
    (1.0, 2.9, "This is ridiculous, I've been trying to fix this for three days!"),
    (1.0, 2.9, "this is ridiculous ive been trying to fix this for three days"),
    (1.0, 2.9, "Nobody at your company seems to care."),
    (1.0, 2.9, "nobody at your company seems to care"),
    (1.0, 2.9, "I want to speak to someone who can actually help."),
    (1.0, 2.9, "i want to speak to someone who can actually help"),
    (1.0, 2.9, "you people are completely useless"),
    (1.0, 2.9, "get me your manager right now"),
    (1.0, 2.9, "give me a human being for pity's sake"),
    (1.0, 2.9, "i am furious with you"),
    (1.0, 2.9, "i'm so angry i could scream"),
    (1.0, 2.9, "i'm going to sue you"),
    (1.0, 2.9, "my solicitor will be writing to you and so will the ombudsman"),
    (1.0, 2.9, "i'm cancelling everything and you've lost a customer"),
    (1.0, 2.9, "thanks for nothing"),
    (1.0, 2.9, "what a joke this company is"),
    (1.0, 2.9, "this is the worst service ever"),
    (1.0, 2.9, "you lied to me"),
    (1.0, 2.9, "you're a bunch of thieves"),
    (1.0, 2.9, "shame on you all of you"),
    (1.0, 2.9, "how dare you charge me for that"),
    (1.0, 2.9, "are you even listening to me"),
    (1.0, 2.9, "i'm sick and tired of being passed around by you people"),
    (1.0, 2.9, "that's four times i've told you people and nobody ever calls back"),
    (1.0, 2.9, "stop reading me that script and get me a person"),
    (1.0, 2.9, "you don't care do you not one of you"),
    (1.0, 2.9, "this is unacceptable"),
    (1.0, 2.9, "i've had enough of you people"),
    // A complaint, composed.
    (1.8, 3.9, "i already gave you that"),
    (1.8, 3.9, "that's not what i was told"),
    (1.8, 3.9, "i'm very disappointed"),
    (1.8, 3.9, "nobody called me back"),
    (1.8, 3.9, "this is the third time i've called"),
    (2.0, 4.4, "you said it would come on monday and it never came"),
    (2.0, 4.4, "i've called four times"),
    (2.0, 4.4, "i'm not happy with this"),
    (2.0, 4.4, "your app charged me twice"),
    (2.0, 4.4, "i've been on hold for forty minutes"),
    // A sigh, a worry.
    (3.0, 4.9, "hmm that's not great"),
    (3.0, 4.9, "how long is this going to take"),
    (3.0, 5.0, "i'm a bit worried about it"),
    (3.0, 5.0, "it still isn't working"),
    // Calm: requests, bad facts, urgency, anger at others.
    (4.6, 6.0, "how do i reset my password"),
    (4.5, 6.0, "my card was stolen"),
    (5.0, 6.0, "I need to cancel my order"),
    (4.5, 6.0, "my father passed away and I need to close his account"),
    (5.0, 6.0, "can i speak to someone about a mortgage"),
    (4.5, 6.0, "what are your opening hours"),
    (4.5, 6.0, "i want to change my address please"),
    // Words that impatient callers use too.
    (4.0, 6.0, "could you tell me my balance please"),
    (4.5, 6.0, "i'd like to cancel my subscription please"),
    (4.5, 6.0, "i have a question about my invoice"),
    (4.5, 6.5, "hello i'm calling about a delivery"),
    (4.5, 6.0, "is there a way to update my email"),
    (4.5, 6.0, "i was wondering if you could check a booking"),
    (4.5, 6.0, "the website is down"),
    (4.5, 6.0, "someone stole my bike"),
    (4.5, 6.0, "i was in a car accident"),
    (4.5, 6.0, "i lost my phone"),
    (4.5, 6.0, "please hurry someone is breaking in"),
    (4.5, 6.0, "it's urgent my flight leaves in an hour"),
    (4.2, 6.0, "my ex is a crook and he took my card"),
    (4.2, 6.0, "the burglar smashed the window"),
    (4.2, 6.0, "my neighbour is an idiot he cut the cable"),
    (4.5, 6.0, "where is my nearest branch"),
    (4.5, 6.5, "that's fine let's do tuesday"),
    // Bare answers.
    (5.0, 5.0, "yes"),
    (5.0, 5.0, "it's four five two"),
    (5.0, 5.0, "john smith"),
    (5.0, 5.0, "um yes please"),
    (5.0, 5.0, "hold on let me get it"),
    (5.0, 5.0, "one two three four"),
    (5.0, 5.0, "yeah"),
    (5.0, 5.0, "s m i t h"),
    (5.0, 5.0, ""),
    // Pleased.
    (5.5, 7.4, "great thanks"),
    (5.2, 7.0, "sounds good"),
    (5.2, 7.4, "can't complain"),
    (5.5, 7.5, "no problem thank you"),
    (6.0, 8.0, "thank you very much"),
    (6.0, 8.5, "oh lovely thank you so much"),
    (6.5, 9.5, "that's brilliant thank you so much you've been so helpful"),
    (7.0, 10.0, "you've made my day thank you so much you're a star"),
    (7.0, 10.0, "that's amazing i love it thank you so much"),
    (7.0, 10.0, "bless you that's the best news i've had all year"),
    // Turned around.
    (2.0, 4.8, "i'm not happy"),
    (1.5, 4.8, "that's not good enough"),
    (4.5, 7.0, "it's not your fault"),
    (4.5, 7.0, "no worries"),
];

#[test]
fn plain_cases_over_the_whole_rubric() {
    let wrong: Vec<String> = CASES
        .iter()
        .map(|&(from, to, text)| (from, to, text, alone(text)))
        .filter(|(from, to, _, rating)| !(*from..=*to).contains(&rating.sentiment.value()))
        .map(|(from, to, text, rating)| {
            format!("{text:?} is {}, not {from} to {to}: {:?}", rating.sentiment, rating.cues)
        })
        .collect();
    assert!(wrong.is_empty(), "{} of {}:\n{}", wrong.len(), CASES.len(), wrong.join("\n"));
    assert!(CASES.len() >= 80);
}

#[test]
fn the_cues_say_why_in_the_callers_own_words() {
    let rating = alone("Nobody at your company seems to CARE!");
    assert_eq!(rating.label, Label::Negative);
    assert_eq!(rating.cues[0].text, "Nobody at your company seems to CARE");
    assert_eq!(rating.cues[0].kind, CueKind::Blame);
    assert!(rating.cues[0].effect < 0.0);
    let kinds = |text: &str| alone(text).cues.into_iter().map(|cue| cue.kind).collect::<Vec<_>>();
    assert!(kinds("get me your manager").contains(&CueKind::HumanRequest));
    assert!(kinds("the ombudsman will hear of it").contains(&CueKind::Threat));
    assert!(kinds("thank you so much that was lovely but it broke again").contains(&CueKind::Contrast));
    assert!(kinds("that was not very helpful").contains(&CueKind::Negation));
    assert!(kinds("thank you so much").contains(&CueKind::Praise));
}

#[test]
fn cues_come_strongest_first() {
    let rating = alone("you people are useless and i am furious get me your manager");
    assert!(rating.cues.windows(2).all(|pair| pair[0].effect.abs() >= pair[1].effect.abs()), "{:?}", rating.cues);
}

const ANGRY: [(Speaker, &str); 4] = [
    (Speaker::Caller, "this is ridiculous you people never listen"),
    (Speaker::Agent, "i am sorry about that"),
    (Speaker::Caller, "nobody at your company seems to care"),
    (Speaker::Agent, "may i have your account number"),
];

#[test]
fn a_datum_in_an_angry_call_stays_neutral_filler() {
    let rating = after(&ANGRY, "four four one two nine");
    assert!(rating.filler);
    assert_eq!(rating.sentiment.value(), 5.0);
}

#[test]
fn a_short_complaint_weighs_more_in_an_angry_call() {
    let text = "i gave you that on monday";
    let rating = after(&ANGRY, text);
    assert!(rating.sentiment.value() < sentiment(text) - 0.5, "{rating:?}");
    assert!(rating.cues.iter().any(|cue| cue.kind == CueKind::Context && cue.effect < 0.0), "{rating:?}");
}

#[test]
fn ratings_that_come_with_the_context_count_instead_of_our_own() {
    let mut context = TurnInContext::alone("i gave you that on monday");
    context.earlier = vec![turn(Speaker::Caller, "i was at home that whole day"); 3];
    let calm = rate(&context).sentiment;
    context.earlier.iter_mut().for_each(|turn| turn.sentiment = Some(Sentiment::clamped(1.5)));
    assert!(rate(&context).sentiment.value() < calm.value() - 0.5);
}

#[test]
fn an_agents_words_alone_move_nothing() {
    let text = "i was there at nine and the door was closed";
    let rated = |agent: &str| after(&[(Speaker::Agent, agent)], text).sentiment;
    let plain = rated("okay");
    for agent in
        ["you are an idiot and this is ridiculous", "thank you so much wonderful", "i apologise for your frustration"]
    {
        assert_eq!(rated(agent), plain);
    }
}

#[test]
fn a_no_to_whether_it_helped_is_no_bare_answer() {
    let asked = [(Speaker::Agent, "did that help with your problem")];
    assert!(!after(&asked, "no").filler);
    assert!(after(&asked, "no").sentiment.value() < 5.0);
    assert!(after(&[(Speaker::Agent, "do you have another account")], "no").filler);
}

#[test]
fn saying_again_what_was_said_is_a_cue() {
    let rating =
        after(&[(Speaker::Caller, "the box was empty when it came")], "like before the box was empty when it came");
    assert!(rating.cues.iter().any(|cue| cue.kind == CueKind::Repetition), "{rating:?}");
}

#[test]
fn urgency_without_blame_lowers_nothing() {
    let (urgent, calm) = (alone("there is a gas leak i need help right now"), alone("i need a form"));
    assert!(urgent.urgency.value() > calm.urgency.value() + 0.15, "{urgent:?}");
    assert!(urgent.sentiment.value() >= 4.5, "{urgent:?}");
}

#[test]
fn frustration_grows_as_sentiment_falls() {
    let order =
        ["thank you so much", "i want to change my address", "i've called four times", "you people are useless"];
    let felt: Vec<f64> = order.iter().map(|text| alone(text).frustration.value()).collect();
    assert!(felt.is_sorted(), "{felt:?}");
    assert!(felt[1] < 0.25 && felt[3] > 0.6, "{felt:?}");
}

/// What a recogniser may do to the same words: at most half a point.
fn same(text: &str, otherwise: &str) {
    let moved = (sentiment(text) - sentiment(otherwise)).abs();
    assert!(moved <= 0.5, "{text:?} and {otherwise:?} differ by {moved}");
}

#[test]
fn case_punctuation_and_apostrophes_move_nothing() {
    for (_, _, text) in CASES {
        same(text, &text.to_uppercase());
        same(text, &text.replace(['\'', ',', '.', '!'], ""));
        same(text, &text.replace(' ', ", ").replace('\'', "\u{2019}"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn hesitations_and_repeated_words_move_a_rating_by_at_most_half_a_point(
        case in 0..CASES.len(),
        at in any::<prop::sample::Index>(),
        sound in prop::sample::select(vec!["um", "uh", "er", "erm", "i mean"]),
    ) {
        let words: Vec<&str> = CASES[case].2.split_whitespace().collect();
        prop_assume!(!words.is_empty());
        let at = at.index(words.len());
        let mut hesitant = words.clone();
        hesitant.insert(at, sound);
        same(CASES[case].2, &hesitant.join(" "));
        let mut repeated = words.clone();
        repeated.insert(at, words[at]);
        same(CASES[case].2, &repeated.join(" "));
    }

    #[test]
    fn any_text_in_any_context_gets_a_rating_within_its_ranges(
        text in "\\PC{0,200}|[a-z' ]{0,400}",
        earlier in prop::collection::vec(("\\PC{0,60}", any::<bool>()), 0..14),
    ) {
        let earlier = earlier.iter().map(|(text, agent)| turn(if *agent { Speaker::Agent } else { Speaker::Caller }, text));
        let rating = rate(&TurnInContext { text, lang: None, earlier: earlier.collect() });
        prop_assert!((1.0..=10.0).contains(&rating.sentiment.value()));
        prop_assert!((-1.0..=1.0).contains(&rating.valence.value()));
        prop_assert!(rating.cues.iter().all(|cue| cue.effect.is_finite()));
        prop_assert_eq!(rating.label, Label::of(rating.sentiment));
        // What is written down reads back the same.
        let again: Rating = serde_json::from_str(&serde_json::to_string(&rating).unwrap()).unwrap();
        prop_assert_eq!(again, rating);
    }
}

#[test]
fn a_turn_of_megabytes_is_rated_at_once() {
    for piece in ["you people ", "\u{4f60}\u{597d}", "a", "e\u{301}\u{200d}", "four ", "i don't i don't "] {
        // Of both only the end is read. Reading it all would take twenty times as long at the least.
        let [short, long] = [20_000, 400_000].map(|times| piece.repeat(times));
        let read = |text: &str| drop(alone(text));
        assert_eq!(measured::is_within(10, || read(&short), || read(&long)), Ok(()), "{piece:?}");
    }
}

/// The rows of a file of cases: tab-separated, comments aside.
fn rows(file: &'static str) -> impl Iterator<Item = Vec<&'static str>> {
    file.lines().filter(|line| !line.starts_with('#')).map(|line| line.split('\t').collect())
}

#[test]
fn curt_hostile_replies_are_no_fillers_and_data_answers_are() {
    let call = |text: &str| {
        let earlier = [
            turn(Speaker::Caller, "this is the third time i've called and nobody does anything"),
            turn(Speaker::Agent, "i'm sorry can you confirm your account number"),
        ];
        TurnInContext { text: text.to_owned(), lang: None, earlier: earlier.into() }
    };
    for row in rows(include_str!("curt.tsv")) {
        assert!(!rate(&call(row[0])).filler, "{row:?}");
        assert!(!EmbeddedRater.rate_now(&call(row[0])).unwrap().filler, "{row:?}");
    }
    for text in [
        "4 5 2 2",
        "four five two oh",
        "it's m four two seven q p",
        "john mcallister",
        "yeah it's kowalczyk",
        "the fourteenth of may nineteen eighty",
        "yes that's right",
        "hold on one second",
    ] {
        assert!(rate(&call(text)).filler, "{text}");
    }
}

#[test]
fn other_languages_neither_count_nor_reset_and_mixtures_are_rated_by_their_english() {
    for row in rows(include_str!("foreign.tsv")) {
        let (language, text) = (row[0], row[1]);
        let rated = EmbeddedRater.rate_now(&TurnInContext::alone(text));
        match language {
            "en" | "loan" => assert!(rated.is_ok(), "{text}"),
            "mix" => assert!(
                rated.as_ref().is_err() || rated.as_ref().is_ok_and(|r| r.sentiment.value() < 4.5),
                "{text}: {rated:?}"
            ),
            _ => assert!(rated.as_ref().map_or(true, |rating| rating.filler), "{text}: {rated:?}"),
        }
    }
}

#[test]
fn asks_are_flagged_and_no_rush_is_none() {
    let asks = |text: &str| {
        let rating = alone(text);
        assert_eq!(
            rating.asks_human,
            rating.cues.iter().any(|cue| cue.kind == CueKind::HumanRequest),
            "{text}: {rating:?}"
        );
        rating.asks_human && !rating.filler
    };
    for text in ["is there any chance of speaking to a human", "agent agent agent", "operator", "representative please"]
    {
        assert!(asks(text), "{text}");
    }
    for text in
        ["no worries, no rush at all", "whenever you get a minute no hurry", "who is in charge of the bins", "4 5 2 2"]
    {
        assert!(!asks(text), "{text}");
    }
}

#[test]
fn lines_alone_are_read_for_what_they_are() {
    for row in rows(include_str!("lines.tsv")) {
        let (right, text) = (row[0].parse::<f64>().unwrap(), row[1]);
        let found = sentiment(text);
        // Only what the words themselves say; tone is for the model to hear.
        match right {
            1.0 if text.contains("fuck") => assert!(found < 2.0, "{text}: {found}"),
            5.0..=10.0 if !text.contains("complain") => assert!(found >= 4.0, "{text}: {found}"),
            _ => {}
        }
    }
}

#[test]
fn threats_and_insults_are_low_whatever_else_is_said() {
    for text in [
        "fuck off",
        "piss off you useless robot",
        "you piece of garbage",
        "you f***ing idiots",
        "go **** yourself",
        "i know where you work and i'll find you",
        "i'll see you in court",
        "you absolute imbeciles",
        "shove your apology up your arse",
    ] {
        assert!(sentiment(text) < 2.5, "{text}: {:?}", alone(text));
    }
    for text in ["this is f***ing brilliant thank you", "holy shit i didn't know that", "damn good job mate"] {
        assert!(sentiment(text) >= 4.5, "{text}: {:?}", alone(text));
    }
}

#[test]
fn a_turns_own_words_come_before_those_that_were_carried() {
    let rating = after(&ANGRY, "i gave you that on monday");
    assert!(rating.cues.iter().any(|cue| cue.carried), "{rating:?}");
    assert!(!rating.cues[0].carried, "{rating:?}");
    assert!(rating.cues.is_sorted_by_key(|cue| cue.carried), "{rating:?}");
    assert!(rating.cues.iter().all(|cue| cue.carried == (cue.kind == CueKind::Context)), "{rating:?}");
    let embedded = EmbeddedRater.rate_now(&TurnInContext::alone("i gave you that on monday")).unwrap();
    assert!(embedded.cues.iter().all(|cue| !cue.carried), "{embedded:?}");
}
