//! HTTP Digest (RFC 2617, and RFC 2069 for clients without `qop`), server side, as a pure check of header, secret and
//! time.
//!
//! Nonces carry their own proof — `base64(timestamp ‖ HMAC-SHA-256(key, timestamp ‖ realm))` — so that nothing is
//! remembered between a challenge and its answer: CPEs open a new TCP connection after the 401, and any node of a
//! cluster that shares the key can check. The price is that an answer can be replayed while its nonce lives; agents
//! that reuse one `Authorization` for ever (quirk 34) would defeat a check of `nc` anyway.

use std::borrow::Cow;
use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use md5::{Digest as _, Md5};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;

use super::params::{ParamValue, Params};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// Milliseconds since the epoch, big endian, then as much of the HMAC as resists forging.
const STAMP_BYTES: usize = 8;
const TAG_BYTES: usize = 16;
const NONCE_BYTES: usize = STAMP_BYTES + TAG_BYTES;
/// Clocks of a cluster's nodes may differ by this much.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// Whether a challenge says that only the nonce was too old (RFC 2617 §3.2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stale {
    /// A first challenge, or the credentials were wrong.
    No,
    /// The credentials were right: answer again with the new nonce.
    Yes,
}

/// What an answer is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DigestVerdict {
    /// The password was used, on a nonce of ours that still lives.
    Accepted,
    /// The password was used, but the nonce is too old or not ours: challenge again with [`Stale::Yes`].
    Stale,
    /// Anything else.
    Refused,
}

/// The `Authorization: Digest` of a CPE, borrowed from the header.
#[derive(Debug, Clone, Copy)]
pub struct DigestAnswer<'a> {
    username: ParamValue<'a>,
    realm: Option<ParamValue<'a>>,
    nonce: &'a str,
    uri: &'a str,
    response: [u8; 16],
    qop: Option<&'a str>,
    nonce_count: &'a str,
    client_nonce: &'a str,
    algorithm: Option<&'a str>,
}

impl<'a> DigestAnswer<'a> {
    /// Reads what follows the scheme. `None` without user name, nonce, uri or a response of 32 hex digits.
    #[must_use]
    pub fn parse(list: &'a str) -> Option<Self> {
        let (mut username, mut realm, mut nonce, mut uri, mut response) = (None, None, None, None, None);
        let (mut qop, mut nonce_count, mut client_nonce, mut algorithm) = (None, None, None, None);
        for (name, value) in Params::new(list) {
            let known: [(&str, &mut Option<ParamValue<'a>>); 9] = [
                ("username", &mut username),
                ("realm", &mut realm),
                ("nonce", &mut nonce),
                ("uri", &mut uri),
                ("response", &mut response),
                ("qop", &mut qop),
                ("nc", &mut nonce_count),
                ("cnonce", &mut client_nonce),
                ("algorithm", &mut algorithm),
            ];
            if let Some((_, slot)) = known.into_iter().find(|(known, _)| name.eq_ignore_ascii_case(known)) {
                slot.get_or_insert(value);
            }
        }
        let mut digest = [0; 16];
        hex::decode_to_slice(response?.raw.trim(), &mut digest).ok()?;
        Some(Self {
            username: username?,
            realm,
            nonce: nonce?.raw,
            uri: uri?.raw,
            response: digest,
            qop: qop.map(|value| value.raw.trim()).filter(|value| !value.is_empty()),
            nonce_count: nonce_count.map_or("", |value| value.raw),
            client_nonce: client_nonce.map_or("", |value| value.raw),
            algorithm: algorithm.map(|value| value.raw.trim()),
        })
    }

    /// Who the CPE says it is.
    #[must_use]
    pub fn username(&self) -> Cow<'a, str> {
        self.username.unescaped()
    }

    /// Whether `password` gives this response.
    ///
    /// User names with a backslash or quote are hashed escaped by some clients and unescaped by others (quirk 32), and
    /// some compute with `nc` and `cnonce` without naming a `qop`: every reading is tried.
    fn proves(&self, method: &str, realm: &str, password: &Secret) -> bool {
        let realm = self.realm.map_or(Cow::Borrowed(realm), ParamValue::unescaped);
        let unescaped = self.username.unescaped();
        let as_sent = (unescaped != self.username.raw).then_some(self.username.raw);
        [Some(&*unescaped), as_sent].into_iter().flatten().any(|username| {
            let Some(ha1) = self.secret_hash(username, &realm, password) else { return false };
            let ha2 = md5_hex(&[method, ":", self.uri]);
            let with_qop = |qop| {
                let (nc, cnonce) = (self.nonce_count, self.client_nonce);
                md5(&[hex_text(&ha1), ":", self.nonce, ":", nc, ":", cnonce, ":", qop, ":", hex_text(&ha2)])
            };
            let without_qop = || md5(&[hex_text(&ha1), ":", self.nonce, ":", hex_text(&ha2)]);
            match self.qop {
                Some(qop) if qop.eq_ignore_ascii_case("auth") => self.is_response(&with_qop(qop)),
                // `auth-int` was not offered.
                Some(_) => false,
                None => {
                    self.is_response(&without_qop())
                        || (!self.nonce_count.is_empty() && self.is_response(&with_qop("auth")))
                }
            }
        })
    }

