//! CSV and TSV, of any delimiter that its content speaks of, with a header or without; of one call, or of many with a
//! column for their id. Rows are read one by one: however long the file, only the calls that are not over yet are held.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::io::BufRead;

use csv::{ByteRecord, Reader, ReaderBuilder};

use super::call::{Call, Fault};
use super::columns::Columns;
use super::json::Json;
use super::roles::party_of_label;
use super::{Importer, Places, Source, bytes};
use crate::recording::problem::{Problem, RecordingError};

/// Delimiters, the most usual first.
const DELIMITERS: [u8; 4] = [b',', b'\t', b';', b'|'];
/// In how many rows a header is looked for.
const HEADER_WITHIN: usize = 10;
/// How many rows tell what columns without a header are.
const ROWS_THAT_TELL: usize = 20;
/// How many bytes of words are held before the oldest call is taken for over.
const MAX_HELD: usize = 32 * 1024 * 1024;

static NULL: Json = Json::Null;

/// How a table is to be read.
#[derive(Debug, PartialEq, Eq)]
struct Layout {
    delimiter: u8,
    columns: Columns,
    /// Which row has the header, from 0.
    header: Option<usize>,
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
    let with_header = tables.iter().find_map(|(delimiter, rows)| {
        let mut tops = rows.iter().take(HEADER_WITHIN).enumerate();
        let (header, columns) = tops
            .find_map(|(at, row)| Some((at, Columns::of(row.iter().map(String::as_str))?)).filter(|_| row.len() > 1))?;
        let columns = if is_whispers(*delimiter, rows.get(header)?) { columns.in_millis() } else { columns };
        Some(Layout { delimiter: *delimiter, columns, header: Some(header) })
    });
    with_header.or_else(|| {
        tables.iter().find_map(|(delimiter, rows)| {
            Some(Layout { delimiter: *delimiter, columns: headless(rows)?, header: None })
        })
    })
}

/// Whisper's own TSV has its times in ms and says so nowhere.
fn is_whispers(delimiter: u8, header: &[String]) -> bool {
    delimiter == b'\t' && header == ["start", "end", "text"]
}

/// Columns by what stands in them: one of roles, and the one of the longest words.
fn headless(rows: &[Vec<String>]) -> Option<Columns> {
    let width = rows.first().map(Vec::len).filter(|width| *width > 1)?;
    let column = |at: usize| rows.iter().filter_map(move |row| row.get(at)).filter(|cell| !cell.is_empty());
    // "Agent: Yes, of course." is no row of two cells, but a line that somebody says.
    let is_party = |cell: &String| !cell.contains(':') && party_of_label(cell).is_some();
    let speaker = (0..width).find(|at| column(*at).next().is_some() && column(*at).all(is_party))?;
    let text = (0..width).filter(|at| *at != speaker).max_by_key(|at| column(*at).map(String::len).sum::<usize>())?;
    Some(Columns { speaker: Some(speaker), text, ..Columns::default() })
}

pub(super) fn looks(head: &str) -> bool {
    layout(head).is_some()
}

/// The calls of a table, in the order of their first rows.
pub(super) struct Calls<'a> {
    rows: Reader<Box<dyn BufRead + 'a>>,
    layout: Layout,
    importer: &'static Importer,
    places: Places,
    row: usize,
    open: VecDeque<Call>,
    /// Where a call is in `open`, counted from the first that ever was.
    at: BTreeMap<Option<String>, usize>,
    gone: usize,
    held: usize,
    many: bool,
    over: BTreeSet<Option<String>>,
    done: bool,
}

impl<'a> Calls<'a> {
    pub(super) fn new(
        input: Box<dyn BufRead + 'a>,
        head: &str,
        importer: &'static Importer,
        places: Places,
    ) -> Result<Self, RecordingError> {
        let layout = layout(head).ok_or_else(|| {
            let problem = "has no column for words; name one \"text\" and one \"speaker\" in the first line".to_owned();
            Problem::Foreign { format: importer.name, place: String::new(), problem }.at(&places.file, 1)
        })?;
        let rows = reader(input, layout.delimiter);
        let (open, at, over) = Default::default();
        let many = layout.columns.call.is_some();
        Ok(Self { rows, layout, importer, places, row: 0, open, at, gone: 0, held: 0, many, over, done: false })
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
        let columns = &self.layout.columns;
        let id = columns.call.and_then(|at| cell(at).name());
        if self.over.contains(&id) {
            let problem = "has rows far from the others of its call; sort the file by the call's id".to_owned();
            let place = format!("call \"{}\"", id.unwrap_or_default());
            return Err(Problem::Foreign { format: self.importer.name, place, problem }.at(&self.places.file, line));
        }
        let (open, gone) = (&mut self.open, self.gone);
        let at = *self.at.entry(id.clone()).or_insert_with(|| {
            open.push_back(Call { id, ..Call::default() });
            gone + open.len() - 1
        });
        if let Some(call) = open.get_mut(at - gone) {
            if columns.say(call, cell) {
                self.held += call.pieces.last().map_or(0, |piece| piece.text.len() + 64);
            } else if cells.iter().any(|cell| cell.text().is_some_and(|text| !text.is_empty()))
                && cells.len() <= columns.text
            {
                call.warnings.push(format!("line {line} has {} columns and so no words", cells.len()));
            }
        }
        Ok(true)
    }

    fn oldest(&mut self) -> Option<Result<Source, RecordingError>> {
        let call = self.open.pop_front()?;
        self.gone += 1;
        self.held = self.held.saturating_sub(call.pieces.iter().map(|piece| piece.text.len() + 64).sum());
        self.at.remove(&call.id);
        if !self.done {
            self.over.insert(call.id.clone());
        }
        Some(self.places.source(call, self.importer, 0, "", self.many))
    }
}

impl Iterator for Calls<'_> {
    type Item = Result<Source, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        while !self.done {
            if self.held > MAX_HELD && self.open.len() > 1 {
                return self.oldest();
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
            return Some(Err(self.places.fault(none, self.importer, 0, "")));
        }
        self.oldest()
    }
}
