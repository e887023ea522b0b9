//! Downloads: streamed, hashed on the way, taken up again after a break, never whole in memory.

use std::time::Duration;

use base64::Engine as _;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Request, StatusCode, header};
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::send::credentials;
use super::{FILE_CORRUPTED, Order, Outcome};
use crate::simulator::auth::{Authenticator, Challenged};
use crate::simulator::config::CpeConfig;
use crate::simulator::http::{Connection, HttpError, RequestBody, Streaming, Target};
use crate::simulator::misbehave::Misbehaviour;

const TRANSFER_FAILED: u16 = 9010;
const AUTHENTICATION_FAILED: u16 = 9012;
const UNSUPPORTED_PROTOCOL: u16 = 9013;
const CANNOT_CONTACT: u16 = 9015;
const CANNOT_ACCESS: u16 = 9016;
const CANNOT_COMPLETE: u16 = 9017;
/// Times in a row that a broken download is taken up again without any byte having come.
const RESUMES_MAX: u32 = 5;
/// Before that.
const RESUME_WAIT: Duration = Duration::from_secs(1);
/// Times in a row that a server may say that it is busy.
const BUSY_MAX: u32 = 30;
/// The longest `Retry-After` that is waited for.
const RETRY_AFTER_MAX: Duration = Duration::from_mins(5);
/// Redirects in a row.
const REDIRECTS_MAX: u32 = 5;
/// What is kept of any file: its first line tells the version.
const HEAD_BYTES: usize = 256;
/// What is kept of a configuration; one that is larger is taken, and forgotten.
const KEPT_BYTES: usize = 1024 * 1024;

/// A file that came whole.
#[derive(Debug, Clone)]
pub(in crate::simulator) struct Fetched {
    pub(in crate::simulator) bytes: u64,
    /// Whether there was a digest to check it against.
    pub(in crate::simulator) check: Check,
    /// What an image says about itself.
    pub(super) version: String,
    /// Of a configuration that is not too large.
    pub(super) contents: Option<Bytes>,
}

/// What a file's SHA-256 was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::simulator) enum Check {
    /// `Repr-Digest`, or an `ETag` that is one.
    Digest,
    /// Nothing: only its length was.
    LengthOnly,
}

/// What has come so far, over however many connections.
struct Progress {
    bytes: u64,
    hasher: Sha256,
    kept: BytesMut,
    keep: usize,
    /// The whole file's length, once known.
    length: Option<u64>,
    digest: Option<[u8; 32]>,
    /// A strong one: the file on the server is still the same.
    etag: Option<String>,
    /// A misbehaviour: the first byte is not stored as it came.
    corrupt: bool,
}

impl Progress {
    fn new(config: &CpeConfig, order: &Order) -> Self {
        let keep = if order.file_type.starts_with("3 ") { KEPT_BYTES } else { HEAD_BYTES };
        Self {
            bytes: 0,
            hasher: Sha256::new(),
            kept: BytesMut::new(),
            keep,
            length: None,
            digest: None,
            etag: None,
            corrupt: config.has(&Misbehaviour::CorruptDownload),
        }
    }

    fn start_over(&mut self) {
        self.bytes = 0;
        self.hasher = Sha256::new();
        self.kept.clear();
    }

    fn take(&mut self, piece: &[u8]) {
        let room = self.keep.saturating_sub(self.kept.len()).min(piece.len());
        self.kept.extend_from_slice(piece.get(..room).unwrap_or_default());
        match piece.split_first() {
            Some((first, rest)) if self.corrupt && self.bytes == 0 => {
                self.hasher.update([first ^ 1]);
                self.hasher.update(rest);
            }
            _ => self.hasher.update(piece),
        }
        self.bytes += u64::try_from(piece.len()).unwrap_or(0);
    }

    /// Learns from the head of an answer what the file should be.
    fn expect(&mut self, answer: &Streaming) {
        let headers = &answer.headers;
        self.digest = repr_digest(headers).or_else(|| etag_digest(headers)).or(self.digest);
        self.etag = text(headers, &header::ETAG).filter(|tag| tag.starts_with('"')).map(str::to_owned);
        self.length = if answer.status == StatusCode::PARTIAL_CONTENT {
            content_range(headers).and_then(|(_, length)| length).or(self.length)
        } else {
            text(headers, &header::CONTENT_LENGTH).and_then(|length| length.parse().ok())
        };
    }

    fn is_whole(&self) -> bool {
        self.length.is_none_or(|length| self.bytes == length)
    }

    /// The last check.
    fn finish(self, order: &Order) -> Outcome {
        let is_right_size = order.file_size == 0 || u64::from(order.file_size) == self.bytes;
        let is_whole = self.is_whole();
        let digest: [u8; 32] = self.hasher.finalize().into();
        let is_right = self.digest.is_none_or(|expected| expected == digest);
        if self.corrupt || !is_right_size || !is_right || !is_whole {
            return Outcome::Failed(FILE_CORRUPTED);
        }
        let is_kept_whole = u64::try_from(self.kept.len()) == Ok(self.bytes);
        let version = image_version(&self.kept, &digest);
        Outcome::Fetched(Fetched {
            bytes: self.bytes,
            check: if self.digest.is_some() { Check::Digest } else { Check::LengthOnly },
            version,
            contents: (self.keep == KEPT_BYTES && is_kept_whole).then(|| self.kept.freeze()),
        })
    }
}

