//! Times, in the units that their fields are named for. All come out in ms; none is ever told apart by its size.

use time::{Date, Month, UtcDateTime};

use super::json::Json;

/// Longest time that is taken for one: a year 9999, in ms.
const LATEST: f64 = 2.6e14;

fn whole(ms: f64) -> Option<i64> {
    // In range, so the cast keeps it.
    (ms.is_finite() && ms.abs() < LATEST).then(|| ms.round() as i64)
}

/// A field in ms.
pub(super) fn millis(value: &Json) -> Option<i64> {
    whole(value.number()?)
}

/// An hour, in ms.
pub(super) const HOUR_MS: i64 = 3_600_000;
/// A day, in ms.
pub(super) const DAY_MS: i64 = 24 * HOUR_MS;

/// A field in seconds: a number, a string of one, `1.8s`, or an object of seconds and nanoseconds.
pub(super) fn seconds(value: &Json) -> Option<i64> {
    match value {
        Json::Object(_) => {
            let (whole_part, nanos) = (long(value.get("seconds")), value.get("nanos").number());
            // What is zero may be left out.
            let known = whole_part.is_some() || nanos.is_some();
            whole(1000.0 * whole_part.unwrap_or(0.0) + nanos.unwrap_or(0.0) / 1e6).filter(|_| known)
        }
        Json::Text(text) => {
            let text = text.trim();
            let number: f64 = text.strip_suffix('s').unwrap_or(text).trim().parse().ok()?;
            whole(1000.0 * number)
        }
        value => whole(1000.0 * value.number()?),
    }
}

/// A whole number of 64 bits, which JavaScript may hold in two halves.
fn long(value: &Json) -> Option<f64> {
    let halves = || {
        // The lower half may come out negative.
        let low = value.get("low").number()?.rem_euclid(4_294_967_296.0);
        Some(value.get("high").number().unwrap_or(0.0) * 4_294_967_296.0 + low)
    };
    value.number().or_else(halves)
}

/// A field in µs.
pub(super) fn micros(value: &Json) -> Option<i64> {
    whole(value.number()? / 1000.0)
}

/// A field in ticks of 100 ns.
pub(super) fn ticks(value: &Json) -> Option<i64> {
    whole(value.number()? / 10_000.0)
}

/// A field that holds a moment or a stretch as text: RFC 3339, `PT1.5S`, `00:00:04.120`; or an object of seconds and
/// nanoseconds.
pub(super) fn written(value: &Json) -> Option<i64> {
    if let Json::Object(_) = value {
        return seconds(value);
    }
    let text = value.text()?.trim();
    clock(text).or_else(|| moment(text)).or_else(|| stretch(text))
}

/// `h:mm:ss.fff`, `mm:ss`, with a point or a comma, and `hh:mm:ss:fff`; `mm:ss:fff` is not one.
pub(super) fn clock(text: &str) -> Option<i64> {
    let thousandths = || {
        let (whole_part, fraction) = text.rsplit_once(':')?;
        (fraction.len() == 3 && whole_part.matches(':').count() == 2).then_some((whole_part, Some(fraction)))
    };
    let (whole_part, fraction) = match text.split_once(['.', ',']) {
        Some((whole_part, fraction)) => (whole_part, Some(fraction)),
        None => thousandths().unwrap_or((text, None)),
    };
    let parts: Vec<&str> = whole_part.split(':').collect();
    let digits = |part: &str, most: usize| (1..=most).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit());
    if !(2..=3).contains(&parts.len()) || !digits(parts[0], 4) || !parts[1..].iter().all(|part| digits(part, 2)) {
        return None;
    }
    let mut seconds = 0_i64;
    for (at, part) in parts.iter().enumerate() {
        let number: i64 = part.parse().ok()?;
        if at > 0 && number >= 60 {
            return None;
        }
        seconds = seconds * 60 + number;
    }
    let ms = match fraction {
        None => 0,
        Some(fraction) if digits(fraction, 9) => format!("{fraction:0<3}").get(..3)?.parse().ok()?,
        Some(_) => return None,
    };
    Some(seconds * 1000 + ms)
}

/// `PT1H2M3.4S`.
fn stretch(text: &str) -> Option<i64> {
    let mut rest = text.strip_prefix("PT")?;
    let mut ms = 0.0;
    for (unit, worth) in [('H', 3_600_000.0), ('M', 60_000.0), ('S', 1000.0)] {
        if let Some((number, after)) = rest.split_once(unit) {
            let number: f64 = number.parse().ok()?;
            (ms, rest) = (ms + number * worth, after);
        }
    }
    rest.is_empty().then(|| whole(ms)).flatten()
}

/// RFC 3339 and the basic form of ISO 8601, in ms since 1970; without an offset it is taken for UTC, as only differences
/// matter.
pub(super) fn moment(text: &str) -> Option<i64> {
    let (date, time) = text.split_once(['T', 't', ' '])?;
    let (time, zone) = match time.find(|c: char| c.is_alphabetic() || matches!(c, '+' | '-')) {
        Some(at) => (time.get(..at)?.trim(), time.get(at..)?),
        None => (time.trim(), ""),
    };
    let is_basic = |text: &str, long: usize| text.len() == long && text.bytes().all(|b| b.is_ascii_digit());
    let (day, at) = if is_basic(date, 8) && is_basic(time.split('.').next()?, 6) {
        let part = |text: &str, from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
        let day = days(part(date, 0, 4)?, part(date, 4, 6)?, part(date, 6, 8)?)?;
        (day, clock(&format!("{}:{}:{}", time.get(..2)?, time.get(2..4)?, time.get(4..)?))?)
    } else {
        (day(date)?, clock(time)?)
    };
    Some(day * DAY_MS + at - offset(zone)?)
}

