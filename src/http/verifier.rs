//! Verification of a server's certificate. webpki builds and checks the chain. This module adds the limits of the trust
//! anchor itself, which webpki ignores, and certificates that are trusted as one server's own.

use std::cell::Cell;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, TrustAnchor, UnixTime};
use rustls::{CertificateError, DigitallySignedStruct, OtherError, SignatureScheme};
use webpki::{EndEntityCert, KeyUsage, RequiredEkuNotFoundContext, VerifiedPath};

use crate::certificates::{Certificates, Trusted};
use crate::http::trust::Roots;
use crate::x509::{self, Limits};

/// The accepted lengths of RSA keys in bits; ring verifies no others.
pub const RSA_KEY_BITS: std::ops::RangeInclusive<usize> = 2048..=8192;

/// The reason why a certificate is refused, in addition to webpki's errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// A self-signed certificate that is not among the trusted ones.
    SelfSigned,
    /// A signature in the chain does not match the key of the issuer that it names.
    IssuerSignature,
    /// The issuer is among the trusted certificates, but is not marked as a CA.
    IssuerIsNotCa,
    /// A CA certificate in the chain is outside its validity period.
    Issuer(OutOfDate),
    /// The trusted root of the chain is outside its validity period.
    Root(OutOfDate),
    /// The chain exceeds the path length of its trusted root.
    RootPathLength,
    RootPurpose,
    /// Auxiliary trust data says that this certificate, or its root, is not trusted for servers.
    Distrusted,
    /// A signature in the server's certificate or an issuer's uses an unsupported algorithm. Algorithms are the
    /// contents of AlgorithmIdentifiers. The key is that of the signer, if its certificate was found.
    Signature {
        algorithm: Vec<u8>,
        key: Option<Vec<u8>>,
        of_issuer: bool,
    },
    /// The server's key has an unsupported type.
    Key {
        algorithm: Vec<u8>,
    },
    /// An RSA key whose length is not accepted.
    RsaKey {
        bits: usize,
        of_issuer: bool,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OutOfDate {
    Expired { time: UnixTime, not_after: UnixTime },
    NotYetValid { time: UnixTime, not_before: UnixTime },
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self:?}")
    }
}

impl std::error::Error for Refusal {}

impl From<Refusal> for rustls::Error {
    fn from(refusal: Refusal) -> rustls::Error {
        CertificateError::Other(OtherError(Arc::new(refusal))).into()
    }
}

/// Converts webpki's error to rustls's, which determines the alert for the server.
pub fn webpki_error(error: webpki::Error) -> rustls::Error {
    use webpki::Error::*;
    match error {
        BadDer | BadDerTime | TrailingData(_) => CertificateError::BadEncoding,
        CertNotValidYet { time, not_before } => CertificateError::NotValidYetContext { time, not_before },
        CertExpired { time, not_after } => CertificateError::ExpiredContext { time, not_after },
        InvalidCertValidity => CertificateError::Expired,
        UnknownIssuer => CertificateError::UnknownIssuer,
        CertNotValidForName(context) => CertificateError::NotValidForNameContext {
            expected: context.expected,
            presented: context.presented,
        },
        InvalidSignatureForPublicKey => CertificateError::BadSignature,
        RequiredEkuNotFoundContext(_) => CertificateError::InvalidPurpose,
        error => CertificateError::Other(OtherError(Arc::new(error))),
    }
    .into()
}

/// Verifies certificates for one TLS configuration, and records how long the accepted ones are valid.
pub struct Verifier {
    roots: Vec<Roots>,
    algorithms: WebPkiSupportedAlgorithms,
    /// The earliest notAfter of all certificates in the accepted chains, in seconds since 1970.
    earliest_not_after: AtomicU64,
}

impl fmt::Debug for Verifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Verifier")
    }
}

impl Verifier {
    pub fn new(roots: Vec<Roots>, algorithms: WebPkiSupportedAlgorithms) -> Verifier {
        Verifier { roots, algorithms, earliest_not_after: AtomicU64::new(u64::MAX) }
    }

    pub fn roots(&self) -> &[Roots] {
        &self.roots
    }

    /// True if all certificates that this verifier accepted are still valid, so that its sessions may be resumed.
    pub fn is_still_valid(&self, now: UnixTime) -> bool {
        now.as_secs() <= self.earliest_not_after.load(Ordering::Relaxed)
    }

