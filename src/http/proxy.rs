//! Selects the proxy by curl's rules, and opens a tunnel through it: HTTP CONNECT (RFC 9110, 9.3.6) or SOCKS5 (RFC
//! 1928, 1929).

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::config::{Config, Proxy};
use crate::context::CallContext;
use crate::environment::{self, Variable};
use crate::error::{ErrorKind, Phase};
use crate::http::connection::{Connection, Received, lost};
use crate::http::response_head::status_of;
use crate::limits::{MAX_FIELDS, MAX_HEAD_BYTES, MAX_INTERIM_RESPONSES};
use crate::retry_after;
use crate::secret::Secret;
use crate::url::{Host, ProxyKind, ProxyUrl};

/// Returns the proxy for this configuration. If none was set, the environment decides, but loopback hosts and plain http
/// never use its proxy.
pub fn choose(config: &Config) -> Result<Option<ProxyUrl>, ErrorKind> {
    match &config.proxy {
        Proxy::None => Ok(None),
        Proxy::Set(proxy) => Ok(Some(proxy.clone())),
        Proxy::FromEnvironment if !config.base.https || config.base.host.is_loopback() => Ok(None),
        Proxy::FromEnvironment => from_environment(config),
    }
}

fn from_environment(config: &Config) -> Result<Option<ProxyUrl>, ErrorKind> {
    let Some(Variable { name, value }) = config.environment.first(environment::PROXY) else {
        return Ok(None);
    };
    let exceptions = config.environment.first(environment::NO_PROXY);
    let host = &config.base.host;
    if exceptions.is_some_and(|exceptions| is_excepted(host, &exceptions.value.to_string_lossy())) {
        return Ok(None);
    }
    let unusable = |why: String| ErrorKind::Proxy {
        why: format!("The environment variable {name} can't be used: {why}").into(),
        status: 0,
        retry_after: None,
        retryable: false,
    };
    let value = value.to_str().ok_or_else(|| unusable("it is not valid UTF-8".to_owned()))?;
    match ProxyUrl::parse("its value", value) {
        Ok(proxy) => Ok(Some(proxy)),
        Err(ErrorKind::InvalidUrl { what, why }) => Err(unusable(format!("{what} {why}"))),
        Err(other) => Err(other),
    }
}

/// True if `NO_PROXY` matches the host, by curl's rules.
fn is_excepted(host: &Host, exceptions: &str) -> bool {
    if exceptions == "*" {
        return true;
    }
    exceptions.split([',', ' ', '\t']).filter(|pattern| !pattern.is_empty()).any(|pattern| match host {
        Host::Name(name) => {
            let pattern = pattern.strip_suffix('.').unwrap_or(pattern);
            let pattern = pattern.strip_prefix('.').unwrap_or(pattern).to_ascii_lowercase();
            match name.strip_suffix(&pattern) {
                Some(rest) => !pattern.is_empty() && (rest.is_empty() || rest.ends_with('.')),
                None => false,
            }
        }
        Host::Address(address) => {
            let (network, bits) = match pattern.split_once('/') {
                // Without a number, or with 0, curl compares the whole address. It parses only the leading digits.
                Some((network, bits)) => {
                    let digits = bits.bytes().take_while(u8::is_ascii_digit).count();
                    (network, bits.get(..digits).and_then(|bits| bits.parse().ok()).unwrap_or(0))
                }
                None => (pattern, 0),
            };
            match (address, network.parse::<IpAddr>()) {
                (IpAddr::V4(address), Ok(IpAddr::V4(network))) => same_v4(*address, network, bits),
                (IpAddr::V6(address), Ok(IpAddr::V6(network))) => same_v6(*address, network, bits),
                _ => false,
            }
        }
    })
}

fn same_v4(address: Ipv4Addr, network: Ipv4Addr, bits: u32) -> bool {
    match bits {
        0 | 32 => address == network,
        1..32 => (u32::from(address) ^ u32::from(network)) >> (32 - bits) == 0,
        _ => false,
    }
}

fn same_v6(address: Ipv6Addr, network: Ipv6Addr, bits: u32) -> bool {
    match bits {
        0 | 128 => address == network,
        1..128 => (u128::from(address) ^ u128::from(network)) >> (128 - bits) == 0,
        _ => false,
    }
}

/// The destination of the tunnel: for `socks5` an address that the library resolved.
pub enum Target<'a> {
    Host(&'a Host),
    Address(IpAddr),
}

/// Opens a tunnel through the proxy at the other end of `connection`.
pub fn tunnel(
    call: &CallContext,
    connection: &mut Connection,
    proxy: &ProxyUrl,
    user_agent: &str,
    target: Target,
    port: u16,
) -> Result<(), ErrorKind> {
    call.set_phase(Phase::Proxy);
    match proxy.kind {
        ProxyKind::Http => connect(call, connection, proxy, user_agent, target, port),
        ProxyKind::Socks5 | ProxyKind::Socks5h => socks5(call, connection, proxy, target, port),
    }
}

