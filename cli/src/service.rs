//! The configuration that the options describe.

use std::panic::{AssertUnwindSafe, catch_unwind, set_hook, take_hook};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use couchdrop::cancel::SharedCancel;
use couchdrop::config::Config;
use couchdrop::context::CallContext;
use couchdrop::error::{Error, ErrorKind};

use crate::arguments::Service;
use crate::failure::Failure;

/// The defaults, with the options that are set.
pub fn configure(service: &Service) -> Result<Config, Failure> {
    let mut config = Config::default();
    if let Some(url) = &service.base_url {
        config.set_base_url(url)?;
    }
    match service.proxy.as_deref() {
        None => {}
        Some("") => config.set_proxy(None)?,
        Some(url) => config.set_proxy(Some(url))?,
    }
    if let Some(path) = &service.ca_file {
        config.set_ca_file(path)?;
    }
    Ok(config)
}

/// The context of a call that signals can stop.
pub fn context(config: &Config, timeout: Duration, cancel: &SharedCancel) -> CallContext {
    CallContext::new(timeout, Some(cancel.clone()), config.logger.clone())
}

/// Runs a call of the library. A panic in it becomes an error that names its place, but not its message, which might
/// quote a secret.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let place = Arc::new(Mutex::new(String::new()));
    let recorded = Arc::clone(&place);
    set_hook(Box::new(move |panic| {
        if let Some(location) = panic.location() {
            *recorded.lock().unwrap_or_else(PoisonError::into_inner) = location.to_string();
        }
    }));
    let done = catch_unwind(AssertUnwindSafe(call));
    drop(take_hook());
    done.unwrap_or_else(|_| {
        let place = place.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Err(ErrorKind::Panic(place.into()).into())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panic_becomes_an_error_without_its_message() {
        let done = guarded::<()>(|| panic!("hunter2"));
        let message = done.unwrap_err().kind.to_string();
        assert!(message.contains("service.rs:") && !message.contains("hunter2"), "{message}");
    }
}
