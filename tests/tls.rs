//! TLS faults that must be refused, each with a message that names the cause and before a byte of the request is sent.
//! Also valid configurations that must work.

mod common;
mod resolver;

use std::ffi::{CStr, c_char, c_int};
use std::io::{BufRead, BufReader};
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::thread;
use std::time::SystemTime;

use common::client::*;
use couchdrop::error::cd_code::*;
use fault_server::Step::{CutAfter, Handshake, Raw, Read, Request};
use fault_server::*;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, CidrSubnet, CustomExtension, DnType,
    ExtendedKeyUsagePurpose, GeneralSubtree, IsCa, Issuer, KeyPair, KeyUsagePurpose, NameConstraints,
    PKCS_ED25519, SanType, date_time_ymd,
};
use rustls::crypto::ring::{default_provider, sign::any_supported_type};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::sign::{CertifiedKey, SingleCertAndKey};
use rustls::version::{TLS12, TLS13};
use rustls::{ALL_VERSIONS, ProtocolVersion, ServerConfig};

/// Replaces the C library's getaddrinfo: every name is this machine.
///
/// # Safety
/// Same contract as getaddrinfo.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    _service: *const c_char,
    _hints: *const libc::addrinfo,
    result: *mut *mut libc::addrinfo,
) -> c_int {
    // SAFETY: a name, as the caller promises.
    assert!(unsafe { CStr::from_ptr(node) }.to_bytes().ends_with(b".test"));
    // SAFETY: may be written to, as the caller promises.
    unsafe { *result = resolver::list(&[Ipv4Addr::LOCALHOST]) };
    0
}

// ---- certificates

type Certificate = CertificateDer<'static>;

fn leaf(name: &str) -> CertificateParams {
    let mut params = CertificateParams::new([name.to_owned()]).unwrap();
    params.distinguished_name.push(DnType::CommonName, "server");
    params.use_authority_key_identifier_extension = true;
    params
}

fn authority_params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

type Intermediate = CertifiedIssuer<'static, KeyPair>;

fn intermediate(issuer: &Issuer<'_, KeyPair>, change: impl FnOnce(&mut CertificateParams)) -> Intermediate {
    let mut params = authority_params("Intermediate");
    change(&mut params);
    CertifiedIssuer::signed_by(params, KeyPair::generate().unwrap(), issuer).unwrap()
}

/// The certificate chain that a server sends, and the key that it signs with.
struct Shown {
    chain: Vec<Certificate>,
    key: KeyPair,
}

fn issued(params: CertificateParams, issuer: &Issuer<'_, KeyPair>) -> Shown {
    let key = KeyPair::generate().unwrap();
    Shown { chain: vec![params.signed_by(&key, issuer).unwrap().der().clone()], key }
}

fn self_signed(params: &CertificateParams) -> Shown {
    let key = KeyPair::generate().unwrap();
    Shown { chain: vec![params.self_signed(&key).unwrap().der().clone()], key }
}

impl Shown {
    fn with(mut self, intermediates: &[&Intermediate]) -> Shown {
        self.chain.extend(intermediates.iter().map(|issuer| issuer.der().clone()));
        self
    }

    /// TLS settings that send it, even if certificate and key do not match.
    fn config(&self, versions: Versions) -> ServerConfig {
        let key = PrivateKeyDer::try_from(self.key.serialize_der()).unwrap();
        let shown = CertifiedKey::new(self.chain.clone(), any_supported_type(&key).unwrap());
        let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(SingleCertAndKey::from(shown)));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config
    }

    fn pem_file(&self) -> String {
        let text = rcgen_pem(&self.chain[0]);
        file("own.pem", text).to_str().unwrap().to_owned()
    }
}

