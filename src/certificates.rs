//! Trusted certificates: anchors of a chain, or one server's own.

use std::collections::TryReserveError;
use std::ops::Range;

use crate::x509::{self, Limits};

/// Certificates with their trust settings. Files determine their number and size, so a failed allocation is an error
/// and does not abort the process.
#[derive(Default, PartialEq, Eq)]
pub struct Certificates {
    /// The DER of all certificates, concatenated.
    der: Vec<u8>,
    entries: Vec<Entry>,
}

#[derive(PartialEq, Eq)]
struct Entry {
    der: Range<usize>,
    subject: Range<usize>,
    limits: Limits,
    is_self_issued: bool,
    is_rejected: bool,
}

/// One of the certificates.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Trusted<'a> {
    pub der: &'a [u8],
    pub subject: &'a [u8],
    pub limits: Limits,
    is_self_issued: bool,
    /// Auxiliary trust data rejects it for servers.
    pub is_rejected: bool,
}

impl Trusted<'_> {
    /// True if it may have issued a server's certificate, or another CA's.
    pub fn is_anchor(&self) -> bool {
        self.limits.is_ca && !self.is_rejected
    }

    /// True if a server may present this exact certificate as its own.
    pub fn is_pin(&self) -> bool {
        (!self.limits.is_ca || self.is_self_issued) && !self.is_rejected
    }
}

/// The reason why a certificate was not added.
#[derive(Debug)]
pub enum NotAdded {
    Unreadable,
    OutOfMemory,
}

impl From<TryReserveError> for NotAdded {
    fn from(_: TryReserveError) -> NotAdded {
        NotAdded::OutOfMemory
    }
}

impl Certificates {
    /// Adds a copy of one certificate.
    pub fn add(&mut self, der: &[u8], is_rejected: bool) -> Result<(), NotAdded> {
        let certificate = x509::Certificate::parse(der).ok_or(NotAdded::Unreadable)?;
        webpki::anchor_from_trusted_cert(&der.into()).map_err(|_| NotAdded::Unreadable)?;
        self.der.try_reserve(der.len())?;
        self.entries.try_reserve(1)?;
        let start = self.der.len();
        let subject = start + (certificate.subject.as_ptr() as usize - der.as_ptr() as usize);
        self.der.extend_from_slice(der);
        self.entries.push(Entry {
            der: start..self.der.len(),
            subject: subject..subject + certificate.subject.len(),
            limits: certificate.limits,
            is_self_issued: certificate.is_self_issued(),
            is_rejected,
        });
        Ok(())
    }

    /// Adds all certificates of another collection.
    pub fn add_all(&mut self, other: &Certificates) -> Result<(), NotAdded> {
        other.iter().try_for_each(|trusted| self.add(trusted.der, trusted.is_rejected))
    }

    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub fn iter(&self) -> impl Iterator<Item = Trusted<'_>> {
        self.entries.iter().map(|entry| Trusted {
            der: &self.der[entry.der.clone()],
            subject: &self.der[entry.subject.clone()],
            limits: entry.limits,
            is_self_issued: entry.is_self_issued,
            is_rejected: entry.is_rejected,
        })
    }
}
