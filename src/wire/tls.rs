//! TLS: whom to trust, and what it says when it refuses.

use std::collections::HashSet;
use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{Resumption, WebPkiServerVerifier};
use rustls::crypto::{CryptoProvider, KeyProvider};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::SigningKey;
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, OtherError, RootCertStore, SignatureScheme,
};

use crate::ca_file::{CaFile, Unusable};
use crate::call::{Call, Level};
use crate::environment::{self, Variable};
use crate::failure::Failure;
use crate::settings::Settings;

/// Where systems keep all their roots in one file; the first that is there is taken.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Gentoo, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
    "/etc/pki/tls/cacert.pem",            // OpenELEC
    "/etc/ssl/cert.pem",                  // Alpine, OpenBSD, macOS
    "/usr/local/share/certs/ca-root-nss.crt", // FreeBSD
    "/usr/local/etc/ssl/cert.pem",        // FreeBSD
    "/etc/openssl/certs/ca-certificates.crt", // NetBSD
];

/// Sessions that can be resumed; all are with one host.
const SESSIONS: usize = 8;

/// Whom frozen options trust.
#[derive(Clone)]
pub enum Trust {
    /// Nobody but these.
    File(Arc<CaFile>),
    /// What `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Environment { file: Option<PathBuf>, directories: Vec<PathBuf> },
    /// The system's bundle, or, where there is none at all, Mozilla's roots as built in.
    System,
}

impl Trust {
    /// Reads the environment where no CA file was set. A variable that can't be used is a failure now.
    pub fn choose(settings: &Settings, cache: &RootCache) -> Result<Trust, Failure> {
        if let Some(file) = &settings.ca_file {
            return Ok(Trust::File(Arc::clone(file)));
        }
        let file = settings.environment.first(environment::CERT_FILE);
        let directories = settings.environment.first(environment::CERT_DIR);
        if file.is_none() && directories.is_none() {
            return Ok(Trust::System);
        }
        // The same files, wherever the host goes later.
        let whole = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let trust = Trust::Environment {
            file: file.map(|variable| whole(variable.value.into())),
            directories: directories
                .map(|Variable { value, .. }| std::env::split_paths(&value).map(whole).collect())
                .unwrap_or_default(),
        };
        if settings.base.https {
            cache.get(&trust, &trust.stamp())?;
        }
        Ok(trust)
    }

    fn load(&self) -> Result<Roots, Failure> {
        match self {
            Trust::File(file) => Ok(Roots::of(file)),
            Trust::Environment { file, directories } => from_environment(file.as_deref(), directories),
            Trust::System => match first_there(BUNDLES) {
                None => Ok(Roots {
                    store: webpki_roots::TLS_SERVER_ROOTS.iter().cloned().collect(),
                    own: Vec::new(),
                    built_in: true,
                }),
                Some(path) => {
                    let (file, _) = CaFile::read_leniently(path).map_err(|unusable| {
                        unusable.into_failure("The system's trust store ", Failure::Tls)
                    })?;
                    Ok(Roots { own: Vec::new(), ..Roots::of(&file) })
                }
            },
        }
    }

    /// What tells whether the files have changed since they were read.
    fn stamp(&self) -> Stamp {
        match self {
            Trust::File(_) => Stamp::default(),
            Trust::Environment { file, directories } => {
                let inside =
                    directories.iter().flat_map(|directory| certificates_in(directory).unwrap_or_default());
                Stamp {
                    file: file.as_deref().map(FileStamp::of),
                    directories: directories.iter().map(|path| FileStamp::of(path)).collect(),
                    inside: inside.map(|path| FileStamp::of(&path)).collect(),
                }
            }
            Trust::System => Stamp { file: first_there(BUNDLES).map(FileStamp::of), ..Stamp::default() },
        }
    }
}

#[derive(Clone, Default, PartialEq)]
struct Stamp {
    file: Option<FileStamp>,
    directories: Vec<FileStamp>,
    inside: Vec<FileStamp>,
}

#[derive(Clone, PartialEq)]
struct FileStamp {
    path: PathBuf,
    /// The time of its last change, and its size, where it is there.
    found: Option<(SystemTime, u64)>,
}

impl FileStamp {
    fn of(path: &Path) -> FileStamp {
        let found = fs::metadata(path).ok().and_then(|read| Some((read.modified().ok()?, read.len())));
        FileStamp { path: path.to_owned(), found }
    }
}

/// The first of these that is there. One that is there and can't be reached counts: reading it then says why.
fn first_there(paths: &'static [&'static str]) -> Option<&'static Path> {
    paths.iter().map(Path::new).find(|path| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    })
}

