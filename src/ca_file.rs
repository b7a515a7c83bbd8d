//! A PEM file of CA certificates: read and parsed, with a sentence for each way in which that fails.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};

use crate::failure::{Failure, Why};

/// Larger than any bundle in use, so that a device or a wrong file does not fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// The certificates of one PEM file, all of them usable as roots of trust.
pub struct CaFile {
    pub anchors: Vec<TrustAnchor<'static>>,
    /// The certificates themselves: a server's own self-signed one may stand here.
    pub certificates: Vec<CertificateDer<'static>>,
}

/// Why a file gives no certificates.
pub struct Unusable {
    why: String,
    /// It may be good: this process has no descriptor or memory left to read it.
    resources: bool,
}

impl Unusable {
    fn new(why: String) -> Unusable {
        Unusable { why, resources: false }
    }

    pub fn reading(what: impl fmt::Display, error: &io::Error) -> Unusable {
        let resources = matches!(error.raw_os_error(), Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM));
        Unusable { why: format!("{what} can't be read: {error}"), resources }
    }

    /// Whether the same file may be read another time.
    pub fn is_for_want_of_resources(&self) -> bool {
        self.resources
    }

    /// The failure that this is, as `kind` unless the process is to blame; `what` names the file's part in it.
    pub fn into_failure(self, what: &str, kind: fn(Why) -> Failure) -> Failure {
        let why = format!("{what}{}", self.why).into();
        if self.resources { Failure::Resources(why) } else { kind(why) }
    }
}

impl CaFile {
    /// Reads a file that somebody named: one broken certificate in it is an error.
    pub fn read(path: &Path) -> Result<CaFile, Unusable> {
        let (file, broken) = CaFile::read_leniently(path)?;
        match broken {
            0 => Ok(file),
            _ => Err(Unusable::new(format!("{} holds a certificate that can't be parsed", path.display()))),
        }
    }

    /// Reads a file and counts, instead of refusing, certificates that can't be used: a system's store may hold old
    /// ones, and the rest of it is good. Fails when nothing is left.
    pub fn read_leniently(path: &Path) -> Result<(CaFile, usize), Unusable> {
        let name = path.display();
        let text = read_bounded(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => Unusable::new(format!("{name} does not exist")),
            io::ErrorKind::FileTooLarge => Unusable::new(format!("{name} is larger than 64 MiB")),
            _ => Unusable::reading(&name, &error),
        })?;
        if text.is_empty() {
            return Err(Unusable::new(format!("{name} is empty")));
        }
        let mut file = CaFile { anchors: Vec::new(), certificates: Vec::new() };
        let mut broken = 0;
        for certificate in CertificateDer::pem_slice_iter(&text) {
            let anchor = match &certificate {
                Err(_) => None,
                Ok(der) => webpki::anchor_from_trusted_cert(der).ok().map(|anchor| anchor.to_owned()),
            };
            match (anchor, certificate) {
                (Some(anchor), Ok(certificate)) => {
                    file.anchors.push(anchor);
                    file.certificates.push(certificate);
                }
                _ => broken += 1,
            }
        }
        match (file.anchors.is_empty(), broken) {
            (false, _) => Ok((file, broken)),
            (true, 0) => Err(Unusable::new(format!("{name} holds no PEM certificate"))),
            (true, _) => Err(Unusable::new(format!("{name} holds a certificate that can't be parsed"))),
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Not blocking: opening a named pipe waits for a writer else.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(path)?;
    let kind = file.metadata()?;
    if !kind.is_file() {
        // Reading from a device or a named pipe might never end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = Vec::with_capacity(kind.len().min(MOST_BYTES) as usize + 1);
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}
