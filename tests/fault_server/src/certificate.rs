//! Valid certificates and TLS settings for servers, from which the tests derive the faulty ones.

use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::{env, fs};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair, KeyUsagePurpose};
use rustls::crypto::ring::default_provider;
use rustls::crypto::{CryptoProvider, SupportedKxGroup};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ALL_VERSIONS, ServerConfig, SupportedProtocolVersion};

/// A CA, and the CA file that makes a client trust it.
pub struct Authority {
    pub issuer: CertifiedIssuer<'static, KeyPair>,
    pub file: PathBuf,
}

impl Authority {
    pub fn new() -> Authority {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, "FaultServer CA");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let file = file("ca.pem", issuer.pem());
        Authority { issuer, file }
    }
}

/// The CA of this program's valid servers.
fn authority() -> &'static Authority {
    static AUTHORITY: OnceLock<Authority> = OnceLock::new();
    AUTHORITY.get_or_init(Authority::new)
}

/// The CA file that makes a client trust [`good_server`].
pub fn ca_file() -> &'static str {
    authority().file.to_str().unwrap()
}

/// A certificate for localhost that is valid in all respects, and its key.
fn good_certificate() -> &'static (CertificateDer<'static>, KeyPair) {
    static MADE: OnceLock<(CertificateDer<'static>, KeyPair)> = OnceLock::new();
    MADE.get_or_init(|| {
        let names = ["localhost", "127.0.0.1", "::1", "api.couchdrop.test"].map(str::to_owned);
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(names).unwrap();
        (params.signed_by(&key, &authority().issuer).unwrap().der().clone(), key)
    })
}

/// A valid TLS configuration.
pub fn good_server() -> Arc<ServerConfig> {
    static CONFIG: OnceLock<Arc<ServerConfig>> = OnceLock::new();
    Arc::clone(CONFIG.get_or_init(|| good_server_but(ALL_VERSIONS, |_| {})))
}

/// The same with these versions and a change.
pub fn good_server_but(versions: Versions<'_>, change: impl FnOnce(&mut ServerConfig)) -> Arc<ServerConfig> {
    let (certificate, key) = good_certificate();
    let mut config = server_config(vec![certificate.clone()], key, versions);
    change(&mut config);
    Arc::new(config)
}

pub type Versions<'a> = &'a [&'static SupportedProtocolVersion];

pub fn server_config(chain: Vec<CertificateDer<'static>>, key: &KeyPair, versions: Versions) -> ServerConfig {
    config_of(default_provider(), chain, key, versions)
}

/// Same as [`good_server`], with only these key exchange groups.
pub fn good_server_of(groups: &[&'static dyn SupportedKxGroup], versions: Versions) -> Arc<ServerConfig> {
    let provider = CryptoProvider { kx_groups: groups.to_vec(), ..default_provider() };
    let (certificate, key) = good_certificate();
    Arc::new(config_of(provider, vec![certificate.clone()], key, versions))
}

fn config_of(
    provider: CryptoProvider,
    chain: Vec<CertificateDer<'static>>,
    key: &KeyPair,
    versions: Versions,
) -> ServerConfig {
    let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(versions)
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .unwrap();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config
}

/// Writes a file for this program alone, beside the program.
pub fn file(name: &str, content: impl AsRef<[u8]>) -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    let program = env::current_exe().unwrap();
    let program_name = program.file_name().unwrap().to_string_lossy();
    let path = program.with_file_name(format!("{program_name}-{number}-{name}"));
    fs::write(&path, content).unwrap();
    path
}
