//! Signatures as Standard Webhooks 1.0 describe them (<https://www.standardwebhooks.com>).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::Mac;

use crate::config::webhook_secret::WebhookSecret;

/// How far a timestamp may lie from now, in seconds, either way.
pub const TOLERANCE_S: u64 = 5 * 60;

/// Signs with every secret that is set, the newest first, so that receivers can rotate at their own pace.
#[derive(Debug, Clone)]
pub struct Signer(Vec<WebhookSecret>);

/// Webhooks cannot be signed: no secret is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("SIDECAR_WEBHOOK_SECRET is not set, and webhooks are never sent unsigned")]
pub struct NoSigner;

impl NoSigner {
    /// How to mend it.
    pub const MEND: &'static str = "set SIDECAR_WEBHOOK_SECRET, or SIDECAR_WEBHOOK_SECRET_FILE to a file that holds it, to the secret that \
                                    the receiver verifies with (several, space-separated, while rotating); make one with: \
                                    echo whsec_$(openssl rand -base64 32)";
}

impl Signer {
    /// A signer with these secrets, the newest first.
    ///
    /// # Errors
    /// [`NoSigner`] when there are none.
    pub fn new(secrets: Vec<WebhookSecret>) -> Result<Self, NoSigner> {
        if secrets.is_empty() { Err(NoSigner) } else { Ok(Self(secrets)) }
    }

    /// The value of `webhook-signature`.
    #[must_use]
    pub fn sign(&self, id: &str, timestamp_s: u64, body: &[u8]) -> String {
        let one = |secret: &WebhookSecret| {
            format!("v1,{}", STANDARD.encode(secret.mac(id, timestamp_s, body).finalize().into_bytes()))
        };
        self.0.iter().map(one).collect::<Vec<_>>().join(" ")
    }
}

/// The headers of a signed webhook, as they arrived.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SignedHeaders<'a> {
    /// `webhook-id`.
    pub id: &'a str,
    /// `webhook-timestamp`.
    pub timestamp: &'a str,
    /// `webhook-signature`.
    pub signature: &'a str,
}

/// Why a webhook is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotVerified {
    /// A header is missing or no plain text.
    #[error("the header {name} is missing or is not plain text")]
    Header {
        /// The header.
        name: &'static str,
    },
    /// The timestamp is no number.
    #[error("webhook-timestamp must be Unix time in whole seconds")]
    Timestamp,
    /// The timestamp is too far from now.
    #[error("webhook-timestamp is {by_s} s away from now; at most {TOLERANCE_S} s are accepted")]
    Stale {
        /// How far.
        by_s: u64,
    },
    /// No signature matches.
    #[error("no v1 signature in webhook-signature matches this id, timestamp and body")]
    Signature,
}