fn from_environment(file: Option<&Path>, directories: &[PathBuf]) -> Result<Roots, Failure> {
    let mut roots = Roots { store: RootCertStore::empty(), own: Vec::new(), built_in: false };
    let mut seen = HashSet::new();
    let mut add = |file: CaFile| {
        for (anchor, certificate) in file.anchors.into_iter().zip(file.certificates) {
            if seen.insert(certificate) {
                roots.store.roots.push(anchor);
            }
        }
    };
    if let Some(path) = file {
        let (file, _) = CaFile::read_leniently(path)
            .map_err(|unusable| unusable.into_failure("SSL_CERT_FILE can't be used: ", Failure::Tls))?;
        add(file);
    }
    let mut missing = None;
    let mut any_read = false;
    for directory in directories {
        let paths = match certificates_in(directory) {
            Ok(paths) => paths,
            Err(error) => {
                let unusable = Unusable::reading(directory.display(), &error);
                if unusable.is_for_want_of_resources() {
                    return Err(unusable.into_failure("SSL_CERT_DIR: ", Failure::Tls));
                }
                missing = Some(unusable);
                continue;
            }
        };
        any_read = true;
        for path in paths {
            match CaFile::read_leniently(&path) {
                Ok((file, _)) => add(file),
                // Without it the store would lack a root, and be kept like that.
                Err(unusable) if unusable.is_for_want_of_resources() => {
                    return Err(unusable.into_failure("SSL_CERT_DIR: ", Failure::Tls));
                }
                // As OpenSSL, which looks a certificate up when it is wanted: one that can't be read is not there.
                Err(_) => {}
            }
        }
    }
    match missing {
        Some(unusable) if !any_read => {
            Err(unusable.into_failure("SSL_CERT_DIR names a directory that can't be used: ", Failure::Tls))
        }
        _ if roots.store.is_empty() => Err(Failure::Tls(
            "SSL_CERT_DIR names no directory with certificates by their hash (see openssl-rehash)".into(),
        )),
        _ => Ok(roots),
    }
}

/// The files of a directory that OpenSSL would look at: named by a hash (`c_rehash`).
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
    Ok(paths)
}

/// Roots of trust, read and parsed.
pub struct Roots {
    store: RootCertStore,
    /// Certificates that are trusted as a server's own.
    own: Vec<CertificateDer<'static>>,
    built_in: bool,
}

impl Roots {
    fn of(file: &CaFile) -> Roots {
        Roots {
            store: RootCertStore { roots: file.anchors.clone() },
            own: file.certificates.clone(),
            built_in: false,
        }
    }
}

/// The roots of the system or the environment, read once in a process, and again when a file has changed.
#[derive(Default)]
pub struct RootCache {
    read: Mutex<Option<(Stamp, Arc<Roots>)>>,
}

impl RootCache {
    fn get(&self, trust: &Trust, stamp: &Stamp) -> Result<Arc<Roots>, Failure> {
        let read = || trust.load().map(Arc::new);
        if let Trust::File(_) = trust {
            return read(); // its setter has read it
        }
        let mut cached = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        match &*cached {
            Some((known, roots)) if known == stamp => return Ok(Arc::clone(roots)),
            _ => {}
        }
        let roots = read()?;
        *cached = Some((stamp.clone(), Arc::clone(&roots)));
        Ok(roots)
    }
}

/// The TLS settings of one options handle in one process; holds the sessions that can be resumed.
pub struct Tls {
    trust: Trust,
    made: Mutex<Option<(Stamp, Arc<ClientConfig>)>>,
}

impl Tls {
    pub fn new(trust: &Trust) -> Tls {
        Tls { trust: trust.clone(), made: Mutex::default() }
    }

    /// The settings for a new connection; made anew when the trust store has changed.
    pub fn config(&self, call: &Call, cache: &RootCache) -> Result<Arc<ClientConfig>, Failure> {
        call.check_process()?;
        let stamp = self.trust.stamp();
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        match &*made {
            Some((known, config)) if *known == stamp => return Ok(Arc::clone(config)),
            _ => {}
        }
        let roots = cache.get(&self.trust, &stamp)?;
        let (count, built_in) = (roots.store.len(), roots.built_in);
        let config = client_config(roots)?;
        *made = Some((stamp, Arc::clone(&config)));
        drop(made);
        if built_in {
            call.log(Level::Warn, || {
                format!(
                    "this machine has no trust store: trusting the {count} roots of Mozilla that are built in"
                )
            });
        } else {
            call.log(Level::Debug, || format!("root certificates trusted: {count}"));
        }
        Ok(config)
    }
}

