//! Transcripts on disk: files, folders of them, patterns, or the standard input.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::recording::import::{self, Options, Sources};
use crate::recording::problem::{Problem, RecordingError};

/// What stands beside transcripts in a folder and is none: sound, pictures, archives. A file that is named is read all
/// the same.
const NOT_TEXT: [&str; 24] = [
    "aac", "aif", "aiff", "amr", "avi", "flac", "gif", "jpeg", "jpg", "m4a", "mkv", "mov", "mp3", "mp4", "oga", "ogg",
    "opus", "pdf", "png", "tar", "wav", "webm", "wma", "zip",
];

/// All files behind the paths, in order: a folder stands for the files in it and below, by name; a pattern such as
/// `calls/**/*.json` for what it fits.
///
/// What cannot be listed comes as an error in its place, so that the rest is still read.
#[must_use]
pub fn find(paths: &[PathBuf]) -> Vec<Result<PathBuf, RecordingError>> {
    let mut found = Vec::new();
    for path in paths {
        if path.is_dir() {
            folder(path, &mut found);
        } else if is_pattern(path) && !path.exists() {
            pattern(path, &mut found);
        } else {
            found.push(Ok(path.clone()));
        }
    }
    found
}

fn is_pattern(path: &Path) -> bool {
    path.to_str().is_some_and(|text| text.contains(['*', '?', '[']))
}

/// Shells expand patterns, but not where they are quoted, and not on every system.
fn pattern(path: &Path, found: &mut Vec<Result<PathBuf, RecordingError>>) {
    let before = found.len();
    match glob::glob(&name(path)) {
        Err(error) => found.push(Err(Problem::Unreadable(io::Error::other(error)).at(&name(path), 0))),
        Ok(matches) => {
            for matched in matches {
                match matched {
                    Ok(path) if path.is_dir() => {}
                    Ok(path) => found.push(Ok(path)),
                    Err(error) => found.push(Err(Problem::Unreadable(io::Error::other(error)).at(&name(path), 0))),
                }
            }
            if found.len() == before {
                found.push(Err(Problem::NoRecordings.at(&name(path), 0)));
            }
        }
    }
}

fn folder(path: &Path, found: &mut Vec<Result<PathBuf, RecordingError>>) {
    let before = found.len();
    match walk(path, found) {
        Err(error) => found.push(Err(Problem::Unreadable(error).at(&name(path), 0))),
        Ok(()) if found.len() == before => found.push(Err(Problem::NoRecordings.at(&name(path), 0))),
        Ok(()) => {}
    }
}

fn walk(folder: &Path, found: &mut Vec<Result<PathBuf, RecordingError>>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        // A link to a folder may lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else if path.is_file() && may_be_text(&path) {
            found.push(Ok(path));
        }
    }
    Ok(())
}

fn may_be_text(path: &Path) -> bool {
    let hidden = path.file_name().is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
    let extension = path.extension().map(|extension| extension.to_string_lossy().to_lowercase());
    !hidden && extension.is_none_or(|extension| !NOT_TEXT.contains(&extension.as_str()))
}

/// Reads the calls of one file, one by one; `-` is the standard input. `bytes` has how many of the file's bytes have been
/// read by then.
///
/// What cannot be read comes as an error in its place: [`RecordingError`] names the file, the line or the path within
/// it, and what would be right.
#[must_use]
pub fn open(path: &Path, options: &Options, bytes: &Arc<AtomicU64>) -> Sources<'static> {
    if path.as_os_str() == "-" {
        return import::read(BufReader::new(io::stdin()), "-", options);
    }
    let name = name(path);
    match File::open(path) {
        Ok(file) => {
            let counted = Counted { file, bytes: Arc::clone(bytes) };
            import::read(BufReader::new(counted), &name, options)
        }
        Err(error) => Box::new(std::iter::once(Err(Problem::Unreadable(error).at(&name, 0)))),
    }
}

/// A file whose bytes are counted as they are read.
struct Counted {
    file: File,
    bytes: Arc<AtomicU64>,
}

impl Read for Counted {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.bytes.fetch_add(read as u64, Ordering::Relaxed);
        Ok(read)
    }
}

fn name(path: &Path) -> String {
    path.display().to_string()
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn folders_patterns_and_files_are_found_and_sound_is_passed_over() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir(at("below")).unwrap();
        for name in ["b.csv", "a.json", "call.WAV", ".hidden", "below/c.vtt"] {
            std::fs::write(at(name), "x").unwrap();
        }
        let found = |paths: &[PathBuf]| find(paths).into_iter().map(Result::unwrap).collect::<Vec<_>>();
        assert_eq!(found(&[folder.path().to_owned()]), [at("a.json"), at("b.csv"), at("below/c.vtt")]);
        assert_eq!(found(&[at("*.json"), at("**/*.vtt")]), [at("a.json"), at("below/c.vtt")]);
        assert!(find(&[at("*.srt")])[0].is_err());
        assert_eq!(found(&[at("call.WAV")]), [at("call.WAV")], "what is named is tried");
    }
}
