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
//! opens. The program `fault_server` plays scripts for callers in other languages; see `main.rs`.

mod certificate;
mod kernel;
mod network;
mod peer;
mod relay;
mod script;
mod server;
mod unreachable;

pub use certificate::{
    Authority, Versions, ca_file, file, good_server, good_server_but, good_server_of, server_config,
};
pub use network::{End, GOOD_PATH, Link, Network, Path};
pub use relay::Relay;
pub use script::{
    GOOD, Respond, Script, Step, TOKEN, closing, echo, json_response, last, reply, reply_token, reply_with,
    respond, response_with, send, serve, then_closing, token, whole,
};
pub use server::{FaultServer, PATIENCE, Request, Seen};
pub use unreachable::{BlackHole, Refusing};
