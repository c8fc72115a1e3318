//! How a call stands: a fold over its caller turns, one [`Standing`] per turn.

use super::policy::Counts;
use super::trend::Trend;
use crate::config::settings::Settings;
use crate::sentiment::{Label, Rating};

/// How a call stands after a turn.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Standing {
    /// How many caller turns there were, this one included.
    pub ordinal: u32,
    /// Where the last three ratings are going.
    pub trend: Trend,
    /// The label of the last counted turn.
    pub label: Option<Label>,
    /// The highest frustration so far.
    pub peak_frustration: f64,
    /// What the rules have counted.
    pub counts: Counts,
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
        next.counts = self.counts.step(rating, next.trend, settings);
        next
    }

    /// The standing once an escalation followed: no rule fires until the call has recovered.
    #[must_use]
    pub fn spent(self) -> Self {
        Self { counts: self.counts.spent(), ..self }
    }

    /// The running mean as it is told: with two decimals, where its rule is on.
    pub(super) fn told_mean(&self, settings: &Settings) -> Option<f64> {
        settings.sustained.enabled.then(|| (self.counts.mean * 100.0).round() / 100.0)
    }
}

/// Whether a rated turn counts or resets at all.
#[must_use]
pub fn counts(rating: &Rating, settings: &Settings) -> bool {
    !rating.filler || settings.count_filler_turns
}
