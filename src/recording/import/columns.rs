//! Which column or field of a row is what, by its name: for tables and for lists of objects, whoever made them.

use super::call::Call;
use super::json::Json;
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
    unit: Unit,
}

/// Which columns are what.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Columns {
    pub(super) call: Option<usize>,
    pub(super) speaker: Option<usize>,
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
const SPEAKERS: [&str; 27] = [
    "speaker role",
    "participant role",
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
            Some(TimeColumn { at, unit: names.get(at)?.1.unwrap_or(Unit::Seconds) })
        };
        let text = best(&TEXTS)?;
        let other = |found: Option<usize>| found.filter(|at| *at != text);
        let columns = Self {
            call: other(best(&CALLS)),
            speaker: other(best(&SPEAKERS)),
            text,
            start: time(&STARTS),
            end: time(&ENDS),
            duration: time(&DURATIONS),
        };
        (columns.speaker.is_some() || columns.start.is_some()).then_some(columns)
    }

    /// The same columns with plain numbers in ms.
    pub(super) fn in_millis(mut self) -> Self {
        for column in [&mut self.start, &mut self.end, &mut self.duration].into_iter().flatten() {
            column.unit = Unit::Millis;
        }
        self
    }

    /// Says a row of a call; `cell` gives the value of a column. False where the row has no words.
    pub(super) fn say<'a>(&self, call: &mut Call, cell: impl Fn(usize) -> &'a Json) -> bool {
        let Some(text) = cell(self.text).text().filter(|text| !text.trim().is_empty()) else { return false };
        let time = |column: Option<TimeColumn>| {
            let column = column?;
            let value = cell(column.at);
            written(value).or_else(|| match column.unit {
                Unit::Seconds => seconds(value),
                Unit::Millis => millis(value),
                Unit::Micros => micros(value),
            })
        };
        let start = time(self.start);
        let end = time(self.end).or_else(|| start.zip(time(self.duration)).map(|(start, long)| start + long));
        let name = self.speaker.and_then(|at| cell(at).name());
        let speaker = name.map(|name| call.speaker(&name, None));
        call.say(speaker, text, start, end);
        true
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
        assert_eq!(columns.start, Some(TimeColumn { at: 3, unit: Unit::Seconds }));
        let columns = Columns::of(["startMs", "end_ms", "role", "utterance"]).unwrap();
        assert_eq!(columns.start, Some(TimeColumn { at: 0, unit: Unit::Millis }));
        assert_eq!(Columns::of(["Sprecher", "Beginn", "Text"]).unwrap().speaker, Some(0));
        assert_eq!(Columns::of(["Agent: Good afternoon", " Reed Insurance."]), None);
    }
}
