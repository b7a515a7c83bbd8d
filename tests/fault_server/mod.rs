//! A server that misbehaves on purpose. Each connection plays a script of small steps, on a plain socket or under TLS.
//! The server records the bytes that the client sends.
//!
//! ```ignore
//! let server = FaultServer::plain(vec![vec![Step::Request, send("HTTP/1.1 200 OK\r\nContent-Le"), Step::Reset]]);
//! let outcome = Client::new(&server.url()).login();
//! assert_eq!(outcome.code, CD_ERR_CONNECTION_LOST as i32);
//! assert_eq!(server.connections().len(), 1);
//! ```
//!
//! Nothing here sleeps. A script is paced by its writes, each of which is its own segment, and by gates that a test
//! opens.

#![allow(dead_code, unused_imports, reason = "each suite uses a part of it")]

mod behaviour;
mod certificate;
mod client;
mod kernel;
mod network;
mod peer;
mod relay;
mod script;
mod server;

pub use behaviour::{Behaviour, Expected, Over, behaviour, behaviours_in_turn, try_all};
pub use certificate::{
    Authority, Versions, ca_file, file, good_server, good_server_but, good_server_of, server_config,
};
pub use client::{Client, Outcome, PASSWORD, USERNAME};
pub use network::{End, GOOD_PATH, Link, Network, Path};
pub use relay::Relay;
pub use script::{
    GOOD, Script, Step, TOKEN, closing, json_response, send, serve, then_closing, token, whole,
};
pub use server::{FaultServer, Seen};
