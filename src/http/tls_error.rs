//! Messages for TLS failures. Each states which object was refused, why, and the administrator's remedy. Text that a
//! server chose is printed as ASCII, and truncated.

use std::time::{Duration, UNIX_EPOCH};

use rustls::pki_types::UnixTime;
use rustls::{
    AlertDescription, CertificateError, InvalidMessage, OtherError, PeerIncompatible, PeerMisbehaved,
};

use crate::error::ErrorKind;
use crate::http::algorithms::{key_name, signature_name};
use crate::http::verifier::{OutOfDate, RSA_KEY_BITS, Refusal};

/// The maximum length of a DNS name.
const MAX_NAMES_BYTES: usize = 255;

const CERTIFICATE: &str = "The server's certificate";
const CLOCK_ADVICE: &str = "check this clock, or renew the certificate";

pub fn error_kind(error: &rustls::Error) -> ErrorKind {
    use rustls::Error::*;
    let why = match error {
        InvalidCertificate(error) => certificate(error),
        AlertReceived(alert) => received_alert(*alert),
        PeerIncompatible(why) => format!("{}; update the server's TLS settings", incompatible(why)),
        NoApplicationProtocol => {
            "The server offers other protocols than HTTP/1.1 over TLS (ALPN); enable HTTP/1.1 there".to_owned()
        }
        InvalidMessage(why) => invalid_message(*why).to_owned(),
        PeerMisbehaved(why) => format!(
            "The server broke the rules of TLS: {}; it is defective, or a device in between changes the connection",
            misbehaviour(why)
        ),
        InappropriateMessage { .. } | InappropriateHandshakeMessage { .. } => {
            "The server sent a TLS message out of order; it is defective, or a device in between changes the \
             connection"
                .to_owned()
        }
        NoCertificatesPresented => {
            "The server sent no certificate; configure one there".to_owned()
        }
        DecryptError => {
            "A TLS record could not be decrypted: it was changed on its way, or the server is defective".to_owned()
        }
        PeerSentOversizedRecord => {
            "The server sent a TLS record larger than TLS allows; it is defective, or this is not its https port"
                .to_owned()
        }
        UnsupportedNameType => {
            "The host in the base URL is not a name that a certificate can have; check the URL".to_owned()
        }
        FailedToGetCurrentTime => "This machine's clock can't be read, so no certificate can be verified".to_owned(),
        FailedToGetRandomBytes => "The system has no random numbers, which TLS needs".to_owned(),
        EncryptError | HandshakeNotComplete | BadMaxFragmentSize | InconsistentKeys(_) => {
            "TLS reached an invalid state; please report it".to_owned()
        }
        InvalidEncryptedClientHello(_) | InvalidCertRevocationList(_) => {
            "TLS failed in a feature that is not used; please report it".to_owned()
        }
        _ => "TLS failed for an unknown reason; please report it".to_owned(),
    };
    ErrorKind::Tls(why.into())
}

fn certificate(error: &CertificateError) -> String {
    use CertificateError::*;
    match error {
        ExpiredContext { time, not_after } => {
            out_of_date(CERTIFICATE, OutOfDate::Expired { time: *time, not_after: *not_after })
        }
        NotValidYetContext { time, not_before } => {
            out_of_date(CERTIFICATE, OutOfDate::NotYetValid { time: *time, not_before: *not_before })
        }
        NotValidForNameContext { expected, presented } => format!(
            "{CERTIFICATE} is for {}, and not for {}; check the host name in the base URL",
            names(presented),
            printable(&expected.to_str())
        ),
        Other(OtherError(error)) => {
            match (error.downcast_ref::<Refusal>(), error.downcast_ref::<webpki::Error>()) {
                (Some(refusal), _) => refused(refusal),
                (_, Some(error)) => format!("{CERTIFICATE} {}", rejected(error)),
                _ => format!("{CERTIFICATE} can't be verified"),
            }
        }
        error => format!("{CERTIFICATE} {}", without_context(error)),
    }
}

