//! Every rule that escalates, side by side: what each counts over the settled turns that count ([`Counts`], a pure fold),
//! and what it decides on that ([`decide`]; [`tool`] on the agent's word).
//!
//! | rule | counts | escalates |
//! | --- | --- | --- |
//! | streak | consecutive turns below `sentimentThreshold` | at `sentimentWindowTurns` of them |
//! | sustained | a running mean of the ratings, from 5 | below `sentimentSustainedLevel`, never at the first turn |
//! | `human_request` | turns that ask for a human | at `sentimentHumanRequests` of them |
//! | trajectory | consecutive signals of frustration, valence and trend | at `sentimentTrajectorySignals`, or a critical one |
//! | tool | nothing | where the agent's score is below `sentimentThreshold` |

use super::trend::Trend;
use crate::alert::{Rule, Severity};
use crate::config::settings::Settings;
use crate::sentiment::Rating;

/// Where the running mean starts: neutral.
const NEUTRAL: f64 = 5.0;

/// A decision to escalate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What decided: the first rule that holds.
    pub rule: Rule,
    /// How bad it is: the worst that any rule that holds says.
    pub severity: Severity,
    /// Why, for people.
    pub reason: &'static str,
}

/// What the rules have counted up to a turn.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Counts {
    /// Consecutive low turns.
    pub streak: u32,
    /// The running mean of the ratings, 1 to 10.
    pub mean: f64,
    /// Turns that asked for a human, since the call began or last recovered from an escalation.
    pub asks: u32,
    /// What the trajectory rules say of the last turn.
    pub signal: Option<Severity>,
    /// Consecutive turns with a signal.
    pub signals: u32,
    turns: u32,
    arming: Arming,
}

/// Whether a rule may fire (rule 5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Arming {
    /// Yes.
    Armed,
    /// Not until the call has recovered from an escalation; `back`: a turn has come back to the threshold or above, without
    /// a signal of the trajectory rules.
    Spent { back: bool },
}

impl Default for Counts {
    fn default() -> Self {
        Self { streak: 0, mean: NEUTRAL, asks: 0, signal: None, signals: 0, turns: 0, arming: Arming::Armed }
    }
}

impl Counts {
    /// The counts after a turn that counts.
    #[must_use]
    pub fn step(self, rating: &Rating, trend: Trend, settings: &Settings) -> Self {
        let low = rating.sentiment.is_below(settings.threshold);
        let signal = signal(rating, trend, settings);
        let next = Self {
            streak: if low { self.streak.saturating_add(1) } else { 0 },
            mean: self.mean + settings.sustained.weight * (rating.sentiment.value() - self.mean),
            asks: self.asks.saturating_add(u32::from(rating.asks_human)),
            signal,
            signals: if signal.is_some() { self.signals.saturating_add(1) } else { 0 },
            turns: self.turns.saturating_add(1),
            arming: self.arming,
        };
        next.rearmed(low, settings)
    }

    /// The counts once an escalation followed.
    #[must_use]
    pub fn spent(self) -> Self {
        Self { arming: Arming::Spent { back: false }, ..self }
    }

    /// Whether a rule may fire.
    #[must_use]
    pub fn is_armed(&self) -> bool {
        self.arming == Arming::Armed
    }

    /// Rule 5: armed again once a turn has come back to the threshold, without a signal where the trajectory rules are on,
    /// and, with the sustained rule, the mean to its level. Streak, asks and signals then count from zero; the mean goes on.
    fn rearmed(self, low: bool, settings: &Settings) -> Self {
        let Arming::Spent { back } = self.arming else { return self };
        // At the lowest thresholds no turn is low, however bad it is.
        let signalled = settings.trajectory.enabled && self.signal.is_some();
        let back = back || !(low || signalled);
        if back && !(settings.sustained.enabled && self.mean < settings.sustained.level) {
            Self { streak: 0, asks: 0, signals: 0, arming: Arming::Armed, ..self }
        } else {
            Self { arming: Arming::Spent { back }, ..self }
        }
    }

    /// A decision of the streak's severity: medium, or what the trajectory rules say of the turn where that is worse.
    fn at_least_medium(&self, rule: Rule, reason: &'static str) -> Decision {
        Decision { rule, severity: self.signal.unwrap_or(Severity::Medium).max(Severity::Medium), reason }
    }
}

/// Decides on the counts after a turn that counts: named by the first rule that holds, as bad as the worst of them.
#[must_use]
pub fn decide(counts: &Counts, trend: Trend, settings: &Settings) -> Option<Decision> {
    if !counts.is_armed() {
        return None;
    }
    let holding = [
        streak(counts, settings),
        sustained(counts, settings),
        human_request(counts, settings),
        trajectory(counts, trend, settings),
    ];
    let first = holding.into_iter().flatten().next()?;
    let severity = holding.into_iter().flatten().map(|decision| decision.severity).max()?;
    Some(Decision { severity, ..first })
}

fn streak(counts: &Counts, settings: &Settings) -> Option<Decision> {
    (counts.streak >= settings.window).then(|| counts.at_least_medium(Rule::Streak, "Sustained negative sentiment"))
}

fn sustained(counts: &Counts, settings: &Settings) -> Option<Decision> {
    let rule = &settings.sustained;
    let holds = rule.enabled && counts.turns > 1 && counts.mean < rule.level;
    holds.then(|| counts.at_least_medium(Rule::Sustained, "Sentiment has been low for most of the call"))
}

fn human_request(counts: &Counts, settings: &Settings) -> Option<Decision> {
    let holds = settings.human_requests > 0 && counts.asks >= settings.human_requests;
    holds.then(|| counts.at_least_medium(Rule::HumanRequest, "The caller asks for a human"))
}

fn trajectory(counts: &Counts, trend: Trend, settings: &Settings) -> Option<Decision> {
    let severity = counts.signal.filter(|_| settings.trajectory.enabled)?;
    if severity != Severity::Critical && counts.signals < settings.trajectory.signals {
        return None;
    }
    let reason = match severity {
        Severity::Critical => "Customer is extremely frustrated",
        Severity::High if trend == Trend::Declining => "Sentiment is negative and declining",
        Severity::High => "Extremely negative sentiment detected",
        _ => "Frustration level exceeds threshold",
    };
    Some(Decision { rule: Rule::Trajectory, severity, reason })
}

/// Decides on the agent's word: none unless its score (1 to 10) is below the threshold. That the call has recovered since
/// the last escalation is for [`Counts::is_armed`] to say.
#[must_use]
pub fn tool(score: u8, counts: &Counts, settings: &Settings) -> Option<Decision> {
    (score < settings.threshold).then(|| counts.at_least_medium(Rule::Tool, "The agent asked for a human"))
}

/// What the seed's trajectory rules say of one rating, in the seed's order; `None` is no signal.
fn signal(rating: &Rating, trend: Trend, settings: &Settings) -> Option<Severity> {
    let rules = &settings.trajectory;
    let (frustration, valence) = (rating.frustration.value(), rating.valence.value());
    if frustration >= rules.critical_frustration {
        Some(Severity::Critical)
    } else if valence < rules.declining_valence && trend == Trend::Declining {
        Some(Severity::High)
    } else if frustration >= rules.high_frustration {
        Some(Severity::Medium)
    } else if valence < rules.extreme_valence {
        Some(Severity::High)
    } else {
        None
    }
}