fn rcgen_pem(certificate: &Certificate) -> String {
    use base64::Engine;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

fn login(config: ServerConfig, host: &str, ca_file: &str) -> (Outcome, Seen) {
    let server = FaultServer::tls(Arc::new(config), vec![serve(GOOD)]);
    let client = Client::new(&format!("https://{host}:{}", server.port())).ca_file(ca_file);
    let outcome = client.login();
    drop(client);
    let seen = server.wait_until_over(1);
    assert_eq!(seen.len(), 1, "{host}: TLS that was refused is not tried again");
    (outcome, seen[0].clone())
}

fn path(file: &Path) -> &str {
    file.to_str().unwrap()
}

/// The login ends with `CD_ERR_TLS` under TLS 1.2 and 1.3, its message contains all these parts, and nothing of the
/// request was sent.
#[track_caller]
fn refused(name: &str, shown: &Shown, host: &str, ca_file: &str, parts: &[&str]) {
    for version in [&TLS12, &TLS13] {
        let (outcome, seen) = login(shown.config(&[version]), host, ca_file);
        assert_refused(name, &outcome, 0, parts);
        assert_eq!(seen.received, b"", "{name}");
        assert!(!seen.handshaken, "{name}");
    }
}

#[track_caller]
fn assert_refused(name: &str, outcome: &Outcome, attempts: u32, parts: &[&str]) {
    assert_eq!(outcome.code, CD_ERR_TLS as i32, "{name}: {outcome:?}");
    assert_eq!((outcome.attempts, outcome.http_status), (attempts, 0), "{name}: {outcome:?}");
    for part in parts {
        assert!(outcome.message.contains(part), "{name}: no {part:?} in {:?}", outcome.message);
    }
}

#[track_caller]
fn taken(name: &str, shown: &Shown, host: &str, ca_file: &str) {
    for version in [&TLS12, &TLS13] {
        let (outcome, seen) = login(shown.config(&[version]), host, ca_file);
        assert_eq!(outcome.code, CD_OK as i32, "{name}: {outcome:?}");
        assert_eq!(seen.requests, 1, "{name}");
    }
}

// ---- dates

/// The message has the certificate's date and the current one.
#[test]
fn certificate_outside_its_validity_is_refused() {
    let ca = Authority::new();
    let today = || httpdate::fmt_http_date(SystemTime::now())[..16].to_owned();
    let before = today();
    let mut params = leaf("localhost");
    params.not_before = date_time_ymd(2019, 1, 1);
    params.not_after = date_time_ymd(2020, 2, 3);
    let parts = ["expired on", "03 Feb 2020", "this machine's clock says", &before];
    refused("expired", &issued(params.clone(), &ca.issuer), "localhost", path(&ca.file), &parts);

    params.not_before = date_time_ymd(2090, 4, 5);
    params.not_after = date_time_ymd(2091, 1, 1);
    let parts = ["not valid before", "05 Apr 2090", "this machine's clock says", &before];
    refused("not yet valid", &issued(params.clone(), &ca.issuer), "localhost", path(&ca.file), &parts);

    params.not_after = date_time_ymd(2089, 1, 1);
    let shown = issued(params, &ca.issuer);
    refused("never valid", &shown, "localhost", path(&ca.file), &["its dates are reversed"]);

    for (name, from, to, parts) in [
        ("expired issuer", 2019, 2020, "expired"),
        ("issuer that is not yet valid", 2090, 2091, "not valid before"),
    ] {
        let middle = intermediate(&ca.issuer, |params| {
            params.not_before = date_time_ymd(from, 1, 1);
            params.not_after = date_time_ymd(to, 1, 1);
        });
        let shown = issued(leaf("localhost"), &middle).with(&[&middle]);
        refused(name, &shown, "localhost", path(&ca.file), &[parts, "this machine's clock says"]);
    }
    assert_eq!(before, today(), "a test over midnight");
}

// ---- names

/// The message has both names.
#[test]
fn certificate_for_another_name_is_refused() {
    let ca = Authority::new();
    for (presented, host) in [
        ("couchdrop.example", "localhost"),
        ("localhost.example", "localhost"),
        ("couchdrop.test", "api.couchdrop.test"),
        ("api.couchdrop.test", "couchdrop.test"),
        ("api.couchdrop.test.evil.example", "api.couchdrop.test"),
        ("*.couchdrop.test", "a.b.couchdrop.test"),
        ("*.couchdrop.test", "couchdrop.test"),
        ("*.example", "localhost"),
        ("127.0.0.1", "localhost"),
        ("127.0.0.2", "127.0.0.1"),
        ("localhost", "127.0.0.1"),
    ] {
        let name = format!("{presented} for {host}");
        let shown = issued(leaf(presented), &ca.issuer);
        refused(&name, &shown, host, path(&ca.file), &[presented, &format!("not for {host}")]);
    }
}

#[test]
fn misused_wildcard_is_refused() {
    let ca = Authority::new();
    for (presented, host) in [
        ("*", "localhost"),
        ("*.test", "couchdrop.test"),
        ("*.*.test", "api.couchdrop.test"),
        ("ap*.couchdrop.test", "api.couchdrop.test"),
        ("*pi.couchdrop.test", "api.couchdrop.test"),
        ("a*i.couchdrop.test", "api.couchdrop.test"),
        ("api.*.test", "api.couchdrop.test"),
        ("api.couchdrop.*", "api.couchdrop.test"),
    ] {
        let mut params = leaf("x.example");
        params.subject_alt_names = vec![SanType::DnsName(presented.try_into().unwrap())];
        let name = format!("{presented} for {host}");
        refused(&name, &issued(params, &ca.issuer), host, path(&ca.file), &["certificate", host]);
    }
    taken(
        "a good wildcard",
        &issued(leaf("*.couchdrop.test"), &ca.issuer),
        "api.couchdrop.test",
        path(&ca.file),
    );
}

#[test]
fn dns_name_of_an_address_and_common_name_are_refused() {
    let ca = Authority::new();
    let mut params = leaf("x.example");
    params.subject_alt_names = vec![SanType::DnsName("127.0.0.1".try_into().unwrap())];
    refused(
        "an address as a DNS name",
        &issued(params, &ca.issuer),
        "127.0.0.1",
        path(&ca.file),
        &["certificate", "not for 127.0.0.1"],
    );

    let mut params = leaf("x.example");
    params.subject_alt_names.clear();
    params.distinguished_name.push(DnType::CommonName, "localhost");
    let parts = ["no name at all", "not for localhost"];
    refused("only a common name", &issued(params, &ca.issuer), "localhost", path(&ca.file), &parts);
}

// ---- issuers

#[test]
fn certificate_of_an_unknown_issuer_is_refused() {
    let (ca, other) = (Authority::new(), Authority::new());
    let unknown = ["a CA that is not trusted here", "unknown issuer"];
    let stranger = CertifiedIssuer::self_signed(authority_params("Stranger"), KeyPair::generate().unwrap());
    let stranger = stranger.unwrap();
    let shown = issued(leaf("localhost"), &stranger);
    refused("an unknown root", &shown, "localhost", path(&ca.file), &unknown);
    let shown = issued(leaf("localhost"), &stranger).with(&[&stranger]);
    refused("an unknown root that is sent along", &shown, "localhost", path(&ca.file), &unknown);

    let shown = issued(leaf("localhost"), &other.issuer);
    refused("a root of the same name", &shown, "localhost", path(&ca.file), &["certificate"]);

    let middle = intermediate(&ca.issuer, |_| {});
    let shown = issued(leaf("localhost"), &middle);
    refused("a missing intermediate", &shown, "localhost", path(&ca.file), &unknown);
    taken("with the intermediate", &shown.with(&[&middle]), "localhost", path(&ca.file));
}

#[test]
fn self_signed_certificate_is_named() {
    let ca = Authority::new();
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = leaf("localhost");
        params.is_ca = is_ca;
        let parts = ["is self-signed and not trusted here"];
        refused("self-signed", &self_signed(&params), "localhost", path(&ca.file), &parts);
    }
}

#[test]
fn chain_that_violates_ca_constraints_is_refused() {
    let ca = Authority::new();
    let host = "localhost";
    for (name, is_ca) in [("CA:FALSE", IsCa::ExplicitNoCa), ("no basic constraints", IsCa::NoCa)] {
        let middle = intermediate(&ca.issuer, |params| params.is_ca = is_ca);
        let shown = issued(leaf(host), &middle).with(&[&middle]);
        refused(name, &shown, host, path(&ca.file), &["issued by a certificate that is not a CA's"]);
    }

    let middle =
        intermediate(&ca.issuer, |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]);
    let shown = issued(leaf(host), &middle).with(&[&middle]);
    refused("no keyCertSign", &shown, host, path(&ca.file), &["not marked as a CA's", "key usage"]);

    let first = intermediate(&ca.issuer, |params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    let second = intermediate(&first, |params| params.distinguished_name.push(DnType::CommonName, "Second"));
    let shown = issued(leaf(host), &second).with(&[&second, &first]);
    refused("path length", &shown, host, path(&ca.file), &["path length"]);

    for usage in [ExtendedKeyUsagePurpose::ClientAuth, ExtendedKeyUsagePurpose::EmailProtection] {
        let mut params = leaf(host);
        params.extended_key_usages = vec![usage.clone()];
        let shown = issued(params, &ca.issuer);
        refused("usage", &shown, host, path(&ca.file), &["not meant for servers", "extended key usage"]);
        let middle = intermediate(&ca.issuer, |params| params.extended_key_usages = vec![usage]);
        let shown = issued(leaf(host), &middle).with(&[&middle]);
        refused("issuer's usage", &shown, host, path(&ca.file), &["extended key usage"]);
    }
    let mut params = leaf(host);
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    taken("a server's usage", &issued(params, &ca.issuer), host, path(&ca.file));

    let subtree = |name: &str| GeneralSubtree::DnsName(name.to_owned());
    let loopback = GeneralSubtree::IpAddress(CidrSubnet::V4([127, 0, 0, 0], [255, 0, 0, 0]));
    for (host, permitted, excluded) in [
        ("localhost", vec![subtree("example.com")], vec![]),
        ("localhost", vec![], vec![subtree("localhost")]),
        ("api.couchdrop.test", vec![], vec![subtree("couchdrop.test")]),
        ("127.0.0.1", vec![], vec![loopback]),
    ] {
        let middle = intermediate(&ca.issuer, |params| {
            params.name_constraints =
                Some(NameConstraints { permitted_subtrees: permitted, excluded_subtrees: excluded });
        });
        let shown = issued(leaf(host), &middle).with(&[&middle]);
        refused("name constraints", &shown, host, path(&ca.file), &["name constraints"]);
    }

    let mut params = leaf(host);
    let mut extension = CustomExtension::from_oid_content(&[1, 3, 6, 1, 4, 1, 99_999, 1], vec![5, 0]);
    extension.set_criticality(true);
    params.custom_extensions = vec![extension];
    let shown = issued(params, &ca.issuer);
    refused(
        "an unknown critical extension",
        &shown,
        host,
        path(&ca.file),
        &["certificate", "critical extension"],
    );
}

