//! Persisted forms: a format byte, then what that format says. A new form gets a new byte; old ones stay readable.

use std::io;

use parking_lot::Mutex;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use zstd::bulk::{Compressor, Decompressor};

use crate::model::device::Parameter;
use crate::types::time::Timestamp;
use crate::types::value::XsdType;

use super::StoreError;

/// postcard.
const PLAIN: u8 = 1;
/// Length of the content (4 bytes, big-endian), then zstd of postcard.
const COMPRESSED: u8 = 2;
/// Length of the content (4 bytes, big-endian), then zstd of postcard [`Leaf`]s, one behind the other in path order.
const TREE: u8 = 3;
/// The same [`Leaf`]s as they are.
const SMALL_TREE: u8 = 4;

/// Records below this many bytes are not worth compressing.
const COMPRESS_FROM_BYTES: usize = 4096;
/// Trees below this many bytes are not: what a few reads have brought.
const COMPRESS_TREE_FROM_BYTES: usize = 1024;
/// What one record may grow to when it is unpacked.
const CONTENT_MAX_BYTES: usize = 256 << 20;
const ZSTD_LEVEL: i32 = 3;
/// Most contexts of a kind that are kept: about a megabyte each.
const CONTEXTS_MAX: usize = 8;

/// Writes a record; `hint`: how large it may become.
pub(super) fn encode<T: Serialize>(value: &T, hint: usize) -> Result<Vec<u8>, StoreError> {
    let mut buffer = Vec::with_capacity(hint + 16);
    buffer.push(PLAIN);
    postcard::serialize_with_flavor(value, Appended(buffer)).map_err(|error| refused(&error))
}

/// Writes a record that may be large, compressed if that is worthwhile.
pub(super) fn encode_large<T: Serialize>(value: &T) -> Result<Vec<u8>, StoreError> {
    let plain = encode(value, 512)?;
    if plain.len() < COMPRESS_FROM_BYTES { Ok(plain) } else { compress(COMPRESSED, plain.get(1..).unwrap_or_default()) }
}

/// Reads a record; `what` it is, for the error.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&PLAIN, content)) => postcard::from_bytes(content).map_err(|error| unreadable(what, &error)),
        Some((&COMPRESSED, packed)) => {
            let content = decompress(what, packed)?;
            postcard::from_bytes(&content).map_err(|error| unreadable(what, &error))
        }
        Some((other, _)) => Err(unreadable(what, &format!("unknown format {other}"))),
        None => Err(unreadable(what, &"it is empty")),
    }
}

/// Reads the first field of a record without the rest.
pub(super) fn decode_head<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T, StoreError> {
    match bytes.split_first() {
        Some((&PLAIN, content)) => {
            postcard::take_from_bytes(content).map(|(head, _)| head).map_err(|error| unreadable(what, &error))
        }
        Some((&COMPRESSED, packed)) => {
            let content = decompress(what, packed)?;
            postcard::take_from_bytes(&content).map(|(head, _)| head).map_err(|error| unreadable(what, &error))
        }
        Some((other, _)) => Err(unreadable(what, &format!("unknown format {other}"))),
        None => Err(unreadable(what, &"it is empty")),
    }
}

/// One parameter, its path told by what it shares with the one before.
#[derive(Serialize, Deserialize)]
struct Leaf<'a> {
    shared: usize,
    rest: &'a str,
    value: Option<&'a str>,
    ty: Option<XsdType>,
    writable: Option<bool>,
    notification: Option<u8>,
    updated_at: Timestamp,
}

/// Writes a tree, which is in path order.
pub(super) fn encode_tree(tree: &[Parameter]) -> Result<Vec<u8>, StoreError> {
    let mut content = Vec::with_capacity(1 + tree.len() * 64);
    content.push(SMALL_TREE);
    let mut before = "";
    for parameter in tree {
        let (shared, rest) = split_shared(before, &parameter.path);
        let leaf = Leaf {
            shared,
            rest,
            value: parameter.value.as_deref(),
            ty: parameter.ty,
            writable: parameter.writable,
            notification: parameter.notification,
            updated_at: parameter.updated_at,
        };
        content = postcard::serialize_with_flavor(&leaf, Appended(content)).map_err(|error| refused(&error))?;
        before = &parameter.path;
    }
    if content.len() < COMPRESS_TREE_FROM_BYTES {
        return Ok(content);
    }
    compress(TREE, content.get(1..).unwrap_or_default())
}

