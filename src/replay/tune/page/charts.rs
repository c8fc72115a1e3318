//! The pictures of the page: where everything stands, in units of the drawing.

use std::collections::BTreeMap;

use super::super::Tuning;
use super::super::grid::{LEVELS, STREAK, WEIGHTS};
use super::super::recommend::{percent, shown};
use super::super::weigh::{Side, Weighed};

/// A grid of rates.
pub(super) struct Heat {
    pub(super) id: &'static str,
    pub(super) title: &'static str,
    pub(super) about: String,
    pub(super) across: &'static str,
    pub(super) down: &'static str,
    pub(super) columns: Vec<Label>,
    pub(super) rows: Vec<HeatRow>,
    pub(super) width: usize,
    pub(super) height: usize,
}

pub(super) struct Label {
    pub(super) text: String,
    pub(super) at: usize,
}

pub(super) struct HeatRow {
    pub(super) label: Label,
    pub(super) cells: Vec<HeatCell>,
}

pub(super) struct HeatCell {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) text: String,
    pub(super) class: &'static str,
    pub(super) today: bool,
    /// The rate with its interval.
    pub(super) told: String,
}

impl Heat {
    const CELL: usize = 56;
    const LINE: usize = 30;
    const LEFT: usize = 60;
    const TOP: usize = 44;

    pub(super) fn streaks(tuning: &Tuning) -> Self {
        let numbers: Vec<String> = STREAK.map(|number| number.to_string()).collect();
        let about =
            "How many calls escalate by the streak rule alone, in percent: so many turns in a row below a threshold.";
        Self {
            id: "streak",
            title: "The streak rule alone",
            across: "turns in a row",
            down: "below",
            ..Self::new(about, &numbers, &numbers, &tuning.tried.streaks, tuning)
        }
    }

    pub(super) fn means(tuning: &Tuning) -> Self {
        let levels: Vec<String> = LEVELS.iter().map(|level| format!("{level:.1}")).collect();
        let weights: Vec<String> = WEIGHTS.iter().map(f64::to_string).collect();
        let about = "How many calls escalate by the sustained rule alone, in percent: the running mean of the ratings below a \
                     level, by how much of the way the mean goes to each new rating.";
        Self {
            id: "sustained",
            title: "The sustained rule alone",
            across: "weight of a new rating",
            down: "below",
            ..Self::new(about, &levels, &weights, &tuning.tried.means, tuning)
        }
    }

    fn new(about: &str, rows: &[String], columns: &[String], cells: &[Weighed], tuning: &Tuning) -> Self {
        let today = tuning.tried.today.cell;
        let x = |column: usize| Self::LEFT + column * Self::CELL;
        let y = |row: usize| Self::TOP + row * Self::LINE;
        let cell = |(column, weighed): (usize, &Weighed), row: usize| HeatCell {
            x: x(column),
            y: y(row),
            text: format!("{}{}", percent(weighed.share()), if weighed.thin { "?" } else { "" }),
            class: class(weighed),
            today: weighed.cell.streak.is_some() && weighed.cell.streak == today.streak,
            told: shown(&weighed.rate),
        };
        let rows: Vec<HeatRow> = cells
            .chunks(columns.len())
            .zip(rows)
            .enumerate()
            .map(|(row, (cells, label))| HeatRow {
                label: Label { text: label.clone(), at: y(row) },
                cells: cells.iter().enumerate().map(|place| cell(place, row)).collect(),
            })
            .collect();
        Self {
            id: "",
            title: "",
            about: about.to_owned(),
            across: "",
            down: "",
            columns: columns.iter().enumerate().map(|(at, text)| Label { text: text.clone(), at: x(at) }).collect(),
            width: x(columns.len()) + 4,
            height: y(rows.len()) + 4,
            rows,
        }
    }
}

fn class(weighed: &Weighed) -> &'static str {
    match (weighed.side, weighed.thin) {
        (Side::Below, false) => "below",
        (Side::Below, true) => "below thin",
        (Side::Within, false) => "within",
        (Side::Within, true) => "within thin",
        (Side::Above, false) => "above",
        (Side::Above, true) => "above thin",
    }
}

/// Recall against false alarms of everything that settings can say.
pub(super) struct Curve {
    pub(super) points: Vec<Point>,
    /// The best recall for each share of false alarms, as a path.
    pub(super) path: String,
    pub(super) today: Point,
    pub(super) recommended: Option<Point>,
    pub(super) ticks: Vec<Label>,
    pub(super) recalls: Vec<Label>,
    /// The corners of the path, as a table.
    pub(super) corners: Vec<Corner>,
}

#[derive(Clone, Copy)]
pub(super) struct Point {
    pub(super) x: usize,
    pub(super) y: usize,
}

pub(super) struct Corner {
    pub(super) false_alarms: String,
    pub(super) recall: String,
    pub(super) cell: String,
}

impl Curve {
    const LEFT: usize = 60;
    const TOP: usize = 16;
    const SIZE: usize = 360;
    const WIDTH: usize = 520;

