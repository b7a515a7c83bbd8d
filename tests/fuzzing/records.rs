//! A response over TLS is read in the same way as without TLS, however its records are split. Forged bytes and
//! plaintext bytes never become part of it.

use couchdrop::error::cd_code::CD_ERR_TLS;
use couchdrop::http::fast_path::exchange;
use rustls::pki_types::ServerName;

use super::lockstep;
use super::response::{REQUEST, Read, limit, read};
use super::script::{Piece, Script};
use super::scripted_peer::{Ending, connected};
use super::tls::{MATERIAL, NAME};

pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let (ending, limit, old) = (Ending::of(script.flags), limit(&script), script.flag(3));
    let pieces = script.into_pieces();
    let authentic: Vec<Piece> = pieces.iter().take_while(|piece| !piece.past_tls).cloned().collect();
    let secure = over_tls(pieces.clone(), ending, limit, old);
    secure.is_sensible(&[CD_ERR_TLS]);

    let forged = authentic.len() < pieces.len();
    if !forged && ending == Ending::Close {
        let plain = read(pieces, ending, limit);
        assert_eq!((secure.done, secure.kept), (plain.done, plain.kept), "with TLS, and without");
    } else if let Ok(whole) = secure.done {
        // If it is truncated, a success must be complete, and a refusal must contain no more than was sent.
        let plain = read(authentic, Ending::Reset, limit);
        let plain = plain.done.expect("a response over TLS is also valid without TLS");
        assert_eq!(whole.status, plain.status);
        assert!(whole.status != 200 || whole == plain, "{whole:?}, {plain:?}");
    }
}

fn over_tls(pieces: Vec<Piece>, ending: Ending, limit: usize, old: bool) -> Read {
    let (mut connection, mut peer) = connected(pieces, ending);
    peer.tls = Some(MATERIAL.server(old));
    let done = lockstep::run(&mut peer, |call| {
        let name = ServerName::try_from(NAME).expect("a name");
        connection.start_tls(call, MATERIAL.client.clone(), name).expect("a server that is trusted");
        exchange(call, connection, &REQUEST.0, &REQUEST.1, limit)
    });
    let kept = matches!(&done, Ok(exchanged) if exchanged.connection.is_some());
    Read::new(done.map(|exchanged| exchanged.response), kept, limit)
}
