//! All errors as one enum, with the only mapping from errors to codes and messages.

use std::borrow::Cow;
use std::collections::TryReserveError;
use std::ffi::CStr;
use std::fmt;
use std::time::Duration;

/// The result of a call. The codes are stable: none is removed or renumbered. New codes may appear, so a `switch` needs
/// a default. The category is `code / 1000`.
#[allow(non_camel_case_types)]
#[repr(i32)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum cd_code {
    /// Success.
    CD_OK = 0,

    // 1xxx: the service refused (1000 + status)
    /// The service returned a status that has no code of its own: see `cd_error_http_status()`.
    CD_ERR_HTTP_STATUS = 1400,
    /// 401: the account needs two-factor authentication, and the API documents no way to do it. Never retried.
    CD_ERR_TWO_FACTOR_REQUIRED = 1401,
    /// 403: wrong user name or password, or an unconfirmed account. Never retried.
    CD_ERR_ACCESS_DENIED = 1403,
    /// 429: too many requests. Either the retries did not help, or the wait that the service asks for does not fit into
    /// the deadline and did not start. See `cd_error_retry_after_seconds()`.
    CD_ERR_RATE_LIMITED = 1429,
    /// 500, 502 or 504: the service failed. The retries did not help, or there was no time for them.
    CD_ERR_SERVER = 1500,
    /// 503: the service has no capacity. The retries did not help, or there was no time for them.
    CD_ERR_UNAVAILABLE = 1503,

    // 2xxx: the caller's argument; nothing was sent
    /// An argument that must not be NULL was NULL.
    CD_ERR_NULL_ARGUMENT = 2001,
    /// A string is not valid UTF-8 or contains a NUL (in languages whose strings can).
    CD_ERR_INVALID_UTF8 = 2002,
    /// A string that must not be empty was empty.
    CD_ERR_EMPTY_ARGUMENT = 2003,
    /// A number or the length of a string is out of its range, or a string contains control characters.
    CD_ERR_OUT_OF_RANGE = 2004,
    /// A URL is not valid, or has a part that is not allowed.
    CD_ERR_INVALID_URL = 2005,
    /// Plain `http` to a host that is not loopback, or through a proxy.
    CD_ERR_INSECURE_URL = 2006,
    /// A CA file is missing, unreadable, empty, or contains no usable certificate.
    CD_ERR_CA_FILE = 2007,
    /// A setter was called after the first call that used these options: a login, or `cd_connect()`.
    CD_ERR_OPTIONS_IN_USE = 2008,

    // 3xxx: the network
    /// A host name could not be resolved.
    CD_ERR_DNS = 3001,
    /// No connection could be made to any address of the host, or of the proxy if one is used.
    CD_ERR_CONNECT = 3002,
    /// The proxy refused the connection, or a proxy variable of the environment can't be used. An unreachable proxy has
    /// the code of the step that failed (`CD_ERR_DNS`, `CD_ERR_CONNECT`, …), and the message names the proxy.
    CD_ERR_PROXY = 3003,
    /// TLS failed. The message gives the reason, for example a fault of the server's certificate. Also returned if the
    /// system's trust store, or the file or directory that `SSL_CERT_FILE` or `SSL_CERT_DIR` names, can't be used.
    CD_ERR_TLS = 3004,
    /// The deadline passed, or a connection took longer than the connect timeout.
    CD_ERR_TIMEOUT = 3005,
    /// The connection ended before the response was complete, or in the TLS handshake.
    CD_ERR_CONNECTION_LOST = 3006,

    // 4xxx: an invalid response
    /// The response is not one that this API documents, or a 200 has no usable token.
    CD_ERR_MALFORMED_RESPONSE = 4001,
    /// The response is larger than the limit.
    CD_ERR_RESPONSE_TOO_LARGE = 4002,

    // 5xxx: the caller's request
    /// The cancel handle stopped the call.
    CD_ERR_CANCELLED = 5001,

    // 9xxx: a fault of the library or the process
    /// A defect in the library, caught at the C boundary. The process is unharmed.
    CD_ERR_PANIC = 9001,
    /// The library reached an unexpected state.
    CD_ERR_INTERNAL = 9002,
    /// The process ran out of descriptors, threads or memory.
    CD_ERR_RESOURCES = 9003,
    // last added: CD_ERR_RESOURCES (1.0.0)
}

