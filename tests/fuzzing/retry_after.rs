//! A `Retry-After` is parsed as a non-negative time, or not at all. No back-off exceeds its login's timeout.

use std::time::Duration;

use couchdrop::config::Config;
use couchdrop::login::retry::Backoff;
use couchdrop::retry_after::seconds;
use couchdrop::rng::Rng;

/// Input: the header, a line end, and the response's `Date`.
pub fn holds(input: &[u8]) {
    let at = input.iter().position(|byte| *byte == b'\n');
    let (value, date) = match at {
        Some(at) => (&input[..at], Some(&input[at + 1..])),
        None => (input, None),
    };
    let found = seconds(value, date);
    assert!(found.is_none_or(|found| found >= 0));
    let digits = value.trim_ascii();
    if !digits.is_empty() && digits.iter().all(u8::is_ascii_digit) {
        assert_eq!(found, number(digits));
    } else if let (Some(found), Some(then), Some(now)) = (found, imf_date(digits), date.and_then(imf_date)) {
        assert_eq!(found, (then - now).max(0));
    }
    // A date is not later than itself.
    if let Some(same) = seconds(value, Some(value)) {
        assert!(same == 0 || found == Some(same));
    }
    if let Some(found) = found {
        check_backoff(Duration::from_secs(found.unsigned_abs()), date.map_or(0, <[u8]>::len));
    }
}

/// Digits as a number, if it fits into 63 bits.
fn number(digits: &[u8]) -> Option<i64> {
    digits
        .iter()
        .try_fold(0_i64, |number, digit| number.checked_mul(10)?.checked_add(i64::from(digit - b'0')))
}

/// The seconds since 1970 of a date in the preferred format: `Sun, 06 Nov 1994 08:49:37 GMT`.
fn imf_date(text: &[u8]) -> Option<i64> {
    let text = std::str::from_utf8(text.trim_ascii()).ok()?;
    let fields: Vec<&str> = text.split([' ', ':']).collect();
    let [_, day, month, year, hour, minute, second, "GMT"] = fields[..] else { return None };
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let month = months.iter().position(|name| *name == month)? as i64 + 1;
    // Exactly as wide as the format requires, so that the days up to any year can be counted.
    let number = |text: &str| text.parse::<i64>().ok().filter(|_| matches!(text.len(), 2 | 4));
    let days = days_since_1970(number(year)?, month, number(day)?);
    Some(((days * 24 + number(hour)?) * 60 + number(minute)?) * 60 + number(second)?)
}

/// Counts the days of the years and months before, one by one.
pub fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let leap = |year: i64| year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let lengths = |year| [31, if leap(year) { 29 } else { 28 }, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    let years: i64 = (1970..year).map(|year| if leap(year) { 366 } else { 365 }).sum();
    years + lengths(year).iter().take(month as usize - 1).sum::<i64>() + day - 1
}

struct Most;

impl Rng for Most {
    fn random_up_to(&self, below: Duration) -> Duration {
        below
    }
}

fn check_backoff(retry_after: Duration, seconds: usize) {
    let settings = Config::default();
    let remaining = Duration::from_secs(seconds as u64);
    let mut backoff = Backoff::new(&settings, remaining);
    let mut retries = 0;
    while let Some(wait) = backoff.next(remaining, Some(retry_after), &Most) {
        retries += 1;
        assert!(wait >= retry_after && wait <= remaining, "{wait:?} of {remaining:?}");
        assert!(retries <= settings.max_retries);
    }
}
