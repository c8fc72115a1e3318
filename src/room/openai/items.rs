//! The items of the conversation in their order, and the caller's turns among them ([`Items`]).
//!
//! The API says what comes after what (`previous_item_id`) when an item is made, and what was said in it later: words of
//! a later turn may well come first. So each turn gets an index from the chain, and the call puts them in order.

use std::collections::{BTreeMap, HashMap};

use super::events::Item;
use super::turn::{CALLER, turn};
use crate::room::message::TurnEnded;

/// The distance of neighbours, so that an item may come between two.
const STRIDE: u64 = 1 << 36;
/// An item between two stands at this part of the way: where the next was put there out of order, a whole conversation follows
/// in between, and each of its items takes its part of what is left.
const PART: u64 = 32;

/// Whoever puts an item at the beginning says that it comes after this.
const ROOT: &str = "root";

/// How often the words of an item are asked for: its sound comes with them, and one that is too long breaks the connection.
const ASKED: u8 = 2;

/// What stands for words that could not be made out: such a turn is not rated.
const UNHEARD: &str = "[inaudible]";

/// What is known of one item.
#[derive(Debug, Default)]
struct Known {
    /// Its place; none while nothing was said of it.
    index: Option<u64>,
    /// The place is a guess, as nobody has said after what it comes.
    guessed: bool,
    /// Whether the caller spoke it.
    callers: bool,
    /// The transcripts of its parts.
    words: BTreeMap<u32, String>,
    /// There will be no words of some part.
    failed: bool,
    /// How often its words were asked for.
    asked: u8,
}

/// The items so far.
#[derive(Debug, Default)]
pub(super) struct Items {
    known: HashMap<String, Known>,
    last: u64,
}

impl Items {
    /// An item has its place. Returns the turn, where its words came before its place; and the item before it, where
    /// that is unknown and may hold words.
    pub(super) fn place(&mut self, id: &str, previous: Option<&str>, callers: bool) -> Placed {
        let previous = previous.filter(|previous| *previous != ROOT);
        let unknown = previous.filter(|previous| !self.known.contains_key(*previous)).map(str::to_owned);
        if let Some(unknown) = &unknown {
            let index = self.append();
            self.known.entry(unknown.clone()).or_default().index = Some(index);
        }
        let before = self.index(id);
        let is_settled = self.known.get(id).is_some_and(|known| known.index.is_some() && !known.guessed);
        let index = if is_settled { before } else { Some(self.after(previous, id)) };
        let known = self.known.entry(id.to_owned()).or_default();
        known.callers |= callers;
        (known.index, known.guessed) = (index, false);
        let turn = if index == before { None } else { self.turn(id) };
        Placed { turn, unknown }
    }

    /// What was said in a part of an item. `None` where it was known.
    pub(super) fn said(&mut self, id: &str, part: u32, words: &str) -> Option<TurnEnded> {
        let known = self.spoken(id);
        let before = known.words.insert(part, words.to_owned());
        if before.as_deref() == Some(words) { None } else { self.turn(id) }
    }

    /// There will be no words of an item. The turn, where that is new and no words are known.
    pub(super) fn failed(&mut self, id: &str) -> Option<TurnEnded> {
        let known = self.spoken(id);
        let new = !std::mem::replace(&mut known.failed, true) && known.words.is_empty();
        if new { self.turn(id) } else { None }
    }

    /// An item that the caller spoke. Where its place is not known, that was said before we came, or is still to come: until then
    /// it is the latest.
    fn spoken(&mut self, id: &str) -> &mut Known {
        let guess = if self.index(id).is_none() { Some(self.append()) } else { None };
        let known = self.known.entry(id.to_owned()).or_default();
        known.callers = true;
        known.guessed |= guess.is_some();
        known.index = known.index.or(guess);
        known
    }

    /// Takes an item that was asked for, or that came with its words.
    pub(super) fn take(&mut self, item: &Item) -> Vec<TurnEnded> {
        let Some(id) = item.id.as_deref().filter(|_| item.is_callers()) else { return Vec::new() };
        item.transcripts().filter_map(|(part, words)| self.said(id, part, words)).collect()
    }

    /// The caller's items whose words are still to come: after a cut they are asked for, as the words may have come
    /// meanwhile.
    pub(super) fn wanting(&mut self) -> Vec<String> {
        let mut wanting: Vec<(Option<u64>, String)> = self
            .known
            .iter_mut()
            .filter(|(_, known)| known.callers && known.words.is_empty() && !known.failed && known.asked < ASKED)
            .map(|(id, known)| {
                known.asked += 1;
                (known.index, id.clone())
            })
            .collect();
        wanting.sort_unstable();
        wanting.into_iter().map(|(_, id)| id).collect()
    }

    /// An item's place, where it is known.
    pub(super) fn index(&self, id: &str) -> Option<u64> {
        self.known.get(id)?.index
    }

    /// The index of an item that comes after `previous`: between it and the next. A guess that stands there is kept.
    fn after(&mut self, previous: Option<&str>, id: &str) -> u64 {
        let guess = self.index(id);
        let Some(before) = previous.and_then(|previous| self.index(previous)) else {
            return guess.unwrap_or_else(|| self.append());
        };
        let others = self.known.iter().filter(|(other, _)| *other != id).filter_map(|(_, known)| known.index);
        let next = others.filter(|index| *index > before).min();
        match guess.filter(|guess| before < *guess && next.is_none_or(|next| *guess < next)) {
            Some(guess) => guess,
            None => next.map_or_else(|| self.append(), |next| before + (next - before) / PART),
        }
    }

