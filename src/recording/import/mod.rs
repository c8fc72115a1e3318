//! Transcripts in other forms, turned into recordings: platforms, recognisers and people each have their own.
//!
//! What a file is, its content says and never its name: `IMPORTERS` in `formats` has a row for each format, tried in order, the
//! most specific first. An importer turns foreign words into a `call::Call` of pieces with speakers and times, and
//! knows nothing else. What follows is the same for all of them:
//!
//! - `bytes`: gzip, byte order marks, UTF-16; `documents`: one JSON or many, without holding them all;
//! - `caller`: who of the speakers is the caller; `roles`: what role words mean;
//! - `turns`: pieces in order of time, joined until somebody else takes over; `marks`: what nobody said;
//! - `open`: calls whose rows are still coming; `reports`: calls that a log tells of more than once;
//! - `made`: the recording, on a clock of its own where the file has none.
//!
//! A file may hold many calls. They are read one by one, so that its size bounds no memory. To add a format, add a
//! file with its `looks` and `read`, and its row in `formats`.

mod assemblyai;
mod azure;
mod bytes;
mod call;
mod caller;
mod column_names;
mod columns;
mod contact_lens;
mod deepgram;
mod documents;
mod elevenlabs;
mod formats;
mod genesys;
mod google;
mod json;
mod labelled;
mod labels;
mod livekit;
mod made;
mod marks;
mod messages;
mod midnight;
mod notices;
mod open;
mod places;
mod plain;
mod post_call;
mod realtime;
mod reports;
mod retell;
mod rev;
mod roles;
mod rows;
mod segments;
mod source;
mod speechmatics;
mod stamps;
mod strings;
mod subtitles;
mod table;
#[cfg(test)]
mod tests;
mod times;
mod titles;
mod transcribe;
mod turns;
mod twilio;
mod vapi;
mod vcon;
mod within;
mod words;
mod zoom;

use std::io::{BufRead, Read};
use std::iter::Peekable;

use self::bytes::Opened;
use self::documents::{Document, Documents};
use self::formats::{IMPORTERS, Importer, Reads, importer_of};
use self::json::{Json, Keys};
use self::places::{Batch, Places, Ready};
use self::reports::Reports;
use self::rows::Rows;
use crate::recording::problem::{Problem, RecordingError};
use crate::recording::{CutLine, Recording};

pub use self::call::Labels;
pub use self::formats::Format;
pub use self::made::from_turns;
pub use self::source::Source;

/// How files are read.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// What to do about a recording's last line that stops in its middle.
    pub cut: CutLine,
    /// The format, whatever the content says: the name of an importer.
    pub format: Option<Format>,
    /// Who is the caller in files that do not say so: a speaker's name, number or channel.
    pub caller: Option<String>,
}

/// The calls of a file, one by one.
pub type Sources<'a> = Box<dyn Iterator<Item = Result<Source, RecordingError>> + 'a>;

/// Reads the calls of a file, whichever form it has; `file` names it in errors.
///
/// A call that does not fit is an error in its place, and the others go on; what is no JSON ends the file.
#[must_use]
pub fn read<'a>(input: impl BufRead + 'a, file: &str, options: &Options) -> Sources<'a> {
    match opened(input, file, options) {
        Ok(sources) => sources,
        Err(error) => Box::new(std::iter::once(Err(error))),
    }
}

