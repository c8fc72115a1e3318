//! Streak, trend and peak over a call's ratings.

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
