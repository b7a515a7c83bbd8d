//! The head of a request.

use crate::url::BaseUrl;

/// The head of a request up to the value of Content-Length, prepared once.
pub struct RequestHead(Vec<u8>);

impl RequestHead {
    pub fn new(base: &BaseUrl, path: &str, content_type: &str, user_agent: &str) -> RequestHead {
        let (prefix, host) = (&base.prefix, base.authority());
        let head = format!(
            "POST {prefix}{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {user_agent}\r\nAccept: application/json\r\n\
             Content-Type: {content_type}\r\nContent-Length: "
        );
        RequestHead(head.into_bytes())
    }

    /// The bytes up to the value of Content-Length.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Formats a number in decimal, without an allocation.
pub fn decimal(mut number: usize, digits: &mut [u8; 20]) -> &[u8] {
    let mut from = digits.len();
    loop {
        from -= 1;
        digits[from] = b'0' + (number % 10) as u8;
        number /= 10;
        if number == 0 {
            return &digits[from..];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decimal_formats_numbers() {
        for number in [0, 9, 10, 4096, usize::MAX] {
            assert_eq!(decimal(number, &mut [0; 20]), number.to_string().as_bytes());
        }
    }
}
