//! Which cells are tried: each rule alone on a grid of its own, and combinations around the best of each rule only, as all
//! combinations of all grids would be half a million.

use super::cell::{Cell, Exact, Mean, Streak};

/// The thresholds and windows of the streak rule.
pub const STREAK: std::ops::RangeInclusive<u8> = 1..=10;
/// The levels of the sustained rule.
pub const LEVELS: [f64; 13] = [1.6, 1.8, 2.0, 2.2, 2.4, 2.6, 2.8, 3.0, 3.2, 3.4, 3.7, 4.0, 4.5];
/// The weights of the sustained rule.
pub const WEIGHTS: [f64; 8] = [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.8, 1.0];
/// How many requests for a human escalate.
pub const HUMAN_REQUESTS: std::ops::RangeInclusive<u32> = 0..=4;

/// The streak rule alone.
pub fn streaks() -> impl Iterator<Item = Cell> {
    STREAK.flat_map(|threshold| STREAK.map(move |window| streak(threshold, window.into())))
}

fn streak(threshold: u8, window: u32) -> Cell {
    Cell { streak: Some(Streak { threshold, window }), ..Cell::none() }
}

/// The sustained rule alone.
pub fn means() -> impl Iterator<Item = Cell> {
    LEVELS.into_iter().flat_map(|level| WEIGHTS.into_iter().map(move |weight| mean(level, weight)))
}

fn mean(level: f64, weight: f64) -> Cell {
    Cell { sustained: Some(Mean { level: Exact(level), weight: Exact(weight) }), ..Cell::none() }
}

/// Requests for a human alone.
pub fn requests() -> impl Iterator<Item = Cell> {
    HUMAN_REQUESTS.skip(1).map(|human_requests| Cell { human_requests, ..Cell::none() })
}

/// The trajectory rules alone.
#[must_use]
pub fn trajectory() -> Cell {
    Cell { trajectory: true, ..Cell::none() }
}

/// Combinations of all rules around the best of the streak rule and of the sustained rule, and around today's.
#[must_use]
pub fn around(streak: Streak, sustained: Mean, today: &Cell) -> Vec<Cell> {
    let mut streaks = near_streaks(streak);
    streaks.extend(today.streak);
    let mut means: Vec<Option<Mean>> = near_means(sustained).into_iter().map(Some).collect();
    means.extend([None, today.sustained]);
    let mut requests: Vec<u32> = HUMAN_REQUESTS.collect();
    requests.push(today.human_requests);
    let mut cells = Vec::new();
    for streak in without_repeats(streaks) {
        for sustained in without_repeats(means.clone()) {
            for human_requests in without_repeats(requests.clone()) {
                for trajectory in [false, true] {
                    cells.push(Cell { streak: Some(streak), sustained, human_requests, trajectory });
                }
            }
        }
    }
    cells
}

fn near_streaks(best: Streak) -> Vec<Streak> {
    let near = |value: u32| value.saturating_sub(1).max(1)..=value + 1;
    let thresholds = near(best.threshold.into()).filter_map(|t| u8::try_from(t).ok()).filter(|t| STREAK.contains(t));
    thresholds
        .flat_map(|threshold| near(best.window).map(move |window| Streak { threshold, window }))
        .filter(|streak| u32::from(*STREAK.end()) >= streak.window)
        .collect()
}

fn near_means(best: Mean) -> Vec<Mean> {
    let weights = near(&WEIGHTS, best.weight.0);
    let levels = near(&LEVELS, best.level.0);
    let with = |level: f64| weights.iter().map(move |weight| Mean { level: Exact(level), weight: Exact(*weight) });
    levels.iter().flat_map(|level| with(*level)).collect()
}

/// A value of a list and its neighbours.
fn near(list: &[f64], value: f64) -> &[f64] {
    let at = list.iter().position(|listed| *listed >= value).unwrap_or(list.len() - 1);
    &list[at.saturating_sub(1)..(at + 2).min(list.len())]
}

fn without_repeats<T: PartialEq>(values: Vec<T>) -> Vec<T> {
    let mut once: Vec<T> = Vec::new();
    for value in values {
        if !once.contains(&value) {
            once.push(value);
        }
    }
    once
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::config::settings::{Settings, Sustained};

    #[test]
    fn no_more_than_two_thousand_cells_are_tried_and_none_twice() {
        let unusual = Settings {
            threshold: 9,
            window: 40,
            human_requests: 7,
            sustained: Sustained { enabled: true, level: 2.75, weight: 0.35 },
            ..Settings::default()
        };
        for today in [Cell::of(&Settings::default()), Cell::of(&unusual)] {
            for threshold in STREAK {
                for window in STREAK {
                    for mean in means().filter_map(|cell| cell.sustained) {
                        let combined = around(Streak { threshold, window: window.into() }, mean, &today);
                        let mut cells: HashSet<Cell> = combined.iter().copied().collect();
                        assert_eq!(cells.len(), combined.len());
                        assert!(cells.contains(&today), "today's settings are among them");
                        cells.extend(streaks().chain(means()).chain(requests()).chain([trajectory()]));
                        assert!(cells.len() <= 2000, "{}", cells.len());
                    }
                }
            }
        }
        assert_eq!(streaks().count(), 100);
    }
}
