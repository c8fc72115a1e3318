//! CSV and TSV, of any delimiter that its content speaks of, with a header or without; of one call, or of many with a
//! column for their id. Rows are read one by one: however long the file, only the calls that are not over yet are held.

use std::collections::HashSet;
use std::io::BufRead;
use std::path::Path;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::call::{Call, Fault};
use super::columns::{Columns, Pace};
use super::json::Json;
use super::open::{Open, SCATTERED};
use super::places::{Batch, Places, Ready};
use super::roles::party_of_label;
use super::source::Source;
use super::stamps::when;
use super::{bytes, plain};
use crate::recording::problem::{Problem, RecordingError};

/// Delimiters, the most usual first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// In how many rows a header is looked for.
const HEADER_WITHIN: usize = 10;
/// How many rows tell what columns without a header are.
const ROWS_THAT_TELL: usize = 20;

static NULL: Json = Json::Null;

/// How a table is to be read.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    delimiter: u8,
    columns: Columns,
    /// Which row has the header, from 0.
    header: Option<usize>,
    /// The columns of the id and the transcript, where each row is a call.
    whole: Option<(Option<usize>, usize)>,
}

fn reader<'a>(input: impl BufRead + 'a, delimiter: u8) -> Reader<Box<dyn BufRead + 'a>> {
    ReaderBuilder::new().delimiter(delimiter).has_headers(false).flexible(true).from_reader(Box::new(input))
}

fn cells(record: &ByteRecord) -> Vec<String> {
    record.iter().map(|cell| bytes::text(cell).trim().to_owned()).collect()
}

fn layout(head: &str) -> Option<Layout> {
    // The last row may be cut in its middle.
    let rows = |delimiter| -> Vec<Vec<String>> {
        let records = reader(head.as_bytes(), delimiter).into_byte_records().map_while(Result::ok);
        records.take(ROWS_THAT_TELL).map(|record| cells(&record)).collect()
    };
    let tables: Vec<(u8, Vec<Vec<String>>)> =
        DELIMITERS.into_iter().map(|delimiter| (delimiter, rows(delimiter))).collect();
    let with_header = with_header(&tables);
    with_header.or_else(|| {
        tables.iter().find_map(|(delimiter, rows)| {
            Some(Layout { delimiter: *delimiter, columns: headless(rows)?, header: None, whole: None })
        })
    })
}

/// How many words a cell of names has on average at most: one of words has more.
const WORDS_OF_NAMES: usize = 2;

fn with_header(tables: &[(u8, Vec<Vec<String>>)]) -> Option<Layout> {
    let layout = |delimiter: &u8, columns: Columns, header: usize| Layout {
        delimiter: *delimiter,
        columns,
        header: Some(header),
        whole: None,
    };

    let tops = || {
        tables.iter().flat_map(|(delimiter, rows)| {
            let tops = rows.iter().take(HEADER_WITHIN).enumerate();
            tops.filter(|(_, row)| row.len() > 1).map(move |(at, row)| (delimiter, rows, at, row))
        })
    };
    let by_row = tops().find_map(|(delimiter, rows, at, row)| {
        let columns = Columns::of(names(row))?;
        let millis = is_whispers(*delimiter, row) || is_in_millis(&columns, rows.get(at + 1..)?);
        let columns = if millis { columns.in_millis() } else { columns };
        Some(layout(delimiter, columns, at))
    });
    let by_side = || {
        tops().find_map(|(delimiter, rows, at, row)| {
            let columns = Columns::sides(names(row))?;
            let below = || rows.iter().skip(at + 1);
            let said: Vec<&String> =
                below().flat_map(|row| columns.texts().into_iter().filter_map(|at| row.get(at))).collect();
            let cells = said.iter().filter(|cell| !cell.is_empty()).count();
            let words: usize = said.iter().map(|cell| cell.split_whitespace().count()).sum();
            let has_words = cells > 0 && words > WORDS_OF_NAMES * cells;
            (has_words || (is_as_asked(row) && speaks(&columns, below))).then(|| layout(delimiter, columns, at))
        })
    };
    // A call in each row, its words with labels in one cell.
    let whole = tables.iter().find_map(|(delimiter, rows)| {
        let header = rows.first()?;
        let (id, text) = Columns::whole(names(header))?;
        let labelled =
            |row: &Vec<String>| row.get(text).is_some_and(|cell| cell.lines().count() > 1 && plain::looks(cell));
        let found = Layout { whole: Some((id, text)), ..layout(delimiter, Columns::default(), 0) };
        rows.get(1..)?.iter().any(labelled).then_some(found)
    });
    whole.or(by_row).or_else(by_side)
}

