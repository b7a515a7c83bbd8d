//! X25519MLKEM768 for TLS 1.3 (draft-ietf-tls-ecdhe-mlkem): ML-KEM-768 (FIPS 203) combined with X25519. A connection
//! that is recorded today stays confidential as long as one of the two is secure.

use libcrux_ml_kem::mlkem768::{self, MlKem768Ciphertext, MlKem768KeyPair};
use rustls::crypto::ring::{default_provider, kx_group::X25519};
use rustls::crypto::{ActiveKeyExchange, SharedSecret, SupportedKxGroup};
use rustls::{Error, NamedGroup, PeerMisbehaved, ProtocolVersion};

use crate::secret::{self, wipe_stack};

/// FIPS 203, table 3. A server's share is the ciphertext followed by its X25519 share.
const CIPHERTEXT_BYTES: usize = 1088;

#[derive(Debug)]
pub struct X25519MlKem768;

impl SupportedKxGroup for X25519MlKem768 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, Error> {
        let exchange = Exchange::start();
        wipe_stack();
        Ok(exchange?)
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }

    fn usable_for_version(&self, version: ProtocolVersion) -> bool {
        version == ProtocolVersion::TLSv1_3
    }
}

/// The private keys, which exist until the server's share arrives. The allocator wipes them.
struct Exchange {
    ml_kem: MlKem768KeyPair,
    x25519: Box<dyn ActiveKeyExchange>,
    share: Vec<u8>,
}

impl Exchange {
    #[inline(never)]
    fn start() -> Result<Box<Exchange>, Error> {
        let mut seed = [0; 64];
        default_provider().secure_random.fill(&mut seed)?;
        Exchange::from_seed(seed)
    }

    fn from_seed(seed: [u8; 64]) -> Result<Box<Exchange>, Error> {
        let ml_kem = mlkem768::generate_key_pair(seed);
        let x25519 = X25519.start()?;
        let share = [ml_kem.pk(), x25519.pub_key()].concat();
        Ok(Box::new(Exchange { ml_kem, x25519, share }))
    }

    #[inline(never)]
    fn shared_secret(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        let (ciphertext, x25519) =
            server.split_first_chunk::<CIPHERTEXT_BYTES>().ok_or(PeerMisbehaved::InvalidKeyShare)?;
        let Exchange { ml_kem, x25519: ours, .. } = *self;
        let x25519 = ours.complete(x25519)?;
        let mut ml_kem = mlkem768::decapsulate(ml_kem.private_key(), &MlKem768Ciphertext::from(ciphertext));
        let secret = [&ml_kem, x25519.secret_bytes()].concat();
        secret::wipe(&mut ml_kem);
        Ok(SharedSecret::from(secret))
    }
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        let secret = self.shared_secret(server);
        wipe_stack();
        secret
    }

    fn hybrid_component(&self) -> Option<(NamedGroup, &[u8])> {
        Some((NamedGroup::X25519, self.x25519.pub_key()))
    }

    fn complete_hybrid_component(self: Box<Self>, server: &[u8]) -> Result<SharedSecret, Error> {
        self.x25519.complete(server)
    }

    fn pub_key(&self) -> &[u8] {
        &self.share
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519MLKEM768
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn exchange(seed: &[u8]) -> Box<Exchange> {
        Exchange::from_seed(seed.try_into().unwrap()).unwrap()
    }

    fn bytes(hex: &str) -> Vec<u8> {
        hex.as_bytes()
            .chunks(2)
            .map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap())
            .collect()
    }

    /// Wycheproof's vectors of ML-KEM-768. The server's side computes X25519's part. The draft concatenates the two:
    /// ML-KEM comes first in the shares and in the secret.
    #[test]
    fn secret_is_that_of_known_vectors() {
        let vectors = include_str!("../../tests/corpus/ml_kem_768.txt");
        let mut tried = 0;
        for line in vectors.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<_> = line.split(' ').map(bytes).collect();
            let [seed, key, ciphertext, secret] = &fields[..] else { panic!("four fields") };
            let exchange = exchange(seed);
            let (ours, x25519) = exchange.pub_key().split_at(key.len());
            assert_eq!(ours, key);
            assert_eq!(exchange.hybrid_component().unwrap(), (NamedGroup::X25519, x25519));
            let server = X25519.start_and_complete(x25519).unwrap();
            let shared = exchange.complete(&[ciphertext, &server.pub_key[..]].concat()).unwrap();
            assert_eq!(shared.secret_bytes(), [secret, server.secret.secret_bytes()].concat());
            tried += 1;
        }
        assert_eq!(tried, 5);
    }

    #[test]
    fn x25519_alone_gives_its_own_secret() {
        let exchange = exchange(&[1; 64]);
        let server = X25519.start_and_complete(exchange.hybrid_component().unwrap().1).unwrap();
        let shared = exchange.complete_hybrid_component(&server.pub_key).unwrap();
        assert_eq!(shared.secret_bytes(), server.secret.secret_bytes());
    }

    #[test]
    fn share_of_another_length_is_an_error() {
        for length in [0, 1, 32, 1087, 1088, 1089, 1119, 1121, 1 << 16] {
            let error = exchange(&[1; 64]).complete(&vec![7; length]).err();
            assert_eq!(error, Some(PeerMisbehaved::InvalidKeyShare.into()), "{length}");
        }
    }
}
