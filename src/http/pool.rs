//! The idle connections of one options handle in one process, newest first.

use std::sync::PoisonError;
use std::time::Duration;

use crate::context::CallContext;
use crate::http::connection::{Account, Connection, IdleState};
use crate::limits::{MAX_CONNECTION_AGE, MAX_IDLE_CONNECTIONS, MAX_IDLE_TIME};
use crate::logger::Level;
use crate::sys::clock::uptime;
use crate::sys::sync::{Mutex, MutexGuard};

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
    pub fn take(&self, call: &CallContext, account: Option<Account>) -> Option<Box<Connection>> {
        let serves = |connection: &Connection| match (connection.account, account) {
            (Some(served), Some(wanted)) => served == wanted,
            _ => true,
        };
        loop {
            if call.is_in_forked_child() {
                return None;
            }
            let mut connection = {
                let mut idle = self.lock();
                let newest = idle.iter().rposition(|connection| serves(connection))?;
                idle.remove(newest)
            };
            let why = if !is_fresh(uptime(), connection.idle_since, connection.created_at) {
                "old"
            } else if !connection.is_intact() {
                "the program closed its descriptor"
            } else if connection.probe_idle() != IdleState::Idle {
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
        connection.prepare_for_pool();
        let too_many = {
            let mut idle = self.lock();
            idle.push(connection);
            (idle.len() > MAX_IDLE_CONNECTIONS).then(|| idle.remove(0))
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

fn is_fresh(now: Duration, idle_since: Duration, created_at: Duration) -> bool {
    now.saturating_sub(idle_since) <= MAX_IDLE_TIME && now.saturating_sub(created_at) <= MAX_CONNECTION_AGE
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, SocketAddr};

    use socket2::{Domain, Socket, Type};

    use super::*;

    #[test]
    fn connection_expires_by_idle_time_and_by_age() {
        let (created_at, moment) = (Duration::from_secs(1), Duration::from_nanos(1));
        let (idle, dead) = (created_at + MAX_IDLE_TIME, created_at + MAX_CONNECTION_AGE);
        assert!(is_fresh(idle, created_at, created_at) && !is_fresh(idle + moment, created_at, created_at));
        assert!(is_fresh(dead, dead, created_at) && !is_fresh(dead + moment, dead, created_at));
    }

    #[test]
    fn oldest_connection_is_dropped_from_a_full_pool() {
        let pool = Pool::default();
        for port in 0..=MAX_IDLE_CONNECTIONS as u16 {
            let kept = usize::from(port).min(MAX_IDLE_CONNECTIONS);
            assert_eq!(pool.lock().len(), kept);
            let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
            let mut connection = Connection::new(socket, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
            connection.idle_since = Duration::from_secs(port.into());
            pool.put(connection);
        }
        let idle = pool.lock();
        assert_eq!((idle.len(), idle[0].peer.port()), (MAX_IDLE_CONNECTIONS, 1));
        // Returning an unused connection does not reset its idle time.
        assert_eq!(idle[0].idle_since, Duration::from_secs(1));
    }
}