    /// HA1 (RFC 2617 §3.2.2.2). `None` for an algorithm that was not offered.
    fn secret_hash(&self, username: &str, realm: &str, password: &Secret) -> Option<[u8; 32]> {
        let plain = md5_hex(&[username, ":", realm, ":", password.expose()]);
        match self.algorithm {
            None => Some(plain),
            Some(name) if name.is_empty() || name.eq_ignore_ascii_case("MD5") => Some(plain),
            Some(name) if name.eq_ignore_ascii_case("MD5-sess") => {
                Some(md5_hex(&[hex_text(&plain), ":", self.nonce, ":", self.client_nonce]))
            }
            Some(_) => None,
        }
    }

    fn is_response(&self, digest: &[u8; 16]) -> bool {
        self.response.ct_eq(digest).into()
    }
}

/// The server's half: makes challenges and judges the answers.
#[derive(Clone)]
pub struct DigestServer {
    /// As HMAC takes it: filled up with zeros to SHA-256's block (RFC 2104 §2).
    key: [u8; 64],
    realm: Box<str>,
    lifetime: Duration,
}

impl fmt::Debug for DigestServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DigestServer")
            .field("realm", &self.realm)
            .field("lifetime", &self.lifetime)
            .finish_non_exhaustive()
    }
}

impl DigestServer {
    /// `key` signs the nonces: random, the same on all nodes of a cluster. A nonce lives for `lifetime` (minutes: long
    /// enough for a slow CPE's session, short enough against replay). Quotes, backslashes and control characters are
    /// dropped from `realm`.
    #[must_use]
    pub fn new(key: [u8; 32], realm: &str, lifetime: Duration) -> Self {
        let realm: String = realm.chars().filter(|c| !matches!(c, '"' | '\\') && !c.is_control()).collect();
        let mut block = [0; 64];
        for (to, from) in block.iter_mut().zip(key) {
            *to = from;
        }
        Self { key: block, realm: realm.into(), lifetime }
    }

    /// The value of the one `WWW-Authenticate` header to send (cwmp.md §1.3).
    #[must_use]
    pub fn challenge(&self, now: Timestamp, stale: Stale) -> String {
        let stamp = now.0.to_be_bytes();
        let mut nonce = [0; NONCE_BYTES];
        for (to, from) in nonce.iter_mut().zip(stamp.iter().chain(&self.sign(stamp))) {
            *to = *from;
        }
        let nonce = URL_SAFE_NO_PAD.encode(nonce);
        let stale = match stale {
            Stale::No => "",
            Stale::Yes => ", stale=true",
        };
        format!("Digest realm=\"{}\", nonce=\"{nonce}\", qop=\"auth\", algorithm=MD5{stale}", self.realm)
    }

    /// Judges an answer to one of our challenges.
    ///
    /// `method` is the request's. The `uri` is taken from the header as it is: proxies and redirects change the request
    /// line (quirk 33).
    #[must_use]
    pub fn verify(&self, answer: &DigestAnswer<'_>, method: &str, password: &Secret, now: Timestamp) -> DigestVerdict {
        // The password first: `stale` may only be said to who knows it (RFC 2617 §3.2.1).
        if !answer.proves(method, &self.realm, password) {
            DigestVerdict::Refused
        } else if self.nonce_lives(answer.nonce, now) {
            DigestVerdict::Accepted
        } else {
            DigestVerdict::Stale
        }
    }

    fn nonce_lives(&self, nonce: &str, now: Timestamp) -> bool {
        let mut bytes = [0; NONCE_BYTES];
        if !matches!(URL_SAFE_NO_PAD.decode_slice(nonce, &mut bytes), Ok(NONCE_BYTES)) {
            return false;
        }
        let Some((stamp, tag)) = bytes.split_first_chunk::<STAMP_BYTES>() else { return false };
        let made = Timestamp(i64::from_be_bytes(*stamp));
        let signed: bool = self.sign(*stamp).as_slice().ct_eq(tag).into();
        signed && now.since(made) <= self.lifetime && made.since(now) <= CLOCK_SKEW
    }

    fn sign(&self, stamp: [u8; STAMP_BYTES]) -> [u8; TAG_BYTES] {
        let mac = Hmac::<Sha256>::new(&self.key.into())
            .chain_update(stamp)
            .chain_update(self.realm.as_bytes())
            .finalize()
            .into_bytes();
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(mac) {
            *to = from;
        }
        tag
    }
}

fn md5(parts: &[&str]) -> [u8; 16] {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part);
    }
    hash.finalize().into()
}

fn md5_hex(parts: &[&str]) -> [u8; 32] {
    let mut text = [b'0'; 32];
    // Cannot fail: 32 digits are what 16 bytes need.
    if hex::encode_to_slice(md5(parts), &mut text).is_err() {
        text = [b'0'; 32];
    }
    text
}

fn hex_text(digits: &[u8; 32]) -> &str {
    std::str::from_utf8(digits).unwrap_or_default()
}
