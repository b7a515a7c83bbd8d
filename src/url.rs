//! Base and proxy URLs, checked as written, before any parser normalises them.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::{ErrorKind, Reason};
use crate::secret::Secret;

/// The host of a connection, as in the URL.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Host {
    /// In lower case.
    Name(String),
    Address(IpAddr),
}

impl Host {
    /// True for 127.0.0.0/8, ::1 and the name `localhost`, whose traffic never leaves this machine.
    pub fn is_loopback(&self) -> bool {
        match self {
            Host::Name(name) => name == "localhost",
            Host::Address(address) => address.is_loopback(),
        }
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Host::Name(name) => f.write_str(name),
            Host::Address(IpAddr::V4(address)) => write!(f, "{address}"),
            Host::Address(IpAddr::V6(address)) => write!(f, "[{address}]"),
        }
    }
}

/// The URL of the service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    pub https: bool,
    pub host: Host,
    pub port: u16,
    /// The path before `/authenticate`, without a slash at its end.
    pub prefix: String,
}

impl BaseUrl {
    /// Parses a base URL, or returns an error with the reason.
    pub fn parse(text: &str) -> Result<BaseUrl, ErrorKind> {
        let url = Parts::split("The base URL", text)?;
        let https = match url.scheme.map(str::to_ascii_lowercase).as_deref() {
            Some("https") => true,
            Some("http") => false,
            Some(_) => return Err(url.wrong("must start with https://")),
            None => return Err(url.wrong("has no scheme: start it with https://")),
        };
        if url.user_info.is_some() {
            return Err(
                url.wrong("must not contain user info (the part before @): pass user name and password")
            );
        }
        let (host, port) = (url.host()?, url.port()?);
        let prefix = url.path.trim_end_matches('/').to_owned();
        if !https && !host.is_loopback() {
            return Err(ErrorKind::InsecureUrl(
                format!("Plain http would send the password in the clear to {host}: use https").into(),
            ));
        }
        Ok(BaseUrl { https, host, port: port.unwrap_or(if https { 443 } else { 80 }), prefix })
    }

