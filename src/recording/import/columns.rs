//! Which column or field of a row is what, by its name: for tables and for lists of objects, whoever made them.

use super::call::{Call, Party};
use super::json::Json;
use super::labels::time;
use super::roles::{party, party_of_label};
use super::times::{micros, millis, seconds, written};

/// What a number in a column counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unit {
    Seconds,
    Millis,
    Micros,
}

/// A column of times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TimeColumn {
    at: usize,
    /// `None` where its name tells none.
    unit: Option<Unit>,
}

/// Which columns are what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) call: Option<usize>,
    pub(super) speaker: Option<usize>,
    /// Other columns that may say what the speaker is.
    roles: Vec<usize>,
    /// Columns that hold the words of one side each, with that side's name; the other columns of words mean nothing then.
    sides: Vec<(usize, String)>,
    pub(super) text: usize,
    pub(super) start: Option<TimeColumn>,
    pub(super) end: Option<TimeColumn>,
    pub(super) duration: Option<TimeColumn>,
}

// In each list the best name first.
const TEXTS: [&str; 25] = [
    "human transcript",
    "text",
    "transcript",
    "utterance",
    "utterance text",
    "transcript text",
    "message",
    "content",
    "body",
    "message text",
    "transcription",
    "sentence",
    "phrase",
    "words",
    "speech",
    "said",
    "line",
    "snippet",
    "nachricht",
    "aussage",
    "äußerung",
    "texto",
    "mensaje",
    "texte",
    "tekst",
];
const SPEAKERS: [&str; 34] = [
    "speaker role",
    "participant role",
    "participant purpose",
    "speaker type",
    "sender role",
    "author role",
    "author type",
    "user type",
    "actor",
    "role",
    "speaker",
    "speaker name",
    "speaker label",
    "participant",
    "participant type",
    "participant name",
    "party",
    "speaker id",
    "participant id",
    "sender",
    "sender type",
    "from",
    "author",
    "user",
    "username",
    "who",
    "name",
    "channel",
    "side",
    "sprecher",
    "sprecherin",
    "hablante",
    "locuteur",
    "spreker",
];
const CALLS: [&str; 22] = [
    "contact id",
    "call id",
    "conversation id",
    "interaction id",
    "callid",
    "contactid",
    "session id",
    "ucid",
    "case id",
    "ticket id",
    "dialog id",
    "dialogue id",
    "chat id",
    "recording id",
    "call",
    "conversation",
    "contact",
    "dialogue",
    "anruf",
    "gespräch",
    "llamada",
    "appel",
];
const STARTS: [&str; 22] = [
    "start",
    "start time",
    "start offset",
    "begin",
    "begin time",
    "begin offset",
    "offset",
    "timestamp",
    "time",
    "start timestamp",
    "time in call",
    "ts",
    "from time",
    "seconds from start",
    "message time",
    "date time",
    "datetime",
    "beginn",
    "von",
    "inicio",
    "début",
    "zeit",
];
const ENDS: [&str; 10] =
    ["end", "end time", "end offset", "stop", "end timestamp", "to time", "ende", "bis", "fin", "einde"];
const DURATIONS: [&str; 3] = ["duration", "length", "dauer"];

/// A column's name in plain words, and the unit that it names: `Start Offset (s)`, `start_ms`, `beginOffsetMillis`.
fn plain(name: &str) -> (String, Option<Unit>) {
    let mut spaced = String::new();
    let mut before = ' ';
    for c in name.trim().trim_start_matches('\u{feff}').chars() {
        if (c.is_uppercase() && before.is_lowercase()) || !c.is_alphanumeric() {
            spaced.push(' ');
        }
        if c.is_alphanumeric() {
            spaced.extend(c.to_lowercase());
        }
        before = c;
    }
    let mut unit = None;
    let mut words = Vec::new();
    for word in spaced.split_whitespace() {
        match word {
            "ms" | "millis" | "msec" | "milliseconds" | "millisecond" => unit = Some(Unit::Millis),
            "us" | "usec" | "micros" | "microseconds" => unit = Some(Unit::Micros),
            "s" | "sec" | "secs" | "seconds" if spaced.trim() != "seconds from start" => unit = Some(Unit::Seconds),
            word => words.push(word),
        }
    }
    (words.join(" "), unit)
}

