//! The `Retry-After` header (RFC 9110, 10.2.3).

use std::time::SystemTime;

/// Returns the seconds to wait. A date is relative to the response's own `Date`, or to this machine's clock without
/// one. None if the header can't be parsed.
pub fn seconds(retry_after: &[u8], date: Option<&[u8]>) -> Option<i64> {
    let value = retry_after.trim_ascii();
    if !value.is_empty() && value.iter().all(u8::is_ascii_digit) {
        return std::str::from_utf8(value).ok()?.parse().ok();
    }
    let until = http_date(value)?;
    let now = match date {
        Some(date) => http_date(date.trim_ascii())?,
        None => SystemTime::now(),
    };
    let seconds = until.duration_since(now).map_or(0, |wait| wait.as_secs());
    i64::try_from(seconds).ok()
}

fn http_date(text: &[u8]) -> Option<SystemTime> {
    httpdate::parse_http_date(std::str::from_utf8(text).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seconds_and_dates_are_read_and_all_else_is_none() {
        let now = Some(&b"Wed, 21 Oct 2015 07:28:00 GMT"[..]);
        assert_eq!(seconds(b" 120 ", now), Some(120));
        assert_eq!(seconds(b"0", None), Some(0));
        assert_eq!(seconds(b"9223372036854775807", None), Some(i64::MAX));
        assert_eq!(seconds(b"Wed, 21 Oct 2015 07:29:30 GMT", now), Some(90));
        assert_eq!(seconds(b"Wednesday, 21-Oct-15 07:29:30 GMT", now), Some(90));
        assert_eq!(seconds(b"Wed Oct 21 07:29:30 2015", now), Some(90));
        assert_eq!(seconds(b"Wed, 21 Oct 2015 07:00:00 GMT", now), Some(0));
        assert_eq!(seconds(b"Wed, 21 Oct 2015 07:29:30 GMT", None), Some(0));
        for unreadable in
            [&b""[..], b"-1", b"+1", b"1.5", b"1 2", b"soon", b"9223372036854775808", b"\xff", b"0x10"]
        {
            assert_eq!(seconds(unreadable, now), None, "{unreadable:?}");
        }
        assert_eq!(seconds(b"Wed, 21 Oct 2015 07:29:30 GMT", Some(b"yesterday")), None);
    }
}
