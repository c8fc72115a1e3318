//! What we had the agent say.

use std::collections::VecDeque;

use crate::clock::Millis;

/// How long a sentence of ours may take until it is heard, in ms.
const OWN_WORDS_MS: u64 = 30_000;

/// So many of the last ones are kept.
const MOST_KEPT: usize = 4;

/// The sentences that we had the agent say.
#[derive(Debug, Default)]
pub(super) struct OwnWords(VecDeque<(Millis, String)>);

impl OwnWords {
    pub(super) fn said(&mut self, now: Millis, text: &str) {
        self.0.push_back((now, text.to_owned()));
        while self.0.len() > MOST_KEPT {
            self.0.pop_front();
        }
    }

    /// Those that may still be heard.
    pub(super) fn still_heard(&self, now: Millis) -> impl Iterator<Item = &str> {
        self.0.iter().filter(move |(at, _)| at.plus(OWN_WORDS_MS) >= now).map(|(_, text)| text.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_sentences_are_kept_as_long_as_they_may_be_heard() {
        let mut own = OwnWords::default();
        let heard = |own: &OwnWords, now: u64| own.still_heard(Millis(now)).map(str::to_owned).collect::<Vec<_>>();
        for (at, text) in (0..).zip(["one", "two", "three", "four", "five", "six"]) {
            own.said(Millis(at * 1000), text);
        }
        assert_eq!(heard(&own, 5_000), ["three", "four", "five", "six"]);
        assert_eq!(heard(&own, 34_500), ["six"]);
        assert_eq!(heard(&own, 36_000), [""; 0]);
    }
}
