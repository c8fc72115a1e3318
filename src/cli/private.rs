//! New files that hold what callers said: only their owner may read them, and nothing is overwritten.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Writes a new file.
///
/// # Errors
/// When it cannot be written; [`io::ErrorKind::AlreadyExists`] when it is there. What is no file, such as a pipe or
/// `/dev/null`, has nothing that could be lost, and is written to.
pub(super) fn save(path: &Path, write: impl FnOnce(&mut dyn Write) -> io::Result<()>) -> io::Result<()> {
    let mut options = File::options();
    options.write(true);
    if !holds_nothing(path) {
        options.create_new(true);
        #[cfg(unix)]
        std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    }
    let mut out = BufWriter::new(options.open(path)?);
    write(&mut out)?;
    out.flush()
}

/// Says early that [`save`] would find something there.
///
/// # Errors
/// [`io::ErrorKind::AlreadyExists`].
pub(super) fn check(path: &Path) -> io::Result<()> {
    if path.symlink_metadata().is_ok() && !holds_nothing(path) {
        return Err(io::ErrorKind::AlreadyExists.into());
    }
    Ok(())
}

/// Whether there is something that is neither a file nor a folder.
fn holds_nothing(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|about| !about.is_file() && !about.is_dir())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test that cannot go on should panic")]

    use super::*;

    #[test]
    fn a_new_file_is_its_owners_and_one_that_is_there_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new");
        check(&path).unwrap();
        save(&path, |out| out.write_all(b"said")).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        }
        assert_eq!(check(&path).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(save(&path, |_| Ok(())).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"said");
        check(Path::new("/dev/null")).unwrap();
        save(Path::new("/dev/null"), |out| out.write_all(b"said")).unwrap();
    }
}
