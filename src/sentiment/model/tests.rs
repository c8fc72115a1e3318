#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::time::Instant;

use serde::Deserialize;

use super::*;
use crate::sentiment::ContextTurn;

/// So many of the single lines may be further off than a point and a half, or on the wrong side of 3.
const LINES_MISSED: usize = 11;

#[derive(Deserialize)]
struct Golden {
    text: String,
    earlier: Vec<ContextTurn>,
    words: Vec<String>,
    own: [f32; HEADS],
    context: [f32; HEADS],
    outputs: [f32; OUTPUTS],
    moved: f32,
}

fn close(mine: &[f32], golden: &[f32], what: &str, text: &str) {
    for (a, b) in mine.iter().zip(golden) {
        assert!((a - b).abs() < 1e-3, "{what} of {text:?}: {mine:?} here, {golden:?} in the recipe");
    }
}

#[test]
fn the_program_scores_as_the_recipe_does() {
    let rows: Vec<Golden> = serde_json::from_str(include_str!("golden.json")).unwrap();
    assert!(rows.len() >= 200);
    let model = Model::embedded();
    for row in rows {
        let turn = TurnInContext { text: row.text.clone(), lang: None, earlier: row.earlier };
        let view = View::of(&turn);
        let words: Vec<&str> = view.words.iter().map(|word| word.text.as_str()).collect();
        assert_eq!(words, row.words, "{:?}", row.text);
        let ([words, letters], asked) = (view.own(), view.asked());
        let own = model.weights.own.score(&[&words, &letters]);
        let context = model.weights.context.score(&[&words, &letters, &asked]);
        close(&own, &row.own, "own", &row.text);
        close(&context, &row.context, "context", &row.text);
        let outputs = model.outputs(&view, &own, &context);
        close(&outputs, &row.outputs, "outputs", &row.text);
        // The recipe's is not bounded.
        let moved = model.history(&view, outputs[0], &context, &turn);
        close(&[moved], &[history::bounded(outputs[0], row.moved)], "history", &row.text);
    }
}

fn rate(text: &str) -> super::super::Rating {
    ModelRater.rate_now(&TurnInContext::alone(text)).unwrap()
}

/// Lines of a table, without remarks.
fn table(text: &str) -> impl Iterator<Item = (f64, &str)> {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines.map(|line| line.split_once('\t').map(|(rating, line)| (rating.parse().unwrap(), line)).unwrap())
}

fn rated(turn: &TurnInContext) -> super::super::Rating {
    crate::sentiment::embedded::EmbeddedRater.rate_now(turn).unwrap()
}

#[test]
fn single_lines_are_rated_as_the_rubric_says() {
    let mut wrong = Vec::new();
    for (gold, line) in table(include_str!("cases/lines.tsv")) {
        let mine = rated(&TurnInContext::alone(line)).sentiment.value();
        if (mine - gold).abs() > 1.5 || (mine < 3.0) != (gold < 3.0) {
            wrong.push((gold, mine, line));
        }
    }
    assert!(wrong.len() <= LINES_MISSED, "{wrong:#?}");
}

/// Callers before the line: nobody, a friendly one, a furious one.
const BEFORE: [&[&str]; 3] = [
    &[],
    &[
        "Hi there, hope you're having a lovely day!",
        "Oh that's great, thank you so much.",
        "Wonderful, you're very kind.",
    ],
    &["You people are useless, this is a disgrace!", "I'm sick of your lies, I want my money back right now!"],
];

/// The line at the end of a call in which these were said before, each rated in its turn.
fn after(said: &[&str], line: &str) -> TurnInContext {
    let mut turn = TurnInContext::alone("");
    for text in said {
        turn.text = (*text).to_owned();
        let sentiment = Some(rated(&turn).sentiment);
        turn.earlier.push(ContextTurn { speaker: Speaker::Caller, text: turn.text.clone(), sentiment });
    }
    turn.text = line.to_owned();
    turn
}

#[test]
fn what_went_before_does_not_repaint_a_line() {
    let (mut angry, mut plain) = (0, 0);
    for (gold, line) in table(include_str!("cases/history.tsv")) {
        let ratings = BEFORE.map(|said| rated(&after(said, line)).sentiment.value());
        let (least, most) = ratings.iter().fold((10.0f64, 1.0f64), |(l, m), r| (l.min(*r), m.max(*r)));
        assert!(most - least <= 1.5, "{line}: {ratings:?}");
        if gold < 3.0 {
            angry += usize::from(ratings[1] < 3.0);
        } else {
            plain += usize::from(ratings[2] < 3.0);
        }
    }
    assert!(angry >= 11, "{angry} of 12 angry lines are low after a friendly call");
    assert_eq!(plain, 0, "plain lines are not low after an angry one");
}

#[test]
fn plain_answers_after_anger_do_not_make_a_streak() {
    let text = include_str!("cases/plain-after-anger.txt");
    let calls = text.split_once('\n').unwrap().1.split("\n\n");
    let mut escalated = 0;
    for call in calls {
        let mut turn = TurnInContext::alone("");
        let mut low = 0;
        for line in call.lines() {
            let (who, said) = line.split_once(' ').unwrap();
            turn.text = said.to_owned();
            let sentiment = (who == "C").then(|| rated(&turn)).map(|rating| {
                low += usize::from(rating.sentiment.is_below(3));
                rating.sentiment
            });
            let speaker = if who == "C" { Speaker::Caller } else { Speaker::Agent };
            turn.earlier.push(ContextTurn { speaker, text: turn.text.clone(), sentiment });
        }
        escalated += usize::from(low >= 3);
    }
    assert!(escalated <= 2, "{escalated} of 32");
}

