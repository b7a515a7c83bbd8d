//! The library's layout and its C interface: three layers and their import direction, the header, the export list, the
//! codes and the versions.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::{CStr, c_char, c_void};
use std::fs;
use std::path::{Path, PathBuf};

use couchdrop::error::cd_code;
use couchdrop::ffi::auth::*;
use couchdrop::ffi::cancel::*;
use couchdrop::ffi::code::*;
use couchdrop::ffi::error::*;
use couchdrop::ffi::options::*;
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

fn sources() -> Vec<PathBuf> {
    fn walk(folder: &Path, to: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, to);
            } else {
                to.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(ROOT).join("src"), &mut found);
    found.iter_mut().for_each(|path| *path = path.strip_prefix(ROOT).unwrap().to_owned());
    found.sort();
    found
}

/// The layer of a file, and the depth of its module.
fn layer(path: &Path) -> (&str, usize) {
    let parts: Vec<&str> = path.iter().map(|part| part.to_str().unwrap()).collect();
    match parts[..] {
        ["src", _] => (SHARED, 1),
        ["src", layer, .., "mod.rs"] => (layer, parts.len() - 2),
        ["src", layer, ..] => (layer, parts.len() - 1),
        _ => panic!("{} is not in src/", path.display()),
    }
}

/// Words and punctuation, without comments and strings.
fn tokens(source: &str) -> Vec<String> {
    let mut tokens: Vec<String> = Vec::new();
    let mut rest = source;
    while let Some(first) = rest.chars().next() {
        let length = if rest.starts_with("//") {
            rest.find('\n').unwrap_or(rest.len())
        } else if rest.starts_with("/*") {
            rest.find("*/").map_or(rest.len(), |end| end + 2)
        } else if let Some(length) = literal(rest) {
            length
        } else {
            let word =
                rest.find(|letter: char| !letter.is_alphanumeric() && letter != '_').unwrap_or(rest.len());
            let length = if word > 0 { word } else { first.len_utf8() };
            if !first.is_whitespace() {
                tokens.push(rest[..length].to_owned());
            }
            length
        };
        rest = &rest[length..];
    }
    tokens
}

/// The length of the string or character literal at the start of `rest`.
fn literal(rest: &str) -> Option<usize> {
    let plain = rest.trim_start_matches(['b', 'c']);
    let prefix = rest.len() - plain.len();
    if let Some(raw) = plain.strip_prefix('r') {
        let hashes = raw.chars().take_while(|sign| *sign == '#').count();
        if raw[hashes..].starts_with('"') {
            let end = format!("\"{}", "#".repeat(hashes));
            let from = prefix + 1 + hashes + 1;
            return Some(from + rest[from..].find(&end)? + end.len());
        }
    }
    let quote = plain.chars().next().filter(|quote| matches!(quote, '"' | '\''))?;
    let mut signs = plain.char_indices().skip(1);
    while let Some((at, sign)) = signs.next() {
        match sign {
            '\\' => drop(signs.next()),
            // A quote that is not closed is a lifetime.
            _ if quote == '\'' && sign != '\'' && !plain[at + sign.len_utf8()..].starts_with('\'') => {
                return None;
            }
            _ if sign == quote => return Some(prefix + at + 1),
            _ => {}
        }
    }
    None
}

/// The imports of a source from the root of the crate, `depth` modules below it: the first name of each path, in `use`
/// and inline. `*` means that any name is possible.
fn imports(source: &str, depth: usize) -> BTreeSet<String> {
    let tokens = tokens(source);
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    let separator = |at: usize| token(at) == ":" && token(at + 1) == ":";
    // Not `pub(crate)`.
    let leads_on = |at: usize| separator(at + 1) || token(at + 1) == "as";
    let mut found = BTreeSet::new();
    let mut at = 0;
    // Modules inside the file are deeper: count their braces.
    let mut braces: Vec<bool> = Vec::new();
    while at < tokens.len() {
        match token(at) {
            "{" => braces.push(at >= 2 && token(at - 2) == "mod"),
            "}" => drop(braces.pop()),
            _ => {}
        }
        let depth = depth + braces.iter().filter(|module| **module).count();
        let is_root = match token(at) {
            "crate" | "couchdrop" => leads_on(at),
            "super" => {
                let mut up = 1;
                while separator(at + 1) && token(at + 3) == "super" {
                    at += 3;
                    up += 1;
                }
                up >= depth && leads_on(at)
            }
            _ => false,
        };
        at += 1;
        if is_root {
            if !separator(at) {
                found.insert("*".to_owned());
                continue;
            }
            at += 2;
            first_names(&tokens, &mut at, &mut found);
        }
    }
    found
}

