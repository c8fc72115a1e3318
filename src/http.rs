//! What all our HTTP clients have in common: one TLS stack, no redirects, no proxies, no retries behind our back.

use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use reqwest::redirect::Policy;

use crate::tls::{self, Authorities};

/// Begins a client for `https` servers that `authorities` vouch for. Without any it is for plain `http`, and the trust
/// store is not even loaded.
///
/// # Errors
/// What kept TLS from starting, in words.
pub(crate) fn client(authorities: Option<&Authorities>) -> Result<reqwest::ClientBuilder, String> {
    let config = match authorities {
        Some(authorities) => authorities.client_config().map(Arc::unwrap_or_clone),
        None => tls::unused(),
    };
    let mut config = config.map_err(|error| error.to_string())?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        .redirect(Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
    Ok(builder)
}

/// The cause of an error at its root, which says what happened and, unlike the whole, not the URL.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: Option<&(dyn Error + 'static)> = error.source();
    while let Some(next) = innermost.and_then(Error::source) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| "no further detail".to_owned(), ToString::to_string)
}

/// Reads `Retry-After` (RFC 9110 section 10.2.3): whole seconds, or an HTTP date, which is in the past if need be.
#[must_use]
pub(crate) fn retry_after(value: &str, now_unix_s: u64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date: SystemTime = httpdate::parse_http_date(value).ok()?;
    let since_epoch = date.duration_since(UNIX_EPOCH).ok()?;
    Some(since_epoch.saturating_sub(Duration::from_secs(now_unix_s)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_reads_seconds_and_dates_and_nothing_else() {
        // RFC 9110's own example date, 784111777 s after the epoch.
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let read = |value, now| retry_after(value, now).map(|wait| wait.as_secs());
        assert_eq!(read("120", 0), Some(120));
        assert_eq!(read(" 7 ", 0), Some(7));
        assert_eq!(read("99999999999999999999999", 0), Some(u64::MAX));
        assert_eq!(read(date, 784_111_777 - 30), Some(30));
        assert_eq!(read("Sunday, 06-Nov-94 08:49:37 GMT", 784_111_777 - 30), Some(30));
        assert_eq!(read(date, 784_111_777 + 30), Some(0));
        for wrong in ["", "-1", "1.5", "+3", "soon", "Sun, 99 Nov 1994 08:49:37 GMT"] {
            assert_eq!(read(wrong, 0), None, "{wrong:?}");
        }
    }
}
