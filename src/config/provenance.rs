//! Where each key's value came from: [`Provenance`].

use std::collections::BTreeMap;

use super::error::Source;

/// Where each key's value came from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Provenance(pub(super) BTreeMap<&'static str, Source>);

impl Provenance {
    /// The source of a key's value.
    #[must_use]
    pub fn of(&self, key: &str) -> &Source {
        self.0.get(key).unwrap_or(&Source::Default)
    }

    /// Those keys that somebody set.
    pub(super) fn set_among(&self, keys: &[&'static str]) -> Vec<&'static str> {
        keys.iter().copied().filter(|key| self.0.contains_key(key)).collect()
    }
}
