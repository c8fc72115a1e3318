//! A store that is there already, for commands that work on what calls have left in it.

use super::exit::{Exit, Failure};
use crate::store::{Store, StoreUrl};

/// Why a store could not be opened.
#[derive(Debug)]
pub(super) enum NoStore {
    /// None is there.
    Missing(StoreUrl),
    /// It cannot be used.
    Unusable(Failure),
}

impl From<NoStore> for Failure {
    fn from(no: NoStore) -> Self {
        match no {
            NoStore::Missing(url) => Self::new(Exit::StoreUnusable, format!("there is no store at {url}"))
                .help("name the one that attach writes to with --store or SIDECAR_STORE; attach makes it"),
            NoStore::Unusable(failure) => failure,
        }
    }
}

/// Opens a store that is there.
pub(super) async fn open(url: Option<StoreUrl>) -> Result<Store, NoStore> {
    let url = StoreUrl::or_of_user(url).map_err(|error| NoStore::Unusable(Failure::new(Exit::Usage, error)))?;
    if !url.is_there() {
        return Err(NoStore::Missing(url));
    }
    Store::open(&url).await.map_err(|error| NoStore::Unusable(error.into()))
}
