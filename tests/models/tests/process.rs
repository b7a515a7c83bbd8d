//! Lazily created values per process, without a lock: all threads share one value, and a child does not touch its
//! parent's.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use couchdrop::sys::fork_local::ForkLocal;
use shuttle::thread;

/// The number of values that exist.
static ALIVE: AtomicUsize = AtomicUsize::new(0);

struct Value(u64);

impl Value {
    fn new(id: u64) -> Value {
        ALIVE.fetch_add(1, Ordering::Relaxed);
        Value(id)
    }
}

impl Drop for Value {
    fn drop(&mut self) {
        ALIVE.fetch_sub(1, Ordering::Relaxed);
    }
}

fn at_once(owner: &Arc<ForkLocal<Value>>, id: u64, threads: usize) -> usize {
    let threads: Vec<_> = (0..threads)
        .map(|_| {
            let owner = Arc::clone(owner);
            thread::spawn(move || {
                let value = owner.get(id, |parents| {
                    thread::yield_now();
                    Value::new(parents.map_or(0, |value| value.0 * 10) + id)
                });
                std::ptr::from_ref(value) as usize
            })
        })
        .collect();
    let seen: Vec<_> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
    assert!(seen.iter().all(|address| *address == seen[0]));
    seen[0]
}

fn model() {
    ALIVE.store(0, Ordering::Relaxed);
    let owner = Arc::new(ForkLocal::<Value>::new());
    let parents = at_once(&owner, 1, 2);
    assert_eq!(ALIVE.load(Ordering::Relaxed), 1, "the later value is dropped");
    // In the child: the parent's value is not freed, since the parent's threads may have been using it.
    let childs = at_once(&owner, 2, 2);
    assert_ne!(parents, childs);
    assert_eq!(ALIVE.load(Ordering::Relaxed), 2);
    assert_eq!(owner.get(2, |_| unreachable!()).0, 12);
    // SAFETY: never freed.
    assert_eq!(unsafe { &*(parents as *const Value) }.0, 1);
}

#[test]
fn threads_of_a_process_share_one_value() {
    shuttle::check_dfs(model, None);
}
