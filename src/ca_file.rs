//! Reads and parses a PEM file of certificates, with a message for each kind of failure.

use std::fmt;
use std::io::{self, Read};
use std::path::Path;

use base64::Engine;
use base64::engine::{GeneralPurpose, GeneralPurposeConfig};

use crate::certificates::{Certificates, NotAdded};
use crate::error::{ErrorKind, Reason};
use crate::limits::MAX_CA_FILE_BYTES;
use crate::pem::{self, Block, Label};
use crate::sys::descriptor::is_out_of_descriptors;
use crate::sys::{errno, file};
use crate::x509;

/// Decodes like OpenSSL.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &base64::alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_allow_trailing_bits(true),
);

/// The first byte of a SEQUENCE, with which every certificate begins.
const SEQUENCE: u8 = 0x30;

/// The reason why a file can't be used.
#[derive(Debug)]
pub struct Unusable {
    why: String,
    /// The file may be valid: this process has no descriptor or memory left to read it.
    is_resources: bool,
}

impl Unusable {
    pub fn new(why: String) -> Unusable {
        Unusable { why, is_resources: false }
    }

    fn out_of_memory(name: impl fmt::Display) -> Unusable {
        Unusable { why: format!("{name} can't be read: out of memory"), is_resources: true }
    }

    pub fn reading(name: impl fmt::Display, error: &io::Error) -> Unusable {
        if error.kind() == io::ErrorKind::OutOfMemory {
            return Unusable::out_of_memory(name);
        }
        let is_resources = is_out_of_descriptors(error);
        Unusable { why: format!("{name} can't be read: {}", errno::describe(error)), is_resources }
    }

    /// True if the same file may be readable later.
    pub fn is_resources(&self) -> bool {
        self.is_resources
    }

    /// Converts this to a failure of `kind`, or to `ErrorKind::Resources` if the process lacks resources. `what` is the
    /// start of the message.
    pub fn into_error_kind(self, what: &str, kind: fn(Reason) -> ErrorKind) -> ErrorKind {
        let why = format!("{what}{}", self.why).into();
        if self.is_resources { ErrorKind::Resources(why) } else { kind(why) }
    }
}

impl fmt::Display for Unusable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.why)
    }
}

/// Reads a file that the user named: every certificate in it, or none.
pub fn read(path: &Path) -> Result<Certificates, Unusable> {
    read_all(path, Strictness::All)
}

/// Reads a file of the system's store, and skips certificates that can't be parsed: a store may contain unusual old
/// ones. Fails if no certificate is left.
pub fn read_leniently(path: &Path) -> Result<Certificates, Unusable> {
    read_all(path, Strictness::Any)
}

/// Same as [`read_leniently`], but refuses a file that ends within a block, since it may be incomplete.
pub fn read_again(path: &Path) -> Result<Certificates, Unusable> {
    read_all(path, Strictness::Ended)
}

/// The certificates of a file that must be readable.
#[derive(Clone, Copy, PartialEq)]
enum Strictness {
    All,
    /// At least one, and no block without an end.
    Ended,
    Any,
}

