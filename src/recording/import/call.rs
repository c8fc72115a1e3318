//! What every importer makes of its file: a [`Call`] of pieces, each with its speaker, words, times and place. Who of
//! the speakers is the caller, and what a turn is, is decided elsewhere, once for all formats.

use std::collections::BTreeMap;

/// Something is wrong with a document: where within it, and what would be right. It quotes nothing that was said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Fault {
    /// The path to the place, e.g. `turns[3].role`; empty for the document as a whole.
    pub(super) path: String,
    /// What is wrong there, and what would be right.
    pub(super) problem: String,
}

impl Fault {
    pub(super) fn new(path: impl Into<String>, problem: impl Into<String>) -> Self {
        Self { path: path.into(), problem: problem.into() }
    }

    /// The same within the part of a file that its path begins with, and the line of that part; `lines` has those of all
    /// parts.
    pub(super) fn on_line(self, lines: &[u64]) -> (Self, Option<u64>) {
        let part = self.path.strip_prefix('[').and_then(|path| path.split_once(']'));
        let found = part.and_then(|(at, path)| Some((*lines.get(at.parse::<usize>().ok()?)?, path)));
        match found {
            Some((line, path)) => (Self::new(path.trim_start_matches('.'), self.problem.clone()), Some(line)),
            None => (self, None),
        }
    }
}

/// What a speaker is, as far as a file says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum Party {
    /// The person who called, or was called.
    Caller,
    /// Whoever serves them, human or not.
    Agent,
    /// A human who was brought in.
    Supervisor,
    /// Someone else who is heard.
    Observer,
    /// No person: a prompt, a tool's result, an event. It is left out.
    Nobody,
}

/// Someone who speaks in a file.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Speaker {
    /// How the file calls them, the way to show first: a label, a name, a channel. Empty where it names nobody.
    pub(super) names: Vec<String>,
    /// What they are, where the file says so.
    pub(super) party: Option<Party>,
}

impl Speaker {
    /// How they are shown to people.
    pub(super) fn shown(&self) -> &str {
        self.names.first().map_or("", String::as_str)
    }
}

/// Words of one speaker, as one element of the file has them.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Piece {
    /// Which of the call's speakers; `None` where the file does not say.
    pub(super) speaker: Option<usize>,
    /// The words, marks included.
    pub(super) text: String,
    /// When it begins, in ms since the call's begin or since 1970.
    pub(super) start: Option<i64>,
    /// When it ends.
    pub(super) end: Option<i64>,
    /// A careful reader's sentiment of it.
    pub(super) gold: Option<f64>,
}

/// What people have said of a call.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Labels {
    /// A careful reader's sentiment (1 to 10) of caller turns, by turn id.
    pub gold: BTreeMap<String, f64>,
    /// Whether a supervisor should be brought in, where that was judged.
    pub escalate: Option<bool>,
    /// From which caller turn on (0 is the first).
    pub at: Option<u32>,
    /// All other labels that are a word or number, such as `kind` and `style`.
    pub fields: BTreeMap<String, String>,
}

/// One call as a file has it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Call {
    /// The file's own id of it.
    pub(super) id: Option<String>,
    /// When it began, in ms since 1970, where the file says so.
    pub(super) began: Option<i64>,
    /// Who speaks.
    pub(super) speakers: Vec<Speaker>,
    /// What they say, in the order of the file.
    pub(super) pieces: Vec<Piece>,
    /// Whether each piece is a whole turn as it stands: nothing is joined and nothing ordered.
    pub(super) turns_as_they_stand: bool,
    /// What people have said of it.
    pub(super) labels: Option<Labels>,
    /// How many of its times are in no form that can be read.
    pub(super) unread_times: usize,
    /// What was odd about it.
    pub(super) warnings: Vec<String>,
}

impl Call {
    /// The speaker of this name, who is added when new. A party that is known later is taken over.
    pub(super) fn speaker(&mut self, name: &str, party: Option<Party>) -> usize {
        let at = self.speakers.iter().position(|speaker| speaker.shown() == name).unwrap_or_else(|| {
            self.speakers.push(Speaker { names: vec![name.to_owned()], party: None });
            self.speakers.len() - 1
        });
        let speaker = &mut self.speakers[at];
        speaker.party = speaker.party.or(party);
        at
    }

    /// Another way in which the file names a speaker.
    pub(super) fn also(&mut self, speaker: usize, name: impl Into<String>) {
        let name = name.into();
        let names = &mut self.speakers[speaker].names;
        if !name.is_empty() && !names.contains(&name) {
            names.push(name);
        }
    }

    /// Adds what a speaker says.
    pub(super) fn say(&mut self, speaker: Option<usize>, text: &str, start: Option<i64>, end: Option<i64>) {
        self.pieces.push(Piece { speaker, text: text.to_owned(), start, end, gold: None });
    }
}
