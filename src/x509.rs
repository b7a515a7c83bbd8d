//! The fields of an X.509 certificate (RFC 5280) that limit its trust. webpki enforces them in the chain that a server
//! sends. But it does not expose them, and ignores those of a trust anchor.

const BOOLEAN: u8 = 0x01;
const INTEGER: u8 = 0x02;
const BIT_STRING: u8 = 0x03;
const OCTET_STRING: u8 = 0x04;
const OBJECT_IDENTIFIER: u8 = 0x06;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
const SEQUENCE: u8 = 0x30;
const VERSION: u8 = 0xa0;
const EXTENSIONS: u8 = 0xa3;
/// `reject [0]` of OpenSSL's auxiliary trust data.
const REJECT: u8 = 0xa0;

/// Fields of RSASSA-PSS-params.
const PSS_HASH: u8 = 0xa0;
const PSS_MASK: u8 = 0xa1;
const PSS_SALT: u8 = 0xa2;

const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const ANY_EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25, 0x00];
const SERVER_AUTH: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const RSA_ENCRYPTION: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
/// The hash of RSASSA-PSS-params that specify none.
const SHA_1: &[u8] = &[0x2b, 0x0e, 0x03, 0x02, 0x1a];

/// `keyCertSign` in the first byte of `keyUsage`.
const KEY_CERT_SIGN: u8 = 0x04;

/// A certificate, with only the fields that this library itself uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Certificate<'a> {
    /// The content of the name, without its tag and length, as in webpki.
    pub issuer: &'a [u8],
    pub subject: &'a [u8],
    pub limits: Limits,
    /// The content of the AlgorithmIdentifier of the issuer's signature, as in webpki.
    pub signature_algorithm: &'a [u8],
    public_key: &'a [u8],
}

/// An AlgorithmIdentifier: an OID in DER, and the encoded parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Algorithm<'a> {
    pub id: &'a [u8],
    parameters: &'a [u8],
}

/// The limits of trust in a certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Seconds since 1970; earlier times count as 0.
    pub not_before: u64,
    pub not_after: u64,
    /// cA is TRUE, and keyUsage, if present, has keyCertSign.
    pub is_ca: bool,
    pub path_length: Option<usize>,
    /// extKeyUsage is absent, or has serverAuth.
    pub is_for_servers: bool,
}

impl<'a> Certificate<'a> {
    pub fn parse(der: &'a [u8]) -> Option<Certificate<'a>> {
        let mut outer = Reader(Reader(der).expect(SEQUENCE)?);
        let mut fields = Reader(outer.expect(SEQUENCE)?);
        fields.optional(VERSION)?;
        fields.expect(INTEGER)?; // serialNumber
        let signature_algorithm = fields.expect(SEQUENCE)?;
        let issuer = fields.expect(SEQUENCE)?;
        let mut validity = Reader(fields.expect(SEQUENCE)?);
        let subject = fields.expect(SEQUENCE)?;
        let public_key = fields.expect(SEQUENCE)?;
        let mut limits = Limits {
            not_before: validity.time()?,
            not_after: validity.time()?,
            is_ca: false,
            path_length: None,
            is_for_servers: true,
        };
        let mut may_sign = true;
        while !fields.is_empty() {
            let (tag, content) = fields.next()?;
            if tag != EXTENSIONS {
                continue;
            }
            let mut extensions = Reader(Reader(content).expect(SEQUENCE)?);
            while !extensions.is_empty() {
                let mut extension = Reader(extensions.expect(SEQUENCE)?);
                let id = extension.expect(OBJECT_IDENTIFIER)?;
                extension.optional(BOOLEAN)?; // critical
                let mut value = Reader(extension.expect(OCTET_STRING)?);
                match id {
                    BASIC_CONSTRAINTS => {
                        let mut value = Reader(value.expect(SEQUENCE)?);
                        limits.is_ca = value.optional(BOOLEAN)?.is_some_and(|flag| flag != [0]);
                        limits.path_length = match value.optional(INTEGER)? {
                            Some(number) => Some(small_number(number)?),
                            None => None,
                        };
                    }
                    KEY_USAGE => {
                        // The first byte is the number of unused bits in the last byte.
                        let bits = value.expect(BIT_STRING)?;
                        may_sign = bits.get(1).is_some_and(|bits| bits & KEY_CERT_SIGN != 0);
                    }
                    EXTENDED_KEY_USAGE => {
                        let purposes = Reader(value.expect(SEQUENCE)?);
                        limits.is_for_servers = purposes.has_identifier(&[SERVER_AUTH])?;
                    }
                    _ => {}
                }
            }
        }
        limits.is_ca &= may_sign;
        Some(Certificate { issuer, subject, limits, signature_algorithm, public_key })
    }

    pub fn is_self_issued(&self) -> bool {
        self.issuer == self.subject
    }

    /// The content of the AlgorithmIdentifier of its key, as in webpki.
    pub fn key_algorithm(&self) -> Option<&'a [u8]> {
        Reader(self.public_key).expect(SEQUENCE)
    }