#[test]
fn critical_certificate_policies_are_refused() {
    let ca = Authority::new();
    let any_policy = [0x30, 8, 0x30, 6, 6, 4, 0x55, 0x1d, 0x20, 0];
    let add_policies = |params: &mut CertificateParams, is_critical: bool| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, 32], any_policy.to_vec());
        extension.set_criticality(is_critical);
        params.custom_extensions = vec![extension];
    };
    let with_policies = |is_critical: bool| {
        let mut params = leaf("localhost");
        add_policies(&mut params, is_critical);
        let middle = intermediate(&ca.issuer, |params| add_policies(params, is_critical));
        [
            ("server", issued(params.clone(), &ca.issuer), path(&ca.file).to_owned()),
            ("issuer", issued(leaf("localhost"), &middle).with(&[&middle]), path(&ca.file).to_owned()),
            {
                let shown = self_signed(&params);
                let pin = shown.pem_file();
                ("pin", shown, pin)
            },
        ]
    };
    for (name, shown, ca_file) in with_policies(true) {
        let parts = ["or one of its issuers'", "critical extension", "certificate policies"];
        refused(name, &shown, "localhost", &ca_file, &parts);
    }
    for (name, shown, ca_file) in with_policies(false) {
        taken(name, &shown, "localhost", &ca_file);
    }
    let root = root(|params| add_policies(params, true));
    taken("root", &issued(leaf("localhost"), &root), "localhost", &trust(&[root.der()]));
}

#[test]
fn critical_extension_that_is_processed_is_accepted() {
    let ca = Authority::new();
    let mut params = leaf("localhost");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature]; // rcgen marks it as critical, and name constraints
    let critical = |id: u64, content: &[u8]| {
        let mut extension = CustomExtension::from_oid_content(&[2, 5, 29, id], content.to_vec());
        extension.set_criticality(true);
        extension
    };
    params.subject_alt_names.clear();
    params.custom_extensions = vec![
        critical(17, b"\x30\x0b\x82\x09localhost"),
        critical(31, &[0x30, 0]), // cRLDistributionPoints
        critical(37, b"\x30\x0a\x06\x08\x2b\x06\x01\x05\x05\x07\x03\x01"), // serverAuth
    ];
    let middle = intermediate(&ca.issuer, |params| {
        let permitted_subtrees = vec![GeneralSubtree::DnsName("localhost".to_owned())];
        params.name_constraints = Some(NameConstraints { permitted_subtrees, excluded_subtrees: Vec::new() });
    });
    let shown = issued(params, &middle).with(&[&middle]);
    taken("critical extensions", &shown, "localhost", path(&ca.file));
}

// ---- signatures and encodings

#[test]
fn invalid_signature_is_refused() {
    let ca = Authority::new();
    let mut shown = issued(leaf("localhost"), &ca.issuer);
    let mut changed = shown.chain[0].to_vec();
    *changed.last_mut().unwrap() ^= 1;
    shown.chain[0] = changed.into();
    refused(
        "changed",
        &shown,
        "localhost",
        path(&ca.file),
        &["certificate", "signature that does not match the key of its issuer"],
    );

    let mut shown = issued(leaf("localhost"), &ca.issuer);
    shown.key = KeyPair::generate().unwrap();
    refused(
        "another key",
        &shown,
        "localhost",
        path(&ca.file),
        &["certificate", "does not match the private key"],
    );
}