fn refused(proxy: &ProxyUrl, why: impl std::fmt::Display, status: u16) -> ErrorKind {
    ErrorKind::Proxy {
        why: format!("The proxy {proxy} {why}").into(),
        status,
        retry_after: None,
        retryable: false,
    }
}

/// Marks a refusal as retryable, since the proxy may open the tunnel later.
fn unreachable_now(refused: ErrorKind, delay: Option<i64>) -> ErrorKind {
    match refused {
        ErrorKind::Proxy { why, status, .. } => {
            ErrorKind::Proxy { why, status, retry_after: delay, retryable: true }
        }
        other => other,
    }
}

fn connect(
    call: &CallContext,
    connection: &mut Connection,
    proxy: &ProxyUrl,
    user_agent: &str,
    target: Target,
    port: u16,
) -> Result<(), ErrorKind> {
    let authority = match target {
        Target::Host(host) => format!("{host}:{port}"),
        Target::Address(address) => SocketAddr::new(address, port).to_string(),
    };
    let mut request = Secret::with_capacity(1024);
    // Some corporate proxies refuse a request without a User-Agent.
    let head = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: {user_agent}\r\n");
    request.extend(head.as_bytes());
    if let Some((user, password)) = &proxy.credentials {
        let mut pair = user.clone();
        pair.push(b':');
        pair.extend(password);
        let encoded = Secret::from(STANDARD.encode(&pair[..]).into_bytes());
        request.extend(b"Proxy-Authorization: Basic ");
        request.extend(&encoded);
        request.extend(b"\r\n");
    }
    request.extend(b"\r\n");
    connection.write_all(call, &request)?;

    let mut interim = 0;
    let (status, length, delay) = loop {
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Response::new(&mut fields);
        match head.parse(connection.input()) {
            Ok(httparse::Status::Complete(length)) => match head.code.unwrap_or(0) {
                100..=199 if interim < MAX_INTERIM_RESPONSES => {
                    interim += 1;
                    connection.consume(length);
                    continue;
                }
                status => {
                    let field = |name: &str| {
                        let found = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name));
                        found.map(|field| field.value)
                    };
                    let delay =
                        field("retry-after").and_then(|delay| retry_after::seconds(delay, field("date")));
                    break (status, length, delay);
                }
            },
            Ok(httparse::Status::Partial) if connection.input().len() <= MAX_HEAD_BYTES => {}
            // An invalid field does not hide the status of a refusal.
            _ => match status_of(connection.input()) {
                Some(status @ 300..) => break (status, 0, None),
                _ => return Err(refused(proxy, "sent a response that is not HTTP", 0)),
            },
        }
        listen(call, connection)?;
    };
    if !(200..300).contains(&status) {
        let hint = match (status, &proxy.credentials) {
            (407, None) => ": it requires a user name and a password",
            (407, Some(_)) => ": it rejected the user name and password",
            _ => "",
        };
        let refused = refused(proxy, format!("refused the tunnel with status {status}{hint}"), status);
        return Err(match status {
            429 | 500 | 502 | 503 | 504 => unreachable_now(refused, delay),
            _ => refused,
        });
    }
    connection.consume(length);
    if !connection.input().is_empty() {
        return Err(refused(proxy, "sent data of its own into the tunnel", status));
    }
    Ok(())
}

const SOCKS_VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

