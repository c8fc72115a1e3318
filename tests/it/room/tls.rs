//! `wss` with certificates of our own making.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use sentiment_sidecar::room::open;
use sentiment_sidecar::tls::Authorities;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::peer::{Peer, brief, in_time, place_with, welcome};

/// An authority, in PEM, and a TLS server for 127.0.0.1 that it vouches for.
pub(crate) fn authority() -> (String, TlsAcceptor) {
    let ca_key = KeyPair::generate().unwrap();
    let mut ca = CertificateParams::new(Vec::new()).unwrap();
    ca.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_pem = ca.self_signed(&ca_key).unwrap().pem();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    let leaf = leaf.signed_by(&key, &Issuer::new(ca, ca_key)).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(key.serialize_der()));
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![leaf.der().clone()], key)
        .unwrap();
    (ca_pem, TlsAcceptor::from(Arc::new(config)))
}

pub(crate) async fn join(listener: &TcpListener, acceptor: &TlsAcceptor) -> std::io::Result<()> {
    let (stream, _) = in_time("dial", listener.accept()).await?;
    let mut peer = Peer::over(acceptor.accept(stream).await?).await;
    peer.hear().await;
    peer.say(&welcome("one", false)).await;
    Ok(())
}

#[tokio::test]
async fn a_room_whose_authority_is_named_is_joined_over_tls() {
    let (listener, config) = place_with("wss", None).await;
    let (pem, acceptor) = authority();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pem).unwrap();
    let authorities = Authorities::new(Some(file.path())).unwrap();
    let mut room = open(config, &authorities);
    let (joined, event) = tokio::join!(join(&listener, &acceptor), brief(&mut room));
    joined.unwrap();
    assert_eq!(event, "welcome one");
}

#[tokio::test]
async fn a_room_of_another_authority_is_refused() {
    let (listener, config) = place_with("wss", None).await;
    let (_, acceptor) = authority();
    let (another, _) = authority();
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), another).unwrap();
    let authorities = Authorities::new(Some(file.path())).unwrap();
    let mut room = open(config, &authorities);
    let (joined, event) = tokio::join!(join(&listener, &acceptor), brief(&mut room));
    assert!(joined.is_err());
    assert!(event.starts_with("refused: the room's certificate cannot be trusted"), "{event}");
}

#[test]
fn a_ca_file_without_certificates_is_named() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let error = Authorities::new(Some(file.path())).unwrap_err().to_string();
    let path = file.path().display().to_string();
    assert!(error.starts_with(&path) && error.contains("it holds no certificate"), "{error}");
}
