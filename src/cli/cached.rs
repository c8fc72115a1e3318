//! The ratings that are kept between runs, for commands that go through the same calls again and again.

use std::sync::Arc;

use clap::Args;

use crate::replay::cache::{CachedRater, RatingCache};
use crate::sentiment::{self, Rater};

/// Whether ratings are kept.
#[derive(Debug, Clone, Copy, Default, Args)]
pub struct CacheArgs {
    /// Rate every turn anew, and keep no ratings.
    ///
    /// Ratings are kept in sentiment-sidecar/ in your cache folder (XDG_CACHE_HOME, else ~/.cache), which only you may
    /// read: a hash of each turn with what went before it, and its numbers; no words.
    #[arg(long)]
    no_cache: bool,
}

/// The cache of one run.
pub(super) struct Cached(Arc<RatingCache>);

/// How many ratings were known, and how many had to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) known: usize,
    pub(super) rated: usize,
}

impl CacheArgs {
    /// The user's cache; one in memory where that is not wanted, or cannot be.
    pub(super) fn open(self) -> Cached {
        let folder = RatingCache::folder_of_user(|name| std::env::var_os(name)).filter(|_| !self.no_cache);
        let cache = folder.map(|folder| {
            RatingCache::open(&folder).unwrap_or_else(|error| {
                complain(&format!("the ratings in {} cannot be used: {error}", folder.display()));
                RatingCache::in_memory()
            })
        });
        Cached(Arc::new(cache.unwrap_or_else(RatingCache::in_memory)))
    }
}

impl Cached {
    /// The rater inside the program behind the cache.
    pub(super) fn rater(&self) -> Arc<dyn Rater> {
        Arc::new(CachedRater::new(Arc::new(sentiment::embedded()), Arc::clone(&self.0)))
    }

    /// Keeps what is new.
    pub(super) fn close(self) -> Counts {
        if let Err(error) = self.0.save() {
            complain(&format!("the ratings could not be kept, so that they are made anew the next time: {error}"));
        }
        let (known, rated) = self.0.counts();
        Counts { known, rated }
    }
}

fn complain(what: &str) {
    let yellow = anstyle::AnsiColor::Yellow.on_default().bold();
    anstream::eprintln!("{yellow}warning{yellow:#}: {what}");
}
