//! Files whose content the library keeps: opening them, and stamps that show if they have changed.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Opens a file for reading. Does not block on a named pipe without a writer.
pub fn open_nonblocking(path: &Path) -> io::Result<File> {
    File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)
}

/// The identity and state of a file, with symbolic links followed.
#[derive(PartialEq)]
pub struct FileState {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// The inode's ctime, which can't be set back.
    changed: (i64, i64),
}

impl FileState {
    /// None if the file can't be reached.
    pub fn of(path: &Path) -> Option<FileState> {
        fs::metadata(path).ok().map(|found| FileState {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    #[cfg(test)]
    pub fn changed_at(seconds: i64) -> FileState {
        FileState { device: 1, inode: 1, size: 1, modified: (0, 0), changed: (seconds, 0) }
    }

    pub fn changed_before(&self, moment: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let changed = Duration::new(seconds.try_into().unwrap_or(0), nanoseconds.try_into().unwrap_or(0));
        moment.duration_since(UNIX_EPOCH).is_ok_and(|moment| changed < moment)
    }
}
