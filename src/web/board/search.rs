//! Which calls of the board somebody looks at ([`Search`]).

use serde::Deserialize;

use crate::alert::about::About;
use crate::store::live::Brief;
use crate::web::query::BadField;

/// How many calls a page has.
pub(super) const PAGE: usize = 100;

/// The fields. Empty ones ask for nothing.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub(in crate::web) struct Search {
    /// Part of a caller's number or name, or of a room's name.
    pub(super) q: String,
    /// Which page, from 1.
    page: String,
}

impl Search {
    /// Which page, from 1.
    pub(super) fn page(&self) -> Result<usize, BadField> {
        let wrong = || BadField::new("page", "a number from 1 to 10000");
        match self.page.as_str() {
            "" => Ok(1),
            text => text.parse().ok().filter(|page| (1..=10_000).contains(page)).ok_or_else(wrong),
        }
    }

    /// What is looked for, as it is compared.
    pub(super) fn wanted(&self) -> Wanted {
        let text = self.q.trim().to_lowercase();
        Wanted { number: About::key(&text), text }
    }

    /// The query string of another page of the same.
    pub(super) fn of_page(&self, page: usize) -> String {
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        if !self.q.trim().is_empty() {
            query.append_pair("q", self.q.trim());
        }
        if page > 1 {
            query.append_pair("page", &page.to_string());
        }
        query.finish()
    }
}

/// What is looked for.
pub(super) struct Wanted {
    text: String,
    number: String,
}

impl Wanted {
    /// Whether a call is.
    pub(super) fn fits(&self, call: &Brief) -> bool {
        if self.text.is_empty() {
            return true;
        }
        let has = |text: &str| text.to_lowercase().contains(&self.text);
        has(&call.room_name)
            || call.name.as_deref().is_some_and(has)
            || call
                .number
                .as_deref()
                .is_some_and(|number| !self.number.is_empty() && About::key(number).contains(&self.number))
    }
}
