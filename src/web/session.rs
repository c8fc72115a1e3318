//! Who is logged in: signed cookies that run out, and what a form must bring along ([`Keys`]).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;

use super::users::{Role, User};

/// The cookie.
pub(super) const COOKIE: &str = "sidecar_review";
/// How long somebody stays logged in, in seconds: a shift.
pub(super) const LASTS_S: u64 = 12 * 3600;

/// Signs cookies and forms. The key is drawn at start: who was logged in before logs in again.
pub(super) struct Keys([u8; 32]);

impl Keys {
    /// A key that nobody knows; none where the system has no randomness to give.
    pub(super) fn draw() -> Option<Self> {
        let mut key = [0; 32];
        rustls::crypto::ring::default_provider().secure_random.fill(&mut key).ok()?;
        Some(Self(key))
    }

    #[expect(clippy::expect_used, reason = "HMAC takes keys of every length (RFC 2104 section 3)")]
    fn mac(&self, purpose: &str, text: &str) -> Hmac<Sha256> {
        let mac = Hmac::<Sha256>::new_from_slice(&self.0).expect("any length is a key");
        mac.chain_update(purpose).chain_update([0]).chain_update(text)
    }

    fn sign(&self, purpose: &str, text: &str) -> String {
        URL_SAFE_NO_PAD.encode(self.mac(purpose, text).finalize().into_bytes())
    }

    fn is_signed(&self, purpose: &str, text: &str, signature: &str) -> bool {
        let signature = URL_SAFE_NO_PAD.decode(signature).unwrap_or_default();
        self.mac(purpose, text).verify_slice(&signature).is_ok()
    }

    /// The cookie of somebody who logs in now.
    pub(super) fn cookie(&self, user: &User, now_s: u64) -> String {
        let role = match user.role {
            Role::Viewer => "viewer",
            Role::Supervisor => "supervisor",
        };
        let name = URL_SAFE_NO_PAD.encode(&user.name);
        let body = format!("{name}.{role}.{}", now_s.saturating_add(LASTS_S));
        format!("{body}.{}", self.sign("cookie", &body))
    }

    /// Whose cookie this is; none where it has run out, or is none of ours.
    pub(super) fn user(&self, cookie: &str, now_s: u64) -> Option<User> {
        let (body, signature) = cookie.rsplit_once('.')?;
        if !self.is_signed("cookie", body, signature) {
            return None;
        }
        let mut parts = body.split('.');
        let (name, role, until) = (parts.next()?, parts.next()?, parts.next()?);
        if until.parse::<u64>().ok()? <= now_s {
            return None;
        }
        let name = String::from_utf8(URL_SAFE_NO_PAD.decode(name).ok()?).ok()?;
        let role = if role == "supervisor" { Role::Supervisor } else { Role::Viewer };
        Some(User { name, role })
    }

    /// What a form brings along that somebody sends who has this cookie.
    pub(super) fn form_token(&self, cookie: &str) -> String {
        self.sign("form", cookie)
    }

    /// Whether a form is from a page that was made for this cookie.
    pub(super) fn is_own_form(&self, cookie: &str, token: &str) -> bool {
        self.is_signed("form", cookie, token)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn a_cookie_is_its_owners_until_it_runs_out() {
        let (keys, others) = (Keys::draw().unwrap(), Keys::draw().unwrap());
        let dana = User { name: "dana.é".to_owned(), role: Role::Viewer };
        let cookie = keys.cookie(&dana, 1_000);
        assert_eq!(keys.user(&cookie, 1_000 + LASTS_S - 1), Some(dana));
        assert_eq!(keys.user(&cookie, 1_000 + LASTS_S), None);
        assert_eq!(others.user(&cookie, 1_000), None);
        let better = cookie.replace(".viewer.", ".supervisor.");
        assert_eq!(keys.user(&better, 1_000), None);
        for odd in ["", ".", "a.b.c", "a.b.c.d", "....."] {
            assert_eq!(keys.user(odd, 1_000), None, "{odd}");
        }
        let form = keys.form_token(&cookie);
        assert!(keys.is_own_form(&cookie, &form) && !keys.is_own_form("another", &form));
        assert!(!keys.is_own_form(&cookie, "") && !keys.is_own_form(&cookie, cookie.rsplit_once('.').unwrap().1));
    }
}