    fn append(&mut self) -> u64 {
        self.last += STRIDE;
        self.last
    }

    fn turn(&self, id: &str) -> Option<TurnEnded> {
        let known = self.known.get(id).filter(|known| known.callers)?;
        let words = match known.words.is_empty() {
            true if known.failed => UNHEARD.to_owned(),
            true => return None,
            false => known.words.values().map(String::as_str).collect::<Vec<_>>().join(" "),
        };
        Some(turn(CALLER, id, known.index, words))
    }
}

/// What came of placing an item.
#[derive(Debug)]
pub(super) struct Placed {
    /// The turn, whose words came before its place.
    pub(super) turn: Option<TurnEnded>,
    /// The item before it, of which nothing was known.
    pub(super) unknown: Option<String>,
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    fn placed(items: &mut Items, id: &str, previous: Option<&str>) -> Placed {
        items.place(id, previous, true)
    }

    #[test]
    fn words_come_in_any_order_and_turns_keep_that_of_the_conversation() {
        let mut items = Items::default();
        for (id, previous) in [("a", None), ("b", Some("a")), ("c", Some("b"))] {
            assert!(placed(&mut items, id, previous).turn.is_none());
        }
        let indexes = ["c", "a", "b"].map(|id| items.said(id, 0, "words").unwrap().index.unwrap());
        assert!(indexes[1] < indexes[2] && indexes[2] < indexes[0], "{indexes:?}");
        // Said again, it is no news.
        assert!(items.said("a", 0, "words").is_none());
    }

    #[test]
    fn an_item_may_come_between_two() {
        let mut items = Items::default();
        placed(&mut items, "a", None);
        placed(&mut items, "c", Some("a"));
        placed(&mut items, "b", Some("a"));
        let indexes = ["a", "b", "c"].map(|id| items.index(id).unwrap());
        assert!(indexes.is_sorted() && indexes[0] < indexes[1] && indexes[1] < indexes[2], "{indexes:?}");
    }

    #[test]
    fn words_before_their_place_are_put_right() {
        let mut items = Items::default();
        placed(&mut items, "a", None);
        let early = items.said("c", 0, "early").unwrap();
        assert!(early.index > items.index("a"));
        // What came before it was missed.
        let Placed { turn, unknown } = placed(&mut items, "c", Some("b"));
        let again = turn.unwrap();
        assert_eq!(
            (again.text.as_deref(), again.index, unknown.as_deref()),
            (Some("early"), items.index("c"), Some("b"))
        );
        assert!(items.index("a") < items.index("b") && items.index("b") < items.index("c"));
        // A place that was said stays, and a turn without words is put right as well.
        assert!(placed(&mut items, "c", Some("b")).turn.is_none());
        items.failed("e");
        let silent = placed(&mut items, "e", Some("d")).turn.unwrap();
        assert!(silent.text.as_deref() == Some(UNHEARD) && items.index("d") < silent.index);
        // A good guess is no news.
        items.said("f", 0, "late");
        assert!(placed(&mut items, "f", Some("e")).turn.is_none() && items.index("e") < items.index("f"));
    }

    #[test]
    fn what_is_unknown_before_an_item_is_asked_for_and_stands_before_it() {
        let mut items = Items::default();
        placed(&mut items, "a", None);
        assert_eq!(placed(&mut items, "c", Some("b")).unknown.as_deref(), Some("b"));
        assert!(items.index("a") < items.index("b") && items.index("b") < items.index("c"));
        assert_eq!(placed(&mut items, "d", Some("c")).unknown, None);
    }

    #[test]
    fn only_words_that_may_still_come_are_wanting() {
        let mut items = Items::default();
        for (id, previous, callers) in
            [("a", None, true), ("agent", Some("a"), false), ("b", Some("agent"), true), ("c", Some("b"), true)]
        {
            items.place(id, previous, callers);
        }
        items.said("a", 0, "words");
        assert!(items.failed("b").is_some() && items.failed("b").is_none());
        assert_eq!(items.wanting(), ["c"]);
        assert_eq!(items.wanting(), ["c"], "the answer may be lost with a connection");
        assert!(items.wanting().is_empty(), "it may be what breaks the connection");
    }

    #[test]
    fn what_an_app_puts_at_the_beginning_stands_in_nobodys_way() {
        for root in [None, Some(ROOT)] {
            let mut items = Items::default();
            placed(&mut items, "item_0", None);
            let Placed { unknown, .. } = items.place("summary", root, false);
            assert_eq!(unknown, None, "nothing is to be asked for");
            for n in 1..600 {
                placed(&mut items, &format!("item_{n}"), Some(&format!("item_{}", n - 1)));
            }
            let indexes: Vec<u64> = (0..600).map(|n| items.index(&format!("item_{n}")).unwrap()).collect();
            assert!(indexes.windows(2).all(|two| two[0] < two[1]), "{indexes:?}");
        }
    }
}
