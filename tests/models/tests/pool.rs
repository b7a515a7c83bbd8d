//! Threads take idle connections from a pool and return them. No connection is taken twice, and the pool stays within
//! its limit.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use couchdrop::context::CallContext;
use couchdrop::http::connection::Connection;
use couchdrop::http::pool::Pool;
use shuttle::thread;
use socket2::{Domain, Socket, Type};

const MAX_IDLE: usize = 64;

/// A connection, identified by its address's port, and its other end, which keeps it alive.
fn connection(number: u16) -> (Box<Connection>, Socket) {
    let (near, far) = Socket::pair(Domain::UNIX, Type::STREAM, None).unwrap();
    assert!(near.as_raw_fd() >= 0);
    near.set_nonblocking(true).unwrap();
    (Connection::new(near, SocketAddr::from(([127, 0, 0, 1], number))), far)
}

fn take(pool: &Pool) -> Option<Box<Connection>> {
    pool.take(&CallContext::new(Duration::from_secs(3600), None, None), None)
}

fn model(threads: u16, rounds: u16) {
    let (pool, far, in_hand) =
        (Arc::new(Pool::default()), Arc::new(Mutex::new(Vec::new())), Arc::new(Mutex::new(HashSet::new())));
    let threads: Vec<_> = (0..threads)
        .map(|number| {
            let (pool, far, in_hand) = (Arc::clone(&pool), Arc::clone(&far), Arc::clone(&in_hand));
            thread::spawn(move || {
                for round in 0..rounds {
                    let mine = take(&pool).unwrap_or_else(|| {
                        let (near, other) = connection(number * rounds + round + 1);
                        far.lock().unwrap().push(other);
                        near
                    });
                    let name = mine.peer.port();
                    assert!(in_hand.lock().unwrap().insert(name), "used twice at once");
                    thread::yield_now();
                    assert!(in_hand.lock().unwrap().remove(&name));
                    pool.put(mine);
                    if number == 0 && round == 1 {
                        pool.clear();
                    }
                }
            })
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    let mut seen = HashSet::new();
    while let Some(idle) = take(&pool) {
        assert!(seen.insert(idle.peer.port()), "there twice");
        assert!(seen.len() <= MAX_IDLE);
    }
}

fn runs() -> usize {
    std::env::var("MODEL_RUNS").map_or(2_000, |runs| runs.parse().unwrap())
}

#[test]
fn connection_has_one_user_at_a_time() {
    shuttle::check_random(|| model(3, 3), runs());
    shuttle::check_pct(|| model(3, 3), runs(), 3);
}
