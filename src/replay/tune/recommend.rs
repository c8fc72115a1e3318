//! The one recommendation, and why. It is a cautious one: as many cells are tried, some look good by chance alone.
//!
//! **With labels** the measure is [`Weighed::success`], in which missed calls and false alarms count alike. All cells
//! that are as good as the best within one standard error of their difference count as equals, and of those the one is
//! taken that changes fewest settings: the rule of one standard error (L. Breiman and others, 1984). It is recommended
//! where it beats today's settings beyond chance, at 95 %, and on six calls at least, as fewer prove nothing at that
//! level. Both are judged on the same calls, and the measure is a ratio: its standard error is that of its
//! linearisation, call by call (R. S. Woodruff, 1971). Nor is it recommended where recommendations like it do no better
//! than today's settings on calls that they were not made from ([`super::cross`]). Settings by which more calls escalate
//! that should not than calls that should are not recommended, however much they find.
//!
//! **Without labels** nothing says which calls are the right ones, so that the measure is the rate: the fewest changes
//! that bring it into the band.

use serde::Serialize;

use super::cell::Cell;
use super::outcomes::Outcomes;
use super::search::{Aim, LABELLED, Tried, best, by_labels, by_rate};
use super::weigh::{Band, Side, Validated, Weighed};
use crate::replay::figures::Share;

/// What to do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Take these settings.
    Change,
    /// Leave today's settings as they are.
    Keep,
    /// Not enough calls to tell; until then, leave today's settings as they are.
    NotEnoughCalls,
    /// Nothing that was tried will do.
    NothingFits,
}

/// The one recommendation.
#[derive(Debug, Clone)]
pub struct Recommendation {
    /// What to do.
    pub verdict: Verdict,
    /// The settings to have: today's, unless the verdict is to change them.
    pub weighed: Weighed,
    /// Why, in a sentence or two.
    pub reason: String,
}

/// 95 % of a normal distribution lie within so many standard deviations.
const Z: f64 = 1.96;
/// That all of fewer calls fall to one side is no rare chance: of five, one in sixteen, either way.
const PROVING: usize = 6;

impl Recommendation {
    /// Of all that was tried.
    #[must_use]
    pub fn of(tried: &Tried, outcomes: &Outcomes, aim: &Aim) -> Self {
        if aim.labelled { by_label(tried, outcomes, aim) } else { by_band(tried, outcomes, aim) }
    }

    /// The same once it is known what such recommendations are worth on calls that they were not made from: it stands only
    /// where they do better there than today's settings. A band that today's rate leaves binds all the same.
    #[must_use]
    pub fn confirmed(self, validated: &Validated, tried: &Tried, outcomes: &Outcomes, aim: &Aim) -> Self {
        let (on_new, today) = (&validated.weighed, &tried.today);
        if self.verdict != Verdict::Change || binds(&aim.band, today) {
            return self;
        }
        let apart = Apart::between(outcomes, aim, (on_new, &validated.turns), (today, &turns(outcomes, today)));
        if !apart.is_none() {
            return self;
        }
        let reason = format!(
            "Not enough calls to tell: on these calls \"{}\" gets {} wrong and today's settings {}, but what is chosen \
             without a fifth of them does no better on that fifth: recall {} ({} today), false alarms {} ({} today).",
            self.weighed.cell.told(),
            self.weighed.wrong(),
            today.wrong(),
            counted(&on_new.recall),
            counted(&today.recall),
            counted(&on_new.false_alarms),
            counted(&today.false_alarms),
        );
        Self::today(tried, Verdict::NotEnoughCalls, reason)
    }

    fn today(tried: &Tried, verdict: Verdict, reason: String) -> Self {
        Self { verdict, weighed: tried.today.clone(), reason }
    }
}

