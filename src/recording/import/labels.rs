//! How lines begin that somebody speaks: names, roles and stamps in every way that people and programs write them.
//!
//! A name is short, begins a line, and recurs or is a role: "Sure: go ahead" is speech.

use std::collections::BTreeMap;

use super::roles::{party, party_of_label};
use super::stamps::{stamp, time, trailing_stamp};

/// Longest name, in characters and in words.
const MAX_NAME: (usize, usize) = (40, 5);

/// Lines that come before a transcript and look as if somebody spoke.
pub(super) const HEADINGS: [&str; 33] = [
    "call",
    "call id",
    "case",
    "case id",
    "chat ended",
    "chat id",
    "chat origin",
    "chat started",
    "chat transferred",
    "conversation",
    "conversation id",
    "date",
    "duration",
    "end",
    "end time",
    "file",
    "filename",
    "from",
    "id",
    "language",
    "length",
    "participants",
    "queue",
    "recorded",
    "recording",
    "session",
    "start",
    "start time",
    "subject",
    "time",
    "title",
    "to",
    "transcript",
];

/// Words that begin speech and are followed by a colon now and then.
const OPENERS: [&str; 24] = [
    "actually", "and", "anyway", "but", "correct", "exactly", "first", "hello", "hi", "listen", "look", "no", "note",
    "ok", "okay", "please", "question", "second", "so", "sorry", "sure", "well", "yeah", "yes",
];

/// How serious a line of a log is, which stands where a name would.
const LEVELS: [&str; 9] = ["critical", "debug", "error", "fatal", "info", "notice", "trace", "warn", "warning"];

/// How a line begins when it begins with a speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Label<'a> {
    pub(super) name: &'a str,
    /// What stands after it.
    pub(super) rest: &'a str,
    /// When, in ms, where a stamp says so.
    pub(super) at: Option<i64>,
    /// Whether a stamp or brackets make it sure that it is a name.
    pub(super) sure: bool,
}

/// The speaker that a line may begin with.
pub(super) fn label(line: &str) -> Option<Label<'_>> {
    let line = line.trim();
    if let Some(label) = listed(line) {
        return Some(label);
    }
    let (before, line) = match stamp(line) {
        Some((at, rest)) => (Some(at), rest.trim_start_matches(['-', '–', '—', '|', '>']).trim_start()),
        None => (None, line),
    };
    let line = line.strip_prefix("- ").unwrap_or(line).trim_start_matches("**").trim_start();
    if let Some(label) = bracketed(line) {
        return Some(Label { at: before.or(label.at), ..label });
    }
    let Some((head, rest)) = colon(line).filter(|(head, _)| head.chars().count() <= MAX_HEAD) else {
        return dashed(line).map(|label| Label { at: before, ..label });
    };
    let head = before.and_then(|_| head.strip_prefix("From ")).map_or(head, |name| {
        // `From Dana Cole to Everyone`, as chats have it.
        name.split(" to ").next().unwrap_or(name).trim_start()
    });
    let head = head.trim_end_matches('*').trim_end();
    let rest = rest.trim_start_matches('*').trim_start();
    if let Some((name, rest)) = numbered_apart(head, rest) {
        return Some(Label { name, rest, at: before, sure: true });
    }
    // `Speaker 1 (00:03)`, `Dana [00:03]`, `Dana 00:03`.
    let (name, after) = match trailing_stamp(head) {
        Some((name, at)) => (name, Some(at)),
        None => (head, None),
    };
    let at = before.or(after);
    if !is_name(name) {
        return dashed(line).map(|label| Label { at: before, ..label });
    }
    Some(Label { name, rest, at, sure: at.is_some() && is_sure(name) })
}

/// `1. Agent: text`: a role in a numbered list.
fn listed(line: &str) -> Option<Label<'_>> {
    let rest = line.trim_start_matches(|c: char| c.is_ascii_digit());
    let said = rest.strip_prefix(". ").or_else(|| rest.strip_prefix(") ")).filter(|_| rest.len() < line.len())?;
    // Numbers before numbers are no list.
    let said = Some(said).filter(|said| !said.starts_with(|c: char| c.is_ascii_digit()))?;
    label(said).filter(|label| party_of_label(label.name).is_some() || is_numbered(label.name))
}

