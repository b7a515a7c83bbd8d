//! TLS without I/O: records in and out of buffers, by rustls's unbuffered interface.

use std::collections::TryReserveError;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::pki_types::ServerName;
use rustls::unbuffered::{ConnectionState, EncodeError, EncryptError, UnbufferedStatus};
use rustls::{ClientConfig, ProtocolVersion};

use crate::error::ErrorKind;
use crate::http::buffer::Buffer;
use crate::http::tls_error;

pub struct TlsStream {
    tls: UnbufferedClientConnection,
    /// Received data that TLS has not processed yet.
    pub ciphertext_in: Buffer,
    /// Data to encrypt and send.
    pub plaintext_out: Buffer,
    /// The peer sent close_notify.
    pub is_closed: bool,
}

pub enum Progress {
    /// The handshake is complete: a request may be sent, and all input was processed.
    Ready,
    NeedsInput,
}

/// The reason why TLS cannot continue.
pub enum TlsError {
    Tls(rustls::Error),
    Memory(TryReserveError),
}

impl From<rustls::Error> for TlsError {
    fn from(error: rustls::Error) -> TlsError {
        TlsError::Tls(error)
    }
}

impl From<TryReserveError> for TlsError {
    fn from(full: TryReserveError) -> TlsError {
        TlsError::Memory(full)
    }
}

fn encode<T>(
    data: &mut rustls::unbuffered::EncodeTlsData<'_, T>,
    output: &mut Buffer,
) -> Result<(), TryReserveError> {
    loop {
        match data.encode(output.spare()) {
            Ok(count) => {
                output.advance(count);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(needed)) => output.reserve(needed.required_size)?,
            Err(EncodeError::AlreadyEncoded) => return Ok(()),
        }
    }
}

impl From<TlsError> for ErrorKind {
    fn from(error: TlsError) -> ErrorKind {
        match error {
            TlsError::Tls(error) => tls_error::error_kind(&error),
            TlsError::Memory(full) => full.into(),
        }
    }
}

impl TlsStream {
    pub fn new(config: Arc<ClientConfig>, name: ServerName<'static>) -> Result<Box<TlsStream>, ErrorKind> {
        let tls =
            UnbufferedClientConnection::new(config, name).map_err(|error| tls_error::error_kind(&error))?;
        let (ciphertext_in, plaintext_out) = (Buffer::default(), Buffer::default());
        Ok(Box::new(TlsStream { tls, ciphertext_in, plaintext_out, is_closed: false }))
    }

    /// The negotiated version and key exchange group, for the log.
    pub fn parameters(&self) -> String {
        let version = match self.tls.protocol_version() {
            Some(ProtocolVersion::TLSv1_3) => "TLS 1.3",
            _ => "TLS 1.2",
        };
        match self.tls.negotiated_key_exchange_group() {
            Some(group) => format!("{version}, {:?}", group.name()),
            // A resumed session of TLS 1.2 has no group.
            None => version.to_owned(),
        }
    }

    /// Encrypts `plaintext_out` to `output`.
    pub fn encrypt(&mut self, output: &mut Buffer) -> Result<(), TlsError> {
        loop {
            // rustls keeps its position in the unprocessed input, so it needs the input here too.
            let UnbufferedStatus { discard, state } =
                self.tls.process_tls_records(self.ciphertext_in.filled_mut());
            let mut done = false;
            match state.map_err(TlsError::from)? {
                ConnectionState::WriteTraffic(mut traffic) => loop {
                    match traffic.encrypt(self.plaintext_out.filled(), output.spare()) {
                        Ok(count) => {
                            output.advance(count);
                            done = true;
                            break;
                        }
                        Err(EncryptError::InsufficientSize(needed)) => {
                            output.reserve(needed.required_size)?;
                        }
                        Err(EncryptError::EncryptExhausted) => return Err(rustls::Error::EncryptError.into()),
                    }
                },
                ConnectionState::EncodeTlsData(mut data) => encode(&mut data, output)?,
                ConnectionState::TransmitTlsData(data) => data.done(),
                // No other state is possible on a connection that is open and idle.
                _ => return Err(rustls::Error::HandshakeNotComplete.into()),
            }
            self.ciphertext_in.drop_front(discard);
            if done {
                self.plaintext_out.clear();
                return Ok(());
            }
        }
    }

    /// Lets TLS process the received data: plain text goes to `input`, TLS's own messages to `output`.
    pub fn process(&mut self, input: &mut Buffer, output: &mut Buffer) -> Result<Progress, TlsError> {
        loop {
            let UnbufferedStatus { mut discard, state } =
                self.tls.process_tls_records(self.ciphertext_in.filled_mut());
            let mut progress = None;
            let mut failed = None;
            match state {
                Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                    while let Some(record) = traffic.next_record() {
                        match record {
                            Ok(record) => {
                                discard += record.discard;
                                if let Err(full) = input.extend(record.payload) {
                                    failed = Some(full.into());
                                    break;
                                }
                            }
                            Err(error) => {
                                failed = Some(error.into());
                                break;
                            }
                        }
                    }
                }
                Ok(ConnectionState::EncodeTlsData(mut data)) => encode(&mut data, output)?,
                // The data is in `output`, and is sent before the next wait.
                Ok(ConnectionState::TransmitTlsData(data)) => data.done(),
                Ok(ConnectionState::BlockedHandshake) => progress = Some(Progress::NeedsInput),
                Ok(ConnectionState::WriteTraffic(_)) => progress = Some(Progress::Ready),
                Ok(ConnectionState::PeerClosed) => self.is_closed = true,
                Ok(ConnectionState::Closed) => {
                    self.is_closed = true;
                    progress = Some(Progress::Ready);
                }
                Ok(_) => failed = Some(rustls::Error::General("unknown state".into()).into()),
                Err(error) => failed = Some(error.into()),
            }
            self.ciphertext_in.drop_front(discard);
            if let Some(error) = failed {
                return Err(error);
            }
            if let Some(progress) = progress {
                return Ok(progress);
            }
        }
    }

    /// Writes the alert for an error to `output`.
    pub fn encode_alert(&mut self, output: &mut Buffer) {
        // The alert must be encoded before rustls sees further input, which would fail again.
        if let Ok(ConnectionState::EncodeTlsData(mut alert)) =
            self.tls.process_tls_records(self.ciphertext_in.filled_mut()).state
        {
            let _ = encode(&mut alert, output);
        }
    }
}