    /// The value of the Host header: the host, and the port if it is not the scheme's default.
    pub fn authority(&self) -> String {
        if self.port == if self.https { 443 } else { 80 } {
            self.host.to_string()
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProxyKind {
    /// HTTP CONNECT.
    Http,
    /// SOCKS5; the library resolves the name.
    Socks5,
    /// SOCKS5; the proxy resolves the name.
    Socks5h,
}

/// A proxy and its credentials. It is printed without the credentials.
#[derive(Clone)]
pub struct ProxyUrl {
    pub kind: ProxyKind,
    pub host: Host,
    pub port: u16,
    /// User name and password, percent-decoded.
    pub credentials: Option<(Secret, Secret)>,
}

impl ProxyUrl {
    /// Parses a proxy URL; `what` names it in a failure.
    pub fn parse(what: &'static str, text: &str) -> Result<ProxyUrl, ErrorKind> {
        let url = Parts::split(what, text)?;
        let kind = match url.scheme.map(str::to_ascii_lowercase).as_deref() {
            None | Some("http") => ProxyKind::Http,
            Some("socks5") => ProxyKind::Socks5,
            Some("socks5h") => ProxyKind::Socks5h,
            Some(_) => return Err(url.wrong("must be an http, socks5 or socks5h URL")),
        };
        if !url.path.trim_end_matches('/').is_empty() {
            return Err(url.wrong("must not have a path"));
        }
        let credentials = match url.user_info {
            None => None,
            Some(info) => {
                let (user, password) = info.split_once(':').unwrap_or((info, ""));
                let decode = |part| percent_decode(part).ok_or_else(|| url.wrong("has broken %-escapes"));
                Some((decode(user)?, decode(password)?))
            }
        };
        let too_long = |(user, password): &(Secret, Secret)| user.len() > 255 || password.len() > 255;
        if kind != ProxyKind::Http && credentials.as_ref().is_some_and(too_long) {
            return Err(url.wrong("has credentials of more than 255 bytes, which SOCKS5 can't carry"));
        }
        let default_port = 1080; // also for http, as in curl
        Ok(ProxyUrl { kind, host: url.host()?, port: url.port()?.unwrap_or(default_port), credentials })
    }
}

impl fmt::Display for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = match self.kind {
            ProxyKind::Http => "http",
            ProxyKind::Socks5 => "socks5",
            ProxyKind::Socks5h => "socks5h",
        };
        write!(f, "{scheme}://{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for ProxyUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The parts of a URL, each as written.
struct Parts<'a> {
    what: &'static str,
    scheme: Option<&'a str>,
    user_info: Option<&'a str>,
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
}

impl<'a> Parts<'a> {
    fn split(what: &'static str, text: &'a str) -> Result<Parts<'a>, ErrorKind> {
        let wrong = |why: &'static str| Err(invalid(what, why));
        if let Some(bad) = text.chars().find(|letter| letter.is_control() || letter.is_whitespace()) {
            return Err(invalid(
                what,
                format!("must not contain white space or control characters (U+{:04X})", bad as u32),
            ));
        }
        let (scheme, rest) = match text.split_once("://") {
            Some((scheme, rest)) => (Some(scheme), rest),
            None => (None, text),
        };
        let end = rest.find(['/', '?', '#', '\\']).unwrap_or(rest.len());
        let (authority, tail) = rest.split_at(end);
        // Splits at the last @: a password may contain one, and no part of it may become the host.
        let (user_info, host_port) = match authority.rsplit_once('@') {
            Some((info, host_port)) => (Some(info), host_port),
            None => (None, authority),
        };
        if tail.contains('?') {
            return wrong("must not have a query (the part after ?)");
        }
        if tail.contains('#') {
            return wrong("must not have a fragment (the part after #)");
        }
        if !path_is_plain(tail) {
            return wrong("has a path with characters that must be written as %-escapes");
        }
        let (host, port) = if host_port.starts_with('[') {
            match host_port.find(']') {
                None => return wrong("has a [ without its ] in the host"),
                Some(close) => {
                    let (host, after) = host_port.split_at(close + 1);
                    match after.strip_prefix(':') {
                        Some(port) => (host, Some(port)),
                        None if after.is_empty() => (host, None),
                        None => return wrong("has characters between the ] of its host and the port"),
                    }
                }
            }
        } else {
            match host_port.split_once(':') {
                Some((host, port)) => (host, Some(port)),
                None => (host_port, None),
            }
        };
        Ok(Parts { what, scheme, user_info, host, port, path: tail })
    }

    fn wrong(&self, why: impl Into<Reason>) -> ErrorKind {
        invalid(self.what, why)
    }

    fn port(&self) -> Result<Option<u16>, ErrorKind> {
        let Some(port) = self.port else { return Ok(None) };
        let digits = !port.is_empty() && port.bytes().all(|byte| byte.is_ascii_digit());
        match port.parse() {
            Ok(number) if digits && number > 0 => Ok(Some(number)),
            _ => Err(self.wrong("must have a port from 1 to 65535, or none")),
        }
    }

    fn host(&self) -> Result<Host, ErrorKind> {
        let host = self.host;
        if host.is_empty() {
            return Err(self.wrong("has no host"));
        }
        if !host.is_ascii() {
            return Err(self.wrong("has a host that is not ASCII: write its xn-- form"));
        }
        if host.contains('%') {
            return Err(self.wrong("must not have a zone id or %-escapes in its host"));
        }
        if let Some(inner) = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')) {
            return match inner.parse::<Ipv6Addr>() {
                Ok(address) => Ok(Host::Address(address.into())),
                Err(_) => Err(self.wrong("has no IPv6 address between [ and ]")),
            };
        }
        // A host whose last label is a number is an IPv4 address (as in the WHATWG URL standard). Short and octal
        // forms, which resolvers accept, are probably mistakes.
        let last = host.rsplit('.').next().unwrap_or(host);
        let hexadecimal = last.len() > 1 && (last.starts_with("0x") || last.starts_with("0X"));
        if hexadecimal || last.bytes().all(|byte| byte.is_ascii_digit()) && !last.is_empty() {
            return match host.parse::<Ipv4Addr>() {
                Ok(address) => Ok(Host::Address(address.into())),
                Err(_) => Err(self.wrong("has a host that ends in a number but is not an IPv4 address")),
            };
        }
        if host.ends_with('.') {
            return Err(self.wrong("has a host that ends in a dot: remove the dot"));
        }
        let label_is_good = |label: &str| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
        };
        if host.len() > 253 || !host.split('.').all(label_is_good) {
            return Err(self.wrong("has a host with characters other than letters, digits, - and _"));
        }
        Ok(Host::Name(host.to_ascii_lowercase()))
    }
}

fn invalid(what: &'static str, why: impl Into<Reason>) -> ErrorKind {
    ErrorKind::InvalidUrl { what, why: why.into() }
}

/// True if a path has only characters that RFC 3986 allows.
fn path_is_plain(path: &str) -> bool {
    let mut rest = path.bytes();
    while let Some(byte) = rest.next() {
        let good = match byte {
            b'%' => {
                matches!((rest.next(), rest.next()), (Some(a), Some(b)) if a.is_ascii_hexdigit() && b.is_ascii_hexdigit())
            }
            _ => byte.is_ascii_alphanumeric() || b"/-._~!$&'()*+,;=:@".contains(&byte),
        };
        if !good {
            return false;
        }
    }
    true
}