/// Reads those parameters of a tree whose path is wanted, in path order.
pub(super) fn decode_tree(bytes: &[u8], wanted: impl Fn(&str) -> bool) -> Result<Vec<Parameter>, StoreError> {
    const WHAT: &str = "parameter tree";
    let unpacked;
    let mut left = match bytes.split_first() {
        Some((&SMALL_TREE, content)) => content,
        Some((&TREE, packed)) => {
            unpacked = decompress(WHAT, packed)?;
            unpacked.as_slice()
        }
        Some((other, _)) => return Err(unreadable(WHAT, &format!("unknown format {other}"))),
        None => return Err(unreadable(WHAT, &"it is empty")),
    };
    let mut tree = Vec::new();
    let mut path = String::new();
    while !left.is_empty() {
        let (leaf, behind) = postcard::take_from_bytes::<Leaf<'_>>(left).map_err(|error| unreadable(WHAT, &error))?;
        left = behind;
        if leaf.shared > path.len() || !path.is_char_boundary(leaf.shared) {
            return Err(unreadable(WHAT, &"a path shares more than there is"));
        }
        path.truncate(leaf.shared);
        path.push_str(leaf.rest);
        if wanted(&path) {
            tree.push(Parameter {
                path: path.as_str().into(),
                value: leaf.value.map(Into::into),
                ty: leaf.ty,
                writable: leaf.writable,
                notification: leaf.notification,
                updated_at: leaf.updated_at,
            });
        }
    }
    Ok(tree)
}

/// How many bytes `path` shares with the path before it, and the rest.
fn split_shared<'a>(before: &str, path: &'a str) -> (usize, &'a str) {
    let mut shared = before.bytes().zip(path.bytes()).take_while(|(a, b)| a == b).count();
    while !path.is_char_boundary(shared) {
        shared -= 1;
    }
    (shared, path.get(shared..).unwrap_or_default())
}

fn compress(format: u8, content: &[u8]) -> Result<Vec<u8>, StoreError> {
    let length = u32::try_from(content.len()).map_err(|error| refused(&error))?;
    let packed = COMPRESSORS
        .with(|| Compressor::new(ZSTD_LEVEL), |zstd| zstd.compress(content))
        .map_err(|error| refused(&error))?;
    Ok([&[format][..], &length.to_be_bytes(), &packed].concat())
}

fn decompress(what: &str, packed: &[u8]) -> Result<Vec<u8>, StoreError> {
    let (length, packed) = packed.split_first_chunk().ok_or_else(|| unreadable(what, &"it is cut off"))?;
    let length = usize::try_from(u32::from_be_bytes(*length)).unwrap_or(usize::MAX);
    if length > CONTENT_MAX_BYTES {
        return Err(unreadable(what, &format!("it claims {length} bytes")));
    }
    DECOMPRESSORS
        .with(Decompressor::new, |zstd| zstd.decompress(packed, length))
        .map_err(|error| unreadable(what, &error))
}

static COMPRESSORS: Pool<Compressor<'static>> = Pool(Mutex::new(Vec::new()));
static DECOMPRESSORS: Pool<Decompressor<'static>> = Pool(Mutex::new(Vec::new()));

/// Contexts of zstd at rest: to make one costs more than to pack the parameters that an ordinary `get` brings.
struct Pool<T>(Mutex<Vec<T>>);

