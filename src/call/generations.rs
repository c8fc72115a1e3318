//! Ids that come again for other words, and the ones that these go under.

use std::collections::HashMap;

/// Under which id of ours the words of a segment or turn go that has an id of the room's.
#[derive(Debug, Default)]
pub(super) struct Generations {
    pub(super) segments: HashMap<(String, String), String>,
    pub(super) turns: HashMap<String, String>,
    /// How often any id began anew.
    restarts: u64,
}

impl Generations {
    pub(super) fn segment<'a>(&'a self, who: &str, id: &'a str) -> &'a str {
        self.segments.get(&(who.to_owned(), id.to_owned())).map_or(id, String::as_str)
    }

    pub(super) fn turn<'a>(&'a self, id: &'a str) -> &'a str {
        self.turns.get(id).map_or(id, String::as_str)
    }

    pub(super) fn anew(&mut self, id: &str) -> String {
        self.restarts += 1;
        format!("{id}#{}", self.restarts)
    }
}
