//! What is told of an alert to one place ([`Told`]), and of what ([`NoticeEvent`]).

use serde::{Deserialize, Serialize};

use super::Alert;

/// What a notice is of.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoticeEvent {
    /// The escalation.
    #[default]
    Alert,
    /// The call ended well: nobody needs to look after it any more.
    Resolved,
}

impl NoticeEvent {
    /// Its name, as in the store.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Alert => "alert",
            Self::Resolved => "resolved",
        }
    }

    /// The event of this name.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        [Self::Alert, Self::Resolved].into_iter().find(|event| event.name() == name)
    }
}

/// What is told, as it stood when it was queued: every attempt tells the same, however the call goes on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Told {
    /// The alert.
    pub alert: Alert,
    /// Its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link: Option<String>,
    /// Whether it is a test, and no call behind it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub test: bool,
}
