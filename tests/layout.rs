//! The library's layout and its C interface: the layers and their imports, the header, the export list, the codes and
//! the versions.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::path::Path;

use couchdrop::error::cd_code;
use couchdrop::ffi::auth::*;
use couchdrop::ffi::cancel::*;
use couchdrop::ffi::code::*;
use couchdrop::ffi::error::*;
use couchdrop::ffi::options::*;
use couchdrop::ffi::session::*;
use couchdrop::ffi::token::*;
use couchdrop::ffi::version::*;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");
const HEADER: &str = include_str!("../include/couchdrop.h");

// ---- the layers

/// The files in `src/` itself, which belong to no layer.
const SHARED: &str = "shared";

/// The layers that each layer may import, in addition to itself. All but `sys` may also import the files in `src/`.
const MAY_IMPORT: [(&str, &[&str]); 5] = [
    ("ffi", &["login", "sys"]),
    ("login", &["http", "sys"]),
    ("http", &["sys"]),
    ("sys", &[]),
    (SHARED, &["sys"]),
];

/// The path of each file in `src/`, below `src/`, and its lines without comments.
fn sources() -> BTreeMap<String, Vec<String>> {
    let root = Path::new(ROOT).join("src");
    let (mut folders, mut found) = (vec![root.clone()], BTreeMap::new());
    while let Some(folder) = folders.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
                continue;
            }
            let name = path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned();
            let source = fs::read_to_string(&path).unwrap();
            let lines = source.lines().filter(|line| !line.trim_start().starts_with("//"));
            found.insert(name, lines.map(str::to_owned).collect());
        }
    }
    found
}

/// Each `use` names one module of the crate as `crate::module`, so a search finds all imports.
#[test]
fn layer_imports_only_later_layers() {
    let mut found = BTreeSet::new();
    for (path, lines) in sources() {
        let layer = path.split_once('/').map_or(SHARED, |(folder, _)| folder);
        let (_, allowed) = MAY_IMPORT.iter().find(|(name, _)| *name == layer).expect("one of the layers");
        for line in lines {
            // Another way to the root of the crate: `super` leads there from a module of the root.
            let is_in_root = layer == SHARED || path.ends_with("/mod.rs");
            let climbs = line.contains("super::super") || is_in_root && line.contains("super::");
            let renames = line.replace("crate::", "").replace("(crate)", "").contains("crate");
            assert!(!climbs && !renames || line.trim() == "use super::*;", "{path}: write `crate::`: {line}");
            for after in line.split("crate::").skip(1) {
                let name = after.split(|letter: char| !letter.is_alphanumeric() && letter != '_').next();
                let name = name.filter(|name| !name.is_empty());
                let name = name.unwrap_or_else(|| panic!("{path}: import one module a line: {line}"));
                let is_layer = MAY_IMPORT.iter().any(|(layer, _)| *layer == name);
                assert!(!is_layer || name == layer || allowed.contains(&name), "{path} imports {name}");
                // `sys` knows none of the shared files.
                assert!(layer != "sys" || name == "sys", "{path} imports {name}");
                found.insert((layer.to_owned(), name.to_owned()));
            }
        }
    }
    assert!(found.contains(&("ffi".to_owned(), "login".to_owned())), "the search finds no imports");
}

/// Code that differs by operating system is in `src/sys/`.
#[test]
fn target_os_is_only_in_sys() {
    for (path, lines) in sources().into_iter().filter(|(path, _)| !path.starts_with("sys/")) {
        for line in lines.iter().take_while(|line| !line.contains("#[cfg(test)]")) {
            for word in ["target_os", "cfg(unix)", "cfg(windows)", "std::os::unix"] {
                assert!(!line.contains(word), "{path}: {line}");
            }
        }
    }
}

/// A file without a `mod` is not compiled, and no other check sees it.
#[test]
fn every_source_file_is_declared() {
    let sources = sources();
    for path in sources.keys().filter(|path| *path != "lib.rs") {
        let module = path.strip_suffix("/mod.rs").or(path.strip_suffix(".rs")).expect("a source of Rust");
        let (parent, name) = match module.rsplit_once('/') {
            Some((folder, name)) => (format!("{folder}/mod.rs"), name),
            None => ("lib.rs".to_owned(), module),
        };
        let declares = |line: &String| line.ends_with(&format!("mod {name};"));
        assert!(sources[&parent].iter().any(declares), "{parent} does not declare {path}");
    }
}

// ---- the header

