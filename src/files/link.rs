//! Links: what they lead to is written in them, under a key that nobody else has. Nothing of them is kept, so that they
//! outlive a restart; another key file makes all of them worthless.
//!
//! The content that a link was made for is signed with it, though not written in it: numbers of images may be given out
//! again, and the bytes of a record may be replaced. A link then leads nowhere, rather than to something else.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use subtle::ConstantTimeEq as _;

use super::folder::Sha256Sum;
use crate::auth::seal::hmac_sha256;
use crate::model::device_type::FileLogin;
use crate::model::file::{ImageId, StoredFileId};
use crate::types::ident::{DeviceKey, TransactionId};
use crate::types::secret::Secret;
use crate::types::time::Timestamp;

/// What all links begin with.
pub const PREFIX: &str = "/files/";
/// Longest URL of a `Download` or an `Upload` (TR-069 A.3.2.8).
pub const URL_MAX_CHARS: usize = 256;
/// Longest name at the end of a link.
const NAME_MAX_CHARS: usize = 32;

/// Form and login, number, device, transaction, expiry.
const CLAIM_BYTES: usize = 1 + 4 + 4 + 8 + 4;
/// As much of the HMAC as resists guessing: 120 bits, which fill the last character.
const TAG_BYTES: usize = 15;
const TOKEN_BYTES: usize = CLAIM_BYTES + TAG_BYTES;

/// What a link leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// An image to be fetched.
    Image(ImageId),
    /// A stored file to be fetched.
    Stored(StoredFileId),
    /// The place for what a device is to send.
    Upload,
}

/// What a link is to be like.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Terms {
    /// Whether the device has to log in: as its type has it.
    pub login: FileLogin,
    /// How long the device is told to wait before it comes: the link lives so much longer.
    pub delay: Duration,
}

/// A link for one device and one transaction: unguessable, and good for a while.
#[derive(Debug, Clone)]
pub struct Link {
    /// `/files/...`, below the address of the file server.
    pub path: String,
    /// The login that goes with it; empty when the device need not log in.
    pub username: String,
    /// As above.
    pub password: Secret,
    /// When it expires.
    pub expires_at: Timestamp,
}

impl Link {
    /// The whole URL below `base`, as [`Files::base`](super::Files::base) gives it; `None`: longer than devices take.
    #[must_use]
    pub fn url(&self, base: &str) -> Option<String> {
        let whole = format!("{base}{}", self.path);
        if whole.len() <= URL_MAX_CHARS {
            return Some(whole);
        }
        // The name at its end is for the device's eyes only.
        let (bare, _name) = self.path.rsplit_once('/')?;
        Some(format!("{base}{bare}")).filter(|url| url.len() <= URL_MAX_CHARS)
    }
}

/// What a link that was shown says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Claim {
    /// What is to be fetched or brought.
    pub target: Target,
    /// What it holds; `None`: it is a place for what comes. Signed, not written.
    pub content: Option<Sha256Sum>,
    /// By whom.
    pub device: DeviceKey,
    /// For which transaction.
    pub transaction: TransactionId,
    /// Whether the device has to log in.
    pub login: FileLogin,
    /// When it ends.
    pub expires_at: Timestamp,
}

/// The key of all links.
#[derive(Clone)]
pub(super) struct LinkKey {
    claims: [u8; 32],
    logins: [u8; 32],
}

impl fmt::Debug for LinkKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("LinkKey(***)")
    }
}

impl LinkKey {
    pub(super) fn new(sealer: &crate::auth::seal::Sealer) -> Self {
        Self { claims: sealer.derive("links to files"), logins: sealer.derive("logins of links to files") }
    }

    /// Writes a claim into a link with `name` at its end.
    pub(super) fn link(&self, claim: &Claim, name: &str) -> Link {
        let token = self.token(claim);
        let (username, password) = match claim.login {
            FileLogin::None => (String::new(), Secret::new(String::new())),
            FileLogin::Basic | FileLogin::Digest => self.login(&token),
        };
        let path = format!("{PREFIX}{token}/{}", sanitised(name));
        Link { path, username, password, expires_at: claim.expires_at }
    }

    fn token(&self, claim: &Claim) -> String {
        let body = written(claim);
        let mut token = [0; TOKEN_BYTES];
        let signed = body.iter().chain(self.tag(&body, claim.content.as_ref()).iter()).copied().collect::<Vec<u8>>();
        for (to, from) in token.iter_mut().zip(signed) {
            *to = from;
        }
        URL_SAFE_NO_PAD.encode(token)
    }