fn opened<'a>(input: impl BufRead + 'a, file: &str, options: &Options) -> Result<Sources<'a>, RecordingError> {
    let unreadable = |error| Problem::Unreadable(error).at(file, 0);
    let Opened { mut input, head } = bytes::open(input).map_err(unreadable)?;
    let head = bytes::lines(bytes::head_text(&head));
    let importer = options.format.map(|format| format.0).or_else(|| importer_of_head(&head));
    let places = Places::new(file, options.caller.clone());
    match importer.map(|importer| (importer, &importer.reads)) {
        Some((_, Reads::Native)) => {
            let recording = Recording::read(input, file, options.cut)?;
            Ok(Box::new(std::iter::once(Ok(Source::native(file, recording)))))
        }
        Some((importer, Reads::Text { read, .. })) => {
            let mut bytes = Vec::new();
            (&mut input).take(MAX_TEXT + 1).read_to_end(&mut bytes).map_err(unreadable)?;
            if bytes.len() as u64 > MAX_TEXT {
                return Err(Problem::TooLarge { limit: MAX_TEXT }.at(file, 0));
            }
            let calls = read(&bytes::lines(bytes::text(&bytes)));
            Ok(Box::new(TextCalls::new(calls, importer.name, places)))
        }
        Some((importer, Reads::Table { .. })) => Ok(Box::new(table::Calls::new(input, &head, importer.name, places)?)),
        Some((importer, _)) => Ok(Box::new(JsonCalls::new(input, file, Some(importer), places))),
        None if is_json(&head) => Ok(Box::new(JsonCalls::new(input, file, None, places))),
        None if table::is_named_so(file) => Err(table::no_words("csv").at(file, 1)),
        None => Err(Problem::Unrecognised { found: text_shape(&head) }.at(file, 0)),
    }
}

/// Most bytes of a text that has to be seen as a whole: weeks of talk.
const MAX_TEXT: u64 = 128 * 1024 * 1024;

/// The importer that a file's beginning speaks of; `None` for JSON, whose documents say it, and for what is none.
fn importer_of_head(head: &str) -> Option<&'static Importer> {
    let text = head.trim_start();
    let native = || IMPORTERS.first();
    // Blank as far as one can see: its reader knows what to say.
    if text.is_empty() {
        return native();
    }
    if is_json(text) {
        let first_line = text.lines().next().unwrap_or_default();
        let is_header = serde_json::from_str(first_line)
            .is_ok_and(|line: serde_json::Value| line.get("type").is_some_and(|kind| kind == "recording"));
        return native().filter(|_| is_header || is_headless(first_line));
    }
    IMPORTERS.iter().find(|importer| match importer.reads {
        Reads::Text { looks, .. } | Reads::Table { looks } => looks(text),
        _ => false,
    })
}

/// A line that a recording holds, though not its first; of one that is cut, its beginning decides. A vCon's dialogs have
/// the type "recording" as well.
fn is_headless(line: &str) -> bool {
    match serde_json::from_str::<serde_json::Value>(line) {
        Ok(line) => line.get("at_ms").is_some() && line.get("type").is_some(),
        Err(_) => [r#"{"type":"recording""#, r#"{"at_ms":"#].iter().any(|begin| line.starts_with(begin)),
    }
}

/// Whether a text begins as JSON does; a stamp or label in brackets does not.
fn is_json(text: &str) -> bool {
    let mut bytes = text.trim_start().bytes();
    let first = bytes.next();
    let second = bytes.find(|byte| !byte.is_ascii_whitespace());
    match first {
        Some(b'{') => matches!(second, Some(b'"' | b'}') | None),
        Some(b'[') => matches!(second, Some(b'{' | b'[' | b']' | b'"') | None),
        _ => false,
    }
}

fn text_shape(head: &str) -> String {
    if head.contains('\0') || head.chars().filter(|c| c.is_control() && !c.is_whitespace()).count() > head.len() / 64 {
        return "bytes that are no text, such as audio or an archive".to_owned();
    }
    let lines = head.lines().filter(|line| !line.trim().is_empty()).count();
    format!("text of {lines} lines or more, none of which begins with a speaker's name and a colon")
}

/// The calls of a running text.
struct TextCalls {
    places: Places,
    ready: Ready,
}

impl TextCalls {
    fn new(calls: Result<Vec<call::Call>, call::Fault>, format: &'static str, places: Places) -> Self {
        let mut ready = Ready::default();
        ready.read(Batch { calls, format, line: 0, at: String::new(), many: false });
        Self { places, ready }
    }
}

impl Iterator for TextCalls {
    type Item = Result<Source, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.ready.next(&mut self.places)
    }
}

