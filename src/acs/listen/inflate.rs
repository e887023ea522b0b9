//! Compressed request bodies (TR-069 §3.4.7; quirk 8: believe the bytes rather than the header).

use std::io::{ErrorKind, Read};

use flate2::bufread::{DeflateDecoder, GzDecoder, ZlibDecoder};
use http::HeaderValue;
use http::header::GetAll;
use hyper::body::Bytes;
use tokio::task::yield_now;

use super::gate::Reservation;
use super::refusal::Refusal;

/// One step of inflating, after which other tasks get their turn.
const STEP_BYTES: usize = 64 << 10;
const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];

/// What `Content-Encoding` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Coding {
    /// Nothing, or `identity`.
    Identity,
    /// `gzip`, `x-gzip` or `deflate`.
    Compressed,
}

/// What the bytes are wrapped in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Wrapping {
    /// RFC 1952.
    Gzip,
    /// RFC 1950: what HTTP calls `deflate`.
    Zlib,
    /// RFC 1951: what many clients send as `deflate`.
    Raw,
}

/// Reads the header. Anything but one known coding is refused.
pub(super) fn coding(headers: GetAll<'_, HeaderValue>) -> Result<Coding, Refusal> {
    let mut coding = Coding::Identity;
    for value in headers {
        let name = value.as_bytes().trim_ascii();
        if name.is_empty() || name.eq_ignore_ascii_case(b"identity") {
            continue;
        }
        let known = [&b"gzip"[..], b"x-gzip", b"deflate"].iter().any(|known| name.eq_ignore_ascii_case(known));
        if !known || coding == Coding::Compressed {
            return Err(Refusal::ContentEncoding);
        }
        coding = Coding::Compressed;
    }
    Ok(coding)
}

/// Looks at the first bytes. `None` when there is nothing to inflate: XML under a `Content-Encoding` that promises
/// otherwise is XML, and gzip without one is gzip.
pub(super) fn wrapping(coding: Coding, bytes: &[u8]) -> Option<Wrapping> {
    if bytes.starts_with(&GZIP_MAGIC) {
        return Some(Wrapping::Gzip);
    }
    let (&first, rest) = match coding {
        Coding::Identity => return None,
        Coding::Compressed => bytes.split_first()?,
    };
    let is_text = matches!(first, b'<' | b' ' | b'\t' | b'\r' | b'\n') || bytes.starts_with(b"\xef\xbb\xbf");
    // RFC 1950 §2.2: method 8, and the first two bytes are a multiple of 31.
    let is_zlib = first & 0x0f == 8
        && rest.first().is_some_and(|second| (u16::from(first) * 256 + u16::from(*second)).is_multiple_of(31));
    match (is_text, is_zlib) {
        (true, _) => None,
        (false, true) => Some(Wrapping::Zlib),
        (false, false) => Some(Wrapping::Raw),
    }
}

/// Inflates up to `limit` bytes.
pub(super) async fn inflate(
    bytes: &[u8],
    wrapping: Wrapping,
    limit: usize,
    reservation: &mut Reservation,
) -> Result<Bytes, Refusal> {
    match wrapping {
        Wrapping::Gzip => read_all(GzDecoder::new(bytes), limit, reservation).await,
        Wrapping::Zlib => read_all(ZlibDecoder::new(bytes), limit, reservation).await,
        Wrapping::Raw => read_all(DeflateDecoder::new(bytes), limit, reservation).await,
    }
}

async fn read_all(mut decoder: impl Read, limit: usize, reservation: &mut Reservation) -> Result<Bytes, Refusal> {
    let mut step = vec![0; STEP_BYTES];
    let mut inflated = Vec::new();
    loop {
        let read = match decoder.read(&mut step) {
            Ok(0) => return Ok(inflated.into()),
            Ok(read) => read,
            Err(trouble) if trouble.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return Err(Refusal::Inflate),
        };
        if inflated.len().saturating_add(read) > limit {
            return Err(Refusal::InflatedTooLarge);
        }
        reservation.grow(read)?;
        inflated.extend_from_slice(step.get(..read).unwrap_or_default());
        // A bomb must not hold up the other tasks of this thread.
        yield_now().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_decide() {
        let table: [(Coding, &[u8], Option<Wrapping>); 8] = [
            (Coding::Identity, b"<xml/>", None),
            (Coding::Identity, b"\x1f\x8b\x08", Some(Wrapping::Gzip)),
            (Coding::Compressed, b"\x1f\x8b\x08", Some(Wrapping::Gzip)),
            (Coding::Compressed, b"\x78\x9c\x00", Some(Wrapping::Zlib)),
            (Coding::Compressed, b"\xb3\x49", Some(Wrapping::Raw)),
            (Coding::Compressed, b"\r\n<xml/>", None),
            (Coding::Compressed, b"\xef\xbb\xbf<xml/>", None),
            (Coding::Compressed, b"", None),
        ];
        for (coding, bytes, want) in table {
            assert_eq!(wrapping(coding, bytes), want, "{coding:?} {bytes:02x?}");
        }
    }
}
