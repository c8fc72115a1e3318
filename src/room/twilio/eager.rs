//! Ends of turns that a platform tells of before it is sure ([`Eager`]): Telnyx, where Deepgram's Flux listens. One that is not the end
//! after all is followed by more of the same turn.

use super::seam::Said;

/// What the caller said when their turn was first taken to be over.
#[derive(Debug, Default)]
pub(super) struct Eager {
    held: Option<Said>,
    /// What was told before it was sure.
    told: Option<Said>,
}

impl Eager {
    /// The words of a turn, whose end may not be sure yet: those that are a turn by now.
    pub(super) fn prompt(&mut self, said: Said, unsure: bool) -> Option<Said> {
        // What is said now stands in the place of what was held: it has the same words, or these and more.
        self.held = None;
        let told = self.told.take();
        if unsure {
            self.held = Some(said);
            return None;
        }
        (told.as_ref() != Some(&said)).then_some(said)
    }

    /// The turn goes on.
    pub(super) fn resumed(&mut self) {
        self.held = None;
    }

    /// More of the turn is known than what is held, which is no turn of its own then: with these words it is told.
    pub(super) fn is_part_of(&mut self, more: &Said) {
        let begins = |held: &Said| more.text.trim_start().starts_with(words(&held.text));
        self.held.take_if(|held| begins(held));
    }

    /// The app answers what is held, or nothing more comes: it is a turn, whether or not that is ever said for sure.
    pub(super) fn settle(&mut self) -> Option<Said> {
        let said = self.held.take()?;
        self.told = Some(said.clone());
        Some(said)
    }
}

/// The words of a text, without what ends a sentence: what was taken to be one may go on.
fn words(text: &str) -> &str {
    text.trim().trim_end_matches(|last: char| !last.is_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said { text: text.to_owned(), lang: None }
    }

    #[test]
    fn an_end_that_is_not_sure_is_no_turn_until_it_is() {
        let mut eager = Eager::default();
        assert_eq!(eager.prompt(said("I want"), true), None);
        eager.resumed();
        assert_eq!(eager.settle(), None, "the turn goes on");
        assert_eq!(eager.prompt(said("I want a human."), true), None);
        assert_eq!(eager.prompt(said("I want a human."), false), Some(said("I want a human.")));
        assert_eq!(eager.settle(), None);
        // Nobody says that it goes on.
        assert_eq!(eager.prompt(said("Now"), true), None);
        assert_eq!(eager.prompt(said("Now, please."), false), Some(said("Now, please.")));
    }

    #[test]
    fn what_goes_on_is_no_turn_of_its_own() {
        for (held, more, is_part) in [
            ("I want", "I want a human", true),
            ("I want.", "I want a human", true),
            ("I want", "I want", true),
            ("I want", "Now", false),
            ("I want a human.", "I want", false),
        ] {
            let mut eager = Eager::default();
            eager.prompt(said(held), true);
            eager.is_part_of(&said(more));
            assert_eq!(eager.settle().is_none(), is_part, "{held} {more}");
        }
    }

    #[test]
    fn what_is_answered_or_the_last_is_a_turn_and_is_told_once() {
        let mut eager = Eager::default();
        assert_eq!(eager.prompt(said("Hello?"), true), None);
        assert_eq!(eager.settle(), Some(said("Hello?")));
        assert_eq!(eager.prompt(said("Hello?"), false), None, "now it is sure");
        assert_eq!(eager.prompt(said("Hello?"), false), Some(said("Hello?")), "the caller says it again");
    }
}