fn client_config(roots: Arc<Roots>) -> Result<Arc<ClientConfig>, Failure> {
    let mut provider = rustls::crypto::ring::default_provider();
    provider.key_provider = &NoKeys;
    let provider = Arc::new(provider);
    let failed = |why: &dyn fmt::Display| Failure::Internal(format!("TLS can't be set up: {why}").into());
    let verifier = Verifier::new(roots, Arc::clone(&provider)).map_err(|error| failed(&error))?;
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| failed(&error))?
        .dangerous() // the name for any verifier of one's own; this one asks webpki
        .with_custom_certificate_verifier(Arc::new(verifier))
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::in_memory_sessions(SESSIONS);
    Ok(Arc::new(config))
}

/// Nobody here has a private key to sign with: so the code that would isn't there either.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("a login has no private key".into()))
    }
}

/// webpki's verdict, with two things of our own: a server's self-signed certificate is taken when it is, byte for
/// byte, one that was given as CA file; and a self-signed one that is not is called so.
struct Verifier {
    roots: Arc<Roots>,
    /// None where there are no roots: nothing can be verified then.
    webpki: Arc<WebPkiServerVerifier>,
}

impl Verifier {
    fn new(
        roots: Arc<Roots>,
        provider: Arc<CryptoProvider>,
    ) -> Result<Verifier, rustls::client::VerifierBuilderError> {
        let store = Arc::new(RootCertStore { roots: roots.store.roots.clone() });
        let webpki = WebPkiServerVerifier::builder_with_provider(store, provider).build()?;
        Ok(Verifier { roots, webpki })
    }
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let verdict =
            self.webpki.verify_server_cert(end_entity, intermediates, server_name, ocsp_response, now);
        let Err(error) = verdict else { return verdict };
        // A certificate marked as a CA can't be a server's for webpki, but that is what most self-signed ones are.
        // It has checked the dates by then; the handshake's signature is checked below, as ever.
        if is_webpki(&error, |error| matches!(error, webpki::Error::CaUsedAsEndEntity))
            && self.roots.own.iter().any(|own| own == end_entity)
        {
            rustls::client::verify_server_name(&ParsedCertificate::try_from(end_entity)?, server_name)?;
            return Ok(ServerCertVerified::assertion());
        }
        let issuer_unknown = error == rustls::Error::InvalidCertificate(CertificateError::UnknownIssuer);
        if (issuer_unknown || is_webpki(&error, |error| matches!(error, webpki::Error::CaUsedAsEndEntity)))
            && webpki::EndEntityCert::try_from(end_entity).is_ok_and(|end| end.issuer() == end.subject())
        {
            return Err(CertificateError::Other(OtherError(Arc::new(SelfSigned))).into());
        }
        Err(error)
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.webpki.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.webpki.supported_verify_schemes()
    }
}

fn is_webpki(error: &rustls::Error, is: impl Fn(&webpki::Error) -> bool) -> bool {
    let rustls::Error::InvalidCertificate(CertificateError::Other(OtherError(other))) = error else {
        return false;
    };
    other.downcast_ref::<webpki::Error>().is_some_and(is)
}

#[derive(Debug)]
struct SelfSigned;

impl fmt::Display for SelfSigned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("self-signed")
    }
}

impl std::error::Error for SelfSigned {}

