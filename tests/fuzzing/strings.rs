//! For any bytes that a C caller passes as strings, each function accepts them or returns the documented error. The
//! request then contains exactly these strings.

use std::ffi::{CStr, c_char};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::ptr;
use std::sync::{Arc, LazyLock, Mutex};
use std::thread;
use std::time::Duration;

use couchdrop::error::cd_code::{self, *};
use couchdrop::ffi::auth::cd_authenticate_with;
use couchdrop::ffi::cancel::{cd_cancel_free, cd_cancel_new, cd_cancel_trigger};
use couchdrop::ffi::code::{cd_code_message, cd_code_name};
use couchdrop::ffi::error::*;
use couchdrop::ffi::options::*;
use couchdrop::ffi::token::{cd_token_free, cd_token_len, cd_token_str};
use couchdrop::url::{BaseUrl, ProxyUrl};
use serde_json::Value;
use socket2::SockRef;

/// The strings as C passes them, or NULL, in the order of an input.
struct Strings {
    username: Text,
    password: Text,
    system: Text,
    user_agent: Text,
    prefix: Text,
    base_url: Text,
    proxy: Text,
    ca_file: Text,
}

/// Bytes up to their NUL, in a block that ends with it; None for NULL.
struct Text(Option<Box<[u8]>>);

const MAX_STRING_BYTES: usize = 64 << 10;

/// Input: a byte for the body's format, one whose bits make strings NULL, and one that chooses a string to lengthen.
/// Then follow the strings, each except the last ended by a NUL.
pub fn holds(input: &[u8]) {
    let Some(([format, nulls, long], strings)) = input.split_first_chunk() else { return };
    let mut strings = strings.split(|byte| *byte == 0);
    let mut index = 0;
    let mut next = || {
        let mut text = strings.next().unwrap_or_default().to_vec();
        if *long < 32 && *long & 15 == index {
            text.resize(MAX_STRING_BYTES + usize::from(long & 16 != 0), b'a');
        }
        text.push(0);
        let null = (nulls >> index) & 1 == 1;
        index += 1;
        Text((!null).then(|| text.into_boxed_slice()))
    };
    let strings = Strings {
        username: next(),
        password: next(),
        system: next(),
        user_agent: next(),
        prefix: next(),
        base_url: next(),
        proxy: next(),
        ca_file: next(),
    };
    check_setters(&strings);
    check_login(&strings, i32::from(*format % 3));
}

impl Text {
    fn pointer(&self) -> *const c_char {
        self.0.as_ref().map_or(ptr::null(), |text| text.as_ptr().cast())
    }

    fn bytes(&self) -> &[u8] {
        self.0.as_ref().map_or(&[], |text| &text[..text.len() - 1])
    }

    /// The code for which any required string is refused.
    fn refusal(&self) -> Option<cd_code> {
        match &self.0 {
            None => Some(CD_ERR_NULL_ARGUMENT),
            Some(text) if text.len() - 1 > MAX_STRING_BYTES => Some(CD_ERR_OUT_OF_RANGE),
            Some(_) if std::str::from_utf8(self.bytes()).is_err() => Some(CD_ERR_INVALID_UTF8),
            Some(_) if self.bytes().is_empty() => Some(CD_ERR_EMPTY_ARGUMENT),
            Some(_) => None,
        }
    }

    /// The same for an optional string.
    fn refusal_of_optional(&self) -> Option<cd_code> {
        self.refusal().filter(|code| !matches!(code, CD_ERR_NULL_ARGUMENT | CD_ERR_EMPTY_ARGUMENT))
    }

    fn text(&self) -> &str {
        std::str::from_utf8(self.bytes()).expect("it was checked before")
    }
}

