//! The destination of requests.

use std::time::Duration;

use crate::config::Config;
use crate::error::ErrorKind;
use crate::http::proxy;
use crate::http::shared::shared;
use crate::http::trust::Trust;
use crate::sys::fork_detect;
use crate::url::{BaseUrl, ProxyUrl};

/// The destination that frozen options define: decided once, from the configuration and the environment.
pub struct Endpoint {
    pub base: BaseUrl,
    pub proxy: Option<ProxyUrl>,
    pub trust: Trust,
    pub connect_timeout: Duration,
    pub max_response: usize,
    pub user_agent: String,
}

impl Endpoint {
    pub fn choose(config: &Config) -> Result<Endpoint, ErrorKind> {
        Ok(Endpoint {
            base: config.base.clone(),
            proxy: proxy::choose(config)?,
            trust: Trust::choose(config, &shared(fork_detect::generation()).roots)?,
            connect_timeout: config.connect_timeout,
            max_response: config.max_response,
            user_agent: config.user_agent.clone(),
        })
    }
}
