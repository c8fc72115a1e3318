//! What all our HTTP clients have in common: one TLS stack, no redirects, no proxies, no retries behind our back.

use std::error::Error;
use std::sync::Arc;

use reqwest::redirect::Policy;
use rustls_platform_verifier::BuilderVerifierExt;

/// Begins a client. Without `tls` it is for plain `http`, and the trust store is not even loaded.
///
/// # Errors
/// What kept TLS from starting, in words.
pub(crate) fn client(tls: bool) -> Result<reqwest::ClientBuilder, String> {
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls_config(tls)?)
        .redirect(Policy::none())
        .no_proxy()
        .retry(reqwest::retry::never())
        .user_agent(concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")));
    Ok(builder)
}

/// TLS by the platform's trust store.
fn tls_config(used: bool) -> Result<rustls::ClientConfig, String> {
    let failed = |error: rustls::Error| format!("TLS did not start: {error}");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder =
        rustls::ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().map_err(failed)?;
    let mut config = if used {
        builder.with_platform_verifier().map_err(failed)?.with_no_client_auth()
    } else {
        builder.with_root_certificates(rustls::RootCertStore::empty()).with_no_client_auth()
    };
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(config)
}

/// The cause of an error at its root, which says what happened and, unlike the whole, not the URL.
pub(crate) fn innermost(error: &reqwest::Error) -> String {
    let mut innermost: Option<&(dyn Error + 'static)> = error.source();
    while let Some(next) = innermost.and_then(Error::source) {
        innermost = Some(next);
    }
    innermost.map_or_else(|| "no further detail".to_owned(), ToString::to_string)
}