impl<T> Pool<T> {
    /// Lends a context, made now if none is at rest.
    fn with<R>(
        &self,
        make: impl FnOnce() -> io::Result<T>,
        work: impl FnOnce(&mut T) -> io::Result<R>,
    ) -> io::Result<R> {
        let resting = self.0.lock().pop();
        let mut context = resting.map_or_else(make, Ok)?;
        let done = work(&mut context)?;
        let mut resting = self.0.lock();
        if resting.len() < CONTEXTS_MAX {
            resting.push(context);
        }
        Ok(done)
    }
}

/// A record that is there but does not say what it should.
pub(super) fn unreadable<R: ToString + ?Sized>(what: &str, reason: &R) -> StoreError {
    StoreError::Corrupt { what: what.to_owned(), reason: reason.to_string() }
}

fn refused(reason: &impl ToString) -> StoreError {
    StoreError::Unavailable { reason: format!("a record cannot be written: {}", reason.to_string()) }
}

/// Lets postcard append to a buffer that is large enough at once.
struct Appended(Vec<u8>);

impl postcard::ser_flavors::Flavor for Appended {
    type Output = Vec<u8>;

    fn try_extend(&mut self, data: &[u8]) -> postcard::Result<()> {
        self.0.extend_from_slice(data);
        Ok(())
    }

    fn try_push(&mut self, data: u8) -> postcard::Result<()> {
        self.0.push(data);
        Ok(())
    }