/// The calls of a file's JSON documents.
struct JsonCalls<'a> {
    documents: Peekable<Documents<'a>>,
    forced: Option<&'static Importer>,
    places: Places,
    many: bool,
    /// Rows on their way, with the importer, the line of the first and the array that they stand in.
    rows: Option<(Rows, &'static Importer, u64, Option<u64>)>,
    reports: Reports,
    ready: Ready,
    /// Nothing more of the file is worth reading.
    over: bool,
    /// Most bytes that the parts of one call may take.
    most_held: usize,
}

impl<'a> JsonCalls<'a> {
    fn new(input: Box<dyn BufRead + 'a>, file: &str, forced: Option<&'static Importer>, places: Places) -> Self {
        let documents = Documents::new(input, file).peekable();
        Self {
            documents,
            forced,
            places,
            many: false,
            rows: None,
            reports: Reports::default(),
            ready: Ready::default(),
            over: false,
            most_held: Keys::MOST_HELD,
        }
    }

    fn take(&mut self, document: Document) {
        let is_event = reports::is_event(&document.value);
        if is_event && !reports::is_report(&document.value) {
            return;
        }
        let Some(importer) = self.forced.or_else(|| importer_of(&document.value)) else {
            // Of a call that goes on there is nothing yet to tell.
            if is_event {
                return;
            }
            // A log of something else would be an error on each of its lines.
            self.over = self.places.calls == 0;
            self.places.calls += 1;
            let found = format!("JSON: {}", document.value.shape());
            self.ready.wrong(Problem::Unrecognised { found }.at(&self.places.file, document.line));
            return;
        };
        let (line, element, format) = (document.line, document.element, importer.name);
        let at = element.map_or_else(String::new, |(_, at)| format!("[{at}]"));
        let batch = match importer.reads {
            Reads::Calls { read, .. } if is_event => {
                let Some(calls) = self.reports.take(read(&document.value), line, format) else { return };
                Batch { calls, format, line, at, many: self.many }
            }
            Reads::Calls { read, .. } => {
                let own = document.value.is_object() && format == "labelled";
                let calls = read(&document.value);
                // It is held no longer than it is needed, and seldom with the next one.
                drop(document);
                self.many |= own || element.is_some() || self.documents.peek().is_some_and(Result::is_ok);
                Batch { calls, format, line, at, many: self.many }
            }
            Reads::Parts { keep, read, .. } => match self.parts(document, keep) {
                Ok((parts, lines)) => {
                    // Where each part has a line of its own, that is its place.
                    let calls = read(&parts).map_err(|fault| fault.on_line(&lines));
                    let line = calls.as_ref().err().and_then(|(_, line)| *line).unwrap_or(line);
                    let calls = calls.map_err(|(fault, _)| fault);
                    Batch { calls, format, line, at: String::new(), many: self.many }
                }
                Err(error) => return self.ready.wrong(error),
            },
            // A list within a list is a call by itself.
            Reads::Rows { read, .. } if document.value.is_list() => {
                self.many = true;
                Batch { calls: read(std::slice::from_ref(&document.value)), format, line, at, many: true }
            }
            Reads::Rows { .. } => {
                let mut rows = Rows::default();
                let taken = rows.take(document.value);
                self.rows = Some((rows, importer, line, element.map(|(array, _)| array)));
                match taken {
                    Ok(()) => return,
                    Err(fault) => Batch { calls: Err(fault), format, line, at: String::new(), many: self.many },
                }
            }
            _ => return,
        };
        self.ready.read(batch);
    }