#[track_caller]
fn openssl(arguments: &[&str]) {
    let done = Command::new("openssl").args(arguments).output().expect("the program openssl");
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Arguments of `openssl req` for a certificate of localhost.
const FOR_LOCALHOST: [&str; 8] = [
    "req",
    "-x509",
    "-subj",
    "/CN=server",
    "-addext",
    "subjectAltName=DNS:localhost",
    "-addext",
    "basicConstraints=CA:FALSE",
];

/// A certificate for localhost, and its CA's file. The CA has a key by `new_key` and signs by `signature`, both
/// arguments of `openssl req`. rcgen does not support most of these algorithms.
fn issued_by_openssl(new_key: &str, signature: &str) -> (Shown, String) {
    let key = KeyPair::generate().unwrap();
    let own_key = file("own.key", key.serialize_pem());
    let [ca, ca_key, leaf] = ["openssl-ca.pem", "openssl-ca.key", "own.pem"].map(|name| file(name, ""));
    let (ca, ca_key) = (path(&ca), path(&ca_key));
    let new_key: Vec<&str> = new_key.split(' ').collect();
    let rest = ["-nodes", "-subj", "/CN=CA", "-out", ca, "-keyout", ca_key];
    openssl(&[&["req", "-x509", "-newkey"], &new_key[..], &rest].concat());
    let signature: Vec<&str> = signature.split_terminator(' ').collect();
    let rest = ["-key", path(&own_key), "-CA", ca, "-CAkey", ca_key, "-out", path(&leaf)];
    openssl(&[&FOR_LOCALHOST[..], &rest, &signature].concat());
    (Shown { chain: vec![CertificateDer::from_pem_file(&leaf).unwrap()], key }, ca.to_owned())
}

/// The paths of a certificate for localhost with a key by `new_key`, and of its key.
fn with_key_by_openssl(new_key: &str, ca: &Authority) -> [String; 2] {
    let ca_key = file("ca.key", ca.issuer.key().serialize_pem());
    let [own, own_key] = ["own.pem", "own.key"].map(|name| path(&file(name, "")).to_owned());
    let new_key: Vec<&str> = new_key.split(' ').collect();
    let rest = ["-nodes", "-CA", path(&ca.file), "-CAkey", path(&ca_key), "-out", &own, "-keyout", &own_key];
    openssl(&[&FOR_LOCALHOST[..], &["-newkey"], &new_key, &rest].concat());
    [own, own_key]
}

const P256: &str = "ec -pkeyopt ec_paramgen_curve:P-256";
const P384: &str = "ec -pkeyopt ec_paramgen_curve:P-384";
const P521: &str = "ec -pkeyopt ec_paramgen_curve:P-521";
/// More primes make the generation of a long key faster.
const RSA_8192: &str = "rsa:8192 -pkeyopt rsa_keygen_primes:5";
const RSA_8200: &str = "rsa:8200 -pkeyopt rsa_keygen_primes:5";

#[test]
fn signature_by_a_supported_algorithm_is_accepted() {
    for (key, signature) in [
        ("rsa:2048", "-sha256"),
        ("rsa:2048", "-sha384"),
        ("rsa:2048", "-sha512"),
        ("rsa:2048", "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"),
        ("rsa:2048", "-sha384 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"),
        ("rsa:2048", "-sha512 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:digest"),
        (RSA_8192, "-sha256"),
        (P256, "-sha256"),
        (P256, "-sha384"),
        (P384, "-sha256"),
        (P384, "-sha384"),
        ("ed25519", ""),
        // The signature of the root itself is not verified.
        ("rsa:2048 -sha1", "-sha256"),
        ("ec -pkeyopt ec_paramgen_curve:P-256 -sha512", "-sha256"),
    ] {
        let (shown, ca_file) = issued_by_openssl(key, signature);
        taken(&format!("{key} {signature}"), &shown, "localhost", &ca_file);
    }
}

#[test]
fn signature_by_another_algorithm_is_named() {
    for (key, signature, parts) in [
        ("rsa:1024", "-sha256", "was issued with an RSA key of 1024 bits; 2048 to 8192 bits are accepted"),
        (RSA_8200, "-sha256", "was issued with an RSA key of 8200 bits; 2048 to 8192 bits are accepted"),
        ("rsa:2048", "-md5", "is signed with RSA and MD5 by a key of type RSA"),
        ("rsa:2048", "-sha1", "is signed with RSA and SHA-1 by a key of type RSA"),
        ("rsa:2048", "-sha224", "is signed with RSA and SHA-224 by a key of type RSA"),
        (
            "rsa:2048",
            "-sha256 -sigopt rsa_padding_mode:pss -sigopt rsa_pss_saltlen:222",
            "is signed with RSA-PSS, SHA-256 and a salt of 222 bytes by a key of type RSA",
        ),
        (
            "rsa-pss",
            "-sha256 -sigopt rsa_pss_saltlen:32",
            "is signed with RSA-PSS, SHA-256 and a salt of 32 bytes by a key of type RSASSA-PSS",
        ),
        (P256, "-sha1", "is signed with ECDSA and SHA-1 by a key of type P-256"),
        (P256, "-sha512", "is signed with ECDSA and SHA-512 by a key of type P-256"),
        (P384, "-sha512", "is signed with ECDSA and SHA-512 by a key of type P-384"),
        (P521, "-sha256", "is signed with ECDSA and SHA-256 by a key of type P-521"),
        (P521, "-sha384", "is signed with ECDSA and SHA-384 by a key of type P-521"),
        (P521, "-sha512", "is signed with ECDSA and SHA-512 by a key of type P-521"),
        (
            "ec -pkeyopt ec_paramgen_curve:brainpoolP256r1",
            "-sha256",
            "is signed with ECDSA and SHA-256 by a key of type brainpoolP256r1",
        ),
        ("ed448", "", "is signed with Ed448 by a key of type Ed448"),
    ] {
        let (shown, ca_file) = issued_by_openssl(key, signature);
        let parts = ["The server's certificate", parts];
        refused(&format!("{key} {signature}"), &shown, "localhost", &ca_file, &parts);
    }
}

#[test]
fn intermediate_by_a_p521_root_is_named() {
    let [root, root_key, csr, certificate, extensions] =
        ["p521.pem", "p521.key", "ca.csr", "ca.pem", "ca.ext"].map(|name| file(name, ""));
    let p521: Vec<&str> = P521.split(' ').collect();
    let rest = ["-nodes", "-subj", "/CN=Root", "-out", path(&root), "-keyout", path(&root_key)];
    openssl(&[&["req", "-x509", "-newkey"], &p521[..], &rest].concat());
    let key = KeyPair::generate().unwrap();
    let key_file = file("ca.key", key.serialize_pem());
    openssl(&["req", "-new", "-key", path(&key_file), "-subj", "/CN=Intermediate", "-out", path(&csr)]);
    std::fs::write(&extensions, "basicConstraints=critical,CA:TRUE\n").unwrap();
    let signing =
        ["x509", "-req", "-sha512", "-CA", path(&root), "-CAkey", path(&root_key), "-CAcreateserial"];
    let rest = ["-in", path(&csr), "-extfile", path(&extensions), "-out", path(&certificate)];
    openssl(&[&signing[..], &rest].concat());

    let params = authority_params("Intermediate");
    let issuer = Issuer::from_params(&params, &key);
    let server_key = KeyPair::generate().unwrap();
    let leaf = leaf("localhost").signed_by(&server_key, &issuer).unwrap().der().clone();
    let chain = vec![leaf, CertificateDer::from_pem_file(&certificate).unwrap()];
    let parts = [
        "A CA certificate that the server sent is signed with ECDSA and SHA-512 by a key of type P-521",
        "P-256, P-384 or Ed25519",
    ];
    let shown = Shown { chain, key: server_key };
    refused("root", &shown, "localhost", path(&root), &parts);
    // Its own signature is not verified if it is an anchor.
    taken("intermediate as an anchor", &shown, "localhost", path(&certificate));
}

#[test]
fn pin_by_a_p521_ca_is_accepted() {
    let (shown, ca_file) = issued_by_openssl(P521, "-sha512");
    refused("CA", &shown, "localhost", &ca_file, &["P-521"]);
    taken("pin", &shown, "localhost", &shown.pem_file());
}

#[test]
fn server_key_of_an_unsupported_type_is_named() {
    let ca = Authority::new();
    for (new_key, name) in [(P521, "P-521"), ("ed448", "Ed448"), ("rsa-pss", "RSASSA-PSS")] {
        let [own, _] = with_key_by_openssl(new_key, &ca);
        let chain = vec![CertificateDer::from_pem_file(&own).unwrap()];
        // A server that sends such a certificate although the client did not offer the algorithm.
        let shown = Shown { chain, key: KeyPair::generate().unwrap() };
        let parts = [&format!("has a key of type {name}, which this library does not accept"), "Ed25519 key"];
        refused(name, &shown, "localhost", path(&ca.file), &parts);
        refused(&format!("{name}, pinned"), &shown, "localhost", &own, &parts);
    }
    // The certificate has a supported key, and the server signs with a key of another type.
    let [own, _] = with_key_by_openssl("rsa:2048", &ca);
    let chain = vec![CertificateDer::from_pem_file(&own).unwrap()];
    let shown = Shown { chain, key: KeyPair::generate().unwrap() };
    refused("RSA", &shown, "localhost", path(&ca.file), &["does not match the private key"]);
}

#[test]
fn ca_with_same_name_and_other_key_is_named() {
    let ca = Authority::new();
    let other = file("other.pem", "");
    let made = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=FaultServer CA"];
    openssl(&[&made[..], &["-keyout", path(&file("other.key", "")), "-out", path(&other)]].concat());
    let shown = issued(leaf("localhost"), &ca.issuer);
    refused("RSA", &shown, "localhost", path(&other), &["the same name and another key"]);
}

#[test]
fn malformed_certificate_is_refused() {
    let ca = Authority::new();
    let good = issued(leaf("localhost"), &ca.issuer);
    for (name, bytes) in [
        ("garbage", b"garbage".to_vec()),
        ("an empty sequence", vec![0x30, 0]),
        ("truncated", good.chain[0][..200].to_vec()),
        ("trailing bytes", [&good.chain[0][..], b"x"].concat()),
    ] {
        let shown = Shown { chain: vec![bytes.into()], key: KeyPair::generate().unwrap() };
        refused(name, &shown, "localhost", path(&ca.file), &["The server's certificate", "parsed"]);
    }
}

// ---- a server's own certificate as CA file

#[test]
fn pinned_self_signed_certificate_is_accepted() {
    for is_ca in [IsCa::NoCa, IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = leaf("localhost");
        params.is_ca = is_ca;
        let shown = self_signed(&params);
        taken(&format!("{is_ca:?}"), &shown, "localhost", &shown.pem_file());
        refused("wrong name", &shown, "127.0.0.1", &shown.pem_file(), &["localhost", "not for 127.0.0.1"]);

        let other = self_signed(&params);
        refused("same subject", &other, "localhost", &shown.pem_file(), &["certificate"]);
        let thief = Shown { chain: shown.chain.clone(), key: KeyPair::generate().unwrap() };
        refused(
            "without its key",
            &thief,
            "localhost",
            &shown.pem_file(),
            &["does not match the private key"],
        );

        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
        let expired = self_signed(&params);
        refused("expired", &expired, "localhost", &expired.pem_file(), &["expired on", "clock says"]);
    }
}

// ---- anchors and pins

/// A CA file with these certificates.
fn trust(certificates: &[&Certificate]) -> String {
    let text: String = certificates.iter().map(|certificate| rcgen_pem(certificate)).collect();
    path(&file("trust.pem", text)).to_owned()
}

/// A self-signed certificate that can sign others, as far as its key permits.
fn root(change: impl FnOnce(&mut CertificateParams)) -> CertifiedIssuer<'static, KeyPair> {
    root_with(KeyPair::generate().unwrap(), change)
}

