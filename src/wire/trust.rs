//! The certificates that frozen options trust: from a CA file, the environment's variables, or the system's store.

use std::ffi::OsStr;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::ca_file::{self, Unusable};
use crate::certificates::{Certificates, NotAdded};
use crate::environment::{self, Variable};
use crate::failure::Failure;
use crate::settings::Settings;
use crate::snapshot::Snapshot;

/// The files in which systems store all their roots; the first existing one is used.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt", // Debian, Ubuntu, Arch, Gentoo, NixOS
    "/etc/pki/tls/certs/ca-bundle.crt",   // Fedora, RHEL
    "/etc/ssl/ca-bundle.pem",             // openSUSE
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // CentOS
    "/etc/pki/tls/cacert.pem",            // OpenELEC
    "/etc/ssl/cert.pem",                  // Alpine, OpenBSD, macOS
    "/usr/local/share/certs/ca-root-nss.crt", // FreeBSD
    "/usr/local/etc/ssl/cert.pem",        // FreeBSD
    "/etc/openssl/certs/ca-certificates.crt", // NetBSD
];

/// The maximum number of stores that a process caches, in addition to the system's. More are used only if options
/// differ intentionally.
const MAX_REMEMBERED: usize = 16;

/// Two changes of a file within one tick of the kernel's clock have the same ctime.
const CLOCK_TICK: Duration = Duration::from_millis(50);

/// The trust settings of frozen options.
#[derive(Clone)]
pub enum Trust {
    /// Only these certificates, which the setter has read.
    File(Arc<Certificates>),
    /// The files that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
    Environment { file: Option<Source>, directories: Vec<Source> },
    /// The system's bundle, or the built-in Mozilla roots on a machine without one.
    System,
}

/// The certificates of one source.
#[derive(Clone)]
pub enum Roots {
    Certificates(Arc<Certificates>),
    /// The built-in Mozilla roots.
    BuiltIn,
}

/// All certificates that a new connection trusts.
pub struct Stores {
    pub roots: Vec<Roots>,
    /// Sources that can no longer be read: the certificates that were read before are still used.
    pub stale: Vec<Unusable>,
}

impl Trust {
    /// Reads the environment if no CA file was set. An unusable variable is an error at this point.
    pub fn choose(settings: &Settings, cache: &RootCache) -> Result<Trust, Failure> {
        if let Some(file) = &settings.ca_file {
            return Ok(Trust::File(Arc::clone(file)));
        }
        let file = settings.environment.first(environment::CERT_FILE);
        let directories = settings.environment.first(environment::CERT_DIR);
        if file.is_none() && directories.is_none() {
            return Ok(Trust::System);
        }
        // Absolute paths name the same files after the process changes its working directory.
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let trust = Trust::Environment {
            file: file.map(|variable| Source::File(absolute(variable.value.into()))),
            directories: directories
                .map(|Variable { value, .. }| {
                    std::env::split_paths(&value).map(|path| Source::Directory(absolute(path))).collect()
                })
                .unwrap_or_default(),
        };
        if settings.base.https {
            trust.stores(cache)?;
        }
        Ok(trust)
    }

    /// Returns the trusted certificates; reads changed files again.
    pub fn stores(&self, cache: &RootCache) -> Result<Stores, Failure> {
        let mut stores = Stores { roots: Vec::new(), stale: Vec::new() };
        let mut add = |read: Read| {
            stores.roots.push(read.roots);
            stores.stale.extend(read.stale);
        };
        match self {
            Trust::File(file) => stores.roots.push(Roots::Certificates(Arc::clone(file))),
            Trust::System => add(cache
                .read_system(BUNDLES)
                .map_err(|unusable| unusable.into_failure("The system's trust store ", Failure::Tls))?),
            Trust::Environment { file, directories } => {
                if let Some(file) = file {
                    add(cache.read(file).map_err(|unusable| {
                        unusable.into_failure("SSL_CERT_FILE can't be used: ", Failure::Tls)
                    })?);
                }
                let mut unusable = None;
                let mut any_was_read = false;
                for directory in directories {
                    match cache.read(directory) {
                        Ok(read) => {
                            any_was_read = true;
                            add(read);
                        }
                        // A root may be missing without this directory, and only temporarily.
                        Err(error) if error.is_resources() => {
                            return Err(error.into_failure("SSL_CERT_DIR: ", Failure::Tls));
                        }
                        Err(error) => unusable = Some(error),
                    }
                }
                if stores.roots.iter().all(Roots::is_empty) {
                    return Err(match unusable {
                        Some(error) if !any_was_read => error.into_failure(
                            "SSL_CERT_DIR names a directory that can't be used: ",
                            Failure::Tls,
                        ),
                        _ => Failure::Tls(
                            "SSL_CERT_DIR names no directory with certificates by their hash (see openssl-rehash)"
                                .into(),
                        ),
                    });
                }
            }
        }
        Ok(stores)
    }
}

