//! The environment variables that the library reads, once, when options freeze: those of the process, or those that the
//! host passed instead. A set-user-id process reads none.

use std::ffi::OsString;

use crate::error::ErrorKind;
use crate::sys::privileges::is_privileged;

/// All variables that are read. The order is curl's: lower case has precedence.
pub const PROXY: &[&str] = &["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
pub const NO_PROXY: &[&str] = &["no_proxy", "NO_PROXY"];
pub const CERT_FILE: &[&str] = &["SSL_CERT_FILE"];
pub const CERT_DIR: &[&str] = &["SSL_CERT_DIR"];

/// A variable that is set and not empty, with its name as it was found.
#[derive(Clone, PartialEq, Eq)]
pub struct Variable {
    pub name: &'static str,
    pub value: OsString,
}

/// The source of the variables.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum Environment {
    #[default]
    Process,
    /// Only these are set. The process's environment is not read: `getenv` races with a `setenv` on another thread.
    Given(Vec<Variable>),
}

impl Environment {
    /// Sets a variable, or unsets it (None). After the first call the process's environment is not read.
    pub fn set(&mut self, name: &str, value: Option<OsString>) -> Result<(), ErrorKind> {
        let mut known = [PROXY, NO_PROXY, CERT_FILE, CERT_DIR].into_iter().flatten();
        let name = known.find(|known| **known == name).ok_or_else(|| ErrorKind::OutOfRange {
            what: "The environment variable",
            why: "must be one that the library reads: HTTPS_PROXY, ALL_PROXY or NO_PROXY, in upper or lower case, \
                  SSL_CERT_FILE or SSL_CERT_DIR"
                .into(),
        })?;
        let mut given = match std::mem::take(self) {
            Environment::Process => Vec::new(),
            Environment::Given(given) => given,
        };
        match (given.iter_mut().find(|variable| variable.name == *name), value) {
            (Some(found), Some(value)) => found.value = value,
            (None, Some(value)) => given.push(Variable { name, value }),
            (_, None) => given.retain(|variable| variable.name != *name),
        }
        *self = Environment::Given(given);
        Ok(())
    }

    /// Returns the first of `names` that is set and not empty.
    pub fn first(&self, names: &[&'static str]) -> Option<Variable> {
        if is_privileged() {
            return None;
        }
        names.iter().find_map(|name| {
            let value = match self {
                Environment::Process => std::env::var_os(name),
                Environment::Given(given) => {
                    given.iter().find(|variable| variable.name == *name).map(|found| found.value.clone())
                }
            };
            Some(Variable { name, value: value.filter(|value| !value.is_empty())? })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn given_variables_replace_the_process_environment() {
        let mut environment = Environment::default();
        environment.set("ALL_PROXY", Some("a".into())).unwrap();
        environment.set("ALL_PROXY", Some("b".into())).unwrap();
        environment.set("HTTPS_PROXY", Some("c".into())).unwrap();
        let found = environment.first(PROXY).unwrap();
        assert_eq!((found.name, found.value), ("HTTPS_PROXY", "c".into()));
        environment.set("HTTPS_PROXY", None).unwrap();
        assert_eq!(environment.first(PROXY).unwrap().value, "b");
        environment.set("all_proxy", Some("".into())).unwrap();
        assert_eq!(environment.first(PROXY).unwrap().value, "b");
    }

    #[test]
    fn unknown_variable_is_refused_and_changes_nothing() {
        let mut environment = Environment::default();
        for name in ["PATH", "http_proxy", "Https_Proxy", ""] {
            let kind = environment.set(name, None).unwrap_err();
            assert_eq!(kind.code(), crate::error::cd_code::CD_ERR_OUT_OF_RANGE, "{name}");
        }
        assert!(matches!(environment, Environment::Process));
    }
}
