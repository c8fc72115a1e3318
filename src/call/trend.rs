//! Where the last ratings are going (rule 7).

use serde::{Deserialize, Serialize};

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
