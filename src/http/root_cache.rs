//! The roots that a process has read.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use crate::ca_file::Unusable;
use crate::certificates::Certificates;
use crate::http::root_source::{Source, Stamp, first_existing};
use crate::http::trust::Roots;
use crate::limits::MAX_CACHED_STORES;
use crate::sys::fork_snapshot::Snapshot;

/// The roots that a process has read, for all its options. A changed file is read again; if that fails, the previous
/// certificates are kept. No lock is held during access to files, since a file system may hang.
#[derive(Default)]
pub struct RootCache {
    known: Snapshot<Arc<Known>>,
    /// Held while `known` is replaced, so that no change is lost.
    changing: Mutex<()>,
}

#[derive(Clone, Default)]
struct Known {
    /// The oldest is first.
    sources: Vec<Arc<CachedStore>>,
    /// The system's bundle, once one was found. If it disappears, no other bundle is used.
    bundle: Option<&'static Path>,
}

struct CachedStore {
    source: Source,
    stamp: Stamp,
    certificates: Arc<Certificates>,
}

/// The result of reading a source.
pub struct Read {
    pub roots: Roots,
    /// The reason why these are from an earlier read.
    pub stale: Option<Unusable>,
}

impl Read {
    fn new(certificates: Arc<Certificates>, stale: Option<Unusable>) -> Read {
        Read { roots: Roots::Certificates(certificates), stale }
    }
}

impl RootCache {
    /// A forked child's own cache, with the certificates that its parent had read.
    pub fn of_parent(&self) -> RootCache {
        RootCache { known: self.known.of_parent(), changing: Mutex::default() }
    }

    /// Reads the first of these bundles. Returns the built-in roots if this process has found no bundle yet.
    pub fn read_system(&self, bundles: &'static [&'static str]) -> Result<Read, Unusable> {
        let known = self.known.get().bundle;
        match known.or_else(|| first_existing(bundles)) {
            Some(bundle) => {
                if known.is_none() {
                    self.change(|known| known.bundle = Some(bundle));
                }
                self.read(&Source::Bundle(bundle))
            }
            None => Ok(Read { roots: Roots::BuiltIn, stale: None }),
        }
    }

    pub fn read(&self, source: &Source) -> Result<Read, Unusable> {
        let stamp = source.stamp();
        let Some(cached) = self.known.get().find(source) else {
            let certificates = source.read(false)?;
            return Ok(Read::new(self.store(source, stamp, certificates), None));
        };
        let before = Arc::clone(&cached.certificates);
        if cached.stamp.is_unchanged(&stamp) {
            return Ok(Read::new(before, None));
        }
        match source.read(true) {
            Ok(certificates) if certificates.is_empty() && !before.is_empty() => {
                let why = Unusable::new(format!("{source} no longer contains a certificate"));
                Ok(Read::new(before, Some(why)))
            }
            Ok(certificates) => Ok(Read::new(self.store(source, stamp, certificates), None)),
            Err(unusable) => Ok(Read::new(before, Some(unusable))),
        }
    }

    fn store(&self, source: &Source, stamp: Stamp, certificates: Certificates) -> Arc<Certificates> {
        self.change(|known| known.store(source, stamp, certificates))
    }

    fn change<T>(&self, change: impl FnOnce(&mut Known) -> T) -> T {
        let _alone = self.changing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut known = (*self.known.get()).clone();
        let changed = change(&mut known);
        self.known.set(Arc::new(known));
        changed
    }
}

impl Known {
    fn find(&self, source: &Source) -> Option<Arc<CachedStore>> {
        self.sources.iter().find(|cached| cached.source == *source).cloned()
    }