    /// Reads the claim of a token; `None` when it is not ours, was ours, or was made for something else than what, as
    /// `content_of` says, its target holds now.
    pub(super) fn claim(
        &self,
        token: &str,
        now: Timestamp,
        content_of: impl FnOnce(Target) -> Option<Sha256Sum>,
    ) -> Option<Claim> {
        let mut bytes = [0; TOKEN_BYTES];
        if !matches!(URL_SAFE_NO_PAD.decode_slice(token, &mut bytes), Ok(TOKEN_BYTES)) {
            return None;
        }
        let (body, tag) = bytes.split_first_chunk::<CLAIM_BYTES>()?;
        // Not trusted before the signature has been checked, for which it has to be read.
        let mut claim = read(body)?;
        claim.content = content_of(claim.target);
        let genuine: bool = self.tag(body, claim.content.as_ref()).as_slice().ct_eq(tag).into();
        (genuine && now < claim.expires_at).then_some(claim)
    }

    /// User name and password of a token.
    pub(super) fn login(&self, token: &str) -> (String, Secret) {
        let mac = hmac_sha256(&self.logins, token.as_bytes());
        let (name, password) = mac.split_at(6);
        (hex::encode(name), Secret::new(hex::encode(password.get(..16).unwrap_or(password))))
    }

    fn tag(&self, body: &[u8; CLAIM_BYTES], content: Option<&Sha256Sum>) -> [u8; TAG_BYTES] {
        // The claim is always as long: where it ends is where the content begins.
        let mut message = body.to_vec();
        message.extend_from_slice(content.map_or(&[], <[u8; 32]>::as_slice));
        let mac = hmac_sha256(&self.claims, &message);
        let mut tag = [0; TAG_BYTES];
        for (to, from) in tag.iter_mut().zip(mac) {
            *to = from;
        }
        tag
    }
}

fn written(claim: &Claim) -> [u8; CLAIM_BYTES] {
    let (kind, number) = match claim.target {
        Target::Image(id) => (0, id.0),
        Target::Stored(id) => (1, id.0),
        Target::Upload => (2, 0),
    };
    let login = match claim.login {
        FileLogin::None => 0,
        FileLogin::Basic => 1,
        FileLogin::Digest => 2,
    };
    // Good until 2106.
    let expiry = u32::try_from(claim.expires_at.as_secs().max(0)).unwrap_or(u32::MAX);
    let fields = [kind | login << 4]
        .into_iter()
        .chain(number.to_be_bytes())
        .chain(claim.device.0.to_be_bytes())
        .chain(claim.transaction.0.to_be_bytes())
        .chain(expiry.to_be_bytes());
    let mut body = [0; CLAIM_BYTES];
    for (to, from) in body.iter_mut().zip(fields) {
        *to = from;
    }
    body
}

fn read(body: &[u8; CLAIM_BYTES]) -> Option<Claim> {
    let (form, rest) = body.split_first()?;
    let (number, rest) = rest.split_first_chunk::<4>()?;
    let (device, rest) = rest.split_first_chunk::<4>()?;
    let (transaction, rest) = rest.split_first_chunk::<8>()?;
    let (expiry, _) = rest.split_first_chunk::<4>()?;
    let number = u32::from_be_bytes(*number);
    let target = match form & 15 {
        0 => Target::Image(ImageId(number)),
        1 => Target::Stored(StoredFileId(number)),
        2 => Target::Upload,
        _ => return None,
    };
    let login = match form >> 4 {
        0 => FileLogin::None,
        1 => FileLogin::Basic,
        2 => FileLogin::Digest,
        _ => return None,
    };
    Some(Claim {
        target,
        content: None,
        login,
        device: DeviceKey(u32::from_be_bytes(*device)),
        transaction: TransactionId(u64::from_be_bytes(*transaction)),
        expires_at: Timestamp::from_secs(u32::from_be_bytes(*expiry).into()),
    })
}

