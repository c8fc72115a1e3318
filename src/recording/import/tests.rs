//! Each sample of a format is read to the turns that its `.turns` file beside it has, which a person wrote from reading
//! the sample; and nothing done to a sample makes its importer panic.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use proptest::prelude::*;

use super::*;
use crate::room::message::RoomMessage;

/// Folders of samples: ours, and one that `FORMAT_SAMPLES` names, for files that may not be given on.
fn samples() -> Vec<(PathBuf, Vec<u8>)> {
    let ours = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/formats");
    let more = std::env::var_os("FORMAT_SAMPLES").map(PathBuf::from);
    let files = std::iter::once(ours).chain(more).flat_map(|folder| std::fs::read_dir(folder).unwrap());
    let mut paths: Vec<PathBuf> = files.map(|entry| entry.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_none_or(|extension| extension != "turns"));
    paths.sort();
    paths.into_iter().map(|path| (path.clone(), std::fs::read(path).unwrap())).collect()
}

fn format_of(bytes: &[u8]) -> &'static str {
    let Opened { input, head } = bytes::open(bytes).unwrap();
    let head = bytes::lines(bytes::head_text(&head));
    let of_json = || {
        let first = Documents::new(input, "f").find_map(Result::ok)?;
        importer_of(&first.value)
    };
    importer_of_head(&head).or_else(of_json).map_or("unknown", |importer| importer.name)
}

/// A file as its `.turns` file tells it.
fn told(bytes: &[u8], caller: Option<&str>) -> String {
    let options = Options { caller: caller.map(str::to_owned), ..Options::default() };
    let mut told = format!("format {}\n", format_of(bytes));
    for source in read(bytes, "f", &options) {
        let source = match source {
            Ok(source) => source,
            Err(error) => {
                writeln!(told, "error {error}").unwrap();
                continue;
            }
        };
        writeln!(told, "call {}", source.recording.header.room_name).unwrap();
        for warning in &source.warnings {
            writeln!(told, "warning {warning}").unwrap();
        }
        for timed in &source.recording.messages {
            if let RoomMessage::TurnEnded(turn) = &timed.message {
                let text = turn.text.as_deref().unwrap_or_default();
                writeln!(told, "{} {} {text}", turn.participant_id, turn.start_ms.unwrap()).unwrap();
            }
        }
    }
    told
}

#[test]
fn a_column_for_each_side_may_have_short_answers_but_no_names() {
    let calls = told(b"call_id,customer,agent\n1,My bill is wrong,Sorry\n1,This is outrageous,Let me see\n", None);
    assert_eq!(calls.matches("\ncaller ").count(), 2, "{calls}");
    let names = told(b"call_id,customer,agent\n1,Ann Smith,Joe\n2,Bob,Dana Cole\n", None);
    assert!(names.starts_with("format unknown"), "{names}");
}

#[test]
fn columns_named_as_they_are_asked_for_may_have_the_shortest_answers_but_no_names() {
    let calls = told(b"customer,agent\nHello?,Hi there\nIt broke.,Oh no\nYes,Since when?\nToday,I see\n", None);
    assert_eq!(calls.matches("\ncaller ").count(), 4, "{calls}");
    for names in [
        "Ann Smith,Joe\nBob,Dana Cole\nCy,Joe\n",
        "ann,joe\nbob,joe\ncy,joe\n",
        "c-1001,a-7\nc-1002,a-9\n",
        "ann,joe\n",
    ] {
        let names = told(format!("customer,agent\n{names}").as_bytes(), None);
        assert!(names.starts_with("format unknown"), "{names}");
    }
}

/// Whether lines are as expected; `…` in an expected line stands for any words, and `-` for a time that is made.
fn is_as_expected(told: &str, expected: &str) -> bool {
    let fits = |told: &str, expected: &str| {
        let (told_words, expected_words): (Vec<&str>, Vec<&str>) =
            (told.splitn(3, ' ').collect(), expected.splitn(3, ' ').collect());
        let same = |at: usize| told_words.get(at) == expected_words.get(at) || expected_words.get(at) == Some(&"-");
        match expected.split_once('…') {
            Some((before, after)) => told.starts_with(before) && told.contains(after.trim_end_matches('…')),
            None => same(0) && same(1) && told_words.get(2) == expected_words.get(2),
        }
    };
    told.lines().count() == expected.lines().count()
        && told.lines().zip(expected.lines()).all(|(told, expected)| fits(told, expected))
}