/// Whether a header has the very columns that [`no_words`] asks for.
fn is_as_asked(header: &[String]) -> bool {
    let is = |cell: &String, name: &str| cell.trim_start_matches('\u{feff}').eq_ignore_ascii_case(name);
    ["customer", "agent"].into_iter().all(|name| header.iter().any(|cell| is(cell, name)))
}

/// Whether columns of cells as short as names have what both sides said in a call: neither the same few in each row, nor
/// written as names are.
fn speaks<'a, R: Iterator<Item = &'a Vec<String>>>(columns: &Columns, rows: impl Fn() -> R) -> bool {
    let filled = |at: usize| rows().filter_map(move |row| row.get(at)).filter(|cell| !cell.is_empty());
    let differ = |at: usize| {
        let many: HashSet<&String> = filled(at).collect();
        many.len() > 1 && many.len() * 2 > filled(at).count()
    };
    let texts = columns.texts();
    let all = || texts.iter().flat_map(|at| filled(*at));
    let said = all().filter(|cell| reads_as_said(cell)).count();
    columns.call.is_none() && texts.iter().all(|at| differ(*at)) && said * SAID_OF >= all().count()
}

/// Of so many cells of words at least one shows that it is no name.
const SAID_OF: usize = 3;

/// Whether a cell ends as a sentence does, or has a word that begins small and has no digits, as ids have.
fn reads_as_said(cell: &str) -> bool {
    let is_small = |word: &str| {
        word.starts_with(char::is_lowercase) && word.chars().all(|c| c.is_alphabetic() || "'’,.-".contains(c))
    };
    cell.ends_with(['.', '?', '!']) || cell.split_whitespace().any(is_small)
}

fn names(row: &[String]) -> impl Iterator<Item = &str> {
    row.iter().map(String::as_str)
}

/// Whether times without a unit can only be in ms.
fn is_in_millis(columns: &Columns, rows: &[Vec<String>]) -> bool {
    let mut pace = Pace::default();
    for row in rows {
        let row: Vec<Json> = row.iter().cloned().map(Json::Text).collect();
        pace.hear(columns, |at| row.get(at).unwrap_or(&NULL));
    }
    pace.is_of_millis()
}

/// Whisper's own TSV has its times in ms and says so nowhere.
fn is_whispers(delimiter: u8, header: &[String]) -> bool {
    delimiter == b'\t' && header == ["start", "end", "text"]
}

/// Columns by what stands in them: one of roles, and the one of the longest words.
fn headless(rows: &[Vec<String>]) -> Option<Columns> {
    let width = rows.first().map(Vec::len)?;
    if rows.iter().any(|row| row.len() < 2) {
        return None;
    }
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at)).filter(|cell| !cell.is_empty());
    // "Agent: Yes, of course." is no row of two cells, but a line that somebody says; so is "Agent (Dana, sales): Yes."
    let is_whole = |cell: &String| cell.matches(['(', '[']).count() == cell.matches([')', ']']).count();
    let is_party = |cell: &String| !cell.contains(':') && is_whole(cell) && party_of_label(cell).is_some();
    let speaker = (0..width).find(|at| column(*at).next().is_some() && column(*at).all(is_party))?;
    let text = (0..width).filter(|at| *at != speaker).max_by_key(|at| column(*at).map(String::len).sum::<usize>())?;
    // A plain number may be anything.
    let is_time = |cell: &String| when(&Json::Text(cell.clone()), |_| None).is_some();
    let is_times = |at: &usize| column(*at).next().is_some() && column(*at).all(is_time);
    let start = (0..width).filter(|at| ![speaker, text].contains(at)).find(is_times);
    Some(Columns::unnamed(speaker, text, start))
}

pub(super) fn looks(head: &str) -> bool {
    layout(head).is_some()
}

/// Whether a file's name says that it is a table.
pub(super) fn is_named_so(file: &str) -> bool {
    let extension = Path::new(file).extension().and_then(|extension| extension.to_str());
    extension.is_some_and(|extension| ["csv", "tsv"].iter().any(|known| known.eq_ignore_ascii_case(extension)))
}

