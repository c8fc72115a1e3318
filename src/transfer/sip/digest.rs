//! Digest authentication (RFC 3261 section 22, RFC 7616, RFC 8760): challenges in, credentials out.

use md5::Md5;
use rsipstack::sip::Header;
use rsipstack::transaction::random_text;
use sha2::{Digest as _, Sha256, Sha512_256};

use crate::config::secret::Secret;

/// Who authenticates, and to whom.
#[derive(Debug, Clone)]
pub(super) struct Login {
    pub(super) user: String,
    pub(super) password: Secret,
    pub(super) trust: Trust,
}

/// Whose challenges are answered. What a challenge gets out of us is a hash that a password can be guessed from, so it
/// is not given to whoever a room's dialog leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trust {
    /// Those of the realm `sentimentSipRealm`.
    Realm(String),
    /// All, as every request goes to `sentimentSipProxy`.
    Proxy,
    /// None.
    Nobody,
}

impl Trust {
    fn includes(&self, realm: &str) -> bool {
        match self {
            Self::Realm(ours) => ours == realm,
            Self::Proxy => true,
            Self::Nobody => false,
        }
    }
}

/// Why a challenge is not answered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum AuthError {
    #[error("the peer asks for credentials; set sentimentSipUser and SIDECAR_SIP_PASSWORD")]
    NoLogin,
    #[error(
        "the peer asks for credentials of realm {realm:?}, which gets none; to allow it, set sentimentSipRealm to it"
    )]
    OtherRealm { realm: String },
    #[error("the peer does not take our user and password for realm {realm:?}")]
    WrongLogin { realm: String },
    #[error("the peer's challenge cannot be met: {problem}")]
    Unsupported { problem: &'static str },
}

/// Which side challenged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Asker {
    /// 401, `WWW-Authenticate`.
    Server,
    /// 407, `Proxy-Authenticate`.
    Proxy,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hash {
    Md5,
    Sha256,
    Sha512_256,
}

/// A digest challenge, with its quoted values as they were received.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// The algorithm as it was named; `None` was MD5 by default.
    algorithm: Option<String>,
    hash: Hash,
    session: bool,
    /// `qop=auth` was offered; otherwise the old form without it.
    qop_auth: bool,
    stale: bool,
}

#[derive(Debug)]
struct Answered {
    asker: Asker,
    challenge: Challenge,
    nonce_count: u32,
}

/// The challenges of one exchange and how often each nonce was used.
#[derive(Debug, Default)]
pub(super) struct Credentials {
    answered: Vec<Answered>,
}

impl Credentials {
    /// Takes in the challenges of a 401 or 407 (one string per header).
    pub(super) fn challenged(
        &mut self,
        asker: Asker,
        headers: &[String],
        login: Option<&Login>,
    ) -> Result<(), AuthError> {
        let Some(login) = login else { return Err(AuthError::NoLogin) };
        let mut foreign = None;
        let mut problem = "it holds no digest challenge";
        let mut chosen: Vec<Challenge> = Vec::new();
        for params in headers.iter().flat_map(|h| split_challenges(h)) {
            match Challenge::read(&params) {
                Ok(Challenge { realm, .. }) if !login.trust.includes(&realm) => {
                    foreign.get_or_insert(realm);
                }
                // The peer lists what it likes best first (RFC 8760 section 2.4).
                Ok(challenge) if chosen.iter().all(|c| c.realm != challenge.realm) => chosen.push(challenge),
                Ok(_) => {}
                Err(why) => problem = why,
            }
        }
        if chosen.is_empty() {
            let unsupported = AuthError::Unsupported { problem };
            return Err(foreign.map_or(unsupported, |realm| AuthError::OtherRealm { realm: shown(&realm) }));
        }
        for challenge in chosen {
            let known = self.answered.iter_mut().find(|a| a.asker == asker && a.challenge.realm == challenge.realm);
            match known {
                Some(known) if challenge.stale => *known = Answered { asker, challenge, nonce_count: 0 },
                // Ours was answered already; what is left to answer is the other realm's.
                Some(_) => {
                    return Err(match foreign {
                        Some(realm) => AuthError::OtherRealm { realm: shown(&realm) },
                        None => AuthError::WrongLogin { realm: shown(&challenge.realm) },
                    });
                }
                None => self.answered.push(Answered { asker, challenge, nonce_count: 0 }),
            }
        }
        Ok(())
    }