/// The header without its comments and its preprocessor lines.
fn declarations() -> String {
    let mut text = String::new();
    let mut rest = HEADER;
    while let Some(start) = rest.find("/*") {
        text.push_str(&rest[..start]);
        rest = &rest[start..];
        rest = &rest[rest.find("*/").expect("a comment ends") + 2..];
    }
    text.push_str(rest);
    text.lines()
        .map(|line| line.split("//").next().unwrap_or_default())
        .filter(|line| !line.trim_start().starts_with('#'))
        .collect::<Vec<_>>()
        .join("\n")
}

/// The functions in the header, each with the text before its name.
fn functions() -> BTreeMap<String, String> {
    declarations()
        .split([';', '{', '}'])
        .filter(|statement| !statement.contains("typedef"))
        .filter_map(|statement| {
            let (before, _) = statement.split_once('(')?;
            let at = before.rfind(|letter: char| !letter.is_alphanumeric() && letter != '_')? + 1;
            let result = before[..at].split_whitespace().collect::<Vec<_>>().join(" ");
            Some((before[at..].to_owned(), result))
        })
        .collect()
}

/// The codes in the header.
fn enumerators() -> Vec<(String, i32)> {
    declarations()
        .lines()
        .filter_map(|line| {
            let (name, number) = line.trim().strip_suffix(',')?.split_once(" = ")?;
            Some((name.to_owned(), number.parse().unwrap()))
        })
        .collect()
}

fn defined(name: &str) -> &'static str {
    let define = format!("#define {name} ");
    HEADER.lines().find_map(|line| line.strip_prefix(define.as_str())).unwrap_or_else(|| panic!("{name}"))
}

#[test]
fn header_is_current() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/couchdrop.h"));
    assert!(
        HEADER == generated,
        "include/couchdrop.h is not generated from these sources: run `make header`"
    );
}

#[test]
fn export_list_matches_the_header() {
    let exports = fs::read_to_string(Path::new(ROOT).join("abi/exports.txt")).unwrap();
    let functions: Vec<String> = functions().into_keys().collect();
    assert_eq!(exports.lines().collect::<Vec<_>>(), functions);
}

/// The comment of an object names all its functions.
#[test]
fn comment_of_an_object_lists_its_functions() {
    for object in ["cd_options", "cd_session", "cd_cancel", "cd_token", "cd_error"] {
        let (before, _) = HEADER.split_once(&format!("typedef struct {object} {object};")).unwrap();
        let comment = &before[before.rfind("/**").unwrap()..];
        for function in functions().keys().filter(|name| name.starts_with(&format!("{object}_"))) {
            assert!(
                comment.contains(&format!("`{function}()`")),
                "the comment of {object} has no {function}()"
            );
        }
    }
}

/// libcolord exports these.
const TAKEN: [&str; 5] = ["cd_client_", "cd_device_", "cd_profile_", "cd_icc_", "cd_sensor_"];

/// No name has the prefix of another library.
#[test]
fn exported_names_are_prefixed_and_unique() {
    for name in functions().keys() {
        assert!(name.starts_with("cd_") && !TAKEN.iter().any(|taken| name.starts_with(taken)), "{name}");
    }
}

#[test]
fn must_use_results_are_marked() {
    for (name, result) in functions() {
        let marked = result.starts_with("COUCHDROP_NODISCARD ");
        let must_be = result.ends_with("cd_code") || name.ends_with("_new");
        assert_eq!(marked, must_be, "{result} {name}");
    }
}

