//! State that all options of one process share.

use crate::http::dns::Resolver;
use crate::http::root_cache::RootCache;
use crate::sys::fork_detect::Generation;
use crate::sys::fork_local::ForkLocal;

pub struct Shared {
    pub resolver: Resolver,
    pub roots: RootCache,
}

static SHARED: ForkLocal<Shared> = ForkLocal::new();

/// Returns the state of this process. A child begins with the roots of its parent.
pub fn shared(generation: Generation) -> &'static Shared {
    SHARED.get(generation, |parent| Shared {
        resolver: Resolver::default(),
        roots: parent.map(|parent| parent.roots.of_parent()).unwrap_or_default(),
    })
}