impl Columns {
    /// The columns of these names; `None` where none has words, or nothing else is known beside them.
    pub(super) fn of<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<(String, Option<Unit>)> = names.into_iter().map(plain).collect();
        let best = |known: &[&str]| {
            let rank = |(at, (name, _)): (usize, &(String, Option<Unit>))| {
                known.iter().position(|known| known == name).map(|rank| (rank, at))
            };
            names.iter().enumerate().filter_map(rank).min().map(|(_, at)| at)
        };
        let time = |known: &[&str]| {
            let at = best(known)?;
            Some(TimeColumn { at, unit: names.get(at)?.1 })
        };
        let text = best(&TEXTS)?;
        let other = |found: Option<usize>| found.filter(|at| *at != text);
        let roles = names.iter().enumerate().filter(|(at, (name, _))| *at != text && SPEAKERS.contains(&name.as_str()));
        let columns = Self {
            call: other(best(&CALLS)),
            speaker: other(best(&SPEAKERS)),
            roles: roles.map(|(at, _)| at).collect(),
            sides: Vec::new(),
            text,
            start: time(&STARTS),
            end: time(&ENDS),
            duration: time(&DURATIONS),
        };
        (columns.speaker.is_some() || columns.start.is_some()).then_some(columns)
    }

    /// Columns by what stands in them, without names: one of speakers and one of words.
    pub(super) fn unnamed(speaker: usize, text: usize) -> Self {
        Self { speaker: Some(speaker), text, ..Self::default() }
    }

    /// Columns of which each has the words of one side, such as `customer` and `agent_text`; both sides must be there.
    pub(super) fn sides<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<Self> {
        let names: Vec<(String, Option<Unit>)> = names.into_iter().map(plain).collect();
        let side = |(at, (name, _)): (usize, &(String, Option<Unit>))| {
            let words = name.split(' ').filter(|word| !TEXTS.contains(word));
            let name = words.collect::<Vec<_>>().join(" ");
            Some((at, party(&name)?, name))
        };
        let sides: Vec<(usize, Party, String)> = names.iter().enumerate().filter_map(side).collect();
        let has = |party| sides.iter().any(|(_, of, _)| *of == party);
        if !has(Party::Caller) || !has(Party::Agent) {
            return None;
        }
        let find = |known: &[&str]| names.iter().position(|(name, _)| known.contains(&name.as_str()));
        let start = find(&STARTS).map(|at| TimeColumn { at, unit: names[at].1 });
        let sides: Vec<(usize, String)> = sides.into_iter().map(|(at, _, name)| (at, name)).collect();
        let is_side = |at: &usize| sides.iter().any(|(side, _)| side == at);
        Some(Self { call: find(&CALLS).filter(|at| !is_side(at)), start, sides, ..Self::default() })
    }

    /// The columns that hold words.
    pub(super) fn texts(&self) -> Vec<usize> {
        if self.sides.is_empty() { vec![self.text] } else { self.sides.iter().map(|(at, _)| *at).collect() }
    }

    /// A table of one call in each row: the column of its id, where it has one, and that of its whole transcript.
    pub(super) fn whole<'a>(names: impl IntoIterator<Item = &'a str>) -> Option<(Option<usize>, usize)> {
        let names: Vec<String> = names.into_iter().map(|name| plain(name).0).collect();
        let is_text = |name: &String| {
            TEXTS.contains(&name.as_str()) || name.split(' ').next_back().is_some_and(|last| TEXTS.contains(&last))
        };
        let text = names.iter().position(is_text)?;
        let is_id = |name: &String| name == "id" || name.ends_with(" id");
        let known = names.iter().position(|name| CALLS.contains(&name.as_str()));
        let id = known.or_else(|| names.iter().position(is_id));
        Some((id.filter(|at| *at != text), text))
    }

    /// The same columns with plain numbers in ms, where their names tell no unit.
    pub(super) fn in_millis(mut self) -> Self {
        for column in [&mut self.start, &mut self.end, &mut self.duration].into_iter().flatten() {
            column.unit = column.unit.or(Some(Unit::Millis));
        }
        self
    }

    /// Says a row of a call; `cell` gives the value of a column. False where the row has no words.
    pub(super) fn say<'a>(&self, call: &mut Call, cell: impl Fn(usize) -> &'a Json) -> bool {
        let at = |column: Option<TimeColumn>| {
            let column = column?;
            let value = cell(column.at);
            let stamp = || time(value.text()?).filter(|(_, rest)| rest.is_empty()).map(|(at, _)| at);
            written(value).or_else(stamp).or_else(|| match column.unit {
                Some(Unit::Seconds) => seconds(value),
                Some(Unit::Millis) => millis(value),
                Some(Unit::Micros) => micros(value),
                // A moment too late for seconds can only be one in a smaller unit.
                None => seconds(value).or_else(|| millis(value)).or_else(|| micros(value)),
            })
        };
        let words = |at: usize| cell(at).text().filter(|text| !text.trim().is_empty());
        let start = at(self.start);
        if !self.sides.is_empty() {
            let mut said = false;
            for (at, name) in &self.sides {
                let Some(text) = words(*at) else { continue };
                let speaker = call.speaker(name, None);
                call.say(Some(speaker), text, start, None);
                said = true;
            }
            return said;
        }
        let Some(text) = words(self.text) else { return false };
        let end = at(self.end).or_else(|| start.zip(at(self.duration)).map(|(start, long)| start + long));
        let roles = || self.roles.iter().filter(|at| cell(**at).text().and_then(party_of_label).is_some());
        let name = self.speaker.or_else(|| roles().next().copied()).and_then(|at| cell(at).name());
        // A column of names may stand beside one of roles.
        let said = name.as_deref().and_then(party_of_label);
        let role = || roles().find_map(|at| party_of_label(cell(*at).text()?));
        let party = said.or_else(role);
        let speaker = name.map(|name| {
            let speaker = call.speaker(&name, party);
            for at in self.roles.iter().filter(|at| Some(**at) != self.speaker) {
                call.also(speaker, cell(*at).name().unwrap_or_default());
            }
            speaker
        });
        call.say(speaker, text, start, end);
        true
    }
}

