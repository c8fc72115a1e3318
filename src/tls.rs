//! The one TLS stack of what we dial: rustls with ring, verified against the platform's trust store and, where given,
//! a file of further certificate authorities.

use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;

/// Why TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TlsError {
    /// A file of certificate authorities cannot be used.
    #[error("{} cannot be used as a file of certificate authorities: {problem}", path.display())]
    CaFile {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The platform's trust store or the TLS library said no.
    #[error("TLS did not start: {problem}")]
    Setup {
        /// What it said.
        problem: String,
    },
}

/// Whom a process trusts: the platform's certificate authorities and, where given, those of a file. Clones share what was
/// loaded, which is loaded when TLS is first needed.
#[derive(Debug, Clone, Default)]
pub struct Trust(Arc<Inner>);

#[derive(Debug, Default)]
struct Inner {
    ca_file: Option<PathBuf>,
    config: OnceLock<Result<Arc<ClientConfig>, TlsError>>,
}

impl Trust {
    /// Trusts the certificate authorities of a file (PEM) besides the platform's.
    #[must_use]
    pub fn new(ca_file: Option<PathBuf>) -> Self {
        Self(Arc::new(Inner { ca_file, config: OnceLock::new() }))
    }

    /// The configuration of TLS clients, the same one whenever asked.
    ///
    /// # Errors
    /// [`TlsError`] when the file or the trust store cannot be used.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        self.0.config.get_or_init(|| client_config(self.0.ca_file.as_deref())).clone()
    }
}

/// What verifies a server: the platform's certificate authorities and those of `ca_file` (PEM).
///
/// # Errors
/// [`TlsError`] when the file or the trust store cannot be used.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    let setup = |e: rustls::Error| TlsError::Setup { problem: e.to_string() };
    let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier =
        rustls_platform_verifier::Verifier::new_with_extra_roots(extra, Arc::clone(&provider)).map_err(setup)?;
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(setup)?
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// The certificates of a PEM file, at least one.
///
/// # Errors
/// [`TlsError::CaFile`].
pub(crate) fn authorities(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let fail = |problem: String| TlsError::CaFile { path: path.to_owned(), problem };
    let pem = std::fs::read(path).map_err(|e| fail(e.to_string()))?;
    let found: Vec<_> =
        CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|e| fail(e.to_string()))?;
    if found.is_empty() { Err(fail("it holds no certificate".to_owned())) } else { Ok(found) }
}
