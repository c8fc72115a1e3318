//! Labels in a table beside the calls: a row per call with `file,escalate,turn`, as a spreadsheet writes it.
//!
//! | column | holds |
//! | --- | --- |
//! | `file` | the call, as `evaluate` names it: its path, the end of that, or the call's id within a file of several |
//! | `escalate` | yes or no; empty where nobody has judged |
//! | `turn` | from which caller turn on, from 1 as everywhere in what the program prints; empty where that is open |
//! | any other | a field, to split figures by |

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use encoding_rs_io::DecodeReaderBytesBuilder;

use crate::recording::import::{Labels, Source};

/// Why a table of labels cannot be used. It quotes cells, which hold nothing that anybody said.
#[derive(Debug, thiserror::Error)]
#[error("{file}{}: {problem}", if *line > 0 { format!(", line {line}") } else { String::new() })]
pub struct LabelTableError {
    /// The table.
    pub file: String,
    /// The line, from 1; 0 for the table as a whole.
    pub line: u64,
    /// What is wrong there.
    pub problem: LabelProblem,
}

/// What is wrong in a table of labels.
#[derive(Debug, thiserror::Error)]
pub enum LabelProblem {
    /// The file itself.
    #[error("it cannot be read: {0}")]
    Unreadable(#[from] io::Error),
    /// The rows do not fit the header.
    #[error("it is no CSV: {0}")]
    NotCsv(String),
    /// A column that must be there.
    #[error("there is no column \"{0}\"; the first line must name the columns, e.g. file,escalate,turn")]
    NoColumn(&'static str),
    /// A cell that means nothing.
    #[error("{column} is \"{value}\"; give {right}")]
    Cell {
        /// The column.
        column: &'static str,
        /// What the cell holds.
        value: String,
        /// What would be right.
        right: &'static str,
    },
    /// Two rows for one call.
    #[error("\"{0}\" has a row already")]
    Twice(String),
    /// A row that fits several calls.
    #[error("\"{row}\" fits both {first} and {second}; write as much of the path as tells them apart")]
    Ambiguous {
        /// The row's `file`.
        row: String,
        /// A call.
        first: String,
        /// Another one.
        second: String,
    },
}

/// The rows of a table.
#[derive(Debug)]
pub struct LabelTable {
    file: String,
    rows: BTreeMap<String, Row>,
}

#[derive(Debug)]
struct Row {
    line: u64,
    escalate: Option<bool>,
    at: Option<u32>,
    fields: BTreeMap<String, String>,
    used_by: Option<String>,
}

impl LabelTable {
    /// Reads a table from a file.
    ///
    /// # Errors
    /// [`LabelTableError`] names the line and what would be right.
    pub fn open(path: &Path) -> Result<Self, LabelTableError> {
        let name = path.display().to_string();
        match File::open(path) {
            Ok(file) => Self::read(file, &name),
            Err(error) => Err(LabelTableError { file: name, line: 0, problem: error.into() }),
        }
    }

    /// Reads a table: CSV, with semicolons or tabs as well, in UTF-8 or UTF-16; `file` names it in errors.
    ///
    /// # Errors
    /// [`LabelTableError`] names the line and what would be right.
    pub fn read(input: impl Read, file: &str) -> Result<Self, LabelTableError> {
        let fail = |line, problem| LabelTableError { file: file.to_owned(), line, problem };
        let mut bytes = Vec::new();
        let mut decoded = DecodeReaderBytesBuilder::new().strip_bom(true).build(input);
        decoded.read_to_end(&mut bytes).map_err(|error| fail(0, error.into()))?;
        let mut table =
            csv::ReaderBuilder::new().delimiter(delimiter(&bytes)).trim(csv::Trim::All).from_reader(&bytes[..]);
        let header = table.headers().map_err(|error| fail(1, not_csv(&error)))?.clone();
        let column = |name: &str| header.iter().position(|column| column.eq_ignore_ascii_case(name));
        let needed = |name| column(name).ok_or_else(|| fail(1, LabelProblem::NoColumn(name)));
        let (call, escalate, turn) = (needed("file")?, needed("escalate")?, column("turn"));
        let mut rows = BTreeMap::new();
        for record in table.records() {
            let record =
                record.map_err(|error| fail(error.position().map_or(0, csv::Position::line), not_csv(&error)))?;
            if record.iter().all(str::is_empty) {
                // Spreadsheets write the rows that somebody left blank or cleared as well.
                continue;
            }
            let line = record.position().map_or(0, csv::Position::line);
            let cell = |at: usize| record.get(at).unwrap_or_default();
            let others =
                header.iter().enumerate().filter(|(at, _)| ![Some(call), Some(escalate), turn].contains(&Some(*at)));
            let row = Row {
                line,
                escalate: judged(cell(escalate)).map_err(|problem| fail(line, problem))?,
                at: turn.map_or(Ok(None), |turn| from_turn(cell(turn))).map_err(|problem| fail(line, problem))?,
                fields: others
                    .map(|(at, name)| (name.to_owned(), cell(at).to_owned()))
                    .filter(|(_, v)| !v.is_empty())
                    .collect(),
                used_by: None,
            };
            let name = cell(call).to_owned();
            if rows.contains_key(&name) {
                return Err(fail(line, LabelProblem::Twice(name)));
            }
            rows.insert(name, row);
        }
        Ok(Self { file: file.to_owned(), rows })
    }

    /// Gives a call the labels of its row, where it has one; what the call brings itself gives way to that.
    ///
    /// # Errors
    /// [`LabelProblem::Ambiguous`] when another call had the row.
    pub fn label(&mut self, source: &mut Source) -> Result<(), LabelTableError> {
        let Some(named) = names(source).into_iter().find(|name| self.rows.contains_key(*name)) else {
            return Ok(());
        };
        let Some(row) = self.rows.get_mut(named) else { return Ok(()) };
        if let Some(first) = row.used_by.replace(source.name.clone()) {
            let problem = LabelProblem::Ambiguous { row: named.to_owned(), first, second: source.name.clone() };
            return Err(LabelTableError { file: self.file.clone(), line: row.line, problem });
        }
        let labels = source.labels.get_or_insert_with(Labels::default);
        (labels.escalate, labels.at) = (row.escalate, row.at);
        labels.fields.extend(row.fields.clone());
        if let (Some(false), Some(at)) = (row.escalate, row.at) {
            source.warnings.push(format!(
                "its label (line {} of {}) says no and names turn {}, which counts for nothing",
                row.line,
                self.file,
                at.saturating_add(1)
            ));
        }
        Ok(())
    }

    /// The rows that no call had, by line.
    #[must_use]
    pub fn unused(&self) -> Vec<&str> {
        let mut unused: Vec<(&u64, &str)> = self
            .rows
            .iter()
            .filter(|(_, row)| row.used_by.is_none())
            .map(|(name, row)| (&row.line, name.as_str()))
            .collect();
        unused.sort_unstable();
        unused.into_iter().map(|(_, name)| name).collect()
    }
}

/// What a row may call a call, what says most first: its whole name, its ends, its id within its file, its file's name
/// without the extension.
fn names(source: &Source) -> Vec<&str> {
    let name = source.name.as_str();
    let mut names = vec![name];
    names.extend(name.match_indices(['/', '\\']).map(|(at, _)| &name[at + 1..]));
    match &source.call_id {
        Some(id) => names.push(id),
        None => names.extend(Path::new(name).file_stem().and_then(|stem| stem.to_str())),
    }
    names
}

/// The sign that stands most often in the first line, of those that spreadsheets put between cells.
fn delimiter(head: &[u8]) -> u8 {
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let count = |sign: &u8| first.iter().filter(|byte| *byte == sign).count();
    // Of equals the last wins, and a comma is the plainest.
    *b"\t;,".iter().max_by_key(|sign| count(sign)).unwrap_or(&b',')
}

fn not_csv(error: &csv::Error) -> LabelProblem {
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            LabelProblem::NotCsv(format!("a row of {len} cells, where the first line names {expected_len} columns"))
        }
        _ => LabelProblem::NotCsv(error.to_string()),
    }
}