impl Roots {
    fn is_empty(&self) -> bool {
        match self {
            Roots::Certificates(certificates) => certificates.is_empty(),
            Roots::BuiltIn => false,
        }
    }

    /// True if this is the same object as before: certificates are not compared.
    fn is(&self, before: &Roots) -> bool {
        match (self, before) {
            (Roots::Certificates(now), Roots::Certificates(before)) => Arc::ptr_eq(now, before),
            (Roots::BuiltIn, Roots::BuiltIn) => true,
            _ => false,
        }
    }
}

impl Stores {
    pub fn are_unchanged(&self, before: &[Roots]) -> bool {
        self.roots.len() == before.len() && self.roots.iter().zip(before).all(|(now, before)| now.is(before))
    }
}

/// A file or directory that contains certificates.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The system's file. Certificates in it that can't be parsed are skipped.
    Bundle(&'static Path),
    File(PathBuf),
    /// Its certificates are named by their hash, as OpenSSL looks them up.
    Directory(PathBuf),
}

impl Source {
    /// `again` is true if the source was read before: a bundle that ends within a certificate is then being replaced.
    fn read(&self, again: bool) -> Result<Certificates, Unusable> {
        match self {
            Source::Bundle(path) if again => ca_file::read_again(path),
            Source::Bundle(path) => ca_file::read_leniently(path),
            Source::File(path) => ca_file::read(path),
            Source::Directory(path) => read_directory(path),
        }
    }

    /// Returns a stamp that shows whether the files have changed since they were read.
    fn stamp(&self) -> Stamp {
        let mut files = Vec::new();
        match self {
            Source::Bundle(path) => files.push(FileStamp::of(path)),
            Source::File(path) => files.push(FileStamp::of(path)),
            Source::Directory(path) => {
                files.push(FileStamp::of(path));
                let inside = certificates_in(path).unwrap_or_default();
                files.extend(inside.iter().map(|path| FileStamp::of(path)));
            }
        }
        Stamp { files, taken: SystemTime::now() }
    }
}

struct Stamp {
    files: Vec<FileStamp>,
    taken: SystemTime,
}

impl Stamp {
    /// True if no change is possible between this stamp and a later one.
    fn is_unchanged(&self, later: &Stamp) -> bool {
        let oldest = self.taken.checked_sub(CLOCK_TICK).unwrap_or(UNIX_EPOCH);
        self.files == later.files && self.files.iter().all(|file| file.changed_before(oldest))
    }
}

#[derive(PartialEq)]
struct FileStamp {
    path: PathBuf,
    found: Option<Identity>,
}

/// The identity and state of a file, with symbolic links followed.
#[derive(PartialEq)]
struct Identity {
    device: u64,
    inode: u64,
    size: u64,
    modified: (i64, i64),
    /// The inode's ctime, which can't be set back.
    changed: (i64, i64),
}

impl FileStamp {
    fn of(path: &Path) -> FileStamp {
        let found = fs::metadata(path).ok().map(|found| Identity {
            device: found.dev(),
            inode: found.ino(),
            size: found.size(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        });
        FileStamp { path: path.to_owned(), found }
    }

    fn changed_before(&self, moment: SystemTime) -> bool {
        let Some(found) = &self.found else { return true };
        let (seconds, nanoseconds) = found.changed;
        let changed = Duration::new(seconds.try_into().unwrap_or(0), nanoseconds.try_into().unwrap_or(0));
        moment.duration_since(UNIX_EPOCH).is_ok_and(|moment| changed < moment)
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Source::Bundle(path) => write!(f, "{}", path.display()),
            Source::File(path) | Source::Directory(path) => write!(f, "{}", path.display()),
        }
    }
}

/// The first existing path. One that exists but can't be reached counts: reading it then gives the reason.
fn first_existing(paths: &'static [&'static str]) -> Option<&'static Path> {
    paths.iter().map(Path::new).find(|path| match fs::symlink_metadata(path) {
        Ok(_) => true,
        Err(error) => !matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory),
    })
}

fn read_directory(directory: &Path) -> Result<Certificates, Unusable> {
    let reading = |error| Unusable::reading(directory.display(), &error);
    let mut all = Certificates::default();
    for path in certificates_in(directory).map_err(reading)? {
        match ca_file::read_leniently(&path) {
            Ok(file) => all.add_all(&file).map_err(|error| match error {
                NotAdded::OutOfMemory => reading(io::ErrorKind::OutOfMemory.into()),
                NotAdded::Unreadable => Unusable::new(format!("{} can't be parsed", path.display())),
            })?,
            // Without this file the store would lack a root, and the cache would keep it like that.
            Err(unusable) if unusable.is_resources() => return Err(unusable),
            // OpenSSL skips it too: it looks a certificate up when it needs it.
            Err(_) => {}
        }
    }
    Ok(all)
}