/// The rest of a message about the certificate, for errors without details.
fn without_context(error: &CertificateError) -> &'static str {
    use CertificateError::*;
    #[allow(deprecated, reason = "it exists, so it has a sentence")]
    match error {
        BadEncoding => "can't be parsed; install a new one on the server",
        Expired => "has expired, or its dates are reversed",
        NotValidYet => "is not valid yet",
        Revoked => "was revoked by its issuer; install a new one on the server",
        UnhandledCriticalExtension => {
            "or one of its issuers' has a critical extension that this library does not process, such as certificate \
             policies; issue it without that extension, or mark the extension as not critical"
        }
        UnknownIssuer => {
            "was issued by a CA that is not trusted here (unknown issuer); add the CA's root to the trust store or \
             set it as CA file, and configure the server to send all intermediate certificates"
        }
        UnknownRevocationStatus | ExpiredRevocationList | ExpiredRevocationListContext { .. } => {
            "has an unknown revocation status"
        }
        BadSignature => "does not match the private key that the server signs with; install a matching pair",
        UnsupportedSignatureAlgorithm
        | UnsupportedSignatureAlgorithmContext { .. }
        | UnsupportedSignatureAlgorithmForPublicKeyContext { .. } => {
            "or one of its issuers' is signed with an algorithm that is not safe or not supported; issue it with \
             SHA-256 and an RSA, P-256, P-384 or Ed25519 key"
        }
        NotValidForName => "is for another name; check the host name in the base URL",
        InvalidPurpose | InvalidPurposeContext { .. } => {
            "or one of its issuers' is not meant for servers: its extended key usage lacks serverAuth; issue it with serverAuth"
        }
        InvalidOcspResponse => "came with a status (OCSP) that is not valid",
        ApplicationVerificationFailure => "is not accepted",
        _ => "can't be verified",
    }
}

fn refused(refusal: &Refusal) -> String {
    let sentence = match refusal {
        Refusal::SelfSigned => {
            "is self-signed and not trusted here; if it is the right one, set it as CA file"
        }
        Refusal::IssuerSignature => {
            "or one of its issuers' has a signature that does not match the key of its issuer: the CA that is trusted \
             here has the same name and another key, or the certificate was changed; trust the CA that issued it"
        }
        Refusal::IssuerIsNotCa => {
            "was issued by a certificate that is not marked as a CA's (basic constraints, key usage); issue it with a \
             CA's key"
        }
        Refusal::RootPathLength => {
            "has more CAs above it than the trusted root allows (path length); issue it with a CA closer to the root"
        }
        Refusal::RootPurpose => {
            "was issued by a trusted root that is not meant for servers: its extended key usage lacks serverAuth; use another CA"
        }
        Refusal::Distrusted => {
            "or its root is marked as not trusted for servers (TRUSTED CERTIFICATE); change its trust settings if it is the right one"
        }
        Refusal::Issuer(dates) => return out_of_date("A CA certificate that the server sent", *dates),
        Refusal::Root(dates) => return out_of_date("The trusted root of the server's certificate", *dates),
        Refusal::Signature { algorithm, key, of_issuer } => {
            let certificate = if *of_issuer { "A CA certificate that the server sent" } else { CERTIFICATE };
            let key =
                key.as_ref().map_or_else(String::new, |key| format!(" by a key of type {}", key_name(key)));
            return format!(
                "{certificate} is signed with {}{key}, which this library does not accept; sign it with SHA-256 and \
                 an RSA, P-256, P-384 or Ed25519 key, or set the server's own certificate as CA file",
                signature_name(algorithm)
            );
        }
        Refusal::Key { algorithm } => {
            return format!(
                "{CERTIFICATE} has a key of type {}, which this library does not accept; issue it with an RSA, P-256, P-384 \
                 or Ed25519 key",
                key_name(algorithm)
            );
        }
        Refusal::RsaKey { bits, of_issuer } => {
            let of = if *of_issuer { "was issued with" } else { "has" };
            let (least, most) = (RSA_KEY_BITS.start(), RSA_KEY_BITS.end());
            return format!(
                "{CERTIFICATE} {of} an RSA key of {bits} bits; {least} to {most} bits are accepted; issue it with a new key"
            );
        }
    };
    format!("{CERTIFICATE} {sentence}")
}