/// Verifies a webhook as its receiver does: a fresh timestamp, and a `v1` signature by any of `secrets`, compared in
/// constant time. Whether the `webhook-id` was seen before is for the receiver to check.
///
/// # Errors
/// [`NotVerified`] says why it is not to be believed.
pub fn verify(
    secrets: &[WebhookSecret],
    headers: SignedHeaders<'_>,
    body: &[u8],
    now_s: u64,
) -> Result<(), NotVerified> {
    let timestamp_s: u64 = headers.timestamp.parse().map_err(|_| NotVerified::Timestamp)?;
    let by_s = timestamp_s.abs_diff(now_s);
    if by_s > TOLERANCE_S {
        return Err(NotVerified::Stale { by_s });
    }
    let given = headers.signature.split(' ').filter_map(|one| one.strip_prefix("v1,"));
    for signature in given.filter_map(|encoded| STANDARD.decode(encoded).ok()) {
        for secret in secrets {
            if secret.mac(headers.id, timestamp_s, body).verify_slice(&signature).is_ok() {
                return Ok(());
            }
        }
    }
    Err(NotVerified::Signature)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    fn secret(fill: u8) -> WebhookSecret {
        format!("whsec_{}", STANDARD.encode([fill; 32])).parse().unwrap()
    }

    #[test]
    fn a_signer_shows_no_secret() {
        assert_eq!(format!("{:?}", Signer::new(vec![secret(7)])).matches("BwcH").count(), 0);
    }

    #[test]
    fn nothing_is_signed_without_a_secret() {
        assert_eq!(Signer::new(Vec::new()).unwrap_err(), NoSigner);
    }

    #[test]
    fn the_standards_own_example_is_reproduced() {
        // Key, message and signature of the test vector in the Standard Webhooks repository.
        let signer = Signer::new(vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".parse().unwrap()]).unwrap();
        let signature = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, br#"{"test": 2432232314}"#);
        assert_eq!(signature, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
    }

    #[test]
    fn stale_foreign_and_torn_webhooks_are_not_believed() {
        let (old, new) = (secret(1), secret(2));
        let signature = Signer::new(vec![new.clone(), old.clone()]).unwrap().sign("id", 1000, b"body");
        let check = |secrets: &[WebhookSecret], id, timestamp, signature: &str, body: &[u8], now_s| {
            verify(secrets, SignedHeaders { id, timestamp, signature }, body, now_s)
        };
        let known = [old];
        assert_eq!(check(&known, "id", "1000", &signature, b"body", 1000 + TOLERANCE_S), Ok(()));
        assert_eq!(check(&[new], "id", "1000", &signature, b"body", 700), Ok(()));
        assert_eq!(check(&known, "id", "1000", &signature, b"body", 1301), Err(NotVerified::Stale { by_s: 301 }));
        assert_eq!(check(&known, "id", "1000", &signature, b"body", 699), Err(NotVerified::Stale { by_s: 301 }));
        assert_eq!(check(&known, "id", "soon", &signature, b"body", 1000), Err(NotVerified::Timestamp));
        assert_eq!(check(&known, "ie", "1000", &signature, b"body", 1000), Err(NotVerified::Signature));
        assert_eq!(check(&known, "id", "1001", &signature, b"body", 1000), Err(NotVerified::Signature));
        assert_eq!(check(&known, "id", "1000", &signature, b"bodz", 1000), Err(NotVerified::Signature));
        assert_eq!(check(&[secret(3)], "id", "1000", &signature, b"body", 1000), Err(NotVerified::Signature));
        assert_eq!(check(&known, "id", "1000", "v2,AAAA v1,???", b"body", 1000), Err(NotVerified::Signature));
        assert_eq!(check(&[], "id", "1000", &signature, b"body", 1000), Err(NotVerified::Signature));
    }

    proptest! {
        #[test]
        fn the_published_verifier_believes_us_with_any_secret_of_a_rotation(
            keys in prop::collection::vec(prop::collection::vec(any::<u8>(), 24..=64), 1..4),
            id in "[a-z0-9_]{1,40}",
            body in "\\PC{0,200}",
        ) {
            let secrets: Vec<WebhookSecret> = keys.iter().map(|key| format!("whsec_{}", STANDARD.encode(key)).parse().unwrap()).collect();
            let now_s = crate::clock::unix_ms() / 1000;
            let signature = Signer::new(secrets.clone()).unwrap().sign(&id, now_s, body.as_bytes());
            let mut headers = reqwest::header::HeaderMap::new();
            headers.insert("webhook-id", id.parse().unwrap());
            headers.insert("webhook-timestamp", now_s.into());
            headers.insert("webhook-signature", signature.parse().unwrap());
            for secret in &secrets {
                let theirs = standardwebhooks::Webhook::new(&secret.expose()).unwrap();
                prop_assert!(theirs.verify(body.as_bytes(), &headers).is_ok());
                let timestamp = now_s.to_string();
                let ours = SignedHeaders { id: &id, timestamp: &timestamp, signature: &signature };
                prop_assert_eq!(verify(std::slice::from_ref(secret), ours, body.as_bytes(), now_s), Ok(()));
            }
            let stranger = standardwebhooks::Webhook::new(&WebhookSecret::generate().unwrap().expose()).unwrap();
            prop_assert!(stranger.verify(body.as_bytes(), &headers).is_err());
        }
    }
}
