//! Which column or field of a row is what, by its name: for tables and for lists of objects, whoever made them.

use super::call::{Call, Party};
use super::column_names::{CALLS, DATES, DURATIONS, ENDS, SENT, SPEAKERS, STARTS, TEXTS};
use super::json::Json;
use super::roles::{party, party_of_label};
use super::stamps::{is_date, joined, unitless, when};
use super::times::{micros, millis, seconds};

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
    /// Whether the speaker is which way a message went.
    directed: bool,
    /// The column of channels: what these are, such as SMS, is no system that writes.
    channel: Option<usize>,
    /// A column of days, beside one of clocks.
    date: Option<usize>,
    /// Columns that hold the words of one side each, with that side's name; the other columns of words mean nothing then.
    sides: Vec<(usize, String)>,
    pub(super) text: usize,
    pub(super) start: Option<TimeColumn>,
    pub(super) end: Option<TimeColumn>,
    pub(super) duration: Option<TimeColumn>,
}

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
            // Which zone it is says nothing of a call's own clock.
            "utc" | "gmt" => {}
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
        let (speaker, direction) = (other(best(&SPEAKERS)), best(&["direction", "message direction"]));
        let (start, date) = (time(&STARTS), best(&DATES));
        let sent = || time(&SENT).or(date.map(|at| TimeColumn { at, unit: None }));
        // Whole calls have a direction as well; of messages it tells who sent them.
        let is_message = names.get(text).is_some_and(|(name, _)| name.starts_with("message"));
        let speaks = speaker.or(direction.filter(|_| is_message));
        let roles = names.iter().enumerate().filter(|(at, (name, _))| *at != text && SPEAKERS.contains(&name.as_str()));
        let columns = Self {
            call: other(best(&CALLS)),
            speaker: speaks,
            directed: speaker.is_none(),
            channel: best(&["channel"]),
            date: date.filter(|_| start.is_some()),
            roles: roles.map(|(at, _)| at).collect(),
            sides: Vec::new(),
            text,
            start: start.or_else(|| sent().filter(|_| speaks.is_some())),
            end: time(&ENDS),
            duration: time(&DURATIONS),
        };
        (columns.speaker.is_some() || columns.start.is_some()).then_some(columns)
    }

    /// Columns by what stands in them, without names: one of speakers and one of words, and one of times.
    pub(super) fn unnamed(speaker: usize, text: usize, start: Option<usize>) -> Self {
        let start = start.map(|at| TimeColumn { at, unit: None });
        Self { speaker: Some(speaker), text, start, ..Self::default() }
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
        let start = find(&STARTS).or_else(|| find(&SENT)).map(|at| TimeColumn { at, unit: names[at].1 });
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

    /// Whether a system wrote the row: one of its columns says so, and none says anything else.
    fn is_systems<'a>(&self, cell: impl Fn(usize) -> &'a Json) -> bool {
        let roles = || self.roles.iter().filter(|at| self.channel != Some(**at));
        let parties = || roles().filter_map(|at| cell(*at).text().and_then(party));
        parties().any(|party| party == Party::Nobody) && parties().all(|party| party == Party::Nobody)
    }

    /// Says a row of a call; `cell` gives the value of a column. False where the row has no words.
    pub(super) fn say<'a>(&self, call: &mut Call, cell: impl Fn(usize) -> &'a Json) -> bool {
        let at = |column: Option<TimeColumn>| {
            let column = column?;
            when(cell(column.at), |value| match column.unit {
                Some(Unit::Seconds) => seconds(value),
                Some(Unit::Millis) => millis(value),
                Some(Unit::Micros) => micros(value),
                None => unitless(value),
            })
        };
        let on_its_day = |column: Option<TimeColumn>| {
            let (at, date) = (at(column)?, self.date.and_then(|date| cell(date).text()));
            let is_clock = column.and_then(|column| cell(column.at).text()).is_some_and(|text| text.contains(':'));
            Some(date.filter(|_| is_clock).map_or(at, |date| joined(date, at)))
        };
        let words = |at: usize| cell(at).text().filter(|text| !text.trim().is_empty());
        if self.is_systems(&cell) {
            return false;
        }
        let start = on_its_day(self.start);
        let is_unread =
            |column: TimeColumn| words(column.at).is_some_and(|text| !is_date(text.trim())) && start.is_none();
        call.unread_times += usize::from(self.start.is_some_and(is_unread));
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
        let end = on_its_day(self.end).or_else(|| start.zip(at(self.duration)).map(|(start, long)| start + long));
        let roles = || self.roles.iter().filter(|at| cell(**at).text().and_then(party_of_label).is_some());
        let name = self.speaker.and_then(|at| cell(at).name());
        let name = name.or_else(|| roles().next().and_then(|at| cell(*at).name()));
        // A column of names may stand beside one of roles.
        let said = name.as_deref().and_then(|name| if self.directed { sender(name) } else { party_of_label(name) });
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

/// Who sends what goes this way.
fn sender(direction: &str) -> Option<Party> {
    let first = direction.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default().to_lowercase();
    match first.as_str() {
        "in" | "inbound" | "incoming" | "received" => Some(Party::Caller),
        "out" | "outbound" | "outgoing" | "sent" => Some(Party::Agent),
        _ => None,
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
        let columns = Columns::of(["start_time_utc", "speaker", "Message Body"]).unwrap();
        assert_eq!((columns.start.map(|start| start.at), columns.text), (Some(0), 2));
        let columns = Columns::of(["Phrase Start Time (ms)", "who", "Comment"]).unwrap();
        assert_eq!(columns.start, Some(TimeColumn { at: 0, unit: Some(Unit::Millis) }));
        // What any list may have says nothing of a call.
        assert_eq!(Columns::of(["created_at", "text"]), None);
        assert_eq!(Columns::of(["direction", "transcript"]), None);
    }

    /// Who says a row, and when.
    type Row = (Option<Party>, Option<i64>);

    /// What is said in rows, and how many of their times could not be read.
    fn said(header: &[&str], rows: &[&[&str]]) -> (Vec<Row>, usize) {
        let columns = Columns::of(header.iter().copied()).unwrap();
        let mut call = Call::default();
        for row in rows {
            let row: Vec<Json> = row.iter().map(|cell| Json::Text((*cell).to_owned())).collect();
            columns.say(&mut call, |at| &row[at]);
        }
        let party = |speaker: Option<usize>| speaker.and_then(|at| call.speakers[at].party);
        (call.pieces.iter().map(|piece| (party(piece.speaker), piece.start)).collect(), call.unread_times)
    }

    #[test]
    fn rows_of_a_system_are_nobodys_words() {
        let header = ["Sender Type", "Sender", "Channel", "Message"];
        let rows: [&[&str]; 3] =
            [&["End User", "", "SMS", "Hi."], &["System", "", "SMS", "left"], &["System", "Workflow", "SMS", "ended"]];
        assert_eq!(said(&header, &rows).0, [(Some(Party::Caller), None)]);
    }

    #[test]
    fn which_way_a_message_went_tells_who_sent_it() {
        let rows: [&[&str]; 2] = [&["inbound", "Hi."], &["Outbound-API", "Hello."]];
        let told = said(&["Direction", "Message Body"], &rows).0;
        assert_eq!(told, [(Some(Party::Caller), None), (Some(Party::Agent), None)]);
    }

    #[test]
    fn days_and_clocks_in_two_columns_are_moments_and_what_is_no_time_is_counted() {
        let rows: [&[&str]; 3] = [
            &["05.03.2026", "23:59:58", "agent", "a"],
            &["06.03.2026", "00:00:04", "user", "b"],
            &["", "x", "user", "c"],
        ];
        let (told, unread) = said(&["Datum", "Uhrzeit", "Sprecher", "Text"], &rows);
        assert_eq!(told[1].1.zip(told[0].1).map(|(later, at)| later - at), Some(6000));
        assert_eq!((told[2].1, unread), (None, 1));
        let (told, unread) = said(&["Date", "Speaker", "Text"], &[&["2026-03-05", "agent", "a"]]);
        assert_eq!((told[0].1, unread), (None, 0), "a day alone is no time in a call");
    }
}
