//! A file that needs more memory than the process may use causes an error, and does not abort the process.

mod common;

use std::fs;
use std::process::Command;

use common::*;
use couchdrop::error::cd_code::*;

/// Set in the process whose memory is limited.
const LIMITED: &str = "COUCHDROP_TEST_LIMITED";

/// Allows this process this much more memory than it has now.
fn limit_memory(more: u64) {
    let pages: u64 =
        fs::read_to_string("/proc/self/statm").unwrap().split(' ').next().unwrap().parse().unwrap();
    // SAFETY: `limit` is only accessed during the calls.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE) as u64;
        let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
        assert_eq!(libc::getrlimit(libc::RLIMIT_AS, &mut limit), 0);
        limit.rlim_cur = (pages * page + more) as libc::rlim_t;
        assert_eq!(libc::setrlimit(libc::RLIMIT_AS, &limit), 0);
    }
}

#[test]
fn ca_file_that_exceeds_memory_is_an_error() {
    let this = "ca_file_that_exceeds_memory_is_an_error";
    let Some(path) = std::env::var_os(LIMITED) else {
        let path = format!("{}/memory-{}.pem", env!("CARGO_TARGET_TMPDIR"), std::process::id());
        // The largest permitted file, which exceeds the allocator's reserve. It is sparse, so it takes no space on the
        // disk.
        fs::File::create(&path).unwrap().set_len(64 << 20).unwrap();
        let done = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", this])
            .env(LIMITED, &path)
            .output()
            .unwrap();
        fs::remove_file(&path).unwrap();
        let stdout = String::from_utf8_lossy(&done.stdout);
        let errors = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.success() && stdout.contains("1 passed"), "{}: {stdout}{errors}", done.status);
        return;
    };
    let path = path.to_str().unwrap();
    let options = Options::new();
    limit_memory(16 << 20);
    let error = options.set_ca_file(path).map(drop).unwrap_err();
    assert_eq!(error.code, CD_ERR_RESOURCES);
    assert!(error.message.contains(path) && error.message.contains("out of memory"), "{}", error.message);
}
