//! The C interface, one file for each type. Only these files take raw pointers. The first lines of each function turn
//! them into safe values or return an error.

#![warn(missing_docs)]
#![allow(non_camel_case_types)]
// Each function's documentation states the caller's obligations, for every language alike.
#![allow(clippy::missing_safety_doc)]

pub mod auth;
mod boundary;
mod callback;
pub mod cancel;
pub mod code;
pub mod error;
pub mod options;
pub mod session;
pub mod token;
pub mod version;
