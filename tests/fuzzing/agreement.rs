//! ureq reads every response that the strict reader accepts in the same way. Only a response of the strict reader keeps
//! a connection open, so both must agree on its end.

use couchdrop::http::ureq_path;

use super::lockstep;
use super::response::{Read, limit, read};
use super::script::{Piece, Script, joined};
use super::scripted_peer::{Ending, connected};

pub fn holds(input: &[u8]) {
    let script = Script::read(input);
    let limit = limit(&script);
    let pieces = script.into_pieces();
    let all = joined(&pieces);
    let strict = read(pieces, Ending::Close, limit);
    if !strict.kept {
        return;
    }
    assert_eq!(strict.done, by_ureq(&all, limit).done);
}

fn by_ureq(response: &[u8], limit: usize) -> Read {
    let piece = Piece { bytes: response.to_vec(), past_tls: false };
    let (connection, mut peer) = connected(vec![piece], Ending::Close);
    let done = lockstep::run(&mut peer, |call| ureq_path::read(call, connection, limit));
    Read::new(done, false, limit)
}
