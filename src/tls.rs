//! The one TLS stack of what we dial: rustls with ring, verified against the platform's trust store and, where given,
//! a file of further certificate authorities.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, ConfigBuilder, RootCertStore, WantsVerifier};

/// Why TLS cannot be set up.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TlsError {
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

/// Who vouches for the servers that we dial: the platform's certificate authorities and, where given, those of a file.
/// A process makes one and hands it to whatever dials; clones share the verifier, which is made when it is first needed.
#[derive(Clone, Default)]
pub struct Authorities(Arc<Inner>);

#[derive(Default)]
struct Inner {
    extra: Vec<CertificateDer<'static>>,
    config: OnceLock<Arc<ClientConfig>>,
}

impl fmt::Debug for Authorities {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Authorities(the platform's and {} more)", self.0.extra.len())
    }
}

impl Authorities {
    /// The platform's, and those of `ca_file` (PEM).
    ///
    /// # Errors
    /// [`TlsError::CaFile`] when the file cannot be read or holds no certificate.
    pub fn new(ca_file: Option<&Path>) -> Result<Self, TlsError> {
        let extra = ca_file.map(authorities).transpose()?.unwrap_or_default();
        Ok(Self(Arc::new(Inner { extra, config: OnceLock::new() })))
    }

    /// What verifies a server by them.
    ///
    /// # Errors
    /// [`TlsError::Setup`] when the platform's trust store cannot be used.
    pub(crate) fn client_config(&self) -> Result<Arc<ClientConfig>, TlsError> {
        if let Some(config) = self.0.config.get() {
            return Ok(Arc::clone(config));
        }
        let (builder, provider) = builder()?;
        let extra = self.0.extra.clone();
        let verifier = rustls_platform_verifier::Verifier::new_with_extra_roots(extra, provider).map_err(setup)?;
        let config = builder.dangerous().with_custom_certificate_verifier(Arc::new(verifier)).with_no_client_auth();
        Ok(Arc::clone(self.0.config.get_or_init(|| Arc::new(config))))
    }
}

/// What verifies a server: the platform's certificate authorities and those of `ca_file` (PEM).
///
/// # Errors
/// [`TlsError`] when the file or the trust store cannot be used.
pub(crate) fn client_config(ca_file: Option<&Path>) -> Result<Arc<ClientConfig>, TlsError> {
    Authorities::new(ca_file)?.client_config()
}

/// TLS for a client that never uses it: no trust store is loaded, and no server is trusted.
///
/// # Errors
/// [`TlsError::Setup`] when the TLS library cannot be used.
pub(crate) fn unused() -> Result<ClientConfig, TlsError> {
    let (builder, _) = builder()?;
    Ok(builder.with_root_certificates(RootCertStore::empty()).with_no_client_auth())
}

fn builder() -> Result<(ConfigBuilder<ClientConfig, WantsVerifier>, Arc<CryptoProvider>), TlsError> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
    Ok((builder.map_err(setup)?, provider))
}

fn setup(error: rustls::Error) -> TlsError {
    TlsError::Setup { problem: error.to_string() }
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
