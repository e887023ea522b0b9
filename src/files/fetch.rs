//! What a request for a file is answered: conditions, ranges, validators (RFC 9110 §13, §14; RFC 9530).
//!
//! Pure: a method, headers and a file in; status, headers and which bytes out. The file server and the API share it.

use std::ops::Range;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::header::{
    ACCEPT_RANGES, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, ETAG, HeaderMap, HeaderName, HeaderValue, IF_MATCH,
    IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE, IF_UNMODIFIED_SINCE, LAST_MODIFIED, RANGE,
};
use http::{Method, StatusCode};
use jiff::fmt::rfc2822::{DateTimeParser, DateTimePrinter};

use super::Offer;
use crate::types::time::Timestamp;

const REPR_DIGEST: HeaderName = HeaderName::from_static("repr-digest");
const BYTES: HeaderValue = HeaderValue::from_static("bytes");
const OCTETS: HeaderValue = HeaderValue::from_static("application/octet-stream");

/// An answer without its body.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetch {
    /// 200, 206, 304, 412 or 416.
    pub status: StatusCode,
    /// All that describe the file.
    pub headers: HeaderMap,
    /// The bytes to be sent; empty when there are none.
    pub part: Range<u64>,
}

impl Fetch {
    /// Answers a GET or HEAD.
    #[must_use]
    pub fn of(method: &Method, headers: &HeaderMap, offer: &Offer) -> Self {
        let etag = format!("\"{}\"", hex::encode(offer.sha256));
        let validators = Validators { etag: &etag, modified: offer.modified };
        let mut answer = Self { status: StatusCode::OK, headers: HeaderMap::new(), part: 0..0 };
        answer.put(ETAG, &etag);
        if let Some(date) = http_date(offer.modified) {
            answer.put(LAST_MODIFIED, &date);
        }
        answer.headers.insert(ACCEPT_RANGES, BYTES);
        if let Some(refusal) = validators.refuse(headers) {
            answer.status = refusal;
            return answer;
        }
        let whole = 0..offer.size;
        answer.put(REPR_DIGEST, &format!("sha-256=:{}:", STANDARD.encode(offer.sha256)));
        answer.headers.insert(CONTENT_TYPE, OCTETS);
        let wanted = if *method == Method::GET && validators.allow_range(headers) {
            headers.get(RANGE).map_or(Wanted::Whole, |range| Wanted::read(range, offer.size))
        } else {
            Wanted::Whole
        };
        let part = match wanted {
            Wanted::Whole => whole,
            Wanted::Part(part) => {
                answer.status = StatusCode::PARTIAL_CONTENT;
                let last = part.end.saturating_sub(1);
                answer.put(CONTENT_RANGE, &format!("bytes {}-{last}/{}", part.start, offer.size));
                part
            }
            Wanted::Beyond => {
                answer.status = StatusCode::RANGE_NOT_SATISFIABLE;
                answer.put(CONTENT_RANGE, &format!("bytes */{}", offer.size));
                answer.headers.remove(CONTENT_TYPE);
                answer.headers.remove(REPR_DIGEST);
                return answer;
            }
        };
        answer.headers.insert(CONTENT_LENGTH, HeaderValue::from(part.end - part.start));
        if *method != Method::HEAD {
            answer.part = part;
        }
        answer
    }

    fn put(&mut self, name: HeaderName, value: &str) {
        // Made of digits and known words: it always is one.
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(name, value);
        }
    }
}

struct Validators<'a> {
    etag: &'a str,
    modified: Timestamp,
}

impl Validators<'_> {
    /// Whether a condition does not hold (RFC 9110 §13.2.2).
    fn refuse(&self, headers: &HeaderMap) -> Option<StatusCode> {
        let modified = self.modified.as_secs();
        if headers.contains_key(IF_MATCH) {
            if !self.names_us(headers, &IF_MATCH, Weak::Differ) {
                return Some(StatusCode::PRECONDITION_FAILED);
            }
        } else if date_of(headers, &IF_UNMODIFIED_SINCE).is_some_and(|since| modified > since) {
            return Some(StatusCode::PRECONDITION_FAILED);
        }
        let unchanged = if headers.contains_key(IF_NONE_MATCH) {
            self.names_us(headers, &IF_NONE_MATCH, Weak::Same)
        } else {
            date_of(headers, &IF_MODIFIED_SINCE).is_some_and(|since| modified <= since)
        };
        unchanged.then_some(StatusCode::NOT_MODIFIED)
    }

    fn names_us(&self, headers: &HeaderMap, name: &HeaderName, weak: Weak) -> bool {
        let lists = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
        lists.flat_map(|list| list.split(',')).map(str::trim).any(|tag| match (tag, tag.strip_prefix("W/")) {
            ("*", _) => true,
            (_, Some(tag)) => weak == Weak::Same && tag == self.etag,
            (tag, None) => tag == self.etag,
        })
    }

    /// Whether a range may be answered with one (RFC 9110 §13.1.5): the client's other parts are of this very file.
    fn allow_range(&self, headers: &HeaderMap) -> bool {
        match headers.get(IF_RANGE).map(HeaderValue::to_str) {
            None => true,
            Some(Ok(tag)) if tag.trim() == self.etag => true,
            Some(Ok(_)) => date_of(headers, &IF_RANGE) == Some(self.modified.as_secs()),
            Some(Err(_)) => false,
        }
    }
}

