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

#[test]
fn a_gate_that_fails_ends_with_four_and_says_which() {
    let done = evaluate(CALLS, &["--window", "5", "--min-recall", "0.9", "--max-false", "0.1"]).code(4);
    let text = String::from_utf8(done.get_output().stdout.clone()).unwrap();
    assert!(text.contains("gate --min-recall 0.9 fails") && text.contains("gate --max-false 0.1 holds"), "{text}");
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