fn root_with(key: KeyPair, change: impl FnOnce(&mut CertificateParams)) -> CertifiedIssuer<'static, KeyPair> {
    let mut params = authority_params("Root");
    change(&mut params);
    CertifiedIssuer::self_signed(params, key).unwrap()
}

fn copy_of(key: &KeyPair) -> KeyPair {
    KeyPair::from_pem(&key.serialize_pem()).unwrap()
}

#[test]
fn pinned_certificate_is_not_a_ca() {
    type Change = fn(&mut CertificateParams);
    let pins: [(&str, Change); 4] = [
        ("CA:FALSE", |params| params.is_ca = IsCa::ExplicitNoCa),
        ("no basic constraints", |params| params.is_ca = IsCa::NoCa),
        ("no keyCertSign", |params| params.key_usages = vec![KeyUsagePurpose::DigitalSignature]),
        ("a CA, expired", |params| params.not_after = date_time_ymd(2020, 1, 1)),
    ];
    for (name, change) in pins {
        let pin = root(|params| {
            params.subject_alt_names = vec![SanType::DnsName("a.example".try_into().unwrap())];
            params.not_before = date_time_ymd(2019, 1, 1);
            change(params);
        });
        let shown = issued(leaf("localhost"), &pin).with(&[&pin]);
        refused(name, &shown, "localhost", &trust(&[pin.der()]), &["certificate"]);
    }
}

#[test]
fn pinned_certificate_needs_its_dates_and_purpose() {
    let ca = Authority::new();
    for is_ca in [IsCa::ExplicitNoCa, IsCa::Ca(BasicConstraints::Unconstrained)] {
        let mut params = leaf("localhost");
        params.is_ca = is_ca;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let shown = self_signed(&params);
        refused("for clients", &shown, "localhost", &shown.pem_file(), &["serverAuth"]);
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
        let shown = self_signed(&params);
        taken("for both", &shown, "localhost", &shown.pem_file());
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
        let shown = self_signed(&params);
        refused("not yet valid", &shown, "localhost", &shown.pem_file(), &["not valid before"]);
    }

    // A server's own certificate need not be self-signed, unless it is a CA's.
    let shown = issued(leaf("localhost"), &ca.issuer);
    taken("a leaf", &shown, "localhost", &shown.pem_file());
    let mut params = leaf("localhost");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let shown = issued(params, &ca.issuer);
    refused("a CA", &shown, "localhost", &shown.pem_file(), &["is a CA certificate"]);
}

#[test]
fn root_is_held_to_its_own_limits() {
    let refuse =
        |name: &str, root: &CertifiedIssuer<'static, KeyPair>, middles: &[&Intermediate], word: &str| {
            let issuer = middles.first().copied().unwrap_or(root);
            let shown = issued(leaf("localhost"), issuer).with(middles);
            refused(name, &shown, "localhost", &trust(&[root.der()]), &[word]);
        };
    let expired = root(|params| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 2, 3);
    });
    refuse("expired", &expired, &[], "trusted root of the server's certificate expired on Mon, 03 Feb 2020");
    let early = root(|params| {
        params.not_before = date_time_ymd(2090, 1, 1);
        params.not_after = date_time_ymd(2091, 1, 1);
    });
    refuse("early", &early, &[], "trusted root of the server's certificate is not valid before");
    let for_clients = root(|params| params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth]);
    refuse("for clients", &for_clients, &[], "serverAuth");

    let short = root(|params| params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0)));
    taken("directly", &issued(leaf("localhost"), &short), "localhost", &trust(&[short.der()]));
    let middle = intermediate(&short, |_| {});
    refuse("path length", &short, &[&middle], "path length");

    // A CA that issues to itself, to change its key, does not count.
    let next = intermediate(&short, |params| params.distinguished_name.push(DnType::CommonName, "Root"));
    let shown = issued(leaf("localhost"), &next).with(&[&next]);
    taken("a new key", &shown, "localhost", &trust(&[short.der()]));
}