/// What a table lacks whose columns nobody can tell.
pub(super) fn no_words(format: &'static str) -> Problem {
    let problem =
        "has no column for words; name one \"text\" and one \"speaker\" in the first line, or one for each side, \
                   \"customer\" and \"agent\""
            .to_owned();
    Problem::Foreign { format, place: String::new(), problem }
}

/// The calls of a table, in the order of their first rows.
pub(super) struct Calls<'a> {
    rows: Reader<Box<dyn BufRead + 'a>>,
    layout: Layout,
    format: &'static str,
    places: Places,
    row: usize,
    open: Open,
    many: bool,
    done: bool,
    /// The calls of the last row that held whole ones.
    ready: Ready,
}

impl<'a> Calls<'a> {
    pub(super) fn new(
        input: Box<dyn BufRead + 'a>,
        head: &str,
        format: &'static str,
        places: Places,
    ) -> Result<Self, RecordingError> {
        let layout = layout(head).ok_or_else(|| no_words(format).at(&places.file, 1))?;
        let rows = reader(input, layout.delimiter);
        let many = layout.columns.call.is_some() || layout.whole.is_some();
        Ok(Self {
            rows,
            layout,
            format,
            places,
            row: 0,
            open: Open::default(),
            many,
            done: false,
            ready: Ready::default(),
        })
    }

    /// Takes one row in; false at the end.
    fn take(&mut self) -> Result<bool, RecordingError> {
        let mut record = ByteRecord::new();
        let line = self.rows.position().line();
        let wrong = |error: csv::Error| {
            let line = error.position().map_or(line, csv::Position::line);
            Problem::Unreadable(std::io::Error::other(error)).at(&self.places.file, line)
        };
        if !self.rows.read_byte_record(&mut record).map_err(wrong)? {
            return Ok(false);
        }
        let row = self.row;
        self.row += 1;
        if self.layout.header.is_some_and(|header| row <= header) {
            return Ok(true);
        }
        let cells: Vec<Json> = cells(&record).into_iter().map(Json::Text).collect();
        let cell = |at: usize| cells.get(at).unwrap_or(&NULL);
        if let Some((id, text)) = self.layout.whole {
            let id = id.and_then(|at| cell(at).name());
            if let Some(said) = cell(text).text().filter(|text| !text.trim().is_empty()) {
                let of_row = |call: Call| Call { id: id.clone(), ..call };
                let calls = plain::read(said).map(|calls| calls.into_iter().map(of_row).collect());
                self.ready.read(Batch { calls, format: self.format, line, at: String::new(), many: true });
            }
            return Ok(true);
        }
        let columns = &self.layout.columns;
        let id = columns.call.and_then(|at| cell(at).name());
        let Some(call) = self.open.call(id.clone()) else {
            let place = format!("call \"{}\"", id.unwrap_or_default());
            let problem = Problem::Foreign { format: self.format, place, problem: SCATTERED.to_owned() };
            return Err(problem.at(&self.places.file, line));
        };
        if columns.say(call, cell) {
            let bytes = columns.texts().into_iter().filter_map(|at| cell(at).text()).map(str::len).sum();
            self.open.heard(bytes);
        } else if cells.iter().any(|cell| cell.text().is_some_and(|text| !text.is_empty()))
            && columns.texts().iter().all(|at| cells.len() <= *at)
        {
            call.warnings.push(format!("line {line} has {} columns and so no words", cells.len()));
        }
        Ok(true)
    }

    fn source(&mut self, call: Call) -> Result<Source, RecordingError> {
        self.places.source(call, self.format, 0, "", self.many)
    }
}

impl Iterator for Calls<'_> {
    type Item = Result<Source, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(source) = self.ready.next(&mut self.places) {
                return Some(source);
            }
            if self.done {
                break;
            }
            if let Some(call) = self.open.overdue() {
                return Some(self.source(call));
            }
            match self.take() {
                Ok(true) => {}
                Ok(false) => self.done = true,
                Err(error) => {
                    self.done = true;
                    self.open.clear();
                    return Some(Err(error));
                }
            }
        }
        if self.places.calls == 0 && self.open.is_empty() {
            let none = Fault::new("", "has a header and no rows");
            self.places.calls += 1;
            return Some(Err(self.places.fault(none, self.format, 0, "")));
        }
        let call = self.open.oldest()?;
        Some(self.source(call))
    }
}
