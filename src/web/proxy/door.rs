//! Who may dial: those who sign as Twilio does, or, where the platform signs nothing, those who know the token ([`Door`]).

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use url::Url;

use super::head::Head;
use crate::config::secret::Secret;
use crate::room::twilio::sign::{Address, Hash, Verifier};

/// How a platform shows that it is the one.
#[derive(Debug, Clone)]
pub enum Door {
    /// It signs the address that it dials.
    Signed {
        /// Checks that.
        verifier: Verifier,
        /// What we are called from outside, e.g. `wss://voice.example`; else the request says it.
        public: Option<Url>,
    },
    /// The path begins with this token, which the app does not see.
    Token(Secret),
}

/// Why somebody is not let in.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    #[error("there is no X-Twilio-Signature, or more than one")]
    Unsigned,
    #[error(
        "the signature is not one of this address; compare --public-url and SIDECAR_TWILIO_AUTH_TOKEN with the TwiML and the account"
    )]
    Forged,
    #[error("it is signed with a hash that is not known here: HMAC_SHA1 and HMAC_SHA256 are")]
    Hash,
    #[error("the address cannot be told: there is no Host, or more than one, or a path that is none")]
    Nowhere,
    #[error("the path does not begin with the token")]
    NoToken,
}

impl Door {
    /// The path that the app is dialled at, where the request may pass.
    pub(super) fn opens(
        &self,
        head: &Head,
        form: &[(String, String)],
        schemes: [&'static str; 2],
    ) -> Result<String, Refused> {
        let path = &head.line[1];
        if !path.starts_with('/') {
            return Err(Refused::Nowhere);
        }
        match self {
            Self::Signed { verifier, public } => {
                let signature = head.header("x-twilio-signature").ok_or(Refused::Unsigned)?;
                let address = address(head, public.as_ref(), schemes).ok_or(Refused::Nowhere)?;
                let settings = head.header("x-twilio-webhooks-signature-settings").unwrap_or_default();
                let hash = Hash::named(settings).ok_or(Refused::Hash)?;
                if verifier.is_signed(&address, form, hash, signature) {
                    Ok(path.clone())
                } else {
                    Err(Refused::Forged)
                }
            }
            Self::Token(token) => {
                let (first, rest) = path[1..].split_at(path[1..].find(['/', '?']).unwrap_or(path.len() - 1));
                if !same(first, token.expose()) {
                    return Err(Refused::NoToken);
                }
                Ok(if rest.starts_with('/') { rest.to_owned() } else { format!("/{rest}") })
            }
        }
    }
}

/// Whether two texts are the same, in a time that does not tell how much of them is.
fn same(one: &str, other: &str) -> bool {
    let mac = |text: &str| Hmac::<Sha256>::new_from_slice(b"compare").map(|mac| mac.chain_update(text));
    match (mac(one), mac(other)) {
        (Ok(one), Ok(other)) => one.verify_slice(&other.finalize().into_bytes()).is_ok(),
        _ => false,
    }
}

/// The address that was dialled; `schemes` are the secure one and the other.
fn address(head: &Head, public: Option<&Url>, [secure, plain]: [&'static str; 2]) -> Option<Address> {
    let rest = head.line[1].clone();
    if let Some(public) = public {
        let scheme = if matches!(public.scheme(), "wss" | "https") { secure } else { plain };
        return Some(Address { scheme, host: public.host_str()?.to_owned(), port: public.port(), rest });
    }
    // Twilio dials nothing but wss; a proxy that ends TLS may say that it did.
    let first = |name: &str| head.header(name)?.split(',').next().map(str::trim);
    let scheme = if matches!(first("x-forwarded-proto"), Some("http" | "ws")) { plain } else { secure };
    let host = first("x-forwarded-host").or_else(|| head.header("host"))?;
    let (host, port) = match host.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port.parse().ok()?)),
        _ => (host, None),
    };
    Some(Address { scheme, host: host.to_owned(), port, rest })
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    async fn head(request: &str) -> Head {
        Head::read(&mut format!("{request}\r\n\r\n").as_bytes()).await.unwrap().0
    }

    fn shown(address: Option<Address>) -> String {
        let Some(Address { scheme, host, port, rest }) = address else { return "nowhere".to_owned() };
        format!("{scheme}://{host}{}{rest}", port.map(|port| format!(":{port}")).unwrap_or_default())
    }

    #[tokio::test]
    async fn the_address_is_the_one_that_was_dialled() {
        let public: Url = "https://voice.example:8443/x".parse().unwrap();
        for (request, public, right) in [
            ("GET /a?b=1 HTTP/1.1\r\nHost: inside:8080", None, "wss://inside:8080/a?b=1"),
            ("GET /a HTTP/1.1\r\nHost: voice.example\r\nX-Forwarded-Proto: https, http", None, "wss://voice.example/a"),
            ("GET /a HTTP/1.1\r\nHost: voice.example\r\nX-Forwarded-Proto: http", None, "ws://voice.example/a"),
            ("GET /a HTTP/1.1\r\nHost: b\r\nX-Forwarded-Host: voice.example, b", None, "wss://voice.example/a"),
            ("GET /a HTTP/1.1\r\nHost: inside", Some(&public), "wss://voice.example:8443/a"),
            ("GET /a HTTP/1.1\r\nHost: [::1]", None, "wss://[::1]/a"),
            ("GET /a HTTP/1.1", None, "nowhere"),
            ("GET /a HTTP/1.1\r\nHost: a\r\nHost: b", None, "nowhere"),
        ] {
            assert_eq!(shown(address(&head(request).await, public, ["wss", "ws"])), right, "{request}");
        }
    }

    #[tokio::test]
    async fn a_token_is_the_first_part_of_the_path_and_is_taken_off() {
        let door = Door::Token(Secret::new("t0ken"));
        for (path, right) in [
            ("/t0ken/relay?x=1", Ok("/relay?x=1")),
            ("/t0ken?x=1", Ok("/?x=1")),
            ("/t0ken", Ok("/")),
            ("/t0ken2/relay", Err(Refused::NoToken)),
            ("/", Err(Refused::NoToken)),
            ("t0ken", Err(Refused::Nowhere)),
        ] {
            let head = head(&format!("GET {path} HTTP/1.1\r\nHost: a")).await;
            assert_eq!(door.opens(&head, &[], ["wss", "ws"]), right.map(str::to_owned), "{path}");
        }
    }
}
