//! All that was found out as one page of HTML: it needs nothing else to be shown, and runs nothing.

mod calls;
mod charts;

use askama::Template;

use super::recommend::{Verdict, percent, percents, shown};
use super::weigh::Weighed;
use super::{Flip, Tuning};
use crate::replay::figures::Share;
use calls::Told;
use charts::{Bars, Curve, Heat};

/// The page.
#[derive(Template)]
#[template(path = "page.html", config = "src/replay/tune/page/askama.toml")]
struct Page<'a> {
    version: &'static str,
    calls: usize,
    turns: usize,
    unrated: usize,
    should: usize,
    should_not: usize,
    tried: usize,
    labelled: bool,
    band: String,
    title: &'static str,
    chosen: String,
    reason: &'a str,
    validated: Option<String>,
    document: Option<String>,
    rows: Vec<Row>,
    heats: Vec<Heat>,
    requests: String,
    curve: Option<Curve>,
    bars: Bars,
    told: Vec<Group<'a>>,
}

/// A row of the table of candidates.
struct Row {
    name: &'static str,
    cell: String,
    rate: String,
    recall: String,
    false_alarms: String,
    precision: String,
    late: String,
}

/// Calls that are told with their turns.
struct Group<'a> {
    title: &'static str,
    about: &'static str,
    count: usize,
    left_out: usize,
    calls: Vec<Told<'a>>,
}

/// So many calls of a kind are told: more than anybody reads, and a page that opens at once.
const MOST: usize = 100;

/// Writes the page.
///
/// # Errors
/// When the template cannot be filled in, which no calls lead to.
pub fn page(tuning: &Tuning) -> Result<String, askama::Error> {
    let calls = &tuning.outcomes.calls;
    let turns = || calls.iter().flat_map(|call| call.caller_turns());
    let judged = |wanted| calls.iter().filter(|call| call.escalate == Some(wanted)).count();
    let (recommendation, band) = (&tuning.recommendation, &tuning.aim.band);
    let validated = tuning.validated.as_ref().filter(|_| tuning.changes()).map(|validated| &validated.weighed);
    let validated = validated.map(|validated| {
        format!("recall {}, false alarms {}", held(&shown(&validated.recall)), held(&shown(&validated.false_alarms)))
    });
    let requests: Vec<String> = tuning
        .tried
        .requests
        .iter()
        .map(|weighed| format!("{} or more: {} %", weighed.cell.human_requests, percent(weighed.share())))
        .collect();
    Page {
        version: env!("CARGO_PKG_VERSION"),
        calls: calls.len(),
        turns: turns().count(),
        unrated: turns().filter(|turn| turn.sentiment.is_none()).count(),
        should: judged(true),
        should_not: judged(false),
        tried: tuning.tried.count(),
        labelled: tuning.aim.labelled,
        band: percents(band.min, band.max),
        title: match recommendation.verdict {
            Verdict::Change => "Take these settings",
            Verdict::Keep => "Keep today's settings",
            Verdict::NotEnoughCalls => "Keep today's settings: not enough calls to tell",
            Verdict::NothingFits => "Keep today's settings: nothing fits",
        },
        chosen: recommendation.weighed.cell.told(),
        reason: &recommendation.reason,
        validated,
        document: tuning.changes().then(|| tuning.document()),
        rows: tuning.candidates().into_iter().map(|(name, weighed)| row(name, weighed)).collect(),
        heats: vec![Heat::streaks(tuning), Heat::means(tuning)],
        requests: format!("{}; trajectory rules: {} %", requests.join(", "), percent(tuning.tried.trajectory.share())),
        curve: Curve::of(tuning),
        bars: Bars::of(tuning),
        told: groups(tuning),
    }
    .render()
}

fn row(name: &'static str, weighed: &Weighed) -> Row {
    let of = |share: &Share| match share.share {
        Some(_) => held(&format!("{}/{}, {}", share.count, share.of, shown(share))),
        None => "-".to_owned(),
    };
    Row {
        name,
        cell: weighed.cell.told(),
        rate: format!("{}{}", held(&shown(&weighed.rate)), if weighed.thin { ", few calls" } else { "" }),
        recall: of(&weighed.recall),
        false_alarms: of(&weighed.false_alarms),
        precision: of(&weighed.precision),
        late: weighed.median_late.map_or_else(|| "-".to_owned(), |late| format!("{late:.1}")),
    }
}

/// A share with its interval, whose figures and signs no line's end parts.
fn held(share: &str) -> String {
    share.replace(" %", "\u{a0}%").replace('-', "\u{2011}")
}

/// The calls that change, then those that come out wrong all the same.
fn groups(tuning: &Tuning) -> Vec<Group<'_>> {
    let flips = |fits: fn(&Flip) -> bool| tuning.flips.iter().filter(move |flip| fits(flip)).copied().collect();
    let wrong = |wanted: bool| wrong(tuning, wanted);
    let groups: [(&'static str, &'static str, Vec<Flip>); 5] = [
        ("Escalate now", "Calls that do not escalate today.", flips(|flip| flip.today.is_none())),
        ("Escalate no more", "Calls that escalate today.", flips(|flip| flip.then.is_none())),
        ("Escalate at another turn", "", flips(|flip| flip.today.is_some() && flip.then.is_some())),
        ("Still missed", "Calls that should escalate, and do so neither today nor with these settings.", wrong(true)),
        ("Still false", "Calls that should not escalate, and do so today and with these settings.", wrong(false)),
    ];
    let told = |(title, about, flips): (&'static str, &'static str, Vec<Flip>)| Group {
        title,
        about,
        count: flips.len(),
        left_out: flips.len().saturating_sub(MOST),
        calls: flips.iter().take(MOST).map(|flip| Told::of(tuning, flip)).collect(),
    };
    groups.into_iter().map(told).filter(|group| group.count > 0).collect()
}

/// The judged calls that come out wrong with today's settings and with those that are recommended.
fn wrong(tuning: &Tuning, wanted: bool) -> Vec<Flip> {
    let outcomes = &tuning.outcomes;
    let (today, then) = (tuning.tried.today.cell, tuning.recommendation.weighed.cell);
    let turns = outcomes.of(&today).zip(outcomes.of(&then)).enumerate();
    turns
        .filter(|(call, (today, then))| {
            let wrong = |turn: &Option<u32>| outcomes.calls[*call].escalate == Some(wanted) && turn.is_some() != wanted;
            wrong(today) && wrong(then)
        })
        .map(|(call, _)| Flip { call, today: outcomes.decided(call, &today), then: outcomes.decided(call, &then) })
        .collect()
}
