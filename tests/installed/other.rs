//! Another library written in Rust, built by any compiler version: it adds its own std to the program.

#[unsafe(no_mangle)]
pub extern "C" fn other() -> i32 {
    std::panic::set_hook(Box::new(|_| {}));
    std::panic::catch_unwind(|| panic!("caught")).is_err() as i32
}
