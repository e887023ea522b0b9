//! Reading an image's record from a body.

use serde_json::{Map, Number, Value};

use crate::api::ApiState;
use crate::api::body::{Fields, LINE_MAX_CHARS};
use crate::api::catalogue::{Write, read_wished};
use crate::api::device::form::no_such;
use crate::api::error::FieldErrors;
use crate::model::device::DeviceTypeId;
use crate::model::file::{Content, FIRMWARE_FILE_TYPE, FirmwareImage};

/// Longest `SoftwareVersion` and `FileType` (TR-181 `Device.DeviceInfo.`, TR-069 A.3.2.8).
const WORD_MAX_CHARS: usize = 64;

/// What a body asks for; `None`: nothing is said of it.
#[derive(Debug, Default)]
#[expect(clippy::option_option, reason = "absent and null are different things")]
pub(super) struct Wish {
    pub(super) id: Option<u32>,
    name: Option<String>,
    version: Option<String>,
    pub(super) device_type: Option<Option<DeviceTypeId>>,
    file_type: Option<String>,
    pub(super) size: Option<Option<u64>>,
    pub(super) sha256: Option<Option<[u8; 32]>>,
}

impl Wish {
    pub(super) fn apply(self, image: &mut FirmwareImage) {
        fn set<T>(field: &mut T, value: Option<T>) {
            if let Some(value) = value {
                *field = value;
            }
        }
        set(&mut image.name, self.name);
        set(&mut image.version, self.version);
        set(&mut image.device_type, self.device_type);
        set(&mut image.file_type, self.file_type);
        // What is here says by itself how large it is.
        if image.content == Content::Missing {
            set(&mut image.size, self.size);
            set(&mut image.sha256, self.sha256);
        }
    }
}

/// Reads a body; `present` is the record that is to be changed.
pub(super) fn read(
    body: Map<String, Value>,
    write: Write,
    present: Option<&FirmwareImage>,
    state: &ApiState,
) -> Result<Wish, FieldErrors> {
    let mut fields = Fields::new(body);
    let id = read_wished(&mut fields, write);
    let name = fields.filled_line("name");
    if write != Write::Change {
        fields.require("name", name.as_ref());
    }
    let version = read_word(&mut fields, "version");
    let file_type = read_word(&mut fields, "file_type");
    if file_type.as_ref().is_some_and(|text| text.trim().is_empty()) {
        fields.error("file_type", "This field may not be blank.");
    }
    let device_type = fields.nullable("type", |fields, name| fields.integer(name, 0..=u32::MAX).map(DeviceTypeId));
    if let Some(Some(id)) = device_type
        && state.store.device_types().of(id).is_none()
    {
        fields.error("type", no_such(id.0));
    }
    let size = fields.nullable("size", read_size);
    if let Some(Some(size)) = size
        && size > state.files.config().max_image_bytes
    {
        fields.error("size", format!("Images may have at most {} bytes.", state.files.config().max_image_bytes));
    }
    let sha256 = fields.nullable("sha256", read_sum);
    if let Some(Content::Here { sha256: sum, size: bytes }) = present.map(|image| image.content) {
        let here = "The file of this image is here already, and has another one.";
        if size.flatten().is_some_and(|size| size != bytes) {
            fields.error("size", here);
        }
        if sha256.flatten().is_some_and(|sha256| sha256 != sum) {
            fields.error("sha256", here);
        }
    }
    let read_only: &[&str] = match write {
        Write::Create => &["created", "is_complete"],
        Write::Replace | Write::Change => &["created", "is_complete", "id"],
    };
    fields.finish(read_only)?;
    Ok(Wish {
        id,
        name,
        version: write.or_default(version, String::new),
        device_type: write.or_default(device_type, || None),
        file_type: write.or_default(file_type, || FIRMWARE_FILE_TYPE.to_owned()),
        size: write.or_default(size, || None),
        sha256: write.or_default(sha256, || None),
    })
}

/// A line of text that a CPE has to take.
fn read_word(fields: &mut Fields, name: &str) -> Option<String> {
    let text = fields.text(name, WORD_MAX_CHARS)?;
    if text.contains(char::is_control) {
        fields.error(name, "Control characters are not allowed.");
        return None;
    }
    Some(text)
}

fn read_size(fields: &mut Fields, name: &str) -> Option<u64> {
    let size = fields.any(name)?.as_u64();
    if size.is_none() {
        fields.error(name, "A valid integer is required.");
    }
    size
}

fn read_sum(fields: &mut Fields, name: &str) -> Option<[u8; 32]> {
    let text = fields.text(name, LINE_MAX_CHARS)?;
    let mut sum = [0; 32];
    if hex::decode_to_slice(&text, &mut sum).is_err() {
        fields.error(name, "Must be 64 hexadecimal digits.");
        return None;
    }
    Some(sum)
}

/// What the text of a form's part stands for: forms have no numbers and no null.
pub(super) fn value_of(name: &str, text: String) -> Value {
    match name {
        "id" | "type" | "size" if text.is_empty() => Value::Null,
        "id" | "type" | "size" => match text.trim().parse::<u64>() {
            Ok(number) => Value::Number(Number::from(number)),
            Err(_not_a_number) => Value::String(text),
        },
        "sha256" if text.is_empty() => Value::Null,
        _ => Value::String(text),
    }
}