/// How far a clock is ahead of UTC, in ms: `Z`, `UTC`, `+01:00`, `(+0000)`; nothing is UTC.
pub(super) fn offset(zone: &str) -> Option<i64> {
    let zone = zone.trim().trim_matches(['(', ')']);
    if ["", "Z", "UTC", "GMT", "UT"].iter().any(|utc| utc.eq_ignore_ascii_case(zone)) {
        return Some(0);
    }
    let zone = zone.trim_start_matches("UTC").trim_start_matches("GMT");
    let sign = if zone.starts_with('-') { -1 } else { 1 };
    let digits: String = zone.chars().filter(char::is_ascii_digit).collect();
    let is_offset = zone.starts_with(['+', '-']) && zone.chars().skip(1).all(|c| c.is_ascii_digit() || c == ':');
    let hours: i64 = digits.get(..2).filter(|_| is_offset)?.parse().ok()?;
    let minutes: i64 = digits.get(2..4).unwrap_or("0").parse().ok()?;
    Some(sign * (hours * 60 + minutes) * 60_000)
}

/// The day of a date in numbers, in days since 1970: the year first, or with points the day first. With slashes and the
/// year last nobody knows which is the month.
pub(super) fn day(date: &str) -> Option<i64> {
    let parts = |sign: char| -> Option<[i64; 3]> {
        let mut parts = date.splitn(3, sign).map(|part| part.parse::<i64>().ok());
        Some([parts.next()??, parts.next()??, parts.next()??])
    };
    let known = parts('-').or_else(|| parts('/').filter(|[year, ..]| *year > 999));
    let of_points = || parts('.').map(|[day, month, year]| [year, month, day]).filter(|[year, ..]| *year > 999);
    let [year, month, day] = known.or_else(of_points)?;
    days(year, month, day).filter(|_| (1..=9999).contains(&year))
}

/// Days since 1970-01-01; `None` for a day that its month does not have.
pub(super) fn days(year: i64, month: i64, day: i64) -> Option<i64> {
    let month = Month::try_from(u8::try_from(month).ok()?).ok()?;
    let date = Date::from_calendar_date(i32::try_from(year).ok()?, month, u8::try_from(day).ok()?).ok()?;
    Some(i64::from(date.to_julian_day() - UtcDateTime::UNIX_EPOCH.date().to_julian_day()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_way_to_write_a_time_is_read_and_nothing_else() {
        for (text, ms) in [
            ("0:49", Some(49_000)),
            ("1:02:14", Some(3_734_000)),
            ("00:00:04.120", Some(4120)),
            ("00:00:02,4", Some(2400)),
            ("PT0.04S", Some(40)),
            ("PT1M2S", Some(62_000)),
            ("00:00:02:040", Some(2040)),
            ("00:02:040", None),
            ("1970-01-02T00:00:00Z", Some(86_400_000)),
            ("2025-02-19T16:15:50-05:00", Some(1_739_999_750_000)),
            ("2024-02-29T00:00:00.5", Some(1_709_164_800_500)),
            ("4", None),
            ("1:75", None),
            ("12:3a", None),
            ("PT5X", None),
            ("2024-13-01T00:00:00Z", None),
            ("2023-02-29T00:00:00Z", None),
        ] {
            let read = written(&Json::Text(text.to_owned()));
            assert_eq!(read, ms, "{text}");
        }
    }

    #[test]
    fn moments_are_written_as_they_are_read() {
        use crate::clock::rfc3339;

        for ms in [0, 951_782_399_999, 1_709_164_800_500, 4_102_444_800_000] {
            assert_eq!(moment(&rfc3339(ms)), Some(ms));
        }
        assert_eq!(rfc3339(1_709_164_800_500), "2024-02-29T00:00:00.500Z");
    }

    #[test]
    fn a_unit_is_the_fields_and_not_guessed() {
        let text = |text: &str| Json::Text(text.to_owned());
        assert_eq!(seconds(&text("1.800s")), Some(1800));
        assert_eq!(seconds(&Json::Number(0.31)), Some(310));
        assert_eq!(millis(&Json::Number(0.4)), Some(0));
        assert_eq!(micros(&Json::Number(1_675_230_581_000_000.0)), Some(1_675_230_581_000));
        assert_eq!(ticks(&Json::Number(22_800_000.0)), Some(2280));
        assert_eq!(seconds(&Json::Number(f64::MAX)), None);
        let object = |text: &str| super::super::json::parse(text.as_bytes()).ok();
        for (text, ms) in [
            (r#"{"seconds":"5","nanos":500000000}"#, Some(5500)),
            (r#"{"nanos":250000000}"#, Some(250)),
            (r#"{"seconds":{"low":-1,"high":1,"unsigned":false}}"#, Some(8_589_934_591_000)),
            (r#"{}"#, None),
        ] {
            assert_eq!(object(text).as_ref().and_then(seconds), ms, "{text}");
            assert_eq!(object(text).as_ref().and_then(written), ms, "{text}");
        }
    }
}
