//! The fuzz targets: plain functions that take bytes and panic if a property does not hold. `tests/fuzz_corpus.rs` runs
//! them over the inputs in `tests/corpus`; `fuzz/` passes them to libFuzzer, which looks for more.
//!
//! The targets are deterministic. A call and its peer share one thread (see [`lockstep`]), so the same bytes always
//! have the same effect.

#![allow(dead_code, reason = "each program uses a part of it")]

mod agreement;
mod body;
mod ca_file;
mod handshake;
mod lockstep;
mod login;
mod records;
pub mod response;
pub mod retry_after;
pub mod script;
pub mod scripted_peer;
mod server;
mod strings;
mod tls;
mod tunnel;
mod urls;

/// Larger inputs find nothing that smaller ones miss.
const MAX_BYTES: usize = 64 << 10;

pub struct Target {
    pub name: &'static str,
    /// Checks the properties of any input.
    pub holds: fn(&[u8]),
}

macro_rules! targets {
    ($($name:ident)*) => {
        pub const TARGETS: &[Target] = &[$(Target { name: stringify!($name), holds: $name::holds }),*];
    };
}

targets! {
    agreement response body ca_file handshake login records retry_after strings tunnel urls
}

/// Runs one target over one input.
pub fn run(name: &str, input: &[u8]) {
    let target = TARGETS.iter().find(|target| target.name == name).expect("a target of this name");
    if input.len() <= MAX_BYTES {
        (target.holds)(input);
    }
}

/// A secret that must not appear in messages or debug output.
const PASSWORD: &str = "hunter2 \"\u{e9}&%\\=+";

/// The part of [`PASSWORD`] that is the same in each encoding.
const UNMISTAKABLE: &str = "hunter2";