/// The files of a directory that OpenSSL would read: those named by a hash (`c_rehash`).
fn certificates_in(directory: &Path) -> io::Result<Vec<PathBuf>> {
    let is_hash = |name: &OsStr| {
        let Some((hash, number)) = name.to_str().and_then(|name| name.split_once('.')) else { return false };
        hash.len() == 8
            && hash.bytes().all(|byte| byte.is_ascii_hexdigit())
            && !number.is_empty()
            && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if is_hash(&entry.file_name()) {
            paths.push(entry.path());
        }
    }
    paths.sort_unstable();
    Ok(paths)
}

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
    sources: Vec<Arc<Remembered>>,
    /// The system's bundle, once one was found. If it disappears, no other bundle is used.
    bundle: Option<&'static Path>,
}

struct Remembered {
    source: Source,
    stamp: Stamp,
    certificates: Arc<Certificates>,
}

/// The result of reading a source.
struct Read {
    roots: Roots,
    /// The reason why these are from an earlier read.
    stale: Option<Unusable>,
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
    fn read_system(&self, bundles: &'static [&'static str]) -> Result<Read, Unusable> {
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

    fn read(&self, source: &Source) -> Result<Read, Unusable> {
        let stamp = source.stamp();
        let Some(remembered) = self.known.get().find(source) else {
            let certificates = source.read(false)?;
            return Ok(Read::new(self.remember(source, stamp, certificates), None));
        };
        let before = Arc::clone(&remembered.certificates);
        if remembered.stamp.is_unchanged(&stamp) {
            return Ok(Read::new(before, None));
        }
        match source.read(true) {
            Ok(certificates) if certificates.is_empty() && !before.is_empty() => {
                let why = Unusable::new(format!("{source} no longer contains a certificate"));
                Ok(Read::new(before, Some(why)))
            }
            Ok(certificates) => Ok(Read::new(self.remember(source, stamp, certificates), None)),
            Err(unusable) => Ok(Read::new(before, Some(unusable))),
        }
    }

    fn remember(&self, source: &Source, stamp: Stamp, certificates: Certificates) -> Arc<Certificates> {
        self.change(|known| known.remember(source, stamp, certificates))
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
    fn find(&self, source: &Source) -> Option<Arc<Remembered>> {
        self.sources.iter().find(|remembered| remembered.source == *source).cloned()
    }

    /// Replaces the cached certificates of this source. Returns the previous ones if they are equal, so that TLS
    /// sessions survive a file that was only touched.
    fn remember(&mut self, source: &Source, stamp: Stamp, certificates: Certificates) -> Arc<Certificates> {
        let certificates = match self.find(source) {
            Some(before) if *before.certificates == certificates => Arc::clone(&before.certificates),
            _ => Arc::new(certificates),
        };
        self.sources.retain(|remembered| remembered.source != *source);
        if self.sources.len() >= MAX_REMEMBERED {
            if let Some(oldest) = self.sources.iter().position(|old| !matches!(old.source, Source::Bundle(_)))
            {
                self.sources.remove(oldest);
            }
        }
        let remembered =
            Remembered { source: source.clone(), stamp, certificates: Arc::clone(&certificates) };
        self.sources.push(Arc::new(remembered));
        certificates
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use rcgen::{CertificateParams, KeyPair};

    use super::*;

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
    fn file_that_can_not_be_read_again_is_kept() {
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
    fn directory_that_can_not_be_read_again_is_kept() {
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
    fn unchanged_file_is_parsed_once_and_touched_one_is_kept() {
        let directory = Directory::new("touched");
        let path = directory.at("ca.pem");
        fs::write(&path, pem()).unwrap();
        let (cache, source) = (RootCache::default(), Source::File(path.clone()));
        let first = certificates(cache.read(&source).unwrap());
        fs::File::options().write(true).open(&path).unwrap().set_modified(UNIX_EPOCH).unwrap();
        assert!(Arc::ptr_eq(&first, &certificates(cache.read(&source).unwrap())));

        let settled = |changed: i64, taken: u64| {
            let identity = Identity { device: 1, inode: 1, size: 1, modified: (0, 0), changed: (changed, 0) };
            let files = vec![FileStamp { path: path.clone(), found: Some(identity) }];
            Stamp { files, taken: UNIX_EPOCH + Duration::from_secs(taken) }
        };
        assert!(settled(5, 6).is_unchanged(&settled(5, 9)));
        // Changed just before its stamp: a second change may have the same time.
        assert!(!settled(5, 5).is_unchanged(&settled(5, 9)));
        assert!(!settled(5, 6).is_unchanged(&settled(6, 9)));
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
    fn many_sources_push_out_the_oldest() {
        let directory = Directory::new("many");
        let cache = RootCache::default();
        let source = |number: usize| Source::File(directory.at(&format!("{number}.pem")));
        for number in 0..=MAX_REMEMBERED {
            fs::write(directory.at(&format!("{number}.pem")), pem()).unwrap();
            cache.read(&source(number)).unwrap();
        }
        let known = cache.known.get();
        assert_eq!(known.sources.len(), MAX_REMEMBERED);
        assert!(known.find(&source(0)).is_none() && known.find(&source(1)).is_some());
    }
}
