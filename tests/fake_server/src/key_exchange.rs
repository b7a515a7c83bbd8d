//! The server's side of X25519MLKEM768 (draft-ietf-tls-ecdhe-mlkem), which rustls offers only with another provider.

use libcrux_ml_kem::mlkem768::{self, MlKem768PublicKey};
use tokio_rustls::rustls::crypto::ring::{default_provider, kx_group::X25519};
use tokio_rustls::rustls::crypto::{
    ActiveKeyExchange, CompletedKeyExchange, CryptoProvider, SharedSecret, SupportedKxGroup,
};
use tokio_rustls::rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

/// The length of a client's share of ML-KEM-768 (FIPS 203, table 3). Its share of X25519 follows.
const ENCAPSULATION_KEY_BYTES: usize = 1184;

/// The server's crypto provider: ring's, with X25519MLKEM768 before its groups.
pub fn crypto_provider() -> CryptoProvider {
    let mut provider = default_provider();
    provider.kx_groups.insert(0, &X25519MlKem768);
    provider
}

#[derive(Debug)]
struct X25519MlKem768;

impl SupportedKxGroup for X25519MlKem768 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        Err(Error::General("only a client starts it".to_owned()))
    }

    fn start_and_complete(&self, client: &[u8]) -> Result<CompletedKeyExchange, Error> {
        let (key, x25519) =
            client.split_first_chunk::<ENCAPSULATION_KEY_BYTES>().ok_or(PeerMisbehaved::InvalidKeyShare)?;
        let key = MlKem768PublicKey::from(key);
        if !mlkem768::validate_public_key(&key) {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        let mut random = [0; 32];
        default_provider().secure_random.fill(&mut random)?;
        let (ciphertext, secret) = mlkem768::encapsulate(&key, random);
        let x25519 = X25519.start_and_complete(x25519)?;
        Ok(CompletedKeyExchange {
            group: self.name(),
            pub_key: [ciphertext.as_slice(), &x25519.pub_key[..]].concat(),
            secret: SharedSecret::from([&secret, x25519.secret.secret_bytes()].concat()),
        })
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}