fn check_setters(strings: &Strings) {
    let options = cd_options_new();
    let set =
        |setter: unsafe extern "C" fn(*mut cd_options, *const c_char, *mut *mut cd_error) -> cd_code,
         text: &Text| {
            // SAFETY: both are live, and the string ends in a NUL.
            call(|error| unsafe { setter(options, text.pointer(), error) })
        };
    let (base_url, proxy) = (&strings.base_url, &strings.proxy);
    let base = base_url.refusal().map_or_else(|| BaseUrl::parse(base_url.text()).map_err(|f| f.code()), Err);
    let plain = base.as_ref().is_ok_and(|base| !base.https);
    assert_eq!(set(cd_options_set_base_url, base_url), base.map_or_else(|code| code, |_| CD_OK));

    let expected = match proxy.refusal() {
        Some(CD_ERR_NULL_ARGUMENT) => CD_OK,
        Some(code) => code,
        None => match ProxyUrl::parse("It", proxy.text()) {
            Err(kind) => kind.code(),
            Ok(_) if plain => CD_ERR_INSECURE_URL,
            Ok(_) => CD_OK,
        },
    };
    assert_eq!(set(cd_options_set_proxy, proxy), expected);

    let code = set(cd_options_set_ca_file, &strings.ca_file);
    // The result also depends on the files of this machine.
    assert!(strings.ca_file.refusal().map_or(matches!(code, CD_OK | CD_ERR_CA_FILE), |why| why == code));
    assert_eq!(set(cd_options_set_user_agent, &strings.user_agent), user_agent(strings));

    // Cancelled beforehand: the call freezes the options, and nothing is sent.
    let cancel = cd_cancel_new();
    let mut token = ptr::null_mut();
    // SAFETY: all are live, and freed once.
    unsafe {
        cd_cancel_trigger(cancel);
        let (username, password) = (c"u".as_ptr(), c"p".as_ptr());
        let code = call(|error| {
            cd_authenticate_with(options, cancel, 0, username, password, ptr::null(), &mut token, error)
        });
        assert_eq!(code, CD_ERR_CANCELLED);
        assert!(token.is_null());
        cd_cancel_free(cancel);
    }
    assert_eq!(set(cd_options_set_user_agent, &strings.user_agent), CD_ERR_OPTIONS_IN_USE);
    // SAFETY: freed once.
    unsafe { cd_options_free(options) };
}

fn user_agent(strings: &Strings) -> cd_code {
    let text = &strings.user_agent;
    let bad = || text.text().chars().any(char::is_control);
    text.refusal().unwrap_or_else(|| if bad() { CD_ERR_OUT_OF_RANGE } else { CD_OK })
}

fn check_login(strings: &Strings, format: i32) {
    let options = cd_options_new();
    let prefix = strings.prefix.refusal_of_optional().map_or_else(|| strings.prefix.text(), |_| "");
    let mut url = format!("{}/{prefix}", SERVER.url);
    if url.len() > MAX_STRING_BYTES || BaseUrl::parse(&url).is_err() {
        url.clone_from(&SERVER.url);
    }
    let prefix = url[SERVER.url.len()..].to_owned();
    let url = Text(Some([url.as_bytes(), b"\0"].concat().into_boxed_slice()));
    let mut token = ptr::null_mut();
    // SAFETY: all are live, and each string ends in a NUL.
    let (code, user_agent) = unsafe {
        assert_eq!(call(|error| cd_options_set_base_url(options, url.pointer(), error)), CD_OK);
        assert_eq!(call(|error| cd_options_set_body_format(options, format, error)), CD_OK);
        let agent = call(|error| cd_options_set_user_agent(options, strings.user_agent.pointer(), error));
        let code = call(|error| {
            cd_authenticate_with(
                options,
                ptr::null(),
                0,
                strings.username.pointer(),
                strings.password.pointer(),
                strings.system.pointer(),
                &mut token,
                error,
            )
        });
        (code, agent == CD_OK)
    };
    let refused = strings
        .username
        .refusal()
        .or_else(|| strings.password.refusal())
        .or_else(|| strings.system.refusal_of_optional());
    assert_eq!(code, refused.unwrap_or(CD_OK));
    assert_eq!(token.is_null(), refused.is_some());
    let seen = SERVER.seen.lock().expect("the server runs").drain(..).collect::<Vec<_>>();
    assert_eq!(seen.len(), usize::from(refused.is_none()));
    if let [(head, body)] = &seen[..] {
        let product = if user_agent { format!("{} ", strings.user_agent.text()) } else { String::new() };
        check_head(head, &prefix, &product, body.len());
        check_body(body, strings, format == CD_BODY_JSON);
        // SAFETY: it is not NULL, and not freed yet.
        unsafe {
            assert_eq!(CStr::from_ptr(cd_token_str(token)).to_bytes(), TOKEN.as_bytes());
            assert_eq!(cd_token_len(token), TOKEN.len());
        }
    }
    // SAFETY: freed once.
    unsafe {
        cd_token_free(token);
        cd_options_free(options);
    }
}

