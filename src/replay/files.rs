//! Recordings on disk: files, folders of them, or the standard input.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::{Path, PathBuf};

use crate::recording::CutLine;
use crate::recording::import::{self, Source};
use crate::recording::problem::{Problem, RecordingError};

/// All files behind the paths, in order: a folder stands for the `*.jsonl` files in it and below, by name.
///
/// What cannot be listed comes as an error in its place, so that the rest is still read.
#[must_use]
pub fn find(paths: &[PathBuf]) -> Vec<Result<PathBuf, RecordingError>> {
    let mut found = Vec::new();
    for path in paths {
        if !path.is_dir() {
            found.push(Ok(path.clone()));
            continue;
        }
        let before = found.len();
        match walk(path, &mut found) {
            Err(error) => found.push(Err(Problem::Unreadable(error).at(&name(path), 0))),
            Ok(()) if found.len() == before => found.push(Err(Problem::NoRecordings.at(&name(path), 0))),
            Ok(()) => {}
        }
    }
    found
}

fn walk(folder: &Path, found: &mut Vec<Result<PathBuf, RecordingError>>) -> io::Result<()> {
    let mut entries = std::fs::read_dir(folder)?.map(|entry| Ok(entry?.path())).collect::<io::Result<Vec<_>>>()?;
    entries.sort();
    for path in entries {
        // A link to a folder may lead in a circle.
        if path.is_dir() && !path.is_symlink() {
            walk(&path, found)?;
        } else if path.extension().is_some_and(|extension| extension == "jsonl") {
            found.push(Ok(path));
        }
    }
    Ok(())
}

/// Reads the calls of one file; `-` is the standard input.
///
/// # Errors
/// [`RecordingError`] names the file, the line, and what would be right.
pub fn open(path: &Path, cut: CutLine) -> Result<Vec<Source>, RecordingError> {
    if path.as_os_str() == "-" {
        return import::read(io::stdin().lock(), "-", cut);
    }
    let name = name(path);
    let file = File::open(path).map_err(|error| Problem::Unreadable(error).at(&name, 0))?;
    import::read(BufReader::new(file), &name, cut)
}

fn name(path: &Path) -> String {
    path.display().to_string()
}