/// What TLS refused, as a sentence that says what an administrator can look at.
pub fn failure(error: &rustls::Error) -> Failure {
    use rustls::Error::*;
    let why = match error {
        InvalidCertificate(error) => certificate(error),
        AlertReceived(alert) => format!("The server ended TLS with the alert {alert:?}"),
        PeerIncompatible(why) => {
            format!("The server offers no TLS that is safe to use, 1.2 or 1.3 with modern ciphers ({why:?})")
        }
        NoApplicationProtocol => "The server speaks no HTTP/1.1 over TLS (ALPN)".to_owned(),
        InvalidMessage(why) => {
            format!("The server sent something that is no TLS ({why:?}): is this its https port?")
        }
        PeerMisbehaved(why) => format!("The server broke the rules of TLS ({why:?})"),
        InappropriateMessage { got_type, .. } => {
            format!("The server sent a TLS message out of order ({got_type:?})")
        }
        InappropriateHandshakeMessage { got_type, .. } => {
            format!("The server sent a TLS message out of order ({got_type:?})")
        }
        NoCertificatesPresented => "The server sent no certificate".to_owned(),
        DecryptError => "A TLS record could not be decrypted: it was changed on its way".to_owned(),
        error => format!("TLS failed: {error}"),
    };
    Failure::Tls(why.into())
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError::*;
    let what = "The server's certificate";
    match error {
        ExpiredContext { time, not_after } => {
            format!("{what} expired on {}; this machine's clock says {}", date(*not_after), date(*time))
        }
        Expired => format!("{what} has expired, or is valid at no time"),
        NotValidYetContext { time, not_before } => {
            format!(
                "{what} is not valid before {}; this machine's clock says {}",
                date(*not_before),
                date(*time)
            )
        }
        NotValidYet => format!("{what} is not valid yet"),
        NotValidForNameContext { expected, presented } => {
            let names: Vec<_> = presented.iter().take(8).map(|name| plain_name(name)).collect();
            let names = if names.is_empty() { "no name at all".to_owned() } else { names.join(", ") };
            format!("{what} is for {names}, and not for {}", expected.to_str())
        }
        NotValidForName => format!("{what} is for another name"),
        UnknownIssuer => format!("{what} was issued by nobody that is trusted here (unknown issuer)"),
        Revoked => format!("{what} was revoked"),
        BadEncoding => format!("{what} can't be parsed"),
        BadSignature => format!("{what} has a signature that is wrong, or its key is another"),
        UnsupportedSignatureAlgorithmContext { .. }
        | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            format!("{what}, or one of its issuers', is signed in a way that is not safe or not known")
        }
        InvalidPurpose | InvalidPurposeContext { .. } => {
            format!("{what} is not meant for servers (extended key usage)")
        }
        Other(OtherError(error)) if error.is::<SelfSigned>() => {
            format!("{what} is self-signed, and not one that is trusted here")
        }
        Other(OtherError(error)) => match error.downcast_ref::<webpki::Error>() {
            Some(webpki::Error::CaUsedAsEndEntity) => format!("{what} is a CA's own, not a server's"),
            Some(webpki::Error::EndEntityUsedAsCa) => format!("{what} was issued by one that is no CA"),
            Some(webpki::Error::PathLenConstraintViolated) => {
                format!("{what} has more issuers above it than allowed (path length)")
            }
            Some(webpki::Error::NameConstraintViolation) => {
                format!("{what} has a name that its issuer may not certify (name constraints)")
            }
            Some(error) => format!("{what} is refused: {error:?}"),
            None => format!("{what} is refused: {error}"),
        },
        error => format!("{what} is refused: {error}"),
    }
}

/// `DnsName("x")` and the like, without what surrounds the name.
fn plain_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')').trim_matches('"'))
}

fn date(time: UnixTime) -> String {
    // Dates beyond year 9999 would make httpdate panic.
    const LATEST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LATEST)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bundle_is_the_first_that_is_there() {
        assert_eq!(
            first_there(&["/dev/null/none", "/nowhere/at/all", "/dev/null", "/"]),
            Some(Path::new("/dev/null"))
        );
        assert_eq!(first_there(&["/dev/null/none", "/nowhere/at/all"]), None);
    }

    #[test]
    fn a_file_and_a_directory_of_one_name_are_not_the_same() {
        let path = PathBuf::from("/etc");
        let file = Trust::Environment { file: Some(path.clone()), directories: Vec::new() };
        let directory = Trust::Environment { file: None, directories: vec![path.clone()] };
        let both = Trust::Environment { file: Some(path.clone()), directories: vec![path.clone()] };
        let twice = Trust::Environment { file: None, directories: vec![path.clone(), path] };
        let stamps = [file, directory, both, twice].map(|trust| trust.stamp());
        for (index, stamp) in stamps.iter().enumerate() {
            assert_eq!(stamps.iter().position(|other| other == stamp), Some(index));
        }
    }

    #[test]
    fn the_system_trusts_its_bundle_or_else_what_is_built_in_and_is_read_once() {
        let (cache, stamp) = (RootCache::default(), Trust::System.stamp());
        let roots = cache.get(&Trust::System, &stamp).unwrap();
        assert!(!roots.store.is_empty());
        // A server's own certificate has to be named by the host, not by the system.
        assert!(roots.own.is_empty());
        assert_eq!(roots.built_in, !BUNDLES.iter().any(|path| Path::new(path).exists()));
        assert!(Arc::ptr_eq(&roots, &cache.get(&Trust::System, &stamp).unwrap()));
        assert!(!Arc::ptr_eq(&roots, &cache.get(&Trust::System, &Stamp::default()).unwrap()));
    }
}
