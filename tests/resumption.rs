//! A TLS session is not resumed past the validity of the certificate that it began with, nor for longer than an hour.
//! This program's clocks can be set forward.

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime};

use common::client::*;
use couchdrop::error::cd_code::*;
use fault_server::*;
use rcgen::{CertificateParams, KeyPair};
use rustls::version::{TLS12, TLS13};

/// The seconds by which the wall clock, and the time since boot, are ahead.
static WALL: AtomicI64 = AtomicI64::new(0);
static BOOT: AtomicI64 = AtomicI64::new(0);

/// Replaces the C library's clock_gettime.
///
/// # Safety
/// Same contract as clock_gettime.
#[unsafe(no_mangle)]
unsafe extern "C" fn clock_gettime(clock: libc::clockid_t, time: *mut libc::timespec) -> libc::c_int {
    // SAFETY: as the caller promises.
    let done = unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) };
    let ahead = match clock {
        libc::CLOCK_REALTIME => WALL.load(Ordering::Relaxed),
        libc::CLOCK_BOOTTIME => BOOT.load(Ordering::Relaxed),
        _ => 0,
    };
    if done == 0 {
        // SAFETY: as the caller promises.
        unsafe { (*time).tv_sec += ahead as libc::time_t };
    }
    done as libc::c_int
}

/// A login over a new connection. Returns its code, and true if its session was resumed.
fn login(client: &Client, server: &FaultServer) -> (i32, bool) {
    let before = server.connections().len();
    let outcome = client.login();
    let seen = server.wait_until_over(before + 1);
    assert_eq!(seen.len(), before + 1);
    (outcome.code, seen[before].is_resumed())
}

/// A single test, because the clocks belong to the whole program.
#[test]
fn session_is_resumed_within_validity_and_an_hour() {
    const OK: i32 = CD_OK as i32;
    let ca = Authority::new();
    let key = KeyPair::generate().unwrap();
    let last = GOOD.replace("Content-Length", "Connection: close\r\nContent-Length");
    for version in [&TLS12, &TLS13] {
        let mut params = CertificateParams::new(["localhost".to_owned()]).unwrap();
        params.not_after = (SystemTime::now() + Duration::from_secs(100 * 60)).into();
        let chain = vec![params.signed_by(&key, &ca.issuer).unwrap().der().clone()];
        let config = server_config(chain, &key, &[version]);
        let server = FaultServer::tls(Arc::new(config), vec![serve(last.clone())]);
        let client = Client::new(&server.url()).ca_file(ca.file.to_str().unwrap());
        let forward = |minutes: i64| {
            WALL.fetch_add(minutes * 60, Ordering::Relaxed);
            BOOT.fetch_add(minutes * 60, Ordering::Relaxed);
        };

        assert_eq!(login(&client, &server), (OK, false), "{version:?}");
        assert_eq!(login(&client, &server), (OK, true), "{version:?}");
        forward(59);
        assert_eq!(login(&client, &server), (OK, true), "{version:?}: 59 minutes later");
        forward(1);
        assert_eq!(login(&client, &server), (OK, false), "{version:?}: an hour later");
        assert_eq!(login(&client, &server), (OK, true), "{version:?}");
        forward(39);
        assert_eq!(login(&client, &server), (OK, true), "{version:?}: before its expiry");
        forward(2);
        for _ in 0..2 {
            assert_eq!(login(&client, &server), (CD_ERR_TLS as i32, false), "{version:?}: after its expiry");
        }
    }
}
