//! The accounts, one for each way in which a login can end.

/// The password of every account except the last of [`ACCOUNTS`].
pub const PASSWORD: &str = "correct horse battery staple";

/// An account that the fake server knows.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Account {
    /// The user name, an address.
    pub username: &'static str,
    /// The right password. It is not a secret, because only the fake server accepts it.
    pub password: &'static str,
    /// The result of a login, in words.
    pub response: &'static str,
    pub(crate) outcome: Outcome,
}

/// The result of a login with the right password.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    Token,
    TwoFactor,
    EverySecondTime,
    Limited,
    Unavailable,
    Broken,
    JsonOnly,
    CaptivePortal,
    Moved,
    Silence,
}

/// All accounts. Any other user name, and any wrong password, gets 403 `{"err":"Access denied"}`.
pub const ACCOUNTS: &[Account] = &[
    account("ada@example.com", Outcome::Token, "200 with a fresh token"),
    account("twofactor@example.com", Outcome::TwoFactor, "401, two-factor authentication is required"),
    account(
        "busy@example.com",
        Outcome::EverySecondTime,
        "429 with Retry-After: 1 and 200, by turns, beginning with 429",
    ),
    account("limited@example.com", Outcome::Limited, "429 with Retry-After: 3600, always"),
    account("down@example.com", Outcome::Unavailable, "503 with an empty body, always"),
    account("broken@example.com", Outcome::Broken, "500, always"),
    account("json@example.com", Outcome::JsonOnly, "415 to a form, whatever its password; 200 to JSON"),
    account("portal@example.com", Outcome::CaptivePortal, "200 with an HTML page instead of a token"),
    account("moved@example.com", Outcome::Moved, "307 to /elsewhere, where nothing should ever arrive"),
    account("slow@example.com", Outcome::Silence, "no response; the connection stays open"),
    Account {
        username: "жук@example.com",
        password: r#"пароль & 100% + "q"\ é"#,
        response: "200 with a fresh token: every character that an encoding can get wrong",
        outcome: Outcome::Token,
    },
];

const fn account(username: &'static str, outcome: Outcome, response: &'static str) -> Account {
    Account { username, password: PASSWORD, response, outcome }
}

pub(crate) fn find(username: &str) -> Option<&'static Account> {
    ACCOUNTS.iter().find(|account| account.username == username)
}