struct CodeInfo {
    code: cd_code,
    name: &'static CStr,
    sentence: &'static CStr,
    retryable: bool,
}

macro_rules! codes {
    ($($code:ident $retryable:literal $sentence:literal;)*) => {
        /// Every code with its name and its message, and true if the same call may succeed later.
        static CODES: &[CodeInfo] = &[$(CodeInfo {
            code: cd_code::$code,
            name: match CStr::from_bytes_with_nul(concat!(stringify!($code), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => c"",
            },
            sentence: $sentence,
            retryable: $retryable,
        }),*];
    };
}

codes! {
    CD_OK false c"Success.";
    CD_ERR_HTTP_STATUS false c"The service returned a status that is not documented for a login.";
    CD_ERR_TWO_FACTOR_REQUIRED false c"The account requires two-factor authentication, which the API can't do.";
    CD_ERR_ACCESS_DENIED false c"The service denied access: wrong user name or password, or an unconfirmed account.";
    CD_ERR_RATE_LIMITED true c"The service is limiting the rate of logins: too many requests.";
    CD_ERR_SERVER true c"The service failed while it handled the login.";
    CD_ERR_UNAVAILABLE true c"The service is temporarily unavailable.";
    CD_ERR_NULL_ARGUMENT false c"An argument that must not be NULL was NULL.";
    CD_ERR_INVALID_UTF8 false c"A string is not valid UTF-8, or contains a NUL.";
    CD_ERR_EMPTY_ARGUMENT false c"A string that must not be empty was empty.";
    CD_ERR_OUT_OF_RANGE false c"An argument is out of its range.";
    CD_ERR_INVALID_URL false c"A URL is not valid.";
    CD_ERR_INSECURE_URL false c"Plain http is allowed to loopback addresses only, and never through a proxy.";
    CD_ERR_CA_FILE false c"The CA file can't be used.";
    CD_ERR_OPTIONS_IN_USE false c"The options can no longer be changed: a call has used them.";
    CD_ERR_DNS true c"The host name could not be resolved.";
    CD_ERR_CONNECT true c"The connection failed.";
    CD_ERR_PROXY false c"The proxy refused the connection, or can't be used.";
    CD_ERR_TLS false c"The TLS connection failed.";
    CD_ERR_TIMEOUT true c"The call timed out.";
    CD_ERR_CONNECTION_LOST true c"The connection ended before the response was complete.";
    CD_ERR_MALFORMED_RESPONSE false c"The response is not a valid response to a login.";
    CD_ERR_RESPONSE_TOO_LARGE false c"The response is larger than the limit.";
    CD_ERR_CANCELLED false c"The call was cancelled.";
    CD_ERR_PANIC false c"A defect in libcouchdrop was caught; the process is unharmed. Please report it.";
    CD_ERR_INTERNAL false c"libcouchdrop reached an unexpected state. Please report it.";
    CD_ERR_RESOURCES true c"The process ran out of descriptors, threads or memory.";
}

fn info(code: i32) -> Option<&'static CodeInfo> {
    CODES.iter().find(|known| known.code as i32 == code)
}

/// Returns the name of a code. Any integer is accepted.
pub fn code_name(code: i32) -> &'static CStr {
    info(code).map_or(c"CD_ERR_UNKNOWN", |known| known.name)
}

/// Returns one sentence about a code. Any integer is accepted.
pub fn code_sentence(code: i32) -> &'static CStr {
    info(code).map_or(c"This version of libcouchdrop does not know the code.", |known| known.sentence)
}

/// Returns true if the same call may succeed later, and false for an unknown code.
pub fn code_is_retryable(code: i32) -> bool {
    info(code).is_some_and(|known| known.retryable)
}

/// The phase of a call. The error message names it when the deadline passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    Start,
    Lookup,
    Connect,
    Proxy,
    Handshake,
    Send,
    Receive,
    BackOff,
    OtherLogin,
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Phase::Start => "before anything was sent",
            Phase::Lookup => "looking up the host name",
            Phase::Connect => "connecting",
            Phase::Proxy => "waiting for the proxy",
            Phase::Handshake => "in the TLS handshake",
            Phase::Send => "sending the login",
            Phase::Receive => "waiting for the response",
            Phase::BackOff => "waiting before a retry",
            Phase::OtherLogin => "waiting for the login of another call of this session",
        })
    }
}

