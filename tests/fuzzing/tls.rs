//! A certificate authority made at start, a server with its certificate, and clients that trust it.

use std::sync::{Arc, LazyLock};

use couchdrop::certificates::Certificates;
use couchdrop::http::root_cache::RootCache;
use couchdrop::http::tls::Tls;
use couchdrop::http::trust::Trust;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::crypto::ring::default_provider;
use rustls::pki_types::PrivateKeyDer;
use rustls::version::{TLS12, TLS13};
use rustls::{ClientConfig, ServerConfig, ServerConnection, SupportedProtocolVersion};

use super::lockstep::{self, Peer};

pub struct Material {
    pub trusted: Arc<Certificates>,
    pub client: Arc<ClientConfig>,
    tls12: Arc<ServerConfig>,
    tls13: Arc<ServerConfig>,
}

/// The name that the server's certificate is valid for, in addition to 127.0.0.1.
pub const NAME: &str = "localhost";

pub static MATERIAL: LazyLock<Material> = LazyLock::new(Material::new);

impl Material {
    fn new() -> Material {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new([NAME.to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let certificate = params.signed_by(&key, &authority).unwrap();

        let mut trusted = Certificates::default();
        trusted.add(authority.der(), false).unwrap();
        let trusted = Arc::new(trusted);
        let client = lockstep::run(&mut NoPeer, |call| {
            Tls::new(&Trust::File(Arc::clone(&trusted))).config(call, &RootCache::default()).unwrap()
        });
        let server = |version: &'static SupportedProtocolVersion| {
            let key = PrivateKeyDer::try_from(key.serialize_der()).unwrap();
            let config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
                .with_protocol_versions(&[version])
                .unwrap()
                .with_no_client_auth()
                .with_single_cert(vec![certificate.der().clone()], key)
                .unwrap();
            Arc::new(config)
        };
        Material { trusted, client, tls12: server(&TLS12), tls13: server(&TLS13) }
    }

    pub fn server(&self, old: bool) -> ServerConnection {
        let config = if old { &self.tls12 } else { &self.tls13 };
        let mut server = ServerConnection::new(Arc::clone(config)).expect("a valid configuration");
        server.set_buffer_limit(None);
        server
    }
}

struct NoPeer;

impl Peer for NoPeer {
    fn step(&mut self) -> bool {
        false
    }
}