/// Why an attempt did not get to the end of the file.
enum Broken {
    /// It may be taken up where it broke off.
    Connection,
    /// The server is busy, and may have said for how long.
    Busy(Option<Duration>),
    /// The fault to report.
    For(u16),
}

impl From<HttpError> for Broken {
    fn from(error: HttpError) -> Self {
        match error {
            HttpError::Url => Self::For(UNSUPPORTED_PROTOCOL),
            HttpError::Connect(_) | HttpError::Tls(_) | HttpError::NoTrust => Self::For(CANNOT_CONTACT),
            HttpError::Broken(_) | HttpError::Timeout => Self::Connection,
            HttpError::Request(_) | HttpError::TooLarge => Self::For(TRANSFER_FAILED),
        }
    }
}

/// Downloads a file and checks it: its length against `FileSize` and what the server says, its SHA-256 against
/// `Repr-Digest` (RFC 9530) or an `ETag` that is one.
pub(super) async fn fetch(config: &CpeConfig, order: &Order) -> Outcome {
    let mut progress = Progress::new(config, order);
    let resumes_max = config.download_retries.unwrap_or(RESUMES_MAX);
    let mut fruitless = 0;
    let mut busy = 0;
    loop {
        let before = progress.bytes;
        let broken = match attempt(config, order, &mut progress).await {
            Ok(()) => return progress.finish(order),
            Err(broken) => broken,
        };
        if progress.bytes > before {
            (fruitless, busy) = (0, 0);
        } else if matches!(broken, Broken::Busy(_)) {
            busy += 1;
        } else {
            fruitless += 1;
        }
        let mut wait = config.scaled(RESUME_WAIT);
        match broken {
            // What could be reached once may be back soon.
            Broken::For(CANNOT_CONTACT) if is_patient(config, &progress) && fruitless <= resumes_max => {}
            Broken::For(fault) => return Outcome::Failed(fault),
            Broken::Connection if fruitless > resumes_max => return Outcome::Failed(CANNOT_COMPLETE),
            Broken::Connection => {}
            Broken::Busy(_) if busy > BUSY_MAX => return Outcome::Failed(CANNOT_COMPLETE),
            // The server's time, which nothing scales.
            Broken::Busy(until) => wait = until.unwrap_or(wait),
        }
        tokio::time::sleep(wait).await;
    }
}

/// Whether a server that cannot be reached is tried again.
const fn is_patient(config: &CpeConfig, progress: &Progress) -> bool {
    progress.bytes > 0 || config.download_retries.is_some()
}

/// One connection's share of the download: from where the last one broke off.
async fn attempt(config: &CpeConfig, order: &Order, progress: &mut Progress) -> Result<(), Broken> {
    let (mut connection, mut answer) = open(config, order, progress).await?;
    if answer.status == StatusCode::PARTIAL_CONTENT {
        match content_range(&answer.headers) {
            Some((from, _)) if from == progress.bytes => {}
            _ => return Err(Broken::For(CANNOT_COMPLETE)),
        }
    } else {
        progress.start_over();
    }
    progress.expect(&answer);
    let mut pace = Pace::new(config);
    loop {
        let next = connection.next_piece(&mut answer);
        let piece = tokio::time::timeout(config.response_timeout, next).await.map_err(|_| Broken::Connection)??;
        let Some(piece) = piece else { break };
        progress.take(&piece);
        pace.wait(piece.len()).await;
    }
    if progress.is_whole() { Ok(()) } else { Err(Broken::Connection) }
}

/// Sends the request, answers a challenge, follows redirects.
async fn open(config: &CpeConfig, order: &Order, progress: &Progress) -> Result<(Connection, Streaming), Broken> {
    let mut target = Target::parse(&order.url)?;
    let mut authenticator = Authenticator::new(credentials(order));
    let mut redirects = 0;
    loop {
        let opening = Connection::open(&target, &config.tls);
        let limit = config.response_timeout;
        let mut connection = tokio::time::timeout(limit, opening).await.map_err(|_| Broken::For(CANNOT_CONTACT))??;
        let authorization = authenticator.authorization("GET", &target.path);
        let has_answered = authorization.is_some();
        let request = request(&target, progress, authorization)?;
        let begun = tokio::time::timeout(limit, connection.begin(request)).await;
        let answer = begun.map_err(|_| Broken::Connection)??;
        match answer.status {
            StatusCode::OK | StatusCode::PARTIAL_CONTENT => return Ok((connection, answer)),
            StatusCode::UNAUTHORIZED
                if !has_answered && authenticator.challenged(&answer.headers, |_| {}) == Challenged::Answerable => {}
            StatusCode::UNAUTHORIZED => return Err(Broken::For(AUTHENTICATION_FAILED)),
            StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
                if redirects < REDIRECTS_MAX =>
            {
                redirects += 1;
                let location = text(&answer.headers, &header::LOCATION);
                target = location.and_then(|url| Target::parse(url).ok()).ok_or(Broken::For(CANNOT_ACCESS))?;
                authenticator.forget();
            }
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                let secs = text(&answer.headers, &header::RETRY_AFTER).and_then(|secs| secs.parse().ok());
                return Err(Broken::Busy(secs.map(|secs| Duration::from_secs(secs).min(RETRY_AFTER_MAX))));
            }
            _ => return Err(Broken::For(CANNOT_ACCESS)),
        }
    }
}