/// The rest of a message about the certificate.
fn rejected(error: &webpki::Error) -> &'static str {
    use webpki::Error::*;
    #[allow(deprecated, reason = "they exist, so they have sentences")]
    match error {
        BadDer | BadDerTime | TrailingData(_) => without_context(&CertificateError::BadEncoding),
        CaUsedAsEndEntity => {
            "is a CA certificate (basic constraints), which a server can't use; install a server certificate"
        }
        CertDistrusted => "has a key that is known to be misused",
        CertExpired { .. } | InvalidCertValidity => without_context(&CertificateError::Expired),
        CertNotValidYet { .. } => without_context(&CertificateError::NotValidYet),
        CertNotValidForName(_) => without_context(&CertificateError::NotValidForName),
        CertRevoked => without_context(&CertificateError::Revoked),
        EmptyEkuExtension => "has an extended key usage that is empty",
        EndEntityUsedAsCa => {
            "was issued by a certificate that is not a CA's (basic constraints); issue it with the CA's key"
        }
        ExtensionValueInvalid | MalformedExtensions => "has an extension that can't be parsed",
        InvalidSerialNumber => "has a serial number that is not valid",
        InvalidSignatureForPublicKey => without_context(&CertificateError::BadSignature),
        InvalidNetworkMaskConstraint | MalformedNameConstraint => {
            "has an issuer whose name constraints can't be parsed"
        }
        MalformedDnsIdentifier => "has a DNS name that is not valid",
        MaximumPathDepthExceeded => {
            "has too many CAs above it: at most 6 are accepted; issue it with a CA closer to the root"
        }
        MaximumNameConstraintComparisonsExceeded
        | MaximumPathBuildCallsExceeded
        | MaximumSignatureChecksExceeded => {
            "came with so many certificates that the search for its issuer was stopped; configure the server to send \
             its chain only"
        }
        NameConstraintViolation => {
            "has a name that its issuer may not certify (name constraints); use another CA, or another name"
        }
        PathLenConstraintViolated => {
            "has more CAs above it than one of them allows (path length); issue it with a CA closer to the root"
        }
        RequiredEkuNotFound | RequiredEkuNotFoundContext(_) => {
            without_context(&CertificateError::InvalidPurpose)
        }
        SignatureAlgorithmMismatch => "names two different algorithms for its signature",
        UnknownIssuer => without_context(&CertificateError::UnknownIssuer),
        UnsupportedCertVersion => {
            "or one of its issuers' is not of X.509 version 3; issue it again with extensions"
        }
        UnsupportedCriticalExtension => without_context(&CertificateError::UnhandledCriticalExtension),
        UnsupportedNameType => "has a name of a type that is not supported",
        UnsupportedSignatureAlgorithm
        | UnsupportedSignatureAlgorithmContext(_)
        | UnsupportedSignatureAlgorithmForPublicKey
        | UnsupportedSignatureAlgorithmForPublicKeyContext(_) => {
            without_context(&CertificateError::UnsupportedSignatureAlgorithm)
        }
        CrlExpired { .. }
        | InvalidCrlNumber
        | InvalidCrlSignatureForPublicKey
        | IssuerNotCrlSigner
        | UnknownRevocationStatus
        | UnsupportedCrlIssuingDistributionPoint
        | UnsupportedCrlVersion
        | UnsupportedDeltaCrl
        | UnsupportedIndirectCrl
        | UnsupportedRevocationReason
        | UnsupportedRevocationReasonsPartitioning
        | UnsupportedCrlSignatureAlgorithm
        | UnsupportedCrlSignatureAlgorithmContext(_)
        | UnsupportedCrlSignatureAlgorithmForPublicKey
        | UnsupportedCrlSignatureAlgorithmForPublicKeyContext(_) => {
            without_context(&CertificateError::UnknownRevocationStatus)
        }
        _ => "can't be verified",
    }
}

