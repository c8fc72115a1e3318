//! The secrets that sign webhooks, as Standard Webhooks 1.0 write them (<https://www.standardwebhooks.com>).

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

const PREFIX: &str = "whsec_";

/// A signing secret: `whsec_` and the Base64 of a key of 24 to 64 bytes. Never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(Vec<u8>);

/// Why something is no signing secret. It never holds the secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a webhook secret ({problem}); it is whsec_ and 24 to 64 bytes in Base64, as \
     `echo whsec_$(openssl rand -base64 32)` makes it"
)]
pub struct NotASecret {
    problem: &'static str,
}

impl NotASecret {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &'static str {
        self.problem
    }
}

impl WebhookSecret {
    /// A new secret of 32 random bytes.
    ///
    /// # Errors
    /// [`NotASecret`] when the system has no randomness to give.
    pub fn generate() -> Result<Self, NotASecret> {
        let mut key = vec![0; 32];
        let random = rustls::crypto::ring::default_provider().secure_random;
        random.fill(&mut key).map_err(|_| NotASecret { problem: "the system gave no random bytes" })?;
        Ok(Self(key))
    }

    /// The secret as text, for the one who verifies.
    #[must_use]
    pub fn expose(&self) -> String {
        format!("{PREFIX}{}", STANDARD.encode(&self.0))
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 3)")]
    pub(crate) fn mac(&self, id: &str, timestamp_s: u64, body: &[u8]) -> Hmac<Sha256> {
        Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("any length is a key")
            .chain_update(id)
            .chain_update(format!(".{timestamp_s}."))
            .chain_update(body)
    }
}

impl FromStr for WebhookSecret {
    type Err = NotASecret;

    fn from_str(text: &str) -> Result<Self, NotASecret> {
        let problem = |problem| Err(NotASecret { problem });
        let Some(encoded) = text.strip_prefix(PREFIX) else { return problem("it does not begin with whsec_") };
        let Ok(key) = STANDARD.decode(encoded) else { return problem("what follows whsec_ is not Base64") };
        match key.len() {
            0..24 => problem("its key is shorter than 24 bytes"),
            24..=64 => Ok(Self(key)),
            _ => problem("its key is longer than 64 bytes"),
        }
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<webhook secret>")
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn secrets_are_checked_and_never_shown() {
        let key = |len| format!("whsec_{}", STANDARD.encode(vec![7; len]));
        for (text, why) in [
            ("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", "it does not begin with whsec_"),
            ("whsec_not base64!", "what follows whsec_ is not Base64"),
            (key(23).as_str(), "its key is shorter than 24 bytes"),
            (key(65).as_str(), "its key is longer than 64 bytes"),
            ("", "it does not begin with whsec_"),
        ] {
            let error = text.parse::<WebhookSecret>().unwrap_err();
            assert_eq!(error.problem, why);
            assert!(text.is_empty() || !error.to_string().contains(text), "{error}");
        }
        for len in [24, 64] {
            let secret: WebhookSecret = key(len).parse().unwrap();
            assert_eq!(secret.expose(), key(len));
            assert_eq!(format!("{secret:?}").matches("BwcH").count(), 0);
        }
        assert_ne!(WebhookSecret::generate().unwrap(), WebhookSecret::generate().unwrap());
    }
}