/// A name that no CPE, shell or file system can stumble over, with its extension: some CPEs go by it.
pub(super) fn sanitised(name: &str) -> String {
    let plain = |c: char| if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
    let name: String = name.chars().map(plain).collect();
    let name = name.trim_matches(['.', '-']);
    // Of plain characters alone by now: a byte is a character.
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, extension)) if !stem.is_empty() && (1..=8).contains(&extension.len()) => (stem, extension),
        _ => (name, "bin"),
    };
    let room = NAME_MAX_CHARS - extension.len() - 1;
    let stem: String = stem.chars().take(room).collect();
    let stem = if stem.is_empty() { "file" } else { stem.trim_end_matches('.') };
    format!("{stem}.{extension}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::seal::Sealer;

    const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

    fn key(byte: u8) -> LinkKey {
        LinkKey::new(&Sealer::from_key(&[byte; 32]))
    }

    fn claim(target: Target, login: FileLogin) -> Claim {
        let expires_at = NOW + Duration::from_mins(1);
        Claim {
            target,
            content: content(target),
            device: DeviceKey(7),
            transaction: TransactionId(u64::MAX),
            login,
            expires_at,
        }
    }

    const CONTENT: Sha256Sum = [0xab; 32];

    /// As it is looked up again: an upload has none.
    fn content(target: Target) -> Option<Sha256Sum> {
        (target != Target::Upload).then_some(CONTENT)
    }

    fn token(link: &Link) -> &str {
        link.path.strip_prefix(PREFIX).and_then(|rest| rest.split('/').next()).unwrap()
    }

    #[test]
    fn a_link_says_what_it_was_given_until_it_expires() {
        let targets = [Target::Image(ImageId(u32::MAX)), Target::Stored(StoredFileId(1)), Target::Upload];
        for target in targets {
            for login in [FileLogin::None, FileLogin::Basic, FileLogin::Digest] {
                let claim = claim(target, login);
                let link = key(1).link(&claim, "x.bin");
                assert_eq!(key(1).claim(token(&link), NOW, content), Some(claim));
                assert_eq!(key(1).claim(token(&link), claim.expires_at, content), None, "it has expired");
                assert_eq!(link.username.is_empty(), login == FileLogin::None);
            }
        }
    }

    #[test]
    fn nobody_else_can_make_one() {
        let link = key(1).link(&claim(Target::Upload, FileLogin::Digest), "x.bin");
        let good = token(&link).to_owned();
        assert_eq!(key(2).claim(&good, NOW, content), None, "another key file");
        for at in 0..good.len() {
            let mut forged = good.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            assert_eq!(key(1).claim(std::str::from_utf8(&forged).unwrap(), NOW, content), None, "{at}");
        }
        for nonsense in ["", "x", "../../etc/passwd", &good[1..], &format!("{good}A"), &"A".repeat(48)] {
            assert_eq!(key(1).claim(nonsense, NOW, content), None, "{nonsense}");
        }
    }

    #[test]
    fn a_link_is_for_one_content() {
        let image = claim(Target::Image(ImageId(3)), FileLogin::None);
        let link = key(1).link(&image, "x.bin");
        for now in [None, Some([0xac; 32]), Some([0; 32])] {
            assert_eq!(key(1).claim(token(&link), NOW, |_target| now), None, "{now:?}");
        }
        let asked = |target| {
            assert_eq!(target, image.target);
            Some(CONTENT)
        };
        assert_eq!(key(1).claim(token(&link), NOW, asked), Some(image));
    }

    #[test]
    fn each_link_has_a_login_of_its_own() {
        let first = key(1).link(&claim(Target::Upload, FileLogin::Digest), "x.bin");
        let second = key(1).link(&claim(Target::Image(ImageId(1)), FileLogin::Digest), "x.bin");
        assert_ne!(first.username, second.username);
        assert_ne!(first.password.expose(), second.password.expose());
        let (username, password) = key(1).login(token(&first));
        assert_eq!((username, password.expose()), (first.username.clone(), first.password.expose()));
    }

    #[test]
    fn names_are_harmless_and_keep_their_extension() {
        let table = [
            ("firmware-1.2.bin", "firmware-1.2.bin"),
            ("../../etc/passwd", "etc-passwd.bin"),
            ("a\r\nSet-Cookie: x.img", "a--Set-Cookie--x.img"),
            ("", "file.bin"),
            ("...", "file.bin"),
            ("Ünïcode.cfg", "n-code.cfg"),
            ("name.with a long extension", "name.with-a-long-extension.bin"),
        ];
        for (given, want) in table {
            assert_eq!(sanitised(given), want, "{given:?}");
        }
        assert_eq!(sanitised(&format!("{}.img", "x".repeat(300))).len(), NAME_MAX_CHARS);
    }

    #[test]
    fn a_url_fits_or_there_is_none() {
        let link = key(1).link(&claim(Target::Upload, FileLogin::None), &"long".repeat(20));
        let base = |length: usize| format!("http://{}", "h".repeat(length - 7));
        let named = link.url(&base(super::super::config::BASE_MAX_CHARS)).unwrap();
        assert_eq!(named.rsplit_once('.').map(|(_, extension)| extension), Some("bin"), "{named}");
        assert!(link.url(&base(200)).unwrap().len() <= URL_MAX_CHARS, "without the name");
        assert_eq!(link.url(&base(250)), None);
    }
}