fn out_of_date(what: &str, dates: OutOfDate) -> String {
    match dates {
        OutOfDate::Expired { time, not_after } => format!(
            "{what} expired on {}; this machine's clock says {}: {CLOCK_ADVICE}",
            date(not_after),
            date(time)
        ),
        OutOfDate::NotYetValid { time, not_before } => format!(
            "{what} is not valid before {}; this machine's clock says {}: {CLOCK_ADVICE}",
            date(not_before),
            date(time)
        ),
    }
}

fn received_alert(alert: AlertDescription) -> String {
    let number = u8::from(alert);
    let (name, meaning) = alert_meaning(number);
    format!("The server ended TLS with the alert {number} ({name}): {meaning}")
}

/// The name of an alert in the RFCs, and its cause and remedy from a client's view.
fn alert_meaning(number: u8) -> (&'static str, &'static str) {
    const DEFECT: &str = "one side is defective, or a device in between changes the connection";
    const CLIENT_CERTIFICATE: &str = "it rejected a client certificate, but this library has none; check the \
                                      base URL and the server's settings";
    match number {
        0 => ("close_notify", "it closed the connection"),
        10 => ("unexpected_message", DEFECT),
        20 => {
            ("bad_record_mac", "it could not decrypt a record; a device in between may change the connection")
        }
        21 => ("decryption_failed", DEFECT),
        22 => ("record_overflow", DEFECT),
        30 => ("decompression_failure", DEFECT),
        40 => (
            "handshake_failure",
            "it has no cipher suite, key exchange group or signature algorithm in common with this library (groups: \
             X25519MLKEM768, X25519, P-256, P-384; its certificate needs an RSA, P-256, P-384 or Ed25519 key), or \
             requires a client certificate, which this library does not have; check the server's TLS settings and \
             certificate",
        ),
        41 => ("no_certificate", CLIENT_CERTIFICATE),
        42 => ("bad_certificate", CLIENT_CERTIFICATE),
        43 => ("unsupported_certificate", CLIENT_CERTIFICATE),
        44 => ("certificate_revoked", CLIENT_CERTIFICATE),
        45 => ("certificate_expired", CLIENT_CERTIFICATE),
        46 => ("certificate_unknown", CLIENT_CERTIFICATE),
        47 => ("illegal_parameter", DEFECT),
        48 => ("unknown_ca", CLIENT_CERTIFICATE),
        49 => ("access_denied", "it denied access to this machine; ask its administrator"),
        50 => ("decode_error", DEFECT),
        51 => ("decrypt_error", DEFECT),
        60 => ("export_restriction", "it asks for weak cryptography; update its TLS settings"),
        70 => ("protocol_version", "it accepts neither TLS 1.2 nor TLS 1.3; enable one of them there"),
        71 => (
            "insufficient_security",
            "it requires other cipher suites than this library has; check its TLS settings",
        ),
        80 => ("internal_error", "it failed internally; check its log"),
        86 => ("inappropriate_fallback", DEFECT),
        90 => ("user_canceled", "it cancelled the handshake; check its log"),
        100 => ("no_renegotiation", DEFECT),
        109 => ("missing_extension", "it requires an extension that this library does not send"),
        110 => ("unsupported_extension", DEFECT),
        111 => ("certificate_unobtainable", CLIENT_CERTIFICATE),
        112 => ("unrecognized_name", "it does not serve this host name; check the host name in the base URL"),
        113 => ("bad_certificate_status_response", DEFECT),
        114 => ("bad_certificate_hash_value", CLIENT_CERTIFICATE),
        115 => ("unknown_psk_identity", "it requires a pre-shared key; check the base URL"),
        116 => (
            "certificate_required",
            "it requires a client certificate, which this library does not have; check the base URL and the \
             server's settings",
        ),
        117 => ("general_error", "it failed internally; check its log"),
        120 => {
            ("no_application_protocol", "it does not offer HTTP/1.1; enable it there, or check the base URL")
        }
        121 => ("ech_required", "it requires an encrypted ClientHello, which this library does not send"),
        _ => ("unassigned", "no standard defines it; check the server's log"),
    }
}