/// The reason in an error message: mostly a fixed text, sometimes a formatted one. Never contains a secret.
pub type Reason = Cow<'static, str>;

/// The reason why a call failed. No variant contains a user name, a password, a token, a body or credentials of a
/// proxy.
#[derive(Clone, Debug)]
pub enum ErrorKind {
    /// The service returned this status, which is not 200.
    Refused {
        status: u16,
    },
    NullArgument(&'static str),
    InvalidUtf8(&'static str),
    EmptyArgument(&'static str),
    OutOfRange {
        what: &'static str,
        why: Reason,
    },
    InvalidUrl {
        what: &'static str,
        why: Reason,
    },
    InsecureUrl(Reason),
    CaFile(Reason),
    OptionsInUse(&'static str),
    Dns {
        host: String,
        why: Reason,
    },
    Connect {
        peer: String,
        why: Reason,
    },
    Proxy {
        why: Reason,
        status: u16,
        /// The seconds in the proxy's `Retry-After`.
        retry_after: Option<i64>,
        /// True if the proxy could not reach the target at that moment. False for a refusal by policy or because of the
        /// credentials.
        retryable: bool,
    },
    Tls(Reason),
    Timeout {
        phase: Phase,
        after: Duration,
        connect_timeout: bool,
        with: Option<String>,
    },
    Lost {
        phase: Phase,
        why: Reason,
        with: Option<String>,
    },
    Malformed(Reason),
    TooLarge(Reason),
    Cancelled,
    Panic(Reason),
    Internal(Reason),
    Resources(Reason),
}

impl ErrorKind {
    /// The only place that maps failures to codes.
    pub fn code(&self) -> cd_code {
        use cd_code::*;
        match self {
            ErrorKind::Refused { status } => match status {
                401 => CD_ERR_TWO_FACTOR_REQUIRED,
                403 => CD_ERR_ACCESS_DENIED,
                429 => CD_ERR_RATE_LIMITED,
                500 | 502 | 504 => CD_ERR_SERVER,
                503 => CD_ERR_UNAVAILABLE,
                _ => CD_ERR_HTTP_STATUS,
            },
            ErrorKind::NullArgument(_) => CD_ERR_NULL_ARGUMENT,
            ErrorKind::InvalidUtf8(_) => CD_ERR_INVALID_UTF8,
            ErrorKind::EmptyArgument(_) => CD_ERR_EMPTY_ARGUMENT,
            ErrorKind::OutOfRange { .. } => CD_ERR_OUT_OF_RANGE,
            ErrorKind::InvalidUrl { .. } => CD_ERR_INVALID_URL,
            ErrorKind::InsecureUrl(_) => CD_ERR_INSECURE_URL,
            ErrorKind::CaFile(_) => CD_ERR_CA_FILE,
            ErrorKind::OptionsInUse(_) => CD_ERR_OPTIONS_IN_USE,
            ErrorKind::Dns { .. } => CD_ERR_DNS,
            ErrorKind::Connect { .. } => CD_ERR_CONNECT,
            ErrorKind::Proxy { .. } => CD_ERR_PROXY,
            ErrorKind::Tls(_) => CD_ERR_TLS,
            ErrorKind::Timeout { .. } => CD_ERR_TIMEOUT,
            ErrorKind::Lost { .. } => CD_ERR_CONNECTION_LOST,
            ErrorKind::Malformed(_) => CD_ERR_MALFORMED_RESPONSE,
            ErrorKind::TooLarge(_) => CD_ERR_RESPONSE_TOO_LARGE,
            ErrorKind::Cancelled => CD_ERR_CANCELLED,
            ErrorKind::Panic(_) => CD_ERR_PANIC,
            ErrorKind::Internal(_) => CD_ERR_INTERNAL,
            ErrorKind::Resources(_) => CD_ERR_RESOURCES,
        }
    }
}

impl From<TryReserveError> for ErrorKind {
    fn from(_: TryReserveError) -> ErrorKind {
        ErrorKind::Resources("The process has no memory left for this call".into())
    }
}

impl ErrorKind {
    /// True if the same call may succeed later without any change.
    pub fn is_retryable(&self) -> bool {
        match self {
            ErrorKind::Proxy { retryable, .. } => *retryable,
            other => code_is_retryable(other.code() as i32),
        }
    }
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ErrorKind::Refused { status } => {
                let sentence = code_sentence(self.code() as i32).to_str().unwrap_or_default();
                let sentence = sentence.strip_suffix('.').unwrap_or(sentence);
                write!(f, "{sentence} (HTTP status {status}).")?;
                if (300..400).contains(status) && *status != 304 {
                    f.write_str(" Redirects are never followed with a password.")?;
                }
                Ok(())
            }
            ErrorKind::NullArgument(what) => write!(f, "{what} must not be NULL."),
            ErrorKind::InvalidUtf8(what) => write!(f, "{what} is not valid UTF-8."),
            ErrorKind::EmptyArgument(what) => write!(f, "{what} must not be empty."),
            ErrorKind::OutOfRange { what, why } => write!(f, "{what} {why}."),
            ErrorKind::InvalidUrl { what, why } => write!(f, "{what} {why}."),
            ErrorKind::OptionsInUse(what) => {
                write!(f, "{what} can no longer be set: a call has used these options.")
            }
            ErrorKind::Dns { host, why } => write!(f, "The host name {host} could not be resolved: {why}."),
            ErrorKind::Connect { peer, why } => write!(f, "No connection to {peer}: {why}."),
            ErrorKind::Timeout { phase, after, connect_timeout, with } => {
                let what =
                    if *connect_timeout { "The connect timeout passed" } else { "The deadline passed" };
                write!(f, "{what} after {} ms, {phase}{}.", after.as_millis(), Trailing(with))
            }
            ErrorKind::Lost { phase, why, with } => {
                write!(f, "The connection ended, {phase}{}: {why}.", Trailing(with))
            }
            ErrorKind::Cancelled => f.write_str("The call was cancelled."),
            ErrorKind::Panic(why) => {
                write!(f, "A defect in libcouchdrop was caught ({why}). Please report it.")
            }
            ErrorKind::Internal(why) => {
                write!(f, "Unexpected state in libcouchdrop: {why}. Please report it.")
            }
            ErrorKind::InsecureUrl(why)
            | ErrorKind::CaFile(why)
            | ErrorKind::Proxy { why, .. }
            | ErrorKind::Tls(why)
            | ErrorKind::Malformed(why)
            | ErrorKind::TooLarge(why)
            | ErrorKind::Resources(why) => write!(f, "{why}."),
        }
    }
}

/// Formats the peer of a failed connection, if that is not the service.
struct Trailing<'a>(&'a Option<String>);

impl fmt::Display for Trailing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.as_ref().map_or(Ok(()), |with| write!(f, ", {with}"))
    }
}