    fn finalize(self) -> postcard::Result<Self::Output> {
        Ok(self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::audit::{AuditAction, AuditEntry, AuditHead, AuditResource};
    use crate::model::device::{OrganizationId, State};
    use crate::model::event::{EventData, EventEntry, EventHead, EventId, EventKind};
    use crate::model::token::TokenId;
    use crate::model::transaction::{Assignment, Kind, NewTransaction, VariableResult, Work};
    use crate::model::wanted::WantedParameter;
    use crate::model::webhook::{Delivery, Webhook, WebhookId};
    use crate::store::Merge;
    use crate::store::queue::QueueDocument;
    use crate::types::ident::{DeviceIdentity, DeviceKey, SerialNumber, TransactionId};
    use crate::types::path::ParameterPath;
    use crate::types::secret::{MaybeSealed, Sealed};

    fn tree() -> Vec<Parameter> {
        let mut tree: Vec<Parameter> = (0..1500)
            .map(|n| Parameter {
                path: format!("Device.Hosts.Host.{}.Поле{}", n / 10, n % 10).into(),
                value: (n % 3 != 0).then(|| format!("value {n}").into()),
                ty: (n % 3 != 0).then_some(XsdType::String),
                writable: (n % 2 == 0).then_some(n % 4 == 0),
                notification: None,
                updated_at: Timestamp(1_700_000_000_000 + n),
            })
            .collect();
        tree.sort_by(|a, b| a.path.cmp(&b.path));
        tree
    }

    #[test]
    fn trees_come_back_and_are_small() {
        let tree = tree();
        let bytes = encode_tree(&tree).expect("encodes");
        assert_eq!(decode_tree(&bytes, |_| true).expect("decodes"), tree);
        assert!(bytes.len() < 16_000, "{} bytes", bytes.len());
        let one = tree.get(700..701).expect("there");
        assert_eq!(decode_tree(&bytes, |path| one.iter().any(|one| *one.path == *path)).expect("decodes"), one);
        let small = encode_tree(one).expect("encodes");
        assert_eq!(small.first(), Some(&SMALL_TREE));
        assert_eq!(decode_tree(&small, |_| true).expect("decodes"), one);
        assert_eq!(encode_tree(&[]).and_then(|bytes| decode_tree(&bytes, |_| true)).expect("decodes"), []);
    }

    /// What is on the disks of others does not change with our structures. When this fails, a persisted form has changed:
    /// once a store of this schema has been released, give the old form a reader and the new one a format byte.
    #[test]
    fn persisted_forms_stay_as_they_are() {
        let identity = DeviceIdentity::new("00D09E", "IGD", "1").expect("valid");
        let state = State { identity: Some(identity), ..State::unseen(Timestamp(1)) };
        let mut queue = QueueDocument::default();
        let new = NewTransaction {
            kind: Kind::Headless,
            work: Work::Reboot,
            requested_by: "op".to_owned(),
            expires_at: Some(Timestamp(3)),
            campaign: None,
        };
        queue.enqueue(DeviceKey(7), new, Merge::Never, Timestamp(2), 1, || TransactionId(9));
        let result = VariableResult {
            variable: 1,
            path: "D.A".into(),
            value: Some("v".into()),
            ty: Some(XsdType::Int),
            instance_number: Some(2),
            fault: None,
        };
        let event = EventEntry {
            head: EventHead {
                time: Timestamp(1),
                kind: EventKind::ValueChange,
                organization: Some(OrganizationId(2)),
                serial_number: SerialNumber::try_from("S").ok(),
            },
            data: EventData::ValueChange { path: "D.A".into(), old: None, new: "v".into() },
        };
        let audit = AuditEntry {
            head: AuditHead {
                time: Timestamp(1),
                token: TokenId(2),
                resource: AuditResource::Webhook,
                organization: None,
                serial_number: None,
            },
            token_name: "t".to_owned(),
            action: AuditAction::Cancel,
            resource_id: "3".to_owned(),
            before: None,
            after: Some("{}".to_owned()),
            request_id: "r".to_owned(),
        };
        let webhook = Webhook {
            id: WebhookId(1),
            url: "u".to_owned(),
            secret: Sealed(Box::new([7])),
            kinds: Some(vec![EventKind::Boot]),
            organizations: None,
            is_active: true,
            paused: None,
            created: Timestamp(1),
            delivery: Delivery { cursor: EventId(5), ..Delivery::default() },
        };
        let path = |text: &str| ParameterPath::try_from(text).expect("valid");
        let secret = Assignment { path: path("D.P"), value: MaybeSealed::Sealed(Sealed(Box::new([7]))), ty: None };
        let wanted = WantedParameter { path: path("D.A"), value: MaybeSealed::from("v"), ty: None };
        let table = [
            ("work", encode(&Work::Set { assignments: vec![secret] }, 0), "01010103442e5001010700"),
            ("wanted", encode(&wanted, 0), "0103442e4100017600"),
            ("event", encode(&event, 0), "01020401020101530403442e41000176"),
            ("audit", encode(&audit, 0), "01020208000001740401330001027b7d0172"),
            ("webhook", encode(&webhook, 0), "01010175010701010200010002050000000000"),
            ("state", encode(&state, 0), "01010630304430394503494744013100000200000000000000000000000000000000000000"),
            ("queue", encode(&queue, 0), "010109070104000000040106000000000000026f700000000000000000"),
            ("results", encode(&vec![result], 0), "01010103442e410101760101010200"),
        ];
        for (what, bytes, hexadecimal) in table {
            assert_eq!(hex::encode(bytes.expect("encodes")), hexadecimal, "{what}");
        }
    }

    #[test]
    fn damaged_records_are_refused_not_misread() {
        let bytes = encode_tree(&tree()).expect("encodes");
        for damaged in [
            &[][..],
            &[9, 1],
            &[SMALL_TREE, 1],
            &[TREE],
            &[TREE, 255, 255, 255, 255, 0],
            bytes.get(..99).expect("longer"),
        ] {
            assert!(matches!(decode_tree(damaged, |_| true), Err(StoreError::Corrupt { .. })));
        }
        for damaged in [&[][..], &[9, 1], &[PLAIN, 5, 1], &[COMPRESSED, 0, 0, 0, 9, 1, 2]] {
            assert!(matches!(decode::<String>("text", damaged), Err(StoreError::Corrupt { .. })));
        }
    }

    #[test]
    fn large_records_are_compressed_and_come_back() {
        for length in [10, COMPRESS_FROM_BYTES * 10] {
            let text = "x".repeat(length);
            let bytes = encode_large(&text).expect("encodes");
            assert!(bytes.len() < 200, "{length}");
            assert_eq!(decode::<String>("text", &bytes).expect("decodes"), text);
        }
    }
}
