//! Properties that must hold for any value, tried with many. An independent parser reads back encoded values, times
//! stay within their bounds, and segmentation does not change how a response is read.

mod fuzzing;

use std::io::{BufRead, BufReader, Write};
use std::net::{Ipv4Addr, Ipv6Addr};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use couchdrop::config::Config;
use couchdrop::http::algorithms::{key_name, signature_name};
use couchdrop::login::retry::Backoff;
use couchdrop::login::{Credentials, request, response};
use couchdrop::retry_after::seconds;
use couchdrop::rng::Rng;
use couchdrop::secret::Secret;
use couchdrop::url::{BaseUrl, ProxyKind, ProxyUrl};
use fuzzing::response::{Whole, read};
use fuzzing::retry_after::days_since_1970;
use fuzzing::script::Piece;
use fuzzing::scripted_peer::Ending;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

/// This many cases of each property. No file is written to the source tree.
fn cases(count: u32) -> ProptestConfig {
    ProptestConfig { cases: count, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text of arbitrary characters, and of those with a meaning in a form or in JSON.
fn text(most: usize) -> impl Strategy<Value = String> {
    let special = select("&=+%;# \"\\/\u{0}\u{7f}\u{2028}\r\n".chars().collect::<Vec<_>>());
    vec(prop_oneof![3 => any::<char>(), 1 => special], 0..most).prop_map(String::from_iter)
}

// ---- encoders

/// A Python process. It reads hexadecimal text from a line, and writes the names and values that it parsed.
struct Python {
    _child: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

const READER: &str = r#"
import json, sys, urllib.parse

def read(kind, text):
    if kind == "form":
        return urllib.parse.parse_qsl(text, keep_blank_values=True, strict_parsing=True, errors="strict")
    if kind == "json":
        return json.loads(text, object_pairs_hook=list)
    url = urllib.parse.urlsplit(text)
    return [("scheme", url.scheme), ("host", url.hostname), ("port", str(url.port)), ("path", url.path)]

for line in sys.stdin:
    kind, text = line.split(" ")
    fields = read(kind, bytes.fromhex(text).decode("utf-8"))
    print(*(name.encode().hex() + "=" + value.encode().hex() for name, value in fields), flush=True)
"#;

/// None if Python is missing. If no test may be skipped, Python is required.
static PYTHON: LazyLock<Option<Mutex<Python>>> = LazyLock::new(|| {
    let name = std::env::var("PYTHON").unwrap_or_else(|_| "python3".into());
    let started =
        Command::new(&name).args(["-I", "-c", READER]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    match started {
        Ok(mut child) => {
            let (to, from) = (child.stdin.take().unwrap(), BufReader::new(child.stdout.take().unwrap()));
            Some(Mutex::new(Python { _child: child, to, from }))
        }
        Err(error) if std::env::var_os("CI").is_none() => {
            eprintln!("skipped: {name} can't be started: {error}");
            None
        }
        Err(error) => panic!("{name} can't be started: {error}"),
    }
});

/// The names and values that Python parses from a text.
fn read_by_python(kind: &str, text: &[u8]) -> Option<Vec<(String, String)>> {
    let mut python = PYTHON.as_ref()?.lock().expect("a Python that still runs");
    let hexadecimal: String = text.iter().map(|byte| format!("{byte:02x}")).collect();
    writeln!(python.to, "{kind} {hexadecimal}").expect("Python reads on");
    let mut line = String::new();
    python.from.read_line(&mut line).expect("Python responds");
    assert!(line.ends_with('\n'), "Python could not read {:?}", String::from_utf8_lossy(text));
    let plain = |text: &str| {
        let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
        let bytes = digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect();
        String::from_utf8(bytes).unwrap()
    };
    let fields = line.split_whitespace().map(|field| field.split_once('=').unwrap());
    Some(fields.map(|(name, value)| (plain(name), plain(value))).collect())
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn python_decodes_encoded_form_and_json(
        username in text(40), password in text(40), system in option::of(text(20))
    ) {
        let credentials =
            Credentials { username: &username, password: &password, system: system.as_deref() };
        let mut expected = vec![("username".to_owned(), username.clone()), ("password".into(), password.clone())];
        expected.extend(system.clone().map(|system| ("system".into(), system)));
        let form = request::form(&credentials);
        prop_assert!(form.is_ascii());
        for (kind, body) in [("form", form), ("json", request::json(&credentials))] {
            if let Some(found) = read_by_python(kind, &body) {
                prop_assert_eq!(found, &expected[..], "{}", kind);
            }
        }
    }
}

// ---- the server's message

/// Encodings that a server may apply to a password, in sequence.
const ENCODERS: [fn(&str) -> String; 15] = [
    |text| written_by(request::form_value, text),
    |text| written_by(request::form_value, text).replace('+', "%20").to_lowercase(),
    |text| text.bytes().map(|byte| format!("%{byte:02X}")).collect(),
    |text| written_by(request::json_string, text),
    |text| {
        let json = written_by(request::json_string, text);
        json.chars().map(|letter| if letter.is_ascii() { letter.into() } else { utf16(letter) }).collect()
    },
    |text| text.chars().map(utf16).collect(),
    |text| text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;"),
    |text| text.replace('&', "&amp").replace('"', "&quot").replace('\'', "&apos;"),
    |text| text.chars().map(|letter| format!("&#{};", u32::from(letter))).collect(),
    |text| text.chars().map(|letter| format!("&#{}", u32::from(letter))).collect(),
    |text| text.chars().map(|letter| format!("&#x{:x};", u32::from(letter))).collect(),
    |text| text.chars().map(|letter| format!("&#X{:04X}", u32::from(letter))).collect(),
    str::to_uppercase,
    str::to_lowercase,
    |text| text.trim().to_owned(),
];

fn written_by(write: fn(&str, &mut Secret), text: &str) -> String {
    let mut written = Secret::default();
    write(text, &mut written);
    String::from_utf8(written.to_vec()).unwrap()
}

fn utf16(letter: char) -> String {
    letter.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Encodings of a body's text, none of which loses ASCII characters.
const BODIES: [fn(&str) -> Vec<u8>; 6] = [
    |text| text.into(),
    |text| serde_json::json!({ "err": text }).to_string().into(),
    // Latin-1
    |text| text.chars().map(|letter| u8::try_from(letter).unwrap_or(b'?')).collect(),
    |text| text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
    // an accent as a combining character
    |text| text.replace('\u{e9}', "e\u{301}").replace('\u{f6}', "o\u{308}").into(),
    |text| text.chars().flat_map(|letter| [letter, '\u{200b}', '\n']).collect::<String>().into(),
];

/// Bodies that lose non-ASCII characters.
const LOSSY_BODIES: [usize; 3] = [2, 3, 4];

fn password() -> impl Strategy<Value = String> {
    prop_oneof![
        "[ -~]{1,24}",
        "[ -~\u{e9}\u{f6}\u{df}\u{436}]{1,24}",
        text(24).prop_filter("is not empty", |text| !text.is_empty()),
    ]
}

/// A body with the password between two texts, after a random chain of encodings.
fn echo(password: &str, before: &str, chain: &[usize], behind: &str, body: usize) -> Vec<u8> {
    let encoded = chain.iter().fold(password.to_owned(), |text, step| ENCODERS[*step](&text));
    BODIES[body](&format!("{before}{encoded}{behind}"))
}

/// Parts of a password that no message may contain, in lower case.
fn parts(password: &str) -> Vec<String> {
    let letters: Vec<char> = password.chars().collect();
    let length = (letters.len() - 1).max(4);
    letters.windows(length).map(|part| part.iter().collect::<String>().to_lowercase()).collect()
}

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn message_never_shows_all_but_a_character_of_the_password(
        password in password(),
        before in text(30),
        filler in prop_oneof![0..40_usize, 900..1100_usize, 8000..8300_usize],
        behind in text(30),
        chain in vec(0..ENCODERS.len(), 0..4),
        body in 0..BODIES.len(),
        cut in any::<Option<Index>>(),
    ) {
        let before = format!("{before}{}", "-".repeat(filler));
        let mut body = echo(&password, &before, &chain, &behind, body);
        if let Some(cut) = cut {
            body.truncate(cut.index(body.len() + 1));
        }
        if let Some(message) = response::server_message(&body, cut.is_some(), &password) {
            let message = message.to_lowercase();
            prop_assert!(!parts(&password).iter().any(|part| message.contains(part)), "{message:?}");
        }
    }

    #[test]
    fn password_in_listed_encodings_suppresses_the_message(
        password in password(),
        before in text(30),
        behind in text(30),
        chain in vec(0..ENCODERS.len(), 0..4),
        body in 0..BODIES.len(),
    ) {
        // A body that loses other letters keeps those of ASCII. An `\u{df}` that becomes SS is an exception, and so is
        // a split letter, which may end an escape.
        let ascii = password.chars().filter(char::is_ascii_alphanumeric).count();
        let accented = |letter| matches!(letter, '\u{e9}' | '\u{f6}' | '\u{436}');
        let plain = password.chars().all(|letter| letter.is_ascii() && !"%&\\".contains(letter) || accented(letter));
        let fits = !LOSSY_BODIES.contains(&body) || password.is_ascii() || plain && ascii >= 4 && body != 3;
        let body = if fits { body } else { 0 };
        // The text before or after it must not become part of an escape in it.
        let body = echo(&password, &format!("{before} : "), &chain, &format!(" : {behind}"), body);
        prop_assert_eq!(response::server_message(&body, false, &password), None);
    }

    #[test]
    fn message_without_the_password_is_shown(
        password in "[a-m0-4]{3,24}", message in "[n-z][n-z5-9]{0,9}([ &][n-z5-9]{1,10}){0,20}", cut in any::<bool>()
    ) {
        let shown = response::server_message(message.as_bytes(), cut, &password);
        prop_assert_eq!(shown, Some(message));
    }
}

// ---- Retry-After and back-off

/// A time from 1970 to 9999: its seconds since the epoch, and its header value.
#[derive(Clone, Debug)]
struct Moment {
    since_1970: i64,
    written: String,
}

const MONTHS: [&str; 12] =
    ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
const DAYS: [&str; 7] = ["Thursday", "Friday", "Saturday", "Sunday", "Monday", "Tuesday", "Wednesday"]; // the first was a Thursday

fn moment() -> impl Strategy<Value = Moment> {
    (1970..=9999_i64, 1..=12_i64, 1..=31_i64, 0..24_i64, 0..60_i64, 0..60_i64, 0..3).prop_map(
        |(year, month, day, hour, minute, second, form)| {
            let next = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
            let length = days_since_1970(next.0, next.1, 1) - days_since_1970(year, month, 1);
            let day = day.min(length);
            let days = days_since_1970(year, month, day);
            let (name, month) = (DAYS[(days % 7) as usize], MONTHS[month as usize - 1]);
            let time = format!("{hour:02}:{minute:02}:{second:02}");
            let written = match form {
                0 => format!("{} {month} {day:2} {time} {year}", &name[..3]),
                // Two digits mean a year from 1970 to 2069.
                1 if year < 2070 => format!("{name}, {day:02}-{month}-{:02} {time} GMT", year % 100),
                _ => format!("{}, {day:02} {month} {year} {time} GMT", &name[..3]),
            };
            Moment { since_1970: ((days * 24 + hour) * 60 + minute) * 60 + second, written }
        },
    )
}

struct Fraction(f64);

impl Rng for Fraction {
    fn random_up_to(&self, below: Duration) -> Duration {
        below.mul_f64(self.0).min(below)
    }
}

fn milliseconds(most: u64) -> impl Strategy<Value = Duration> {
    prop_oneof![0..=most, 0..=most.min(5_000)].prop_map(Duration::from_millis)
}

proptest! {
    #![proptest_config(cases(2000))]

    /// A number that exceeds 63 bits is ignored.
    #[test]
    fn retry_after_of_digits_is_that_number(
        number in prop_oneof![any::<u128>(), any::<u64>().prop_map(u128::from), (0..1000_u128)],
        zeros in 0..4_usize,
    ) {
        let text = format!("{}{number}", "0".repeat(zeros));
        prop_assert_eq!(seconds(text.as_bytes(), None), i64::try_from(number).ok());
    }

    /// The result is never negative.
    #[test]
    fn retry_after_date_is_relative_to_the_date_field(
        then in moment(), now in moment()
    ) {
        let found = seconds(then.written.as_bytes(), Some(now.written.as_bytes()));
        prop_assert_eq!(found, Some((then.since_1970 - now.since_1970).max(0)));
    }

    #[test]
    fn later_retry_after_date_is_never_a_shorter_wait(one in moment(), other in moment(), now in moment()) {
        let (early, late) = if one.since_1970 <= other.since_1970 { (one, other) } else { (other, one) };
        let wait = |moment: &Moment| seconds(moment.written.as_bytes(), Some(now.written.as_bytes()));
        prop_assert!(wait(&early) <= wait(&late));
    }

    /// It is at least the Retry-After and leaves time for the attempt.
    #[test]
    fn backoff_stays_in_its_range(
        first in milliseconds(3_600_000),
        more in milliseconds(3_600_000),
        max_retries in 0..=10_u32,
        whole in milliseconds(3_600_000),
        steps in vec((milliseconds(3_600_000), option::of(prop_oneof![milliseconds(10_000), Just(Duration::MAX)])), 12),
        rng in 0.0..=1.0,
    ) {
        let settings =
            Config { max_retries, first_backoff: first, max_backoff: first + more, ..Config::default() };
        let mut backoff = Backoff::new(&settings, whole);
        let reserve = Duration::from_secs(1).min(whole / 4);
        let mut window = first;
        let mut retries = 0;
        for (remaining, retry_after) in steps {
            let minimum = retry_after.unwrap_or_default();
            let fits = minimum.checked_add(reserve).is_some_and(|needed| needed <= remaining);
            let wait = backoff.next(remaining, retry_after, &Fraction(rng));
            prop_assert_eq!(wait.is_some(), retries < max_retries && fits);
            retries = (retries + 1).min(max_retries);
            if let Some(wait) = wait {
                prop_assert!(wait >= minimum && wait - minimum <= window.max(minimum));
                prop_assert!(wait + reserve <= remaining);
            }
            window = (window * 2).min(first + more);
        }
    }
}

// ---- URLs

fn host() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z0-9_-]{1,20}(\\.[A-Za-z0-9_-]{1,10}){0,3}\\.[a-zA-Z][a-zA-Z0-9-]{0,10}",
        any::<Ipv4Addr>().prop_map(|address| address.to_string()),
        any::<Ipv6Addr>().prop_map(|address| format!("[{address}]")),
    ]
}

proptest! {
    #![proptest_config(cases(1000))]

    #[test]
    fn base_url_agrees_with_python_and_round_trips(
        scheme in "[hH][tT][tT][pP][sS]",
        host in host(),
        port in option::of(1..=u16::MAX),
        path in "(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9a-fA-F]{2}){0,8}){0,3}",
    ) {
        // A host whose last label begins like a hexadecimal number is not a valid name.
        prop_assume!(!host.rsplit('.').next().is_some_and(|last| last.to_lowercase().starts_with("0x")));
        let port_text = port.map(|port| format!(":{port}")).unwrap_or_default();
        let text = format!("{scheme}://{host}{port_text}{path}");
        let url = BaseUrl::parse(&text).unwrap_or_else(|kind| panic!("{text}: {kind}"));
        prop_assert_eq!(url.port, port.unwrap_or(443));
        prop_assert_eq!(&url.prefix, path.trim_end_matches('/'));
        let printed = format!("https://{}{}", url.authority(), url.prefix);
        prop_assert_eq!(BaseUrl::parse(&printed).unwrap(), url.clone());
        if let Some(found) = read_by_python("url", text.as_bytes()) {
            let host = url.host.to_string();
            let host = host.trim_matches(['[', ']']);
            let port = port.map_or("None".to_owned(), |port| port.to_string());
            // Python leaves an IPv6 address as written.
            let found_host = found[1].1.parse::<Ipv6Addr>().map_or(found[1].1.clone(), |ip| ip.to_string());
            let found = [&found[0].1, &found_host, &found[2].1, &found[3].1].map(String::as_str);
            prop_assert_eq!(found, ["https", host, &port, &path]);
        }
    }

    #[test]
    fn proxy_credentials_are_percent_decoded(
        kind in select(vec![("http", ProxyKind::Http), ("socks5", ProxyKind::Socks5), ("socks5h", ProxyKind::Socks5h)]),
        user in vec(any::<u8>(), 0..=255),
        password in vec(any::<u8>(), 0..=255),
        host in host(),
        port in 1..=u16::MAX,
    ) {
        prop_assume!(!host.rsplit('.').next().is_some_and(|last| last.to_lowercase().starts_with("0x")));
        let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("%{byte:02x}")).collect::<String>();
        let text = format!("{}://{}:{}@{host}:{port}/", kind.0, escaped(&user), escaped(&password));
        let proxy = ProxyUrl::parse("The proxy URL", &text).unwrap();
        prop_assert_eq!((proxy.kind, proxy.port), (kind.1, port));
        let found = proxy.credentials.as_ref().map(|(user, password)| (user.to_vec(), password.to_vec()));
        prop_assert_eq!(found, Some((user, password)));
        prop_assert_eq!(proxy.to_string(), format!("{}://{}:{port}", kind.0, proxy.host));
    }
}