    /// The headers that answer all challenges so far, for one more request.
    pub(super) fn headers(&mut self, login: Option<&Login>, method: &str, uri: &str) -> Vec<Header> {
        let Some(login) = login else { return Vec::new() };
        self.answered
            .iter_mut()
            .map(|answered| {
                answered.nonce_count += 1;
                let value = answered.challenge.answer(login, method, uri, answered.nonce_count, &random_text(24));
                match answered.asker {
                    Asker::Server => Header::Authorization(value.into()),
                    Asker::Proxy => Header::ProxyAuthorization(value.into()),
                }
            })
            .collect()
    }
}

impl Challenge {
    fn read(params: &[(String, String)]) -> Result<Self, &'static str> {
        let get = |name: &str| params.iter().find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v.clone());
        let algorithm = get("algorithm");
        let upper = algorithm.as_deref().unwrap_or("MD5").to_ascii_uppercase();
        let (name, session) = upper.strip_suffix("-SESS").map_or((upper.as_str(), false), |n| (n, true));
        let hash = match name {
            "MD5" => Hash::Md5,
            "SHA-256" => Hash::Sha256,
            "SHA-512-256" => Hash::Sha512_256,
            _ => return Err("its algorithm is none of MD5, SHA-256, SHA-512-256"),
        };
        let qop = get("qop");
        let qop_auth = qop.as_deref().is_some_and(|q| q.split(',').any(|q| q.trim().eq_ignore_ascii_case("auth")));
        if qop.as_deref().is_some_and(|q| !q.trim().is_empty()) && !qop_auth {
            return Err("it offers auth-int only, which is not supported");
        }
        let (Some(realm), Some(nonce)) = (get("realm"), get("nonce")) else { return Err("it lacks realm or nonce") };
        let values = [Some(&realm), Some(&nonce), get("opaque").as_ref(), algorithm.as_ref()]
            .iter()
            .flatten()
            .all(|v| v.len() <= 512 && v.chars().all(|c| !c.is_control()));
        if !values {
            return Err("its values are too long or hold control characters");
        }
        let stale = get("stale").is_some_and(|s| s.eq_ignore_ascii_case("true"));
        Ok(Self { realm, nonce, opaque: get("opaque"), algorithm, hash, session, qop_auth, stale })
    }

    fn answer(&self, login: &Login, method: &str, uri: &str, nonce_count: u32, cnonce: &str) -> String {
        let Self { realm, nonce, .. } = self;
        let hash = |text: &str| self.hash.hex(text);
        let nc = format!("{nonce_count:08x}");
        let mut ha1 = hash(&format!("{}:{realm}:{}", login.user, login.password.expose()));
        if self.session {
            ha1 = hash(&format!("{ha1}:{nonce}:{cnonce}"));
        }
        let ha2 = hash(&format!("{method}:{uri}"));
        let response = if self.qop_auth {
            hash(&format!("{ha1}:{nonce}:{nc}:{cnonce}:auth:{ha2}"))
        } else {
            hash(&format!("{ha1}:{nonce}:{ha2}"))
        };
        let user = login.user.replace('\\', "\\\\").replace('"', "\\\"");
        let mut out = format!(
            "Digest username=\"{user}\", realm=\"{realm}\", nonce=\"{nonce}\", uri=\"{uri}\", response=\"{response}\""
        );
        if let Some(algorithm) = &self.algorithm {
            out += &format!(", algorithm={algorithm}");
        }
        if self.qop_auth {
            out += &format!(", qop=auth, nc={nc}");
        }
        if self.qop_auth || self.session {
            out += &format!(", cnonce=\"{cnonce}\"");
        }
        if let Some(opaque) = &self.opaque {
            out += &format!(", opaque=\"{opaque}\"");
        }
        out
    }
}