    pub(super) fn of(tuning: &Tuning) -> Option<Self> {
        let today = &tuning.tried.today;
        if today.recall.of == 0 || today.false_alarms.of == 0 {
            return None;
        }
        // For each number of false alarms the most hits, and by what.
        let mut best: BTreeMap<usize, &Weighed> = BTreeMap::new();
        let mut seen: BTreeMap<(usize, usize), ()> = BTreeMap::new();
        for weighed in tuning.tried.settable() {
            seen.insert((weighed.false_alarms.count, weighed.recall.count), ());
            let known = best.entry(weighed.false_alarms.count).or_insert(weighed);
            if weighed.recall.count > known.recall.count {
                *known = weighed;
            }
        }
        let mut corners: Vec<&Weighed> = Vec::new();
        for weighed in best.into_values() {
            if corners.last().is_none_or(|last| last.recall.count < weighed.recall.count) {
                corners.push(weighed);
            }
        }
        let (quiet, wanted) = (tuning.tried.today.false_alarms.of, tuning.tried.today.recall.of);
        // What lies further right helps nobody, and would press the rest to the edge.
        let most = corners.last().map_or(1, |last| last.false_alarms.count).max(tuning.tried.today.false_alarms.count);
        // Four steps of whole calls.
        let right = (most + most / 4).max(quiet / 20).div_ceil(4).max(1) * 4;
        let point = |alarms: usize, hits: usize| Point {
            x: Self::LEFT + Self::WIDTH * alarms / right,
            y: Self::TOP + Self::SIZE - Self::SIZE * hits / wanted.max(1),
        };
        let of = |weighed: &Weighed| point(weighed.false_alarms.count, weighed.recall.count);
        // From the axis up, and on to the right where more false alarms find no more.
        let (first, last) = (corners.first().map(|first| point(first.false_alarms.count, 0)), corners.last());
        let last = last.map(|last| point(right, last.recall.count));
        let path = first.into_iter().chain(corners.iter().map(|corner| of(corner))).chain(last);
        let path: Vec<String> = path.map(|p| format!("{} {}", p.x, p.y)).collect();
        let ticks = (0..=4).map(|quarter| {
            let alarms = right * quarter / 4;
            let text = format!("{} %", percent(alarms as f64 / quiet.max(1) as f64));
            Label { text, at: point(alarms, 0).x }
        });
        let recalls = (0..=4).map(|quarter| Label {
            text: format!("{} %", 25 * quarter),
            at: Self::TOP + Self::SIZE - Self::SIZE * quarter / 4,
        });
        Some(Self {
            points: seen
                .into_keys()
                .filter(|(alarms, _)| *alarms <= right)
                .map(|(alarms, hits)| point(alarms, hits))
                .collect(),
            path: format!("M{}", path.join(" L")),
            today: of(&tuning.tried.today),
            recommended: tuning.changes().then(|| of(&tuning.recommendation.weighed)),
            ticks: ticks.collect(),
            recalls: recalls.collect(),
            corners: corners
                .into_iter()
                .map(|corner| Corner {
                    false_alarms: format!("{}/{quiet}, {}", corner.false_alarms.count, shown(&corner.false_alarms)),
                    recall: format!("{}/{wanted}, {}", corner.recall.count, shown(&corner.recall)),
                    cell: corner.cell.told(),
                })
                .collect(),
        })
    }
}

/// How many turns have which rating.
pub(super) struct Bars {
    pub(super) bars: Vec<Bar>,
    pub(super) threshold: usize,
    pub(super) filler: usize,
    pub(super) most: usize,
}

pub(super) struct Bar {
    pub(super) x: usize,
    pub(super) y: usize,
    pub(super) height: usize,
    pub(super) count: usize,
    pub(super) range: String,
    pub(super) label: Option<String>,
    pub(super) class: &'static str,
}

impl Bars {
    const HEIGHT: usize = 200;
    const TOP: usize = 16;
    const LEFT: usize = 12;
    const STEP: usize = 30;
    /// Half a point each, from 1 to 10.
    const COUNT: usize = 19;

    pub(super) fn of(tuning: &Tuning) -> Self {
        let mut counts = [0_usize; Self::COUNT];
        let mut filler = 0;
        for turn in tuning.outcomes.calls.iter().flat_map(|call| call.caller_turns()) {
            let Some(sentiment) = turn.sentiment else { continue };
            if turn.filler {
                filler += 1;
                continue;
            }
            // From 1 to 10, so that it is a place in the list.
            let place = ((sentiment.value() - 1.0) * 2.0).floor() as usize;
            counts[place.min(Self::COUNT - 1)] += 1;
        }
        let most = counts.iter().copied().max().unwrap_or(0).max(1);
        let low = f64::from(tuning.outcomes.base.threshold);
        let bars = counts.into_iter().enumerate().map(|(place, count)| {
            let from = 1.0 + place as f64 / 2.0;
            let height = Self::HEIGHT * count / most;
            Bar {
                x: Self::LEFT + place * Self::STEP,
                y: Self::TOP + Self::HEIGHT - height,
                height,
                count,
                range: if place + 1 == Self::COUNT {
                    "10".to_owned()
                } else {
                    format!("{from:.1} to {:.1}", from + 0.4)
                },
                label: place.is_multiple_of(2).then(|| format!("{from:.0}")),
                class: if from < low { "bad" } else { "plain" },
            }
        });
        let threshold = usize::from(tuning.outcomes.base.threshold.clamp(1, 10)) - 1;
        Self { bars: bars.collect(), threshold: Self::LEFT + threshold * 2 * Self::STEP, filler, most }
    }
}
