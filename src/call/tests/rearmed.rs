//! After an escalation (rule 5): when a rule may fire again.

use super::{Sim, angry, flag, rate, said, sustained};
use crate::alert::{Rule, Severity};
use crate::call::event::Input;
use crate::config::settings::{Settings, Sustained};

#[test]
fn after_a_flag_a_recovered_turn_and_a_full_streak_are_needed() {
    let mut sim = Sim::new(flag());
    angry(&mut sim);
    sim.say("u4", "1");
    sim.say("u5", "1");
    assert_eq!(sim.escalations().len(), 1);
    sim.say("u6", "6");
    for id in ["u7", "u8"] {
        sim.say(id, "2");
    }
    assert_eq!(sim.escalations().len(), 1);
    sim.say("u9", "2");
    assert_eq!(sim.escalations().len(), 2);
}

#[test]
fn after_an_alert_a_turn_with_a_signal_is_no_recovery_where_no_turn_is_low() {
    let mut settings = Settings { threshold: 1, ..flag() };
    settings.trajectory.enabled = true;
    let sim = said(settings.clone(), &["2", "2", "2", "1.4", "2", "2"]);
    assert_eq!(sim.escalations(), [(2, Rule::Trajectory, Severity::Medium)]);
    let sim = said(settings, &["2", "2", "2", "5", "2", "2"]);
    assert_eq!(sim.escalations().last(), Some(&(6, Rule::Trajectory, Severity::Medium)));
}

#[test]
fn after_an_alert_signals_in_a_row_count_from_the_recovery() {
    let mut settings = Settings { threshold: 1, ..flag() };
    settings.trajectory.enabled = true;
    // The 2.6 is without a signal, and the mean is back two turns later: signals in a row count from there.
    settings.sustained = Sustained { enabled: true, level: 2.1, weight: 0.5 };
    settings.trajectory.critical_frustration = 1.0;
    let turns = ["1.2", "1.2", "1.2", "1.2", "1.2", "2.6", "2.2", "2.2"];
    assert_eq!(said(settings.clone(), &turns).escalations().len(), 1);
    let sim = said(settings, &[&turns[..], &["2.2", "2.2"]].concat());
    assert_eq!(sim.escalations().last(), Some(&(10, Rule::Trajectory, Severity::Medium)));
}

#[test]
fn after_an_alert_the_mean_must_be_back_at_its_level_and_asks_count_from_zero() {
    let mut settings = sustained();
    settings.human_requests = 2;
    // Escalates at the second turn, where the mean is 2.88. The 3.1 is back at the threshold, but the mean is not at its
    // level until the 5: asks up to there are not counted.
    let turns = ["2", "1.5", "3.1", "3 human", "3 human", "5 human", "5 human"];
    let sim = said(settings.clone(), &turns);
    assert_eq!(sim.escalations().len(), 1, "{:?}", sim.escalations());
    let sim = said(settings, &[&turns[..], &["5 human"]].concat());
    assert_eq!(sim.escalations().last(), Some(&(8, Rule::HumanRequest, Severity::Medium)));
}

#[test]
fn without_the_sustained_rule_a_turn_at_the_threshold_arms_all_rules_again() {
    let mut settings = flag();
    settings.human_requests = 1;
    let sim = said(settings, &["5 human", "2 human", "5", "5 human"]);
    assert_eq!(sim.escalations().iter().map(|e| e.0).collect::<Vec<_>>(), [1, 4]);
}

#[test]
fn what_is_learnt_of_a_turn_before_an_alert_raises_no_other() {
    let mut sim = said(flag(), &["2", "5", "2", "2", "2"]);
    assert_eq!(sim.escalations().len(), 1);
    sim.input(Input::Rated { turn_id: "u1".to_owned(), rev: 1, result: rate("2") });
    assert_eq!(sim.escalations().len(), 1);
}