fn incompatible(why: &PeerIncompatible) -> &'static str {
    use PeerIncompatible::*;
    match why {
        ServerDoesNotSupportTls12Or13 | ServerTlsVersionIsDisabledByOurConfig => {
            "The server supports neither TLS 1.2 nor TLS 1.3"
        }
        NoCipherSuitesInCommon => "The server has no safe cipher suite in common with this library",
        NoKxGroupsInCommon | NoEcPointFormatsInCommon | UncompressedEcPointsRequired => {
            "The server has no key exchange in common with this library"
        }
        NoSignatureSchemesInCommon | NoCertificateRequestSignatureSchemesInCommon => {
            "The server has no signature scheme in common with this library"
        }
        _ => "The server lacks a feature of TLS 1.2 or 1.3 that this library requires",
    }
}

fn invalid_message(why: InvalidMessage) -> &'static str {
    use InvalidMessage::*;
    match why {
        CertificatePayloadTooLarge | HandshakePayloadTooLarge => {
            "The server's certificate chain, or another TLS message, is larger than the limit of 64 KiB; configure the \
             server to send its chain only"
        }
        InvalidContentType | UnknownProtocolVersion | MessageTooLarge | InvalidEmptyPayload => {
            "The server's response is not TLS; check that the base URL has its https port"
        }
        _ => {
            "The server sent a TLS message that can't be parsed; it is defective, this is not its https port, or a \
             device in between changes the connection"
        }
    }
}

fn misbehaviour(why: &PeerMisbehaved) -> &'static str {
    use PeerMisbehaved::*;
    match why {
        AttemptedDowngradeToTls12WhenTls13IsSupported => {
            "it supports TLS 1.3 and chose an older version, as if somebody forced a downgrade"
        }
        SelectedUnofferedCipherSuite
        | SelectedUnusableCipherSuiteForVersion
        | SelectedDifferentCipherSuiteAfterRetry
        | CipherSuiteDifferedOnRetry
        | IllegalHelloRetryRequestWithUnofferedCipherSuite
        | ResumptionOfferedWithVariedCipherSuite
        | ResumptionOfferedWithIncompatibleCipherSuite => "it chose a cipher suite that it may not choose",
        SelectedUnofferedCompression | SelectedUnofferedCertCompression | InvalidCertCompression => {
            "it chose a compression that was not offered"
        }
        SelectedUnofferedApplicationProtocol | OfferedEmptyApplicationProtocol => {
            "it chose an application protocol that was not offered"
        }
        SelectedUnofferedKxGroup
        | WrongGroupForKeyShare
        | InvalidKeyShare
        | MissingKeyShare
        | IllegalHelloRetryRequestWithOfferedGroup
        | IllegalHelloRetryRequestWithUnofferedNamedGroup
        | ServerHelloMustOfferUncompressedEcPoints => "its key exchange is not valid",
        SelectedUnofferedPsk
        | SelectedInvalidPsk
        | ResumptionAttemptedWithVariedEms
        | ResumptionOfferedWithVariedEms => "it resumed a session that it may not resume",
        UnsolicitedCertExtension
        | UnsolicitedEncryptedExtension
        | UnsolicitedServerHelloExtension
        | UnsolicitedSctList
        | UnsolicitedEchExtension
        | UnexpectedCleartextExtension
        | DisallowedEncryptedExtension
        | DuplicateEncryptedExtensions
        | DuplicateServerHelloExtensions
        | DuplicateHelloRetryRequestExtensions
        | DuplicateNewSessionTicketExtensions
        | BadCertChainExtensions => "it sent an extension that it may not send",
        SignedKxWithWrongAlgorithm | SignedHandshakeWithUnadvertisedSigScheme => {
            "it signed the handshake with an algorithm that was not offered"
        }
        TooManyEmptyFragments
        | TooManyKeyUpdateRequests
        | TooManyRenegotiationRequests
        | TooManyWarningAlertsReceived => "it sent too many messages without content",
        SelectedTls12UsingTls13VersionExtension | IllegalHelloRetryRequestWithUnsupportedVersion => {
            "it chose a TLS version in a way that is not allowed"
        }
        _ => "its messages do not follow the protocol",
    }
}

