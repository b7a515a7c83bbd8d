//! Every parser reads an accepted URL in the same way. A refused URL gives an error message without its user info. The
//! proxy variables lead to the same proxy as with curl.

use std::ffi::{CString, OsStr, c_char};
use std::net::{IpAddr, Ipv6Addr};
use std::os::unix::ffi::OsStrExt;
use std::ptr;

use couchdrop::config::{Config, Proxy};
use couchdrop::error::ErrorKind;
use couchdrop::http::proxy;
use couchdrop::url::{BaseUrl, Host, ProxyUrl};
use ureq::http::Uri;

/// In the order of an input, and in the order of precedence.
const PROXIES: [&str; 4] = ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"];
const EXCEPTIONS: [&str; 2] = ["no_proxy", "NO_PROXY"];

/// Input: a base URL and the values of the variables, each on its own line.
pub fn holds(input: &[u8]) {
    let mut lines = input.splitn(1 + PROXIES.len() + EXCEPTIONS.len(), |byte| *byte == b'\n');
    let base = std::str::from_utf8(lines.next().unwrap_or_default()).ok().and_then(check_base);
    let values: Vec<&[u8]> = lines.collect();
    for value in values.iter().filter_map(|value| std::str::from_utf8(value).ok()) {
        check_proxy(value);
    }
    if let Some(base) = base {
        check_choice(base, &values);
    }
}

/// True if `written` is this host: an IPv6 address has several text forms.
fn is_same_host(written: &str, host: &Host) -> bool {
    let address =
        written.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).map(str::parse::<Ipv6Addr>);
    match (address, host) {
        (Some(Ok(address)), Host::Address(IpAddr::V6(host))) => address == *host,
        _ => written.eq_ignore_ascii_case(&host.to_string()),
    }
}

fn check_base(text: &str) -> Option<BaseUrl> {
    check_silence(text, |text| BaseUrl::parse(text).err());
    let base = match BaseUrl::parse(text) {
        Ok(base) => base,
        Err(kind) => {
            assert!(matches!(kind, ErrorKind::InvalidUrl { .. } | ErrorKind::InsecureUrl(_)), "{kind:?}");
            return None;
        }
    };
    assert!(base.https || base.host.is_loopback());
    let scheme = if base.https { "https" } else { "http" };
    let printed = format!("{scheme}://{}{}", base.authority(), base.prefix);
    assert_eq!(BaseUrl::parse(&printed).expect("it was accepted before"), base);
    for text in [text, &printed] {
        let uri: Uri = text.parse().unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(uri.scheme_str(), Some(scheme));
        assert!(uri.host().is_some_and(|host| is_same_host(host, &base.host)), "{text}");
        assert_eq!(uri.port_u16().unwrap_or(if base.https { 443 } else { 80 }), base.port, "{text}");
        assert_eq!(uri.path().trim_end_matches('/'), base.prefix, "{text}");
        assert_eq!(uri.query(), None);
    }
    // The text needs no correction: only digits follow the host, and then the path.
    let (_, rest) = text.split_once("://").expect("a scheme");
    let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
    let host =
        authority.find(']').map_or_else(|| authority.find(':').unwrap_or(authority.len()), |end| end + 1);
    let port = authority[host..].strip_prefix(':');
    assert!(
        port.map_or(host == authority.len(), |port| port.bytes().all(|byte| byte.is_ascii_digit())),
        "{text}"
    );
    assert_eq!(path.trim_end_matches('/'), base.prefix, "{text}");
    Some(base)
}

fn check_proxy(text: &str) {
    check_silence(text, |text| ProxyUrl::parse("The proxy URL", text).err());
    let Ok(proxy) = ProxyUrl::parse("The proxy URL", text) else { return };
    let printed = format!("{proxy}");
    assert_eq!(printed, format!("{proxy:?}"));
    assert!(!printed.contains('@'));
    let again = ProxyUrl::parse("The proxy URL", &printed).expect("it was accepted before");
    assert_eq!((again.kind, &again.host, again.port), (proxy.kind, &proxy.host, proxy.port));
    assert!(again.credentials.is_none());
    let Some((user, password)) = &proxy.credentials else { return };
    // Their encoded form is parsed to the same value.
    let escaped = |part: &[u8]| part.iter().map(|byte| format!("%{byte:02X}")).collect::<String>();
    let (scheme, rest) = printed.split_once("://").expect("a scheme");
    let text = format!("{scheme}://{}:{}@{rest}", escaped(user), escaped(password));
    let again = ProxyUrl::parse("The proxy URL", &text).expect("it was accepted before").credentials;
    let (same_user, same_password) = again.expect("credentials");
    assert_eq!((&same_user[..], &same_password[..]), (&user[..], &password[..]));
}

