//! The key exchange groups that a login offers, and its reaction to the server's choice.

mod common;

use std::ffi::c_void;
use std::io::Read as _;
use std::net::TcpListener;
use std::thread;

use common::client::*;
use couchdrop::error::cd_code::*;
use couchdrop::http::key_exchange::X25519MlKem768;
use fault_server::*;
use rustls::HandshakeKind::{self, Full, FullWithHelloRetryRequest};
use rustls::crypto::ring::kx_group::{SECP256R1, SECP384R1, X25519};
use rustls::crypto::{ActiveKeyExchange, CompletedKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, NamedGroup, ProtocolVersion};

const X25519MLKEM768: u16 = 0x11ec;
const X25519_NUMBER: u16 = 0x001d;

fn x25519_mlkem768() -> &'static dyn SupportedKxGroup {
    fake_server::crypto_provider().kx_groups[0]
}

#[track_caller]
fn assert_agrees(
    groups: &[&'static dyn SupportedKxGroup],
    versions: Versions<'_>,
    group: NamedGroup,
    kind: HandshakeKind,
) {
    let server = FaultServer::tls(good_server_of(groups, versions), vec![serve(GOOD)]);
    let client = Client::new(&server.url());
    client.login().expect(CD_OK);
    let seen = &server.connections()[0];
    assert_eq!((seen.group, seen.kind), (Some(group), Some(kind)));
    let version = if seen.version == Some(ProtocolVersion::TLSv1_3) { "TLS 1.3" } else { "TLS 1.2" };
    let parameters = format!(" ms: {version}, {group:?}");
    assert!(client.log().iter().any(|line| line.ends_with(&parameters)), "{:?}", client.log());
}

#[test]
fn server_with_both_groups_selects_the_hybrid_one() {
    let groups = [x25519_mlkem768(), X25519, SECP256R1];
    assert_agrees(&groups, ALL_VERSIONS, NamedGroup::X25519MLKEM768, Full);
    assert_agrees(&groups[..1], &[&TLS13], NamedGroup::X25519MLKEM768, Full);
}

#[test]
fn server_with_x25519_alone_needs_no_second_hello() {
    assert_agrees(&[X25519], &[&TLS13], NamedGroup::X25519, Full);
}

/// Some servers behind a load balancer may support the hybrid group, and others not.
#[test]
fn hybrid_is_offered_again_after_a_server_without_it() {
    let script = vec![serve(GOOD.replace("Content-Length", "Connection: close\r\nContent-Length"))];
    let first = FaultServer::tls(good_server_of(&[X25519], ALL_VERSIONS), script.clone());
    let (address, client) = (first.address(), Client::new(&first.url()));
    client.login().expect(CD_OK);
    assert_eq!(first.wait_until_over(1)[0].group, Some(NamedGroup::X25519));
    drop(first);

    let config = good_server_of(&[x25519_mlkem768(), X25519], ALL_VERSIONS);
    let second = FaultServer::on(TcpListener::bind(address).unwrap(), Some(config), script);
    client.login().expect(CD_OK);
    let seen = &second.wait_until_over(1)[0];
    assert_eq!((seen.group, seen.kind), (Some(NamedGroup::X25519MLKEM768), Some(Full)));
}

#[test]
fn server_with_a_nist_curve_alone_asks_for_it() {
    assert_agrees(&[SECP256R1], &[&TLS13], NamedGroup::secp256r1, FullWithHelloRetryRequest);
    assert_agrees(&[SECP384R1], &[&TLS13], NamedGroup::secp384r1, FullWithHelloRetryRequest);
}

#[test]
fn tls_1_2_takes_a_classical_group() {
    let hybrid = x25519_mlkem768();
    assert_agrees(&[hybrid, X25519], &[&TLS12], NamedGroup::X25519, Full);
    assert_agrees(&[hybrid, SECP256R1], &[&TLS12], NamedGroup::secp256r1, Full);
}

#[test]
fn hello_carries_the_share_of_both_groups() {
    let hello = first_hello();
    let groups = extension(&hello, 10);
    let offered: Vec<u16> = groups[2..].chunks(2).map(number).collect();
    assert_eq!(offered, [X25519MLKEM768, X25519_NUMBER, 0x0017, 0x0018]);
    let shares = extension(&hello, 51);
    let mut rest = &shares[2..];
    let mut found = Vec::new();
    while let [_, _, _, _, after @ ..] = rest {
        let (share, others) = after.split_at(number(&rest[2..4]).into());
        found.push((number(&rest[..2]), share));
        rest = others;
    }
    let [(X25519MLKEM768, hybrid), (X25519_NUMBER, x25519)] = found[..] else { panic!("{found:?}") };
    assert_eq!((hybrid.len(), x25519.len()), (1184 + 32, 32));
    // The X25519 key is made once and used for both groups.
    assert_eq!(&hybrid[1184..], x25519);
}

/// Responds as a server with `group` would, but with another share.
#[derive(Debug)]
struct Forged {
    group: NamedGroup,
    share: Vec<u8>,
}

impl SupportedKxGroup for Forged {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        unreachable!("a server completes at once")
    }

    fn start_and_complete(&self, _: &[u8]) -> Result<CompletedKeyExchange, rustls::Error> {
        let secret = SharedSecret::from(&[7; 64][..]);
        Ok(CompletedKeyExchange { group: self.group, pub_key: self.share.clone(), secret })
    }

    fn name(&self) -> NamedGroup {
        self.group
    }
}

