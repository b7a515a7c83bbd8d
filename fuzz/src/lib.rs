//! The module tests/fuzzing, compiled once for all targets.

#[path = "../../tests/fuzzing/mod.rs"]
mod fuzzing;

pub use fuzzing::run;