    /// The length of an RSA key's modulus in bits; None for other keys.
    pub fn rsa_key_bits(&self) -> Option<usize> {
        let mut info = Reader(self.public_key);
        if Algorithm::parse(info.expect(SEQUENCE)?)?.id != RSA_ENCRYPTION {
            return None;
        }
        let key = info.expect(BIT_STRING)?.get(1..)?;
        let modulus = Reader(Reader(key).expect(SEQUENCE)?).expect(INTEGER)?;
        let first = modulus.iter().position(|byte| *byte != 0)?;
        Some((modulus.len() - first) * 8 - modulus[first].leading_zeros() as usize)
    }
}

impl<'a> Algorithm<'a> {
    pub fn parse(content: &'a [u8]) -> Option<Algorithm<'a>> {
        let mut fields = Reader(content);
        Some(Algorithm { id: fields.expect(OBJECT_IDENTIFIER)?, parameters: fields.0 })
    }

    pub fn has_parameters(&self) -> bool {
        !self.parameters.is_empty()
    }

    /// The OID of a named curve (RFC 5480); None if the parameters are anything else.
    pub fn curve(&self) -> Option<&'a [u8]> {
        Reader(self.parameters).expect(OBJECT_IDENTIFIER)
    }

    /// The OID of the hash, and the length of the salt in bytes, of RSASSA-PSS-params (RFC 4055).
    pub fn pss_hash_and_salt(&self) -> Option<(&'a [u8], usize)> {
        let mut fields = Reader(Reader(self.parameters).expect(SEQUENCE)?);
        let hash = match fields.optional(PSS_HASH)? {
            Some(hash) => Algorithm::parse(Reader(hash).expect(SEQUENCE)?)?.id,
            None => SHA_1,
        };
        fields.optional(PSS_MASK)?;
        let salt = match fields.optional(PSS_SALT)? {
            Some(length) => small_number(Reader(length).expect(INTEGER)?)?,
            None => 20,
        };
        Some((hash, salt))
    }
}

/// Splits `bytes` into the first DER value, with its tag and length, and the bytes after it.
pub fn split_first_value(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let mut reader = Reader(bytes);
    reader.next()?;
    bytes.split_at_checked(bytes.len() - reader.0.len())
}

/// True if OpenSSL's auxiliary trust data after a `TRUSTED CERTIFICATE` trusts it for servers. It must not reject
/// serverAuth. If it lists trusted purposes, serverAuth must be one of them.
pub fn auxiliary_trusts_servers(bytes: &[u8]) -> Option<bool> {
    if bytes.is_empty() {
        return Some(true);
    }
    let for_servers = [SERVER_AUTH, ANY_EXTENDED_KEY_USAGE];
    let mut fields = Reader(Reader(bytes).expect(SEQUENCE)?);
    let trusted = match fields.optional(SEQUENCE)? {
        Some(purposes) => Reader(purposes).has_identifier(&for_servers)?,
        None => true,
    };
    let rejected = match fields.optional(REJECT)? {
        Some(purposes) => Reader(purposes).has_identifier(&for_servers)?,
        None => false,
    };
    Some(trusted && !rejected)
}

fn small_number(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [number] => Some(usize::from(*number)),
        // A set highest bit in the first byte means a negative number.
        [first, ..] if first & 0x80 == 0 => Some(
            bytes
                .iter()
                .fold(0, |number: usize, byte| number.saturating_mul(256).saturating_add(usize::from(*byte))),
        ),
        _ => None,
    }
}