#[test]
fn every_sample_is_read_to_the_turns_that_its_reader_wrote_down() {
    let mut wrong = String::new();
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (path, bytes) in samples() {
        *seen.entry(format_of(&bytes)).or_default() += 1;
        let turns = PathBuf::from(format!("{}.turns", path.display()));
        let expected = std::fs::read_to_string(&turns).unwrap_or_default().replace("\r\n", "\n");
        let told = told(&bytes, None);
        if !is_as_expected(&told, &expected) {
            writeln!(wrong, "--- {}\n{told}+++ expected\n{expected}", path.display()).unwrap();
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    // Every row of the table has a sample.
    let missing: Vec<&str> =
        IMPORTERS.iter().map(|importer| importer.name).filter(|name| !seen.contains_key(name)).collect();
    assert!(missing.is_empty(), "no samples of {missing:?}");
}

#[test]
fn the_same_file_packed_or_in_utf_16_or_with_other_line_ends_is_read_the_same() {
    use std::io::Write as _;
    for (path, bytes) in samples() {
        let Ok(text) = std::str::from_utf8(&bytes) else { continue };
        let as_is = told(&bytes, None);
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&bytes).unwrap();
        assert_eq!(told(&packed.finish().unwrap(), None), as_is, "{}", path.display());
        let plain = text.trim_start_matches('\u{feff}');
        let wide: Vec<u8> = "\u{feff}".encode_utf16().chain(plain.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        assert_eq!(told(&wide, None), as_is, "{}", path.display());
        // A recording's own reader wants its lines whole, and so do cells of several lines.
        let crlf = plain.replace("\r\n", "\n").replace('\n', "\r\n");
        assert_eq!(told(crlf.as_bytes(), None).replace('\r', ""), as_is, "{}", path.display());
        if let Some(Reads::Text { .. }) = importer_of_name(format_of(&bytes)) {
            let cr = plain.replace("\r\n", "\n").replace('\n', "\r");
            assert_eq!(told(cr.as_bytes(), None), as_is, "{} with carriage returns alone", path.display());
        }
    }
}

#[test]
fn one_json_an_array_of_it_and_one_on_each_line_hold_the_same_calls() {
    for (path, bytes) in samples() {
        let Some(Reads::Calls { .. }) = importer_of_name(format_of(&bytes)) else { continue };
        let turns = |bytes: &[u8]| -> Vec<String> {
            let keep = |line: &&str| {
                !["call", "format"].contains(&line.split(' ').next().unwrap_or_default()) && !line.starts_with("error")
            };
            told(bytes, None).lines().filter(keep).map(str::to_owned).collect()
        };
        let once = turns(&bytes);
        let Ok(value) =
            serde_json::from_slice::<serde_json::Value>(bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&bytes))
        else {
            continue;
        };
        // An array of arrays is no form that anything writes.
        if value.is_array() {
            continue;
        }
        // A log of messages may tell of one call more than once.
        let again = !json::parse(&bytes).is_ok_and(|value| reports::is_event(&value));
        let twice = if again { [once.clone(), once].concat() } else { once };
        let array = serde_json::to_vec_pretty(&serde_json::json!([value, value])).unwrap();
        assert_eq!(turns(&array), twice, "{}", path.display());
        assert_eq!(turns(format!("{value}\n{value}\n").as_bytes()), twice, "{}", path.display());
    }
}

/// Real files of others, which may not be in the repository: of each turn who speaks, when, and in how many words.
#[test]
#[ignore = "needs files of others, in the folder that FORMAT_SAMPLES names"]
fn real_samples_are_read_as_before() {
    let folder = PathBuf::from(std::env::var_os("FORMAT_SAMPLES").unwrap());
    let names = include_str!("snapshots/real_samples.txt").lines().filter_map(|line| line.split(' ').next());
    let mut told = String::new();
    for name in names {
        write!(told, "{name}").unwrap();
        for source in read(std::fs::read(folder.join(name)).unwrap().as_slice(), name, &Options::default()).flatten() {
            for timed in source.recording.messages {
                let RoomMessage::TurnEnded(turn) = timed.message else { continue };
                let (who, words) = (&turn.participant_id[..1], turn.text.unwrap().split_whitespace().count());
                write!(told, " {who}{}:{words}", turn.start_ms.unwrap()).unwrap();
            }
        }
        told.push('\n');
    }
    assert_eq!(told, include_str!("snapshots/real_samples.txt"));
}

fn importer_of_name(name: &str) -> Option<&'static Reads> {
    IMPORTERS.iter().find(|importer| importer.name == name).map(|importer| &importer.reads)
}

