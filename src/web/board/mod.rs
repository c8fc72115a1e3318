//! The board: calls in progress, those first that need somebody.
//!
//! `snapshot` is what all who look share: it is read once a second at most, however many do. `search` says which part of it
//! somebody looks at, `card` how a call is shown. `page` makes the page, `call` that of one call, `events` tells what moves
//! on the board, by `moves`, and what programs ask is answered in `api`.

pub(super) mod api;
pub(super) mod call;
mod card;
pub(super) mod events;
mod moves;
pub(super) mod page;
mod search;
mod snapshot;

pub(super) use snapshot::Board;

use axum::response::Response;

use super::pages::javascript;

/// What keeps both pages moving.
pub(super) async fn watch() -> Response {
    javascript(include_str!("../pages/watch.js"))
}