/// The names in a certificate.
fn names(presented: &[String]) -> String {
    if presented.is_empty() {
        return "no name at all".to_owned();
    }
    let names: Vec<_> = presented.iter().take(8).map(|name| printable(plain_name(name))).collect();
    let mut names = names.join(", ");
    if names.len() > MAX_NAMES_BYTES {
        names.truncate(MAX_NAMES_BYTES - 3);
        names.push_str("...");
    }
    names
}

/// Removes the text around the name in `DnsName("x")` and similar.
fn plain_name(name: &str) -> &str {
    name.split_once('(').map_or(name, |(_, inner)| inner.trim_end_matches(')').trim_matches('"'))
}

/// External text as ASCII. Control characters could confuse a terminal. Format characters (zero-width, direction
/// overrides) could make a name look like another.
fn printable(text: &str) -> String {
    text.chars().map(|letter| if letter == ' ' || letter.is_ascii_graphic() { letter } else { '?' }).collect()
}

fn date(time: UnixTime) -> String {
    // Dates beyond year 9999 would make httpdate panic.
    const LATEST: u64 = 253_402_300_799;
    httpdate::fmt_http_date(UNIX_EPOCH + Duration::from_secs(time.as_secs().min(LATEST)))
}

#[cfg(test)]
mod tests {
    use rustls::pki_types::ServerName;

    use super::*;

    /// Checks that the text is a sentence, not the name of a variant.
    #[track_caller]
    fn assert_sentence(name: &str, sentence: &str) {
        let words: Vec<&str> = sentence.split(|letter: char| !letter.is_ascii_alphanumeric()).collect();
        for word in &words {
            let is_camel_case = word
                .as_bytes()
                .windows(2)
                .any(|two| two[0].is_ascii_lowercase() && two[1].is_ascii_uppercase());
            // RFC 8446 uses the name ClientHello.
            assert!(
                !is_camel_case || matches!(*word, "serverAuth" | "ClientHello" | "KiB"),
                "{name}: {sentence}"
            );
        }
        assert!(words.len() >= 4 && !sentence.ends_with('.'), "{name}: {sentence}");
        for unspecific in ["can't be verified", "has no name", "for a reason"] {
            assert!(!sentence.contains(unspecific), "{name} has no sentence of its own: {sentence}");
        }
    }

    fn sentence(error: &rustls::Error) -> String {
        match error_kind(error) {
            ErrorKind::Tls(why) => why.into_owned(),
            other => panic!("{other}"),
        }
    }

    #[test]
    fn alerts_all_have_a_sentence() {
        for number in 0..=255 {
            let alert = AlertDescription::from(number);
            let sentence = sentence(&rustls::Error::AlertReceived(alert));
            assert_sentence(&format!("{alert:?}"), &sentence);
            // rustls prints unknown alerts as numbers.
            let is_known = !format!("{alert:?}").contains("0x") || number == 117;
            assert_eq!(sentence.contains("unassigned"), !is_known, "{alert:?}: {sentence}");
        }
    }

