//! The idle connections of one options handle in one process, newest first.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::call::{Call, Level};
use crate::wire::connection::{Account, Connection, Quiet};

const MOST_IDLE: usize = 64;
const LONGEST_IDLE: Duration = Duration::from_secs(50);
/// DNS records change: a connection is not used for longer.
const LONGEST_LIFE: Duration = Duration::from_secs(600);

#[derive(Default)]
pub struct Pool {
    idle: Mutex<Idle>,
}

/// The newest is last. Boxed, so that only a pointer moves when a connection is taken or returned.
#[allow(clippy::vec_box)]
type Idle = Vec<Box<Connection>>;

impl Pool {
    /// Returns the newest connection that is still open and has served no other account. Dead connections are dropped.
    /// `account` is None for `cd_connect`, which accepts any connection.
    pub fn take(&self, call: &Call, account: Option<Account>) -> Option<Box<Connection>> {
        let serves = |connection: &Connection| match (connection.account, account) {
            (Some(served), Some(wanted)) => served == wanted,
            _ => true,
        };
        loop {
            // In a child that a logger forked, a lock of the parent may stay held for ever.
            if call.is_anothers() {
                return None;
            }
            let mut connection = {
                let mut idle = self.lock();
                let newest = idle.iter().rposition(|connection| serves(connection))?;
                idle.remove(newest)
            };
            let why = if !is_young(uptime(), connection.idle_since, connection.born) {
                "old"
            } else if !connection.is_intact() {
                "the program closed its descriptor"
            } else if connection.is_quiet() != Quiet::Yes {
                "dead"
            } else {
                connection.reused = true;
                return Some(connection);
            };
            call.log(Level::Debug, || format!("dropped an idle connection: {why}"));
        }
    }

    /// Keeps a connection for the next login.
    pub fn put(&self, mut connection: Box<Connection>) {
        connection.rest();
        let too_many = {
            let mut idle = self.lock();
            idle.push(connection);
            (idle.len() > MOST_IDLE).then(|| idle.remove(0))
        };
        drop(too_many); // close outside the lock: it is a system call
    }

    /// Drops all connections, after one of the same age turned out to be closed during a login.
    pub fn clear(&self) {
        let all = std::mem::take(&mut *self.lock());
        drop(all);
    }

    fn lock(&self) -> MutexGuard<'_, Idle> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn is_young(now: Duration, idle_since: Duration, born: Duration) -> bool {
    now.saturating_sub(idle_since) <= LONGEST_IDLE && now.saturating_sub(born) <= LONGEST_LIFE
}

/// Time since the machine started, sleep included: a connection ages while the machine sleeps.
pub fn uptime() -> Duration {
    #[cfg(any(target_os = "linux", target_os = "android"))]
    const CLOCK: libc::clockid_t = libc::CLOCK_BOOTTIME;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    const CLOCK: libc::clockid_t = libc::CLOCK_MONOTONIC;
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is written to during the call alone.
    unsafe { libc::clock_gettime(CLOCK, &mut now) };
    Duration::new(now.tv_sec as u64, now.tv_nsec as u32)
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn a_connection_is_young_until_it_was_idle_or_alive_for_long() {
        let (born, moment) = (Duration::from_secs(1), Duration::from_nanos(1));
        let (idle, dead) = (born + LONGEST_IDLE, born + LONGEST_LIFE);
        assert!(is_young(idle, born, born) && !is_young(idle + moment, born, born));
        assert!(is_young(dead, dead, born) && !is_young(dead + moment, dead, born));
        assert!(uptime() > Duration::ZERO);
    }

    #[test]
    fn the_oldest_goes_where_there_are_too_many() {
        let pool = Pool::default();
        for port in 0..=MOST_IDLE as u16 {
            let kept = usize::from(port).min(MOST_IDLE);
            assert_eq!(pool.lock().len(), kept);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let mut connection = Connection::new(socket, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            connection.idle_since = Duration::from_secs(port.into());
            pool.put(connection);
        }
        let idle = pool.lock();
        assert_eq!((idle.len(), idle[0].peer.port()), (MOST_IDLE, 1));
        // Returning an unused connection does not reset its idle time.
        assert_eq!(idle[0].idle_since, Duration::from_secs(1));
    }
}
