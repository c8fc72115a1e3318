//! Streak, trend and peak over a call's ratings: a fold, one [`Standing`] per turn.

use serde::{Deserialize, Serialize};

use crate::alert::Severity;
use crate::config::settings::Settings;
use crate::sentiment::{Label, Rating};

/// Where the last three ratings are going (seed: ±0.3 valence).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Trend {
    /// Getting worse.
    Declining,
    /// Neither.
    #[default]
    Stable,
    /// Getting better.
    Improving,
}

impl Trend {
    /// The trend's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Declining => "declining",
            Self::Stable => "stable",
            Self::Improving => "improving",
        }
    }

    /// The seed's rule: the change from the first to the last of at most three valences, beyond `delta` either way.
    #[must_use]
    pub fn of(valences: &[f64], delta: f64) -> Self {
        match valences {
            [first, .., last] if last - first < -delta => Self::Declining,
            [first, .., last] if last - first > delta => Self::Improving,
            _ => Self::Stable,
        }
    }
}

/// How a call stands after a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// How many caller turns there were, this one included.
    pub ordinal: u32,
    /// Consecutive low turns.
    pub streak: u32,
    /// The caller turn that last reset the streak, by ordinal; 0 for none.
    pub recovered_at: u32,
    /// Where the last three ratings are going.
    pub trend: Trend,
    /// The label of the last counted turn.
    pub label: Option<Label>,
    /// The highest frustration so far.
    pub peak_frustration: f64,
    /// What the trajectory rules say of the last counted turn.
    pub signal: Option<Severity>,
    /// Consecutive counted turns with a signal.
    pub signals: u32,
    valences: [f64; 3],
    rated: u32,
}

impl Standing {
    /// The standing after a caller turn that neither counts nor resets: filler or unrated.
    #[must_use]
    pub fn pass(self) -> Self {
        Self { ordinal: self.ordinal.saturating_add(1), ..self }
    }

    /// The standing after a rated caller turn. A filler turn passes, unless the settings count it.
    #[must_use]
    pub fn step(self, rating: &Rating, settings: &Settings) -> Self {
        let mut next = self.pass();
        if !counts(rating, settings) {
            return next;
        }
        next.label = Some(rating.label);
        next.rated = self.rated.saturating_add(1);
        next.valences = [self.valences[1], self.valences[2], rating.valence.value()];
        let known = next.rated.min(3) as usize;
        next.trend = Trend::of(&next.valences[3 - known..], settings.trajectory.trend_delta);
        next.peak_frustration = self.peak_frustration.max(rating.frustration.value());
        if rating.sentiment.is_below(settings.threshold) {
            next.streak = self.streak.saturating_add(1);
        } else {
            next.streak = 0;
            next.recovered_at = next.ordinal;
        }
        next.signal = signal(rating, next.trend, settings);
        next.signals = if next.signal.is_some() { self.signals.saturating_add(1) } else { 0 };
        next
    }
}

/// Whether a rated turn counts or resets at all.
#[must_use]
pub fn counts(rating: &Rating, settings: &Settings) -> bool {
    !rating.filler || settings.count_filler_turns
}

/// What the seed's trajectory rules say of one rating, in the seed's order; `None` is no signal.
#[must_use]
pub fn signal(rating: &Rating, trend: Trend, settings: &Settings) -> Option<Severity> {
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