fn refused(text: &str, options: &Options) -> String {
    let errors = read(text.as_bytes(), "calls.json", options).filter_map(Result::err);
    errors.map(|error| error.to_string()).collect::<Vec<_>>().join("\n")
}

#[test]
fn what_cannot_be_read_is_told_with_its_place_what_it_looks_like_and_what_would_be_right() {
    let own = |text: &str| refused(text, &Options::default());
    let told = [
        own("Dear team, all is well.\nThe end"),
        own("{\"foo\":1,\"bar\":[2]}"),
        own("[{\"foo\":1}]"),
        own("[]"),
        own("{\n \"messages\": [\n  {\"role\": \"user\" \"content\": 1}]}"),
        own("{\"messages\":[{\"role\":\"user\",\"content\":\"hi\"},{\"role\":\"cat\",\"content\":\"hi\"}]}"),
        own("[{\"turns\":[]},{\"turns\":[{\"role\":\"cat\"}]}]"),
        own("{\"protected\":\"x\",\"ciphertext\":\"abc\",\"iv\":\"x\"}"),
        own("{\"payload\":\"!!\",\"signatures\":[]}"),
        own("eyJhbGciOiJSU0EtT0FFUCJ9.a.b.c.d"),
        own("{\"parties\":[],\"dialog\":[{\"type\":\"recording\",\"url\":\"x\"}]}"),
        own("{\"sid\":\"GT1\",\"channel\":{}}"),
        own("{\"utterances\":[],\"status\":\"error\",\"audio_duration\":3}"),
        own("speaker,text\n"),
        refused("speaker,text\nA,hi\nB,hello\n", &Options { caller: Some("Dana".to_owned()), ..Options::default() }),
        refused("hello", &Options { format: Format::named("webvtt"), ..Options::default() }),
        refused("hello", &Options { format: Format::named("deepgram"), ..Options::default() }),
        refused("hello", &Options { format: Format::named("csv"), ..Options::default() }),
    ];
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn a_call_that_does_not_fit_is_told_and_the_others_go_on() {
    let calls = "{\"turns\":[{\"role\":\"caller\",\"text\":\"a\"}]}\n{\"turns\":[{\"role\":\"cat\"}]}\n{\"turns\":[{\"role\":\"caller\",\"text\":\"b\"}]}\n";
    let sources: Vec<_> = read(calls.as_bytes(), "f", &Options::default()).collect();
    assert_eq!(sources.iter().map(Result::is_ok).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn the_format_is_what_the_flag_says() {
    let text = "Dana talks.\n\nAnd talks.\n";
    assert!(refused(text, &Options::default()).contains("in no format"));
    let options = Options { format: Format::named("text"), ..Options::default() };
    assert_eq!(read(text.as_bytes(), "f", &options).filter(Result::is_ok).count(), 1);
    assert!(Format::named("no such").is_none());
}

#[test]
fn a_call_of_a_table_ends_with_its_last_row_however_they_are_mixed() {
    let mut rows = "call_id,speaker,text\n".to_owned();
    for row in 0..200 {
        writeln!(rows, "{},{},row {row}", row % 7, if row % 2 == 0 { "agent" } else { "caller" }).unwrap();
    }
    let sources: Vec<Source> = read(rows.as_bytes(), "f", &Options::default()).map(Result::unwrap).collect();
    let names: Vec<&str> = sources.iter().map(|source| source.name.as_str()).collect();
    assert_eq!(names, ["f#0", "f#1", "f#2", "f#3", "f#4", "f#5", "f#6"]);
    assert_eq!(sources.iter().map(|source| source.recording.messages.len()).sum::<usize>(), 200);
}

/// Counts what is read of it.
struct Tap<'a>(&'a [u8], &'a std::cell::Cell<usize>);

impl Read for Tap<'_> {
    fn read(&mut self, out: &mut [u8]) -> std::io::Result<usize> {
        let n = self.0.read(out)?;
        self.1.set(self.1.get() + n);
        Ok(n)
    }
}

/// Lines of many calls, each with two rows, as a table and as JSON Lines.
fn many_calls(calls: usize) -> [String; 2] {
    let (mut table, mut lines) = ("call_id,speaker,text\n".to_owned(), String::new());
    for call in 0..calls {
        for (speaker, text) in [("agent", "How can I help you today?"), ("caller", "I would like to know where it is.")]
        {
            writeln!(table, "{call},{speaker},{text}").unwrap();
            writeln!(lines, "{{\"call_id\":\"{call}\",\"speaker\":\"{speaker}\",\"text\":\"{text}\"}}").unwrap();
        }
    }
    [table, lines]
}

#[test]
fn calls_of_a_long_file_are_given_out_before_it_ends() {
    for file in many_calls(10_000) {
        let seen = std::cell::Cell::new(0);
        let mut sources = read(std::io::BufReader::new(Tap(file.as_bytes(), &seen)), "f", &Options::default());
        assert_eq!(sources.next().unwrap().unwrap().name, "f#0");
        assert!(seen.get() < file.len() / 2, "{} of {}", seen.get(), file.len());
        assert_eq!(sources.filter(Result::is_ok).count(), 9_999);
    }
}

#[test]
fn a_call_whose_rows_stand_far_apart_is_told_and_not_cut_in_two() {
    for file in many_calls(5_000) {
        let first: String = file.lines().nth(1).unwrap().replace("\"1\"", "\"0\"") + "\n";
        let told = refused(&format!("{file}{first}"), &Options::default());
        assert!(told.contains("sort the file"), "{told}");
    }
}

static SAMPLES: LazyLock<Vec<Vec<u8>>> = LazyLock::new(|| samples().into_iter().map(|(_, bytes)| bytes).collect());

proptest! {
    #[test]
    fn no_damage_to_a_sample_makes_its_importer_panic(
        sample in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
        is_cut: bool,
        forced in prop::option::of(0..IMPORTERS.len()),
    ) {
        let mut bytes = sample.get(&SAMPLES).clone();
        for (at, with) in damage {
            let at = at.index(bytes.len());
            bytes[at] = with;
        }
        if is_cut {
            bytes.truncate(cut.index(bytes.len()));
        }
        let format = forced.map(|at| Format(&IMPORTERS[at]));
        for source in read(bytes.as_slice(), "f", &Options { format, ..Options::default() }).flatten() {
            let mut at = 0;
            for timed in &source.recording.messages {
                prop_assert!(timed.at.0 >= at, "a recording's lines stand in order");
                at = timed.at.0;
            }
        }
    }

    #[test]
    fn no_value_in_the_place_of_another_makes_an_importer_panic(
        sample in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        with in prop::sample::select(vec!["null", "-1", "1e300", "[]", "{}", "\"x\"", "[[0]]", "true", "\"99999:99\""]),
    ) {
        let bytes = sample.get(&SAMPLES);
        let Ok(mut value) = serde_json::from_slice::<serde_json::Value>(bytes) else { return Ok(()) };
        let mut places = Vec::new();
        pointers(&value, String::new(), &mut places);
        let place = at.get(&places).clone();
        *value.pointer_mut(&place).unwrap() = serde_json::from_str(with).unwrap();
        read(value.to_string().as_bytes(), "f", &Options::default()).for_each(drop);
    }
}

fn pointers(value: &serde_json::Value, at: String, places: &mut Vec<String>) {
    match value {
        serde_json::Value::Object(object) => {
            for (key, value) in object {
                pointers(value, format!("{at}/{}", key.replace('~', "~0").replace('/', "~1")), places);
            }
        }
        serde_json::Value::Array(list) => {
            for (index, value) in list.iter().enumerate() {
                pointers(value, format!("{at}/{index}"), places);
            }
        }
        _ => {}
    }
    places.push(at);
}

#[test]
fn a_call_of_many_small_parts_is_bounded_as_a_whole() {
    let text = r#"["Agent: Hello.", "Caller: Hi.", "Agent: How can I help?", "Caller: Not at all."]"#;
    let calls = |most_held| {
        let places = Places::new("f", None);
        JsonCalls { most_held, ..JsonCalls::new(Box::new(text.as_bytes()), "f", None, places) }.collect::<Vec<_>>()
    };
    assert!(calls(Keys::MOST_HELD).pop().unwrap().is_ok());
    let bounded = calls(150);
    assert_eq!(bounded.len(), 1, "the rest is no call of its own");
    let told = bounded[0].as_ref().unwrap_err();
    assert!(matches!(told.problem, Problem::TooLarge { limit: 150 }), "{told}");
}
