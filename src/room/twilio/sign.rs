//! How Twilio signs what it asks of us ([`Verifier`]): HMAC over the address that it dialled, as it stands in the TwiML, and
//! over what a form holds.

use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;
use sha2::Sha256;
use url::form_urlencoded::parse;

use crate::config::secret::Secret;

/// With which hash a signature is made; the request says so where it is not SHA-1.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Hash {
    /// What Twilio uses unless told otherwise.
    #[default]
    Sha1,
    /// What Twilio uses with a shared key, where a rule of the account says so.
    Sha256,
}

impl Hash {
    /// The one that `X-Twilio-Webhooks-Signature-Settings` names (`key=…,algorithm=HMAC_SHA256`); none where that is not known here.
    #[must_use]
    pub fn named(settings: &str) -> Option<Self> {
        let mut parts = settings.split(',').filter_map(|part| part.split_once('='));
        let named = parts.find(|(name, value)| name.trim() == "algorithm" && !value.trim().is_empty());
        match named.map_or("HMAC_SHA1", |(_, value)| value.trim()) {
            name if name.eq_ignore_ascii_case("HMAC_SHA1") => Some(Self::Sha1),
            name if name.eq_ignore_ascii_case("HMAC_SHA256") => Some(Self::Sha256),
            _ => None,
        }
    }
}

/// An address as it was dialled, letter by letter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Address {
    /// `wss` or `https`, or what is less secure.
    pub scheme: &'static str,
    /// The host's name.
    pub host: String,
    /// Its port, where one is named.
    pub port: Option<u16>,
    /// Path and query.
    pub rest: String,
}

impl Address {
    /// The address as it may stand in the TwiML. Without a port, and with one: a port that is the scheme's own may be left out on
    /// the way, and Twilio leaves out others where it signs. Without the path `/` as well, which every request has.
    fn forms(&self) -> impl Iterator<Item = String> {
        let Self { scheme, host, port, rest } = self;
        let usual = if matches!(*scheme, "wss" | "https") { 443 } else { 80 };
        let no_path = rest.strip_prefix('/').filter(|rest| rest.is_empty() || rest.starts_with('?'));
        let port = port.unwrap_or(usual);
        [Some(rest.as_str()), no_path]
            .into_iter()
            .flatten()
            .flat_map(move |rest| [format!("{scheme}://{host}{rest}"), format!("{scheme}://{host}:{port}{rest}")])
    }
}

/// Checks signatures with the auth token of the account; while it is rotated there are two.
#[derive(Debug, Clone)]
pub struct Verifier {
    tokens: Vec<Secret>,
}

impl Verifier {
    /// Any of the tokens may have signed.
    #[must_use]
    pub fn new(tokens: Vec<Secret>) -> Self {
        Self { tokens }
    }

    /// Whether `signature` (base64) is one of `address` and of `form`, the fields of a body. The port may have been left out or put
    /// in on the way, and where there is no form a query may have been signed as it stands or like one.
    #[must_use]
    pub fn is_signed(&self, address: &Address, form: &[(String, String)], hash: Hash, signature: &str) -> bool {
        let Ok(signature) = BASE64_STANDARD.decode(signature) else { return false };
        let texts = signed_texts(address, form);
        self.tokens.iter().any(|token| texts.iter().any(|text| is_mac(hash, token, text, &signature)))
    }
}

/// What may have been signed.
fn signed_texts(address: &Address, form: &[(String, String)]) -> Vec<String> {
    let mut texts = Vec::new();
    for address in address.forms() {
        texts.push(address.clone() + &fields(form.to_vec()));
        if let Some((bare, query)) = address.split_once('?').filter(|_| form.is_empty()) {
            texts.push(bare.to_owned() + &fields(parse(query.as_bytes()).into_owned().collect()));
        }
    }
    texts
}