fn by_label(tried: &Tried, outcomes: &Outcomes, aim: &Aim) -> Recommendation {
    let band = &aim.band;
    let today = Cell::of(&outcomes.base);
    let mostly_right = |tried: &Weighed| tried.precision.share.is_some_and(|share| share >= 0.5);
    let fits =
        |tried: &&Weighed| (!band.given || tried.side == Side::Within) && (mostly_right(tried) || tried.cell == today);
    if !tried.settable().any(mostly_right) {
        let reason = "By all settings tried more calls escalate that should not than calls that should: labels and ratings do \
                      not go together. See which calls come out wrong (sentiment-sidecar evaluate).";
        return Recommendation::today(tried, Verdict::NothingFits, reason.to_owned());
    }
    let Some(best) = best(tried.settable().filter(fits), outcomes, aim) else {
        return Recommendation::today(
            tried,
            Verdict::NothingFits,
            format!(
                "No settings tried that are right more often than wrong have a rate within {}.",
                percents(band.min, band.max)
            ),
        );
    };
    let equals = tried.settable().filter(fits).filter(|cell| Apart::of(outcomes, aim, best, cell).is_none());
    let changes = |tried: &Weighed| tried.cell.changes(&today, &outcomes.base);
    let chosen = equals.min_by(|a, b| changes(a).cmp(&changes(b)).then_with(|| by_labels(a, b))).unwrap_or(best);
    let judged = chosen.recall.of + chosen.false_alarms.of;
    if chosen.cell == today {
        let reason = format!(
            "Today's settings get {} of {judged} labelled calls wrong ({} missed, {} false), and nothing tried does better \
             beyond chance.{}",
            tried.today.wrong(),
            missed(&tried.today),
            tried.today.false_alarms.count,
            outside(&tried.today, band),
        );
        return Recommendation::today(tried, Verdict::Keep, reason);
    }
    let apart = Apart::of(outcomes, aim, chosen, &tried.today);
    let binds = binds(band, &tried.today);
    if !binds && (apart.better <= Z * apart.error || apart.differing < PROVING) {
        let reason = format!(
            "Not enough calls to tell: \"{}\" gets {} wrong and today's settings {}, of {judged} labelled calls, which may be \
             chance, as the two differ on {} only.",
            chosen.cell.told(),
            chosen.wrong(),
            tried.today.wrong(),
            plural(apart.differing, "call"),
        );
        return Recommendation::today(tried, Verdict::NotEnoughCalls, reason);
    }
    let mut reason = format!(
        "Of {judged} labelled calls it gets {} wrong instead of {}: {} missed ({} today), {} false ({} today).",
        chosen.wrong(),
        tried.today.wrong(),
        missed(chosen),
        missed(&tried.today),
        chosen.false_alarms.count,
        tried.today.false_alarms.count,
    );
    if chosen.success() < best.success() {
        reason.push_str(&format!(
            " The best of {} tried gets {} wrong, which is no better beyond chance, and changes more.",
            tried.count(),
            best.wrong()
        ));
    }
    reason.push_str(&outside(chosen, band));
    if binds {
        reason.push_str(&format!(" Today's rate lies outside {}.", percents(band.min, band.max)));
    }
    Recommendation { verdict: Verdict::Change, weighed: chosen.clone(), reason }
}

/// Whether somebody asked for a band, and today's rate leaves it.
fn binds(band: &Band, today: &Weighed) -> bool {
    band.given && today.side != Side::Within
}

/// Why a rate that the pictures show as too high or too low is none of the matter.
fn outside(weighed: &Weighed, band: &Band) -> String {
    if band.given || weighed.side == Side::Within {
        return String::new();
    }
    format!(
        " Its rate on all calls, {}, lies outside {}: where labels decide, a band binds only if --rate-min or --rate-max \
         asks for it.",
        shown(&weighed.rate),
        percents(band.min, band.max)
    )
}

/// After which caller turn each call escalates.
fn turns(outcomes: &Outcomes, weighed: &Weighed) -> Vec<Option<u32>> {
    outcomes.of(&weighed.cell).collect()
}

/// How two choices differ over the same judged calls.
struct Apart {
    /// By how much the first one's success exceeds the other's.
    better: f64,
    /// The standard error of that.
    error: f64,
    /// On how many calls one of them is right and the other wrong.
    differing: usize,
}

impl Apart {
    /// Of two cells.
    fn of(outcomes: &Outcomes, aim: &Aim, a: &Weighed, b: &Weighed) -> Self {
        Self::between(outcomes, aim, (a, &turns(outcomes, a)), (b, &turns(outcomes, b)))
    }