    fn certificates(&self) -> impl Iterator<Item = &Certificates> {
        self.roots.iter().filter_map(|roots| match roots {
            Roots::Certificates(certificates) => Some(&**certificates),
            Roots::BuiltIn => None,
        })
    }

    fn trusted(&self) -> impl Iterator<Item = Trusted<'_>> {
        self.certificates().flat_map(Certificates::iter)
    }

    /// Verifies a chain, and returns the earliest notAfter in it.
    fn verify_chain(
        &self,
        leaf: &EndEntityCert<'_>,
        intermediates: &[CertificateDer<'_>],
        now: UnixTime,
    ) -> Result<u64, rustls::Error> {
        let chain: Vec<_> = intermediates.iter().filter_map(|der| x509::Certificate::parse(der)).collect();
        let is_issuer = |subject: &[u8]| {
            subject == leaf.issuer() || chain.iter().any(|certificate| certificate.issuer == subject)
        };
        let mut candidates: Vec<Trusted<'_>> = Vec::new();
        for trusted in self.trusted().filter(|trusted| is_issuer(trusted.subject)) {
            // The first of two copies counts, as in OpenSSL.
            if candidates.iter().all(|earlier| earlier.der != trusted.der) {
                candidates.push(trusted);
            }
        }
        let (anchors, others): (Vec<_>, Vec<_>) = candidates.into_iter().partition(Trusted::is_anchor);
        let certificates: Vec<CertificateDer<'_>> = anchors.iter().map(|anchor| anchor.der.into()).collect();
        let parsed: Result<Vec<TrustAnchor<'_>>, _> =
            certificates.iter().map(webpki::anchor_from_trusted_cert).collect();
        let mut trust_anchors = parsed.map_err(webpki_error)?;
        if self.roots.iter().any(|roots| matches!(roots, Roots::BuiltIn)) {
            let built_in = webpki_roots::TLS_SERVER_ROOTS.iter().filter(|root| is_issuer(&root.subject));
            trust_anchors.extend(built_in.cloned());
        }

        let limits_of = |path: &VerifiedPath<'_>| {
            let index = trust_anchors.iter().position(|anchor| std::ptr::eq(anchor, path.anchor()))?;
            anchors.get(index).map(|anchor| anchor.limits) // built-in roots have none
        };
        let refusal = Cell::new(None);
        let verify_path = |path: &VerifiedPath<'_>| {
            check_intermediates(path).inspect_err(|_| refusal.set(Some(Refusal::IssuerIsNotCa)))?;
            let Some(limits) = limits_of(path) else { return Ok(()) };
            check_root(&limits, path, now).map_err(|(why, error)| {
                refusal.set(why);
                error
            })
        };
        let verified = leaf.verify_for_usage(
            self.algorithms.all,
            &trust_anchors,
            intermediates,
            now,
            KeyUsage::server_auth(),
            None,
            Some(&verify_path),
        );
        let path = match verified {
            Ok(path) => path,
            Err(error) => {
                let others = Others { trusted: &others, anchors: &anchors, chain: &chain };
                return Err(explain(error, refusal.take(), leaf, &others, &self.algorithms));
            }
        };
        let of_certificate =
            |der: &[u8]| x509::Certificate::parse(der).map_or(0, |certificate| certificate.limits.not_after);
        let issuers = path.intermediate_certificates().map(|issuer| of_certificate(&issuer.der()));
        let root = limits_of(&path).map(|limits| limits.not_after);
        Ok(issuers.chain(root).fold(of_certificate(&leaf.der()), u64::min))
    }
}

/// The certificates that explain why a chain was refused.
struct Others<'a> {
    /// Trusted certificates that have an issuer's name and are not anchors.
    trusted: &'a [Trusted<'a>],
    anchors: &'a [Trusted<'a>],
    chain: &'a [x509::Certificate<'a>],
}

/// webpki checks cA of an intermediate, but not keyCertSign (RFC 5280, 6.1.4 (n)).
fn check_intermediates(path: &VerifiedPath<'_>) -> Result<(), webpki::Error> {
    let is_ca = |der: &[u8]| x509::Certificate::parse(der).is_some_and(|issuer| issuer.limits.is_ca);
    if path.intermediate_certificates().all(|issuer| is_ca(&issuer.der())) {
        Ok(())
    } else {
        Err(webpki::Error::EndEntityUsedAsCa)
    }
}

