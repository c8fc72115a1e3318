//! The rules beside the streak, and several of them at once.

use super::{Sim, flag, rate, said, sustained};
use crate::alert::{Rule, Severity};
use crate::call::event::Input;
use crate::call::report::Report;

#[test]
fn trajectory_rules_need_two_signals_except_critical() {
    let mut settings = flag();
    settings.trajectory.enabled = true;
    let mut sim = Sim::new(settings.clone());
    sim.say("u1", "1.4");
    assert_eq!(sim.escalations(), [(1, Rule::Trajectory, Severity::Critical)]);
    let mut sim = Sim::new(settings);
    sim.say("u1", "2.2");
    assert_eq!(sim.escalations(), []);
    sim.say("u2", "2.2");
    assert_eq!(sim.escalations(), [(2, Rule::Trajectory, Severity::Medium)]);
}

fn means(sim: &Sim) -> Vec<Option<f64>> {
    let of = |r: &Report| if let Report::Turn(turn) = r { Some(turn.mean) } else { None };
    sim.reports().filter_map(of).collect()
}

#[test]
fn a_low_running_mean_escalates_over_a_plain_answer() {
    let turns = ["2", "2", "5", "2", "1.8"];
    assert_eq!(said(flag(), &turns).escalations(), [], "the streak alone does not find it");
    let sim = said(sustained(), &turns);
    assert_eq!(sim.escalations(), [(5, Rule::Sustained, Severity::High)]);
    assert_eq!(means(&sim), [3.8, 3.08, 3.85, 3.11, 2.59].map(Some));
    assert_eq!(means(&said(flag(), &turns)), [None; 5]);
}

#[test]
fn the_mean_never_escalates_at_the_first_turn_and_only_strictly_below_its_level() {
    let mut settings = sustained();
    settings.sustained.weight = 1.0;
    settings.sustained.level = 2.0;
    assert_eq!(said(settings.clone(), &["1"]).escalations(), []);
    assert_eq!(said(settings.clone(), &["1", "2"]).escalations(), [], "2.0 is not below 2.0");
    assert_eq!(said(settings, &["f", "x", "1", "1.9"]).escalations().len(), 1);
}

#[test]
fn fillers_and_unrated_turns_move_no_mean_and_ask_for_nothing() {
    let mut settings = sustained();
    settings.human_requests = 2;
    let sim = said(settings, &["2", "f human", "x human", "5 human"]);
    assert_eq!(sim.escalations(), []);
    // An unrated turn is no turn report.
    assert_eq!(means(&sim), [Some(3.8), Some(3.8), Some(4.28)]);
}

#[test]
fn so_many_asks_for_a_human_escalate_whatever_the_ratings() {
    let turns = ["5 human", "5", "6 human", "5", "5 human"];
    assert_eq!(said(flag(), &turns).escalations(), []);
    let mut settings = flag();
    settings.human_requests = 3;
    let sim = said(settings, &turns);
    assert_eq!(sim.escalations(), [(5, Rule::HumanRequest, Severity::Medium)]);
    let told = sim.reports().find_map(|r| match r {
        Report::Escalation { human_requests, mean, .. } => Some((*human_requests, *mean)),
        _ => None,
    });
    assert_eq!(told, Some((Some(3), None)));
}

#[test]
fn the_first_rule_that_holds_names_the_alert_and_the_worst_severity_counts() {
    let mut settings = sustained();
    settings.human_requests = 2;
    settings.window = 2;
    settings.sustained.level = 4.0;
    settings.trajectory.enabled = true;
    // 2.0 has a frustration of .8: a medium signal. At 1.2 it is .96, which is critical at once.
    let turns = ["2 human", "1.2 human"];
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::Streak, Severity::Critical)]);
    settings.window = 5;
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::Sustained, Severity::Critical)]);
    settings.sustained.enabled = false;
    assert_eq!(said(settings.clone(), &turns).escalations(), [(2, Rule::HumanRequest, Severity::Critical)]);
    settings.human_requests = 0;
    assert_eq!(said(settings, &turns).escalations(), [(2, Rule::Trajectory, Severity::Critical)]);
}

#[test]
fn a_late_rating_moves_the_mean_of_the_turns_after_it() {
    let mut sim = said(sustained(), &["4", "4"]);
    sim.say("u2", "4");
    assert_eq!(sim.escalations(), []);
    sim.input(Input::Rated { turn_id: "u0".to_owned(), rev: 1, result: rate("1") });
    sim.input(Input::Rated { turn_id: "u1".to_owned(), rev: 1, result: rate("1") });
    assert_eq!(means(&sim).last(), Some(&Some(3.06)));
    assert_eq!(sim.escalations(), [(2, Rule::Sustained, Severity::Critical)]);
}
