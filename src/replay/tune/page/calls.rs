//! A call with its turns, and where it escalates.

use super::super::outcomes::Line;
use super::super::trace::Decided;
use super::super::{Flip, Tuning};
use crate::room::message::Role;

/// A call with its turns.
pub(super) struct Told<'a> {
    pub(super) name: &'a str,
    pub(super) change: String,
    pub(super) lines: Vec<ToldLine<'a>>,
}

/// What somebody said.
pub(super) struct ToldLine<'a> {
    pub(super) who: &'static str,
    pub(super) text: &'a str,
    /// How it is rated, where it is.
    pub(super) rating: Option<String>,
    /// How wide that is shown, in percent.
    pub(super) width: u32,
    /// Which colour it has.
    pub(super) class: &'static str,
    /// What follows it.
    pub(super) marks: Vec<&'static str>,
}

impl<'a> Told<'a> {
    pub(super) fn of(tuning: &'a Tuning, flip: &Flip) -> Self {
        let call = &tuning.outcomes.calls[flip.call];
        let at = |decided: Option<Decided>| match decided {
            None => "not at all".to_owned(),
            Some(Decided { turn, rule }) => format!("at turn {turn} ({} rule)", rule.name().replace('_', " ")),
        };
        let wanted = match (call.escalate, call.at) {
            (Some(true), Some(turn)) => format!("; wanted from turn {} on", turn.saturating_add(1)),
            (Some(true), None) => "; should escalate".to_owned(),
            (Some(false), _) => "; should not escalate".to_owned(),
            (None, _) => String::new(),
        };
        let change = match flip.today == flip.then {
            true => format!("{}{wanted}", at(flip.then)),
            false => format!("today {}, then {}{wanted}", at(flip.today), at(flip.then)),
        };
        let wanted_turn = call.at.filter(|_| call.escalate == Some(true)).map(|at| at.saturating_add(1));
        let turn = |decided: Option<Decided>| decided.map(|decided| decided.turn);
        let marks =
            [("wanted", wanted_turn), ("escalates today", turn(flip.today)), ("escalates then", turn(flip.then))];
        let lines = call.lines.iter().map(|line| ToldLine::of(line, &marks)).collect();
        Self { name: &call.name, change, lines }
    }
}

impl<'a> ToldLine<'a> {
    fn of(line: &'a Line, marks: &[(&'static str, Option<u32>)]) -> Self {
        let who = match line.role {
            Role::Caller => "Caller",
            Role::Agent => "Agent",
            Role::Supervisor => "Supervisor",
            Role::Observer | Role::Unknown => "Observer",
        };
        let class = match line.sentiment.map(|sentiment| sentiment.value()) {
            Some(value) if value < 3.0 => "bad",
            Some(value) if value < 4.0 => "poor",
            Some(value) if value > 6.0 => "good",
            _ => "plain",
        };
        let rating = line.sentiment.map(|sentiment| match line.filler {
            true => format!("{sentiment}, filler"),
            false => sentiment.to_string(),
        });
        let is_here = |turn: Option<u32>| line.turn.is_some() && line.turn == turn;
        Self {
            who,
            text: &line.text,
            rating,
            width: line.sentiment.map_or(0, |sentiment| u32::from(sentiment.score()) * 10),
            class,
            marks: marks.iter().filter(|(_, turn)| is_here(*turn)).map(|(mark, _)| *mark).collect(),
        }
    }
}