/// `SPEAKER: S1` with the words below or after another colon, as Speechmatics has it.
fn numbered_apart<'a>(head: &str, rest: &'a str) -> Option<(&'a str, &'a str)> {
    let (id, said) = rest.split_once(':').unwrap_or((rest, ""));
    let id = id.trim();
    let number = id.trim_start_matches(|c: char| c.is_ascii_uppercase());
    let is_id = id == "UU" || (id.len() - number.len() <= 1 && number.bytes().all(|b| b.is_ascii_digit()));
    (head.eq_ignore_ascii_case("speaker") && (1..=4).contains(&id.len()) && is_id).then(|| (id, said.trim()))
}

/// Longest that a name and its stamp are, in characters.
const MAX_HEAD: usize = 80;

/// `Agent - text`, `Caller > text`, `Agent -> text`: a role set apart by something else than a colon.
fn dashed(line: &str) -> Option<Label<'_>> {
    let signs = [" - ", " – ", " — ", " > ", "> ", " -> ", " => ", " | ", "\t"].iter();
    let apart = signs.filter_map(|sign| line.split_once(sign)).filter(|(name, _)| !name.trim().is_empty());
    let (name, rest) = apart.min_by_key(|(name, _)| name.len())?;
    let is_role = party(name.trim_end_matches(|c: char| c.is_ascii_digit() || c == ' ')).is_some();
    (is_role && !rest.trim().is_empty()).then(|| Label { name: name.trim(), rest: rest.trim(), at: None, sure: true })
}

/// A line that is nothing but a role, a numbered speaker or, where a stamp stands above it, a name; the words are below.
pub(super) fn alone(line: &str, stamped: bool) -> Option<Label<'_>> {
    let name = line.trim().trim_matches('*').trim();
    let is_speaker = party(name).is_some() || is_numbered(name) || (stamped && is_name(name) && is_proper(name));
    is_speaker.then_some(Label { name, rest: "", at: None, sure: true })
}

/// Where the lines of a text stand alone that are speakers: only where two of them recur or take turns.
pub(super) fn has_lines_alone(lines: &[&str]) -> bool {
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    let mut blank = true;
    for line in lines {
        if let Some(label) = alone(line, false).filter(|_| blank) {
            *names.entry(label.name).or_default() += 1;
        }
        blank = line.trim().is_empty() || is_stamp(line);
    }
    names.len() >= 2
}

/// Whether a line is a stamp and nothing else.
pub(super) fn is_stamp(line: &str) -> bool {
    stamp(line.trim()).is_some_and(|(_, rest)| rest.is_empty())
}

/// Whether a name beside a stamp is one: "be there at 4:30" is speech.
fn is_sure(name: &str) -> bool {
    is_proper(name) || party_of_label(name).is_some() || is_numbered(name)
}

/// The colon that ends a name: not one within a stamp or within brackets, nor one that an address has.
pub(super) fn colon(line: &str) -> Option<(&str, &str)> {
    let in_stamp = |at: usize| {
        let digit = |byte: Option<&u8>| byte.is_some_and(u8::is_ascii_digit);
        digit(line.as_bytes().get(at + 1)) && digit(at.checked_sub(1).and_then(|at| line.as_bytes().get(at)))
    };
    let in_brackets = |at: usize| {
        let (before, after) = line.split_at(at);
        let opens = |open: char, close: char| before.matches(open).count() > before.matches(close).count();
        (opens('(', ')') && after.contains(')')) || (opens('[', ']') && after.contains(']'))
    };
    let colons = line.match_indices([':', '：']).map(|(at, colon)| (at, colon.len()));
    let at = colons.take(MOST_COLONS).find(|(at, _)| !in_stamp(*at) && !in_brackets(*at));
    let (at, len) = at?;
    let (name, rest) = (line.get(..at)?, line.get(at + len..)?);
    (!rest.starts_with("//")).then_some((name, rest))
}

