//! Goes through the grids: each rule alone, then combinations around the best of each; and which one is to be taken.

use super::cell::{Cell, Mean, Streak};
use super::grid;
use super::outcomes::Outcomes;
use super::weigh::{Band, Side, Weighed};

/// What is looked for, over which calls.
#[derive(Debug, Clone)]
pub struct Aim {
    /// Which calls, by their place in [`Outcomes::calls`].
    pub over: Vec<usize>,
    /// The rates that are wanted.
    pub band: Band,
    /// Whether labels decide, or the rate alone.
    pub labelled: bool,
}

/// How many calls that should escalate, and that should not, must be judged for labels to decide.
pub const LABELLED: usize = 10;

impl Aim {
    /// All calls; labels decide where there are enough of them.
    #[must_use]
    pub fn of(outcomes: &Outcomes, band: Band) -> Self {
        let count = |wanted| outcomes.calls.iter().filter(|call| call.escalate == Some(wanted)).count();
        let labelled = count(true) >= LABELLED && count(false) >= LABELLED;
        Self { over: (0..outcomes.calls.len()).collect(), band, labelled }
    }
}

/// All that was tried.
#[derive(Debug, Clone)]
pub struct Tried {
    /// Today's settings.
    pub today: Weighed,
    /// The streak rule alone, by threshold and window.
    pub streaks: Vec<Weighed>,
    /// The sustained rule alone, by level and weight.
    pub means: Vec<Weighed>,
    /// Requests for a human alone.
    pub requests: Vec<Weighed>,
    /// The trajectory rules alone.
    pub trajectory: Weighed,
    /// Combinations.
    pub combined: Vec<Weighed>,
}

impl Tried {
    /// Tries everything; `tell` hears of how many calls of how many it is known what they come to.
    pub fn all(outcomes: &mut Outcomes, aim: &Aim, tell: &mut dyn FnMut(usize, usize)) -> Self {
        let today = Cell::of(&outcomes.base);
        let alone: Vec<Cell> =
            grid::streaks().chain(grid::means()).chain(grid::requests()).chain([grid::trajectory(), today]).collect();
        outcomes.find(alone, &mut *tell);
        let weigh = |outcomes: &Outcomes, cell| Weighed::of(outcomes, cell, &aim.over, &aim.band);
        let streaks: Vec<Weighed> = grid::streaks().map(|cell| weigh(outcomes, cell)).collect();
        let means: Vec<Weighed> = grid::means().map(|cell| weigh(outcomes, cell)).collect();
        let streak = centre(&streaks, outcomes, aim).and_then(|best| best.cell.streak);
        let mean = centre(&means, outcomes, aim).and_then(|best| best.cell.sustained);
        let combined = grid::around(
            streak.unwrap_or(Streak { threshold: outcomes.base.threshold, window: outcomes.base.window }),
            mean.unwrap_or(default_mean(outcomes)),
            &today,
        );
        outcomes.find(combined.iter().copied(), tell);
        Self {
            today: weigh(outcomes, today),
            streaks,
            means,
            requests: grid::requests().map(|cell| weigh(outcomes, cell)).collect(),
            trajectory: weigh(outcomes, grid::trajectory()),
            combined: combined.into_iter().map(|cell| weigh(outcomes, cell)).collect(),
        }
    }

    /// What settings can say, today's first.
    pub fn settable(&self) -> impl Iterator<Item = &Weighed> {
        let others = self.streaks.iter().chain(&self.combined);
        std::iter::once(&self.today).chain(others.filter(|tried| tried.cell != self.today.cell))
    }

    /// How many different cells were tried.
    #[must_use]
    pub fn count(&self) -> usize {
        let settable: std::collections::HashSet<Cell> = self.settable().map(|tried| tried.cell).collect();
        settable.len() + self.means.len() + self.requests.len() + 1
    }
}

fn default_mean(outcomes: &Outcomes) -> Mean {
    let sustained = outcomes.base.sustained;
    Mean { level: super::cell::Exact(sustained.level), weight: super::cell::Exact(sustained.weight) }
}

/// The best of some cells, such as that of a rule's around which combinations are tried: within the band, where somebody
/// asked for one.
pub(super) fn centre<'a>(tried: &'a [Weighed], outcomes: &Outcomes, aim: &Aim) -> Option<&'a Weighed> {
    let within = tried.iter().filter(|tried| aim.band.given && tried.side == Side::Within);
    best(within, outcomes, aim).or_else(|| best(tried, outcomes, aim))
}

/// The best of some cells: with labels, the greatest [success](Weighed::success); without, the rate nearest to the band's middle.
#[must_use]
pub fn best<'a>(tried: impl IntoIterator<Item = &'a Weighed>, outcomes: &Outcomes, aim: &Aim) -> Option<&'a Weighed> {
    let today = Cell::of(&outcomes.base);
    tried.into_iter().min_by(|a, b| {
        let changes = |tried: &Weighed| tried.cell.changes(&today, &outcomes.base);
        let order = if aim.labelled { by_labels(a, b) } else { by_rate(a, b, &aim.band) };
        order.then_with(|| changes(a).cmp(&changes(b)))
    })
}

/// More of the calls that should escalate or do are those that should and do, then fewer false alarms, then nearer to the
/// judged turn.
pub(super) fn by_labels(a: &Weighed, b: &Weighed) -> std::cmp::Ordering {
    let late = |tried: &Weighed| tried.median_late.map_or(f64::MAX, f64::abs);
    let success = b.success().total_cmp(&a.success());
    success.then(a.false_alarms.count.cmp(&b.false_alarms.count)).then_with(|| late(a).total_cmp(&late(b)))
}

/// The rate nearer to the band's middle.
pub(super) fn by_rate(a: &Weighed, b: &Weighed, band: &Band) -> std::cmp::Ordering {
    band.off(a.share()).total_cmp(&band.off(b.share()))
}
