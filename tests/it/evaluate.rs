//! `evaluate` as a team runs it in CI: labelled calls in, figures and an exit code out.

use std::path::PathBuf;

use assert_cmd::Command;
use serde_json::Value;

const CALLS: &str = concat!(
    r#"{"id":"angry","style":"punct","kind":"sustained","escalate":true,"at":2,"turns":[{"role":"agent","text":"Hello?"},"#,
    r#"{"role":"caller","text":"This is ridiculous, you people are useless!","sentiment":1.5},"#,
    r#"{"role":"caller","text":"Nobody at your company seems to care.","sentiment":2},"#,
    r#"{"role":"caller","text":"This is unacceptable, get me a manager, you are useless!","sentiment":1.5}]}"#,
    "\n",
    r#"{"id":"calm","style":"lower","kind":"routine","escalate":false,"at":null,"turns":["#,
    r#"{"role":"caller","text":"thank you so much that is wonderful","sentiment":8},{"role":"caller","text":"bye","sentiment":6}]}"#,
    "\n",
);

fn evaluate(calls: &str, flags: &[&str]) -> assert_cmd::assert::Assert {
    let folder = tempfile::tempdir().unwrap();
    let file: PathBuf = folder.path().join("calls.jsonl");
    std::fs::write(&file, calls).unwrap();
    Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar")).arg("evaluate").arg(file).args(flags).assert()
}

#[test]
fn the_figures_of_all_calls_and_of_each_group_are_json_lines() {
    let done =
        evaluate(CALLS, &["--format", "json", "--min-recall", "1", "--max-false", "0", "--min-auroc", "1"]).success();
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let groups: Vec<&str> = lines.iter().filter_map(|line| line["group"].as_str()).collect();
    assert_eq!(groups, ["all", "kind routine", "kind sustained", "style lower", "style punct"]);
    let all = &lines[0]["figures"];
    assert_eq!((&all["calls"], &all["turns"], &all["median_late"]), (&2.into(), &5.into(), &0.0.into()), "{all}");
    assert_eq!((&all["recall"]["count"], &all["false_escalations"]["count"]), (&1.into(), &0.into()), "{all}");
    assert_eq!(lines.last().unwrap()["gates"].as_array().unwrap().len(), 3);
}

fn printed(done: &assert_cmd::assert::Assert) -> String {
    String::from_utf8(done.get_output().stdout.clone()).unwrap()
}

/// Three calls whose ratings are pinned: missed, false, late.
fn wrong_calls() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (name, ratings, expected) in [
        ("missed", &[2.0, 2.5, 5.0, 4.0][..], "2"),
        ("false", &[2.0, 2.0, 2.0], "null"),
        ("late", &[2.0, 2.0, 2.0, 5.0], "1"),
        ("right", &[2.0, 2.0, 2.0], "3"),
    ] {
        let mut text = "{\"type\":\"recording\",\"version\":1,\"room_name\":\"r\"}\n".to_owned();
        for (at, rating) in ratings.iter().enumerate() {
            text += &format!(
                "{{\"type\":\"turn.ended\",\"at_ms\":{at},\"seq\":{},\"turn_id\":\"t{at}\",\"participant_id\":\"caller\",\"text\":\"{name} {}\"}}\n",
                at + 1,
                at + 1
            );
            text += &format!("{{\"type\":\"rating\",\"turn_id\":\"t{at}\",\"sentiment\":{rating}}}\n");
        }
        text += &format!("{{\"type\":\"expect\",\"escalate_at_turn\":{expected}}}\n");
        std::fs::write(folder.path().join(format!("{name}.jsonl")), text).unwrap();
    }
    folder
}

fn evaluate_folder(folder: &tempfile::TempDir, flags: &[&str]) -> assert_cmd::assert::Assert {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
    command.env("NO_COLOR", "1").arg("evaluate").arg(folder.path()).args(flags).assert()
}

