//! Where the store is: [`StoreUrl`].

use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use url::Url;

/// Where the store is: an SQLite file, written as `sqlite:///path/file.db` or as a plain path. The scheme chooses the
/// backend; one that there is no backend for is refused by name.
///
/// ```
/// use sentiment_sidecar::store::StoreUrl;
/// let url: StoreUrl = "sqlite:///var/lib/sidecar/store.db".parse().unwrap();
/// assert_eq!(url.to_string(), "/var/lib/sidecar/store.db");
/// let other = "postgres://db/sidecar".parse::<StoreUrl>().unwrap_err();
/// assert!(other.to_string().contains("SQLite only"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreUrl(Place);

/// Which backend, and what it needs to find its store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Place {
    /// This file.
    Sqlite(PathBuf),
}

/// Why something does not say where a store is.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAStore {
    /// A PostgreSQL URL.
    #[error("this version keeps its store in SQLite only; write the store as sqlite:///path/file.db")]
    Postgres,
    /// A scheme that is no store's.
    #[error("a store is no {scheme:?}; write it as sqlite:///path/file.db or as a path")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// An SQLite URL without an absolute path.
    #[error("an sqlite URL needs an absolute path; write sqlite:///path/file.db, or a relative path on its own")]
    NotAbsolute,
    /// An SQLite URL with a query or fragment.
    #[error("an sqlite URL takes no options after ? or #; write sqlite:///path/file.db")]
    Options,
    /// `:memory:`.
    #[error("a store in memory is lost with its process; write it as sqlite:///path/file.db or as a path")]
    Memory,
    /// Nothing, a folder, or a path with a NUL in it.
    #[error("this names no file; write the store as sqlite:///path/file.db or as a path")]
    NoFile,
    /// Neither `XDG_STATE_HOME` nor `HOME` says where the user's state is kept.
    #[error(
        "neither XDG_STATE_HOME nor HOME is set to an absolute path, so name the store: --store sqlite:///path/file.db"
    )]
    NoHome,
}

impl StoreUrl {
    /// The store in this file.
    pub(super) fn of_file(path: &Path) -> Self {
        Self(Place::Sqlite(path.to_owned()))
    }

    /// Whether there is a store already, rather than one that the first `attach` makes.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match &self.0 {
            Place::Sqlite(path) => path.exists(),
        }
    }

    pub(super) fn place(&self) -> &Place {
        &self.0
    }

    /// The store of the user whose environment `env` reads: `sentiment-sidecar/store.db` in `XDG_STATE_HOME`, else in
    /// `~/.local/state` (XDG Base Directory Specification: a relative `XDG_STATE_HOME` is ignored).
    ///
    /// # Errors
    /// [`NotAStore::NoHome`] when neither variable is set to an absolute path.
    pub fn of_user(env: impl Fn(&str) -> Option<OsString>) -> Result<Self, NotAStore> {
        let absolute = |name: &str| env(name).map(PathBuf::from).filter(|path| path.is_absolute());
        let state = absolute("XDG_STATE_HOME").or_else(|| absolute("HOME").map(|home| home.join(".local/state")));
        state.map(|state| Self::of_file(&state.join("sentiment-sidecar/store.db"))).ok_or(NotAStore::NoHome)
    }

    /// `given`, or else the store of the user that this process runs as.
    ///
    /// # Errors
    /// [`NotAStore::NoHome`], see [`StoreUrl::of_user`].
    pub fn or_of_user(given: Option<Self>) -> Result<Self, NotAStore> {
        given.map_or_else(|| Self::of_user(|name| std::env::var_os(name)), Ok)
    }

    /// A file that somebody named.
    fn named(path: &Path) -> Result<Self, NotAStore> {
        let text = path.to_str().unwrap_or_default();
        if text.is_empty() || text.ends_with('/') || text.contains('\0') {
            return Err(NotAStore::NoFile);
        }
        Ok(Self::of_file(path))
    }
}

impl FromStr for StoreUrl {
    type Err = NotAStore;

    fn from_str(text: &str) -> Result<Self, NotAStore> {
        if text.contains(":memory:") {
            return Err(NotAStore::Memory);
        }
        if let Some(rest) = text.strip_prefix("sqlite:") {
            if !rest.starts_with("///") {
                return Err(NotAStore::NotAbsolute);
            }
            if rest.contains(['?', '#']) {
                return Err(NotAStore::Options);
            }
            // A file URL has the same form, and its reader undoes percent-encoding.
            let path = Url::parse(&format!("file:{rest}")).ok().and_then(|url| url.to_file_path().ok());
            return Self::named(&path.ok_or(NotAStore::NoFile)?);
        }
        match text.split_once("://") {
            Some(("postgres" | "postgresql", _)) => Err(NotAStore::Postgres),
            Some((scheme, _)) => Err(NotAStore::Scheme { scheme: scheme.to_owned() }),
            None => Self::named(Path::new(text)),
        }
    }
}

impl fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Place::Sqlite(path) => path.display().fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn urls_and_plain_paths_name_files() {
        for (text, path) in [
            ("sqlite:///var/lib/s.db", "/var/lib/s.db"),
            ("sqlite:///var/with%20space/s.db", "/var/with space/s.db"),
            ("/var/lib/s.db", "/var/lib/s.db"),
            ("s.db", "s.db"),
            ("folder/s.db", "folder/s.db"),
        ] {
            assert_eq!(text.parse::<StoreUrl>().unwrap().place(), &Place::Sqlite(path.into()), "{text}");
        }
    }

    #[test]
    fn what_is_no_store_is_refused_by_name() {
        for (text, why) in [
            ("postgres://db/x", NotAStore::Postgres),
            ("postgresql://db/x", NotAStore::Postgres),
            ("mysql://db/x", NotAStore::Scheme { scheme: "mysql".to_owned() }),
            ("sqlite:s.db", NotAStore::NotAbsolute),
            ("sqlite://s.db", NotAStore::NotAbsolute),
            ("sqlite:///s.db?mode=ro", NotAStore::Options),
            ("sqlite::memory:", NotAStore::Memory),
            (":memory:", NotAStore::Memory),
            ("", NotAStore::NoFile),
            ("/var/lib/", NotAStore::NoFile),
            ("sqlite:///", NotAStore::NoFile),
            ("a\0b", NotAStore::NoFile),
        ] {
            assert_eq!(text.parse::<StoreUrl>(), Err(why), "{text:?}");
        }
    }

    #[test]
    fn the_default_store_lies_in_the_users_state_folder() {
        let env = |pairs: &'static [(&'static str, &'static str)]| {
            move |name: &str| pairs.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value))
        };
        let path = |pairs| StoreUrl::of_user(env(pairs)).map(|url| url.to_string());
        assert_eq!(path(&[("XDG_STATE_HOME", "/st"), ("HOME", "/h")]), Ok("/st/sentiment-sidecar/store.db".into()));
        assert_eq!(path(&[("HOME", "/h")]), Ok("/h/.local/state/sentiment-sidecar/store.db".into()));
        assert_eq!(
            path(&[("XDG_STATE_HOME", "rel"), ("HOME", "/h")]),
            Ok("/h/.local/state/sentiment-sidecar/store.db".into())
        );
        assert_eq!(path(&[("XDG_STATE_HOME", "rel")]), Err(NotAStore::NoHome));
    }
}
