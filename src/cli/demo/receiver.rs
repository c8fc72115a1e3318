//! A webhook receiver on loopback that does what every receiver should: it verifies before it believes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use url::Url;

use crate::clock;
use crate::config::webhook_secret::WebhookSecret;
use crate::notify::sign::{NotVerified, SignedHeaders, verify};

/// The largest body that is taken, in bytes.
const MAX_BODY: usize = 256 * 1024;

/// How many deliveries wait to be looked at; more are answered with 503 and come again.
const WAITING: usize = 256;

/// A webhook as it arrived.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// All headers, in order of arrival; what is no plain text is shown as far as it is.
    pub headers: Vec<(String, String)>,
    /// The `webhook-id`, by which a receiver knows a repetition.
    pub id: Option<String>,
    /// Whether the signature is right, and why not otherwise.
    pub verified: Result<(), NotVerified>,
    /// The body.
    pub body: String,
}

/// A running receiver; it stops when it is dropped.
#[derive(Debug)]
pub struct Receiver {
    url: Url,
    deliveries: mpsc::Receiver<Delivery>,
    server: JoinHandle<()>,
}

struct Shared {
    secret: WebhookSecret,
    deliveries: mpsc::Sender<Delivery>,
}

/// Starts a receiver on a free port of 127.0.0.1. It answers 204 to what `secret` signed and 401 to anything else.
///
/// # Errors
/// When no port can be opened.
pub async fn start(secret: WebhookSecret) -> std::io::Result<Receiver> {
    let listener = TcpListener::bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await?;
    let address = listener.local_addr()?;
    let (sender, deliveries) = mpsc::channel(WAITING);
    let app = Router::new()
        .route("/sentiment", post(receive))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(Arc::new(Shared { secret, deliveries: sender }));
    let url = Url::parse(&format!("http://{address}/sentiment")).map_err(std::io::Error::other)?;
    let server = tokio::spawn(async move {
        if let Err(error) = axum::serve(listener, app).await {
            tracing::error!(%error, "the webhook receiver stopped");
        }
    });
    Ok(Receiver { url, deliveries, server })
}

impl Receiver {
    /// Where it listens.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// The next delivery; none once the server has stopped.
    pub async fn next(&mut self) -> Option<Delivery> {
        self.deliveries.recv().await
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn receive(State(shared): State<Arc<Shared>>, headers: HeaderMap, body: Bytes) -> StatusCode {
    let verified = check(&shared.secret, &headers, &body);
    let status = if verified.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::UNAUTHORIZED };
    let shown = |value: &axum::http::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let delivery = Delivery {
        id: headers.get("webhook-id").map(shown),
        headers: headers.iter().map(|(name, value)| (name.to_string(), shown(value))).collect(),
        verified,
        body: String::from_utf8_lossy(&body).into_owned(),
    };
    match shared.deliveries.try_send(delivery) {
        Ok(()) => status,
        Err(_) => StatusCode::SERVICE_UNAVAILABLE,
    }
}

fn check(secret: &WebhookSecret, headers: &HeaderMap, body: &[u8]) -> Result<(), NotVerified> {
    let text = |name: &'static str| {
        headers.get(name).and_then(|value| value.to_str().ok()).ok_or(NotVerified::Header { name })
    };
    let signed = SignedHeaders {
        id: text("webhook-id")?,
        timestamp: text("webhook-timestamp")?,
        signature: text("webhook-signature")?,
    };
    verify(std::slice::from_ref(secret), signed, body, clock::unix_ms() / 1000)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::notify::sign::Signer;

    #[tokio::test]
    async fn what_is_signed_is_believed_and_what_is_not_is_reported_with_why() {
        let secret = WebhookSecret::generate().unwrap();
        let mut receiver = start(secret.clone()).await.unwrap();
        let client = reqwest::Client::builder()
            .tls_backend_preconfigured(
                rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
                    .with_safe_default_protocol_versions()
                    .unwrap()
                    .with_root_certificates(rustls::RootCertStore::empty())
                    .with_no_client_auth(),
            )
            .no_proxy()
            .build()
            .unwrap();
        let now_s = clock::unix_ms() / 1000;
        let signature = Signer::new(vec![secret]).unwrap().sign("alert_1", now_s, b"{}");
        let send = |body: &'static str| {
            client
                .post(receiver.url().clone())
                .header("webhook-id", "alert_1")
                .header("webhook-timestamp", now_s)
                .header("webhook-signature", &signature)
                .body(body)
                .send()
        };
        assert_eq!(send("{}").await.unwrap().status(), 204);
        assert_eq!(send("{\"forged\":true}").await.unwrap().status(), 401);
        assert_eq!(client.post(receiver.url().clone()).send().await.unwrap().status(), 401);
        let first = receiver.next().await.unwrap();
        assert_eq!((first.id.as_deref(), first.verified, first.body.as_str()), (Some("alert_1"), Ok(()), "{}"));
        assert!(first.headers.contains(&("webhook-signature".to_owned(), signature.clone())));
        assert_eq!(receiver.next().await.unwrap().verified, Err(NotVerified::Signature));
        assert_eq!(receiver.next().await.unwrap().verified, Err(NotVerified::Header { name: "webhook-id" }));
    }
}