#[test]
fn wrong_calls_are_listed_with_the_turn_that_decided() {
    let folder = wrong_calls();
    let text = printed(&evaluate_folder(&folder, &["--format", "json"]).success());
    let wrong: Vec<Value> = text
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(|line: &Value| line["type"] == "wrong")
        .collect();
    let told = |call: &Value| {
        let file = call["file"].as_str().unwrap().rsplit('/').next().unwrap().to_owned();
        (
            call["wrong"].as_str().unwrap().to_owned(),
            file,
            call["turn"].as_u64(),
            call["text"].as_str().unwrap().to_owned(),
            call["waited"].as_u64(),
        )
    };
    let of = |wrong: &str, turn, waited| {
        (wrong.to_owned(), format!("{wrong}.jsonl"), Some(turn), format!("{wrong} {turn}"), waited)
    };
    assert_eq!(
        wrong.iter().map(told).collect::<Vec<_>>(),
        [of("missed", 2, Some(2)), of("false", 3, None), of("late", 3, Some(2))]
    );
    let table = printed(&evaluate_folder(&folder, &[]).success());
    for part in ["MISSED", "FALSE, the calmest", "LATE", "turn 3, rated 2.0, streak rule, 2 turns after", "“missed 2”"]
    {
        assert!(table.contains(part), "no {part} in:\n{table}");
    }
    assert!(table.lines().all(|line| line.chars().count() <= 80), "{table}");
    let table = printed(&evaluate_folder(&folder, &["--show", "0"]).success());
    assert!(table.contains("… and 1 more: --show 1") && !table.contains("“missed 2”"), "{table}");
}

#[test]
fn labels_come_from_a_table_and_split_the_figures() {
    let folder = wrong_calls();
    let beside = tempfile::tempdir().unwrap();
    let labels = beside.path().join("labels.csv");
    std::fs::write(
        &labels,
        "file;escalate;turn;team\nmissed.jsonl;no;;north\nfalse;yes;3;south\nlate.jsonl;yes;3;south\nother;yes;;\n",
    )
    .unwrap();
    let labels = labels.to_str().unwrap();
    let done = evaluate_folder(&folder, &["--labels", labels, "--by", "team", "--format", "json"]).success();
    let lines: Vec<Value> = printed(&done).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let groups: Vec<&str> = lines.iter().filter_map(|line| line["group"].as_str()).collect();
    assert_eq!(groups, ["all", "team north", "team south"]);
    assert_eq!((&lines[0]["figures"]["recall"]["count"], &lines[2]["figures"]["calls"]), (&3.into(), &2.into()));
    assert!(lines.iter().all(|line| line["type"] != "wrong"), "the table goes before what the recordings expect");
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(said.contains("1 label is of no call: other; a call's name is, for instance, "), "{said}");

    let done = evaluate_folder(&folder, &["--labels", labels, "--by", "colour"]).code(2);
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(said.contains("no call has a field \"colour\"") && said.contains("the fields are: team"), "{said}");
    std::fs::write(labels, "file,escalate\nmissed.jsonl,perhaps\n").unwrap();
    let done = evaluate_folder(&folder, &["--labels", labels]).code(5);
    let said = String::from_utf8(done.get_output().stderr.clone()).unwrap();
    assert!(said.contains("line 2: escalate is \"perhaps\"; give yes or no"), "{said}");
}

#[test]
fn whoever_has_read_enough_closes_the_pipe_and_that_is_no_error() {
    let folder = wrong_calls();
    let path = folder.path().to_str().unwrap();
    let agent = folder.path().join(".agent.json");
    std::fs::write(&agent, "{}").unwrap();
    let agent = agent.to_str().unwrap();
    let commands = [
        vec!["evaluate", path],
        vec!["tune", "--no-cache", path],
        vec!["compare", "--no-cache", agent, agent, path],
        vec!["replay", path],
    ];
    for command in &commands {
        for format in ["table", "json"] {
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut child = std::process::Command::new(env!("CARGO_BIN_EXE_sentiment-sidecar"));
            let output = child
                .args(command)
                .args(["--format", format])
                .stdout(writer)
                .stderr(std::process::Stdio::piped())
                .output()
                .unwrap();
            let said = String::from_utf8(output.stderr).unwrap();
            assert!(!said.contains("error"), "{command:?}: {said}");
            assert_eq!(output.status.code(), Some(0), "{command:?}: {said}");
        }
    }
}

