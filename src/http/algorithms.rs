//! Names of the algorithms in certificates, for messages about refused ones.

use crate::x509::Algorithm;

const UNKNOWN: &str = "unknown";
/// Longer OIDs are not printed.
const MAX_OID_BYTES: usize = 32;
/// Longer salts don't fit into a signature by the longest RSA key.
const MAX_SALT_BYTES: usize = 1024;

const SIGNATURES: [(&str, &str); 16] = [
    ("1.2.840.113549.1.1.4", "RSA and MD5"),
    ("1.2.840.113549.1.1.5", "RSA and SHA-1"),
    ("1.2.840.113549.1.1.11", "RSA and SHA-256"),
    ("1.2.840.113549.1.1.12", "RSA and SHA-384"),
    ("1.2.840.113549.1.1.13", "RSA and SHA-512"),
    ("1.2.840.113549.1.1.14", "RSA and SHA-224"),
    ("1.2.840.10045.4.1", "ECDSA and SHA-1"),
    ("1.2.840.10045.4.3.1", "ECDSA and SHA-224"),
    ("1.2.840.10045.4.3.2", "ECDSA and SHA-256"),
    ("1.2.840.10045.4.3.3", "ECDSA and SHA-384"),
    ("1.2.840.10045.4.3.4", "ECDSA and SHA-512"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];
const RSASSA_PSS: &str = "1.2.840.113549.1.1.10";

const KEYS: [(&str, &str); 7] = [
    ("1.2.840.113549.1.1.1", "RSA"),
    (RSASSA_PSS, "RSASSA-PSS"),
    ("1.3.101.112", "Ed25519"),
    ("1.3.101.113", "Ed448"),
    ("2.16.840.1.101.3.4.3.17", "ML-DSA-44"),
    ("2.16.840.1.101.3.4.3.18", "ML-DSA-65"),
    ("2.16.840.1.101.3.4.3.19", "ML-DSA-87"),
];
const EC_KEY: &str = "1.2.840.10045.2.1";

const CURVES: [(&str, &str); 8] = [
    ("1.2.840.10045.3.1.7", "P-256"),
    ("1.3.132.0.33", "P-224"),
    ("1.3.132.0.34", "P-384"),
    ("1.3.132.0.35", "P-521"),
    ("1.3.132.0.10", "secp256k1"),
    ("1.3.36.3.3.2.8.1.1.7", "brainpoolP256r1"),
    ("1.3.36.3.3.2.8.1.1.11", "brainpoolP384r1"),
    ("1.3.36.3.3.2.8.1.1.13", "brainpoolP512r1"),
];

const HASHES: [(&str, &str); 5] = [
    ("1.3.14.3.2.26", "SHA-1"),
    ("2.16.840.1.101.3.4.2.1", "SHA-256"),
    ("2.16.840.1.101.3.4.2.2", "SHA-384"),
    ("2.16.840.1.101.3.4.2.3", "SHA-512"),
    ("2.16.840.1.101.3.4.2.4", "SHA-224"),
];

/// The name of a signature algorithm, from the content of its AlgorithmIdentifier.
pub fn signature_name(algorithm: &[u8]) -> String {
    let Some(algorithm) = Algorithm::parse(algorithm) else { return UNKNOWN.to_owned() };
    let oid = dotted(algorithm.id);
    if oid != RSASSA_PSS {
        let name = name_or_oid(&SIGNATURES, oid);
        // Parameters are forbidden here (RFC 5758, 3.2; RFC 8410, 3), but some encoders write NULL.
        let forbids_parameters = name.starts_with("EC") || name.starts_with("Ed");
        return if forbids_parameters && algorithm.has_parameters() {
            name + " with parameters"
        } else {
            name
        };
    }
    match algorithm.pss_hash_and_salt() {
        Some((hash, salt)) if salt <= MAX_SALT_BYTES => {
            let hash = name_or_oid(&HASHES, dotted(hash));
            format!("RSA-PSS, {hash} and a salt of {salt} bytes")
        }
        _ => "RSA-PSS".to_owned(),
    }
}

/// The name of a key's type, from the content of its AlgorithmIdentifier.
pub fn key_name(algorithm: &[u8]) -> String {
    let Some(algorithm) = Algorithm::parse(algorithm) else { return UNKNOWN.to_owned() };
    let oid = dotted(algorithm.id);
    if oid != EC_KEY {
        return name_or_oid(&KEYS, oid);
    }
    match algorithm.curve() {
        Some(curve) => name_or_oid(&CURVES, dotted(curve)),
        None => "EC with a curve that has no name".to_owned(),
    }
}

fn name_or_oid(names: &[(&str, &str)], oid: String) -> String {
    match names.iter().find(|(known, _)| *known == oid) {
        Some((_, name)) => (*name).to_owned(),
        None => oid,
    }
}

/// An OID as text. The first number in DER contains the first two arcs (X.690, 8.19.4).
fn dotted(id: &[u8]) -> String {
    if id.is_empty() || id.len() > MAX_OID_BYTES {
        return UNKNOWN.to_owned();
    }
    let mut text = String::new();
    let (mut number, mut is_complete): (u64, bool) = (0, false);
    for byte in id {
        let Some(shifted) = number.checked_mul(128) else { return UNKNOWN.to_owned() };
        number = shifted | u64::from(byte & 0x7f);
        is_complete = byte & 0x80 == 0;
        if !is_complete {
            continue;
        }
        if text.is_empty() {
            let first = (number / 40).min(2);
            text = format!("{first}.{}", number - first * 40);
        } else {
            text.push_str(&format!(".{number}"));
        }
        number = 0;
    }
    if is_complete { text } else { UNKNOWN.to_owned() }
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, KeyPair, SignatureAlgorithm};

    use super::*;
    use crate::x509::Certificate;

    /// The content of an AlgorithmIdentifier: the OID and the parameters.
    fn identifier(id: &[u8], parameters: &[u8]) -> Vec<u8> {
        [&[6, id.len() as u8], id, parameters].concat()
    }

    #[test]
    fn certificate_has_names_of_its_algorithms() {
        for (algorithm, signature, key) in [
            (&rcgen::PKCS_ECDSA_P256_SHA256, "ECDSA and SHA-256", "P-256"),
            (&rcgen::PKCS_ECDSA_P384_SHA384, "ECDSA and SHA-384", "P-384"),
            (&rcgen::PKCS_ED25519, "Ed25519", "Ed25519"),
        ] as [(&SignatureAlgorithm, &str, &str); 3]
        {
            let pair = KeyPair::generate_for(algorithm).unwrap();
            let certificate = CertificateParams::default().self_signed(&pair).unwrap();
            let parsed = Certificate::parse(certificate.der()).unwrap();
            assert_eq!(signature_name(parsed.signature_algorithm), signature);
            assert_eq!(key_name(parsed.key_algorithm().unwrap()), key);
        }
    }

    #[test]
    fn unknown_oid_is_printed_in_dots() {
        for (id, text) in [
            (&[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01][..], "1.2.840.113549.1.1"),
            (&[0x81, 0x34, 0x03], "2.100.3"),
            (&[0x00], "0.0"),
            (&[0x4f], "1.39"),
            (&[0x50], "2.0"),
            (&[0x2a, 0x80], "unknown"),
            (&[0xff; 32], "unknown"),
            (&[0x2a, 0x81, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f], "1.2.18446744073709551615"),
            (&[0x2a, 0x82, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x00], "unknown"),
            (&[0x2a; 33], "unknown"),
            (&[], "unknown"),
        ] {
            assert_eq!(dotted(id), text, "{id:02x?}");
        }
        assert_eq!(signature_name(&identifier(&[0x2a, 3], &[])), "1.2.3");
        let ecdsa_with_sha_256 = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02];
        assert_eq!(signature_name(&identifier(&ecdsa_with_sha_256, &[])), "ECDSA and SHA-256");
        assert_eq!(
            signature_name(&identifier(&ecdsa_with_sha_256, &[5, 0])),
            "ECDSA and SHA-256 with parameters"
        );
        assert_eq!(key_name(&identifier(&[0x2a, 3], &[])), "1.2.3");
        assert_eq!(signature_name(&[6, 9]), "unknown");
        assert_eq!(key_name(&[]), "unknown");
    }

    #[test]
    fn curve_that_is_unknown_is_printed() {
        let ec = [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
        assert_eq!(key_name(&identifier(&ec, &[6, 2, 0x2a, 3])), "1.2.3");
        assert_eq!(key_name(&identifier(&ec, &[0x30, 0])), "EC with a curve that has no name");
        assert_eq!(key_name(&identifier(&ec, &[])), "EC with a curve that has no name");
    }

    #[test]
    fn pss_has_hash_and_salt() {
        let pss = [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a];
        // The parameters of `openssl req -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:222`.
        let parameters = [
            &[0x30, 0x35, 0xa0, 0x0f, 0x30, 0x0d, 0x06, 0x09][..],
            &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00],
            &[0xa1, 0x1c, 0x30, 0x1a, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x08],
            &[0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00],
            &[0xa2, 0x04, 0x02, 0x02, 0x00, 0xde],
        ]
        .concat();
        for (parameters, name) in [
            (&parameters[..], "RSA-PSS, SHA-256 and a salt of 222 bytes"),
            (&[0x30, 0], "RSA-PSS, SHA-1 and a salt of 20 bytes"),
            (&[0x30, 6, 0xa2, 4, 2, 2, 1, 0xde], "RSA-PSS, SHA-1 and a salt of 478 bytes"),
            (&[0x30, 9], "RSA-PSS"),
            (&[0x30, 6, 0xa2, 4, 2, 2, 4, 1], "RSA-PSS"),
            (&[], "RSA-PSS"),
        ] {
            assert_eq!(signature_name(&identifier(&pss, parameters)), name);
        }
    }
}
