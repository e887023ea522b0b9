//! Reading what the devices of a campaign are to do.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use crate::api::ApiState;
use crate::api::body::Fields;
use crate::api::catalogue::Write;
use crate::api::device::form::no_such;
use crate::api::diagnostic::form::read_order;
use crate::api::diagnostic::view::UploadSizeView;
use crate::api::error::{ApiError, FieldErrors};
use crate::api::headless::form::read_assignments;
use crate::api::words::not_a_choice;
use crate::model::campaign::CampaignOperation;
use crate::model::diagnostic::DiagnosticOrder;
use crate::model::file::ImageId;
use crate::model::transaction::Work;

/// The operation and its arguments, one of which each operation takes at most.
pub(super) const FIELDS: [&str; 4] = ["operation", "firmware_image", "variables", "diagnostic"];
const OPERATIONS: [&str; 6] = ["firmware", "set", "sync", "reconf", "reboot", "diagnostic"];

/// A test to be run.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = CampaignDiagnosticFields)]
pub(in crate::api) struct DiagnosticSchema {
    /// `download`, `upload`, `ipping`, `udpecho`, `traceroute`, `dnslookup` or `wifi.neighbor`.
    #[schema(pattern = r"^(download|upload|ipping|udpecho|traceroute|dnslookup|wifi\.neighbor)$")]
    operation: String,
    /// URL, host, name or band.
    #[schema(min_length = 1, max_length = 256)]
    target: String,
    /// Of an `upload`, in MB: as a text or a number.
    upload_size: Option<UploadSizeView>,
    count: Option<u32>,
    /// In bytes.
    size: Option<u32>,
    /// In seconds.
    timeout: Option<u32>,
    max_hops: Option<u32>,
    #[schema(max_length = 256)]
    interface: Option<String>,
}

/// Reads the operation; `named`: which of its fields the body has. `None`: nothing is said of it, or it is wrong.
pub(super) fn read(
    fields: &mut Fields,
    write: Write,
    named: &[&str],
    present: Option<&CampaignOperation>,
    state: &ApiState,
) -> Option<CampaignOperation> {
    let word = fields.parsed("operation", |word| {
        OPERATIONS.into_iter().find(|known| *known == word).ok_or_else(|| not_a_choice(word, &OPERATIONS))
    });
    let word = match (write, named) {
        (Write::Change, []) => return None,
        // Another argument of the same operation.
        (Write::Change, named) if !named.contains(&"operation") => present.map(CampaignOperation::as_str),
        _ => fields.require("operation", word),
    };
    let image = fields.nullable("firmware_image", |fields, name| fields.integer(name, 1..=u32::MAX)).flatten();
    let variables = fields.nullable("variables", Fields::objects).flatten();
    let diagnostic = fields.nullable("diagnostic", Fields::object).flatten();
    let is_diagnostic_given = diagnostic.is_some();
    let diagnostic = diagnostic.and_then(|object| {
        // Said of it whatever the operation is.
        read_diagnostic(object).map_err(|wrong| fields.nested_errors("diagnostic", wrong)).ok()
    });
    let word = word?;
    for (field, operation, is_given) in [
        ("firmware_image", "firmware", image.is_some()),
        ("variables", "set", variables.is_some()),
        ("diagnostic", "diagnostic", is_diagnostic_given),
    ] {
        if is_given && operation != word {
            fields.error(field, format!("Is for the operation \"{operation}\" only."));
        }
    }
    match word {
        "firmware" => {
            let image = ImageId(fields.require("firmware_image", image)?);
            if state.store.firmware_images().of(image).is_none() {
                fields.error("firmware_image", no_such(image.0));
            }
            Some(CampaignOperation::Firmware(image))
        }
        "set" => {
            let variables = fields.require("variables", variables.filter(|variables| !variables.is_empty()))?;
            read_assignments(fields, variables).map(CampaignOperation::Set)
        }
        "sync" => Some(CampaignOperation::Sync),
        "reconf" => Some(CampaignOperation::Reconf),
        "reboot" => Some(CampaignOperation::Reboot),
        _ => {
            let order = fields.require("diagnostic", diagnostic)?;
            Some(CampaignOperation::Diagnostic(Box::new(order)))
        }
    }
}

/// Seals what a `set` writes, where the parameter hides it.
pub(super) fn seal(operation: CampaignOperation, state: &ApiState) -> Result<CampaignOperation, ApiError> {
    let CampaignOperation::Set(assignments) = operation else { return Ok(operation) };
    let mut work = Work::Set { assignments };
    work.seal(|secret| state.sealer.seal(secret))?;
    let sealed = match work {
        Work::Set { assignments } => assignments,
        _ => Vec::new(),
    };
    Ok(CampaignOperation::Set(sealed))
}

fn read_diagnostic(object: Map<String, Value>) -> Result<DiagnosticOrder, FieldErrors> {
    let mut fields = Fields::new(object);
    let order = read_order(&mut fields);
    fields.finish(&[])?;
    // Unreachable: what is missing has been an error above.
    order.ok_or_else(|| FieldErrors::one("operation", "This field is required."))
}
