//! The review pages for supervisors and QA, and the JSON API behind them: one HTTP server; and [`health`], another, for whoever
//! runs the program. [`proxy`] stands between platforms that dial and their apps.
//!
//! Pages are made on the server (`pages`) of what the store says; `view` is what they show, and `call` what they show of one call. Only `board`, where calls in
//! progress are, has scripts, which move it. `api` tells programs the same. [`users`] says who may come in, `session` who has, `limit` how often somebody may try, `farewell` how servers end. Whoever reads
//! what callers said, or changes something, stands in the audit log of the store.

mod api;
mod board;
mod call;
mod farewell;
pub mod health;
mod limit;
mod pages;
pub mod proxy;
mod query;
mod session;
mod state;
pub mod users;
mod view;
mod visitor;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, Response, header};
use axum::middleware::map_response;
use axum::routing::{get, post};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use self::farewell::until_stopped;
pub use self::state::{Options, Review};

/// The largest form or body that is taken, in bytes.
const MAX_BODY: usize = 64 * 1024;
/// Nothing is loaded from elsewhere, nothing runs but what is served from here, nobody frames the pages, and forms go back to where they came from.
const POLICY: &str = "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; \
                      frame-ancestors 'none'";

/// How long requests in hand may take once the process ends: an alert that is sent again, say.
const FAREWELL: Duration = Duration::from_secs(5);

/// Serves the pages until `stop` is cancelled; requests in hand are answered within a few seconds.
///
/// # Errors
/// When the listener fails.
pub async fn serve(listener: TcpListener, mut review: Review, stop: CancellationToken) -> std::io::Result<()> {
    review.stop = stop.clone();
    let app = router(Arc::new(review)).into_make_service_with_connect_info::<SocketAddr>();
    let serving = axum::serve(listener, app).with_graceful_shutdown(stop.clone().cancelled_owned());
    until_stopped(serving.into_future(), &stop, FAREWELL).await
}

fn router(review: Arc<Review>) -> Router {
    Router::new()
        .route("/", get(board::page::board))
        .route("/watch.js", get(board::watch))
        .route("/board.js", get(board::page::script))
        .route("/board/events", get(board::events::events))
        .route("/call.js", get(board::call::script))
        .route("/calls/{key}", get(board::call::call))
        .route("/calls/{key}/events", get(board::call::events))
        .route("/alerts", get(pages::alerts))
        .route("/alerts/{id}", get(pages::alert))
        .route("/alerts/{id}/verdict", post(pages::verdict))
        .route("/alerts/{id}/claim", post(pages::claim))
        .route("/alerts/{id}/release", post(pages::release))
        .route("/alerts/{id}/resend", post(pages::resend))
        .route("/login", get(pages::login).post(pages::log_in))
        .route("/logout", post(pages::log_out))
        .route("/style.css", get(pages::style))
        .route("/favicon.ico", get(|| async { axum::http::StatusCode::NO_CONTENT }))
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/api/openapi.json", get(api::openapi))
        .route("/api/v1/board", get(board::api::board))
        .route("/api/v1/alerts", get(api::alerts))
        .route("/api/v1/alerts/{id}", get(api::alert))
        .route("/api/v1/alerts/{id}/verdict", post(api::verdict))
        .route("/api/v1/rates", get(api::rates))
        .fallback(pages::nowhere)
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(map_response(guarded))
        .with_state(review)
}

/// What every answer says to browsers.
async fn guarded<B>(mut response: Response<B>) -> Response<B> {
    let headers = response.headers_mut();
    let says = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::X_FRAME_OPTIONS, "DENY"),
    ];
    for (name, value) in says {
        headers.insert(name, HeaderValue::from_static(value));
    }
    // What callers said stays in no cache.
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    response
}