// ---- responses

/// A response that any parser accepts, and its content.
fn response() -> impl Strategy<Value = (Vec<u8>, Whole)> {
    let chunks = vec(vec(any::<u8>(), 1..40), 0..8);
    (200..600_u16, option::of("[ -~]{0,20}"), chunks, any::<bool>(), 0..3_usize)
        .prop_filter("has a body", |(status, ..)| !matches!(status, 204 | 304))
        .prop_map(|(status, retry_after, chunks, chunked, zeros)| {
            let body = chunks.concat();
            let mut written = format!("HTTP/1.1 {status} X\r\n").into_bytes();
            if let Some(value) = &retry_after {
                written.extend(format!("Retry-After: {value}\r\n").into_bytes());
            }
            if chunked {
                written.extend(b"Transfer-Encoding: chunked\r\n\r\n");
                for chunk in &chunks {
                    written.extend(format!("{}{:x}\r\n", "0".repeat(zeros), chunk.len()).into_bytes());
                    written.extend(chunk);
                    written.extend(b"\r\n");
                }
                written.extend(b"0\r\n\r\n");
            } else {
                written.extend(format!("Content-Length: {}\r\n\r\n", body.len()).into_bytes());
                written.extend(&body);
            }
            let retry_after = retry_after.and_then(|value| seconds(value.as_bytes(), None));
            (written, Whole { status, body, retry_after })
        })
}