#[test]
fn a_gate_that_fails_ends_with_four_and_says_which() {
    let done = evaluate(CALLS, &["--window", "5", "--min-recall", "0.9", "--max-false", "0.1"]).code(4);
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(
        text.contains("gate --min-recall 0.9 fails: 0\n") && text.contains("gate --max-false 0.1 holds: 0\n"),
        "{text}"
    );
}

#[test]
fn calls_without_any_label_are_said_to_be_so() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("a.txt"), "Agent: Hi.\nCaller: Thanks a lot.\n").unwrap();
    let said = |folder: &tempfile::TempDir| {
        String::from_utf8(evaluate_folder(folder, &[]).success().get_output().stderr.clone()).unwrap()
    };
    assert!(said(&folder).contains("no call is labelled") && said(&folder).contains("--labels"), "{}", said(&folder));
    assert!(!said(&wrong_calls()).contains("no call is labelled"));
}

#[test]
fn a_field_of_a_long_name_stands_once_above_its_values() {
    let field = "which_team_of_ours_took_the_call_and_in_which_of_the_two_buildings_it_sat";
    let calls = CALLS.replace("style", field);
    let text = printed(&evaluate(&calls, &["--by", field]).success());
    assert!(text.lines().all(|line| line.chars().count() <= 80), "{text}");
    for value in ["  lower ", "  punct "] {
        assert_eq!(text.lines().filter(|line| line.starts_with(value)).count(), 2, "{value} in:\n{text}");
    }
    assert_eq!(text.matches(field).count(), 2, "once a table:\n{text}");
}

#[test]
fn an_unreadable_label_ends_with_five_and_a_wrong_gate_with_two() {
    evaluate(&CALLS.replace("1.5", "\"low\""), &[]).code(5);
    evaluate(CALLS, &["--min-recall", "90"]).code(2);
}

#[test]
fn agents_words_are_swapped_by_a_seed_and_callers_words_are_not() {
    let calls = CALLS.replace(
        r#""turns":[{"role":"caller","text":"thank"#,
        r#""turns":[{"role":"agent","text":"Sorry."},{"role":"caller","text":"thank"#,
    );
    let figures = |flags: &[&str]| {
        let done = evaluate(&calls, &[&["--format", "json"], flags].concat()).success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    assert_eq!(figures(&["--swap-agents", "7"]), figures(&["--swap-agents", "7"]));
    let swapped: Value = serde_json::from_str(figures(&["--swap-agents", "7"]).lines().next().unwrap()).unwrap();
    assert_eq!(swapped["figures"]["recall"]["count"], 1, "{swapped}");
    let alone = evaluate(CALLS, &["--swap-agents", "7"]).code(2);
    let said = String::from_utf8(alone.get_output().stderr.clone()).unwrap();
    assert!(said.contains("at least two calls with an agent"), "{said}");
    evaluate(&calls, &["--swap-agents", "often"]).code(2);
}

#[test]
fn what_is_measured_on_all_cores_is_printed_as_on_one() {
    let calls = CALLS.repeat(100);
    let once = evaluate(CALLS, &["--format", "json"]).success();
    let many = evaluate(&calls, &["--format", "json"]).success();
    let first = |done: &assert_cmd::assert::Assert| -> Value {
        let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
        serde_json::from_str(text.lines().next().unwrap()).unwrap()
    };
    let (once, many) = (first(&once), first(&many));
    assert_eq!(many["figures"]["turns"], 500);
    for figure in ["auroc", "spearman", "mean_error", "median_late"] {
        let [once, many] = [&once, &many].map(|line| line["figures"][figure].as_f64().unwrap());
        assert!((once - many).abs() < 1e-9, "{figure}: {once} {many}");
    }
    assert_eq!(first(&evaluate(&calls, &["--format", "json"]).success()), many);
}