fn read_all(path: &Path, strictness: Strictness) -> Result<Certificates, Unusable> {
    let name = path.display();
    let text = read_bounded(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::new(format!("{name} does not exist")),
        io::ErrorKind::FileTooLarge => Unusable::new(format!("{name} is larger than 64 MiB")),
        _ => Unusable::reading(&name, &error),
    })?;
    if text.is_empty() {
        return Err(Unusable::new(format!("{name} is empty")));
    }
    let is_strict = strictness == Strictness::All;
    let mut certificates = Certificates::default();
    let mut broken = None;
    let mut has_no_end = false;
    for block in pem::certificates(&text) {
        let (line, why) = match block {
            Ok(block) => match add(&mut certificates, &block) {
                Ok(()) => continue,
                Err(NotAdded::OutOfMemory) => return Err(Unusable::out_of_memory(&name)),
                Err(NotAdded::Unreadable) => (block.line, "begins it"),
            },
            Err(malformed) => (malformed.line, malformed.why),
        };
        has_no_end |= why == pem::NO_END;
        broken.get_or_insert((line, why));
    }
    match broken {
        Some((line, why))
            if is_strict || certificates.is_empty() || has_no_end && strictness == Strictness::Ended =>
        {
            Err(Unusable::new(format!(
                "{name} contains a certificate that can't be parsed: line {line} {why}"
            )))
        }
        None if text[0] == SEQUENCE && certificates.is_empty() => Err(Unusable::new(format!(
            "{name} contains no PEM certificate; if it is DER, convert it with openssl x509 -inform der"
        ))),
        // UTF-16 hides certificates, in the whole file or in an appended part.
        None if is_strict && text.contains(&0) => {
            Err(Unusable::new(format!("{name} contains NUL bytes; save it as ASCII or UTF-8")))
        }
        None if certificates.is_empty() => Err(Unusable::new(format!("{name} contains no PEM certificate"))),
        _ => Ok(certificates),
    }
}

fn add(certificates: &mut Certificates, block: &Block<'_>) -> Result<(), NotAdded> {
    let mut base64 = Vec::new();
    base64.try_reserve_exact(block.text.len())?;
    base64.extend(block.text.iter().filter(|byte| !byte.is_ascii_whitespace()));
    let mut der = Vec::new();
    der.try_reserve_exact(base64::decoded_len_estimate(base64.len()))?;
    der.resize(der.capacity(), 0);
    let decoded = BASE64.decode_slice(&base64, &mut der).ok();
    let Some((certificate, rest)) = decoded.and_then(|length| x509::split_first_value(&der[..length])) else {
        // An encrypted key has lines that are not base64.
        return if block.label == Label::Other { Ok(()) } else { Err(NotAdded::Unreadable) };
    };
    if block.label == Label::Other {
        // A key, a request or a list. A certificate under such a label would be lost.
        let is_certificate = webpki::anchor_from_trusted_cert(&certificate.into()).is_ok();
        return if is_certificate { Err(NotAdded::Unreadable) } else { Ok(()) };
    }
    let is_trusted = match block.label {
        Label::Trusted => x509::auxiliary_trusts_servers(rest).ok_or(NotAdded::Unreadable)?,
        // OpenSSL ignores bytes after a certificate, so a second certificate there would be lost.
        _ if rest.first() == Some(&SEQUENCE) => return Err(NotAdded::Unreadable),
        _ => true,
    };
    certificates.add(certificate, !is_trusted)
}