/// The bytes, split at these places.
fn cut(bytes: &[u8], places: &[Index]) -> Vec<Piece> {
    let mut ends: Vec<usize> = places.iter().map(|place| place.index(bytes.len() + 1)).collect();
    ends.push(bytes.len());
    ends.sort_unstable();
    let mut from = 0;
    let pieces = ends.into_iter().map(|end| {
        let bytes = bytes[from..end].to_vec();
        from = end;
        Piece { bytes, past_tls: false }
    });
    pieces.filter(|piece| !piece.bytes.is_empty()).collect()
}

const LIMIT: usize = 64 << 10;

proptest! {
    #![proptest_config(cases(500))]

    #[test]
    fn segmentation_does_not_change_a_response(
        (written, expected) in response(), places in vec(any::<Index>(), 0..20)
    ) {
        let found = read(cut(&written, &places), Ending::Close, LIMIT);
        prop_assert_eq!(found.done.as_ref(), Ok(&expected));
        prop_assert!(found.kept);
    }

    #[test]
    fn segmentation_does_not_change_a_corrupt_response(
        (mut written, _) in response(),
        changes in vec((any::<Index>(), prop_oneof![any::<u8>(), select(b"\r\n0a;: ".to_vec())], any::<bool>()), 1..4),
        places in vec(any::<Index>(), 0..20),
    ) {
        for (place, byte, insert) in changes {
            let at = place.index(written.len());
            if insert { written.insert(at, byte) } else { written[at] = byte }
        }
        let whole = read(cut(&written, &[]), Ending::Close, LIMIT);
        let pieces = read(cut(&written, &places), Ending::Close, LIMIT);
        whole.agrees_with(&pieces);
    }
}

