//! Words by which rules go ([`List`]).

/// Words with spaces between them.
pub(super) struct List(pub(super) &'static str);

impl List {
    /// Whether a word is among them.
    pub(super) fn has(&self, word: &str) -> bool {
        self.0.split_ascii_whitespace().any(|listed| listed == word)
    }
}
