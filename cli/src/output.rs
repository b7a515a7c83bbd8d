//! Standard output. Rust's own keeps a copy of what it writes, which is not wiped.

use std::io;

use couchdrop::secret::Secret;
use rustix::io::Errno;

use crate::failure::Failure;

/// Writes a text that may contain the token.
pub fn write(text: &Secret) -> Result<(), Failure> {
    let mut rest = &text[..];
    while !rest.is_empty() {
        match rustix::io::write(rustix::stdio::stdout(), rest) {
            Ok(count) => rest = rest.get(count..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(Failure::output(&io::Error::from(errno))),
        }
    }
    Ok(())
}