/// Applies the limits in a root's own certificate, as OpenSSL does.
fn check_root(
    limits: &Limits,
    path: &VerifiedPath<'_>,
    now: UnixTime,
) -> Result<(), (Option<Refusal>, webpki::Error)> {
    if let Err(error) = check_dates(limits, now) {
        return Err((out_of_date(&error).map(Refusal::Root), error));
    }
    // Self-issued CAs do not count (RFC 5280, 4.2.1.9).
    let length = path.intermediate_certificates().filter(|ca| ca.issuer() != ca.subject()).count();
    if limits.path_length.is_some_and(|allowed| length > allowed) {
        return Err((Some(Refusal::RootPathLength), webpki::Error::PathLenConstraintViolated));
    }
    check_purpose(limits).map_err(|error| (Some(Refusal::RootPurpose), error))
}

fn check_dates(limits: &Limits, now: UnixTime) -> Result<(), webpki::Error> {
    let moment = |seconds| UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    if limits.not_before > limits.not_after {
        return Err(webpki::Error::InvalidCertValidity);
    }
    if now.as_secs() < limits.not_before {
        return Err(webpki::Error::CertNotValidYet { time: now, not_before: moment(limits.not_before) });
    }
    if now.as_secs() > limits.not_after {
        return Err(webpki::Error::CertExpired { time: now, not_after: moment(limits.not_after) });
    }
    Ok(())
}

fn check_purpose(limits: &Limits) -> Result<(), webpki::Error> {
    if limits.is_for_servers {
        return Ok(());
    }
    Err(webpki::Error::RequiredEkuNotFoundContext(RequiredEkuNotFoundContext {
        required: KeyUsage::server_auth(),
        present: Vec::new(),
    }))
}

fn out_of_date(error: &webpki::Error) -> Option<OutOfDate> {
    match *error {
        webpki::Error::CertExpired { time, not_after } => Some(OutOfDate::Expired { time, not_after }),
        webpki::Error::CertNotValidYet { time, not_before } => {
            Some(OutOfDate::NotYetValid { time, not_before })
        }
        _ => None,
    }
}

