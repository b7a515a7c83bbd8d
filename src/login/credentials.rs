//! The arguments of a login.

use std::collections::TryReserveError;

use crate::error::ErrorKind;
use crate::secret::Secret;

/// The credentials of a login.
pub struct Credentials<'a> {
    pub username: &'a str,
    pub password: &'a str,
    pub system: Option<&'a str>,
}

impl<'a> Credentials<'a> {
    pub fn fields(&self) -> impl Iterator<Item = (&'static str, &'a str)> + use<'a> {
        let fields =
            [("username", Some(self.username)), ("password", Some(self.password)), ("system", self.system)];
        fields.into_iter().filter_map(|(name, value)| Some((name, value?)))
    }

    pub fn bytes(&self) -> usize {
        self.username.len() + self.password.len() + self.system.map_or(0, str::len)
    }
}

/// Credentials that a session keeps; wiped when dropped.
pub struct StoredCredentials {
    username: Secret,
    password: Secret,
    system: Option<Secret>,
}

impl StoredCredentials {
    pub fn copy(credentials: &Credentials) -> Result<StoredCredentials, TryReserveError> {
        Ok(StoredCredentials {
            username: Secret::try_copy(credentials.username.as_bytes())?,
            password: Secret::try_copy(credentials.password.as_bytes())?,
            system: credentials.system.map(|system| Secret::try_copy(system.as_bytes())).transpose()?,
        })
    }

    pub fn get(&self) -> Result<Credentials<'_>, ErrorKind> {
        fn text(secret: &Secret) -> Result<&str, ErrorKind> {
            // They were copied from strings.
            std::str::from_utf8(secret)
                .map_err(|_| ErrorKind::Internal("stored credentials are not UTF-8".into()))
        }
        Ok(Credentials {
            username: text(&self.username)?,
            password: text(&self.password)?,
            system: self.system.as_ref().map(text).transpose()?,
        })
    }
}