#[track_caller]
fn assert_refused(group: NamedGroup, share: Vec<u8>, part: &str) {
    let length = share.len();
    let forged: &'static Forged = Box::leak(Box::new(Forged { group, share }));
    let server = FaultServer::tls(good_server_of(&[forged], &[&TLS13]), vec![serve(GOOD)]);
    let outcome = Client::new(&server.url()).login().expect(CD_ERR_TLS);
    assert!(outcome.message.contains(part), "{group:?}, {length} bytes: {}", outcome.message);
    assert_eq!((outcome.attempts, server.wait_until_over(1)[0].requests), (0, 0));
}

#[test]
fn invalid_key_share_is_refused() {
    for length in [1, 32, 1087, 1088, 1119, 1121, 2000] {
        assert_refused(NamedGroup::X25519MLKEM768, vec![7; length], "key exchange is not valid");
    }
    for length in [1, 31, 33, 1120] {
        assert_refused(NamedGroup::X25519, vec![7; length], "key exchange is not valid");
    }
    // A point of small order, for which X25519's shared secret is zero (RFC 7748, 6.1).
    assert_refused(NamedGroup::X25519MLKEM768, vec![0; 1120], "key exchange is not valid");
    assert_refused(NamedGroup::X25519, vec![0; 32], "key exchange is not valid");
}

/// ML-KEM rejects a ciphertext implicitly: it derives a random secret (FIPS 203, 6.3), so the records can't be
/// decrypted.
#[test]
fn ciphertext_of_another_key_is_refused() {
    assert_refused(NamedGroup::X25519MLKEM768, vec![7; 1120], "decrypt");
}

// ---- the stack

const STACK_BYTES: usize = 1 << 20;
const UNTOUCHED: u8 = 0xaa;

/// Runs `work` on a thread, and returns the stack below its caller.
fn stack_below(work: fn()) -> Vec<u8> {
    extern "C" fn run(work: *mut c_void) -> *mut c_void {
        // SAFETY: the function that was given below.
        let work = unsafe { std::mem::transmute::<*mut c_void, fn()>(work) };
        let here = 0u8;
        work();
        std::hint::black_box(&raw const here).cast_mut().cast()
    }
    let mut stack = vec![u128::from_ne_bytes([UNTOUCHED; 16]); STACK_BYTES / 16];
    let start = stack.as_mut_ptr().cast::<u8>();
    // SAFETY: the attributes live as long as they are used, and the stack until its thread has ended.
    let caller = unsafe {
        let mut attributes = std::mem::zeroed();
        assert_eq!(libc::pthread_attr_init(&mut attributes), 0);
        assert_eq!(libc::pthread_attr_setstack(&mut attributes, start.cast(), STACK_BYTES), 0);
        let (mut thread, mut caller) = (std::mem::zeroed(), std::ptr::null_mut());
        assert_eq!(libc::pthread_create(&mut thread, &attributes, run, work as *mut c_void), 0);
        assert_eq!(libc::pthread_join(thread, &mut caller), 0);
        libc::pthread_attr_destroy(&mut attributes);
        caller
    };
    let bytes = stack.iter().flat_map(|word| word.to_ne_bytes());
    bytes.take(caller as usize - start as usize).collect()
}

/// The addresses and lengths that remain in frames have zeros in each word; a key has none in most of its words.
#[track_caller]
fn assert_wiped(work: fn()) {
    let stack = stack_below(work);
    let used = stack.len() - stack.iter().take_while(|&&byte| byte == UNTOUCHED).count();
    assert!(used > 20_000, "{used} bytes of stack hold no key exchange");
    let longest = stack.split(|&byte| byte == 0 || byte == UNTOUCHED).max_by_key(|run| run.len()).unwrap();
    assert!(longest.len() < 16, "left: {longest:02x?}");
}

#[test]
fn stack_holds_no_key_after_an_exchange() {
    assert_wiped(|| drop(X25519MlKem768.start().unwrap()));
    assert_wiped(|| {
        let exchange = X25519MlKem768.start().unwrap();
        let share = exchange.pub_key().to_vec();
        // On another thread: the server's side wipes nothing.
        let server = thread::spawn(move || x25519_mlkem768().start_and_complete(&share).unwrap().pub_key);
        exchange.complete(&server.join().unwrap()).unwrap();
    });
}

// ---- the bytes of a ClientHello

/// The first message of a client, without the headers of the record and the handshake message.
fn first_hello() -> Vec<u8> {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("https://{}", listener.local_addr().unwrap());
    let login = thread::spawn(move || Client::new(&url).login().code);
    let (mut connection, _) = listener.accept().unwrap();
    let mut record = [0; 5];
    connection.read_exact(&mut record).unwrap();
    let mut hello = vec![0; number(&record[3..]).into()];
    connection.read_exact(&mut hello).unwrap();
    // Close the listener, so that the retry fails.
    drop((connection, listener));
    assert_ne!(login.join().unwrap(), CD_OK as i32);
    assert_eq!(hello[..2], [1, 0], "a ClientHello under 64 KiB");
    hello.split_off(4)
}

fn number(bytes: &[u8]) -> u16 {
    u16::from_be_bytes([bytes[0], bytes[1]])
}

/// The data of an extension (RFC 8446, 4.1.2).
fn extension(hello: &[u8], wanted: u16) -> Vec<u8> {
    let session = 2 + 32;
    let ciphers = session + 1 + usize::from(hello[session]);
    let compressions = ciphers + 2 + usize::from(number(&hello[ciphers..]));
    let mut rest = &hello[compressions + 1 + usize::from(hello[compressions]) + 2..];
    while let [_, _, _, _, after @ ..] = rest {
        let (data, others) = after.split_at(number(&rest[2..]).into());
        if number(rest) == wanted {
            return data.to_vec();
        }
        rest = others;
    }
    panic!("the hello has no extension {wanted}");
}
