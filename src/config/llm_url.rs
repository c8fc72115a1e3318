//! Where an LLM is asked.

use std::str::FromStr;

use url::{Host, Url};

/// Base address of an OpenAI-compatible endpoint: `https`, or `http` to this host or a private address that is written
/// as such; no user info, no fragment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LlmUrl(Url);

/// Why a URL is no LLM endpoint.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the URL of an LLM ({problem}); write it as https://host/v1")]
pub struct NotAnLlm {
    problem: String,
}

impl NotAnLlm {
    /// What is wrong with it.
    #[must_use]
    pub fn problem(&self) -> &str {
        &self.problem
    }
}

impl LlmUrl {
    /// The base address.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.0
    }

    /// The base address as it may be shown: without its query, which may hold a secret.
    #[must_use]
    pub fn shown(&self) -> String {
        format!("{}{}", self.0.origin().ascii_serialization(), self.0.path())
    }

    /// Where chat completions are posted: the base, `/chat/completions`, and the base's query.
    #[must_use]
    pub fn completions(&self) -> Url {
        let mut url = self.0.clone();
        // Every http URL has path segments.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["chat", "completions"]);
        }
        url
    }

    /// Whether a host is on this machine, or at a private address that is written as such. A name does not count: what
    /// it resolves to may change.
    fn is_near(host: &Host<&str>) -> bool {
        match host {
            Host::Domain(name) => name.eq_ignore_ascii_case("localhost"),
            Host::Ipv4(ip) => ip.is_loopback() || ip.is_private(),
            Host::Ipv6(ip) => match ip.to_ipv4_mapped() {
                Some(ip) => ip.is_loopback() || ip.is_private(),
                None => ip.is_loopback() || ip.is_unique_local(),
            },
        }
    }
}

impl FromStr for LlmUrl {
    type Err = NotAnLlm;

    fn from_str(text: &str) -> Result<Self, NotAnLlm> {
        let problem = |problem: &str| Err(NotAnLlm { problem: problem.to_owned() });
        let url = Url::parse(text).map_err(|e| NotAnLlm { problem: e.to_string() })?;
        let Some(host) = url.host() else { return problem("it names no host") };
        match url.scheme() {
            "https" => {}
            "http" if Self::is_near(&host) => {}
            "http" => return problem("plain http would show callers' words to everybody on the way"),
            _ => return problem("the scheme is neither https nor http"),
        }
        if !url.username().is_empty() || url.password().is_some() {
            return problem("it holds user info; the key comes from SIDECAR_LLM_API_KEY");
        }
        if url.fragment().is_some() {
            return problem("it has a fragment");
        }
        Ok(Self(url))
    }
}