/// An error with details of the last attempt's response: the content of the caller's error object.
#[derive(Clone, Debug)]
pub struct Error {
    pub kind: ErrorKind,
    /// The status of the last attempt's response, or the proxy's; 0 without one.
    pub http_status: u16,
    pub server_message: Option<String>,
    /// The seconds that the response asked to wait.
    pub retry_after: Option<i64>,
    /// Requests whose first byte was handed to a connection.
    pub attempts: u32,
    /// The uptime before which the service wants no further login: a status of 429 or 503 with `Retry-After`.
    pub blocked_until: Option<Duration>,
    /// True if a retry was due, and this call's deadline left no time for it.
    pub cut_by_deadline: bool,
}

impl Error {
    /// True if the call ended because of its own limits, so that another call with the same arguments may succeed now.
    pub fn concerns_one_call(&self) -> bool {
        self.cut_by_deadline
            || matches!(self.kind, ErrorKind::Cancelled | ErrorKind::Timeout { connect_timeout: false, .. })
    }
}

impl From<ErrorKind> for Error {
    fn from(kind: ErrorKind) -> Error {
        let (http_status, retry_after) = match &kind {
            ErrorKind::Refused { status } => (*status, None),
            ErrorKind::Proxy { status, retry_after, .. } => (*status, *retry_after),
            _ => (0, None),
        };
        Error {
            kind,
            http_status,
            server_message: None,
            retry_after,
            attempts: 0,
            blocked_until: None,
            cut_by_deadline: false,
        }
    }
}