fn read_bounded(path: &Path) -> io::Result<Vec<u8>> {
    // Opening a named pipe would block until a writer opens it.
    let file = file::open_nonblocking(path)?;
    let kind = file.metadata()?;
    if !kind.is_file() {
        // Reading from a device or a named pipe might never end.
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is not a regular file"));
    }
    let mut text = Vec::new();
    text.try_reserve_exact(kind.len().min(MAX_CA_FILE_BYTES) as usize + 1)?;
    file.take(MAX_CA_FILE_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MAX_CA_FILE_BYTES { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(text) }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair};

    use super::*;

    fn certificate() -> Vec<u8> {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(&KeyPair::generate().unwrap()).unwrap().der().to_vec()
    }

    fn pem(label: &str, der: &[u8]) -> String {
        let text = BASE64.encode(der);
        let lines: Vec<_> =
            text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
        format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
    }

    fn read_text(text: impl AsRef<[u8]>, strictness: Strictness) -> Result<Certificates, String> {
        let name = format!("couchdrop-ca-file-{}-{:?}", std::process::id(), std::thread::current().id());
        let path = std::env::temp_dir().join(name);
        fs::write(&path, text).unwrap();
        let read = read_all(&path, strictness);
        fs::remove_file(&path).unwrap();
        read.map_err(|unusable| unusable.to_string())
    }

    #[track_caller]
    fn assert_read(name: &str, text: impl AsRef<[u8]>, expected: &[&[u8]]) {
        let read = read_text(text, Strictness::All).unwrap_or_else(|why| panic!("{name}: {why}"));
        assert!(read.iter().map(|trusted| trusted.der).eq(expected.iter().copied()), "{name}");
    }

    #[test]
    fn layouts_that_curl_reads_are_read() {
        let (one, two) = (certificate(), certificate());
        let (first, second) = (pem("CERTIFICATE", &one), pem("CERTIFICATE", &two));
        let key = pem("PRIVATE KEY", b"secret");
        let wide =
            format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", BASE64.encode(&one));
        let both: &[&[u8]] = &[&one, &two];
        for (name, text) in [
            ("plain", format!("{first}{second}")),
            ("byte order marks", format!("\u{feff}{first}\u{feff}{second}")),
            ("X509", format!("{}{second}", pem("X509 CERTIFICATE", &one))),
            ("trusted", format!("{}{second}", pem("TRUSTED CERTIFICATE", &one))),
            ("CRLF", format!("{first}{second}").replace('\n', "\r\n")),
            ("text around", format!("one:\n{first}and two -- see END USER:\n{second}the end")),
            ("keys between", format!("{key}{first}{key}{second}{key}")),
            ("no end of the last line", format!("{first}{}", second.trim_end())),
            ("white space", format!("{first}{second}").replace('\n', " \t\n")),
            ("indented", format!("{first}{second}").replace('\n', "\n  ")),
            ("blank lines", format!("{first}{second}").replace('\n', "\n\n")),
            ("one long line", format!("{wide}{second}")),
            ("a commented certificate", format!("{first}# {}{second}", first.replace('\n', "\n# ") + "\n")),
            ("an end too many", format!("{first}-----END CERTIFICATE-----\n{second}")),
            ("bytes behind", format!("{}{second}", pem("CERTIFICATE", &[&one[..], b"xx"].concat()))),
            ("a request", format!("{first}{second}{}", pem("CERTIFICATE REQUEST", b"x"))),
        ] {
            assert_read(name, text, both);
        }
    }

    #[test]
    fn file_is_refused_if_a_certificate_in_it_is_not_read() {
        let (one, two) = (certificate(), certificate());
        let (first, second) = (pem("CERTIFICATE", &one), pem("CERTIFICATE", &two));
        let key = pem("PRIVATE KEY", b"secret");
        let utf16 = second.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let text = |text: String| text.into_bytes();
        for (name, text, line) in [
            ("glued", text(format!("{}{second}", first.trim_end())), "line 1 "),
            ("glued to text", text(format!("{first}root:{second}")), "line "),
            ("glued to a key", text(format!("{first}{}{second}", key.trim_end())), "line "),
            ("cut", text(format!("{first}{}", &second[..200])), "line "),
            (
                "cut before its end",
                text(format!("{first}{}", second.split("-----END").next().unwrap())),
                "line ",
            ),
            ("cut in a key", text(format!("{first}{}", &key[..30])), "line "),
            ("without beginning", text(format!("{first}{}", second.split_once('\n').unwrap().1)), "line "),
            ("another end", text(first.clone() + &second.replace("END CERT", "END X509 CERT")), "line "),
            ("begun twice", text(format!("{first}-----BEGIN CERTIFICATE-----\n{second}")), "line "),
            ("bad base64", text(first.clone() + &second.replace("MI", "!!")), "line "),
            ("an empty block", text(first.clone() + &pem("CERTIFICATE", b"")), "line "),
            ("not a certificate", text(first.clone() + &pem("CERTIFICATE", b"\x30\x01\x00")), "line "),
            ("two in one block", text(pem("CERTIFICATE", &[&one[..], &two].concat())), "line 1 "),
            (
                "broken trust data",
                text(pem("TRUSTED CERTIFICATE", &[&one[..], b"\x30\x05"].concat())),
                "line 1 ",
            ),
            ("six dashes", text(first.clone() + &second.replace("-----", "------")), "line "),
            ("other dashes", text(first.clone() + &second.replace("-----", "\u{2014}")), "line "),
            (
                "lower case",
                text(first.clone() + &second.replace("BEGIN CERTIFICATE", "begin certificate")),
                "line ",
            ),
            ("mixed case", text(first.clone() + &second.replace("CERTIFICATE", "Certificate")), "line "),
            ("a misspelt label", text(first.clone() + &second.replace("CERTIFICATE", "CERTIFCATE")), "line "),
            (
                "spaces in a label",
                text(first.clone() + &second.replace(" CERTIFICATE", "  CERTIFICATE ")),
                "line ",
            ),
            ("neither begin nor end", text(first.clone() + &BASE64.encode(&two) + "\n"), "without a BEGIN"),
            ("UTF-16 appended", [text(first.clone()), utf16].concat(), "NUL"),
            ("DER", one.clone(), "openssl x509 -inform der"),
            ("nothing", b"\n".to_vec(), "no PEM certificate"),
        ] {
            let why = read_text(&text, Strictness::All).map(|_| name).unwrap_err();
            assert!(why.contains(line), "{name}: {why}");
        }
    }

    #[test]
    fn bundle_of_the_system_is_read_without_its_broken_certificates() {
        let (one, two) = (certificate(), certificate());
        let (first, second) = (pem("CERTIFICATE", &one), pem("CERTIFICATE", &two));
        for broken in
            [pem("CERTIFICATE", b"\x30\x01\x00"), first.replace("MI", "!!"), first[..200].to_owned() + "\n"]
        {
            let read = read_text(format!("{first}{broken}{second}"), Strictness::Any).unwrap();
            assert!(read.iter().map(|trusted| trusted.der).eq([&one[..], &two[..]]));
            read_text(&broken, Strictness::Any).map(drop).unwrap_err();
        }
    }

    #[test]
    fn bundle_that_ends_within_a_block_is_not_read_again() {
        let (first, second) = (pem("CERTIFICATE", &certificate()), pem("CERTIFICATE", &certificate()));
        for end in [30, 200, second.len() - 10] {
            let text = format!("{first}{}", &second[..end]);
            assert!(read_text(&text, Strictness::Any).is_ok());
            assert!(read_text(&text, Strictness::Ended).is_err());
        }
        assert!(read_text(format!("{}\n{first}", &second[..200]), Strictness::Ended).is_ok());
    }

    #[test]
    fn auxiliary_trust_data_decides_for_servers() {
        const SERVER: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01";
        const CLIENT: &[u8] = b"\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x02";
        const ANY: &[u8] = b"\x06\x04\x55\x1d\x25\x00";
        let value = |tag: u8, parts: &[&[u8]]| {
            let content = parts.concat();
            [&[tag, content.len() as u8][..], &content].concat()
        };
        let trust = |purposes: &[&[u8]]| value(0x30, purposes);
        let reject = |purposes: &[&[u8]]| value(0xa0, purposes);
        for (name, fields, is_trusted) in [
            ("nothing", vec![], true),
            ("an alias", vec![value(0x0c, &[b"name"])], true),
            ("servers", vec![trust(&[SERVER])], true),
            ("all", vec![trust(&[ANY])], true),
            ("clients and servers", vec![trust(&[CLIENT, SERVER])], true),
            ("clients", vec![trust(&[CLIENT])], false),
            ("nobody", vec![trust(&[])], false),
            ("not clients", vec![reject(&[CLIENT])], true),
            ("not servers", vec![reject(&[SERVER])], false),
            ("not anything", vec![reject(&[ANY])], false),
            ("both", vec![trust(&[SERVER]), reject(&[SERVER])], false),
        ] {
            let fields: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
            let der = [certificate(), value(0x30, &fields)].concat();
            let read = read_text(pem("TRUSTED CERTIFICATE", &der), Strictness::All).unwrap();
            let found: Vec<_> = read.iter().map(|trusted| trusted.is_anchor()).collect();
            assert_eq!(found, [is_trusted], "{name}");
        }
    }
}
