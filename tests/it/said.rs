//! Who said what is one thing wherever it is told: the turns that the core makes, of everybody, in the order of the call.

use std::path::{Path, PathBuf};
use std::time::Duration;

use sentiment_sidecar::call::said::Said;
use sentiment_sidecar::config::settings::Settings;
use sentiment_sidecar::recording::import::Source;
use sentiment_sidecar::recording::{CutLine, Header, Recording};
use sentiment_sidecar::replay::engine;
use sentiment_sidecar::replay::played::{Played, PlayedTurn};
use sentiment_sidecar::replay::report::{Printer, Replayed};
use sentiment_sidecar::replay::table::Table;
use sentiment_sidecar::replay::vcon::vcon;
use sentiment_sidecar::room::message::Role;
use sentiment_sidecar::sentiment::embedded::EmbeddedRater;

/// Recorded calls, clean ones and such as recognisers and platforms really send.
fn calls() -> Vec<(String, Recording)> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let files = |folder: &str| std::fs::read_dir(root.join(folder)).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<PathBuf> = files("fixtures").chain(files("tests/it/streams")).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "jsonl"));
    paths.sort();
    assert!(paths.len() > 40, "{paths:?}");
    paths.iter().map(|path| call(path)).collect()
}

fn call(path: &Path) -> (String, Recording) {
    let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
    let recording = Recording::read(std::fs::read(path).unwrap().as_slice(), &name, CutLine::Refuse).unwrap();
    (name, recording)
}

fn stream(name: &str) -> Recording {
    call(&Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/it/streams/{name}.jsonl"))).1
}

fn play(recording: &Recording) -> Played {
    let settings = Settings::default();
    let replayed = engine::replay(recording, &settings, &EmbeddedRater, None);
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(replayed)
}

fn texts(said: &[Said]) -> Vec<&str> {
    said.iter().map(|said| said.text.as_str()).collect()
}

#[test]
fn every_rated_turn_is_told_once_in_its_words_and_without_ratings_the_same_is_said() {
    for (name, recording) in calls() {
        let played = play(&recording);
        let told: Vec<_> =
            played.whole().filter_map(|(said, turn)| Some((turn?.number(), said.text.as_str()))).collect();
        let rated: Vec<_> = played.turns().into_iter().map(|turn| (turn.number(), turn.text())).collect();
        assert_eq!(told, rated, "{name}");
        assert_eq!(engine::said(&recording, &Settings::default()), played.said, "{name}");
    }
}

#[test]
fn a_vcons_dialogs_and_the_tables_rows_are_these_turns() {
    for (name, recording) in calls() {
        let played = play(&recording);
        let vcon = vcon(&recording, &played.said, None, 0, None);
        let dialogs = vcon["dialog"].as_array().unwrap();
        let bodies: Vec<_> = dialogs.iter().map(|dialog| dialog["body"].as_str().unwrap()).collect();
        assert_eq!(bodies, texts(&played.said), "{name}");
        for (dialog, said) in dialogs.iter().zip(&played.said) {
            let party = &vcon["parties"][usize::try_from(dialog["parties"][0].as_u64().unwrap()).unwrap()];
            assert_eq!(party["role"], serde_json::to_value(said.role).unwrap(), "{name}: {said:?}");
        }
        let rows = rows(&name, recording, played.clone());
        let shown: Vec<_> = rows.iter().filter(|row| !row.contains('▲')).collect();
        assert_eq!(shown.len(), played.said.len(), "{name}: {rows:#?}");
        for (row, (said, turn)) in shown.into_iter().zip(played.whole()) {
            let number = turn.map(|turn: &PlayedTurn| turn.number().to_string()).unwrap_or_default();
            let words = said.text.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(row.contains(&words) && row.trim_start().starts_with(&number), "{name}: {row} for {said:?}");
        }
    }
}

/// The rows of a call's table.
fn rows(name: &str, recording: Recording, played: Played) -> Vec<String> {
    let source = Source {
        name: name.to_owned(),
        call_id: None,
        recording: Recording { header: Header::default(), ..recording },
        warnings: Vec::new(),
        labels: None,
        people: Vec::new(),
        began: None,
    };
    let replayed = Replayed::new(source, Settings::default(), played, Duration::ZERO);
    let mut out = Vec::new();
    Table::new(100_000).call(&mut out, &replayed).unwrap();
    let plain = anstream::adapter::strip_bytes(&out).into_vec();
    let lines = String::from_utf8(plain).unwrap();
    let rows =
        lines.lines().skip(2).take_while(|line| !line.starts_with("  escalated at") && !line.starts_with("  not "));
    // A row's marks may go on below it.
    let rows = rows.filter(|line| line.chars().nth(5).is_some_and(|c| c != ' '));
    rows.map(str::to_owned).collect()
}

#[test]
fn what_recognisers_and_rooms_do_to_a_stream_is_seen_through() {
    let callers = |name: &str| -> Vec<String> {
        let said = engine::said(&stream(name), &Settings::default());
        said.into_iter().filter(|said| said.role == Role::Caller).map(|said| said.text).collect()
    };
    // Ids and clocks that begin anew take no words away and change no order.
    assert_eq!(callers("ids_bad"), callers("ids_ok"));
    assert_eq!(callers("clock_bad"), callers("clock_ok"));
    assert_eq!(callers("tail_bad"), callers("tail_ok"));
    // What is cut, said twice, or said by somebody whom nobody announced.
    assert_eq!(callers("R4b_one_outburst_three_turns").len(), 2);
    assert_eq!(callers("R9t_formatted_repeat_times").len(), 3);
    assert_eq!(callers("R7b_new_id_unannounced").len(), 3);
    // An echo is no caller turn, and was heard all the same.
    let echo = play(&stream("R5c_echo_apology"));
    assert_eq!((echo.said.len(), echo.whole().filter(|(_, turn)| turn.is_some()).count()), (6, 0));
}