/// Longest that anybody takes for a word on average, in s, pauses and all.
const SLOWEST: f64 = 20.0;

/// How fast people would speak if a table's times were in seconds: nobody says a word a minute, so those are in ms.
#[derive(Debug, Default)]
pub(super) struct Pace {
    words: usize,
    long: f64,
    broken: bool,
}

impl Pace {
    /// Hears a row.
    pub(super) fn hear<'a>(&mut self, columns: &Columns, cell: impl Fn(usize) -> &'a Json) {
        let number = |column: Option<TimeColumn>| {
            column.filter(|column| column.unit.is_none()).and_then(|column| cell(column.at).number())
        };
        let long = match (number(columns.start), number(columns.end), number(columns.duration)) {
            (Some(start), Some(end), _) => end - start,
            (_, None, Some(long)) => long,
            _ => return,
        };
        self.words += cell(columns.text).text().map_or(0, |text| text.split_whitespace().count());
        self.long += long.max(0.0);
        self.broken |= long.fract() != 0.0;
    }

    /// Whether the times can only be in ms.
    pub(super) fn is_of_millis(&self) -> bool {
        !self.broken && self.words > 0 && self.long / self.words as f64 > SLOWEST
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn columns_are_known_by_their_names_in_every_spelling() {
        let header = ["Contact ID", "Direction", "Participant", "Start Offset (s)", "End Offset (s)", "Transcript"];
        let columns = Columns::of(header).unwrap();
        assert_eq!((columns.call, columns.speaker, columns.text), (Some(0), Some(2), 5));
        assert_eq!(columns.start, Some(TimeColumn { at: 3, unit: Some(Unit::Seconds) }));
        let columns = Columns::of(["startMs", "end_ms", "role", "utterance"]).unwrap();
        assert_eq!(columns.start, Some(TimeColumn { at: 0, unit: Some(Unit::Millis) }));
        assert_eq!(Columns::of(["Sprecher", "Beginn", "Text"]).unwrap().speaker, Some(0));
        assert_eq!(Columns::of(["Agent: Good afternoon", " Reed Insurance."]), None);
    }
}