/// Names and values, one behind the other, in the order of the names; the same field twice counts once.
fn fields(mut form: Vec<(String, String)>) -> String {
    form.sort();
    form.dedup();
    form.into_iter().flat_map(|(name, value)| [name, value]).collect()
}

fn is_mac(hash: Hash, token: &Secret, text: &str, signature: &[u8]) -> bool {
    let key = token.expose().as_bytes();
    match hash {
        Hash::Sha1 => {
            Hmac::<Sha1>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
        }
        Hash::Sha256 => {
            Hmac::<Sha256>::new_from_slice(key).is_ok_and(|mac| mac.chain_update(text).verify_slice(signature).is_ok())
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn signed(url: &str, form: &[(&str, &str)], signature: &str) -> bool {
        let form: Vec<_> = form.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        let verifier = Verifier::new(vec![Secret::new("another"), Secret::new("12345")]);
        let (scheme, rest) = url.split_once("://").unwrap();
        let (host, rest) = rest.split_at(rest.find('/').unwrap());
        let (host, port) = host.split_once(':').map_or((host, None), |(host, port)| (host, port.parse().ok()));
        let scheme = if scheme == "wss" { "wss" } else { "https" };
        let address = Address { scheme, host: host.to_owned(), port, rest: rest.to_owned() };
        verifier.is_signed(&address, &form, Hash::Sha1, signature)
    }

    fn sign(text: &str) -> String {
        let mac = Hmac::<Sha1>::new_from_slice(b"12345").unwrap().chain_update(text);
        BASE64_STANDARD.encode(mac.finalize().into_bytes())
    }

    #[test]
    fn an_address_and_a_form_are_signed() {
        // The example of Twilio's own documentation.
        let form = [
            ("CallSid", "CA1234567890ABCDE"),
            ("Caller", "+14158675309"),
            ("Digits", "1234"),
            ("From", "+14158675309"),
            ("To", "+18005551212"),
        ];
        let url = "https://mycompany.com/myapp.php?foo=1&bar=2";
        assert!(signed(url, &form, "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
        assert!(!signed(url, &form[1..], "RSOYDt4T1cUTdK1PDd93/VVr8B8="));
        assert!(!signed(url, &form, "RSOYDt4T1cUTdK1PDd93/VVr8B9="));
        assert!(!signed(url, &form, "no base64!") && !signed(url, &form, ""));
    }

    #[test]
    fn the_hash_is_the_one_that_is_named() {
        for (settings, right) in [
            ("", Some(Hash::Sha1)),
            ("key=HMAC_SHA256", Some(Hash::Sha1)),
            ("key=k,algorithm=", Some(Hash::Sha1)),
            ("key=k, algorithm = hmac_sha256", Some(Hash::Sha256)),
            ("algorithm=HMAC_SHA1", Some(Hash::Sha1)),
            ("key=k,algorithm=HMAC_SHA512", None),
        ] {
            assert_eq!(Hash::named(settings), right, "{settings}");
        }
    }

    #[test]
    fn the_scheme_counts_and_ports_and_forms_of_queries_do_not() {
        let url = "wss://voice.example/relay?b=2%20x&a=1";
        for text in [
            "wss://voice.example/relay?b=2%20x&a=1",
            "wss://voice.example:443/relay?b=2%20x&a=1",
            "wss://voice.example/relaya1b2 x",
        ] {
            assert!(signed(url, &[], &sign(text)), "{text}");
        }
        for text in ["wss://voice.example", "wss://voice.example/", "wss://voice.example:443"] {
            assert!(signed("wss://voice.example/", &[], &sign(text)), "{text}");
        }
        assert!(signed("wss://voice.example/?a=1", &[], &sign("wss://voice.example?a=1")));
        for text in
            ["https://voice.example/relay?b=2%20x&a=1", "wss://voice.example/relay", "wss://voice.example/relayb2 xa1"]
        {
            assert!(!signed(url, &[], &sign(text)), "{text}");
        }
    }
}