#[test]
fn history_moves_no_rating_past_its_bound() {
    let furious = vec![1.0; 12];
    let delighted = vec![10.0; 12];
    for text in [
        "no",
        "and then what happens",
        "I was told Tuesday",
        "great, thanks",
        "this is a disgrace",
        "so who do I speak to",
    ] {
        for ratings in [&furious, &delighted] {
            let earlier = |rating: &f64| ContextTurn {
                speaker: Speaker::Caller,
                text: "so".to_owned(),
                sentiment: Some(Sentiment::clamped(*rating)),
            };
            let turn = TurnInContext { earlier: ratings.iter().map(earlier).collect(), ..TurnInContext::alone(text) };
            let scores = Model::embedded().score(&turn);
            let (lowered, raised) = most_by_history(scores.words);
            assert!((-lowered..=raised).contains(&scores.history), "{text}: {scores:?}");
            assert!(lowered <= 0.7 && raised <= 0.35, "as the model card says");
            assert_eq!(Model::embedded().score(&TurnInContext::alone(text)).words, scores.words, "{text}");
        }
    }
}

#[test]
fn case_punctuation_fillers_and_repeats_move_nothing() {
    let plain = rate("this is the third time i have called and nobody can tell me anything");
    for other in [
        "This is the third time I have called, and nobody can tell me anything!",
        "um this is the the third time i've called uh and nobody can tell me anything",
        "THIS IS THE 3RD TIME I'VE CALLED AND NOBODY CAN TELL ME ANYTHING",
        "thi- this is the third time i ve called and nobody can tell me anything",
    ] {
        assert_eq!(rate(other).sentiment, plain.sentiment, "{other}");
    }
}

#[test]
fn anger_reads_lower_than_calm_facts_and_thanks_higher() {
    let angry = rate("this is ridiculous, I've called five times and you people are useless").sentiment;
    let facts = rate("my card was stolen this morning and I need to cancel it").sentiment;
    let thanks = rate("oh that's wonderful, thank you so much, you've been so helpful").sentiment;
    assert!(angry.is_below(3), "{angry}");
    assert!(facts.value() > 3.9, "{facts}");
    assert!(thanks.value() > 6.5, "{thanks}");
}

#[test]
fn the_words_that_moved_the_score_are_quoted_from_the_text() {
    let text = "Well, this is absolutely RIDICULOUS, nobody cares";
    let scores = Model::embedded().score(&TurnInContext::alone(text));
    let worst = scores.contributions.iter().min_by(|a, b| a.effect.total_cmp(&b.effect)).unwrap();
    assert!(text[worst.at.clone()].contains("RIDICULOUS") || text[worst.at.clone()].contains("nobody"), "{scores:?}");
}

#[test]
fn any_text_of_any_length_is_rated_in_bounded_time() {
    let long = "nobody 🙂 cares… ".repeat(200_000);
    let odd = ["\0", "\u{202e}\u{feff}", "ﷺ", "👩‍👩‍👧", "İİİ", "a\u{301}", "'", "---", long.as_str()];
    let began = Instant::now();
    for text in odd {
        let _ = ModelRater.rate_now(&TurnInContext::alone(text));
        let _ = Model::embedded().score(&TurnInContext::alone(text));
    }
    assert!(began.elapsed().as_secs() < 5, "{:?}", began.elapsed());
}

#[test]
fn other_languages_come_out_unrated() {
    for (text, lang) in [
        ("Hola, llevo tres semanas esperando mi pedido y nadie me dice nada", "spa"),
        ("Bonjour, cela fait trois semaines que j'attends ma commande et personne ne répond", "fra"),
        ("Guten Tag, ich warte seit drei Wochen auf meine Bestellung und niemand hilft mir weiter", "deu"),
        ("quiero hablar con una persona por favor", "spa"),
        ("eu quero falar com um atendente agora", "por"),
        ("ich möchte mit einem Menschen sprechen bitte", "deu"),
        ("제 주문이 어디에 있는지 알려 주세요", "kor"),
        ("你好我的订单在哪里", "cmn"),
    ] {
        let error = ModelRater.rate_now(&TurnInContext::alone(text)).unwrap_err();
        assert_eq!(error, super::super::RateError::Language { lang: lang.to_owned() }, "{text}");
    }
    // Which Cyrillic language it is, the detector may mistake; that it is not English, it may not.
    assert!(ModelRater.rate_now(&TurnInContext::alone("Здравствуйте, где мой заказ")).is_err());
    let tagged = TurnInContext { lang: Some("es-MX".into()), ..TurnInContext::alone("no") };
    assert!(ModelRater.rate_now(&tagged).is_err());
}

#[test]
fn short_or_odd_english_is_rated() {
    for text in [
        "",
        "no",
        "Siobhan Nguyen",
        "lima echo tango oscar november",
        "5 5 5",
        "a la carte for the Los Angeles order please",
    ] {
        assert!(ModelRater.rate_now(&TurnInContext::alone(text)).is_ok(), "{text}");
    }
    let tagged =
        TurnInContext { lang: Some("en-GB".into()), ..TurnInContext::alone("Guten Tag, ich warte seit drei Wochen") };
    assert!(ModelRater.rate_now(&tagged).is_ok());
}

#[test]
fn weights_for_other_features_or_cut_short_are_refused() {
    assert_eq!(Model::read(b"nope", ENCODER).err(), Some(WeightsError::Magic));
    assert!(matches!(Model::read(&WEIGHTS[..100], ENCODER).err(), Some(WeightsError::Size { .. })));
    let mut other = WEIGHTS.to_vec();
    other[8] ^= 1;
    let other: &'static [u8] = other.leak();
    assert!(matches!(
        Model::read(other, ENCODER).err(),
        Some(WeightsError::Mismatch { what: "feature fingerprint", .. })
    ));
}
