//! Secrets left in memory. After a login over TLS, and after the caller has freed its own copies, an image of this
//! process contains no copy of the password, the token or the body. This holds for every encoding and every result of
//! the login.
//!
//! The service runs in its own process, and this process keeps the needles masked. tests/c/secrets.c checks a
//! host with the released library.

use std::ffi::CStr;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::ptr;
use std::sync::{Mutex, MutexGuard, PoisonError};

use couchdrop::ffi::auth::cd_authenticate_with;
use couchdrop::ffi::cancel::{cd_cancel, cd_cancel_free, cd_cancel_new, cd_cancel_trigger};
use couchdrop::ffi::error::cd_error_free;
use couchdrop::ffi::options::*;
use couchdrop::ffi::token::{cd_token, cd_token_free, cd_token_len, cd_token_str};
use couchdrop::ffi::version::cd_secure_zero;

use fault_server::{FaultServer, Step, ca_file, good_server, send, then_closing, whole};

/// The fake server as a program. Its memory, unlike a thread's, is separate.
struct Server {
    process: Child,
    _output: ChildStdout,
    base_url: String,
    ca_file: String,
}

fn read_line(from: &mut ChildStdout) -> String {
    let (mut line, mut byte) = (Vec::new(), [0]);
    while from.read(&mut byte).unwrap() == 1 && byte[0] != b'\n' {
        line.push(byte[0]);
    }
    String::from_utf8(line).unwrap()
}

impl Server {
    fn start() -> Server {
        let program: PathBuf = std::env::current_exe().unwrap().parent().unwrap().join("../fake_server");
        assert!(program.exists(), "{}: cargo build -p couchdrop-fake-server", program.display());
        Server::of(Command::new(program).arg("--until-eof"))
    }

    /// This same program, run as `faulty_server`.
    fn faulty() -> Server {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["faulty_server", "--exact", "--ignored", "--nocapture"]).env("SECRETS_SERVER", "1");
        Server::of(&mut program)
    }

    fn of(program: &mut Command) -> Server {
        #[allow(clippy::zombie_processes)] // Drop waits for it
        let mut process = program.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = process.stdout.take().unwrap();
        // Read no further than needed: the rest contains the password.
        let mut value = |name: &str| loop {
            let line = read_line(&mut output);
            if let Some(value) = line.strip_prefix(name) {
                return value.trim().to_owned();
            }
        };
        let (base_url, ca_file) = (value("https "), value("ca "));
        Server { process, _output: output, base_url, ca_file }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        let _ = self.process.wait();
    }
}

const MASK: u8 = 0x5a;

/// A masked needle, which a search does not find.
#[derive(Clone)]
struct Disguised(Vec<u8>);

impl Disguised {
    fn of(bytes: &[u8]) -> Disguised {
        Disguised(bytes.iter().map(|byte| byte ^ MASK).collect())
    }

    fn reveal(&self) -> Vec<u8> {
        self.0.iter().map(|byte| byte ^ MASK).collect()
    }

    fn is_at(&self, memory: &[u8]) -> bool {
        memory.len() >= self.0.len() && self.0.iter().zip(memory).all(|(hidden, byte)| hidden ^ MASK == *byte)
    }
}

fn find(byte: u8, bytes: &[u8]) -> Option<usize> {
    // SAFETY: reads only within the slice.
    let found = unsafe { libc::memchr(bytes.as_ptr().cast(), byte.into(), bytes.len()) };
    (!found.is_null()).then(|| found as usize - bytes.as_ptr() as usize)
}

