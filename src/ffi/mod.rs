//! Everything that C sees, one type a file. Only here do raw pointers come in; the first lines of each function turn
//! them into safe values or refuse them.

#![warn(missing_docs)]
#![allow(non_camel_case_types)]
// What a caller promises stands in each function's documentation, for every language alike.
#![allow(clippy::missing_safety_doc)]

pub mod auth;
mod boundary;
pub mod cancel;
pub mod code;
pub mod error;
pub mod options;
pub mod token;
pub mod version;
