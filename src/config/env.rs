//! The environment as the library sees it: handed in, never read globally.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;

/// What every variable of ours begins with.
pub const PREFIX: &str = "SIDECAR_";

/// The `SIDECAR_*` variables of a process. Holds secrets: `Debug` shows names only.
#[derive(Clone, Default)]
pub struct Env(BTreeMap<String, OsString>);

/// A variable's value is not UTF-8.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the value is not UTF-8")]
pub struct NotUtf8;

impl Env {
    /// The variables of this process. Only programs call this; the library takes what it is given.
    #[must_use]
    pub fn of_process() -> Self {
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect()
    }

    /// The value of a variable.
    ///
    /// # Errors
    /// [`NotUtf8`] when it is set to something that is not text.
    pub fn get(&self, name: &str) -> Result<Option<&str>, NotUtf8> {
        self.0.get(name).map(|value| value.to_str().ok_or(NotUtf8)).transpose()
    }

    /// The names that are set, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl<N: Into<String>, V: Into<OsString>> FromIterator<(N, V)> for Env {
    /// Keeps what begins with [`PREFIX`].
    fn from_iter<I: IntoIterator<Item = (N, V)>>(variables: I) -> Self {
        let ours = |(name, value): (N, V)| {
            let name: String = name.into();
            name.starts_with(PREFIX).then(|| (name, value.into()))
        };
        Self(variables.into_iter().filter_map(ours).collect())
    }
}

impl fmt::Debug for Env {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.names()).finish()
    }
}
