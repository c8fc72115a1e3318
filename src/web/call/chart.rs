//! Ratings over time, 1 below and 10 above, and under them everything that happened.

use super::turns::{Turn, anchor};
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
    /// Whether it asks for a human.
    pub(in crate::web) asks: bool,
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
    /// Its line or its turn on the page; nothing where the page does not have it.
    pub(in crate::web) anchor: String,
}

/// A rating, when it was, and where its turn is.
struct Rated {
    at_ms: Option<u64>,
    rating: f64,
    low: bool,
    asks: bool,
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
            asks: turn.asks_human,
            turn: Some(turn.turn),
        };
        counted.map(rated).collect()
    });
    let of_alert = || {
        let rated = |rating: &crate::sentiment::Sentiment| Rated {
            at_ms: None,
            rating: rating.value(),
            low: rating.is_below(THRESHOLD),
            asks: false,
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
    /// Draws a call; none of one without ratings. `happened` is as the page lists it, and `turns` are those that it shows.
    pub(in crate::web) fn of(
        alert: &Alert,
        course: Option<&Course>,
        happened: &[Happened],
        turns: &[Turn],
    ) -> Option<Self> {
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
        let on_page = |turn: u32| Some(anchor(turn)).filter(|anchor| turns.iter().any(|turn| turn.anchor == *anchor));
        let dot = |(at, one): (usize, &Rated)| Dot {
            x: format!("{:.1}", place(at, one)),
            y: y(one.rating),
            low: one.low,
            asks: one.asks,
            says: one
                .turn
                .map_or_else(|| format!("{:.1}", one.rating), |turn| format!("turn {turn}, rated {:.1}", one.rating)),
            anchor: one.turn.and_then(on_page).unwrap_or_default(),
        };
        let dots: Vec<Dot> = rated.iter().enumerate().map(dot).collect();
        let lowest = rated.iter().map(|one| one.rating).fold(10.0, f64::min);
        let threshold = course.map_or(THRESHOLD, |course| course.threshold);
        let mut marks = axis.map_or_else(Vec::new, |axis| marks(&axis, happened));
        marks.extend(dots.iter().filter(|dot| dot.asks).map(Mark::asks));
        Some(Self {
            line: dots.iter().map(|dot| format!("{},{}", dot.x, dot.y)).collect::<Vec<_>>().join(" "),
            threshold: y(f64::from(threshold)),
            marks,
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

impl Mark {
    /// That somebody asks for a human, below the rating of their turn.
    fn asks(dot: &Dot) -> Self {
        let says = format!("{}: asks for a human", dot.says);
        Self { x: dot.x.clone(), class: "asks", says, anchor: dot.anchor.clone() }
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

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::config::settings::ActionKind;
    use crate::sentiment::Sentiment;
    use crate::store::course::RatedTurn;

    const BEGAN: u64 = 1_700_000_000_000;

    fn rated(turn: u32, rating: f64, asks_human: bool) -> RatedTurn {
        RatedTurn {
            turn,
            turn_id: format!("t{turn}"),
            at_ms: BEGAN + u64::from(turn) * 10_000,
            sentiment: Sentiment::clamped(rating),
            low: rating < 3.0,
            filler: false,
            asks_human,
            cues: Vec::new(),
        }
    }

    fn shown(turn: u32) -> Turn {
        Turn {
            anchor: anchor(turn),
            who: "caller",
            rating: String::new(),
            low: false,
            asks_human: false,
            decides: false,
            text: Vec::new(),
        }
    }

    fn happened(at_ms: u64, what_it_is: What, words: &str) -> Happened {
        Happened { at_ms: Some(at_ms), words: words.to_owned(), what_it_is }
    }

    #[test]
    fn every_mark_leads_to_its_turn_or_its_line() {
        let turns = vec![rated(1, 5.0, false), rated(2, 2.0, true), rated(3, 1.0, false)];
        let course = Course { threshold: 4, turns, steps: Vec::new() };
        let alert = Alert::test(ActionKind::Transfer, BEGAN);
        let happened = [
            happened(BEGAN, What::Call, "attached to the call"),
            happened(BEGAN + 31_000, What::Decided, "decided to transfer the caller"),
            happened(BEGAN + 35_000, What::Step, "busy (486)"),
            happened(BEGAN + 40_000, What::Attempt, "webhook, attempt 1: delivered (204)"),
            happened(BEGAN + 9_999_999, What::Said, "dana says right"),
        ];
        let chart = Chart::of(&alert, Some(&course), &happened, &[shown(1), shown(2)]).unwrap();
        let marks: Vec<_> = chart.marks.iter().map(|mark| (mark.class, &*mark.anchor, &*mark.says)).collect();
        assert_eq!(
            marks,
            [
                ("decided", "event-1", "decided to transfer the caller"),
                ("step", "event-2", "busy (486)"),
                ("attempt", "event-3", "webhook, attempt 1: delivered (204)"),
                ("asks", "turn-2", "turn 2, rated 2.0: asks for a human"),
            ]
        );
        // On the same axis, from the first thing that happened to the last.
        let x: Vec<f64> = chart.marks.iter().map(|mark| mark.x.parse().unwrap()).collect();
        assert!(x[0] < x[1] && x[1] < x[2] && x[3] < x[0], "{x:?}");
        assert_eq!((chart.marks[2].x.as_str(), chart.marks[3].x.as_str()), ("592.0", chart.dots[1].x.as_str()));
        let dots: Vec<_> = chart.dots.iter().map(|dot| (&*dot.anchor, &*dot.says, dot.low)).collect();
        let expected = [
            ("turn-1", "turn 1, rated 5.0", false),
            ("turn-2", "turn 2, rated 2.0", true),
            // The page does not have it.
            ("", "turn 3, rated 1.0", true),
        ];
        assert_eq!(dots, expected);
        assert_eq!(chart.threshold, y(4.0));
    }

    #[test]
    fn without_its_course_a_call_is_drawn_by_its_alert_and_without_ratings_not_at_all() {
        let alert = Alert {
            history: vec![Sentiment::clamped(4.0), Sentiment::clamped(1.0)],
            ..Alert::test(ActionKind::Flag, BEGAN)
        };
        let chart = Chart::of(&alert, None, &[happened(BEGAN, What::Decided, "decided")], &[]).unwrap();
        let dots: Vec<_> = chart.dots.iter().map(|dot| (&*dot.x, &*dot.y, &*dot.anchor, dot.low)).collect();
        assert_eq!(dots, [("150.0", "120.0", "", false), ("450.0", "180.0", "", true)]);
        assert!(chart.marks.is_empty(), "nobody knows when the turns were");
        assert!(Chart::of(&Alert { history: Vec::new(), ..alert }, None, &[], &[]).is_none());
    }

    #[test]
    fn turns_that_came_all_at_once_have_their_asks_marked_all_the_same() {
        let turns = (1..3).map(|n| RatedTurn { at_ms: BEGAN, ..rated(n, 2.0, n == 2) }).collect();
        let course = Course { threshold: 3, turns, steps: Vec::new() };
        let chart = Chart::of(&Alert::test(ActionKind::Flag, BEGAN), Some(&course), &[], &[shown(2)]).unwrap();
        let [mark] = &chart.marks[..] else { panic!("{:?}", chart.marks) };
        assert_eq!((mark.class, &*mark.anchor, &*mark.x), ("asks", "turn-2", "450.0"));
    }
}
