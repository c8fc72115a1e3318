//! What the agent says ([`Agent`]), and how much of it the caller heard: an app may have said more than the platform has played.

use std::collections::VecDeque;

/// Who the agent is.
pub(super) const AGENT: &str = "agent";
/// So many utterances may still be heard.
const MOST: usize = 32;

/// What is told of a turn of the agent.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Told {
    pub(super) id: String,
    /// Nothing, where nothing of it was heard.
    pub(super) text: String,
    /// Whether it was told before.
    pub(super) revised: bool,
}

/// A text of the app, up to its last piece.
#[derive(Debug)]
struct Utterance {
    id: String,
    text: String,
    told: bool,
}

/// The agent, as the app speaks for it.
#[derive(Debug, Default)]
pub(super) struct Agent {
    /// What the app has not ended.
    open: String,
    /// What may still be heard, oldest first.
    said: VecDeque<Utterance>,
    /// So many of these, the newest, were said since the caller's last words.
    fresh: usize,
    turns: u64,
}

impl Agent {
    /// A piece of what the app says.
    pub(super) fn says(&mut self, token: &str) {
        self.open.push_str(token);
    }

    /// What the app said so far is a turn.
    pub(super) fn is_done(&mut self) -> Option<Told> {
        self.close();
        let utterance = self.said.back_mut().filter(|utterance| !utterance.told)?;
        utterance.told = true;
        Some(Told { id: utterance.id.clone(), text: utterance.text.clone(), revised: false })
    }

    /// The caller has said something: what the app says from now on answers that.
    pub(super) fn is_answered(&mut self) {
        self.fresh = 0;
    }

    fn close(&mut self) {
        let text = std::mem::take(&mut self.open);
        if text.trim().is_empty() {
            return;
        }
        self.turns += 1;
        self.said.push_back(Utterance { id: format!("{AGENT}-{}", self.turns), text, told: false });
        self.fresh += 1;
        if self.said.len() > MOST {
            self.said.pop_front();
        }
    }

    /// The caller broke in and heard no more than this: the utterance that it belongs to ends there, and of those after it
    /// nothing was heard, as the platform plays none of them any more.
    pub(super) fn is_cut(&mut self, until: &str) -> Vec<Told> {
        self.close();
        let said = std::mem::take(&mut self.said);
        let last = said.len().saturating_sub(1);
        let cut = self.find(&said, until);
        self.fresh = 0;
        let told = said.into_iter().enumerate().filter_map(|(at, Utterance { id, text, told })| {
            let heard = match cut {
                Some((cut, _)) if at < cut => text.clone(),
                Some((cut, end)) if at == cut => text.get(..end).unwrap_or_default().to_owned(),
                Some(_) => String::new(),
                // The platform plays it in other words than it was said in.
                None if at == last && !told => until.to_owned(),
                None => text.clone(),
            };
            let is_news = if told { heard.trim() != text.trim() } else { !heard.is_empty() };
            is_news.then_some(Told { id, text: heard, revised: told })
        });
        told.collect()
    }

    /// Where the words that were heard last end: in which utterance, and after how many bytes of it.
    fn find(&self, said: &VecDeque<Utterance>, until: &str) -> Option<(usize, usize)> {
        let texts: Vec<&str> = said.iter().map(|utterance| utterance.text.as_str()).collect();
        let fresh = texts.len().saturating_sub(self.fresh);
        // One that answers the caller's last words, rather than what was said before those.
        (fresh..texts.len()).chain((0..fresh).rev()).find_map(|first| end(&texts, first, until))
    }
}

/// Where words end that begin in the text at `first`; they may go on through the texts after it.
fn end(texts: &[&str], first: usize, until: &str) -> Option<(usize, usize)> {
    let text = texts.get(first)?;
    if let Some(at) = text.find(until) {
        return Some((first, at + until.len()));
    }
    let mut rest = until.strip_prefix(text.trim())?.trim_start();
    for (at, text) in texts.iter().enumerate().skip(first + 1) {
        let indent = text.len() - text.trim_start().len();
        if text.trim_start().starts_with(rest) {
            return Some((at, indent + rest.len()));
        }
        rest = rest.strip_prefix(text.trim())?.trim_start();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An agent that said these, each whole, and told of them.
    fn said(texts: &[&str]) -> Agent {
        let mut agent = Agent::default();
        for text in texts {
            agent.says(text);
            assert!(agent.is_done().is_some_and(|told| !told.revised && told.text == *text));
        }
        agent
    }

    fn cut(agent: &mut Agent, until: &str) -> Vec<(String, String, bool)> {
        agent.is_cut(until).into_iter().map(|Told { id, text, revised }| (id, text, revised)).collect()
    }

    #[test]
    fn what_waits_behind_the_utterance_that_was_cut_is_not_heard() {
        for (texts, until, right) in [
            (&["One two.", "Three four."][..], "One", &[("agent-1", "One"), ("agent-2", "")][..]),
            (&["One two.", "Three four."], "One two.", &[("agent-2", "")]),
            (&["One two.", "Three four.", "Five."], "Three", &[("agent-2", "Three"), ("agent-3", "")]),
            // In the middle of one: what comes before it was heard.
            (&["One two three."], "two", &[("agent-1", "One two")]),
            // All that was heard since the caller spoke.
            (&["One two.", "Three four."], "One two. Three", &[("agent-2", "Three")]),
            (&["One two.", "Three four."], "Something else", &[]),
            (&["One two."], "One two.", &[]),
        ] {
            let right: Vec<_> = right.iter().map(|(id, text)| ((*id).to_owned(), (*text).to_owned(), true)).collect();
            assert_eq!(cut(&mut said(texts), until), right, "{texts:?} {until}");
        }
    }

    #[test]
    fn what_the_app_has_not_ended_is_cut_as_well() {
        let mut agent = said(&["One two."]);
        agent.says("Three four");
        assert_eq!(cut(&mut agent, "One"), [("agent-1".to_owned(), "One".to_owned(), true)]);
        agent.says("Five six");
        assert_eq!(cut(&mut agent, "Five"), [("agent-3".to_owned(), "Five".to_owned(), false)]);
        agent.says("Seven");
        assert_eq!(cut(&mut agent, "7"), [("agent-4".to_owned(), "7".to_owned(), false)], "in other words");
        assert_eq!(cut(&mut agent, "Five"), [], "what was cut is over");
        assert_eq!(agent.is_done(), None);
    }

    #[test]
    fn what_answers_the_callers_last_words_is_looked_at_first() {
        let mut agent = said(&["One moment.", "One moment. And two."]);
        agent.is_answered();
        agent.says("One moment. Or three.");
        agent.is_done();
        assert_eq!(cut(&mut agent, "One"), [("agent-3".to_owned(), "One".to_owned(), true)]);
    }

    #[test]
    fn no_more_is_kept_than_may_be_heard() {
        let agent = said(&["One."; 100]);
        assert_eq!(agent.said.len(), MOST);
    }
}
