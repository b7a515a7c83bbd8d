//! The certificates that frozen options trust: from a CA file, the environment's variables, or the system's store.

use std::path::PathBuf;
use std::sync::Arc;

use crate::ca_file::Unusable;
use crate::certificates::Certificates;
use crate::config::Config;
use crate::environment::{self, Variable};
use crate::error::ErrorKind;
use crate::http::root_cache::{Read, RootCache};
use crate::http::root_source::Source;
use crate::sys::trust_store::BUNDLES;

/// The trust configuration of frozen options.
#[derive(Clone)]
pub enum Trust {
    /// Only these certificates, which the setter has read.
    File(Arc<Certificates>),
    /// The files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Environment { file: Option<Source>, directories: Vec<Source> },
    /// The system's bundle, or the built-in Mozilla roots on a machine without one.
    System,
}

/// The certificates of one source.
#[derive(Clone)]
pub enum Roots {
    Certificates(Arc<Certificates>),
    /// The built-in Mozilla roots.
    BuiltIn,
}

/// All certificates that a new connection trusts.
pub struct Stores {
    pub roots: Vec<Roots>,
    /// Sources that can no longer be read: the certificates that were read before are still used.
    pub stale: Vec<Unusable>,
}

impl Trust {
    /// Reads the environment if no CA file was set. An unusable variable is an error at this point.
    pub fn choose(config: &Config, cache: &RootCache) -> Result<Trust, ErrorKind> {
        if let Some(file) = &config.ca_file {
            return Ok(Trust::File(Arc::clone(file)));
        }
        let file = config.environment.first(environment::CERT_FILE);
        let directories = config.environment.first(environment::CERT_DIR);
        if file.is_none() && directories.is_none() {
            return Ok(Trust::System);
        }
        // Absolute paths name the same files after the process changes its working directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let trust = Trust::Environment {
            file: file.map(|variable| Source::File(absolute(variable.value.into()))),
            directories: directories
                .map(|Variable { value, .. }| {
                    std::env::split_paths(&value).map(|path| Source::Directory(absolute(path))).collect()
                })
                .unwrap_or_default(),
        };
        if config.base.https {
            trust.stores(cache)?;
        }
        Ok(trust)
    }

    /// Returns the trusted certificates; reads changed files again.
    pub fn stores(&self, cache: &RootCache) -> Result<Stores, ErrorKind> {
        let mut stores = Stores { roots: Vec::new(), stale: Vec::new() };
        let mut add = |read: Read| {
            stores.roots.push(read.roots);
            stores.stale.extend(read.stale);
        };
        match self {
            Trust::File(file) => stores.roots.push(Roots::Certificates(Arc::clone(file))),
            Trust::System => add(cache
                .read_system(BUNDLES)
                .map_err(|unusable| unusable.into_error_kind("The system's trust store ", ErrorKind::Tls))?),
            Trust::Environment { file, directories } => {
                if let Some(file) = file {
                    add(cache.read(file).map_err(|unusable| {
                        unusable.into_error_kind("SSL_CERT_FILE can't be used: ", ErrorKind::Tls)
                    })?);
                }
                let mut unusable = None;
                let mut any_was_read = false;
                for directory in directories {
                    match cache.read(directory) {
                        Ok(read) => {
                            any_was_read = true;
                            add(read);
                        }
                        // A root may be missing without this directory, and only temporarily.
                        Err(error) if error.is_resources() => {
                            return Err(error.into_error_kind("SSL_CERT_DIR: ", ErrorKind::Tls));
                        }
                        Err(error) => unusable = Some(error),
                    }
                }
                if stores.roots.iter().all(Roots::is_empty) {
                    return Err(match unusable {
                        Some(error) if !any_was_read => error.into_error_kind(
                            "SSL_CERT_DIR names a directory that can't be used: ",
                            ErrorKind::Tls,
                        ),
                        _ => ErrorKind::Tls(
                            "SSL_CERT_DIR names no directory with certificates by their hash (see openssl-rehash)"
                                .into(),
                        ),
                    });
                }
            }
        }
        Ok(stores)
    }
}

impl Roots {
    pub fn is_empty(&self) -> bool {
        match self {
            Roots::Certificates(certificates) => certificates.is_empty(),
            Roots::BuiltIn => false,
        }
    }

    /// True if this is the same object as before: certificates are not compared.
    fn is(&self, before: &Roots) -> bool {
        match (self, before) {
            (Roots::Certificates(now), Roots::Certificates(before)) => Arc::ptr_eq(now, before),
            (Roots::BuiltIn, Roots::BuiltIn) => true,
            _ => false,
        }
    }
}

impl Stores {
    pub fn are_unchanged(&self, before: &[Roots]) -> bool {
        self.roots.len() == before.len() && self.roots.iter().zip(before).all(|(now, before)| now.is(before))
    }
}