#[test]
fn path_around_an_expired_root_is_found() {
    let key = KeyPair::generate().unwrap();
    let expire = |params: &mut CertificateParams| {
        params.not_before = date_time_ymd(2019, 1, 1);
        params.not_after = date_time_ymd(2020, 1, 1);
    };
    let old = root_with(copy_of(&key), expire);
    let renewed = root_with(copy_of(&key), |_| {});
    let middle = intermediate(&old, |_| {});
    let shown = || issued(leaf("localhost"), &middle).with(&[&middle]);
    refused("the old one", &shown(), "localhost", &trust(&[old.der()]), &["expired"]);
    for both in [[old.der(), renewed.der()], [renewed.der(), old.der()]] {
        taken("renewed", &shown(), "localhost", &trust(&both));
        taken("renewed, the old one sent", &shown().with(&[&old]), "localhost", &trust(&both));
    }

    let other = Authority::new();
    let crossed =
        CertifiedIssuer::signed_by(authority_params("Root"), copy_of(&key), &*other.issuer).unwrap();
    let both = format!("{}{}", rcgen_pem(old.der()), other.issuer.pem());
    let both = file("trust.pem", both);
    taken("cross-signed", &shown().with(&[&crossed]), "localhost", path(&both));
}

#[test]
fn certificate_with_the_cas_key_is_refused() {
    // The same name and key as the pin, but not the pin itself.
    let key = KeyPair::generate().unwrap();
    let pin = leaf("localhost").self_signed(&key).unwrap();
    let other = Shown { chain: vec![leaf("localhost").self_signed(&key).unwrap().der().clone()], key };
    assert_ne!(other.chain[0], *pin.der());
    refused("another one", &other, "localhost", &trust(&[pin.der()]), &["self-signed"]);
}

// ---- messages

#[test]
fn certificate_names_are_short_and_printable() {
    let ca = Authority::new();
    let mut params = leaf("x.example");
    let san = |name: &str| {
        let name = [&[0x82, name.len() as u8], name.as_bytes()].concat();
        let mut extension = CustomExtension::from_oid_content(
            &[2, 5, 29, 17],
            [&[0x30, name.len() as u8], &name[..]].concat(),
        );
        extension.set_criticality(false);
        extension
    };
    params.subject_alt_names.clear();
    params.custom_extensions = vec![san("moc.\u{202e}elpmaxe\u{200b}\u{1b}[31m")];
    let shown = issued(params, &ca.issuer);
    refused(
        "direction",
        &shown,
        "localhost",
        path(&ca.file),
        &["is for moc.?elpmaxe??[31m, and not for localhost"],
    );

    let mut params = leaf("x.example");
    params.subject_alt_names = (0..300)
        .map(|number| SanType::DnsName(format!("{number:0>200}.example").try_into().unwrap()))
        .collect();
    let (outcome, _) = login(issued(params, &ca.issuer).config(&[&TLS13]), "localhost", path(&ca.file));
    assert_eq!(outcome.code, CD_ERR_TLS as i32);
    assert!(outcome.message.len() < 400, "{}", outcome.message);
}

#[test]
fn chain_over_the_size_limit_is_named() {
    let ca = Authority::new();
    let shown = issued(leaf("localhost"), &ca.issuer);
    let chain = vec![shown.chain[0].clone(); 0x10000 / shown.chain[0].len() + 1];
    refused("64 KiB", &Shown { chain, ..shown }, "localhost", path(&ca.file), &["chain", "limit of 64 KiB"]);
}

#[test]
fn chain_with_too_many_cas_is_named() {
    let mut chain = vec![root(|_| {})];
    let ca_file = trust(&[chain[0].der()]);
    for number in 0..7 {
        let next = intermediate(chain.last().unwrap(), |params| {
            params.distinguished_name.push(DnType::CommonName, format!("CA {number}"));
        });
        chain.push(next);
    }
    let all: Vec<_> = chain.iter().skip(1).rev().collect();
    taken("six", &issued(leaf("localhost"), all[1]).with(&all[1..]), "localhost", &ca_file);
    let shown = issued(leaf("localhost"), all[0]).with(&all);
    refused("seven", &shown, "localhost", &ca_file, &["too many CAs"]);
}

#[test]
fn chain_with_too_many_candidates_is_named() {
    let ca = Authority::new();
    let right = intermediate(&ca.issuer, |_| {});
    let others: Vec<_> = (0..50).map(|_| intermediate(&ca.issuer, |_| {})).collect();
    // Each candidate of the issuer's name costs two signatures, its own and the server's; 100 are checked.
    let shown = |count: usize| {
        let candidates: Vec<_> = others.iter().take(count).chain([&right]).collect();
        issued(leaf("localhost"), &right).with(&candidates)
    };
    taken("50 candidates", &shown(49), "localhost", path(&ca.file));
    refused("51 candidates", &shown(50), "localhost", path(&ca.file), &["so many certificates"]);
}

/// The openssl server, which serves keys that rustls does not.
struct OpensslServer {
    process: Child,
    url: String,
    /// Keeps the pipe open: the server would fail to write to a closed one.
    _output: BufReader<ChildStdout>,
}

impl OpensslServer {
    fn new([certificate, key]: &[String; 2], arguments: &[&str]) -> OpensslServer {
        let mut process = Command::new("openssl")
            .args(["s_server", "-accept", "127.0.0.1:0", "-www", "-cert", certificate, "-key", key])
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut output = BufReader::new(process.stdout.take().unwrap());
        let mut line = String::new();
        let port = loop {
            line.clear();
            assert_ne!(output.read_line(&mut line).unwrap(), 0, "s_server ended: {arguments:?}");
            if let Some(address) = line.strip_prefix("ACCEPT ") {
                break address.trim().rsplit(':').next().unwrap().to_owned();
            }
        };
        OpensslServer { process, url: format!("https://localhost:{port}"), _output: output }
    }
}

