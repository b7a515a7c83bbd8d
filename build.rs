//! Generates the C header into OUT_DIR (`make header` copies it to `include/`), and names the shared library.

use std::env;
use std::path::PathBuf;

fn main() {
    let root = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets it"));
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets it"));
    for read in ["src/ffi", "src/error.rs", "cbindgen.toml", "build.rs", "Cargo.toml"] {
        println!("cargo::rerun-if-changed={read}");
    }
    header(&root).write_to_file(out.join("couchdrop.h"));

    match env::var("CARGO_CFG_TARGET_OS").as_deref() {
        Ok("macos") => println!("cargo::rustc-cdylib-link-arg=-Wl,-install_name,@rpath/libcouchdrop.1.dylib"),
        Ok("windows") => {}
        _ => {
            // The number is the ABI's version. Never unloaded: a login may be under way on another thread.
            println!("cargo::rustc-cdylib-link-arg=-Wl,-soname,libcouchdrop.so.1");
            println!("cargo::rustc-cdylib-link-arg=-Wl,-z,nodelete");
        }
    }
}

fn header(root: &std::path::Path) -> cbindgen::Bindings {
    let mut config =
        cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    let number = |name: &str| -> u32 { env::var(name).expect("cargo sets it").parse().expect("a number") };
    let (major, minor, patch) = (
        number("CARGO_PKG_VERSION_MAJOR"),
        number("CARGO_PKG_VERSION_MINOR"),
        number("CARGO_PKG_VERSION_PATCH"),
    );
    let macros = config.after_includes.take().unwrap_or_default();
    config.after_includes = Some(
        macros
            .replace("@VERSION@", &format!("{major}.{minor}.{patch}"))
            .replace("@VERSION_NUMBER@", &(major * 1_000_000 + minor * 1_000 + patch).to_string()),
    );
    // Only these files speak to C; nothing else can get into the header.
    let mut builder = cbindgen::Builder::new().with_config(config).with_src(root.join("src/error.rs"));
    for file in ["auth", "session", "token", "error", "code", "options", "cancel", "version"] {
        builder = builder.with_src(root.join(format!("src/ffi/{file}.rs")));
    }
    builder.generate().expect("the header can be generated")
}