/// In how many colons the one is looked for that ends a name.
const MOST_COLONS: usize = 16;

/// `[SPEAKER_00]: text`, `[Dana] text`, `<Dana> text`, `[Agent - 00:02] text`; `[Agent] 00:02` has its words below.
fn bracketed(line: &str) -> Option<Label<'_>> {
    let close = match line.chars().next()? {
        '[' => ']',
        '<' => '>',
        '(' => ')',
        _ => return None,
    };
    let (name, rest) = line.get(1..)?.split_once(close)?;
    let colon = rest.trim_start().strip_prefix(':').filter(|_| close != ')');
    let (name, within) = trailing_stamp(name).map_or((name, None), |(name, at)| (name, Some(at)));
    let (after, rest) = match time(rest.trim()).filter(|(_, rest)| rest.is_empty() && within.is_none()) {
        Some((at, _)) => (Some(at), ""),
        None => (within, rest),
    };
    // A mark such as [silence] stands in brackets as well.
    let is_speaker = party_of_label(name).is_some() || is_numbered(name) || colon.is_some();
    (is_name(name) && is_speaker).then(|| Label {
        name: name.trim(),
        rest: colon.unwrap_or(rest).trim(),
        at: after,
        sure: true,
    })
}

/// `SPEAKER_00`, `spk_1`, `Speaker 2`, `ch_0`.
fn is_numbered(name: &str) -> bool {
    let letters = name.trim().trim_end_matches(|c: char| c.is_ascii_digit() || matches!(c, '_' | ' ' | '-'));
    letters.len() < name.trim().len()
        && matches!(letters.to_lowercase().as_str(), "speaker" | "spk" | "channel" | "ch" | "s" | "participant")
}

/// The person's name in a speaker's: not what they are, nor which number they have.
pub(super) fn person(name: &str) -> Option<String> {
    let parts =
        name.split(" - ").flat_map(|part| part.split(['(', ')', '[', ']', '–', '—', '/', '|', ':'])).map(str::trim);
    let is_person = |part: &&str| {
        party_of_label(part).is_none() && is_proper(part) && !part.contains(|c: char| c.is_ascii_digit() || c == '_')
    };
    parts.filter(is_person).find(|part| part.chars().count() > 2).map(str::to_owned)
}

pub(super) fn is_name(name: &str) -> bool {
    let name = name.trim();
    if LEVELS.iter().any(|level| level.eq_ignore_ascii_case(name)) {
        return false;
    }
    // What stands in brackets may be anything: `Agent (Dr. Lee)`, `Dana (Agent, Billing)`.
    let name = bare(name);
    let first = name.chars().next().is_some_and(|c| c.is_alphanumeric() || c == '+');
    let (characters, words) = (name.chars().count(), name.split_whitespace().count());
    first && characters <= MAX_NAME.0 && words <= MAX_NAME.1 && !name.contains(['.', '?', '!', ',', ';', '"', '“', ':'])
        || (party(name).is_some() && !name.is_empty())
        || is_abbreviated(name) && characters <= MAX_NAME.0 && words <= MAX_NAME.1
}

/// A name without what stands in brackets after it; all of it where nothing stands before them.
fn bare(name: &str) -> &str {
    let open = match name.chars().last() {
        Some(')') => '(',
        Some(']') => '[',
        _ => return name,
    };
    let before = name.find(open).map_or(name, |at| name[..at].trim_end());
    if before.is_empty() { name } else { before }
}

/// Titles that are cut short and longer than an initial.
const TITLES: [&str; 6] = ["Mrs.", "Mme.", "Mlle.", "Prof.", "Sra.", "Dra."];

/// `Dr. Cole`, `Dana C.`, `Cole, Dana`.
fn is_abbreviated(name: &str) -> bool {
    let plain =
        |word: &str| word.chars().next().is_some_and(char::is_uppercase) && !word.contains(['?', '!', ';', '"', ':']);
    let ends = |word: &&str| word.ends_with(['.', ',']);
    let words: Vec<&str> = name.split_whitespace().collect();
    (2..=3).contains(&words.len())
        && words.iter().all(|word| plain(word))
        && words.iter().any(|word| ends(word) && word.len() <= 3 || word.ends_with(',') || TITLES.contains(word))
}