/// The error for a URL does not depend on its user info, except for errors in the user info itself.
fn check_silence(text: &str, parse: impl Fn(&str) -> Option<ErrorKind>) {
    let from = text.find("://").map_or(0, |at| at + 3);
    let end = text[from..].find(['/', '?', '#', '\\']).map_or(text.len(), |at| from + at);
    let Some(at) = text[from..end].rfind('@') else { return };
    let other = format!("{}xy:zz{}", &text[..from], &text[from + at..]);
    let messages = [text, &other].map(|text| parse(text).map(|kind| kind.to_string()));
    let of_itself = ["(U+", "%-escapes", "255 bytes"];
    match messages {
        [Some(one), Some(other)] if one != other => {
            assert!(of_itself.iter().any(|why| one.contains(why)), "{one} {other}");
        }
        [Some(one), None] => assert!(of_itself.iter().any(|why| one.contains(why)), "{one}"),
        _ => {}
    }
}

fn check_choice(base: BaseUrl, values: &[&[u8]]) {
    let set = |names: &[&'static str], values: &[&[u8]]| -> Vec<(&'static str, Vec<u8>)> {
        let pairs = names.iter().zip(values).filter(|(_, value)| !value.is_empty() && !value.contains(&0));
        pairs.map(|(name, value)| (*name, value.to_vec())).collect()
    };
    let (proxies, exceptions) = values.split_at(values.len().min(PROXIES.len()));
    let (proxies, exceptions) = (set(&PROXIES, proxies), set(&EXCEPTIONS, exceptions));
    let settings = Config { base, proxy: Proxy::FromEnvironment, ..Config::default() };
    let variables: Vec<_> = proxies.iter().chain(&exceptions).cloned().collect();
    let chosen = with_environment(&variables, || proxy::choose(&settings));

    let base = &settings.base;
    let excepted =
        exceptions.first().is_some_and(|(_, value)| excepted(&base.host, &String::from_utf8_lossy(value)));
    let Some((name, value)) = proxies.first() else { return assert!(matches!(chosen, Ok(None))) };
    if !base.https || base.host.is_loopback() || excepted {
        return assert!(matches!(chosen, Ok(None)), "{chosen:?}");
    }
    let expected = std::str::from_utf8(value).ok().and_then(|text| ProxyUrl::parse("It", text).ok());
    match (chosen, expected) {
        (Ok(Some(proxy)), Some(expected)) => assert_eq!(proxy.to_string(), expected.to_string()),
        (Err(ErrorKind::Proxy { why, status: 0, retryable: false, .. }), None) => {
            assert!(why.contains(name), "{why}")
        }
        (chosen, expected) => panic!("{chosen:?}, {expected:?}"),
    }
}

/// True if curl would bypass the proxy.
fn excepted(host: &Host, exceptions: &str) -> bool {
    let bits = |address: &IpAddr| match address {
        IpAddr::V4(address) => format!("{:032b}", u32::from(*address)),
        IpAddr::V6(address) => format!("{:0128b}", u128::from(*address)),
    };
    exceptions == "*"
        || exceptions.split([',', ' ', '\t']).any(|one| match host {
            Host::Name(name) => {
                let one = one.strip_suffix('.').unwrap_or(one);
                let one = one.strip_prefix('.').unwrap_or(one).to_ascii_lowercase();
                !one.is_empty() && format!(".{name}").ends_with(&format!(".{one}"))
            }
            Host::Address(address) => {
                let (network, length) = one.split_once('/').unwrap_or((one, ""));
                let digits: String = length.chars().take_while(char::is_ascii_digit).collect();
                let Ok(network) = network.parse::<IpAddr>() else { return false };
                let (ours, theirs) = (bits(address), bits(&network));
                match digits.parse::<usize>().unwrap_or(0) {
                    _ if ours.len() != theirs.len() => false,
                    0 => ours == theirs,
                    length => length <= ours.len() && ours[..length] == theirs[..length],
                }
            }
        })
}

unsafe extern "C" {
    static mut environ: *const *const c_char;
}

/// Runs `work` with only these variables in the environment. The C library's setenv() would keep each value forever.
fn with_environment<T>(variables: &[(&str, Vec<u8>)], work: impl FnOnce() -> T) -> T {
    let lines: Vec<CString> = variables
        .iter()
        .map(|(name, value)| CString::new([name.as_bytes(), b"=", value].concat()).expect("no NUL"))
        .collect();
    let mut pointers: Vec<*const c_char> = lines.iter().map(|line| line.as_ptr()).collect();
    pointers.push(ptr::null());
    // SAFETY: nothing else runs that looks at the environment, and what it points to outlives `work`, which does not
    // panic.
    unsafe {
        let before = environ;
        environ = pointers.as_ptr();
        for (name, value) in variables {
            assert_eq!(std::env::var_os(name).as_deref(), Some(OsStr::from_bytes(value)));
        }
        let done = work();
        environ = before;
        done
    }
}
