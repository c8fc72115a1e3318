//! What was odd about a stream of transcripts, and was made the best of: no caller word is lost silently (rule 4).

use std::collections::HashSet;

use crate::config::plain;

/// Something that a room or its recogniser should not do. Each is told once for each participant.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Odd {
    /// A field of a message could not be used as it was; `what` names the field and what became of it.
    Field { kind: &'static str, what: String },
    /// A speaker whom the room never announced.
    Unannounced { who: String, taken_for: &'static str },
    /// A role that is none of ours.
    UnknownRole { who: String },
    /// The times of a recogniser began anew.
    ClockRestarted { who: String },
    /// The ids of segments came again for other words.
    SegmentIdsRestarted { who: String },
    /// The ids of turns came again for other turns.
    TurnIdsRestarted { who: String },
    /// The same words of the same moment came again under another id.
    Repeated { who: String },
    /// Words came after the end of the turn that they belong to.
    Tail { who: String },
    /// A turn ended without the words that came before it.
    LeftOut { who: String },
    /// The end of a turn did not come, of one who had ends before or of one who never had.
    NoEnd { who: String, had_ends: bool },
    /// The agent was heard on the caller's line.
    Echo,
    /// The room offers no command that was to be sent.
    NotOffered { what: &'static str, so: &'static str },
}

impl std::fmt::Display for Odd {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Field { kind, what } => write!(f, "odd: in {kind}, {}", plain(what)),
            Self::Unannounced { who, taken_for } => write!(
                f,
                "odd: \"{}\" speaks and was never announced; taken for the {taken_for}. Say `participant.joined` with a \
                 role first",
                plain(who)
            ),
            Self::UnknownRole { who } => write!(
                f,
                "odd: \"{}\" has a role that is none of caller, agent, supervisor, observer; what they say is not rated",
                plain(who)
            ),
            Self::ClockRestarted { who } => {
                write!(f, "odd: the times of \"{}\" began anew; they are taken to go on from here", plain(who))
            }
            Self::SegmentIdsRestarted { who } => {
                write!(f, "odd: segment ids of \"{}\" came again for other words; these count too", plain(who))
            }
            Self::TurnIdsRestarted { who } => {
                write!(f, "odd: turn ids of \"{}\" came again for another turn; it counts too", plain(who))
            }
            Self::Repeated { who } => {
                write!(f, "odd: words of \"{}\" came twice under two segment ids; they stand once", plain(who))
            }
            Self::Tail { who } => {
                write!(f, "odd: words of \"{}\" came after the end of their turn; they are rated with it", plain(who))
            }
            Self::LeftOut { who } => write!(
                f,
                "odd: a turn of \"{}\" ended without segments that came before it; they are rated all the same",
                plain(who)
            ),
            Self::NoEnd { who, .. } => {
                write!(f, "odd: no turn.ended came for what \"{}\" said; it is a turn all the same", plain(who))
            }
            Self::Echo => write!(f, "odd: the agent was heard on the caller's line; an echo is not rated"),
            Self::NotOffered { what, so } => {
                write!(f, "the room does not offer `{what}` in its capabilities; {so}")
            }
        }
    }
}

/// What was noticed, each once.
#[derive(Debug, Default)]
pub(super) struct Oddities {
    seen: HashSet<Odd>,
    new: Vec<Odd>,
}

impl Oddities {
    /// A call that goes wrong in ever new ways is told so many of them.
    const MOST: usize = 64;

    pub(super) fn note(&mut self, odd: Odd) {
        if self.seen.len() < Self::MOST && self.seen.insert(odd.clone()) {
            self.new.push(odd);
        }
    }

    /// Those that nobody was told of yet, in the order in which they were noticed.
    pub(super) fn take(&mut self) -> Vec<Odd> {
        std::mem::take(&mut self.new)
    }
}
