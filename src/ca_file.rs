//! A PEM file of CA certificates: read and parsed, with a sentence for each way in which that fails.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, TrustAnchor};

/// Larger than any bundle in use, so that a device or a wrong file does not fill the memory.
const MOST_BYTES: u64 = 64 << 20;

/// The certificates of one PEM file, all of them usable as roots of trust.
pub struct CaFile {
    pub anchors: Vec<TrustAnchor<'static>>,
    /// The certificates themselves: a server's own self-signed one may stand here.
    pub certificates: Vec<CertificateDer<'static>>,
}

impl CaFile {
    /// Reads a file that somebody named: one broken certificate in it is an error.
    pub fn read(path: &Path) -> Result<CaFile, String> {
        let (file, broken) = CaFile::read_leniently(path)?;
        match broken {
            0 => Ok(file),
            _ => Err(format!("{}: holds a certificate that can't be parsed", path.display())),
        }
    }

    /// Reads a file and counts, instead of refusing, certificates that can't be used: a system's store may hold old
    /// ones, and the rest of it is good. Fails when nothing is left.
    pub fn read_leniently(path: &Path) -> Result<(CaFile, usize), String> {
        let name = path.display();
        let text = read_bounded(path).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => format!("{name}: there is no such file"),
            io::ErrorKind::FileTooLarge => format!("{name}: is larger than 64 MiB"),
            _ => format!("{name}: can't be read: {error}"),
        })?;
        if text.is_empty() {
            return Err(format!("{name}: is empty"));
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
            (true, 0) => Err(format!("{name}: holds no PEM certificate")),
            (true, _) => Err(format!("{name}: holds a certificate that can't be parsed")),
        }
    }
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let kind = file.metadata()?;
    if !kind.is_file() {
        // Reading from a device or a named pipe might never end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = Vec::with_capacity(kind.len().min(MOST_BYTES) as usize + 1);
    file.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}