/// Whether a weak tag is as good as a strong one (RFC 9110 §8.8.3.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Weak {
    Same,
    Differ,
}

/// What a `Range` asks for.
#[derive(Debug, PartialEq, Eq)]
enum Wanted {
    /// Also when it asks for several parts, or is none: both may be answered with the whole (RFC 9110 §14.2).
    Whole,
    Part(Range<u64>),
    /// For nothing that there is.
    Beyond,
}

impl Wanted {
    fn read(value: &HeaderValue, size: u64) -> Self {
        Self::parse(value, size).unwrap_or(Self::Whole)
    }

    fn parse(value: &HeaderValue, size: u64) -> Option<Self> {
        let (unit, set) = value.to_str().ok()?.split_once('=')?;
        if !unit.trim().eq_ignore_ascii_case("bytes") || set.contains(',') {
            return None;
        }
        let (first, last) = set.trim().split_once('-')?;
        let (first, last) = (first.trim(), last.trim());
        let part = if first.is_empty() {
            let length = number(last)?;
            if length == 0 {
                return Some(Self::Beyond);
            }
            size.saturating_sub(length)..size
        } else {
            let first = number(first)?;
            let last = if last.is_empty() { u64::MAX } else { number(last)? };
            if last < first {
                return None;
            }
            first..last.saturating_add(1).min(size)
        };
        Some(if part.start < part.end { Self::Part(part) } else { Self::Beyond })
    }
}

/// Digits alone; more of them than a number can have mean a number beyond all files.
fn number(text: &str) -> Option<u64> {
    if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    Some(text.parse().unwrap_or(u64::MAX))
}

fn http_date(at: Timestamp) -> Option<String> {
    let at = jiff::Timestamp::from_second(at.as_secs()).ok()?;
    DateTimePrinter::new().timestamp_to_rfc9110_string(&at).ok()
}

/// Seconds since the epoch.
fn date_of(headers: &HeaderMap, name: &HeaderName) -> Option<i64> {
    let text = headers.get(name)?.to_str().ok()?;
    DateTimeParser::new().parse_timestamp(text).ok().map(jiff::Timestamp::as_second)
}

/// The part of an upload that a `Content-Range` announces: `bytes 0-99/1000`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentRange {
    /// First byte.
    pub first: u64,
    /// Last byte.
    pub last: u64,
    /// Of the whole file, if it is known.
    pub total: Option<u64>,
}