/// Finds the cause of webpki's error. `root` is the reason why the last root was refused.
fn explain(
    error: webpki::Error,
    root: Option<Refusal>,
    leaf: &EndEntityCert<'_>,
    others: &Others<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> rustls::Error {
    use webpki::Error::*;
    let is_self_issued = leaf.issuer() == leaf.subject();
    let dates = out_of_date(&error);
    let refusal = match (&error, root) {
        (UnsupportedSignatureAlgorithmContext(context), _) => {
            Some(unsupported_signature(&context.signature_algorithm_id, None, leaf, others))
        }
        (UnsupportedSignatureAlgorithmForPublicKeyContext(context), _) => {
            let (signature, key) = (&context.signature_algorithm_id, &context.public_key_algorithm_id);
            Some(if is_supported_key(algorithms, key) {
                Refusal::IssuerSignature
            } else {
                unsupported_signature(signature, Some(key), leaf, others)
            })
        }
        (UnknownIssuer | CaUsedAsEndEntity, _) if is_self_issued => Some(Refusal::SelfSigned),
        (UnknownIssuer, _) if others.trusted.iter().any(|trusted| trusted.is_rejected) => {
            Some(Refusal::Distrusted)
        }
        (UnknownIssuer, _) if !others.trusted.is_empty() => Some(Refusal::IssuerIsNotCa),
        (InvalidSignatureForPublicKey, _) => {
            let anchors = others.anchors.iter().filter_map(|anchor| x509::Certificate::parse(anchor.der));
            let mut keys = anchors.chain(others.chain.iter().copied()).filter_map(|ca| ca.rsa_key_bits());
            let unusable = keys.find(|bits| !RSA_KEY_BITS.contains(bits));
            Some(unusable.map_or(Refusal::IssuerSignature, |bits| Refusal::RsaKey { bits, of_issuer: true }))
        }
        (CertExpired { .. } | CertNotValidYet { .. }, Some(Refusal::Root(root))) if dates == Some(root) => {
            Some(Refusal::Root(root))
        }
        (CertExpired { .. } | CertNotValidYet { .. }, _) => {
            let own = x509::Certificate::parse(&leaf.der()).map(|leaf| leaf.limits);
            let is_own = match (dates, own) {
                (Some(OutOfDate::Expired { not_after, .. }), Some(own)) => {
                    not_after.as_secs() == own.not_after
                }
                (Some(OutOfDate::NotYetValid { not_before, .. }), Some(own)) => {
                    not_before.as_secs() == own.not_before
                }
                _ => true,
            };
            dates.filter(|_| !is_own).map(Refusal::Issuer)
        }
        (EndEntityUsedAsCa, Some(Refusal::IssuerIsNotCa)) => Some(Refusal::IssuerIsNotCa),
        (PathLenConstraintViolated, Some(Refusal::RootPathLength)) => Some(Refusal::RootPathLength),
        (RequiredEkuNotFoundContext(_), Some(Refusal::RootPurpose)) => Some(Refusal::RootPurpose),
        _ => None,
    };
    refusal.map_or_else(|| webpki_error(error), rustls::Error::from)
}

/// Finds the certificate that has this signature, and the key that made it.
fn unsupported_signature(
    algorithm: &[u8],
    key: Option<&[u8]>,
    leaf: &EndEntityCert<'_>,
    others: &Others<'_>,
) -> Refusal {
    let leaf = leaf.der();
    let own = x509::Certificate::parse(&leaf);
    let has_it = |certificate: &&x509::Certificate<'_>| certificate.signature_algorithm == algorithm;
    let own = own.as_ref().filter(has_it);
    let signed = own.or_else(|| others.chain.iter().find(has_it));
    let key_of_issuer = || {
        let issuer = signed?.issuer;
        let anchors = others.anchors.iter().filter_map(|anchor| x509::Certificate::parse(anchor.der));
        anchors.chain(others.chain.iter().copied()).find(|ca| ca.subject == issuer)?.key_algorithm()
    };
    Refusal::Signature {
        algorithm: algorithm.to_vec(),
        key: key.or_else(key_of_issuer).map(<[u8]>::to_vec),
        of_issuer: own.is_none(),
    }
}

fn is_supported_key(algorithms: &WebPkiSupportedAlgorithms, key: &[u8]) -> bool {
    algorithms.all.iter().any(|algorithm| algorithm.public_key_alg_id().as_ref() == key)
}

/// Verifies a server's own certificate, which is trusted directly.
fn verify_pinned(leaf: &Trusted<'_>, now: UnixTime) -> Result<u64, rustls::Error> {
    check_dates(&leaf.limits, now).map_err(webpki_error)?;
    check_purpose(&leaf.limits).map_err(webpki_error)?;
    Ok(leaf.limits.not_after)
}

/// Finds the cause of an error in the handshake's signature.
fn explain_signature(
    error: rustls::Error,
    certificate: &CertificateDer<'_>,
    algorithms: &WebPkiSupportedAlgorithms,
) -> rustls::Error {
    use CertificateError::*;
    match error {
        rustls::Error::InvalidCertificate(UnsupportedSignatureAlgorithmForPublicKeyContext {
            public_key_algorithm_id: key,
            ..
        }) => {
            if is_supported_key(algorithms, &key) {
                BadSignature.into()
            } else {
                Refusal::Key { algorithm: key }.into()
            }
        }
        // ring reports every signature by a key that is too short or too long as wrong.
        rustls::Error::InvalidCertificate(BadSignature) => {
            match x509::Certificate::parse(certificate).and_then(|certificate| certificate.rsa_key_bits()) {
                Some(bits) if !RSA_KEY_BITS.contains(&bits) => {
                    Refusal::RsaKey { bits, of_issuer: false }.into()
                }
                _ => error,
            }
        }
        _ => error,
    }
}

impl ServerCertVerifier for Verifier {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let leaf = EndEntityCert::try_from(end_entity).map_err(webpki_error)?;
        let own = self.trusted().find(|trusted| trusted.der == &**end_entity);
        let not_after = match own {
            Some(own) if own.is_rejected => return Err(Refusal::Distrusted.into()),
            Some(own) if own.is_pin() => verify_pinned(&own, now)?,
            _ => self.verify_chain(&leaf, intermediates, now)?,
        };
        leaf.verify_is_valid_for_subject_name(server_name).map_err(webpki_error)?;
        self.earliest_not_after.fetch_min(not_after, Ordering::Relaxed);
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signed, &self.algorithms)
            .map_err(|error| explain_signature(error, certificate, &self.algorithms))
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signed, &self.algorithms)
            .map_err(|error| explain_signature(error, certificate, &self.algorithms))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.algorithms.supported_schemes()
    }
}
