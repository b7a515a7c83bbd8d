//! A response to a login.

use crate::error::ErrorKind;
use crate::secret::Secret;

/// A response.
pub struct Response {
    pub status: u16,
    pub body: Secret,
    /// True if the body is, or may be, incomplete.
    pub is_truncated: bool,
    /// Set if a body that ends with its connection ended without TLS's close_notify. It is the error, unless the body
    /// itself shows that it is complete.
    pub missing_close_notify: Option<ErrorKind>,
    /// Seconds.
    pub retry_after: Option<i64>,
}