/// The places in this process's memory that contain any of `needles`.
fn copies(needles: &[(&'static str, Disguised)]) -> Vec<String> {
    let mut found = Vec::new();
    let maps = std::fs::read_to_string("/proc/self/maps").unwrap();
    let mut memory = File::open("/proc/self/mem").unwrap();
    let mut part = vec![0; 1 << 20];
    let scratch = part.as_ptr() as usize..part.as_ptr() as usize + part.len();
    for line in maps.lines() {
        let mut fields = line.split_whitespace();
        let (range, rights) = (fields.next().unwrap(), fields.next().unwrap());
        let place = fields.nth(3).unwrap_or("anonymous");
        if !rights.starts_with('r') || place.starts_with("[v") {
            continue;
        }
        let (from, until) = range.split_once('-').unwrap();
        let (from, until) =
            (usize::from_str_radix(from, 16).unwrap(), usize::from_str_radix(until, 16).unwrap());
        let mut at = from;
        while at < until {
            memory.seek(SeekFrom::Start(at as u64)).unwrap();
            let wanted = part.len().min(until - at);
            let Ok(count) = memory.read(&mut part[..wanted]) else { break };
            if count == 0 {
                break;
            }
            for (what, needle) in needles {
                let mut offset = 0;
                while let Some(next) = find(needle.0[0] ^ MASK, &part[offset..count]) {
                    offset += next;
                    if needle.is_at(&part[offset..count]) && !scratch.contains(&(at + offset)) {
                        found.push(format!("{what} at {:#x} ({place})", at + offset));
                    }
                    offset += 1;
                }
            }
            // A match across the boundary of two parts is found in the second.
            at +=
                if count == wanted && at + count < until { count.saturating_sub(128).max(1) } else { count };
        }
    }
    // The buffer has itself contained all of it.
    unsafe { cd_secure_zero(part.as_mut_ptr().cast(), part.len()) };
    found
}

struct Handles {
    options: *mut cd_options,
    token: *mut cd_token,
}

fn options(server: &Server, timeout_ms: u32) -> *mut cd_options {
    let options = cd_options_new();
    let c = |text: &str| std::ffi::CString::new(text).unwrap();
    unsafe {
        assert_eq!(cd_options_set_base_url(options, c(&server.base_url).as_ptr(), ptr::null_mut()) as i32, 0);
        assert_eq!(cd_options_set_ca_file(options, c(&server.ca_file).as_ptr(), ptr::null_mut()) as i32, 0);
        assert_eq!(cd_options_set_timeout_ms(options, timeout_ms, ptr::null_mut()) as i32, 0);
        assert_eq!(cd_options_set_max_retries(options, 1, ptr::null_mut()) as i32, 0);
        assert_eq!(cd_options_set_backoff_ms(options, 0, 0, ptr::null_mut()) as i32, 0);
    }
    options
}

/// Logs in with a copy of the password that is freed after the call.
fn login(
    options: *const cd_options,
    cancel: *const cd_cancel,
    user: &CStr,
    password: &Disguised,
) -> (i32, *mut cd_token) {
    let mut secret = password.reveal();
    secret.push(0);
    let (mut token, mut error) = (ptr::null_mut(), ptr::null_mut());
    let code = unsafe {
        cd_authenticate_with(
            options,
            cancel,
            0,
            user.as_ptr(),
            secret.as_ptr().cast(),
            ptr::null(),
            &mut token,
            &mut error,
        )
    };
    unsafe {
        cd_error_free(error);
        cd_secure_zero(secret.as_mut_ptr().cast(), secret.len());
    }
    (code as i32, token)
}

fn encodings(password: &Disguised) -> Vec<(&'static str, Disguised)> {
    let plain = password.reveal();
    let text = std::str::from_utf8(&plain).unwrap();
    let form: String = form_urlencoded_of(text);
    let json = text.replace('\\', "\\\\").replace('"', "\\\"");
    let all = vec![
        ("the password", password.clone()),
        ("the password in a form", Disguised::of(form.as_bytes())),
        ("the password in JSON", Disguised::of(json.as_bytes())),
    ];
    for mut copy in [plain, form.into_bytes(), json.into_bytes()] {
        unsafe { cd_secure_zero(copy.as_mut_ptr().cast(), copy.len()) };
    }
    all
}

fn form_urlencoded_of(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            b' ' => "+".to_owned(),
            b'*' | b'-' | b'.' | b'_' => (byte as char).to_string(),
            byte if byte.is_ascii_alphanumeric() => (byte as char).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// `correct horse battery staple`, and the password of the account жук, masked.
fn passwords() -> (Disguised, Disguised) {
    let hidden = |mut bytes: Vec<u8>| {
        bytes.iter_mut().for_each(|byte| *byte = byte.wrapping_sub(1) ^ MASK);
        Disguised(bytes)
    };
    // Each byte is one higher than the original.
    (
        hidden(b"dpssfdu!ipstf!cbuufsz!tubqmf".to_vec()),
        hidden(b"\xd1\xc0\xd1\xb1\xd2\x81\xd1\xbf\xd1\xbc\xd2\x8d\x21\x27\x21\x32\x31\x31\x26\x21\x2c\x21\x23\x72\x23\x5d\x21\xc4\xaa".to_vec()),
    )
}

/// One test at a time, because the search of one test would find the secrets of another.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

#[test]
fn login_leaves_no_copy_of_secrets() {
    let _alone = alone();
    let server = Server::start();
    let (password, _) = passwords();
    let mut needles = encodings(&password);
    let wrong = Disguised::of(format!("no-such-{}-password", std::process::id()).as_bytes());
    needles.push(("the wrong password", wrong.clone()));
    needles.push(("the body", Disguised(form_start())));

    // The search finds an existing copy.
    let kept = password.reveal();
    assert!(!copies(&needles).is_empty(), "a known copy is not found");
    let mut kept = kept;
    unsafe { cd_secure_zero(kept.as_mut_ptr().cast(), kept.len()) };
    assert_eq!(copies(&needles), Vec::<String>::new(), "before any login");

    let mut handles = Vec::new();
    let run = |what: &str, user: &CStr, password: &Disguised, expected: i32, cancel: *const cd_cancel| {
        let options = options(&server, if expected == 3005 { 150 } else { 20_000 });
        let (code, token) = login(options, cancel, user, password);
        assert_eq!(code, expected, "{what}");
        Handles { options, token }
    };

    let success = run("success", c"ada@example.com", &password, 0, ptr::null());
    let token = unsafe {
        let bytes =
            std::slice::from_raw_parts(cd_token_str(success.token).cast::<u8>(), cd_token_len(success.token));
        Disguised::of(bytes)
    };
    needles.push(("the token", token));
    assert_eq!(copies(&needles).len(), 1, "one copy of the token is the caller's: {:?}", copies(&needles));
    unsafe { cd_token_free(success.token) };
    handles.push(success.options);
    assert_eq!(copies(&needles), Vec::<String>::new(), "after a success");

    handles.push(run("JSON", c"json@example.com", &password, 0, ptr::null()).options);
    handles.push(run("refusal", c"ada@example.com", &wrong, 1403, ptr::null()).options);
    handles.push(run("retries", c"down@example.com", &password, 1503, ptr::null()).options);
    handles.push(run("timeout", c"slow@example.com", &password, 3005, ptr::null()).options);
    handles.push(run("an HTML page", c"portal@example.com", &password, 4001, ptr::null()).options);
    let cancel = cd_cancel_new();
    unsafe extern "C" fn stop(_: *mut std::ffi::c_void) -> i32 {
        1
    }
    unsafe { couchdrop::ffi::cancel::cd_cancel_set_check(cancel, Some(stop), ptr::null_mut()) };
    handles.push(run("cancel", c"slow@example.com", &password, 5001, cancel).options);
    unsafe {
        cd_cancel_trigger(cancel);
        cd_cancel_free(cancel);
    }
    // Tokens that were not read above: freed unread.
    let after = copies(&needles);
    assert_eq!(after, Vec::<String>::new(), "after refusals, retries, a timeout and a cancel");
    for options in handles {
        unsafe { cd_options_free(options) };
    }
    assert_eq!(copies(&needles), Vec::<String>::new(), "after all handles were freed");
}

#[test]
fn login_leaves_no_encoded_copy_of_the_password() {
    let _alone = alone();
    let server = Server::start();
    let (_, password) = passwords();
    let needles = encodings(&password);
    let options = options(&server, 20_000);
    let (code, token) = login(options, ptr::null(), c"жук@example.com", &password);
    assert_eq!(code, 0);
    unsafe { cd_token_free(token) };
    assert_eq!(copies(&needles), Vec::<String>::new());
    unsafe { cd_options_free(options) };
}

/// A token, and a password that no account has, masked: each byte is one higher. Both are longer than 32 bytes, as real
/// tokens are: an unoptimised build spills registers of that size to the stack.
const FAULTY_TOKEN: &[u8] = b"gbvmuz.uplfo.123456789.pg.b.tfswfs.uibu.gbjmt";
const FAULTY_PASSWORD: &[u8] = b"xsboh#boe!fwfo!npsf!#xspoh!boe!mpoh!fopvhi\xc4\xaa";

fn one_lower(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte.wrapping_sub(1)).collect()
}

/// The faults of the faulty server's responses, or none, and the code of a login with each.
const FAULTS: [(&str, i32); 14] = [
    ("good", 0),
    ("a large chunked response", 0),
    ("a byte at a time", 0),
    ("lenient chunks", 0),
    ("without a length", 0),
    ("truncated", 3006),
    ("half a body", 3005),
    ("half a chunk", 3005),
    ("two tokens", 4001),
    ("too large", 4002),
    ("too large chunked response", 4002),
    ("a refusal that contains the password", 1403),
    ("a refusal that contains the password in two encodings", 1403),
    ("another status, with a token", 1400),
];

fn script(fault: &str) -> Vec<Step> {
    let token = String::from_utf8(one_lower(FAULTY_TOKEN)).unwrap();
    let password = String::from_utf8(one_lower(FAULTY_PASSWORD)).unwrap();
    let body = format!(r#"{{"token":"{token}"}}"#);
    let (first, rest) = body.split_at(body.len() - 6);
    let (refused, large) = (format!(r#"{{"err":"{password} is wrong"}}"#), body.repeat(3000));
    let head = |status: &str, fields: &str| format!("HTTP/1.1 {status}\r\n{fields}\r\n");
    let sized = |body: &str| head("200 OK", &format!("Content-Length: {}\r\n", body.len()));
    let chunk = |size: usize| head("200 OK", "Transfer-Encoding: chunked\r\n") + &format!("{size:x}");
    match fault {
        "good" => whole(sized(&body) + &body),
        // Some of these exceed the block of the earlier ones, and some do not.
        "a large chunked response" => {
            let body = format!("{body}{}", " ".repeat(30 << 10));
            let chunks = body
                .as_bytes()
                .chunks(500)
                .map(|chunk| send([format!("{:x}\r\n", chunk.len()).as_bytes(), chunk, b"\r\n"].concat()));
            let head = send(head("200 OK", "Transfer-Encoding: chunked\r\n"));
            [Step::Request, head].into_iter().chain(chunks).chain([send("0\r\n\r\n")]).collect()
        }
        "a byte at a time" => vec![Step::Request, send(sized(&body)), Step::Drip(body.into_bytes())],
        "lenient chunks" => whole(format!(
            "{};a=b\r\n{first}\r\n{:x}\r\n{rest}\r\n0\r\nA: {token}\r\n\r\n",
            chunk(first.len()),
            rest.len()
        )),
        "without a length" => then_closing(whole(head("200 OK", "") + &body)),
        "truncated" => vec![Step::Request, send(sized(&body) + first), Step::Reset],
        "half a body" => whole(sized(&body) + first),
        "half a chunk" => whole(format!("{}\r\n{first}", chunk(body.len()))),
        "two tokens" => whole(sized(&body.repeat(2)) + &body.repeat(2)),
        "too large" => whole(sized(&large) + &large),
        "too large chunked response" => whole(format!("{}\r\n{large}", chunk(large.len()))),
        "a refusal that contains the password" => {
            whole(head("403 X", &format!("Content-Length: {}\r\n", refused.len())) + &refused)
        }
        "a refusal that contains the password in two encodings" => {
            let encoded: String = password.bytes().map(|byte| format!("&#37;{byte:02x}")).collect();
            whole(head("403 X", &format!("Content-Length: {}\r\n", encoded.len())) + &encoded)
        }
        "another status, with a token" => {
            whole(head("201 X", &format!("Content-Length: {}\r\n", body.len())) + &body)
        }
        other => panic!("no script for {other}"),
    }
}

/// The server of the test below, in its own process, so that its data is not in the memory that is searched.
#[test]
#[ignore = "a server that the tests below start by name"]
fn faulty_server() {
    if std::env::var_os("SECRETS_SERVER").is_none() {
        return;
    }
    // Each one twice: for a form and for JSON.
    let scripts = FAULTS.iter().flat_map(|(fault, _)| [script(fault), script(fault)]).collect();
    let server = FaultServer::tls(good_server(), scripts);
    println!("\nhttps {}\nca {}", server.https_url(), ca_file());
    let _ = std::io::stdin().read(&mut [0]);
}

#[test]
fn faulty_response_leaves_no_copy_of_secrets() {
    let _alone = alone();
    let server = Server::faulty();
    let (token, password) =
        (Disguised::of(&one_lower(FAULTY_TOKEN)), Disguised::of(&one_lower(FAULTY_PASSWORD)));
    let mut needles = encodings(&password);
    needles.push(("the token", token));
    // The search for it in a server message.
    let mut searched = password.reveal();
    searched.retain(|byte| *byte != b' ');
    needles.push(("the password without spaces", Disguised::of(&searched)));
    unsafe { cd_secure_zero(searched.as_mut_ptr().cast(), searched.len()) };
    for (fault, expected) in FAULTS {
        for format in [CD_BODY_FORM, CD_BODY_JSON] {
            let options = options(&server, if expected == 3005 { 300 } else { 20_000 });
            unsafe {
                assert_eq!(cd_options_set_body_format(options, format, ptr::null_mut()) as i32, 0);
            }
            let (code, token) = login(options, ptr::null(), c"ada@example.com", &password);
            assert_eq!((code, token.is_null()), (expected, expected != 0), "{fault}");
            let held = copies(&needles);
            assert_eq!(held.len(), usize::from(expected == 0), "{fault}, with what the caller has: {held:?}");
            unsafe { cd_token_free(token) };
            assert_eq!(copies(&needles), Vec::<String>::new(), "{fault}");
            unsafe { cd_options_free(options) };
            assert_eq!(copies(&needles), Vec::<String>::new(), "{fault}, with all freed");
        }
    }
}

/// `ada%40example.com&password=`, masked: the part of a body before the password.
fn form_start() -> Vec<u8> {
    let mut text: Vec<u8> = b"beb&51fybnqmf/dpn'qbttxpse>".to_vec();
    text.iter_mut().for_each(|byte| *byte = byte.wrapping_sub(1) ^ MASK);
    text
}
