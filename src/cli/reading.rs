//! The calls of all files that a command is given, one by one as they are fetched, and how far through the files that
//! is.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::recording::import::{Options, Source, Sources};
use crate::recording::problem::{Problem, RecordingError};
use crate::replay::files;

/// How far reading has come.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Way {
    /// How many files have been read to their end.
    pub(super) files: usize,
    /// How many there are.
    pub(super) of: usize,
    /// Which share of all their bytes has been read (0 to 1); none where nobody knows how many they are.
    pub(super) share: Option<f64>,
}

/// All calls of all files.
pub(super) struct Reading {
    files: std::vec::IntoIter<Result<PathBuf, RecordingError>>,
    options: Options,
    file: Option<OneFile>,
    of: usize,
    /// The bytes of all files, and of those that have been read to their end.
    bytes: Option<u64>,
    before: u64,
}

/// A file that is being read.
struct OneFile {
    calls: Sources<'static>,
    size: u64,
    read: Arc<AtomicU64>,
    /// Whether something of it could not be read.
    failed: bool,
}

impl Reading {
    /// Of these files, which [`files::find`] found.
    pub(super) fn new(found: Vec<Result<PathBuf, RecordingError>>, options: Options) -> Self {
        let bytes = found.iter().flatten().map(|path| size(path)).sum();
        Self { of: found.len(), files: found.into_iter(), options, file: None, bytes, before: 0 }
    }

    /// The next call, and how far it lies through the files.
    pub(super) fn fetch(&mut self) -> Option<(Result<Source, RecordingError>, Way)> {
        let call = self.next()?;
        Some((call, self.way()))
    }

    /// How far it has come.
    pub(super) fn way(&self) -> Way {
        let opened = self.of - self.files.len();
        let (under_way, read) = match &self.file {
            Some(file) => (1, file.read.load(Ordering::Relaxed).min(file.size)),
            None => (0, 0),
        };
        let share = self.bytes.filter(|bytes| *bytes > 0).map(|bytes| (self.before + read) as f64 / bytes as f64);
        Way { files: opened - under_way, of: self.of, share }
    }
}

impl Iterator for Reading {
    type Item = Result<Source, RecordingError>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(file) = &mut self.file else {
                match self.files.next()? {
                    Err(error) => return Some(Err(error)),
                    Ok(path) => {
                        let read = Arc::new(AtomicU64::new(0));
                        let calls = files::open(&path, &self.options, &read);
                        let size = size(&path).unwrap_or_default();
                        self.file = Some(OneFile { calls, size, read, failed: false });
                        continue;
                    }
                }
            };
            match file.calls.next() {
                // That nothing is left of a file follows from what was said of it before.
                Some(Err(RecordingError { problem: Problem::NothingSaid, .. })) if file.failed => {}
                Some(Err(error)) => {
                    file.failed = true;
                    return Some(Err(error));
                }
                Some(Ok(source)) => return Some(Ok(source)),
                None => {
                    self.before += file.size;
                    self.file = None;
                }
            }
        }
    }
}

/// How long a file is; none of what nobody knows the end of, such as the standard input. What is not there has no
/// bytes.
fn size(path: &Path) -> Option<u64> {
    match std::fs::metadata(path) {
        _ if path.as_os_str() == "-" => None,
        Ok(about) => about.is_file().then_some(about.len()),
        Err(_) => Some(0),
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;
    use crate::recording::CutLine;

    fn options() -> Options {
        Options { cut: CutLine::Refuse, format: None, caller: None }
    }

    #[test]
    fn it_tells_how_far_it_is_by_files_and_by_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let text = "Agent: Hello.\nCaller: Hi.\n";
        for name in ["a.txt", "b.txt", "c.txt"] {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let mut reading = Reading::new(files::find(&[folder.path().to_owned()]), options());
        assert_eq!(reading.way(), Way { files: 0, of: 3, share: Some(0.0) });
        for done in 0..3 {
            assert!(reading.next().unwrap().is_ok());
            let way = reading.way();
            assert_eq!((way.files, way.of), (done, 3));
            assert!((way.share.unwrap() - (done + 1) as f64 / 3.0).abs() < 1e-9, "{way:?}");
        }
        assert!(reading.next().is_none());
        assert_eq!(reading.way(), Way { files: 3, of: 3, share: Some(1.0) });
        let unknown = Reading::new(vec![Ok("-".into()), Ok(folder.path().join("a.txt"))], options());
        assert_eq!(unknown.way().share, None, "nobody knows how long the standard input is");
    }

    #[test]
    fn a_file_that_breaks_off_is_told_of_once() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.json");
        let turns = ["{\"role\":\"user\",\"content\":\"hi\"}", "{\"role\": \"agent\" \"content\": \"x\"}"];
        let text = format!("{{\n \"transcript\": [\n  {},\n  {}\n ]\n}}\n", turns[0], turns[1]);
        std::fs::write(&path, text).unwrap();
        let said: Vec<String> =
            Reading::new(vec![Ok(path)], options()).map(|read| read.unwrap_err().to_string()).collect();
        let [said] = &said[..] else { panic!("{said:?}") };
        assert!(said.contains("broken.json, line 4: not JSON at column 2"), "{said}");
    }
}
