//! What a person says of an alert: [`Verdict`].

use serde::{Deserialize, Serialize};

/// What a person says of an alert. It is a label: `tune` and `evaluate` learn from it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The caller needed a human, then.
    Right,
    /// The caller needed none.
    Wrong,
    /// The caller needed one, and earlier.
    Late,
}

impl Verdict {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Right, Self::Wrong, Self::Late];

    /// The verdict's name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Right => "right",
            Self::Wrong => "wrong",
            Self::Late => "late",
        }
    }

    /// The verdict of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|verdict| verdict.name() == name)
    }

    /// How the review that versions before knew calls it.
    #[must_use]
    pub fn review(self) -> &'static str {
        match self {
            Self::Right | Self::Late => "confirmed",
            Self::Wrong => "dismissed",
        }
    }
}