// ---- names of algorithms

/// The OIDs of RSASSA-PSS and of EC keys, whose parameters are parsed.
const WITH_PARAMETERS: [&[u8]; 2] = [
    &[6, 9, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0a],
    &[6, 7, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01],
];

/// DER values with the tags that are parsed, and lengths that may be wrong.
fn almost_der() -> impl Strategy<Value = Vec<u8>> {
    let tag = select(vec![2_u8, 6, 0x30, 0xa0, 0xa1, 0xa2]);
    let byte = prop_oneof![select(vec![2_u8, 6, 0x30, 0xa0, 0xa2, 0x81, 0x84, 0xff]), any::<u8>(), 0..8_u8];
    (tag, vec(byte, 0..48), -1..=1_i8).prop_map(|(tag, content, change)| {
        [&[tag, (content.len() as u8).saturating_add_signed(change)], &content[..]].concat()
    })
}

proptest! {
    #![proptest_config(cases(2000))]

    #[test]
    fn algorithm_name_is_short_and_printable(
        oid in option::of(select(WITH_PARAMETERS.to_vec())), rest in vec(almost_der(), 0..4)
    ) {
        let bytes = [oid.unwrap_or_default(), &rest.concat()].concat();
        for name in [signature_name(&bytes), key_name(&bytes)] {
            prop_assert!(name.len() < 256, "{}", name);
            prop_assert!(name.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{}", name);
        }
    }
}
