//! A certificate authority made at start, and the server certificate that it signs. Both use ECDSA on P-256.

use std::sync::Arc;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
    KeyUsagePurpose,
};
use time::{Duration, OffsetDateTime};
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::key_exchange::crypto_provider;
use crate::proxy::SERVICE;

/// The names that the server certificate is valid for, in addition to the service's own.
const NAMES: [&str; 4] = ["localhost", "127.0.0.1", "::1", "api.couchdrop.test"];

fn names() -> impl Iterator<Item = &'static str> {
    NAMES.into_iter().chain(SERVICE)
}

pub(crate) struct Certificate {
    /// The CA certificate that clients must trust, as PEM.
    pub ca_pem: String,
    /// The TLS configuration of the HTTPS server: TLS 1.2 and 1.3.
    pub tls: Arc<ServerConfig>,
}

impl Certificate {
    pub fn new() -> Result<Self, Error> {
        let mut ca = params("Couchdrop fake server CA", [])?;
        ca.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        ca.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let ca = CertifiedIssuer::self_signed(ca, KeyPair::generate()?)?;

        let mut server = params("Couchdrop fake server", names())?;
        server.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        // Clients that follow RFC 5280 strictly (Python 3.13) refuse a certificate without this extension.
        server.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate()?;
        let server = server.signed_by(&key, &ca)?;

        let key = PrivateKeyDer::try_from(key.serialize_der())?;
        let mut tls = ServerConfig::builder_with_provider(Arc::new(crypto_provider()))
            .with_safe_default_protocol_versions()?
            .with_no_client_auth()
            .with_single_cert(vec![server.der().clone()], key)?;
        tls.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self { ca_pem: ca.pem(), tls: Arc::new(tls) })
    }
}

type Error = Box<dyn std::error::Error + Send + Sync>;

fn params(
    common_name: &str,
    names: impl IntoIterator<Item = &'static str>,
) -> Result<CertificateParams, rcgen::Error> {
    let mut params = CertificateParams::new(names.into_iter().map(str::to_owned).collect::<Vec<_>>())?;
    params.distinguished_name.push(DnType::CommonName, common_name);
    let now = OffsetDateTime::now_utc();
    params.not_before = now - Duration::days(1);
    params.not_after = now + Duration::days(365);
    Ok(params)
}