fn request(
    target: &Target,
    progress: &Progress,
    authorization: Option<String>,
) -> Result<Request<RequestBody>, Broken> {
    let mut builder = Request::builder()
        .method("GET")
        .uri(&target.path)
        .header(header::HOST, target.authority())
        .header(header::USER_AGENT, "acsd-simulator");
    if let Some(authorization) = authorization {
        builder = builder.header(header::AUTHORIZATION, authorization);
    }
    if progress.bytes > 0 {
        builder = builder.header(header::RANGE, format!("bytes={}-", progress.bytes));
        if let Some(etag) = &progress.etag {
            builder = builder.header(header::IF_RANGE, etag.as_str());
        }
    }
    builder.body(RequestBody::empty()).map_err(|_| Broken::For(CANNOT_ACCESS))
}

/// Holds a download back so that it is no faster than the line that it stands for.
struct Pace {
    bytes_per_sec: Option<u64>,
    began: Instant,
    bytes: u64,
}

impl Pace {
    fn new(config: &CpeConfig) -> Self {
        Self { bytes_per_sec: config.download_rate.map(u64::from), began: Instant::now(), bytes: 0 }
    }

    async fn wait(&mut self, bytes: usize) {
        let Some(rate) = self.bytes_per_sec else { return };
        self.bytes += u64::try_from(bytes).unwrap_or(0);
        let micros = u128::from(self.bytes) * 1_000_000 / u128::from(rate);
        tokio::time::sleep_until(self.began + Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX))).await;
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &header::HeaderName) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// `Repr-Digest: sha-256=:<base64>:`, among others.
fn repr_digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let mut items = headers.get_all("repr-digest").iter().filter_map(|v| v.to_str().ok()).flat_map(|v| v.split(','));
    items.find_map(|item| {
        let encoded = item.trim().strip_prefix("sha-256=:")?.strip_suffix(':')?;
        base64::engine::general_purpose::STANDARD.decode(encoded).ok()?.try_into().ok()
    })
}

/// An `ETag` of 64 hexadecimal digits in quotation marks.
fn etag_digest(headers: &HeaderMap) -> Option<[u8; 32]> {
    let digits = text(headers, &header::ETAG)?.strip_prefix('"')?.strip_suffix('"')?;
    hex::decode(digits).ok()?.try_into().ok()
}

/// First byte and whole length of `Content-Range: bytes 5-9/10`.
fn content_range(headers: &HeaderMap) -> Option<(u64, Option<u64>)> {
    let range = text(headers, &header::CONTENT_RANGE)?.strip_prefix("bytes ")?;
    let (span, length) = range.split_once('/')?;
    Some((span.split_once('-')?.0.trim().parse().ok()?, length.trim().parse().ok()))
}

/// The version in an image's first line (`Version: 2.1.0`), or one made from its contents.
fn image_version(head: &[u8], digest: &[u8]) -> String {
    let first = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let stated = std::str::from_utf8(first).ok().and_then(|line| line.trim().strip_prefix("Version:"));
    match stated.map(str::trim).filter(|version| !version.is_empty() && version.len() <= 64) {
        Some(version) => version.to_owned(),
        None => format!("image-{}", hex::encode(digest).get(..12).unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_states_its_version_or_gets_one() {
        assert_eq!(image_version(b"Version: 2.1.0\nbinary", &[0; 32]), "2.1.0");
        assert_eq!(image_version(b"\xff\xfe", &[0xab; 32]), "image-abababababab");
    }

    #[test]
    fn digests_and_ranges_are_read_from_headers() {
        let headers = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().expect("a value"));
            headers
        };
        let encoded = base64::engine::general_purpose::STANDARD.encode([7_u8; 32]);
        let both = headers("repr-digest", &format!("md5=:AAAA:, sha-256=:{encoded}:"));
        assert_eq!(repr_digest(&both), Some([7; 32]));
        assert_eq!(etag_digest(&headers("etag", &format!("\"{}\"", "07".repeat(32)))), Some([7; 32]));
        assert_eq!(etag_digest(&headers("etag", "\"v1\"")), None);
        assert_eq!(content_range(&headers("content-range", "bytes 5-9/10")), Some((5, Some(10))));
        assert_eq!(content_range(&headers("content-range", "bytes 5-9/*")), Some((5, None)));
    }
}