fn judged(cell: &str) -> Result<Option<bool>, LabelProblem> {
    match cell.to_ascii_lowercase().as_str() {
        "" => Ok(None),
        "yes" | "y" | "true" | "1" => Ok(Some(true)),
        "no" | "n" | "false" | "0" => Ok(Some(false)),
        _ => Err(LabelProblem::Cell { column: "escalate", value: cell.to_owned(), right: "yes or no" }),
    }
}

/// Turns count from 1 for people, and from 0 in labels.
fn from_turn(cell: &str) -> Result<Option<u32>, LabelProblem> {
    match cell.parse::<u32>() {
        _ if cell.is_empty() => Ok(None),
        Ok(turn) if turn > 0 => Ok(Some(turn - 1)),
        _ => Err(LabelProblem::Cell { column: "turn", value: cell.to_owned(), right: "a caller turn from 1" }),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::import::from_turns;

    /// A call; what stands in brackets after the file is its id in there.
    fn source(name: &str) -> Source {
        let (file, id) = name.strip_suffix(')').and_then(|name| name.rsplit_once('(')).unzip();
        Source {
            name: file.zip(id).map_or_else(|| name.to_owned(), |(file, id)| format!("{file}#{id}")),
            call_id: id.map(str::to_owned),
            recording: from_turns("r", []),
            warnings: Vec::new(),
            labels: None,
            people: Vec::new(),
            began: None,
        }
    }

    fn labels(table: &mut LabelTable, name: &str) -> Option<(Option<bool>, Option<u32>)> {
        let mut source = source(name);
        table.label(&mut source).unwrap();
        source.labels.map(|labels| (labels.escalate, labels.at))
    }

    #[test]
    fn rows_find_their_calls_by_path_end_and_id_in_any_csv() {
        for text in [
            "file,escalate,turn,team\ncalls/a.vtt,yes,4,x\nb.vtt,no,,\nD1-001,1,,y\nc,,,\n",
            "\u{feff}File;Escalate;Turn;team\r\ncalls/a.vtt;yes;4;x\r\nb.vtt;no;;\r\nD1-001;1;;y\r\nc;;;\r\n",
            "file\tescalate\tturn\tteam\ncalls/a.vtt\tyes\t4\tx\nb.vtt\tno\t\t\nD1-001\t1\t\ty\nc\t\t\t\n",
        ] {
            let mut table = LabelTable::read(text.as_bytes(), "labels.csv").unwrap();
            assert_eq!(labels(&mut table, "/home/qa/calls/a.vtt"), Some((Some(true), Some(3))), "{text}");
            assert_eq!(labels(&mut table, "calls/below/b.vtt"), Some((Some(false), None)));
            assert_eq!(labels(&mut table, "all.jsonl(D1-001)"), Some((Some(true), None)));
            assert_eq!(labels(&mut table, "d.vtt"), None);
            assert_eq!(table.unused(), ["c"]);
            assert_eq!(labels(&mut table, "x/c.json"), Some((None, None)));
        }
        let mut table = LabelTable::read("team,file,escalate\nx,a.vtt,y\n".as_bytes(), "l").unwrap();
        let mut call = source("a.vtt");
        table.label(&mut call).unwrap();
        assert_eq!(call.labels.unwrap().fields, BTreeMap::from([("team".to_owned(), "x".to_owned())]));
    }

    #[test]
    fn a_turn_beside_a_no_is_told_of() {
        let mut table = LabelTable::read("file,escalate,turn\na.vtt,no,3\nb.vtt,yes,3\n".as_bytes(), "l.csv").unwrap();
        let mut warned = |name: &str| {
            let mut source = source(name);
            table.label(&mut source).unwrap();
            source.warnings
        };
        assert_eq!(warned("a.vtt"), ["its label (line 2 of l.csv) says no and names turn 3, which counts for nothing"]);
        assert_eq!(warned("b.vtt"), Vec::<String>::new());
    }

    #[test]
    fn blank_rows_are_none() {
        let text = "file,escalate,turn\n,,\na,yes,2\n , ,\n,,\nb,no,\n";
        let table = LabelTable::read(text.as_bytes(), "labels.csv").unwrap();
        assert_eq!(table.unused(), ["a", "b"]);
    }

    #[test]
    fn a_files_own_name_may_have_the_sign_that_stands_before_a_calls_id() {
        let text = "file,escalate,turn\nCall #12,yes,2\n9.5,no,\n";
        let mut table = LabelTable::read(text.as_bytes(), "labels.csv").unwrap();
        assert_eq!(labels(&mut table, "calls/Call #12.vtt"), Some((Some(true), Some(1))));
        assert_eq!(labels(&mut table, "calls/Call #9.5"), None);
        assert_eq!(labels(&mut table, "calls/Call #3.jsonl(9.5)"), Some((Some(false), None)));
    }

    #[test]
    fn what_means_nothing_is_named_by_line_and_column() {
        let said = |text: &str| LabelTable::read(text.as_bytes(), "l.csv").unwrap_err().to_string();
        assert!(
            said("file,escalate\na,yes\nb,maybe\n").contains("l.csv, line 3: escalate is \"maybe\"; give yes or no")
        );
        assert!(said("file,escalate,turn\na,yes,0\n").contains("turn is \"0\"; give a caller turn from 1"));
        assert!(said("call,escalate\na,yes\n").contains("no column \"file\""));
        assert!(said("file,escalate\na,yes\na,no\n").contains("line 3: \"a\" has a row already"));
        assert!(said("file,escalate\na,yes,3\n").contains("a row of 3 cells"));
        let mut table = LabelTable::read("file,escalate\na.vtt,yes\n".as_bytes(), "l.csv").unwrap();
        table.label(&mut source("x/a.vtt")).unwrap();
        let both = table.label(&mut source("y/a.vtt")).unwrap_err().to_string();
        assert!(both.contains("fits both x/a.vtt and y/a.vtt"), "{both}");
    }
}
