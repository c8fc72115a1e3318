//! Streams as recognisers and platforms really send them: clocks and ids that begin anew, ends that do not come, tails,
//! echoes, repeats. No caller word is lost, none counts twice, and a warning says what was odd.

use std::path::Path;

use sentiment_sidecar::call::report::Report;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::recording::{CutLine, Recording};
use sentiment_sidecar::replay::engine;
use sentiment_sidecar::replay::played::Played;
use sentiment_sidecar::sentiment::embedded::EmbeddedRater;

fn play(name: &str) -> Played {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/streams/{name}.jsonl"));
    let text = std::fs::read_to_string(path).unwrap();
    let recording = Recording::read(text.as_bytes(), name, CutLine::Refuse).unwrap();
    let settings = Settings::default();
    let replayed = engine::replay(&recording, &settings, &EmbeddedRater, None);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(replayed)
}

fn texts(played: &Played) -> Vec<&str> {
    played.turns().into_iter().map(|turn| turn.text()).collect()
}

#[track_caller]
fn warned(played: &Played, of: &[&str]) {
    let told: Vec<&str> = played.warnings().filter(|told| told.starts_with("odd: ")).collect();
    assert_eq!(told.len(), of.len(), "{told:?}");
    for (told, of) in told.iter().zip(of) {
        assert!(told.contains(of), "{told:?}");
    }
}

/// The same call, clean and odd: it comes to the same turns.
#[track_caller]
fn the_same_as_clean(odd: &str, clean: &str, warnings: &[&str]) {
    let (odd, clean) = (play(odd), play(clean));
    assert_eq!(texts(&odd), texts(&clean));
    assert!(clean.at_turn().is_some());
    assert_eq!(odd.at_turn(), clean.at_turn());
    warned(&odd, warnings);
    warned(&clean, &[]);
}

#[test]
fn a_recogniser_whose_clock_begins_anew_changes_nothing() {
    the_same_as_clean("clock_bad", "clock_ok", &["the times of \"p1\" began anew"]);
}

#[test]
fn segment_ids_and_revisions_that_begin_anew_take_no_words_away() {
    the_same_as_clean("ids_bad", "ids_ok", &["segment ids of \"p1\" came again"]);
}

#[test]
fn a_tail_after_the_end_of_a_turn_is_rated_with_it() {
    the_same_as_clean("tail_bad", "tail_ok", &["after the end of their turn"]);
    let played = play("R13_tail_text_only");
    assert_eq!(texts(&played)[0], "So I called yesterday, and you people lied to me, this is a disgrace.");
    assert_eq!(played.at_turn(), Some(3));
    warned(&played, &["after the end of their turn"]);
}

#[test]
fn turns_whose_end_does_not_come_are_turns_all_the_same() {
    for odd in ["turnend_bad_every2nd_lost", "turnend_bad_stop_after_first_cap"] {
        the_same_as_clean(odd, "turnend_ok", &["no turn.ended came for what \"p1\" said"]);
    }
}

#[test]
fn a_role_is_known_by_its_other_names() {
    for name in ["P_user", "P_customer"] {
        let played = play(name);
        assert_eq!(played.at_turn(), Some(3));
        warned(&played, &[]);
    }
}

#[test]
fn a_caller_who_is_back_under_an_id_that_nobody_announced_goes_on_being_the_caller() {
    let played = play("R7b_new_id_unannounced");
    assert_eq!(played.at_turn(), Some(3));
    warned(&played, &["\"p7\" speaks and was never announced; taken for the caller"]);
}

#[test]
fn a_fractional_or_negative_time_costs_no_words() {
    let played = play("F_float");
    assert_eq!(played.at_turn(), Some(3));
    warned(&played, &["in transcript, `start_ms` is no whole number", "in transcript, `end_ms` is no whole number"]);
    let played = play("F_negative");
    assert_eq!(played.at_turn(), Some(3));
    warned(&played, &["in transcript, `start_ms` is negative"]);
}

#[test]
fn words_that_come_again_formatted_stand_once() {
    let played = play("R9t_formatted_repeat_times");
    let once =
        ["The box came damaged again.", "I already gave you that number.", "I did not get the email you promised."];
    assert_eq!(texts(&played), once);
    warned(&played, &["under two segment ids; they stand once"]);
}

#[test]
fn an_echo_of_the_agent_is_no_caller_turn() {
    let played = play("R5c_echo_apology");
    assert_eq!((played.turn_count(), played.at_turn()), (0, None));
    warned(&played, &["the agent was heard on the caller's line"]);
    let ended = played.reports.iter().map(|(_, report)| report).find(|report| matches!(report, Report::Ended { .. }));
    let ended = serde_json::to_value(ended).unwrap();
    assert_eq!(ended["doubt"], "nobody_heard");
}

#[test]
fn one_outburst_that_the_room_cuts_at_its_pauses_is_one_turn() {
    let played = play("R4b_one_outburst_three_turns");
    let whole = "You people are useless. Absolutely useless. I have told you this three times already.";
    assert_eq!(texts(&played), [whole, "Okay, thank you."]);
    assert_eq!(played.at_turn(), None);
}