impl Drop for OpensslServer {
    fn drop(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

#[test]
fn short_rsa_key_is_named() {
    let ca = Authority::new();
    let own = with_key_by_openssl("rsa:1024", &ca);
    let server = OpensslServer::new(&own, &["-cipher", "DEFAULT@SECLEVEL=0"]);
    let outcome = Client::new(&server.url).ca_file(path(&ca.file)).login();
    assert_refused("1024 bits", &outcome, 0, &["has an RSA key of 1024 bits", "2048"]);
}

#[test]
fn alert_of_a_server_with_a_p521_key_names_the_key() {
    let ca = Authority::new();
    for new_key in [P521, "ed448", "rsa-pss"] {
        let own = with_key_by_openssl(new_key, &ca);
        for version in ["-tls1_2", "-tls1_3"] {
            let server = OpensslServer::new(&own, &[version]);
            let outcome = Client::new(&server.url).ca_file(path(&ca.file)).login();
            let parts = ["alert 40 (handshake_failure)", "RSA, P-256, P-384 or Ed25519 key"];
            assert_refused(&format!("{new_key} {version}"), &outcome, 0, &parts);
        }
    }
    // The same server with a key that is supported does not send the alert.
    for new_key in [P256, P384, "rsa:2048", "ed25519"] {
        let own = with_key_by_openssl(new_key, &ca);
        for version in ["-tls1_2", "-tls1_3"] {
            let server = OpensslServer::new(&own, &[version]);
            let outcome = Client::new(&server.url).ca_file(path(&ca.file)).connect();
            assert_eq!(outcome.code, CD_OK as i32, "{new_key} {version}: {outcome:?}");
        }
    }
}

// ---- versions, ALPN, resumption

/// TLS 1.2 alone and 1.3 alone also work.
#[test]
fn newest_tls_version_is_negotiated() {
    for (versions, negotiated) in [
        (&[&TLS12][..], ProtocolVersion::TLSv1_2),
        (&[&TLS13], ProtocolVersion::TLSv1_3),
        (ALL_VERSIONS, ProtocolVersion::TLSv1_3),
    ] {
        let server = FaultServer::tls(good_server_but(versions, |_| {}), vec![serve(GOOD)]);
        Client::new(&server.url()).login().expect(CD_OK);
        let seen = &server.connections()[0];
        assert_eq!(seen.version, Some(negotiated));
        assert_eq!(seen.alpn.as_deref(), Some(&b"http/1.1"[..]));
        assert_eq!(seen.server_name.as_deref(), Some("localhost"));
    }
}

#[test]
fn session_is_resumed_only_by_its_handle() {
    for version in [&TLS12, &TLS13] {
        let last = GOOD.replace("Content-Length", "Connection: close\r\nContent-Length");
        let server = FaultServer::tls(good_server_but(&[version], |_| {}), vec![serve(last)]);
        let client = Client::new(&server.url());
        for login in 1..=2 {
            client.login().expect(CD_OK);
            server.wait_until_over(login);
        }
        Client::new(&server.url()).login().expect(CD_OK);
        let resumed: Vec<_> = server.connections().iter().map(Seen::is_resumed).collect();
        assert_eq!(resumed, [false, true, false], "{version:?}");
    }
}

/// A server without ALPN is accepted.
#[test]
fn other_alpn_protocol_is_refused() {
    for version in [&TLS12, &TLS13] {
        let config = good_server_but(&[version], |config| config.alpn_protocols = vec![b"h2".to_vec()]);
        let server = FaultServer::tls(config, vec![serve(GOOD)]);
        let outcome = Client::new(&server.url()).login();
        assert_refused("h2", &outcome, 0, &["alert 120 (no_application_protocol)", "HTTP/1.1"]);
        assert_eq!(server.wait_until_over(1)[0].received, b"");

        let config = good_server_but(&[version], |config| config.alpn_protocols.clear());
        let server = FaultServer::tls(config, vec![serve(GOOD)]);
        Client::new(&server.url()).login().expect(CD_OK);
    }
}

// ---- raw bytes

fn record(kind: u8, version: u16, body: &[u8]) -> Vec<u8> {
    let [high, low] = version.to_be_bytes();
    let length = (body.len() as u16).to_be_bytes();
    [&[kind, high, low], &length[..], body].concat()
}

fn handshake_message(kind: u8, body: &[u8]) -> Vec<u8> {
    [&[kind], &(body.len() as u32).to_be_bytes()[1..], body].concat()
}

/// A ServerHello with no session, and these extensions, already encoded.
fn server_hello(
    version: u16,
    random_end: &[u8; 8],
    cipher: u16,
    compression: u8,
    extensions: &[u8],
) -> Vec<u8> {
    let mut body = version.to_be_bytes().to_vec();
    body.extend([7; 24]);
    body.extend(random_end);
    body.push(0);
    body.extend(cipher.to_be_bytes());
    body.push(compression);
    if !extensions.is_empty() {
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
    }
    record(22, version, &handshake_message(2, &body))
}

/// The server responds to the first message with this. The login ends with `CD_ERR_TLS`, and its message contains these
/// parts.
#[track_caller]
fn refused_raw(name: &str, response: Vec<u8>, parts: &[&str]) {
    let server = FaultServer::plain(vec![vec![Read(5), Raw(response)]]);
    let client = Client::new(&server.https_url());
    assert_refused(name, &client.login(), 0, parts);
    drop(client);
    let seen = server.wait_until_over(1);
    assert_eq!(seen.len(), 1, "{name}");
    assert_no_application_data(name, &seen[0].received);
}

/// Every record is a handshake record or an alert, so none can contain a request.
#[track_caller]
fn assert_no_application_data(name: &str, mut records: &[u8]) {
    while let [kind, _, _, high, low, rest @ ..] = records {
        assert!([20, 21, 22].contains(kind), "{name}: a record of kind {kind}");
        records = &rest[usize::from(u16::from_be_bytes([*high, *low]))..];
    }
    assert_eq!(records, b"", "{name}");
}

const ECDHE_ECDSA_AES128_GCM: u16 = 0xc02b;

#[test]
fn tls_before_1_2_is_refused() {
    for (name, version) in [("SSL 3.0", 0x0300), ("TLS 1.0", 0x0301), ("TLS 1.1", 0x0302)] {
        refused_raw(name, server_hello(version, &[7; 8], 0xc009, 0, &[]), &["neither TLS 1.2 nor TLS 1.3"]);
    }
}

/// A downgrade, a weak cipher suite or compression.
#[test]
fn insecure_server_hello_is_refused() {
    let hello = |random: &[u8; 8], cipher, compression, extensions: &[u8]| {
        server_hello(0x0303, random, cipher, compression, extensions)
    };
    refused_raw(
        "downgrade",
        hello(b"DOWNGRD\x01", ECDHE_ECDSA_AES128_GCM, 0, &[]),
        &["rules of TLS", "downgrade"],
    );
    for (name, cipher) in [("RC4", 0x0005), ("no cipher suite", 0x0000), ("CBC", 0xc009), ("RSA", 0x009c)] {
        refused_raw(name, hello(&[7; 8], cipher, 0, &[]), &["rules of TLS", "cipher suite"]);
    }
    refused_raw(
        "compression",
        hello(&[7; 8], ECDHE_ECDSA_AES128_GCM, 1, &[]),
        &["rules of TLS", "compression"],
    );
    let alpn = [0, 16, 0, 5, 0, 3, 2, b'h', b'2'];
    refused_raw(
        "ALPN",
        hello(&[7; 8], ECDHE_ECDSA_AES128_GCM, 0, &alpn),
        &["rules of TLS", "application protocol"],
    );
    let unasked = [0x33, 0x33, 0, 0];
    refused_raw(
        "extension",
        hello(&[7; 8], ECDHE_ECDSA_AES128_GCM, 0, &unasked),
        &["rules of TLS", "extension"],
    );
}

#[test]
fn non_tls_response_is_refused_with_a_port_hint() {
    for (name, bytes) in [
        ("HTTP", b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n".to_vec()),
        ("SSH", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec()),
        ("SMTP", b"220 mail.example ESMTP\r\n".to_vec()),
        ("zeros", vec![0; 64]),
        ("ones", vec![0xff; 64]),
        ("an empty record", record(22, 0x0303, b"")),
        ("a too long record", record(22, 0x0303, &[7; 0x4801])),
        ("a record of an unknown kind", record(99, 0x0303, b"x")),
        ("a message of garbage", record(22, 0x0303, &handshake_message(2, b"garbage"))),
    ] {
        refused_raw(name, bytes, &["TLS", "https port"]);
    }
}

#[test]
fn handshake_message_out_of_order_is_refused() {
    let parts = ["out of order"];
    refused_raw("HelloRequest", record(22, 0x0303, &handshake_message(0, b"")), &parts);
    refused_raw("Certificate", record(22, 0x0303, &handshake_message(11, &[0, 0, 0])), &parts);
    refused_raw("ServerHelloDone", record(22, 0x0303, &handshake_message(14, b"")), &parts);
    refused_raw("application data", record(23, 0x0303, b"HTTP/1.1 200 OK\r\n\r\n"), &parts);
}

#[test]
fn alert_ends_the_handshake_and_is_named() {
    for number in 1..=255 {
        let name = format!("the alert {number} (");
        refused_raw(&name, record(21, 0x0303, &[2, number]), &[&name, "): "]);
    }
    // The close_notify of a server that closes cleanly.
    let server = FaultServer::plain(vec![vec![Read(5), Raw(record(21, 0x0303, &[1, 0])), Step::Cut]]);
    let outcome = Client::new(&server.https_url()).login().expect(CD_ERR_CONNECTION_LOST);
    assert_eq!(outcome.attempts, 0);
}

#[test]
fn plaintext_bytes_in_a_tls_response_are_refused() {
    for version in [&TLS12, &TLS13] {
        let hello_request = record(22, 0x0303, &handshake_message(0, b""));
        for bytes in [hello_request, record(23, 0x0303, &[7; 64]), b"HTTP/1.1 200 OK\r\n\r\n".to_vec()] {
            let config = good_server_but(&[version], |config| config.send_tls13_tickets = 0);
            let server = FaultServer::tls(config, vec![vec![Request, Raw(bytes)]]);
            let outcome = Client::new(&server.url()).login();
            assert_refused("past TLS", &outcome, 1, &["TLS"]);
            assert_eq!(server.wait_until_over(1)[0].requests, 1);
        }
    }
}

// ---- network faults during a handshake

/// Settings whose handshake always has the same length, and the CA file for them.
fn of_constant_length(version: &'static rustls::SupportedProtocolVersion) -> (ServerConfig, String) {
    let key = KeyPair::generate_for(&PKCS_ED25519).unwrap();
    let shown = Shown { chain: vec![leaf("localhost").self_signed(&key).unwrap().der().clone()], key };
    let mut config = shown.config(&[version]);
    config.send_tls13_tickets = 0;
    (config, shown.pem_file())
}

#[test]
fn truncated_handshake_is_a_lost_connection() {
    thread::scope(|scope| {
        for (version, end) in
            [(&TLS12, Step::Cut), (&TLS12, Step::Reset), (&TLS13, Step::Cut), (&TLS13, Step::Reset)]
        {
            scope.spawn(move || {
                let (config, ca_file) = of_constant_length(version);
                let config = Arc::new(config);
                let mut ends = Vec::new();
                loop {
                    let cut = CutAfter { bytes: ends.len(), end: Box::new(end.clone()) };
                    let server = FaultServer::tls(
                        Arc::clone(&config),
                        vec![vec![cut, Handshake, Request, send(GOOD)]],
                    );
                    let client = Client::new(&server.url()).ca_file(&ca_file);
                    let outcome = client.login();
                    drop(client);
                    let seen = server.wait_until_over(1);
                    if seen[0].requests > 0 {
                        break; // beyond the handshake: this cut the response
                    }
                    assert!(seen[0].cut);
                    ends.push(outcome);
                }
                // After the last byte of the handshake the request may already be sent.
                ends.pop();
                assert!(ends.len() > 400, "{} bytes", ends.len());
                for (bytes, outcome) in ends.iter().enumerate() {
                    let what = format!("{version:?}, {end:?} after {bytes} bytes: {outcome:?}");
                    assert_eq!(outcome.code, CD_ERR_CONNECTION_LOST as i32, "{what}");
                    assert_eq!((outcome.attempts, outcome.http_status), (0, 0), "{what}");
                    assert!(outcome.message.contains("in the TLS handshake"), "{what}");
                }
            });
        }
    });
}

/// Passes records on, but garbles the message with this number: a plaintext handshake message, or a record of any other
/// kind.
struct Garbler {
    message: usize,
    seen: usize,
    unread: Vec<u8>,
    encrypted: bool,
}

impl Garbler {
    fn pass(&mut self, part: &[u8]) -> Vec<u8> {
        self.unread.extend_from_slice(part);
        let mut passed = Vec::new();
        while self.unread.len() >= 5 {
            let length = 5 + usize::from(u16::from_be_bytes([self.unread[3], self.unread[4]]));
            if self.unread.len() < length {
                break;
            }
            let mut record: Vec<u8> = self.unread.drain(..length).collect();
            let in_plain = record[0] == 22 && !self.encrypted;
            self.encrypted |= record[0] == 20;
            let mut rest = &mut record[5..];
            while !rest.is_empty() {
                let header = if in_plain { 4 } else { 0 };
                let length = if in_plain {
                    header + u32::from_be_bytes([0, rest[1], rest[2], rest[3]]) as usize
                } else {
                    rest.len()
                };
                let (message, after) = rest.split_at_mut(length);
                if self.seen == self.message {
                    // The length is unchanged, or the client would wait for more.
                    let from = if length > header { header } else { 0 };
                    let to = if length > header { length } else { 1 };
                    message[from..to].iter_mut().for_each(|byte| *byte ^= 0x55);
                }
                self.seen += 1;
                rest = after;
            }
            passed.extend(record);
        }
        passed
    }
}

#[test]
fn garbage_as_handshake_message_is_refused() {
    // TLS 1.2: ServerHello, Certificate, ServerKeyExchange, ServerHelloDone, ChangeCipherSpec, Finished. TLS 1.3:
    // ServerHello, ChangeCipherSpec, and the encrypted records.
    for (version, least) in [(&TLS12, 6), (&TLS13, 3)] {
        let mut message = 0;
        loop {
            let config = good_server_but(&[version], |config| config.send_tls13_tickets = 0);
            let server = FaultServer::tls(config, vec![serve(GOOD)]);
            let relay = Relay::changing(server.address(), move || {
                let mut garbler = Garbler { message, seen: 0, unread: Vec::new(), encrypted: false };
                move |part: &[u8]| garbler.pass(part)
            });
            let client = Client::new(&format!("https://localhost:{}", relay.port()));
            let outcome = client.login();
            drop(client);
            let seen = server.wait_until_over(1);
            // The first record after the handshake is the response.
            if seen[0].requests > 0 {
                assert_refused("the response", &outcome, 1, &["could not be decrypted"]);
                break;
            }
            assert_refused(&format!("message {message} of {version:?}"), &outcome, 0, &["TLS"]);
            assert_eq!(seen[0].received, b"");
            message += 1;
        }
        assert!(message >= least, "{message} messages of {version:?}");
    }
}