/// Reads the name, or the names in braces, at `at`.
fn first_names(tokens: &[String], at: &mut usize, found: &mut BTreeSet<String>) {
    let token = |at: usize| tokens.get(at).map_or("", String::as_str);
    if token(*at) != "{" {
        let name = token(*at);
        let is_name = name.starts_with(|letter: char| letter.is_alphabetic() || letter == '_');
        found.insert(if is_name && name != "self" { name.to_owned() } else { "*".to_owned() });
        *at += 1;
        return;
    }
    let mut level = 0;
    let mut expected = true;
    loop {
        match token(*at) {
            "" => return,
            "{" => level += 1,
            "}" => level -= 1,
            "," if level == 1 => expected = true,
            _ if level == 1 && expected => {
                first_names(tokens, at, found);
                expected = false;
                continue;
            }
            _ => {}
        }
        *at += 1;
        if level == 0 {
            return;
        }
    }
}

/// The imports of a file that break the rule.
fn violations(path: &Path, source: &str) -> Vec<String> {
    let (layer, depth) = layer(path);
    let (_, allowed) = MAY_IMPORT.iter().find(|(name, _)| *name == layer).expect("one of the layers");
    let layers: Vec<&str> = MAY_IMPORT.iter().map(|(name, _)| *name).collect();
    imports(source, depth)
        .into_iter()
        .filter(|name| name == "*" || layers.contains(&name.as_str()))
        .filter(|name| name != layer && !allowed.contains(&name.as_str()))
        .map(|name| format!("{} imports {name}", path.display()))
        .collect()
}

#[test]
fn layer_imports_only_the_next_ones() {
    let mut files: BTreeMap<String, usize> = BTreeMap::new();
    for path in sources() {
        assert_eq!(path.extension().unwrap(), "rs", "{}", path.display());
        if path == Path::new("src/lib.rs") {
            continue; // the crate root names all of them
        }
        let source = fs::read_to_string(Path::new(ROOT).join(&path)).unwrap();
        assert_eq!(violations(&path, &source), [""; 0]);
        *files.entry(layer(&path).0.to_owned()).or_default() += 1;
    }
    let layers: Vec<&str> = files.keys().map(String::as_str).collect();
    assert_eq!(layers, ["ffi", "http", "login", SHARED, "sys"]);
}

/// Code that differs by operating system is in `src/sys/`.
#[test]
fn target_os_is_only_in_sys() {
    for path in sources().into_iter().filter(|path| !path.starts_with("src/sys")) {
        let source = fs::read_to_string(Path::new(ROOT).join(&path)).unwrap();
        let code = source.split("#[cfg(test)]").next().unwrap();
        for word in ["target_os", "cfg(unix)", "cfg(windows)", "std::os::unix"] {
            assert!(!code.contains(word), "{} contains {word}", path.display());
        }
    }
}

#[test]
fn every_source_file_is_declared() {
    let mut declared = BTreeSet::from([PathBuf::from("src/lib.rs")]);
    let mut queue = vec![PathBuf::from("src/lib.rs")];
    while let Some(path) = queue.pop() {
        let tokens = tokens(&fs::read_to_string(Path::new(ROOT).join(&path)).unwrap());
        for three in tokens.windows(3).filter(|three| three[0] == "mod" && three[2] == ";") {
            let folder = path.parent().unwrap();
            let module = [format!("{}.rs", three[1]), format!("{}/mod.rs", three[1])]
                .map(|name| folder.join(name))
                .into_iter()
                .find(|path| Path::new(ROOT).join(path).exists())
                .unwrap_or_else(|| panic!("{} declares {}", path.display(), three[1]));
            declared.insert(module.clone());
            queue.push(module);
        }
    }
    assert_eq!(Vec::from_iter(declared), sources());
}