/// Reads DER values one after the other.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the tag and the content of the next value.
    fn next(&mut self) -> Option<(u8, &'a [u8])> {
        let (&[tag, short], rest) = self.0.split_first_chunk()?;
        let (length, rest) = match short {
            0..=0x7f => (usize::from(short), rest),
            0x81..=0x84 => {
                let (bytes, rest) = rest.split_at_checked(usize::from(short & 0x7f))?;
                (bytes.iter().fold(0, |length, byte| (length << 8) | usize::from(*byte)), rest)
            }
            _ => return None,
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((tag, content))
    }

    fn expect(&mut self, tag: u8) -> Option<&'a [u8]> {
        self.next().filter(|(found, _)| *found == tag).map(|(_, content)| content)
    }

    /// The content of the next value if it has this tag; the outer None means an invalid value.
    fn optional(&mut self, tag: u8) -> Option<Option<&'a [u8]>> {
        if self.0.first() == Some(&tag) { self.next().map(|(_, content)| Some(content)) } else { Some(None) }
    }

    fn has_identifier(mut self, wanted: &[&[u8]]) -> Option<bool> {
        let mut found = false;
        while !self.is_empty() {
            found |= wanted.contains(&self.expect(OBJECT_IDENTIFIER)?);
        }
        Some(found)
    }

    /// Reads a UTCTime or GeneralizedTime as seconds since 1970.
    fn time(&mut self) -> Option<u64> {
        let (tag, text) = self.next()?;
        let number = |from: usize, to: usize| -> Option<i64> {
            text.get(from..to)?.iter().try_fold(0, |number, digit| {
                digit.is_ascii_digit().then(|| number * 10 + i64::from(digit - b'0'))
            })
        };
        let (year, rest) = match tag {
            UTC_TIME => (number(0, 2).map(|year| if year < 50 { 2000 + year } else { 1900 + year })?, 2),
            GENERALIZED_TIME => (number(0, 4)?, 4),
            _ => return None,
        };
        let part = |index: usize| number(rest + 2 * index, rest + 2 * index + 2);
        let (month, day) = (part(0)?, part(1)?);
        let (hour, minute, second) = (part(2)?, part(3)?, part(4)?);
        let seconds = days_since_1970(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
        Some(u64::try_from(seconds).unwrap_or(0))
    }
}

/// The days in the Gregorian calendar, by <https://howardhinnant.github.io/date_algorithms.html#days_from_civil>.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

#[cfg(test)]
mod tests {
    use rcgen::{
        BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, KeyPair, KeyUsagePurpose,
        date_time_ymd,
    };

    use super::*;

    fn limits(change: impl FnOnce(&mut CertificateParams)) -> Limits {
        let mut params = CertificateParams::default();
        change(&mut params);
        let certificate = params.self_signed(&KeyPair::generate().unwrap()).unwrap();
        let parsed = Certificate::parse(certificate.der()).unwrap();
        assert!(parsed.is_self_issued());
        assert_eq!(parsed.rsa_key_bits(), None);
        parsed.limits
    }

    #[test]
    fn validity_is_read_in_both_time_formats() {
        for (from, to, seconds) in [
            ((1970, 1, 1), (2049, 12, 31), (0, 2_524_521_600)),
            ((2000, 2, 29), (2050, 1, 1), (951_782_400, 2_524_608_000)),
            ((1951, 1, 1), (4096, 3, 1), (0, 67_095_302_400)),
        ] {
            let read = limits(|params| {
                params.not_before = date_time_ymd(from.0, from.1, from.2);
                params.not_after = date_time_ymd(to.0, to.1, to.2);
            });
            assert_eq!((read.not_before, read.not_after), seconds);
        }
    }

    #[test]
    fn only_ca_with_key_cert_sign_is_ca() {
        let ca = || IsCa::Ca(BasicConstraints::Unconstrained);
        for (is_ca, usages, expected) in [
            (IsCa::NoCa, vec![], false),
            (IsCa::ExplicitNoCa, vec![KeyUsagePurpose::KeyCertSign], false),
            (ca(), vec![], true),
            (ca(), vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign], true),
            (ca(), vec![KeyUsagePurpose::DigitalSignature], false),
            (ca(), vec![KeyUsagePurpose::DecipherOnly], false),
        ] {
            let read = limits(|params| {
                params.is_ca = is_ca;
                params.key_usages = usages.clone();
            });
            assert_eq!((read.is_ca, read.path_length), (expected, None), "{is_ca:?} {usages:?}");
        }
        for length in [0, 1, 127, 128, 255] {
            let read = limits(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(length)));
            assert_eq!(read.path_length, Some(length.into()));
        }
    }

    #[test]
    fn extended_key_usage_must_have_server_auth() {
        use ExtendedKeyUsagePurpose::{Any, ClientAuth, ServerAuth};
        for (purposes, expected) in
            [(vec![], true), (vec![ServerAuth], true), (vec![ClientAuth, ServerAuth], true)]
                .into_iter()
                .chain([(vec![ClientAuth], false), (vec![Any], false)])
        {
            let read = limits(|params| params.extended_key_usages = purposes.clone());
            assert_eq!(read.is_for_servers, expected, "{purposes:?}");
        }
    }

    #[test]
    fn broken_certificate_is_none_at_every_cut() {
        let certificate = CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap();
        let der = certificate.der();
        for length in 0..der.len() {
            assert_eq!(Certificate::parse(&der[..length]), None);
            assert_eq!(split_first_value(&der[..length]), None);
        }
        let more = [der, &b"more"[..]].concat();
        assert_eq!(split_first_value(&more), Some((&der[..], &b"more"[..])));
    }
}
