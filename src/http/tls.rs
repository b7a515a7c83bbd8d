//! The TLS configuration of an options handle, and its resumable sessions.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustls::client::{
    ClientSessionMemoryCache, ClientSessionStore, Resumption, Tls12ClientSessionValue,
    Tls13ClientSessionValue,
};
use rustls::crypto::KeyProvider;
use rustls::pki_types::{PrivateKeyDer, ServerName, UnixTime};
use rustls::sign::SigningKey;
use rustls::{ClientConfig, NamedGroup};

use crate::ca_file::Unusable;
use crate::context::CallContext;
use crate::error::ErrorKind;
use crate::http::key_exchange::X25519MlKem768;
use crate::http::root_cache::RootCache;
use crate::http::trust::{Roots, Stores, Trust};
use crate::http::verifier::Verifier;
use crate::limits::{MAX_SESSION_AGE, MAX_SESSIONS};
use crate::logger::Level;
use crate::sys::clock::uptime;

/// The TLS settings of one options handle in one process.
pub struct Tls {
    trust: Trust,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    made: Option<Made>,
    /// The log has a warning that a store can't be read again.
    has_warned: bool,
}

/// A configuration with its resumable sessions.
struct Made {
    config: Arc<ClientConfig>,
    verifier: Arc<Verifier>,
    made_at: Duration,
}

impl Made {
    /// True if a new connection may use it: the trusted certificates are unchanged, and its sessions are still valid.
    fn is_usable(&self, stores: &Stores, uptime: Duration, now: UnixTime) -> bool {
        stores.are_unchanged(self.verifier.roots())
            && uptime.saturating_sub(self.made_at) < MAX_SESSION_AGE
            && self.verifier.is_still_valid(now)
    }
}

impl Tls {
    pub fn new(trust: &Trust) -> Tls {
        Tls { trust: trust.clone(), state: Mutex::default() }
    }

    /// Returns the settings for a new connection. The trust store is read before the lock is taken, since reading may
    /// hang.
    pub fn config(&self, call: &CallContext, cache: &RootCache) -> Result<Arc<ClientConfig>, ErrorKind> {
        call.ensure_same_process()?;
        let stores = match self.trust.stores(cache) {
            Ok(stores) => stores,
            // The process caches a few stores; a handle keeps its own.
            Err(kind) => match &self.lock().made {
                Some(made) => Stores {
                    roots: made.verifier.roots().to_vec(),
                    stale: vec![Unusable::new(kind.to_string())],
                },
                None => return Err(kind),
            },
        };
        let (uptime, now) = (uptime(), UnixTime::now());
        let is_usable = |made: &&Made| made.is_usable(&stores, uptime, now);
        let ready =
            |state: &State| state.made.as_ref().filter(is_usable).map(|made| Arc::clone(&made.config));
        let found = ready(&self.lock());
        let (config, is_new) = match found {
            Some(config) => (config, false),
            None => {
                let made = make(stores.roots.clone(), uptime)?;
                let mut state = self.lock();
                // Another thread may have stored a configuration, which may have sessions.
                match ready(&state) {
                    Some(config) => (config, false),
                    None => (Arc::clone(&state.made.insert(made).config), true),
                }
            }
        };
        let warns = {
            let is_stale = !stores.stale.is_empty();
            let has_warned = std::mem::replace(&mut self.lock().has_warned, is_stale);
            is_stale && !has_warned
        };
        if is_new {
            log_roots(call, &stores.roots);
        }
        if warns {
            for why in &stores.stale {
                call.log(Level::Warn, || {
                    format!("a trust store can't be read again, using the certificates that were read before: {why}")
                });
            }
        }
        Ok(config)
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn log_roots(call: &CallContext, roots: &[Roots]) {
    if roots.iter().any(|roots| matches!(roots, Roots::BuiltIn)) {
        let count = webpki_roots::TLS_SERVER_ROOTS.len();
        call.log(Level::Warn, || {
            format!("this machine has no trust store: using the {count} built-in roots of Mozilla")
        });
        return;
    }
    call.log(Level::Debug, || {
        let (mut anchors, mut pins) = (0, 0);
        for roots in roots {
            if let Roots::Certificates(certificates) = roots {
                anchors += certificates.iter().filter(|trusted| trusted.is_anchor()).count();
                pins +=
                    certificates.iter().filter(|trusted| trusted.is_pin() && !trusted.is_anchor()).count();
            }
        }
        format!("root certificates trusted: {anchors}; certificates trusted as a server's own: {pins}")
    });
}

fn make(roots: Vec<Roots>, made_at: Duration) -> Result<Made, ErrorKind> {
    // ring verifies neither P-521 nor ECDSA with SHA-512. RustCrypto's p521, p256 and p384 0.13 with ecdsa 0.16 do.
    // They add at least 20 crates to the shipped ones (`cargo tree -e normal`). `algorithms.rs` names the refused
    // algorithms.
    let mut provider = rustls::crypto::ring::default_provider();
    provider.key_provider = &NoKeys;
    provider.kx_groups.insert(0, &X25519MlKem768);
    let failed = |why: &dyn fmt::Display| ErrorKind::Internal(format!("TLS can't be set up: {why}").into());
    let verifier = Arc::new(Verifier::new(roots, provider.signature_verification_algorithms));
    let mut config = ClientConfig::builder_with_provider(Arc::new(provider))
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .map_err(|error| failed(&error))?
        .dangerous() // required for any custom verifier; this one calls webpki
        .with_custom_certificate_verifier(Arc::clone(&verifier) as _)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    config.resumption = Resumption::store(Arc::new(Sessions(ClientSessionMemoryCache::new(MAX_SESSIONS))));
    Ok(Made { config: Arc::new(config), verifier, made_at })
}

/// The resumable sessions, and the key exchange group that the next connection offers first.
#[derive(Debug)]
struct Sessions(ClientSessionMemoryCache);

impl ClientSessionStore for Sessions {
    /// After X25519 the next connection offers X25519MLKEM768 again. Both shares are in one message, and one of several
    /// servers without the hybrid group must not disable it for the others.
    fn set_kx_hint(&self, server: ServerName<'static>, group: NamedGroup) {
        let hint = if group == NamedGroup::X25519 { NamedGroup::X25519MLKEM768 } else { group };
        self.0.set_kx_hint(server, hint);
    }

    fn kx_hint(&self, server: &ServerName<'_>) -> Option<NamedGroup> {
        self.0.kx_hint(server)
    }

    fn set_tls12_session(&self, server: ServerName<'static>, session: Tls12ClientSessionValue) {
        self.0.set_tls12_session(server, session);
    }

    fn tls12_session(&self, server: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        self.0.tls12_session(server)
    }

    fn remove_tls12_session(&self, server: &ServerName<'static>) {
        self.0.remove_tls12_session(server);
    }

    fn insert_tls13_ticket(&self, server: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        self.0.insert_tls13_ticket(server, ticket);
    }

    fn take_tls13_ticket(&self, server: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        self.0.take_tls13_ticket(server)
    }
}

/// A login has no private key, so the signing code is not linked.
#[derive(Debug)]
struct NoKeys;

impl KeyProvider for NoKeys {
    fn load_private_key(&self, _: PrivateKeyDer<'static>) -> Result<Arc<dyn SigningKey>, rustls::Error> {
        Err(rustls::Error::General("a login has no private key".into()))
    }
}
