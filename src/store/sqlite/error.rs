//! What the errors of the database layer mean.

use crate::store::StoreProblem;

/// SQLite's primary result codes (<https://www.sqlite.org/rescode.html>) that mean something to the user.
mod code {
    pub(super) const PERM: i32 = 3;
    pub(super) const BUSY: i32 = 5;
    pub(super) const LOCKED: i32 = 6;
    pub(super) const READONLY: i32 = 8;
    pub(super) const CORRUPT: i32 = 11;
    pub(super) const FULL: i32 = 13;
    pub(super) const CANTOPEN: i32 = 14;
    pub(super) const NOTADB: i32 = 26;
}

/// What an error of the database layer means.
pub(super) fn problem_of(error: &sqlx::Error, waited_ms: u64) -> StoreProblem {
    let sqlx::Error::Database(database) = error else {
        return match error {
            sqlx::Error::Io(io) => StoreProblem::CannotOpen { detail: io.to_string() },
            sqlx::Error::ColumnDecode { index, source } => {
                StoreProblem::BadRow { what: format!("column {index}"), detail: source.to_string() }
            }
            other => StoreProblem::Failed { detail: other.to_string() },
        };
    };
    let detail = database.message().to_owned();
    // The extended code carries the primary one in its low byte.
    let primary = database.code().and_then(|code| code.parse::<i32>().ok()).map_or(0, |code| code & 0xff);
    match primary {
        code::BUSY | code::LOCKED => StoreProblem::Locked { waited_ms },
        code::READONLY => StoreProblem::ReadOnly,
        code::CORRUPT | code::NOTADB => StoreProblem::Corrupt { detail },
        code::FULL => StoreProblem::Full,
        code::CANTOPEN | code::PERM => StoreProblem::CannotOpen { detail },
        _ => StoreProblem::Failed { detail },
    }
}
