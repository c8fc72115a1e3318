//! What a platform says again after a cut ([`Seam`]). Prompts have no ids: what was heard before the cut is known by its words
//! alone, and only directly at the seam.

/// What a caller said, as a prompt tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Said {
    pub(super) text: String,
    pub(super) lang: Option<String>,
}

/// So many prompts the platform keeps for an app that is away.
const MOST: usize = 500;

/// The prompts before a cut, and those after it that may be the same.
#[derive(Debug, Default)]
pub(super) struct Seam {
    heard: Vec<Said>,
    /// Where in `heard` the first prompt after the cut may stand; they all go on as `held` does.
    candidates: Vec<usize>,
    held: Vec<Said>,
    open: bool,
}

impl Seam {
    /// The connection was cut and there is another.
    pub(super) fn cut(&mut self) {
        self.candidates.clear();
        self.held.clear();
        self.open = !self.heard.is_empty();
    }

    /// A prompt: those that are new by now. What repeats the end of what was heard, from some prompt up to the last, is not;
    /// it is held until that is sure.
    pub(super) fn prompt(&mut self, said: Said) -> Vec<Said> {
        if !self.open {
            return self.remember(vec![said]);
        }
        let (at, heard) = (self.held.len(), &self.heard);
        if at == 0 {
            self.candidates = (0..heard.len()).filter(|first| heard[*first] == said).collect();
        } else {
            self.candidates.retain(|first| heard.get(first + at) == Some(&said));
        }
        self.held.push(said);
        if self.candidates.iter().any(|first| first + at + 1 == heard.len()) {
            // Up to the last one: all of it was heard.
            self.open = false;
            self.held.clear();
            return Vec::new();
        }
        if self.candidates.is_empty() { self.settle() } else { Vec::new() }
    }

    /// Nothing more is said again: what was held is new.
    pub(super) fn settle(&mut self) -> Vec<Said> {
        self.open = false;
        let held = std::mem::take(&mut self.held);
        self.remember(held)
    }

    fn remember(&mut self, said: Vec<Said>) -> Vec<Said> {
        self.heard.extend(said.iter().cloned());
        let many = self.heard.len().saturating_sub(MOST);
        self.heard.drain(..many);
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(text: &str) -> Said {
        Said { text: text.to_owned(), lang: None }
    }

    fn told(seam: &mut Seam, texts: &[&str]) -> Vec<String> {
        texts.iter().flat_map(|text| seam.prompt(said(text))).map(|said| said.text).collect()
    }

    #[test]
    fn what_was_heard_before_a_cut_is_not_heard_again() {
        for (before, after, new) in [
            (vec!["a", "b", "c"], vec!["b", "c", "d"], vec!["d"]),
            (vec!["a", "b", "c"], vec!["c", "c"], vec!["c"]),
            (vec!["no", "no"], vec!["no", "no", "no"], vec!["no", "no"]),
            (vec!["a", "b", "c"], vec!["d", "c"], vec!["d", "c"]),
            (vec!["a", "b", "a", "c"], vec!["a", "x"], vec!["a", "x"]),
            (vec!["a", "b", "a", "c"], vec!["a", "c", "a"], vec!["a"]),
            (vec![], vec!["a"], vec!["a"]),
        ] {
            let mut seam = Seam::default();
            assert_eq!(told(&mut seam, &before), before);
            seam.cut();
            assert_eq!(told(&mut seam, &after), new, "{before:?} {after:?}");
        }
    }

    #[test]
    fn what_is_held_is_told_at_the_end() {
        let mut seam = Seam::default();
        told(&mut seam, &["a", "b"]);
        seam.cut();
        assert!(told(&mut seam, &["a"]).is_empty());
        assert_eq!(seam.settle(), [said("a")]);
        assert_eq!(told(&mut seam, &["b"]), ["b"]);
    }
}