impl ContentRange {
    /// Reads the header's value; `None` when it is none, or contradicts itself.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (unit, rest) = text.trim().split_once(' ')?;
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first.trim())?, number(last.trim())?);
        let total = if total.trim() == "*" { None } else { Some(number(total.trim())?) };
        // The last byte that there can be has one behind it: a length is a number as well.
        let fits = unit.eq_ignore_ascii_case("bytes")
            && first <= last
            && last < u64::MAX
            && total.is_none_or(|total| last < total);
        fits.then_some(Self { first, last, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::files::FileContent;

    const SIZE: u64 = 1000;
    const AT: Timestamp = Timestamp::from_secs(784_111_777);

    fn fetch(method: &Method, headers: &[(&str, &str)]) -> Fetch {
        let headers = headers
            .iter()
            .map(|(name, value)| (name.parse::<HeaderName>().unwrap(), HeaderValue::from_str(value).unwrap()))
            .collect();
        let content = FileContent::of(tempfile::tempfile().unwrap());
        let offer = Offer { sha256: [0xab; 32], size: SIZE, modified: AT, name: "x.bin".to_owned(), content };
        Fetch::of(method, &headers, &offer)
    }

    fn text<'a>(fetch: &'a Fetch, name: &str) -> &'a str {
        fetch.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    #[test]
    fn ranges_are_answered_as_the_field_asks_for_them() {
        let table = [
            ("bytes=0-99", 206, 0..100, "bytes 0-99/1000"),
            ("bytes=900-", 206, 900..1000, "bytes 900-999/1000"),
            ("bytes=-1", 206, 999..1000, "bytes 999-999/1000"),
            ("bytes=-5000", 206, 0..1000, "bytes 0-999/1000"),
            ("Bytes = 1-1", 206, 1..2, "bytes 1-1/1000"),
            ("bytes=0-99999999999999999999999999", 206, 0..1000, "bytes 0-999/1000"),
            ("bytes=1000-", 416, 0..0, "bytes */1000"),
            ("bytes=-0", 416, 0..0, "bytes */1000"),
            ("bytes=5-1", 200, 0..1000, ""),
            ("bytes=0-1,5-6", 200, 0..1000, ""),
            ("bytes=x-y", 200, 0..1000, ""),
            ("bytes=+1-2", 200, 0..1000, ""),
            ("items=0-1", 200, 0..1000, ""),
            ("bytes", 200, 0..1000, ""),
        ];
        for (range, status, part, content_range) in table {
            let fetch = fetch(&Method::GET, &[("range", range)]);
            assert_eq!((fetch.status.as_u16(), fetch.part.clone()), (status, part.clone()), "{range}");
            assert_eq!(text(&fetch, "content-range"), content_range, "{range}");
            if status != 416 {
                assert_eq!(text(&fetch, "content-length"), (part.end - part.start).to_string(), "{range}");
            }
        }
    }

    #[test]
    fn the_file_is_described_in_full() {
        let fetch = fetch(&Method::HEAD, &[("range", "bytes=0-1")]);
        assert_eq!((fetch.status.as_u16(), fetch.part.clone()), (200, 0..0), "a HEAD has no range");
        assert_eq!(text(&fetch, "etag"), format!("\"{}\"", "ab".repeat(32)));
        assert_eq!(text(&fetch, "last-modified"), "Sun, 06 Nov 1994 08:49:37 GMT");
        assert_eq!(text(&fetch, "content-length"), "1000");
        assert_eq!(text(&fetch, "accept-ranges"), "bytes");
        assert_eq!(text(&fetch, "content-type"), "application/octet-stream");
        assert!(text(&fetch, "repr-digest").starts_with("sha-256=:q6ur"));
    }

    #[test]
    fn conditions_hold_or_not() {
        let tag = format!("\"{}\"", "ab".repeat(32));
        let (weak, list) = (format!("W/{tag}"), format!("\"x\", {tag}"));
        let (then, later) = ("Sun, 06 Nov 1994 08:49:37 GMT", "Sun, 06 Nov 1994 08:49:38 GMT");
        let earlier = "Sun, 06 Nov 1994 08:49:36 GMT";
        let table: [(&[(&str, &str)], u16); 17] = [
            (&[("if-none-match", &tag)], 304),
            (&[("if-none-match", &weak)], 304),
            (&[("if-none-match", &list)], 304),
            (&[("if-none-match", "*")], 304),
            (&[("if-none-match", "\"x\""), ("if-modified-since", later)], 200),
            (&[("if-modified-since", then)], 304),
            (&[("if-modified-since", earlier)], 200),
            (&[("if-modified-since", "yesterday")], 200),
            (&[("if-match", &tag)], 200),
            (&[("if-match", &weak)], 412),
            (&[("if-match", "\"x\"")], 412),
            (&[("if-unmodified-since", earlier)], 412),
            (&[("if-unmodified-since", then)], 200),
            (&[("range", "bytes=0-1"), ("if-range", &tag)], 206),
            (&[("range", "bytes=0-1"), ("if-range", "\"x\"")], 200),
            (&[("range", "bytes=0-1"), ("if-range", then)], 206),
            (&[("range", "bytes=0-1"), ("if-range", later)], 200),
        ];
        for (headers, status) in table {
            assert_eq!(fetch(&Method::GET, headers).status.as_u16(), status, "{headers:?}");
        }
    }

    #[test]
    fn parts_of_uploads_are_read_strictly() {
        let range = |first, last, total| Some(ContentRange { first, last, total });
        let table = [
            ("bytes 0-99/1000", range(0, 99, Some(1000))),
            ("bytes 5-5/*", range(5, 5, None)),
            ("bytes 5-4/10", None),
            ("bytes 0-10/10", None),
            ("bytes */10", None),
            ("0-9/10", None),
            ("", None),
        ];
        for (given, want) in table {
            assert_eq!(ContentRange::parse(given), want, "{given:?}");
        }
    }
}