    #[test]
    #[allow(deprecated, reason = "they exist, so they have sentences")]
    fn certificate_errors_all_have_a_sentence() {
        use CertificateError::*;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        for error in [
            BadEncoding,
            Expired,
            ExpiredContext { time, not_after: time },
            NotValidYet,
            NotValidYetContext { time, not_before: time },
            Revoked,
            UnhandledCriticalExtension,
            UnknownIssuer,
            UnknownRevocationStatus,
            ExpiredRevocationList,
            ExpiredRevocationListContext { time, next_update: time },
            BadSignature,
            UnsupportedSignatureAlgorithm,
            UnsupportedSignatureAlgorithmContext {
                signature_algorithm_id: Vec::new(),
                supported_algorithms: Vec::new(),
            },
            UnsupportedSignatureAlgorithmForPublicKeyContext {
                signature_algorithm_id: Vec::new(),
                public_key_algorithm_id: Vec::new(),
            },
            NotValidForName,
            NotValidForNameContext {
                expected: ServerName::try_from("localhost").unwrap(),
                presented: vec!["DnsName(\"example.com\")".to_owned()],
            },
            InvalidPurpose,
            InvalidPurposeContext { required: rustls::ExtendedKeyPurpose::ServerAuth, presented: Vec::new() },
            InvalidOcspResponse,
            ApplicationVerificationFailure,
        ] {
            let name = format!("{error:?}");
            assert_sentence(&name, &sentence(&rustls::Error::InvalidCertificate(error)));
        }
    }

    #[test]
    fn refusals_all_have_a_sentence() {
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let expired = OutOfDate::Expired { time, not_after: time };
        let early = OutOfDate::NotYetValid { time, not_before: time };
        for refusal in [
            Refusal::SelfSigned,
            Refusal::IssuerSignature,
            Refusal::IssuerIsNotCa,
            Refusal::Issuer(expired),
            Refusal::Root(early),
            Refusal::RootPathLength,
            Refusal::RootPurpose,
            Refusal::Distrusted,
            Refusal::Signature { algorithm: vec![6, 2, 0x2a, 3], key: None, of_issuer: true },
            Refusal::Signature { algorithm: Vec::new(), key: Some(Vec::new()), of_issuer: false },
            Refusal::Key { algorithm: vec![6, 2, 0x2a, 3] },
            Refusal::RsaKey { bits: 1024, of_issuer: true },
            Refusal::RsaKey { bits: 1024, of_issuer: false },
        ] {
            assert_sentence(&format!("{refusal:?}"), &sentence(&refusal.clone().into()));
        }
    }

    #[test]
    #[allow(deprecated, reason = "they exist, so they have sentences")]
    fn webpki_errors_all_have_a_sentence() {
        use webpki::Error::*;
        let time = UnixTime::since_unix_epoch(Duration::from_secs(1));
        let algorithm = || webpki::UnsupportedSignatureAlgorithmContext {
            signature_algorithm_id: Vec::new(),
            supported_algorithms: Vec::new(),
        };
        let key = || webpki::UnsupportedSignatureAlgorithmForPublicKeyContext {
            signature_algorithm_id: Vec::new(),
            public_key_algorithm_id: Vec::new(),
        };
        for error in [
            BadDer,
            BadDerTime,
            CaUsedAsEndEntity,
            CertDistrusted,
            CertExpired { time, not_after: time },
            CertNotValidForName(webpki::InvalidNameContext {
                expected: ServerName::try_from("localhost").unwrap(),
                presented: Vec::new(),
            }),
            CertNotValidYet { time, not_before: time },
            CertRevoked,
            CrlExpired { time, next_update: time },
            EmptyEkuExtension,
            EndEntityUsedAsCa,
            ExtensionValueInvalid,
            InvalidCertValidity,
            InvalidCrlNumber,
            InvalidNetworkMaskConstraint,
            InvalidSerialNumber,
            InvalidCrlSignatureForPublicKey,
            InvalidSignatureForPublicKey,
            IssuerNotCrlSigner,
            MalformedDnsIdentifier,
            MalformedExtensions,
            MalformedNameConstraint,
            MaximumNameConstraintComparisonsExceeded,
            MaximumPathBuildCallsExceeded,
            MaximumPathDepthExceeded,
            MaximumSignatureChecksExceeded,
            NameConstraintViolation,
            PathLenConstraintViolated,
            RequiredEkuNotFound,
            RequiredEkuNotFoundContext(webpki::RequiredEkuNotFoundContext {
                required: webpki::KeyUsage::server_auth(),
                present: Vec::new(),
            }),
            SignatureAlgorithmMismatch,
            TrailingData(webpki::DerTypeId::Certificate),
            UnknownIssuer,
            UnknownRevocationStatus,
            UnsupportedCertVersion,
            UnsupportedCriticalExtension,
            UnsupportedCrlIssuingDistributionPoint,
            UnsupportedCrlVersion,
            UnsupportedDeltaCrl,
            UnsupportedIndirectCrl,
            UnsupportedNameType,
            UnsupportedRevocationReason,
            UnsupportedRevocationReasonsPartitioning,
            UnsupportedCrlSignatureAlgorithm,
            UnsupportedCrlSignatureAlgorithmContext(algorithm()),
            UnsupportedSignatureAlgorithm,
            UnsupportedSignatureAlgorithmContext(algorithm()),
            UnsupportedCrlSignatureAlgorithmForPublicKey,
            UnsupportedCrlSignatureAlgorithmForPublicKeyContext(key()),
            UnsupportedSignatureAlgorithmForPublicKey,
            UnsupportedSignatureAlgorithmForPublicKeyContext(key()),
        ] {
            let name = format!("{error:?}");
            assert_sentence(&name, &format!("{CERTIFICATE} {}", rejected(&error)));
            assert_sentence(&name, &sentence(&crate::http::verifier::webpki_error(error)));
        }
    }

