//! Probes and metrics for whoever runs the program: `/healthz`, `/readyz` and `/metrics` ([`serve`]).
//!
//! Nothing here says who calls, what was said, or which room it is, so nobody needs a token.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use tokio::net::TcpListener;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::farewell::until_stopped;
use crate::store::Store;
use crate::telemetry::meter::Meter;

/// How long the store has to answer: less than a prober waits.
const STORE_LIMIT: Duration = Duration::from_millis(800);
/// How long what is being answered may take once the process ends.
const FAREWELL: Duration = Duration::from_secs(1);
/// What Prometheus' text format calls itself.
const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

/// A further reason why the process takes no calls, in one word; none where it takes them.
type Unready = dyn Fn() -> Option<&'static str> + Send + Sync;

/// What is asked.
pub struct Health {
    meter: Arc<Meter>,
    store: Store,
    draining: CancellationToken,
    unready: Option<Box<Unready>>,
    /// How long the store has to answer.
    patience: Duration,
}

impl Health {
    /// A process that counts there, keeps alerts there, and takes no more calls once `draining` is cancelled.
    #[must_use]
    pub fn new(meter: Arc<Meter>, store: Store, draining: CancellationToken) -> Self {
        Self { meter, store, draining, unready: None, patience: STORE_LIMIT }
    }

    /// Is also not ready while `unready` says a word: why not.
    #[must_use]
    pub fn unless(mut self, unready: impl Fn() -> Option<&'static str> + Send + Sync + 'static) -> Self {
        self.unready = Some(Box::new(unready));
        self
    }

    /// Why the process should get no calls: `draining`, `store`, or what else was said.
    async fn unready(&self) -> Option<&'static str> {
        if self.draining.is_cancelled() {
            return Some("draining");
        }
        if self.meter.store_fails() || self.waiting().await.is_none() {
            return Some("store");
        }
        self.unready.as_ref().and_then(|unready| unready())
    }

    /// How many alerts wait to be sent; none where the store does not say.
    async fn waiting(&self) -> Option<u64> {
        let waiting = timeout(self.patience, self.store.pending_count()).await;
        waiting.ok()?.inspect_err(|error| tracing::warn!(%error, "the store cannot be read")).ok()
    }
}

/// Answers until `stop` is cancelled, and what is being answered then for a second more.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, health: Health, stop: CancellationToken) -> io::Result<()> {
    let app = router(Arc::new(health));
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    until_stopped(serving.into_future(), &stop, FAREWELL).await
}

fn router(health: Arc<Health>) -> Router {
    Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .with_state(health)
}

async fn readyz(State(health): State<Arc<Health>>) -> impl IntoResponse {
    match health.unready().await {
        None => (StatusCode::OK, "ok\n".to_owned()),
        Some(why) => (StatusCode::SERVICE_UNAVAILABLE, format!("{why}\n")),
    }
}

async fn metrics(State(health): State<Arc<Health>>) -> impl IntoResponse {
    let waiting = health.waiting().await;
    ([(header::CONTENT_TYPE, TEXT)], health.meter.text(waiting))
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::sync::atomic::{AtomicBool, Ordering};

    use sqlx::Connection as _;

    use super::*;

    async fn health() -> (tempfile::TempDir, Health) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db").to_str().unwrap().parse().unwrap()).await.unwrap();
        let health = Health::new(Arc::new(Meter::new()), store, CancellationToken::new());
        // Cores may be busy.
        (folder, Health { patience: Duration::from_secs(60), ..health })
    }

    #[tokio::test]
    async fn a_process_is_ready_unless_it_drains_cannot_write_or_says_so() {
        let (_folder, health) = health().await;
        let full = Arc::new(AtomicBool::new(false));
        let is_full = Arc::clone(&full);
        let health = health.unless(move || is_full.load(Ordering::Relaxed).then_some("full"));
        assert_eq!(health.unready().await, None);
        full.store(true, Ordering::Relaxed);
        assert_eq!(health.unready().await, Some("full"));
        health.meter.stored(Duration::ZERO, false);
        assert_eq!(health.unready().await, Some("store"));
        health.meter.stored(Duration::ZERO, true);
        health.draining.cancel();
        assert_eq!(health.unready().await, Some("draining"));
    }

    #[tokio::test]
    async fn a_store_that_cannot_be_read_is_said_and_metrics_go_on() {
        let (folder, health) = health().await;
        assert_eq!(health.waiting().await, Some(0));
        let file = folder.path().join("store.db");
        let mut other = sqlx::SqliteConnection::connect(file.to_str().unwrap()).await.unwrap();
        sqlx::query("DROP TABLE notices").execute(&mut other).await.unwrap();
        assert_eq!(health.unready().await, Some("store"));
        assert!(!health.meter.text(health.waiting().await).contains("outbox_pending"));
    }
}
