//! The error of one request, with the state of the exchange. The state decides if the request may be sent again.

use crate::error::ErrorKind;

/// The reason why there is no response, and the state of the exchange.
#[derive(Debug)]
pub struct TransportError {
    pub kind: ErrorKind,
    /// True if a byte of the request was handed to the connection.
    pub request_sent: bool,
    /// The status of the response, if its head was complete; the proxy's status for a refusal.
    pub status: u16,
    /// The seconds that the response's `Retry-After` asks to wait, if its head was complete.
    pub retry_after: Option<i64>,
    /// True if no byte of a response was received.
    pub no_response_bytes: bool,
}

impl TransportError {
    pub fn new(kind: ErrorKind, request_sent: bool) -> TransportError {
        let status = if let ErrorKind::Proxy { status, .. } = kind { status } else { 0 };
        TransportError { kind, request_sent, status, retry_after: None, no_response_bytes: false }
    }

    pub fn before_request(kind: ErrorKind) -> TransportError {
        TransportError::new(kind, false)
    }

    pub fn after_request(kind: ErrorKind) -> TransportError {
        TransportError::new(kind, true)
    }

    /// True if the peer or the network ended the exchange, not this call's own deadline or cancel handle.
    pub fn is_peer_failure(&self) -> bool {
        !matches!(self.kind, ErrorKind::Timeout { .. } | ErrorKind::Cancelled)
    }

    /// True if the server probably closed the connection while it was idle.
    pub fn is_stale_connection(&self) -> bool {
        self.no_response_bytes && matches!(self.kind, ErrorKind::Lost { .. })
    }

    /// True if the library may retry: no byte of the request was handed over, and the failure may be temporary.
    pub fn may_be_retried(&self) -> bool {
        !self.request_sent
            && matches!(
                self.kind,
                ErrorKind::Dns { .. }
                    | ErrorKind::Connect { .. }
                    | ErrorKind::Lost { .. }
                    | ErrorKind::Timeout { connect_timeout: true, .. }
                    | ErrorKind::Proxy { retryable: true, .. }
            )
    }
}
