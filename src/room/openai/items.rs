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

/// Whoever puts an item at the beginning says that it comes after this. The caller never does.
const ROOT: &str = "root";
/// The index of what stands at the beginning: of several of these nobody asks which is the first, as none is a turn.
const FIRST: u64 = 0;

/// How often the words of an item are asked for: its sound comes with them, and one that is too long breaks the connection.
const ASKED: u8 = 2;

/// What stands for words that could not be made out: such a turn is not rated.
const UNHEARD: &str = "[inaudible]";

/// What is known of one item.
#[derive(Debug, Default)]
struct Known {
    /// Its place; none while nothing was said of it.
    index: Option<u64>,
    /// The place is a guess, as nobody has said after what it comes; what follows need not stand before it.
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
        let is_first = previous == Some(ROOT);
        let previous = previous.filter(|previous| *previous != ROOT);
        let unknown = previous.filter(|previous| !self.known.contains_key(*previous)).map(str::to_owned);
        if let Some(unknown) = &unknown {
            let index = self.append();
            self.known.entry(unknown.clone()).or_default().index = Some(index);
        }
        let before = self.index(id);
        let known = self.known.entry(id.to_owned()).or_default();
        known.callers |= callers;
        let (callers, is_settled) = (known.callers, known.index.is_some() && !known.guessed);
        let index = match is_settled {
            true => before,
            false if is_first && !callers => Some(FIRST),
            false => Some(self.after(previous, id)),
        };
        // Of an item without one before it the API means that it is the first that is left: the app has put it there, or has
        // deleted all that was said. What the caller says is the latest either way; whatever else it is, what is said
        // later neither has to stand before it, nor right behind it.
        let is_open = !callers && previous.is_none_or(|previous| self.is_guessed(previous));
        let known = self.known.entry(id.to_owned()).or_default();
        (known.index, known.guessed) = (index, !is_settled && is_open);
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
    /// meanwhile. Counts it as asking, which is done so often only.
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

    fn is_guessed(&self, id: &str) -> bool {
        self.known.get(id).is_some_and(|known| known.guessed)
    }

    /// The index of an item that comes after `previous`: between it and the next, where those places are no guesses, else behind
    /// all. A guess that stands there is kept.
    fn after(&mut self, previous: Option<&str>, id: &str) -> u64 {
        let guess = self.index(id);
        let Some(before) = previous.and_then(|previous| self.index(previous)) else {
            return guess.unwrap_or_else(|| self.append());
        };
        let others = self.known.iter().filter(|(other, _)| *other != id);
        let places = others.filter_map(|(_, known)| Some((known.index?, known.guessed)));
        let behind: Vec<(u64, bool)> = places.filter(|(index, _)| *index > before).collect();
        let is_last = behind.iter().all(|(_, guessed)| *guessed) || previous.is_some_and(|id| self.is_guessed(id));
        let next = behind.iter().map(|(index, _)| *index).min().filter(|_| !is_last);
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

    /// The indexes of the caller's items from one on, each of which comes after the one before it.
    fn spoken(items: &mut Items, from: usize, to: usize) -> Vec<u64> {
        let said = |n| {
            let previous = format!("item_{}", n - 1);
            placed(items, &format!("item_{n}"), Some(&previous));
            items.index(&format!("item_{n}")).unwrap()
        };
        (from..to).map(said).collect()
    }

    #[test]
    fn what_an_app_puts_at_the_beginning_stands_in_nobodys_way() {
        for root in [None, Some(ROOT)] {
            let mut items = Items::default();
            placed(&mut items, "item_0", None);
            let mut indexes = vec![items.index("item_0").unwrap()];
            // Several, each before or after the others, and each is said again once it is whole.
            for (id, previous) in [("summary", root), ("rules", root), ("more rules", Some("summary"))] {
                for _ in 0..2 {
                    let Placed { unknown, .. } = items.place(id, previous, false);
                    assert_eq!(unknown, None, "nothing is to be asked for");
                }
            }
            indexes.extend(spoken(&mut items, 1, 2000));
            assert!(indexes.is_sorted_by(|one, next| one < next), "{indexes:?}");
            if root.is_some() {
                assert!(items.index("summary") < items.index("item_0") && items.index("rules") < items.index("item_0"));
            }
        }
    }

    #[test]
    fn what_is_said_once_an_app_has_deleted_the_rest_is_the_latest() {
        for root in [None, Some(ROOT)] {
            let mut items = Items::default();
            placed(&mut items, "item_0", None);
            let mut indexes = spoken(&mut items, 1, 10);
            // Only this is left of it.
            items.place("summary", root, false);
            items.place("answer", Some("summary"), false);
            placed(&mut items, "item_10", Some("answer"));
            indexes.extend(items.index("answer").into_iter().chain(items.index("item_10")));
            indexes.extend(spoken(&mut items, 11, 20));
            // Not even that.
            items.place("answer again", None, false);
            placed(&mut items, "item_20", Some("answer again"));
            indexes.extend(items.index("answer again").into_iter().chain(items.index("item_20")));
            // Nor this; and what the caller said is never put at the beginning.
            for (id, previous) in [("item_21", None), ("item_22", Some(ROOT))] {
                placed(&mut items, id, previous);
                indexes.extend(items.index(id));
            }
            assert!(indexes.is_sorted_by(|one, next| one < next), "{indexes:?}");
        }
    }
}
