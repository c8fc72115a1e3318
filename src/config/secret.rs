//! Secrets: from the environment or files only, and never shown.

use std::fmt;

/// Text that `Debug` and logs never show.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Wraps a secret.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The secret itself, for the one place that needs it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

/// All secrets that the program can use. Read by `config::load`.
#[derive(Debug, Clone, Default)]
pub struct Secrets {
    /// `SIDECAR_ROOM_TOKEN`: bearer token of the room.
    pub room_token: Option<Secret>,
    /// `SIDECAR_WEBHOOK_SECRET`: signing secrets, the newest first; every one signs.
    pub webhook: Vec<Secret>,
    /// `SIDECAR_SIP_PASSWORD`: digest password.
    pub sip_password: Option<Secret>,
    /// `SIDECAR_LLM_API_KEY`: bearer token of the LLM endpoint.
    pub llm_api_key: Option<Secret>,
    /// `SIDECAR_REVIEW_TOKEN`: bearer token of the review pages.
    pub review_token: Option<Secret>,
}