#[test]
fn import_of_another_layer_is_found() {
    let login = Path::new("src/login/mod.rs");
    let tls = Path::new("src/http/tls.rs");
    let url = Path::new("src/url.rs");
    for (path, source) in [
        (login, "use crate::ffi::error::cd_error;"),
        (login, "pub use crate::{error, ffi};"),
        (login, "use crate::{\n    context::{self, CallContext},\n    ffi::{error, token},\n};"),
        (login, "fn f() { crate::ffi::x() }"),
        (login, "fn f() { let x = '\"'; crate :: ffi::x(); let y = '\"'; }"),
        (login, "use super::ffi;"),
        (login, "use super::{context, ffi::error};"),
        (login, "use crate as c;"),
        (login, "use crate::*;"),
        (login, "use crate::{self as c};"),
        (login, "use ::couchdrop::ffi;"),
        (login, "mod tests { use super::super::ffi; }"),
        (login, "fn f<'a>(x: &'a str) { r#\"\"x\"#; crate::ffi::x() }"),
        (login, "// a comment\n/* another */ macro_rules! m { () => { $crate::ffi::x() } }"),
        (Path::new("src/ffi/auth.rs"), "use crate::http::client::HttpClient;"),
        (tls, "use crate::login;"),
        (tls, "use super::super::ffi;"),
        (tls, "mod tests { use super::super::super::login; }"),
        (url, "use crate::http::tls;"),
        (url, "use super::login;"),
    ] {
        assert_eq!(violations(path, source).len(), 1, "{}: {source}", path.display());
    }
    for (path, source) in [
        (
            login,
            "use crate::http::{HttpClient, Response}; use crate::{config, context::CallContext}; use super::url;",
        ),
        (login, "mod tests { use super::*; use super::super::http; }"),
        (login, "/// See crate::ffi.\nconst X: &str = \"crate::ffi\"; const Y: &str = r#\"\"crate::ffi\"#;"),
        (login, "pub(crate) fn f() {} pub(super) fn g() {} use std::ffi::CStr; use retry::ffi;"),
        (Path::new("src/ffi/auth.rs"), "use crate::login; use crate::ffi::error; use crate::error;"),
        (tls, "use super::*; use super::wait; use crate::ca_file; mod tests { use super::super::pool; }"),
        (url, "use crate::error; mod tests { use super::*; }"),
    ] {
        assert_eq!(violations(path, source), [""; 0]);
    }
}

/// Outside `src/ffi/` and `src/sys/`, only these files contain unsafe code. Their SAFETY comments say why it is sound.
const UNSAFE: [&str; 2] = [
    "src/registers.rs", // instructions that clear them
    "src/secret.rs",    // the allocator
];

#[test]
fn unsafe_code_is_only_in_listed_files() {
    let found: Vec<String> = sources()
        .into_iter()
        .filter(|path| !path.starts_with("src/ffi") && !path.starts_with("src/sys"))
        .filter(|path| {
            let source = fs::read_to_string(Path::new(ROOT).join(path)).unwrap();
            tokens(&source).iter().any(|token| token == "unsafe")
        })
        .map(|path| path.to_str().unwrap().to_owned())
        .collect();
    assert_eq!(found, UNSAFE);
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
fn the_header_is_current() {
    let generated = include_str!(concat!(env!("OUT_DIR"), "/couchdrop.h"));
    assert!(HEADER == generated, "include/couchdrop.h is not what the sources say: run `make header`");
}

#[test]
fn the_list_of_exports_is_the_functions_of_the_header() {
    let exports = fs::read_to_string(Path::new(ROOT).join("abi/exports.txt")).unwrap();
    let functions: Vec<String> = functions().into_keys().collect();
    assert_eq!(exports.lines().collect::<Vec<_>>(), functions);
}

/// The comment of an object names all its functions.
#[test]
fn comment_of_an_object_lists_its_functions() {
    for object in ["cd_options", "cd_cancel", "cd_token", "cd_error"] {
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

#[test]
fn no_function_takes_a_name_that_another_library_has() {
    for name in functions().keys() {
        assert!(name.starts_with("cd_") && !TAKEN.iter().any(|taken| name.starts_with(taken)), "{name}");
    }
}

#[test]
fn a_result_that_must_not_be_ignored_is_marked() {
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
fn the_signatures_are_those_of_abi_1() {
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
fn each_code_of_the_header_has_its_number_its_name_and_a_sentence_of_its_own() {
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
fn any_other_integer_has_a_name_and_a_sentence_too_and_is_not_retryable() {
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
fn the_numbers_that_a_setter_takes_have_names_in_the_header() {
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