/// Compiles as long as each function of version 1.0.0 exists and accepts the same arguments.
///
/// `make header` cannot rewrite this list. `abi/libcouchdrop.abi` also has the types of later functions.
#[test]
fn signatures_match_abi_1() {
    type Out<T> = *mut *mut T;
    type Text = *const c_char;
    type SetString = unsafe extern "C" fn(*mut cd_options, Text, Out<cd_error>) -> cd_code;
    type SetNumber = unsafe extern "C" fn(*mut cd_options, u32, Out<cd_error>) -> cd_code;

    let _: unsafe extern "C" fn(Text, Text, Text, Out<cd_token>, Out<cd_error>) -> cd_code = cd_authenticate;
    let _: unsafe extern "C" fn(
        *const cd_options,
        *const cd_cancel,
        u32,
        Text,
        Text,
        Text,
        Out<cd_token>,
        Out<cd_error>,
    ) -> cd_code = cd_authenticate_with;
    let _: unsafe extern "C" fn(*const cd_options, *const cd_cancel, u32, Out<cd_error>) -> cd_code =
        cd_connect;

    let _: unsafe extern "C" fn(
        *const cd_options,
        Text,
        Text,
        Text,
        Out<cd_session>,
        Out<cd_error>,
    ) -> cd_code = cd_session_new;
    let _: unsafe extern "C" fn(
        *mut cd_session,
        *const cd_cancel,
        u32,
        Text,
        Out<cd_token>,
        Out<cd_error>,
    ) -> cd_code = cd_session_token;
    let _: unsafe extern "C" fn(*mut cd_session, Out<cd_token>, Out<cd_error>) -> cd_code = cd_session_peek;
    let _: [unsafe extern "C" fn(*mut cd_session, u32, Out<cd_error>) -> cd_code; 2] =
        [cd_session_set_max_age_seconds, cd_session_set_min_age_seconds];
    let _: unsafe extern "C" fn(*mut cd_session) = cd_session_free;

    let _: unsafe extern "C" fn(*const cd_token) -> Text = cd_token_str;
    let _: unsafe extern "C" fn(*const cd_token) -> usize = cd_token_len;
    let _: unsafe extern "C" fn(*mut cd_token) = cd_token_free;

    let _: unsafe extern "C" fn(*const cd_error) -> cd_code = cd_error_code;
    let _: [unsafe extern "C" fn(*const cd_error) -> Text; 2] = [cd_error_message, cd_error_server_message];
    let _: [unsafe extern "C" fn(*const cd_error) -> i32; 2] = [cd_error_http_status, cd_error_is_retryable];
    let _: unsafe extern "C" fn(*const cd_error) -> i64 = cd_error_retry_after_seconds;
    let _: unsafe extern "C" fn(*const cd_error) -> u32 = cd_error_attempts;
    let _: unsafe extern "C" fn(*mut cd_error) = cd_error_free;

    let _: [extern "C" fn(i32) -> Text; 2] = [cd_code_name, cd_code_message];
    let _: extern "C" fn(i32) -> i32 = cd_code_is_retryable;

    let _: extern "C" fn() -> *mut cd_options = cd_options_new;
    let _: [SetString; 4] =
        [cd_options_set_base_url, cd_options_set_proxy, cd_options_set_ca_file, cd_options_set_user_agent];
    let _: [SetNumber; 3] =
        [cd_options_set_timeout_ms, cd_options_set_connect_timeout_ms, cd_options_set_max_retries];
    let _: unsafe extern "C" fn(*mut cd_options, i32, Out<cd_error>) -> cd_code = cd_options_set_body_format;
    let _: unsafe extern "C" fn(*mut cd_options, u32, u32, Out<cd_error>) -> cd_code =
        cd_options_set_backoff_ms;
    let _: unsafe extern "C" fn(*mut cd_options, usize, Out<cd_error>) -> cd_code =
        cd_options_set_max_response_bytes;
    let _: unsafe extern "C" fn(*mut cd_options, cd_log_fn, *mut c_void, i32, Out<cd_error>) -> cd_code =
        cd_options_set_logger;
    let _: cd_log_fn = None::<unsafe extern "C" fn(*mut c_void, i32, Text)>;
    let _: unsafe extern "C" fn(*mut cd_options, Text, Text, Out<cd_error>) -> cd_code =
        cd_options_set_environment;
    let _: unsafe extern "C" fn(*mut cd_options) = cd_options_free;

    let _: extern "C" fn() -> *mut cd_cancel = cd_cancel_new;
    let _: [unsafe extern "C" fn(*mut cd_cancel); 2] = [cd_cancel_trigger, cd_cancel_free];
    let _: unsafe extern "C" fn(*const cd_cancel) -> i32 = cd_cancel_is_triggered;
    let _: unsafe extern "C" fn(*mut cd_cancel, cd_check_fn, *mut c_void) = cd_cancel_set_check;
    let _: cd_check_fn = None::<unsafe extern "C" fn(*mut c_void) -> i32>;

    let _: unsafe extern "C" fn(*mut c_void, usize) = cd_secure_zero;
    let _: extern "C" fn() -> Text = cd_version;
    let _: [extern "C" fn() -> u32; 2] = [cd_version_number, cd_abi_version];

    assert_eq!(size_of::<cd_code>(), size_of::<i32>());
}

// ---- codes and versions

