//! The configuration that the options describe.

use std::time::Duration;

use couchdrop::cancel::SharedCancel;
use couchdrop::config::Config;
use couchdrop::context::CallContext;
use couchdrop::error::Error;
use couchdrop::ffi::boundary::catch_panic;

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

/// Runs a call of the library. A panic in it becomes an error that quotes no secret.
pub fn guarded<T>(call: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    catch_panic(|panic| Err(panic.into()), call)
}
