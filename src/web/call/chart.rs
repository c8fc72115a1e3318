//! Ratings over time, 1 below and 10 above, and under them everything that happened.

use super::turns::anchor;
use crate::alert::Alert;
use crate::store::course::Course;
use crate::store::whole::{Happened, What};

/// Width and height of the part with ratings, in the drawing's own units, and what is left free beside it.
const WIDTH: f64 = 600.0;
const HEIGHT: f64 = 180.0;
const EDGE: f64 = 8.0;
/// So many of the last ratings are drawn.
const MOST_DOTS: usize = 120;
/// Threshold of calls of which nothing else is known.
const THRESHOLD: u8 = 3;

/// The drawing.
#[derive(Debug)]
pub(in crate::web) struct Chart {
    pub(in crate::web) line: String,
    pub(in crate::web) threshold: String,
    pub(in crate::web) dots: Vec<Dot>,
    pub(in crate::web) marks: Vec<Mark>,
    pub(in crate::web) says: String,
}

/// One rating.
#[derive(Debug)]
pub(in crate::web) struct Dot {
    pub(in crate::web) x: String,
    pub(in crate::web) y: String,
    pub(in crate::web) low: bool,
    pub(in crate::web) says: String,
    /// Its turn on the page; nothing where the page does not have it.
    pub(in crate::web) anchor: String,
}

/// Something that happened.
#[derive(Debug)]
pub(in crate::web) struct Mark {
    pub(in crate::web) x: String,
    pub(in crate::web) class: &'static str,
    pub(in crate::web) says: String,
    /// Its line on the page.
    pub(in crate::web) anchor: String,
}

/// A rating, when it was, and where its turn is.
struct Rated {
    at_ms: Option<u64>,
    rating: f64,
    low: bool,
    turn: Option<u32>,
}

/// The anchor of something that happened.
pub(in crate::web) fn event(at: usize) -> String {
    format!("event-{at}")
}

fn ratings(alert: &Alert, course: Option<&Course>) -> Vec<Rated> {
    let of_course = course.filter(|course| !course.turns.is_empty()).map(|course| {
        let counted = course.turns.iter().filter(|turn| !turn.filler);
        let rated = |turn: &crate::store::course::RatedTurn| Rated {
            at_ms: Some(turn.at_ms),
            rating: turn.sentiment.value(),
            low: turn.low,
            turn: Some(turn.turn),
        };
        counted.map(rated).collect()
    });
    let of_alert = || {
        let rated = |rating: &crate::sentiment::Sentiment| Rated {
            at_ms: None,
            rating: rating.value(),
            low: rating.is_below(THRESHOLD),
            turn: None,
        };
        alert.history.iter().map(rated).collect()
    };
    of_course.unwrap_or_else(of_alert)
}

/// Where moments lie.
struct Axis {
    from: u64,
    span: f64,
}

impl Axis {
    /// From the first to the last; none where they do not lie apart.
    fn over(times: impl Iterator<Item = u64> + Clone) -> Option<Self> {
        let (from, to) = (times.clone().min()?, times.max()?);
        // Turns that a process heard all at once, as it took the call over, have no times to be drawn by.
        (to.saturating_sub(from) >= 2_000).then(|| Self { from, span: (to - from) as f64 })
    }

    fn x(&self, at_ms: u64) -> f64 {
        let share = at_ms.saturating_sub(self.from) as f64 / self.span;
        EDGE + share.min(1.0) * (WIDTH - 2.0 * EDGE)
    }
}

fn y(rating: f64) -> String {
    format!("{:.1}", HEIGHT * (10.0 - rating) / 9.0)
}

impl Chart {
    /// Draws a call; none of one without ratings. `happened` is as the page lists it.
    pub(in crate::web) fn of(alert: &Alert, course: Option<&Course>, happened: &[Happened]) -> Option<Self> {
        let all = ratings(alert, course);
        let rated = &all[all.len().saturating_sub(MOST_DOTS)..];
        let last = rated.last()?;
        // What is done long after the call, by people, stretches no axis.
        let of_call = happened.iter().filter(|one| one.what_it_is != What::Said).filter_map(|one| one.at_ms);
        let axis = rated.iter().all(|one| one.at_ms.is_some()).then(|| {
            let turns = rated.iter().filter_map(|one| one.at_ms);
            let most = turns.clone().max().unwrap_or(0) + 120_000;
            Axis::over(turns.chain(of_call.filter(|at| *at <= most).collect::<Vec<_>>()))
        });
        let axis = axis.flatten();
        let step = WIDTH / rated.len() as f64;
        let place = |at: usize, one: &Rated| match (&axis, one.at_ms) {
            (Some(axis), Some(at_ms)) => axis.x(at_ms),
            _ => (at as f64 + 0.5) * step,
        };
        let dot = |(at, one): (usize, &Rated)| Dot {
            x: format!("{:.1}", place(at, one)),
            y: y(one.rating),
            low: one.low,
            says: one
                .turn
                .map_or_else(|| format!("{:.1}", one.rating), |turn| format!("turn {turn}, rated {:.1}", one.rating)),
            anchor: one.turn.map_or_else(String::new, anchor),
        };
        let dots: Vec<Dot> = rated.iter().enumerate().map(dot).collect();
        let lowest = rated.iter().map(|one| one.rating).fold(10.0, f64::min);
        let threshold = course.map_or(THRESHOLD, |course| course.threshold);
        Some(Self {
            line: dots.iter().map(|dot| format!("{},{}", dot.x, dot.y)).collect::<Vec<_>>().join(" "),
            threshold: y(f64::from(threshold)),
            marks: axis.map_or_else(Vec::new, |axis| marks(&axis, happened)),
            says: format!(
                "{} ratings from 1 (extremely negative) to 10, the lowest {lowest:.1}, the last {:.1}; the dashed line is \
                 at {threshold}",
                rated.len(),
                last.rating
            ),
            dots,
        })
    }
}

fn marks(axis: &Axis, happened: &[Happened]) -> Vec<Mark> {
    let mark = |(at, one): (usize, &Happened)| {
        let x = axis.x(one.at_ms.filter(|ms| (*ms as f64) <= axis.from as f64 + axis.span)?);
        let class = match one.what_it_is {
            What::Decided => "decided",
            What::Step | What::Outcome => "step",
            What::Attempt => "attempt",
            What::Call | What::Standing | What::Said => return None,
        };
        Some(Mark { x: format!("{x:.1}"), class, says: one.words.clone(), anchor: event(at) })
    };
    happened.iter().enumerate().filter_map(mark).collect()
}
