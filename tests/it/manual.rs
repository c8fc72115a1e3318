//! `manual`: the pages, as somebody at a terminal reads them, and that what they say is so.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Output, Stdio};

use sentiment_sidecar::config::schema::settings_schema;
use sentiment_sidecar::manual::{self, PAGES};
use serde_json::Value;

use crate::support::{Program, soon};

async fn manual(args: &[&str]) -> Output {
    let program = Program::new();
    let all = [&["manual"], args].concat();
    let mut command = program.command(&all);
    soon("the manual", command.stderr(Stdio::piped()).output()).await.unwrap()
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap()
}

#[tokio::test]
async fn every_topic_is_listed_and_its_page_can_be_read_at_80_columns() {
    let list = manual(&[]).await;
    assert!(list.status.success());
    let list = text(list.stdout);
    for page in PAGES {
        assert!(
            list.lines().any(|l| l.starts_with(&format!("  {} ", page.topic)) && l.ends_with(page.about)),
            "{list}"
        );
        let printed = manual(&[page.topic]).await;
        assert!(printed.status.success(), "{}", page.topic);
        let printed = text(printed.stdout);
        assert!(!printed.contains('\u{1b}'), "NO_COLOR is set");
        for line in printed.lines().chain(list.lines()) {
            assert!(textwrap::core::display_width(line) <= 80, "{}: {line}", page.topic);
        }
    }
    let settings = text(manual(&["settings"]).await.stdout);
    assert!(
        settings.contains("\n  sentimentThreshold\n      allowed: an integer from 1 to 10; default: 3\n"),
        "{settings}"
    );
}

#[tokio::test]
async fn an_unknown_topic_is_an_error_that_names_the_nearest_one() {
    let output = manual(&["setings"]).await;
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
    let said = text(output.stderr);
    assert!(said.contains("no page \"setings\"; did you mean settings?"), "{said}");
}

#[tokio::test]
async fn a_reader_who_has_seen_enough_is_no_error() {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let program = Program::new();
    let mut command = program.command(&["manual", "settings"]);
    let output = soon("the manual", command.stdout(writer).stderr(Stdio::piped()).output()).await.unwrap();
    assert_eq!((output.status.code(), text(output.stderr)), (Some(0), String::new()));
}

/// The cells of a table's row, without the blanks that align them.
fn cells(row: &str) -> Vec<&str> {
    row.trim_matches('|').split('|').map(str::trim).collect()
}

/// A default as the table shows it; what is long stands in quotes below the table.
fn shown(default: &Value, page: &str) -> String {
    match default {
        Value::Null => String::new(),
        Value::Array(entries) if entries.is_empty() => "none".to_owned(),
        Value::String(sentence) if sentence.contains(' ') => {
            let words = page.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(words.contains(&format!("\"{sentence}\"")), "the page does not quote: {sentence}");
            "below".to_owned()
        }
        Value::String(text) => format!("`{text}`"),
        // 3 and 3.0 are the same to the schema.
        Value::Number(number) if number.as_f64().is_some_and(|n| n.fract() == 0.0) => {
            format!("`{}`", number.as_f64().unwrap())
        }
        other => format!("`{other}`"),
    }
}

#[test]
fn the_settings_page_has_every_key_as_the_program_reads_it() {
    let page = manual::page("settings").unwrap().text;
    let rows: Vec<Vec<&str>> = page
        .lines()
        .filter(|l| l.starts_with("| `s") || l.starts_with("| `t") || l.starts_with("| `llm"))
        .map(cells)
        .collect();
    let schema = settings_schema();
    let keys = schema["$defs"]["anywhere"]["properties"].as_object().unwrap();
    for (key, about) in keys {
        let (meaning, allowed) = about["description"].as_str().unwrap().rsplit_once(" Allowed: ").unwrap();
        let name = format!("`{key}`");
        let right = [&name, allowed.trim_end_matches('.'), &shown(&about["default"], page), meaning].map(str::to_owned);
        let row = rows.iter().find(|row| row[0] == name);
        assert_eq!(
            row.map_or(vec![], |row| row.clone()),
            right,
            "src/manual/settings.md: the row should read | {} |",
            right.join(" | ")
        );
    }
    let told: BTreeSet<&str> = rows.iter().map(|row| row[0].trim_matches('`')).collect();
    assert_eq!(told.len(), rows.len(), "a key is told twice");
    assert!(told.iter().all(|key| keys.contains_key(*key)), "a key that is none: {told:?}");
}

#[test]
fn the_secrets_on_the_settings_page_are_those_that_attach_names() {
    use clap::CommandFactory as _;
    let page = manual::page("settings").unwrap().text;
    let told: BTreeSet<&str> =
        page.lines().filter(|l| l.starts_with("| `SIDECAR_")).map(|l| cells(l)[0].trim_matches('`')).collect();
    let program = sentiment_sidecar::cli::Cli::command();
    let help = program.find_subcommand("attach").unwrap().get_after_help().unwrap().to_string();
    let named: BTreeSet<&str> = help.split_whitespace().filter(|word| word.starts_with("SIDECAR_")).collect();
    assert_eq!(told, named);
}

/// All scenario tests' code.
fn scenarios(folder: &Path) -> String {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries
        .map(|path| {
            if path.is_dir() {
                scenarios(&path)
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                std::fs::read_to_string(&path).unwrap()
            } else {
                String::new()
            }
        })
        .collect()
}

/// The tests that the tables below a heading name, but those in Python, which are looked for there.
fn named_below(page: &'static str, heading: &str) -> BTreeSet<&'static str> {
    let text = manual::page(page).unwrap().text;
    let below = text.split("## ").find(|part| part.starts_with(heading)).unwrap();
    let rows = below.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.flat_map(|row| row.split('`').skip(1).step_by(2)).filter(|name| !name.starts_with("test_")).collect()
}

#[test]
fn the_tests_that_the_manual_names_are_there() {
    let code = scenarios(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it"));
    for (page, heading, least) in [("rooms", "Dialects side by side", 9), ("twilio", "Shown to work", 8)] {
        let named = named_below(page, heading);
        assert!(named.len() >= least, "{page}: {named:?}");
        for name in named {
            assert!(code.contains(&format!("fn {name}(")), "{page}: {name}");
        }
    }
}
