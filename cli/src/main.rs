//! The program `couchdrop`.

use std::process::ExitCode;

fn main() -> ExitCode {
    couchdrop_cli::main()
}