    #[test]
    fn other_errors_all_have_a_sentence() {
        use rustls::Error::*;
        use rustls::{ContentType, HandshakeType, InconsistentKeys as Keys};
        for error in [
            InappropriateMessage { expect_types: Vec::new(), got_type: ContentType::Alert },
            InappropriateHandshakeMessage { expect_types: Vec::new(), got_type: HandshakeType::Finished },
            NoCertificatesPresented,
            UnsupportedNameType,
            DecryptError,
            EncryptError,
            FailedToGetCurrentTime,
            FailedToGetRandomBytes,
            HandshakeNotComplete,
            PeerSentOversizedRecord,
            NoApplicationProtocol,
            BadMaxFragmentSize,
            InconsistentKeys(Keys::KeyMismatch),
            InvalidMessage(rustls::InvalidMessage::HandshakePayloadTooLarge),
            InvalidMessage(rustls::InvalidMessage::InvalidContentType),
            InvalidMessage(rustls::InvalidMessage::MissingData("Extension")),
            PeerIncompatible(rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13),
            PeerIncompatible(rustls::PeerIncompatible::NoCipherSuitesInCommon),
            PeerIncompatible(rustls::PeerIncompatible::ExtendedMasterSecretExtensionRequired),
            PeerMisbehaved(rustls::PeerMisbehaved::SelectedUnofferedKxGroup),
            PeerMisbehaved(rustls::PeerMisbehaved::KeyEpochWithPendingFragment),
        ] {
            assert_sentence(&format!("{error:?}"), &sentence(&error));
        }
    }

    #[test]
    fn names_are_short_and_printable() {
        let name = |name: &str| format!("DnsName(\"{name}\")");
        assert_eq!(names(&[]), "no name at all");
        assert_eq!(names(&[name("a.example"), "IpAddress(127.0.0.1)".into()]), "a.example, 127.0.0.1");
        assert_eq!(names(&[name("moc.\u{202e}elpmaxe\u{200b}\n\u{1b}[31m\u{e9}")]), "moc.?elpmaxe???[31m?");
        for count in [1, 3, 100] {
            let long = names(&vec![name(&"x".repeat(60_000)); count]);
            assert_eq!(long.len(), MAX_NAMES_BYTES);
            assert!(long.ends_with("x..."));
        }
    }
}