fn percent_decode(text: &str) -> Option<Secret> {
    let mut decoded = Secret::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        decoded.push(match byte {
            b'%' => {
                let (high, low) = (rest.next()?, rest.next()?);
                let digit = |byte: u8| (byte as char).to_digit(16);
                (digit(high)? * 16 + digit(low)?) as u8
            }
            _ => byte,
        });
    }
    Some(decoded)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::cd_code::{self, *};

    fn code(url: &str) -> cd_code {
        match BaseUrl::parse(url) {
            Ok(_) => CD_OK,
            Err(kind) => kind.code(),
        }
    }

    #[test]
    fn base_url_is_kept_as_written_or_refused() {
        let url = BaseUrl::parse("HTTPS://API.Couchdrop.io:8443/v1/").unwrap();
        assert_eq!((url.https, url.port, url.prefix.as_str()), (true, 8443, "/v1"));
        assert_eq!(url.authority(), "api.couchdrop.io:8443");
        assert_eq!(BaseUrl::parse("https://[::1]:443").unwrap().authority(), "[::1]");
        for good in [
            "http://127.0.0.1",
            "http://127.9.9.9:1",
            "http://[::1]:65535/",
            "http://LocalHost:80",
            "https://a_b.c-d",
        ] {
            assert_eq!(code(good), CD_OK, "{good}");
        }
        for insecure in
            ["http://api.couchdrop.io", "http://localhost.example.com", "http://126.0.0.1", "http://[::2]"]
        {
            assert_eq!(code(insecure), CD_ERR_INSECURE_URL, "{insecure}");
        }
        for bad in [
            "api.couchdrop.io",
            "ftp://x",
            "https:/x",
            "https://",
            "https://:443",
            "https://x:",
            "https://x:0",
            "https://x:65536",
            "https://x:99999",
            "https://x:+443",
            "https://x:4 43",
            "https://x:0x50",
            "https://u:p@x",
            "https://u@x",
            "https://x?q",
            "https://x/#f",
            "https://x#f",
            "https://[zz]",
            "https://[::1",
            "https://[::1]x",
            "https://[fe80::1%25eth0]",
            "https://[fe80::1%eth0]",
            "https://bücher.example",
            "https://x y",
            "https://x\n",
            "https://x/\u{0}",
            "https://127.1",
            "https://0x7f.1",
            "https://2130706433",
            "https://127.0.0.01",
            "https://1.2.3.4.5",
            "https://x.",
            "https://a..b",
            "https://x\\@y",
            "https://x/a b",
            "https://x/%zz",
            "https://x/ü",
            "https://x/\"",
            " https://x",
            "https://x:443:443",
            "https://x/%2",
            "https://-%41",
        ] {
            assert_eq!(code(bad), CD_ERR_INVALID_URL, "{bad}");
        }
    }

    #[test]
    fn message_never_quotes_user_info() {
        for url in [
            "https://user:hunter2@x",
            "http://user:hunter2@x",
            "https://user:hunter2@x:bad",
            "https://user:hun@ter2@x/?",
        ] {
            let message = BaseUrl::parse(url).unwrap_err().to_string();
            assert!(
                !message.contains("hunter2") && !message.contains("ter2") && !message.contains("user:"),
                "{message}"
            );
        }
        let proxy = ProxyUrl::parse("The proxy URL", "http://user:hunter2@proxy:3128").unwrap();
        assert_eq!(format!("{proxy} {proxy:?}"), "http://proxy:3128 http://proxy:3128");
    }

    #[test]
    fn proxy_url_is_http_or_socks5() {
        let proxy = |url| ProxyUrl::parse("The proxy URL", url);
        assert_eq!(proxy("proxy.example:3128").unwrap().kind, ProxyKind::Http);
        assert_eq!(proxy("socks5h://[::1]").unwrap().port, 1080);
        let credentials = proxy("socks5://a%40b:p%3Aw@h:1/").unwrap().credentials.unwrap();
        assert_eq!((&credentials.0[..], &credentials.1[..]), (&b"a@b"[..], &b"p:w"[..]));
        for bad in [
            "https://p",
            "socks4://p",
            "socks5://p/x",
            "http://",
            "http://p:0",
            "http://a%zz@p",
            "socks://p",
            "http://p?x",
            "",
        ] {
            assert_eq!(proxy(bad).unwrap_err().code(), CD_ERR_INVALID_URL, "{bad}");
        }
    }
}