impl Hash {
    fn hex(self, text: &str) -> String {
        fn hex(bytes: &[u8]) -> String {
            bytes.iter().map(|b| format!("{b:02x}")).collect()
        }
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
            Self::Sha512_256 => hex(&Sha512_256::digest(text)),
        }
    }
}

/// A realm as an error tells it.
fn shown(realm: &str) -> String {
    realm.chars().take(128).collect()
}

/// Splits a header's value into its digest challenges: `Digest a=b, c="d", Digest e=f` holds two.
fn split_challenges(value: &str) -> Vec<Vec<(String, String)>> {
    let mut challenges: Vec<Option<Vec<(String, String)>>> = Vec::new();
    for item in split_unquoted(value) {
        let item = item.trim();
        let name_end = item.find('=').unwrap_or(item.len());
        let param = match item[..name_end].trim_end().split_once([' ', '\t']) {
            Some((scheme, _)) => {
                challenges.push(scheme.eq_ignore_ascii_case("digest").then(Vec::new));
                item[scheme.len()..].trim_start()
            }
            None => item,
        };
        if let (Some((name, value)), Some(Some(params))) = (param.split_once('='), challenges.last_mut()) {
            let value = value.trim();
            let value = value.strip_prefix('"').and_then(|v| v.strip_suffix('"')).unwrap_or(value);
            params.push((name.trim().to_owned(), value.to_owned()));
        }
    }
    challenges.into_iter().flatten().collect()
}

