//! Files and directories that contain trusted certificates: reading them, and noticing that they changed.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ca_file::{self, Unusable};
use crate::certificates::{Certificates, NotAdded};
use crate::sys::file::FileState;

/// Two changes of a file within one tick of the kernel's clock have the same ctime.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// A file or directory that contains certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system's file. Certificates in it that can't be parsed are skipped.
    Bundle(&'static Path),
    File(PathBuf),
    /// Its certificates are named by their hash, as OpenSSL looks them up.
    Directory(PathBuf),
}

impl Source {
    /// `again` is true if the source was read before: a bundle that ends within a certificate is then being replaced.
    pub fn read(&self, again: bool) -> Result<Certificates, Unusable> {
        match self {
            Source::Bundle(path) if again => ca_file::read_again(path),
            Source::Bundle(path) => ca_file::read_leniently(path),
            Source::File(path) => ca_file::read(path),
            Source::Directory(path) => read_directory(path),
        }
    }

    /// Returns a stamp that shows whether the files have changed since they were read.
    pub fn stamp(&self) -> Stamp {
        let mut files = Vec::new();
        match self {
            Source::Bundle(path) => files.push(FileStamp::of(path)),
            Source::File(path) => files.push(FileStamp::of(path)),
            Source::Directory(path) => {
                files.push(FileStamp::of(path));
                let inside = certificates_in(path).unwrap_or_default();
                files.extend(inside.iter().map(|path| FileStamp::of(path)));
            }
        }
        Stamp { files, taken: SystemTime::now() }
    }
}

pub struct Stamp {
    files: Vec<FileStamp>,
    taken: SystemTime,
}

impl Stamp {
    /// True if no change is possible between this stamp and a later one.
    pub fn is_unchanged(&self, later: &Stamp) -> bool {
        let oldest = self.taken.checked_sub(CLOCK_TICK).unwrap_or(UNIX_EPOCH);
        self.files == later.files && self.files.iter().all(|file| file.changed_before(oldest))
    }
}

#[derive(PartialEq)]
struct FileStamp {
    path: PathBuf,
    found: Option<FileState>,
}

impl FileStamp {
    fn of(path: &Path) -> FileStamp {
        FileStamp { path: path.to_owned(), found: FileState::of(path) }
    }

    fn changed_before(&self, moment: SystemTime) -> bool {
        self.found.as_ref().is_none_or(|found| found.changed_before(moment))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Bundle(path) => write!(f, "{}", path.display()),
            Source::File(path) | Source::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The first existing path. One that exists but can't be reached counts: reading it then gives the reason.
pub fn first_existing(paths: &'static [&'static str]) -> Option<&'static Path> {
    paths.iter().map(Path::new).find(|path| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    })
}

fn read_directory(directory: &Path) -> Result<Certificates, Unusable> {
    let reading = |error| Unusable::reading(directory.display(), &error);
    let mut all = Certificates::default();
    for path in certificates_in(directory).map_err(reading)? {
        match ca_file::read_leniently(&path) {
            Ok(file) => all.add_all(&file).map_err(|error| match error {
                NotAdded::OutOfMemory => reading(io::ErrorKind::OutOfMemory.into()),
                NotAdded::Unreadable => Unusable::new(format!("{} can't be parsed", path.display())),
            })?,
            // Without this file the store would lack a root, and the cache would keep it like that.
            Err(unusable) if unusable.is_resources() => return Err(unusable),
            // OpenSSL skips it too: it looks a certificate up when it needs it.
            Err(_) => {}
        }
    }
    Ok(all)
}

/// The files of a directory that OpenSSL would read: those named by a hash (`c_rehash`).
fn certificates_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_hash = |name: &OsStr| {
        let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else { return false };
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_hash(&entry.file_name()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn recent_change_is_never_taken_for_unchanged() {
        let stamp = |changed: i64, taken: u64| {
            let files = vec![FileStamp {
                path: PathBuf::from("ca.pem"),
                found: Some(FileState::changed_at(changed)),
            }];
            Stamp { files, taken: UNIX_EPOCH + Duration::from_secs(taken) }
        };
        assert!(stamp(5, 6).is_unchanged(&stamp(5, 9)));
        // Changed just before its stamp: a second change may have the same time.
        assert!(!stamp(5, 5).is_unchanged(&stamp(5, 9)));
        assert!(!stamp(5, 6).is_unchanged(&stamp(6, 9)));
    }
}
