//! Ctrl-C and the other signals that end a program: they stop a call or a prompt, so that secrets are wiped and the
//! terminal is restored.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};

use couchdrop::cancel::SharedCancel;

static CANCEL: OnceLock<SharedCancel> = OnceLock::new();
static SIGNAL: AtomicI32 = AtomicI32::new(0);

/// Returns the cancel handle that signals trigger. A signal that the parent process ignores stays ignored.
pub fn handle() -> SharedCancel {
    let cancel = CANCEL.get_or_init(Arc::default);
    for signal in [libc::SIGINT, libc::SIGTERM, libc::SIGHUP] {
        // SAFETY: `sigaction` is plain data, for which zeros are valid. The handler is async-signal-safe: it only stores
        // a number, reads an initialised OnceLock and triggers the handle.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(signal, std::ptr::null(), &mut action) != 0
                || action.sa_sigaction == libc::SIG_IGN
            {
                continue;
            }
            action.sa_sigaction = on_signal as *const () as usize;
            // Without SA_RESTART.
            action.sa_flags = 0;
            libc::sigaction(signal, &action, std::ptr::null_mut());
        }
    }
    Arc::clone(cancel)
}

/// The last signal that arrived.
pub fn signal() -> Option<u8> {
    u8::try_from(SIGNAL.load(Ordering::SeqCst)).ok().filter(|signal| *signal != 0)
}

extern "C" fn on_signal(signal: libc::c_int) {
    SIGNAL.store(signal, Ordering::SeqCst);
    if let Some(cancel) = CANCEL.get() {
        cancel.trigger();
    }
}