    /// Of anything, by when each call escalates under it.
    fn between(
        outcomes: &Outcomes,
        aim: &Aim,
        (a, turns_a): (&Weighed, &[Option<u32>]),
        (b, turns_b): (&Weighed, &[Option<u32>]),
    ) -> Self {
        let either = |weighed: &Weighed| (weighed.recall.of + weighed.false_alarms.count).max(1) as f64;
        // By how much a call moves the ratio of what is hit to what should be or is escalated.
        let pull = |weighed: &Weighed, wanted: bool, escalated: bool| {
            let counts = f64::from(u8::from(wanted || escalated));
            (f64::from(u8::from(wanted && escalated)) - weighed.success() * counts) / either(weighed)
        };
        let (mut variance, mut differing) = (0.0, 0);
        for call in &aim.over {
            let Some(wanted) = outcomes.calls[*call].escalate else { continue };
            let (by_a, by_b) = (turns_a[*call].is_some(), turns_b[*call].is_some());
            differing += usize::from(by_a != by_b);
            variance += (pull(a, wanted, by_a) - pull(b, wanted, by_b)).powi(2);
        }
        Self { better: a.success() - b.success(), error: variance.sqrt(), differing }
    }

    /// Whether the first is as good as the other, or worse: a single call proves nothing, however few there are.
    fn is_none(&self) -> bool {
        self.better <= self.error || self.differing <= 1
    }
}

fn by_band(tried: &Tried, outcomes: &Outcomes, aim: &Aim) -> Recommendation {
    let (band, today) = (&aim.band, &tried.today);
    let wanted = percents(band.min, band.max);
    let not_enough = |why: String| {
        let reason = format!("Not enough calls to tell: {why}.");
        Recommendation::today(tried, Verdict::NotEnoughCalls, reason)
    };
    if band.is_wide(&today.rate) {
        return not_enough(format!(
            "of {} {} escalate, so that the rate may be anything from {}; a band of {wanted} takes about {} calls",
            plural(today.rate.of, "call"),
            today.rate.count,
            percents(today.rate.low, today.rate.high),
            band.enough()
        ));
    }
    let labels =
        format!("label {LABELLED} calls or more of each kind, and it will weigh missed calls against false ones");
    if today.side == Side::Within {
        let reason = format!("Today's rate, {}, lies within {wanted}; {labels}.", shown(&today.rate));
        return Recommendation::today(tried, Verdict::Keep, reason);
    }
    if today.rate.high >= band.min && today.rate.low <= band.max {
        return not_enough(format!("today's rate, {}, may as well lie within {wanted}", shown(&today.rate)));
    }
    let base = Cell::of(&outcomes.base);
    let changes = |tried: &Weighed| tried.cell.changes(&base, &outcomes.base);
    let within = tried.settable().filter(|tried| tried.side == Side::Within && !band.is_wide(&tried.rate));
    match within.min_by(|a, b| changes(a).cmp(&changes(b)).then_with(|| by_rate(a, b, band))) {
        Some(chosen) => {
            let reason = format!(
                "It is the smallest change that brings the rate from {} into {wanted}; without labels nothing tells which \
                 calls are the right ones: {labels}.",
                shown(&today.rate)
            );
            Recommendation { verdict: Verdict::Change, weighed: chosen.clone(), reason }
        }
        None => {
            let reason = format!("No settings tried bring the rate into {wanted}; today's is {}.", shown(&today.rate));
            Recommendation::today(tried, Verdict::NothingFits, reason)
        }
    }
}

fn missed(tried: &Weighed) -> usize {
    tried.recall.of - tried.recall.count
}

/// `1 call`, `2 calls`.
#[must_use]
pub fn plural(count: usize, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

/// A share as `24/30`.
fn counted(share: &Share) -> String {
    format!("{}/{}", share.count, share.of)
}

/// A share (0 to 1) with its interval, in percent, as `4.4 % (2.6-7.6)`.
#[must_use]
pub fn shown(share: &Share) -> String {
    share.share.map_or_else(
        || "-".to_owned(),
        |p| format!("{} % ({}-{})", percent(p), percent(share.low), percent(share.high)),
    )
}

/// A share (0 to 1) in percent: one decimal below 10, none above.
#[must_use]
pub fn percent(share: f64) -> String {
    match 100.0 * share {
        small if small < 9.95 => format!("{small:.1}"),
        large => format!("{large:.0}"),
    }
}

/// Two shares (0 to 1) as `5 to 15 %`.
pub(super) fn percents(low: f64, high: f64) -> String {
    let plain = |share: f64| format!("{:.1}", 100.0 * share).trim_end_matches(".0").to_owned();
    format!("{} to {} %", plain(low), plain(high))
}