/// A heading with a stamp, its words below: `Dana Cole  0:49`, `Speaker 1 (00:03)`, `00:00:05 Dana Cole`,
/// `0:05 - Dana Cole`, `[Dana Cole] 09:15:02`.
pub(super) fn heading(line: &str) -> Option<Label<'_>> {
    let line = line.trim();
    let (name, at) = match trailing_stamp(line) {
        Some(found) => found,
        None => stamp(line).map(|(at, name)| (name, at))?,
    };
    let name = name.trim_start_matches(['-', '–', '—', '|', '>']).trim();
    let name = name.strip_prefix('[').and_then(|name| name.strip_suffix(']')).unwrap_or(name);
    (is_name(name) && is_sure(name)).then_some(Label { name: name.trim(), rest: "", at: Some(at), sure: true })
}

/// Which of a text's labels are names.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<String, bool>);

/// Labels on their way to [`Names`]: of each how often it stands there, whether it is sure, and whether it looks like a
/// name.
#[derive(Debug, Default)]
pub(super) struct Counting(BTreeMap<String, (usize, bool, bool)>);

impl Counting {
    /// Takes a label in, where a line has one.
    pub(super) fn count_in(&mut self, label: Option<Label<'_>>) {
        let Some(label) = label else { return };
        let entry = self.0.entry(label.name.trim().to_lowercase()).or_insert((0, false, is_proper(label.name)));
        entry.0 += 1;
        entry.1 |= label.sure || party_of_label(label.name).is_some() || is_numbered(label.name);
    }

    /// The names among them: those that a stamp or a role makes sure of, those that recur, and those that look like
    /// nothing else.
    pub(super) fn names(self) -> Names {
        let names = self.0.into_iter().filter(|(lower, (count, sure, proper))| {
            *sure
                || (!OPENERS.contains(&lower.as_str())
                    && !HEADINGS.contains(&lower.as_str())
                    && (*count > 1 || *proper))
        });
        Names(names.map(|(lower, (_, sure, _))| (lower, sure)).collect())
    }
}

impl Names {
    /// None yet.
    pub(super) fn counting() -> Counting {
        Counting::default()
    }

    /// The names among labels.
    pub(super) fn among<'a>(labels: impl Iterator<Item = Label<'a>>) -> Self {
        let mut counting = Self::counting();
        labels.for_each(|label| counting.count_in(Some(label)));
        counting.names()
    }

    /// How many there are, and how many of them are sure.
    pub(super) fn count(&self) -> (usize, usize) {
        (self.0.len(), self.0.values().filter(|sure| **sure).count())
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.0.contains_key(&name.trim().to_lowercase())
    }
}