/// The codes of version 1.0.0. They are stable: this list may only grow.
const CODES: [(&str, i32); 27] = [
    ("CD_OK", 0),
    ("CD_ERR_HTTP_STATUS", 1400),
    ("CD_ERR_TWO_FACTOR_REQUIRED", 1401),
    ("CD_ERR_ACCESS_DENIED", 1403),
    ("CD_ERR_RATE_LIMITED", 1429),
    ("CD_ERR_SERVER", 1500),
    ("CD_ERR_UNAVAILABLE", 1503),
    ("CD_ERR_NULL_ARGUMENT", 2001),
    ("CD_ERR_INVALID_UTF8", 2002),
    ("CD_ERR_EMPTY_ARGUMENT", 2003),
    ("CD_ERR_OUT_OF_RANGE", 2004),
    ("CD_ERR_INVALID_URL", 2005),
    ("CD_ERR_INSECURE_URL", 2006),
    ("CD_ERR_CA_FILE", 2007),
    ("CD_ERR_OPTIONS_IN_USE", 2008),
    ("CD_ERR_DNS", 3001),
    ("CD_ERR_CONNECT", 3002),
    ("CD_ERR_PROXY", 3003),
    ("CD_ERR_TLS", 3004),
    ("CD_ERR_TIMEOUT", 3005),
    ("CD_ERR_CONNECTION_LOST", 3006),
    ("CD_ERR_MALFORMED_RESPONSE", 4001),
    ("CD_ERR_RESPONSE_TOO_LARGE", 4002),
    ("CD_ERR_CANCELLED", 5001),
    ("CD_ERR_PANIC", 9001),
    ("CD_ERR_INTERNAL", 9002),
    ("CD_ERR_RESOURCES", 9003),
];

const RETRYABLE: [i32; 8] = [1429, 1500, 1503, 3001, 3002, 3005, 3006, 9003];

/// A static string of the library.
fn text(text: *const c_char) -> String {
    assert!(!text.is_null());
    unsafe { CStr::from_ptr(text) }.to_str().unwrap().to_owned()
}

fn name_of(code: i32) -> String {
    text(cd_code_name(code))
}

fn sentence_of(code: i32) -> String {
    text(cd_code_message(code))
}

#[test]
fn each_code_has_a_number_name_and_message() {
    let codes = enumerators();
    assert_eq!(codes.iter().map(|(name, code)| (name.as_str(), *code)).collect::<Vec<_>>(), CODES);
    let mut sentences = BTreeSet::new();
    for (name, code) in codes {
        assert_eq!(name_of(code), name);
        let sentence = sentence_of(code);
        assert!(
            sentence.starts_with(char::is_uppercase) || sentence.starts_with("libcouchdrop"),
            "{sentence}"
        );
        assert!(sentence.ends_with('.'), "{sentence}");
        assert!(sentences.insert(sentence), "{name} shares its sentence");
        assert!([0, 1, 2, 3, 4, 5, 9].contains(&(code / 1000)), "{name} has a category");
        assert_eq!(cd_code_is_retryable(code), i32::from(RETRYABLE.contains(&code)), "{name}");
    }
}

#[test]
fn unknown_code_has_a_name_and_is_not_retryable() {
    for code in (-1..10_000).chain([i32::MIN, i32::MAX]) {
        if CODES.iter().any(|(_, known)| *known == code) {
            continue;
        }
        assert_eq!(name_of(code), "CD_ERR_UNKNOWN");
        assert!(sentence_of(code).ends_with('.'));
        assert_eq!(cd_code_is_retryable(code), 0, "{code}");
    }
}

#[test]
fn header_and_library_have_the_same_version() {
    let version = text(cd_version());
    assert_eq!(version, env!("CARGO_PKG_VERSION"));
    assert_eq!(defined("COUCHDROP_VERSION"), format!("\"{version}\""));
    let [major, minor, patch] =
        version.split('.').map(|part| part.parse::<u32>().unwrap()).collect::<Vec<_>>()[..]
    else {
        panic!("{version}")
    };
    let number = major * 1_000_000 + minor * 1_000 + patch;
    assert_eq!(cd_version_number(), number);
    assert_eq!(defined("COUCHDROP_VERSION_NUMBER"), number.to_string());
    assert_eq!((cd_abi_version(), major), (1, 1), "the crate's major version is the ABI's");
    assert_eq!(defined("COUCHDROP_ABI_VERSION"), "1");
    assert_eq!(defined("COUCHDROP_TOKEN_HEADER"), "\"token\"");
}

#[test]
fn setter_constants_are_named_in_the_header() {
    for (name, value) in [
        ("CD_BODY_AUTO", CD_BODY_AUTO),
        ("CD_BODY_FORM", CD_BODY_FORM),
        ("CD_BODY_JSON", CD_BODY_JSON),
        ("CD_LOG_ERROR", CD_LOG_ERROR),
        ("CD_LOG_WARN", CD_LOG_WARN),
        ("CD_LOG_INFO", CD_LOG_INFO),
        ("CD_LOG_DEBUG", CD_LOG_DEBUG),
    ] {
        assert_eq!(defined(name), value.to_string());
    }
    assert_eq!([CD_BODY_AUTO, CD_BODY_FORM, CD_BODY_JSON], [0, 1, 2]);
    assert_eq!([CD_LOG_ERROR, CD_LOG_WARN, CD_LOG_INFO, CD_LOG_DEBUG], [1, 2, 3, 4]);
}
