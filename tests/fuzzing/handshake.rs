//! For any bytes in a TLS handshake, no byte of a request is sent before the handshake is complete, and the connection
//! attempt ends with a documented code.

use couchdrop::error::ErrorKind;
use couchdrop::error::cd_code::{CD_ERR_CONNECTION_LOST, CD_ERR_TLS};
use couchdrop::http::connection::Connection;
use couchdrop::http::fast_path::exchange;
use rustls::pki_types::ServerName;

use super::lockstep;
use super::response::REQUEST;
use super::script::{Piece, Script};
use super::scripted_peer::{Ending, ScriptedPeer, connected};
use super::tls::{MATERIAL, NAME};

const TOKEN: &[u8] = b"HTTP/1.1 200 OK\r\nContent-Length: 13\r\n\r\n{\"token\":\"t\"}";

/// Input: the server's bytes or, if a flag says so, changes to a real server's bytes. After one byte for the number of
/// bytes per send, each change has three bytes: its position and its value.
pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let ending = Ending::of(script.flags);
    if !script.flag(2) {
        let (connection, peer) = connected(script.into_pieces(), ending);
        assert!(!handshake(connection, peer), "a handshake without a TLS server");
        return;
    }
    let response = Piece { bytes: TOKEN.to_vec(), past_tls: false };
    let (connection, mut peer) = connected(vec![response], ending);
    peer.tls = Some(MATERIAL.server(script.flag(3)));
    let (max_step, changes) = input[1..].split_first().unwrap_or((&0, &[]));
    peer.max_step = if *max_step == 0 { usize::MAX } else { usize::from(*max_step) };
    peer.distortions = changes
        .chunks_exact(3)
        .take(16)
        .map(|change| ((usize::from(change[0]) << 8) | usize::from(change[1]), change[2]))
        .collect();
    let unmodified = peer.distortions.iter().all(|(_, change)| *change == 0);
    let done = handshake(connection, peer);
    assert!(done || !unmodified, "a handshake with an unmodified server");
}

/// True if the handshake was completed. In that case a response was read to its end.
fn handshake(mut connection: Box<Connection>, mut peer: ScriptedPeer) -> bool {
    let name = ServerName::try_from(NAME).expect("a name");
    let done = lockstep::run(&mut peer, |call| {
        connection.start_tls(call, MATERIAL.client.clone(), name)?;
        // If it is changed after the handshake, it may fail in any way, but must not return another body.
        if let Ok(exchanged) = exchange(call, connection, &REQUEST.0, &REQUEST.1, 1 << 10) {
            assert_eq!(&exchanged.response.body[..], b"{\"token\":\"t\"}");
        }
        Ok::<(), ErrorKind>(())
    });
    if let Err(kind) = &done {
        let code = kind.code();
        assert!(matches!(code, CD_ERR_TLS | CD_ERR_CONNECTION_LOST), "{kind:?}");
        peer.receive();
        assert!(peer.received.is_empty() || peer.tls.is_none(), "data left: {:?}", peer.received);
        check_records(&peer.ciphertext);
    }
    done.is_ok()
}

/// The client sent only handshake messages and alerts, each within a record, and no application data. Once it has keys,
/// their records look like application data, but none is as large as a request.
fn check_records(mut input: &[u8]) {
    const MAX_FINISHED: usize = 4 + 48 + 1 + 16;
    while let Some(([kind, 3, _, high, low], rest)) = input.split_first_chunk() {
        let length = (usize::from(*high) << 8) | usize::from(*low);
        assert!(matches!(kind, 20..=22) || *kind == 23 && length <= MAX_FINISHED, "a record of type {kind}");
        input = rest.get(length..).expect("a whole record");
    }
    assert!(input.is_empty(), "not a record: {input:?}");
}
