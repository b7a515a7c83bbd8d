#![no_main]

libfuzzer_sys::fuzz_target!(|input: &[u8]| couchdrop_fuzz::run("response", input));