/// Splits at commas outside of quoted strings.
fn split_unquoted(value: &str) -> Vec<&str> {
    let (mut parts, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                parts.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&value[start..]);
    parts
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use proptest::prelude::*;

    use super::*;

    fn login(password: &str) -> Login {
        Login { user: "Mufasa".to_owned(), password: Secret::new(password), trust: Trust::Proxy }
    }

    fn challenge(value: &str) -> Challenge {
        Challenge::read(&split_challenges(value)[0]).unwrap()
    }

    #[test]
    fn the_examples_of_rfc_2617_and_rfc_7616_come_out() {
        let old = challenge(
            "Digest realm=\"testrealm@host.com\", qop=\"auth,auth-int\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
             opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"",
        );
        let answer = old.answer(&login("Circle Of Life"), "GET", "/dir/index.html", 1, "0a4f113b");
        assert!(answer.contains("response=\"6629fae49393a05397450978507c4ef1\""), "{answer}");
        assert!(
            answer.contains("qop=auth, nc=00000001, cnonce=\"0a4f113b\", opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"")
        );
        for (algorithm, response) in [
            ("SHA-256", "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            ("MD5", "8ca523f5e9506fed4657c9700eebdbec"),
            // Not in the RFC: the same example, worked out with Python's hashlib.
            ("SHA-512-256", "430d05014cecc49cab6fbe03176d41a1da86cbfe24a16580e22aaad928d960d0"),
        ] {
            let new = challenge(&format!(
                "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm={algorithm}, \
                 nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\""
            ));
            let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
            let answer = new.answer(&login("Circle of Life"), "GET", "/dir/index.html", 1, cnonce);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
        }
    }

    #[test]
    fn the_first_challenge_that_we_can_meet_is_answered() {
        let mut credentials = Credentials::default();
        let headers = [
            "Digest realm=\"a\", nonce=\"1\", algorithm=SHA3-999, qop=\"auth\", Digest realm=\"a\", nonce=\"2\", \
             algorithm=SHA-256, qop=\"auth\""
                .to_owned(),
            "Digest realm=\"a\", nonce=\"3\", algorithm=MD5, qop=\"auth\"".to_owned(),
        ];
        credentials.challenged(Asker::Proxy, &headers, Some(&login("x"))).unwrap();
        let sent = credentials.headers(Some(&login("x")), "REFER", "sip:a@b");
        assert_eq!(sent.len(), 1);
        assert!(matches!(&sent[0], Header::ProxyAuthorization(_)));
        assert!(sent[0].value().contains("nonce=\"2\"") && sent[0].value().contains("algorithm=SHA-256"));
    }

    #[test]
    fn nonce_counts_go_up_per_nonce_and_start_anew_after_stale() {
        let (mut credentials, login) = (Credentials::default(), login("x"));
        let proxy = |nonce: &str, stale: &str| [format!("Digest realm=\"p\", nonce=\"{nonce}\", qop=\"auth\"{stale}")];
        credentials.challenged(Asker::Proxy, &proxy("1", ""), Some(&login)).unwrap();
        assert!(credentials.headers(Some(&login), "REFER", "u")[0].value().contains("nc=00000001"));
        // The server behind the proxy asks too: both are answered, the proxy's nonce for the second time.
        credentials
            .challenged(Asker::Server, &["Digest realm=\"s\", nonce=\"9\", qop=\"auth\"".to_owned()], Some(&login))
            .unwrap();
        let both = credentials.headers(Some(&login), "REFER", "u");
        assert!(both[0].value().contains("nc=00000002") && both[1].value().contains("nc=00000001"));
        credentials.challenged(Asker::Proxy, &proxy("2", ", stale=TRUE"), Some(&login)).unwrap();
        let renewed = credentials.headers(Some(&login), "REFER", "u");
        assert!(renewed[0].value().contains("nonce=\"2\"") && renewed[0].value().contains("nc=00000001"));
        assert_eq!(
            credentials.challenged(Asker::Proxy, &proxy("3", ""), Some(&login)),
            Err(AuthError::WrongLogin { realm: "p".to_owned() })
        );
    }

    #[test]
    fn only_the_realm_that_is_set_gets_credentials() {
        let of = |realm: &str| format!("Digest realm=\"{realm}\", nonce=\"1\", qop=\"auth\"");
        let other = |realm: &str| Err(AuthError::OtherRealm { realm: realm.to_owned() });
        let ours = Login { trust: Trust::Realm("ours".to_owned()), ..login("x") };
        let mut credentials = Credentials::default();
        assert_eq!(credentials.challenged(Asker::Server, &[of("theirs")], Some(&ours)), other("theirs"));
        assert!(credentials.headers(Some(&ours), "REFER", "u").is_empty());
        // One of two: ours is answered, and if that is not enough it is said whose is missing.
        let both = [of("theirs"), of("ours")];
        assert_eq!(credentials.challenged(Asker::Proxy, &both, Some(&ours)), Ok(()));
        let sent = credentials.headers(Some(&ours), "REFER", "u");
        assert!(sent.len() == 1 && sent[0].value().contains("realm=\"ours\""), "{sent:?}");
        assert_eq!(credentials.challenged(Asker::Proxy, &both, Some(&ours)), other("theirs"));
        let nobody = Login { trust: Trust::Nobody, ..login("x") };
        let refused = Credentials::default().challenged(Asker::Server, &[of("any")], Some(&nobody)).unwrap_err();
        assert!(refused.to_string().contains("sentimentSipRealm"), "{refused}");
    }

    #[test]
    fn what_cannot_be_met_is_said() {
        let mut credentials = Credentials::default();
        let login = login("x");
        let mut say =
            |header: &str, login| credentials.challenged(Asker::Server, &[header.to_owned()], login).unwrap_err();
        assert_eq!(say("Digest realm=\"a\", nonce=\"1\"", None), AuthError::NoLogin);
        assert!(
            say("Digest realm=\"a\", nonce=\"1\", qop=\"auth-int\"", Some(&login)).to_string().contains("auth-int")
        );
        assert!(say("Basic realm=\"a\"", Some(&login)).to_string().contains("no digest"));
        assert!(say("Digest realm=\"a\"", Some(&login)).to_string().contains("nonce"));
        assert!(!format!("{login:?}").contains("\"x\""), "the password is not in Debug");
    }

    proptest! {
        #[test]
        fn any_challenge_is_read_without_panic_and_no_answer_breaks_its_line(header in "(Digest )?[ -~\r\n]{0,120}") {
            let (mut credentials, login) = (Credentials::default(), login("x"));
            if credentials.challenged(Asker::Server, &[header], Some(&login)).is_ok() {
                for header in credentials.headers(Some(&login), "REFER", "sip:a@b") {
                    prop_assert!(!header.value().contains(['\r', '\n']));
                }
            }
        }
    }
}
