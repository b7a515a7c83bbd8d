//! The certificates of a PEM file (RFC 7468). None is lost: text that looks like a certificate and can't be parsed is
//! reported. curl and OpenSSL skip some of it.

/// The label of a PEM block.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    Certificate,
    /// OpenSSL's label, with auxiliary trust data after the certificate.
    Trusted,
    /// A key, a request, or anything else.
    Other,
}

/// The base64 text of one certificate.
#[derive(Debug, PartialEq, Eq)]
pub struct Block<'a> {
    pub label: Label,
    /// The number of its first line.
    pub line: usize,
    pub text: &'a [u8],
}

/// Text that may be a certificate but can't be parsed as one.
#[derive(Debug, PartialEq, Eq)]
pub struct Malformed {
    pub line: usize,
    pub why: &'static str,
}

/// The blocks of `text`, in order. Text around them is skipped.
pub struct Blocks<'a> {
    text: &'a [u8],
    /// The start of the next line.
    at: usize,
    line: usize,
    open: Option<Open<'a>>,
    /// A line of base64 was found outside any block.
    has_stray_base64: bool,
    /// A line outside any block begins like the base64 of a certificate.
    has_stray_certificate: bool,
}

/// A block whose END line was not found yet.
struct Open<'a> {
    name: &'a [u8],
    line: usize,
    /// The start of its text.
    from: usize,
}

/// Also the defect of a file that is being written.
pub const NO_END: &str = "starts a block without an END line";
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";
const DASHES: &[u8] = b"-----";
/// A line of base64 of at least this length is not a word of a text.
const BASE64_LINE: usize = 40;

pub fn certificates(text: &[u8]) -> Blocks<'_> {
    Blocks { text, at: 0, line: 0, open: None, has_stray_base64: false, has_stray_certificate: false }
}

impl<'a> Iterator for Blocks<'a> {
    type Item = Result<Block<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.at < self.text.len() {
            let start = self.at;
            let end =
                memchr::memchr(b'\n', &self.text[start..]).map_or(self.text.len(), |found| start + found);
            self.at = end + 1;
            self.line += 1;
            let line = self.text[start..end].trim_ascii();
            let line = line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line);
            if let Some(found) = self.look_at(line, start) {
                return Some(found);
            }
        }
        if std::mem::take(&mut self.has_stray_certificate) {
            return Some(Err(Malformed {
                line: self.line,
                why: "ends the file, which has a certificate without a BEGIN line",
            }));
        }
        let open = self.open.take()?;
        Some(Err(Malformed { line: open.line, why: NO_END }))
    }
}

impl<'a> Blocks<'a> {
    /// Processes one line, without the white space around it. Returns the block that it ends, or a defect.
    fn look_at(&mut self, line: &'a [u8], start: usize) -> Option<Result<Block<'a>, Malformed>> {
        let malformed = |line, why| Some(Err(Malformed { line, why }));
        if let Some(name) = boundary(line, b"-----BEGIN ") {
            let open = Open { name, line: self.line, from: self.at.min(self.text.len()) };
            self.has_stray_base64 = false;
            return match self.open.replace(open) {
                Some(before) => malformed(before.line, "starts a block that contains another BEGIN line"),
                None => None,
            };
        }
        if let Some(name) = boundary(line, b"-----END ") {
            return match self.open.take() {
                Some(open) if open.name == name => {
                    let label = label(name);
                    let text = &self.text[open.from..start];
                    Some(Ok(Block { label, line: open.line, text }))
                }
                Some(open) => malformed(open.line, "starts a block that ends with a different label"),
                None if self.has_stray_base64 && label(name) != Label::Other => {
                    self.has_stray_base64 = false;
                    self.has_stray_certificate = false;
                    malformed(self.line, "ends a certificate that has no BEGIN line")
                }
                None => None,
            };
        }
        match &self.open {
            None if looks_like_a_boundary(line) => malformed(
                self.line,
                "is not a line of its own for BEGIN or END CERTIFICATE, with five dashes on both sides",
            ),
            None => {
                let is_stray = line.len() >= BASE64_LINE && line.iter().all(is_base64);
                self.has_stray_base64 |= is_stray;
                self.has_stray_certificate |= is_stray && line.starts_with(b"MII");
                None
            }
            // The END line is joined with the next line, which would be lost.
            Some(open) if looks_like_a_boundary(line) => {
                let line = if label(open.name) == Label::Other { self.line } else { open.line };
                self.open = None;
                malformed(line, "starts a block whose END is not on its own line")
            }
            Some(_) => None,
        }
    }
}

/// The name in `-----BEGIN name-----`.
fn boundary<'a>(line: &'a [u8], prefix: &[u8]) -> Option<&'a [u8]> {
    let name = line.strip_prefix(prefix)?.strip_suffix(DASHES)?;
    (!name.contains(&b'-')).then_some(name)
}

fn label(name: &[u8]) -> Label {
    match name {
        b"CERTIFICATE" | b"X509 CERTIFICATE" => Label::Certificate,
        b"TRUSTED CERTIFICATE" => Label::Trusted,
        _ => Label::Other,
    }
}

/// True if this line, which is not a boundary, was probably one of a certificate before an edit: joined lines, lost
/// dashes, other dashes. A comment does not count.
fn looks_like_a_boundary(line: &[u8]) -> bool {
    const NAMES: [&[u8]; 3] = [b"CERTIFICATE", b"X509 CERTIFICATE", b"TRUSTED CERTIFICATE"];
    // Words in a text have no dashes around them, and base64 has none at all.
    let is_dash = |byte: u8| byte == b'-' || !byte.is_ascii();
    if line.starts_with(b"#") || !line.iter().any(|byte| is_dash(*byte)) {
        return false;
    }
    [&b"BEGIN "[..], b"END "].iter().any(|word| {
        line.windows(word.len()).enumerate().any(|(at, window)| {
            let (before, after) = (line[..at].trim_ascii_end(), &line[at + word.len()..]);
            window.eq_ignore_ascii_case(word)
                && before.last().is_some_and(|byte| is_dash(*byte))
                && NAMES.iter().any(|name| {
                    let (found, rest) = after.split_at_checked(name.len()).unwrap_or_default();
                    found.eq_ignore_ascii_case(name)
                        && rest.trim_ascii_start().first().is_none_or(|byte| is_dash(*byte))
                })
        })
    })
}

fn is_base64(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'=')
}