/// The head equals the intended one byte for byte: the strings add no line to it.
fn check_head(head: &[u8], prefix: &str, product: &str, length: usize) {
    let head = std::str::from_utf8(head).expect("the argument is UTF-8");
    let (prefix, host) = (prefix.trim_end_matches('/'), &SERVER.url["http://".len()..]);
    let lines: Vec<&str> = head.split("\r\n").collect();
    let [request, to, agent, accept, kind, long, "", ""] = lines[..] else { panic!("{head}") };
    assert_eq!(request, format!("POST {prefix}/authenticate HTTP/1.1"));
    assert_eq!(to, format!("Host: {host}"));
    assert!(agent.starts_with(&format!("User-Agent: {product}libcouchdrop/")), "{agent}");
    assert_eq!(accept, "Accept: application/json");
    assert!(kind.starts_with("Content-Type: application/"), "{kind}");
    assert_eq!(long, format!("Content-Length: {length}"));
}

fn check_body(body: &[u8], strings: &Strings, json: bool) {
    let mut expected = vec![("username", strings.username.text()), ("password", strings.password.text())];
    if !strings.system.bytes().is_empty() {
        expected.push(("system", strings.system.text()));
    }
    if json {
        let Value::Object(members) = serde_json::from_slice(body).expect("JSON") else { panic!("no object") };
        assert_eq!(members.len(), expected.len());
        for (name, value) in expected {
            assert_eq!(members.get(name).and_then(Value::as_str), Some(value));
        }
    } else {
        assert!(body.is_ascii());
        let fields: Vec<_> = form_urlencoded::parse(body).collect();
        let fields: Vec<_> = fields.iter().map(|(name, value)| (&**name, &**value)).collect();
        assert_eq!(fields, expected);
    }
}

/// Makes a call, and checks the promises about its error. Returns the call's code.
fn call(function: impl FnOnce(*mut *mut cd_error) -> cd_code) -> cd_code {
    let mut error = ptr::dangling_mut();
    let code = function(&mut error);
    assert_eq!(error.is_null(), code == CD_OK);
    // SAFETY: NULL or not freed yet.
    unsafe {
        assert_eq!(cd_error_code(error), code);
        let message = CStr::from_ptr(cd_error_message(error)).to_str().expect("messages are UTF-8");
        if !error.is_null() {
            assert!(message.len() > 10 && message.ends_with('.'), "{message}");
            assert!(!message.chars().any(char::is_control), "{message:?}");
        }
        assert!(cd_error_server_message(error).is_null());
        assert_eq!((cd_error_http_status(error), cd_error_attempts(error)), (0, 0));
        assert_eq!(cd_error_retry_after_seconds(error), -1);
        assert!(!cd_code_name(code as i32).is_null() && !cd_code_message(code as i32).is_null());
        cd_error_free(error);
    }
    code
}

// ---- a server that accepts every login

const TOKEN: &str = "0e2b6f14-5ad2-4c9e-b1f8-7a3c2d9e4f60";

struct Server {
    url: String,
    seen: Arc<Mutex<Vec<Request>>>,
}

/// Head and body.
type Request = (Vec<u8>, Vec<u8>);

/// It has its own thread, because these calls use the system's clock.
static SERVER: LazyLock<Server> = LazyLock::new(|| {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port of loopback");
    let url = format!("http://{}", listener.local_addr().expect("it is bound"));
    let seen = Arc::default();
    let server = Server { url, seen: Arc::clone(&seen) };
    thread::spawn(move || {
        for stream in listener.incoming() {
            serve(stream.expect("a connection"), &seen);
        }
    });
    server
});

fn serve(mut stream: TcpStream, seen: &Mutex<Vec<Request>>) {
    let mut input = Vec::new();
    let mut part = vec![0; 256 << 10];
    loop {
        if let Some(request) = whole(&input) {
            input.clear();
            seen.lock().expect("not poisoned").push(request);
            let body = format!("{{\"token\":\"{TOKEN}\"}}");
            let response = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
            let _ = stream.write_all(response.as_bytes());
        }
        match stream.read(&mut part) {
            Ok(count) if count > 0 => input.extend(&part[..count]),
            _ => break,
        }
    }
    // The client's sockets do not linger.
    let _ = SockRef::from(&stream).set_linger(Some(Duration::ZERO));
}

fn whole(input: &[u8]) -> Option<Request> {
    let end = input.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let (head, body) = input.split_at(end);
    let text = String::from_utf8_lossy(head);
    let length = text.rsplit("Content-Length: ").next()?.trim_end().parse::<usize>().ok()?;
    (body.len() == length).then(|| (head.to_vec(), body.to_vec()))
}
