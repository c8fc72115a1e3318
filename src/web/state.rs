//! What the pages work with ([`Review`]), and how they are reached ([`Options`]).

use axum::http::HeaderName;
use tokio_util::sync::CancellationToken;

use super::board::Board;
use super::limit::Limit;
use super::session::Keys;
use super::users::Users;
use crate::alert::outgoing::Outgoing;
use crate::notify::Deliverer;
use crate::store::Store;

/// Longest note, in characters.
pub(super) const NOTE_CHARS: usize = 2_000;

/// What the pages work with.
pub struct Review {
    pub(super) store: Store,
    pub(super) users: Users,
    pub(super) keys: Keys,
    pub(super) limit: Limit,
    pub(super) deliverer: Deliverer,
    pub(super) outgoing: Vec<Outgoing>,
    pub(super) options: Options,
    pub(super) board: Board,
    /// Ends what would go on for as long as somebody looks.
    pub(super) stop: CancellationToken,
}

/// How the pages are reached.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Whether browsers come by https, through a proxy: cookies are for that only.
    pub behind_tls: bool,
    /// The header in which a proxy that has asked people itself says who they are.
    pub user_header: Option<HeaderName>,
}

impl Review {
    /// Shows `store` to `users`, and sends alerts again by `deliverer`, also to those of `outgoing` that had not got them.
    /// None where the system has no randomness to give.
    #[must_use]
    pub fn new(
        store: Store,
        users: Users,
        deliverer: Deliverer,
        outgoing: Vec<Outgoing>,
        options: Options,
    ) -> Option<Self> {
        let (limit, board, stop) = (Limit::default(), Board::default(), CancellationToken::new());
        Some(Self { store, users, keys: Keys::draw()?, limit, deliverer, outgoing, options, board, stop })
    }
}