/// Whether each word of a name begins with a capital, a digit or a plus.
pub(super) fn is_proper(name: &str) -> bool {
    let begins = |word: &str| {
        word.trim_start_matches(['(', '[', '*'])
            .chars()
            .next()
            .is_some_and(|c| c.is_uppercase() || c.is_ascii_digit() || c == '+')
    };
    let mut words = name.split_whitespace();
    let opener = words.clone().next().is_some_and(|word| OPENERS.contains(&word.to_lowercase().as_str()));
    // "It's 4: …" begins with a capital as well.
    let contracted =
        |word: &str| ["'s", "'m", "'re", "'ll", "'ve", "'d", "’s", "’m"].iter().any(|end| word.ends_with(end));
    !opener && !name.trim().is_empty() && words.all(|word| begins(word) && !contracted(word))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(line: &str) -> Option<(&str, &str, Option<i64>)> {
        label(line).or_else(|| heading(line)).map(|label| (label.name, label.rest, label.at))
    }

    #[test]
    fn labels_are_found_however_they_are_written() {
        assert_eq!(told("[00:00:02] AGENT (Dana): Good day."), Some(("AGENT (Dana)", "Good day.", Some(2000))));
        assert_eq!(told("[SPEAKER_01]: Thank you."), Some(("SPEAKER_01", "Thank you.", None)));
        assert_eq!(told("Speaker 1 (00:03):"), Some(("Speaker 1", "", Some(3000))));
        assert_eq!(told("SPEAKER: S1"), Some(("S1", "", None)));
        assert_eq!(told("Speaker: S2: Hi."), Some(("S2", "Hi.", None)));
        assert_eq!(told("Speaker: Hi."), Some(("Speaker", "Hi.", None)));
        assert_eq!(told("Dana Cole  0:49  "), Some(("Dana Cole", "", Some(49_000))));
        assert_eq!(told("**User:** Hi."), Some(("User", "Hi.", None)));
        assert_eq!(told("00:05 - Dana: Hi."), Some(("Dana", "Hi.", Some(5000))));
        assert_eq!(told("Wireless Caller (5***1): Hi."), Some(("Wireless Caller (5***1)", "Hi.", None)));
        assert_eq!(told("3/1/26, 12:30 PM - Dana: Hi."), Some(("Dana", "Hi.", Some(45_000_000))));
        assert_eq!(told("00:05 From Dana Cole to Everyone: Hi."), Some(("Dana Cole", "Hi.", Some(5000))));
        for (line, name) in [
            ("Agent (Dr. Lee): Hi.", "Agent (Dr. Lee)"),
            ("Dana (Agent, Billing): Hi.", "Dana (Agent, Billing)"),
            ("Agent (on behalf of Acme Inc.): Hi.", "Agent (on behalf of Acme Inc.)"),
            ("Customer (Ann Cole, +1 555 0100): Hi.", "Customer (Ann Cole, +1 555 0100)"),
            ("Agent [ID: 4711]: Hi.", "Agent [ID: 4711]"),
            ("Mme. Duval (conseillère): Hi.", "Mme. Duval (conseillère)"),
            ("Agent -> Hi.", "Agent"),
            ("AGENT> Hi.", "AGENT"),
            ("12. Agent: Hi.", "Agent"),
        ] {
            assert_eq!(told(line), Some((name, "Hi.", None)), "{line}");
        }
        assert_eq!(told("[Agent - 00:02] Hi."), Some(("Agent", "Hi.", Some(2000))));
        assert_eq!(told("[0.52s] Agent: Hi."), Some(("Agent", "Hi.", Some(520))));
        assert_eq!(told("[Agent] 09:15:02"), Some(("Agent", "", Some(33_302_000))));
        assert_eq!(told("[Dana Cole] 09:15:02"), Some(("Dana Cole", "", Some(33_302_000))));
        assert_eq!(told("0:05 - Dana Cole"), Some(("Dana Cole", "", Some(5000))));
        assert_eq!(told("1. The bill: too high."), None);
        assert_eq!(told("I told him (again, see: here) no."), None);
        assert_eq!(told("2026-03-01 10:00:00 WARN: slow"), None);
        assert_eq!(told("see https://example.com"), None);
        assert_eq!(told("[silence]"), None);
        assert_eq!(told("I told him, and this is it: no."), None);
    }

    #[test]
    fn a_person_is_neither_a_role_nor_a_number() {
        for (name, wanted) in [
            ("Dana Cole", Some("Dana Cole")),
            ("AGENT (Dana)", Some("Dana")),
            ("Dana - Customer", Some("Dana")),
            ("SPEAKER_00", None),
            ("Agent 2", None),
            ("A", None),
        ] {
            assert_eq!(person(name).as_deref(), wanted, "{name}");
        }
    }

    #[test]
    fn speech_with_a_colon_is_no_name() {
        let names =
            Names::among(["Dana Cole: Hi.", "Sure: go ahead.", "Tom: a", "Tom: b"].into_iter().filter_map(label));
        assert!(names.has("Dana Cole") && names.has("tom") && !names.has("Sure"));
    }
}