fn socks5(
    call: &CallContext,
    connection: &mut Connection,
    proxy: &ProxyUrl,
    target: Target,
    port: u16,
) -> Result<(), ErrorKind> {
    let methods: &[u8] = match proxy.credentials {
        Some(_) => &[NO_AUTHENTICATION, USER_AND_PASSWORD],
        None => &[NO_AUTHENTICATION],
    };
    connection.write_all(call, &[&[SOCKS_VERSION, methods.len() as u8], methods].concat())?;
    let chosen = exactly::<2>(call, connection)?;
    match (chosen, &proxy.credentials) {
        ([SOCKS_VERSION, NO_AUTHENTICATION], _) => {}
        ([SOCKS_VERSION, USER_AND_PASSWORD], Some((user, password))) => {
            let mut request = Secret::with_capacity(513);
            request.push(1);
            for part in [user, password] {
                request.push(part.len() as u8); // at most 255, which its parser checks
                request.extend(part);
            }
            connection.write_all(call, &request)?;
            if exactly::<2>(call, connection)?[1] != 0 {
                return Err(refused(proxy, "refused its user name or password", 0));
            }
        }
        ([SOCKS_VERSION, _], None) => return Err(refused(proxy, "requires a user name and a password", 0)),
        ([SOCKS_VERSION, _], Some(_)) => {
            return Err(refused(proxy, "does not accept a user name and password", 0));
        }
        _ => return Err(refused(proxy, "is not a SOCKS5 proxy", 0)),
    }

    let mut request = vec![SOCKS_VERSION, 1, 0];
    let address = match target {
        Target::Host(Host::Name(name)) => {
            request.extend([3, name.len() as u8]); // at most 253, which its parser checks
            request.extend(name.as_bytes());
            None
        }
        Target::Host(Host::Address(address)) => Some(*address),
        Target::Address(address) => Some(address),
    };
    match address {
        Some(IpAddr::V4(address)) => {
            request.push(1);
            request.extend(address.octets());
        }
        Some(IpAddr::V6(address)) => {
            request.push(4);
            request.extend(address.octets());
        }
        None => {}
    }
    request.extend(port.to_be_bytes());
    connection.write_all(call, &request)?;
    let [version, reply, _, kind] = exactly::<4>(call, connection)?;
    if version != SOCKS_VERSION {
        return Err(refused(proxy, "is not a SOCKS5 proxy", 0));
    }
    if reply != 0 {
        let why = match reply {
            1 => "a general failure",
            2 => "not allowed by its rules",
            3 => "the network is unreachable",
            4 => "the host is unreachable",
            5 => "connection refused",
            6 => "TTL expired",
            7 => "it does not know the command",
            8 => "it does not know the address type",
            _ => "an unknown reason",
        };
        let refused = refused(proxy, format!("refused the tunnel: {why} (reply {reply})"), 0);
        return Err(if matches!(reply, 1 | 3..=6) { unreachable_now(refused, None) } else { refused });
    }
    // The bound address is not used.
    let length = match kind {
        1 => 4,
        4 => 16,
        3 => exactly::<1>(call, connection)?[0].into(),
        _ => return Err(refused(proxy, "is not a SOCKS5 proxy", 0)),
    };
    for _ in 0..length + 2 {
        exactly::<1>(call, connection)?;
    }
    if !connection.input().is_empty() {
        return Err(refused(proxy, "sent data of its own into the tunnel", 0));
    }
    Ok(())
}

fn exactly<const COUNT: usize>(
    call: &CallContext,
    connection: &mut Connection,
) -> Result<[u8; COUNT], ErrorKind> {
    loop {
        if let Some(bytes) = connection.input().first_chunk::<COUNT>().copied() {
            connection.consume(COUNT);
            return Ok(bytes);
        }
        listen(call, connection)?;
    }
}

fn listen(call: &CallContext, connection: &mut Connection) -> Result<(), ErrorKind> {
    match connection.receive(call)? {
        Received::Data => Ok(()),
        Received::Closed | Received::Truncated => Err(lost(call, "the proxy closed it")),
        Received::Failed(why) => Err(lost(call, why)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::url::BaseUrl;

    #[test]
    fn exceptions_are_read_as_curl_reads_them() {
        let host = |text: &str| BaseUrl::parse(&format!("https://{text}")).unwrap().host;
        for (name, exceptions, expected) in [
            ("api.couchdrop.io", "*", true),
            ("api.couchdrop.io", "couchdrop.io", true),
            ("api.couchdrop.io", ".couchdrop.io", true),
            ("api.couchdrop.io", "x, COUCHDROP.IO.", true),
            ("api.couchdrop.io", "api.couchdrop.io", true),
            ("api.couchdrop.io", "x api.couchdrop.io", true),
            ("api.couchdrop.io", "drop.io", false),
            ("api.couchdrop.io", "*.couchdrop.io", false),
            ("api.couchdrop.io", "x,*", false),
            ("api.couchdrop.io", ".", false),
            ("api.couchdrop.io", "io", true),
            ("192.0.2.7", "192.0.2.0/24", true),
            ("192.0.2.7", "192.0.3.0/24", false),
            ("192.0.2.7", "192.0.2.7", true),
            ("192.0.2.7", "192.0.2.7/0", true),
            ("192.0.2.7", "192.0.2.0/33", false),
            ("192.0.2.7", "192.0.2.0/24x", true),
            ("192.0.2.7", "2.7", false),
            ("[2001:db8::1]", "2001:db8::/32", true),
            ("[2001:db8::1]", "2001:db9::/32", false),
            ("[2001:db8:1::1]", "2001:db8::/32", true),
            ("[2001:db8:1::1]", "2001:db8::/48", false),
            ("[2001:db8::1]", "2001:db8::1", true),
            ("[2001:db8::1]", "2001:db8::1/128", true),
            ("[2001:db8::1]", "2001:db8::2/128", false),
            ("[2001:db8::1]", "2001:db8::1/129", false),
        ] {
            assert_eq!(is_excepted(&host(name), exceptions), expected, "{name} in {exceptions}");
        }
    }
}
