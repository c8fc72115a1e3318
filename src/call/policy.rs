//! The decision to escalate: the streak rule and the seed's trajectory rules.

use super::tracker::{Standing, Trend};
use crate::alert::{Rule, Severity};
use crate::config::settings::Settings;

/// A decision to escalate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What decided.
    pub rule: Rule,
    /// How bad it is.
    pub severity: Severity,
    /// Why, for people.
    pub reason: &'static str,
}

/// Decides on the standing after a turn that counted.
#[must_use]
pub fn decide(standing: &Standing, settings: &Settings) -> Option<Decision> {
    if standing.streak >= settings.window {
        let severity = standing.signal.unwrap_or(Severity::Medium).max(Severity::Medium);
        return Some(Decision { rule: Rule::Streak, severity, reason: "Sustained negative sentiment" });
    }
    if !settings.trajectory.enabled {
        return None;
    }
    let severity = standing.signal?;
    if severity != Severity::Critical && standing.signals < settings.trajectory.signals {
        return None;
    }
    let reason = match severity {
        Severity::Critical => "Customer is extremely frustrated",
        Severity::High if standing.trend == Trend::Declining => "Sentiment is negative and declining",
        Severity::High => "Extremely negative sentiment detected",
        _ => "Frustration level exceeds threshold",
    };
    Some(Decision { rule: Rule::Trajectory, severity, reason })
}
