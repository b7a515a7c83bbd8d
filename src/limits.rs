//! The limits on input from callers, files and the network.

use std::time::Duration;

// ---- arguments

/// The maximum length of a string that a caller passes.
pub const MAX_STRING_BYTES: usize = 64 << 10;
/// The maximum of all times that a caller sets.
pub const MAX_TIMEOUT: Duration = Duration::from_secs(3600);
pub const MAX_RETRIES: u32 = 10;
/// The range of the response limit that a caller sets.
pub const RESPONSE_BYTES: std::ops::RangeInclusive<usize> = 1 << 10..=16 << 20;

// ---- responses

/// The maximum length of the header of a response, or of the trailers' field lines with ureq.
pub const MAX_HEAD_BYTES: usize = 64 << 10;
pub const MAX_FIELDS: usize = 100;
pub const MAX_INTERIM_RESPONSES: u32 = 16;
/// The maximum length of a line with a chunk's size, extensions included.
pub const MAX_CHUNK_LINE: usize = 4 << 10;
/// The maximum number of digits whose value fits into 64 bits.
pub const MAX_CHUNK_DIGITS: usize = 16;
pub const MAX_TRAILER_BYTES: usize = 8 << 10;
pub const MAX_TOKEN_BYTES: usize = 64 << 10;
/// The maximum length of the server's message in an error object.
pub const MAX_SERVER_MESSAGE_BYTES: usize = 1 << 10;
/// The maximum length of the library's own message: a path or variable that it quotes may be longer.
pub const MAX_ERROR_MESSAGE_BYTES: usize = 4 << 10;

// ---- sessions

/// A session sends no login for this time after the service refused the credentials: many workers could lock the account.
pub const REFUSAL_MEMORY: Duration = Duration::from_secs(60);
/// The maximum time for which a `Retry-After` blocks the logins of a session.
pub const MAX_RETRY_AFTER_MEMORY: Duration = Duration::from_secs(3600);

// ---- connections

/// The limit for received data that TLS cannot process yet. A handshake message is at most 64 KiB, in records with some
/// overhead. rustls checks the exact limits.
pub const MAX_UNPROCESSED_BYTES: usize = 128 << 10;
/// The limit for data that a server sends without a request, for example session tickets.
pub const MAX_UNREQUESTED_BYTES: usize = 64 << 10;
/// A buffer that is larger than this is freed after an exchange.
pub const MAX_KEPT_BUFFER: usize = 20 << 10;
pub const MAX_IDLE_CONNECTIONS: usize = 64;
pub const MAX_IDLE_TIME: Duration = Duration::from_secs(50);
/// DNS records change: a connection is not used for longer.
pub const MAX_CONNECTION_AGE: Duration = Duration::from_secs(600);
/// The maximum number of resumable TLS sessions; all are with one host.
pub const MAX_SESSIONS: usize = 8;
/// The server sends no certificate when it resumes a session. After this time it must send one again.
pub const MAX_SESSION_AGE: Duration = Duration::from_secs(3600);

// ---- lookups and trust stores

/// The maximum number of threads that look up names. Further names wait for a free one.
pub const MAX_LOOKUP_THREADS: usize = 8;
/// The maximum length of a file of certificates: larger than any bundle in use.
pub const MAX_CA_FILE_BYTES: u64 = 64 << 20;
/// The maximum number of stores that a process caches, in addition to the system's.
pub const MAX_CACHED_STORES: usize = 16;
