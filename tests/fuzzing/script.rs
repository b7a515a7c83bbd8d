//! The bytes of a peer, as text that people can read and a fuzzer can change, with marks that are not valid UTF-8.
//!
//! | byte | mark |
//! | --- | --- |
//! | `ff` | a cut: the rest is sent once the other side waits for more |
//! | `fe` | the end of a response |
//! | `fd n` | the bytes since the last cut, end or repetition occur 2 to the power of `n % 16` times |
//! | `fc` | a cut; the following bytes bypass TLS |
//! | `fb x` | the byte `x`, even if it is a mark |
//!
//! The first byte of an input is not sent: its bits choose how the rest is sent.

const MAX_BYTES: usize = 256 << 10;
const MAX_PIECES: usize = 1 << 10;
const MAX_RESPONSES: usize = 16;

/// Bytes that are sent at once.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Piece {
    pub bytes: Vec<u8>,
    pub past_tls: bool,
}

#[derive(Clone, Debug)]
pub struct Script {
    pub flags: u8,
    pub responses: Vec<Vec<Piece>>,
}

impl Script {
    pub fn read(input: &[u8]) -> Script {
        let (flags, marked) = input.split_first().map_or((0, input), |(flags, marked)| (*flags, marked));
        let mut responses = vec![Vec::new()];
        let mut piece = Piece::default();
        let (mut from, mut size, mut pieces) = (0, 0, 0);
        let mut marked = marked.iter().copied();
        while let Some(byte) = marked.next() {
            let response = responses.last_mut().expect("there is one at least");
            match byte {
                0xff | 0xfe | 0xfc => {
                    from = 0;
                    if !piece.bytes.is_empty() {
                        response.push(std::mem::take(&mut piece));
                        pieces += 1;
                    }
                    piece.past_tls = byte == 0xfc;
                    if byte == 0xfe {
                        responses.push(Vec::new());
                    }
                    if pieces == MAX_PIECES || responses.len() > MAX_RESPONSES {
                        break;
                    }
                }
                0xfd => {
                    let times = 1 << (marked.next().unwrap_or(0) % 16);
                    let part = piece.bytes[from..].to_vec();
                    let available = (MAX_BYTES - size) / part.len().max(1);
                    let more = part.repeat(available.min(times - 1));
                    size += more.len();
                    piece.bytes.extend(more);
                    from = piece.bytes.len();
                }
                0xfb => piece.bytes.extend(marked.next()),
                byte => piece.bytes.push(byte),
            }
        }
        if !piece.bytes.is_empty() {
            responses.last_mut().expect("there is one at least").push(piece);
        }
        Script { flags, responses }
    }

    /// All pieces, if it makes no difference which response they belong to.
    pub fn into_pieces(self) -> Vec<Piece> {
        self.responses.into_iter().flatten().collect()
    }

    pub fn flag(&self, bit: u32) -> bool {
        (self.flags >> bit) & 1 == 1
    }
}

/// All the bytes of some pieces.
pub fn joined(pieces: &[Piece]) -> Vec<u8> {
    pieces.iter().flat_map(|piece| &piece.bytes).copied().collect()
}