    /// The next call of rows that are read one by one; `None` when all of them are.
    fn next_of_rows(&mut self) -> Option<Result<Source, RecordingError>> {
        let (rows, importer, line, array) = self.rows.as_mut()?;
        let belongs = |next: &Result<Document, RecordingError>| match next {
            Ok(next) => next.element.map(|(array, _)| array) == *array && !next.value.is_list(),
            Err(_) => true,
        };
        loop {
            if let Some(call) = rows.open.overdue() {
                self.many = true;
                return Some(self.places.source(call, importer.name, *line, "", true));
            }
            let taken = match self.documents.next_if(belongs) {
                Some(Ok(next)) if next.value.is_object() => {
                    rows.take(next.value).map_err(|fault| self.places.fault(fault, importer.name, next.line, ""))
                }
                Some(Ok(_)) => Ok(()),
                Some(Err(error)) => {
                    // What follows would be read as calls that begin in the middle.
                    self.over = true;
                    Err(error)
                }
                None => break,
            };
            if let Err(error) = taken {
                self.places.calls += 1;
                self.rows = None;
                return Some(Err(error));
            }
        }
        let finished = rows.finish();
        self.many |= !rows.open.is_single() || self.documents.peek().is_some();
        let calls: Vec<_> = std::iter::from_fn(|| rows.open.oldest()).collect();
        for calls in finished.err().map(Err).into_iter().chain([Ok(calls)]) {
            self.ready.read(Batch { calls, format: importer.name, line: *line, at: String::new(), many: self.many });
        }
        self.rows = None;
        self.ready.next(&mut self.places)
    }

    /// A call out of the log of a platform's messages.
    fn reported(&mut self, (call, line, format): reports::Reported) -> Result<Source, RecordingError> {
        let many = self.many || self.reports.many || self.places.calls > 0;
        self.places.source(call, format, line, "", many)
    }

    /// The document and those that go with it: the rest of its array, or all that stand by themselves; with the lines of
    /// these.
    fn parts(&mut self, first: Document, keep: fn(&Json) -> bool) -> Result<(Vec<Json>, Vec<u64>), RecordingError> {
        // A list within a list is a call by itself.
        if first.value.is_list() {
            self.many = true;
            return Ok((vec![first.value], Vec::new()));
        }
        let array = first.element.map(|(array, _)| array);
        let own_lines = array.is_none();
        let (mut parts, mut lines, mut held) = (Vec::new(), Vec::new(), 0);
        if keep(&first.value) {
            held += first.held;
            lines.push(first.line);
            parts.push(first.value);
        }
        let belongs = |next: &Result<Document, RecordingError>| match next {
            Ok(next) => next.element.map(|(array, _)| array) == array && !next.value.is_list(),
            Err(_) => true,
        };
        while let Some(next) = self.documents.next_if(belongs) {
            // What follows would be read as a call that begins in the middle.
            let next = next.inspect_err(|_| self.over = true)?;
            if keep(&next.value) {
                // Each may be small; the call is all of them.
                held += next.held + size_of::<u64>();
                if held > self.most_held {
                    // What follows would be read as a call that begins in the middle.
                    self.over = true;
                    self.places.calls += 1;
                    return Err(Problem::TooLarge { limit: self.most_held as u64 }.at(&self.places.file, next.line));
                }
                lines.push(next.line);
                parts.push(next.value);
            }
        }
        self.many |= self.documents.peek().is_some();
        Ok((parts, if own_lines { lines } else { Vec::new() }))
    }
}

impl Iterator for JsonCalls<'_> {
    type Item = Result<Source, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(source) = self.ready.next(&mut self.places) {
                return Some(source);
            }
            if let Some(source) = self.next_of_rows() {
                return Some(source);
            }
            if let Some(reported) = self.reports.overdue() {
                return Some(self.reported(reported));
            }
            match self.documents.next().filter(|_| !self.over) {
                Some(Ok(document)) => self.take(document),
                Some(Err(error)) => {
                    self.places.calls += 1;
                    return Some(Err(error));
                }
                None if !self.reports.is_empty() => {
                    return self.reports.oldest().map(|reported| self.reported(reported));
                }
                None if self.places.calls == 0 => {
                    self.places.calls += 1;
                    return Some(Err(Problem::NothingSaid.at(&self.places.file, 0)));
                }
                None => return None,
            }
        }
    }
}
