//! Files of lines that a later process goes on with ([`go_on`]): recordings and journals.

use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom};
use std::path::Path;

/// The most that is read at once of a file's end.
const CHUNK: u64 = 64 * 1024;

/// Opens a file for appending whole lines, by its owner only, for it holds what the caller said. What a process that died
/// left of a last line is cut off; a file whose first line is not `ours` is left as it is.
///
/// # Errors
/// When the file cannot be opened, read or cut; [`io::ErrorKind::AlreadyExists`] when it is not ours.
pub fn go_on(path: &Path, ours: impl Fn(&str) -> bool) -> io::Result<File> {
    let mut options = File::options();
    options.read(true).append(true).create(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    let length = file.seek(SeekFrom::End(0))?;
    if length > 0 && !ours(&first_line(&mut file)?) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    let whole = end_of_last_line(&mut file, length)?;
    if whole < length {
        tracing::warn!(path = %path.display(), "the last line was cut off by a process that died; it is taken out");
        file.set_len(whole)?;
    }
    Ok(file)
}

fn first_line(file: &mut File) -> io::Result<String> {
    file.seek(SeekFrom::Start(0))?;
    let mut line = Vec::new();
    BufReader::new(file).take(CHUNK + 1024).read_until(b'\n', &mut line)?;
    Ok(String::from_utf8_lossy(&line).into_owned())
}

/// The last whole line of a file, without its end.
///
/// # Errors
/// When the file cannot be read.
pub(super) fn last_line(file: &mut File) -> io::Result<Option<String>> {
    let length = file.seek(SeekFrom::End(0))?;
    if length == 0 {
        return Ok(None);
    }
    let begin = end_of_last_line(file, length - 1)?;
    file.seek(SeekFrom::Start(begin))?;
    let mut line = Vec::new();
    file.take(length - 1 - begin).read_to_end(&mut line)?;
    Ok(Some(String::from_utf8_lossy(&line).into_owned()))
}

/// Where the last line end before `until` ends; 0 where there is none.
fn end_of_last_line(file: &mut File, until: u64) -> io::Result<u64> {
    let mut end = until;
    let mut chunk = Vec::new();
    while end > 0 {
        let begin = end.saturating_sub(CHUNK);
        file.seek(SeekFrom::Start(begin))?;
        chunk.clear();
        file.take(end - begin).read_to_end(&mut chunk)?;
        if let Some(at) = chunk.iter().rposition(|byte| *byte == b'\n') {
            // Within the chunk, so it fits.
            return Ok(begin + at as u64 + 1);
        }
        end = begin;
    }
    Ok(0)
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use std::io::Write;

    use super::*;

    #[test]
    fn what_is_not_ours_stays_as_it_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "mine\nand this").unwrap();
        let error = go_on(&path, |first| first.starts_with("ours")).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "mine\nand this");
    }

    #[test]
    fn a_file_goes_on_after_its_last_whole_line_however_long_the_torn_one_is() {
        let folder = tempfile::tempdir().unwrap();
        for torn in [0, 1, CHUNK as usize - 1, CHUNK as usize, 3 * CHUNK as usize] {
            for whole in ["", "one\n", "one\ntwo\n"] {
                let path = folder.path().join("lines");
                std::fs::write(&path, format!("{whole}{}", "x".repeat(torn))).unwrap();
                let mut file = go_on(&path, |_| true).unwrap();
                assert_eq!(last_line(&mut file).unwrap().as_deref(), whole.lines().last());
                file.write_all(b"next\n").unwrap();
                assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{whole}next\n"));
            }
        }
    }
}
