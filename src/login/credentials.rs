//! The arguments of a login.

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
