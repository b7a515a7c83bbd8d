//! ureq reads every response that the strict reader accepts in the same way. Only a response of the strict reader keeps
//! a connection open, so both must agree on its end.

use couchdrop::http::ureq_path;

use super::answer::{Read, limit, read};
use super::script::{Piece, Script, joined};
use super::speaker::{Ending, connected};
use super::turns;

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

fn by_ureq(answer: &[u8], limit: usize) -> Read {
    let piece = Piece { bytes: answer.to_vec(), past_tls: false };
    let (connection, mut speaker) = connected(vec![piece], Ending::Close);
    let done = turns::with(&mut speaker, |call| ureq_path::read(call, connection, limit));
    Read::new(done, false, limit)
}
