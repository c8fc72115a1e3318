//! What `tune` tells programs: JSON Lines.

use std::io::{self, Write};

use serde::Serialize;
use serde_json::{Map, Value};

use super::super::cached::Counts;
use crate::alert::Rule;
use crate::replay::figures::Share;
use crate::replay::tune::recommend::Verdict;
use crate::replay::tune::trace::Decided;
use crate::replay::tune::weigh::{Band, Side, Weighed};
use crate::replay::tune::{Flip, Tuning};
use crate::telemetry::shown::json_line;

/// The `calls` line.
#[derive(Serialize)]
#[serde(rename = "calls", tag = "type")]
struct Calls {
    calls: usize,
    turns: usize,
    unrated: usize,
    should_escalate: usize,
    should_not: usize,
    ratings_made: usize,
    ratings_kept: usize,
    band: Band,
}

/// A `cell` line: what some settings come to.
#[derive(Serialize)]
#[serde(rename = "cell", tag = "type")]
struct Cell<'a> {
    /// `today`; `streak`, `sustained`, `human_request`, `trajectory` alone; or `combined`.
    grid: &'a str,
    #[serde(flatten)]
    figures: Figures,
}

#[derive(Serialize)]
struct Figures {
    /// Keys of an agent document; of a rule that is looked at alone, its own keys.
    settings: Map<String, Value>,
    rate: Share,
    side: Side,
    thin: bool,
    recall: Share,
    precision: Share,
    false_alarms: Share,
    median_late: Option<f64>,
}

/// The `recommendation` line.
#[derive(Serialize)]
#[serde(rename = "recommendation", tag = "type")]
struct Recommended<'a> {
    verdict: Verdict,
    reason: &'a str,
    #[serde(flatten)]
    figures: Figures,
    cross_validated: Option<Validated>,
}

/// The figures on calls that a recommendation was not made from.
#[derive(Serialize)]
struct Validated {
    rate: Share,
    recall: Share,
    precision: Share,
    false_alarms: Share,
    median_late: Option<f64>,
}

/// A `flip` line.
#[derive(Serialize)]
#[serde(rename = "flip", tag = "type")]
struct Flipped<'a> {
    file: &'a str,
    escalate: Option<bool>,
    today: Option<Escalates>,
    then: Option<Escalates>,
}

#[derive(Serialize)]
struct Escalates {
    turn: u32,
    rule: Rule,
}

impl From<Decided> for Escalates {
    fn from(Decided { turn, rule }: Decided) -> Self {
        Self { turn, rule }
    }
}

/// Prints all of it.
pub(super) fn lines(out: &mut impl Write, tuning: &Tuning, counts: Counts) -> io::Result<()> {
    let calls = &tuning.outcomes.calls;
    let turns = || calls.iter().flat_map(|call| call.caller_turns());
    let judged = |wanted| calls.iter().filter(|call| call.escalate == Some(wanted)).count();
    line(
        out,
        &Calls {
            calls: calls.len(),
            turns: turns().count(),
            unrated: turns().filter(|turn| turn.sentiment.is_none()).count(),
            should_escalate: judged(true),
            should_not: judged(false),
            ratings_made: counts.rated,
            ratings_kept: counts.known,
            band: tuning.aim.band,
        },
    )?;
    let tried = &tuning.tried;
    let grids: [(&str, &[Weighed]); 6] = [
        ("today", std::slice::from_ref(&tried.today)),
        ("streak", &tried.streaks),
        ("sustained", &tried.means),
        ("human_request", &tried.requests),
        ("trajectory", std::slice::from_ref(&tried.trajectory)),
        ("combined", &tried.combined),
    ];
    for (grid, cells) in grids {
        for weighed in cells {
            line(out, &Cell { grid, figures: figures(tuning, weighed) })?;
        }
    }
    let recommendation = &tuning.recommendation;
    line(
        out,
        &Recommended {
            verdict: recommendation.verdict,
            reason: &recommendation.reason,
            figures: Figures { settings: tuning.settings(), ..figures(tuning, &recommendation.weighed) },
            cross_validated: tuning.validated.as_ref().map(|validated| &validated.weighed).map(|validated| Validated {
                rate: validated.rate,
                recall: validated.recall,
                precision: validated.precision,
                false_alarms: validated.false_alarms,
                median_late: validated.median_late,
            }),
        },
    )?;
    for Flip { call, today, then } in &tuning.flips {
        let call = &calls[*call];
        let (today, then) = (today.map(Escalates::from), then.map(Escalates::from));
        line(out, &Flipped { file: &call.name, escalate: call.escalate, today, then })?;
    }
    out.flush()
}

fn figures(tuning: &Tuning, weighed: &Weighed) -> Figures {
    let mut settings = weighed.cell.document(&tuning.outcomes.base);
    if !weighed.cell.can_be_set() {
        // Of a rule alone, what no settings say is left out.
        settings.retain(|key, value| {
            !key.contains("Threshold") && !key.contains("Window") && *value != 0 && *value != false
        });
    }
    Figures {
        settings,
        rate: weighed.rate,
        side: weighed.side,
        thin: weighed.thin,
        recall: weighed.recall,
        precision: weighed.precision,
        false_alarms: weighed.false_alarms,
        median_late: weighed.median_late,
    }
}

fn line(out: &mut impl Write, line: &impl Serialize) -> io::Result<()> {
    out.write_all(json_line(line)?.as_bytes())
}
