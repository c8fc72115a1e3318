//! Tuning: what the rules' settings come to over calls of one's own, and which ones to have ([`Tuning`]).
//!
//! # Layout
//! - [`trace`]: what the rules get to see of a call, whatever the settings; [`outcomes`]: the calls, and what each comes to.
//! - [`cell`], [`grid`]: one choice of settings, and which ones are tried; [`weigh`]: what one is worth.
//! - [`search`]: goes through the grids; [`recommend`]: the one recommendation; [`cross`]: what it is worth elsewhere.
//! - [`page`]: all of it as one page of HTML.
//!
//! There is no rule here: every decision is `call`'s own policy, or the core itself.

pub mod cell;
pub mod cross;
pub mod grid;
pub mod outcomes;
pub mod page;
pub mod recommend;
pub mod search;
pub mod trace;
pub mod weigh;

use serde_json::{Map, Value, json};

use cell::Cell;
use outcomes::Outcomes;
use recommend::{Recommendation, Verdict};
use search::{Aim, Tried};
use trace::Decided;
use weigh::{Band, Validated, Weighed};

/// How far the work has come, by its parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The grids over all calls.
    Grids,
    /// The same over parts of the labelled calls.
    CrossValidation,
}

/// A call that comes to something else than today.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Flip {
    /// Its place among the calls.
    pub call: usize,
    /// What it comes to with today's settings.
    pub today: Option<Decided>,
    /// And with those that are recommended.
    pub then: Option<Decided>,
}

/// All that was found out.
#[derive(Debug)]
pub struct Tuning {
    /// The calls, and what they come to.
    pub outcomes: Outcomes,
    /// What was looked for.
    pub aim: Aim,
    /// All that was tried.
    pub tried: Tried,
    /// The one recommendation.
    pub recommendation: Recommendation,
    /// What recommendations are worth on calls that they were not made from, where labels decide.
    pub validated: Option<Validated>,
    /// The calls that the recommendation changes: those that escalate no more or for the first time, then those that do
    /// so at another turn.
    pub flips: Vec<Flip>,
}

impl Tuning {
    /// Goes through the grids; `tell` hears of how many calls of how many a stage has dealt with.
    pub fn of(mut outcomes: Outcomes, band: Band, mut tell: impl FnMut(Stage, usize, usize)) -> Self {
        let aim = Aim::of(&outcomes, band);
        let tried = Tried::all(&mut outcomes, &aim, &mut |done, of| tell(Stage::Grids, done, of));
        let recommendation = Recommendation::of(&tried, &outcomes, &aim);
        let fitted = &recommendation.weighed;
        let validated =
            cross::validated(&mut outcomes, &aim, fitted, &mut |done, of| tell(Stage::CrossValidation, done, of));
        let recommendation = match &validated {
            Some(validated) => recommendation.confirmed(validated, &tried, &outcomes, &aim),
            None => recommendation,
        };
        let flips = flips(&outcomes, &recommendation.weighed.cell);
        Self { outcomes, aim, tried, recommendation, validated, flips }
    }

    /// What is worth a look side by side, by name: today's settings, the best of each rule, the best combination, within
    /// the band where one is asked for and any are; and what is recommended, as fitted and as cross-validated.
    #[must_use]
    pub fn candidates(&self) -> Vec<(&'static str, &Weighed)> {
        let (tried, outcomes, aim) = (&self.tried, &self.outcomes, &self.aim);
        let mut rows = vec![("today", &tried.today)];
        for (name, cells) in [("streak", &tried.streaks), ("sustained", &tried.means), ("human", &tried.requests)] {
            rows.extend(search::centre(cells, outcomes, aim).map(|best| (name, best)));
        }
        rows.push(("trajectory", &tried.trajectory));
        rows.extend(search::centre(&tried.combined, outcomes, aim).map(|best| ("combined", best)));
        if self.changes() {
            rows.push(("recommended", &self.recommendation.weighed));
            rows.extend(self.validated.as_ref().map(|validated| ("on new calls", &validated.weighed)));
        }
        rows
    }

    /// Whether settings are to be changed.
    #[must_use]
    pub fn changes(&self) -> bool {
        self.recommendation.verdict == Verdict::Change
    }

    /// The settings to have as keys of an agent document. Nothing is rated live under a document without the switch, so
    /// that it is among them; who changes nothing leaves it as it is.
    #[must_use]
    pub fn settings(&self) -> Map<String, Value> {
        let base = &self.outcomes.base;
        let mut document =
            Map::from_iter([("sentimentEscalationEnabled".to_owned(), json!(base.enabled || self.changes()))]);
        document.extend(self.recommendation.weighed.cell.document(base));
        document
    }

    /// The same, to be pasted.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string_pretty(&self.settings()).unwrap_or_default()
    }
}

fn flips(outcomes: &Outcomes, to: &Cell) -> Vec<Flip> {
    let today = Cell::of(&outcomes.base);
    let turns = outcomes.of(&today).zip(outcomes.of(to)).enumerate();
    let mut flips: Vec<Flip> = turns
        .filter(|(_, (today, then))| today != then)
        .map(|(call, _)| Flip { call, today: outcomes.decided(call, &today), then: outcomes.decided(call, to) })
        .collect();
    flips.sort_by_key(|flip| (flip.today.is_some() && flip.then.is_some(), flip.then.is_none()));
    flips
}