    /// Replaces the cached certificates of this source. Returns the previous ones if they are equal, so that TLS
    /// sessions survive a file that was only touched.
    fn store(&mut self, source: &Source, stamp: Stamp, certificates: Certificates) -> Arc<Certificates> {
        let certificates = match self.find(source) {
            Some(before) if *before.certificates == certificates => Arc::clone(&before.certificates),
            _ => Arc::new(certificates),
        };
        self.sources.retain(|cached| cached.source != *source);
        if self.sources.len() >= MAX_CACHED_STORES {
            if let Some(oldest) = self.sources.iter().position(|old| !matches!(old.source, Source::Bundle(_)))
            {
                self.sources.remove(oldest);
            }
        }
        let cached = CachedStore { source: source.clone(), stamp, certificates: Arc::clone(&certificates) };
        self.sources.push(Arc::new(cached));
        certificates
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::PathBuf;
    use std::time::{Duration, UNIX_EPOCH};

    use rcgen::{CertificateParams, KeyPair};

    use super::*;
    use crate::http::trust::Trust;
    use crate::sys::trust_store::BUNDLES;

    /// A directory for one test, removed at its end.
    struct Directory(PathBuf);

    impl Directory {
        fn new(name: &str) -> Directory {
            let path = std::env::temp_dir().join(format!("couchdrop-trust-{name}-{}", std::process::id()));
            fs::create_dir(&path).unwrap();
            Directory(path)
        }

        fn at(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }
    }

    impl Drop for Directory {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn pem() -> String {
        CertificateParams::default().self_signed(&KeyPair::generate().unwrap()).unwrap().pem()
    }

    /// Replaces a file as administrators do.
    fn replace(path: &Path, text: &str) {
        let new = path.with_extension("new");
        fs::write(&new, text).unwrap();
        fs::rename(new, path).unwrap();
    }

    fn certificates(read: Read) -> Arc<Certificates> {
        match read.roots {
            Roots::Certificates(certificates) => certificates,
            Roots::BuiltIn => panic!("the built-in roots"),
        }
    }

    #[test]
    fn first_existing_file_is_the_bundle() {
        let paths = &["/dev/null/none", "/nowhere/at/all", "/dev/null", "/"];
        assert_eq!(first_existing(paths), Some(Path::new("/dev/null")));
        assert_eq!(first_existing(&["/dev/null/none", "/nowhere/at/all"]), None);
    }

    #[test]
    fn system_trusts_its_bundle_or_the_built_in_roots() {
        let cache = RootCache::default();
        let read = |cache: &RootCache| Trust::System.stores(cache).unwrap();
        let stores = read(&cache);
        let has_bundle = BUNDLES.iter().any(|path| Path::new(path).exists());
        assert_eq!(matches!(stores.roots[..], [Roots::BuiltIn]), !has_bundle);
        assert!(!stores.roots[0].is_empty() && stores.stale.is_empty());
        assert!(read(&cache).are_unchanged(&stores.roots));
        assert_eq!(read(&RootCache::default()).are_unchanged(&stores.roots), !has_bundle);
    }

    #[test]
    fn file_and_directory_of_one_name_are_two_sources() {
        let directory = Directory::new("one-name");
        let path = directory.at("certs");
        fs::create_dir(&path).unwrap();
        fs::write(path.join("0123abcd.0"), pem()).unwrap();
        let cache = RootCache::default();
        let trust = |file: bool| Trust::Environment {
            file: file.then(|| Source::File(path.clone())),
            directories: vec![Source::Directory(path.clone())],
        };
        assert_eq!(trust(false).stores(&cache).unwrap().roots.len(), 1);
        assert!(trust(true).stores(&cache).is_err(), "a directory is not a file");
    }

    #[test]
    fn unreadable_file_keeps_its_certificates() {
        let directory = Directory::new("kept");
        let path = directory.at("ca.pem");
        let (cache, source) = (RootCache::default(), Source::File(path.clone()));
        assert!(cache.read(&source).is_err(), "nothing was read before");
        let (one, other) = (pem(), pem());
        replace(&path, &one);
        let read = certificates(cache.read(&source).unwrap());
        let cut = &other[..other.len() / 2];
        let breaks: [(&str, &dyn Fn()); 6] = [
            ("missing", &|| fs::remove_file(&path).unwrap()),
            ("empty", &|| fs::write(&path, "").unwrap()),
            ("words", &|| fs::write(&path, "soon\n").unwrap()),
            ("half written", &|| fs::write(&path, format!("{other}{cut}")).unwrap()),
            ("a directory", &|| {
                fs::remove_file(&path).unwrap();
                fs::create_dir(&path).unwrap();
            }),
            ("a link to nowhere", &|| {
                fs::remove_dir(&path).unwrap();
                symlink("/nowhere/at/all", &path).unwrap();
            }),
        ];
        for (name, change) in breaks {
            change();
            let kept = cache.read(&source).unwrap();
            assert!(kept.stale.is_some(), "{name}");
            assert!(Arc::ptr_eq(&certificates(kept), &read), "{name}");
        }
        replace(&path, &other);
        let now = cache.read(&source).unwrap();
        assert!(now.stale.is_none());
        assert!(*certificates(now) != *read);
    }

    #[test]
    fn unreadable_directory_keeps_its_certificates() {
        let directory = Directory::new("hashed");
        let path = directory.at("certs");
        let (cache, source) = (RootCache::default(), Source::Directory(path.clone()));
        assert!(cache.read(&source).is_err());
        fs::create_dir(&path).unwrap();
        assert!(certificates(cache.read(&source).unwrap()).is_empty());
        fs::write(path.join("0123abcd.0"), pem()).unwrap();
        let read = certificates(cache.read(&source).unwrap());
        assert_eq!(read.iter().count(), 1);
        fs::remove_file(path.join("0123abcd.0")).unwrap();
        for change in [|_: &Path| {}, |path: &Path| fs::remove_dir(path).unwrap()] {
            change(&path);
            let kept = cache.read(&source).unwrap();
            assert!(kept.stale.is_some() && Arc::ptr_eq(&certificates(kept), &read));
        }
    }

    #[test]
    fn bundle_that_vanishes_is_not_replaced_by_another() {
        let directory = Directory::new("bundle");
        let (first, second) = (directory.at("first.pem"), directory.at("second.pem"));
        let leak = |path: &Path| -> &'static str { String::leak(path.to_str().unwrap().to_owned()) };
        let bundles: &'static [&'static str] = vec![leak(&first), leak(&second)].leak();
        let cache = RootCache::default();
        assert!(matches!(cache.read_system(bundles).unwrap().roots, Roots::BuiltIn));
        // A bundle that appears later is used from then on.
        fs::write(&first, pem()).unwrap();
        let read = certificates(cache.read_system(bundles).unwrap());
        fs::write(&second, pem()).unwrap();
        fs::remove_file(&first).unwrap();
        let kept = cache.read_system(bundles).unwrap();
        assert!(kept.stale.is_some() && Arc::ptr_eq(&certificates(kept), &read));

        // A bundle that existed and could not be read is not replaced either.
        let cache = RootCache::default();
        fs::write(&first, "").unwrap();
        assert!(cache.read_system(bundles).is_err());
        fs::remove_file(&first).unwrap();
        assert!(cache.read_system(bundles).is_err());
    }

    #[test]
    fn replaced_file_of_equal_size_and_mtime_is_read_again() {
        let directory = Directory::new("replaced");
        let (link, one, other) = (directory.at("ca.pem"), directory.at("one.pem"), directory.at("other.pem"));
        let (mut first, mut second) = (pem(), pem());
        let length = first.len().max(second.len());
        for (path, text) in [(&one, &mut first), (&other, &mut second)] {
            text.push_str(&"\n".repeat(length - text.len()));
            fs::write(path, text).unwrap();
            let file = fs::File::options().write(true).open(path).unwrap();
            file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        }
        let cache = RootCache::default();
        let source = Source::File(link.clone());
        symlink(&one, &link).unwrap();
        let before = certificates(cache.read(&source).unwrap());
        fs::remove_file(&link).unwrap();
        symlink(&other, &link).unwrap();
        assert!(*certificates(cache.read(&source).unwrap()) != *before);

        // In place, and with the time set back.
        fs::write(&other, &first).unwrap();
        let file = fs::File::options().write(true).open(&other).unwrap();
        file.set_modified(UNIX_EPOCH + Duration::from_secs(1)).unwrap();
        assert!(*certificates(cache.read(&source).unwrap()) == *before);
    }

    #[test]
    fn touched_file_keeps_its_certificates() {
        let directory = Directory::new("touched");
        let path = directory.at("ca.pem");
        fs::write(&path, pem()).unwrap();
        let (cache, source) = (RootCache::default(), Source::File(path.clone()));
        let first = certificates(cache.read(&source).unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(Arc::ptr_eq(&first, &certificates(cache.read(&source).unwrap())));
    }

    #[test]
    fn child_keeps_what_its_parent_had_read() {
        let directory = Directory::new("child");
        let path = directory.at("ca.pem");
        fs::write(&path, pem()).unwrap();
        let (parent, source) = (RootCache::default(), Source::File(path.clone()));
        let read = certificates(parent.read(&source).unwrap());
        let child = parent.of_parent();
        fs::remove_file(&path).unwrap();
        let kept = child.read(&source).unwrap();
        assert!(kept.stale.is_some() && Arc::ptr_eq(&certificates(kept), &read));
        assert!(RootCache::default().read(&source).is_err());
    }

    #[test]
    fn oldest_source_is_dropped_from_a_full_cache() {
        let directory = Directory::new("many");
        let cache = RootCache::default();
        let source = |number: usize| Source::File(directory.at(&format!("{number}.pem")));
        for number in 0..=MAX_CACHED_STORES {
            fs::write(directory.at(&format!("{number}.pem")), pem()).unwrap();
            cache.read(&source(number)).unwrap();
        }
        let known = cache.known.get();
        assert_eq!(known.sources.len(), MAX_CACHED_STORES);
        assert!(known.find(&source(0)).is_none() && known.find(&source(1)).is_some());
    }
}
