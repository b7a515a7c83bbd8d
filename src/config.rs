//! The configuration that options freeze into: each value is checked when it is set, and only read after that.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use crate::ca_file;
use crate::certificates::Certificates;
use crate::environment::Environment;
use crate::error::{ErrorKind, Reason};
use crate::limits::{MAX_RETRIES, MAX_TIMEOUT, RESPONSE_BYTES};
use crate::logger::Logger;
use crate::url::{BaseUrl, ProxyUrl};

/// The library's own part of the User-Agent header.
const USER_AGENT: &str = concat!("libcouchdrop/", env!("CARGO_PKG_VERSION"));
const SERVICE: &str = "https://api.couchdrop.io";

/// How the body of a login is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BodyFormat {
    /// A form first, then JSON if the service rejects the format.
    Auto,
    Form,
    Json,
}

#[derive(Clone, Debug)]
pub enum Proxy {
    /// The environment decides when the options freeze.
    FromEnvironment,
    None,
    Set(ProxyUrl),
}

#[derive(Clone)]
pub struct Config {
    pub base: BaseUrl,
    pub body_format: BodyFormat,
    pub timeout: Duration,
    pub connect_timeout: Duration,
    pub max_retries: u32,
    pub first_backoff: Duration,
    pub max_backoff: Duration,
    pub proxy: Proxy,
    pub ca_file: Option<Arc<Certificates>>,
    pub user_agent: String,
    pub max_response: usize,
    pub logger: Option<Logger>,
    pub environment: Environment,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            base: BaseUrl {
                https: true,
                host: crate::url::Host::Name(SERVICE.trim_start_matches("https://").to_owned()),
                port: 443,
                prefix: String::new(),
            },
            body_format: BodyFormat::Auto,
            timeout: Duration::from_secs(30),
            connect_timeout: Duration::from_secs(10),
            max_retries: 4,
            first_backoff: Duration::from_secs(1),
            max_backoff: Duration::from_secs(8),
            proxy: Proxy::FromEnvironment,
            ca_file: None,
            user_agent: USER_AGENT.to_owned(),
            max_response: 64 << 10,
            logger: None,
            environment: Environment::default(),
        }
    }
}

impl Config {
    pub fn set_base_url(&mut self, url: &str) -> Result<(), ErrorKind> {
        let base = BaseUrl::parse(url)?;
        if !base.https && matches!(self.proxy, Proxy::Set(_)) {
            return Err(ErrorKind::InsecureUrl(
                "A base URL of plain http can't be used with a proxy: the proxy would see the password"
                    .into(),
            ));
        }
        self.base = base;
        Ok(())
    }

    pub fn set_body_format(&mut self, format: i32) -> Result<(), ErrorKind> {
        self.body_format = match format {
            0 => BodyFormat::Auto,
            1 => BodyFormat::Form,
            2 => BodyFormat::Json,
            _ => {
                return Err(out_of_range(
                    "The body format",
                    "must be CD_BODY_AUTO, CD_BODY_FORM or CD_BODY_JSON",
                ));
            }
        };
        Ok(())
    }

    pub fn set_timeout(&mut self, ms: u32) -> Result<(), ErrorKind> {
        self.timeout = timeout("The timeout", ms)?;
        Ok(())
    }

    pub fn set_connect_timeout(&mut self, ms: u32) -> Result<(), ErrorKind> {
        self.connect_timeout = timeout("The connect timeout", ms)?;
        Ok(())
    }

    pub fn set_max_retries(&mut self, count: u32) -> Result<(), ErrorKind> {
        if count > MAX_RETRIES {
            return Err(out_of_range("The number of retries", "must be from 0 to 10"));
        }
        self.max_retries = count;
        Ok(())
    }

    pub fn set_backoff(&mut self, first: u32, max: u32) -> Result<(), ErrorKind> {
        let (first, max) = (Duration::from_millis(first.into()), Duration::from_millis(max.into()));
        if first > MAX_TIMEOUT || max > MAX_TIMEOUT {
            return Err(out_of_range("The back-off", "must be from 0 to 3600000 ms"));
        }
        if first > max {
            return Err(out_of_range("The first back-off", "must not be above the largest"));
        }
        (self.first_backoff, self.max_backoff) = (first, max);
        Ok(())
    }

    /// `None` means no proxy; the environment is ignored.
    pub fn set_proxy(&mut self, url: Option<&str>) -> Result<(), ErrorKind> {
        self.proxy = match url {
            None => Proxy::None,
            Some(url) => {
                let proxy = ProxyUrl::parse("The proxy URL", url)?;
                if !self.base.https {
                    return Err(ErrorKind::InsecureUrl(
                        "A proxy can't be used with a base URL of plain http: the proxy would see the password"
                            .into(),
                    ));
                }
                Proxy::Set(proxy)
            }
        };
        Ok(())
    }

    pub fn set_ca_file(&mut self, path: &str) -> Result<(), ErrorKind> {
        let file = ca_file::read(Path::new(path))
            .map_err(|unusable| unusable.into_error_kind("The CA file ", ErrorKind::CaFile))?;
        self.ca_file = Some(Arc::new(file));
        Ok(())
    }

    pub fn set_user_agent(&mut self, product: &str) -> Result<(), ErrorKind> {
        if product.chars().any(char::is_control) {
            return Err(out_of_range("The user agent", "must not contain control characters"));
        }
        self.user_agent = format!("{product} {USER_AGENT}");
        Ok(())
    }

    pub fn set_max_response(&mut self, bytes: usize) -> Result<(), ErrorKind> {
        if !RESPONSE_BYTES.contains(&bytes) {
            return Err(out_of_range("The response limit", "must be from 1024 to 16777216 bytes"));
        }
        self.max_response = bytes;
        Ok(())
    }

    pub fn set_logger(&mut self, logger: Option<Logger>, max_level: i32) -> Result<(), ErrorKind> {
        if !(1..=4).contains(&max_level) {
            return Err(out_of_range("The log level", "must be from CD_LOG_ERROR (1) to CD_LOG_DEBUG (4)"));
        }
        self.logger = logger;
        Ok(())
    }
}

/// Checks a timeout in milliseconds; `what` names it in a failure.
pub fn timeout(what: &'static str, ms: u32) -> Result<Duration, ErrorKind> {
    let length = Duration::from_millis(ms.into());
    if length.is_zero() || length > MAX_TIMEOUT {
        return Err(out_of_range(what, "must be from 1 to 3600000 ms"));
    }
    Ok(length)
}

fn out_of_range(what: &'static str, why: impl Into<Reason>) -> ErrorKind {
    ErrorKind::OutOfRange { what, why: why.into() }
}
