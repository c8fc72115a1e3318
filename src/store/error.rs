//! What can be wrong with a store: [`StoreError`].

use super::url::StoreUrl;

/// A store that cannot be used: which one, why, and what would mend it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("store {store}: {problem}; {}", problem.mend())]
pub struct StoreError {
    /// Which one.
    pub store: StoreUrl,
    /// What is wrong with it.
    pub problem: StoreProblem,
}

/// What is wrong with a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum StoreProblem {
    /// The file or its folder cannot be opened or created.
    #[error("it cannot be opened or created ({detail})")]
    CannotOpen {
        /// What the system said.
        detail: String,
    },
    /// The file or its folder is not writable.
    #[error("it is read-only")]
    ReadOnly,
    /// The file is damaged, or no SQLite file at all.
    #[error("it is damaged or no SQLite file ({detail})")]
    Corrupt {
        /// What SQLite said.
        detail: String,
    },
    /// No space is left.
    #[error("no space is left for it")]
    Full,
    /// Another process kept it locked for too long.
    #[error("another process kept it locked for more than {waited_ms} ms")]
    Locked {
        /// How long we waited, in ms.
        waited_ms: u64,
    },
    /// Others read it all the while, so that what was erased is still in the file beside it.
    #[error("others read it for more than {waited_ms} ms, so that what was erased is still in its -wal file")]
    StillThere {
        /// How long we waited, in ms.
        waited_ms: u64,
    },
    /// An SQLite file of some other program.
    #[error("it is an SQLite file of another program")]
    NotOurs,
    /// A newer version of this program made it.
    #[error("a newer version wrote it (schema {version}; this one knows up to {known})")]
    TooNew {
        /// The file's schema version.
        version: i64,
        /// The newest schema version that this program knows.
        known: i64,
    },
    /// A row does not hold what we wrote into it.
    #[error("a row of it cannot be read ({what}: {detail})")]
    BadRow {
        /// Which row.
        what: String,
        /// What is wrong with it.
        detail: String,
    },
    /// Anything else.
    #[error("it failed ({detail})")]
    Failed {
        /// What SQLite or the system said.
        detail: String,
    },
}

impl StoreProblem {
    /// What would mend it, in half a sentence.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        match self {
            Self::CannotOpen { .. } => "name a file in a folder that this user may write to, with --store",
            Self::ReadOnly => "make the file and its folder writable for this user, or name another with --store",
            Self::Corrupt { .. } => {
                "move it and its -wal and -shm files away (`sqlite3 FILE .recover` may save what is in them); a new one is \
                 made by itself"
            }
            Self::Full => "free space on its disk",
            Self::Locked { .. } => "end the process that holds it (`fuser FILE` names it), or move it to a faster disk",
            Self::StillThere { .. } => {
                "try again; where that does not help, end the process that reads it (`fuser FILE` names it)"
            }
            Self::NotOurs => "name another file with --store",
            Self::TooNew { .. } => "run the newer version, or name another file with --store",
            Self::BadRow { .. } => "the row was changed from outside: mend or delete it with `sqlite3 FILE`",
            Self::Failed { .. } => "see what it said, and try `sqlite3 FILE 'PRAGMA integrity_check'`",
        }
    }
}

impl StoreError {
    /// What would mend it, in half a sentence.
    #[must_use]
    pub fn mend(&self) -> &'static str {
        self.problem.mend()
    }
}
