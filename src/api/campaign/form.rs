//! Reading campaigns from bodies: everything that is wrong at once.

use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::operation::{self, DiagnosticSchema};
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::body::{Fields, LINE_MAX_CHARS, sentence};
use crate::api::catalogue::{Write, read_wished};
use crate::api::device::form::no_such;
use crate::api::error::{ApiError, FieldErrors};
use crate::api::headless::form::VariableSchema;
use crate::api::words::not_a_choice;
use crate::campaigns::CampaignsConfig;
use crate::model::campaign::window::{DAYS, Window, check_time_zone, parse_hour};
use crate::model::campaign::{Campaign, CampaignId, CampaignOperation, Course, Rollout, Rules, Selection};
use crate::model::device::{DeviceTypeId, OrganizationId, Status};
use crate::model::inventory::LocationId;
use crate::store::listing::SearchWords;
use crate::types::ident::SerialNumber;
use crate::types::time::Timestamp;

/// Fields that answers have and that no write changes.
const READ_ONLY: [&str; 11] = [
    "organizations",
    "state",
    "reason",
    "waiting_for",
    "step",
    "counts",
    "created",
    "created_by",
    "started_at",
    "ended_at",
    "id",
];
const STEPS_MAX: usize = 100;
const TAGS_MAX: usize = 64;
const SERIALS_MAX: usize = 10_000;
/// Longest pause, and longest wait for a device: 30 days.
const SPAN_MAX_SECS: u32 = 30 * 24 * 3_600;
const CONCURRENCY_MAX: u32 = 100_000;
const RETRIES_MAX: u32 = 10;

/// A campaign to be made or changed.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = CampaignFields, example = json!({
    "name": "Spring roll-out", "operation": "reboot", "selection": {"tag": ["spring"], "is_active": true},
    "canary": 5, "steps": [10, 50, 100], "stop_failure_share": 20,
    "window": {"days": ["mon", "tue"], "from": "02:00", "to": "05:00", "time_zone": "Europe/Berlin"}
}))]
pub(in crate::api) struct CampaignSchema {
    #[schema(min_length = 1, max_length = 256)]
    name: String,
    /// `firmware`, `set`, `sync`, `reconf`, `reboot` or `diagnostic`.
    #[schema(pattern = "^(firmware|set|sync|reconf|reboot|diagnostic)$")]
    operation: String,
    /// Of `firmware`: the image that devices are to run.
    firmware_image: Option<u32>,
    /// Of `set`: as in headless operations.
    variables: Option<Vec<VariableSchema>>,
    /// Of `diagnostic`: as in diagnostics, without a serial number.
    diagnostic: Option<DiagnosticSchema>,
    selection: SelectionSchema,
    /// So many devices first, alone; absent: none.
    #[schema(nullable = false, minimum = 0, maximum = 2_147_483_647)]
    canary: Option<u32>,
    /// Then the devices up to these shares of all, in percent: increasing, the last one 100. A step begins when the one before it
    /// is finished. Absent: `[100]`.
    #[schema(nullable = false, min_items = 1, max_items = 100)]
    steps: Option<Vec<u32>>,
    /// Pause between two steps, in seconds; absent: none.
    #[schema(nullable = false, minimum = 0, maximum = 2_592_000)]
    step_pause: Option<u32>,
    /// When devices may begin; absent or null: at any time. What has begun may finish outside.
    window: Option<WindowSchema>,
    /// Devices that are at it at the same time; absent: as configured.
    #[schema(nullable = false, minimum = 1, maximum = 100_000)]
    concurrency: Option<u32>,
    /// Stops when so many have failed; absent or null: never.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    stop_after_failures: Option<u32>,
    /// Stops when at least this share of those that are finished has failed, in percent, once ten or the canary are finished;
    /// absent or null: never.
    #[schema(minimum = 1, maximum = 100)]
    stop_failure_share: Option<u32>,
    /// How often a device that has failed is tried again; absent: never.
    #[schema(nullable = false, minimum = 0, maximum = 10)]
    retries: Option<u32>,
    /// A device that has not called in for so long since its turn came has failed, in seconds; absent: as configured. Time outside
    /// the window does not count.
    #[schema(nullable = false, minimum = 1, maximum = 2_592_000)]
    device_timeout: Option<u32>,
}

/// A campaign to be made.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = CampaignCreate, example = json!({
    "name": "Spring roll-out", "operation": "firmware", "firmware_image": 3, "selection": {"tag": ["spring"]},
    "canary": 5, "steps": [10, 50, 100], "stop_after_failures": 25
}))]
pub(in crate::api) struct CampaignCreateSchema {
    /// A wished-for id.
    #[schema(minimum = 1, maximum = 2_147_483_647)]
    id: Option<u32>,
    #[schema(inline)]
    #[serde(flatten)]
    fields: CampaignSchema,
}

/// Which devices take part: the filters of the device list; all that are given must hold. Empty: all devices that the maker
/// may see. They are selected when the campaign starts.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = CampaignSelectionFields)]
pub(in crate::api) struct SelectionSchema {
    r#type: Option<u32>,
    organization: Option<u32>,
    location: Option<u32>,
    /// `Up` or `Down`.
    #[schema(pattern = "^(Up|Down)$")]
    status: Option<String>,
    is_active: Option<bool>,
    /// With all of these tags, exactly.
    #[schema(max_items = 64)]
    tag: Option<Vec<String>>,
    /// With all of these words, each anywhere in serial number, name, customer id, address or a tag.
    #[schema(max_length = 256)]
    search: Option<String>,
    #[schema(max_length = 256)]
    software_version: Option<String>,
    #[schema(max_length = 256)]
    manufacturer: Option<String>,
    /// Only these; those that are not there are left out.
    #[schema(min_items = 1, max_items = 10_000)]
    serial_numbers: Option<Vec<String>>,
}

/// When devices may begin: hours of some weekdays. A window that closes at or before the hour of its opening closes on the next
/// day.
#[derive(ToSchema)]
#[expect(dead_code, reason = "a schema only")]
#[schema(as = CampaignWindowFields)]
pub(in crate::api) struct WindowSchema {
    /// On which days it opens: `mon` to `sun`.
    #[schema(min_items = 1, max_items = 7)]
    days: Vec<String>,
    #[schema(pattern = "^([01][0-9]|2[0-3]):[0-5][0-9]$")]
    from: String,
    #[schema(pattern = "^(([01][0-9]|2[0-3]):[0-5][0-9]|24:00)$")]
    to: String,
    /// An IANA name.
    #[schema(example = "Europe/Berlin", max_length = 64)]
    time_zone: String,
}

/// What a body asks for; `None`: nothing is said of it.
#[derive(Debug)]
pub(super) struct Draft {
    pub(super) wished: Option<u32>,
    name: Option<String>,
    operation: Option<CampaignOperation>,
    selection: Option<Selection>,
    canary: Option<u32>,
    steps: Option<Vec<u8>>,
    pace: Pace,
}

/// What may be changed while a campaign is halted.
#[derive(Debug)]
#[expect(clippy::option_option, reason = "absent and null are different things")]
struct Pace {
    step_pause: Option<u32>,
    window: Option<Option<Window>>,
    concurrency: Option<u32>,
    stop_after_failures: Option<Option<u32>>,
    stop_failure_share: Option<Option<u8>>,
    retries: Option<u32>,
    device_timeout: Option<u32>,
}

impl Draft {
    /// Whether a campaign that has begun may be changed so.
    pub(super) const fn is_of_course(&self) -> bool {
        self.operation.is_none() && self.selection.is_none() && self.canary.is_none() && self.steps.is_none()
    }

    pub(super) fn apply(self, campaign: &mut Campaign) {
        let Self { wished: _, name, operation, selection, canary, steps, pace } = self;
        put(&mut campaign.name, name);
        put(&mut campaign.operation, operation);
        put(&mut campaign.selection, selection);
        put(&mut campaign.rollout.canary, canary);
        put(&mut campaign.rollout.steps, steps);
        let rules = &mut campaign.rules;
        put(&mut rules.step_pause_secs, pace.step_pause);
        put(&mut rules.window, pace.window);
        put(&mut rules.concurrency, pace.concurrency);
        put(&mut rules.stop_after_failures, pace.stop_after_failures);
        put(&mut rules.stop_failure_share, pace.stop_failure_share);
        put(&mut rules.retries, pace.retries);
        put(&mut rules.device_timeout_secs, pace.device_timeout);
    }
}

fn put<T>(field: &mut T, given: Option<T>) {
    if let Some(given) = given {
        *field = given;
    }
}

/// A campaign before anything is said of it.
pub(super) fn blank(
    config: &CampaignsConfig,
    organizations: Option<Vec<OrganizationId>>,
    created_by: String,
    created: Timestamp,
) -> Campaign {
    Campaign {
        id: CampaignId(0),
        name: String::new(),
        operation: CampaignOperation::Sync,
        selection: Selection::default(),
        rollout: Rollout::default(),
        rules: Rules {
            step_pause_secs: 0,
            window: None,
            concurrency: config.concurrency,
            stop_after_failures: None,
            stop_failure_share: None,
            retries: 0,
            device_timeout_secs: config.device_timeout_secs,
        },
        organizations,
        created,
        created_by,
        course: Course::draft(),
    }
}

/// Reads a body; `present`: what is to be changed by it.
pub(super) fn read(
    body: Map<String, Value>,
    write: Write,
    present: Option<&Campaign>,
    state: &ApiState,
    caller: &Caller,
) -> Result<Draft, ApiError> {
    let named: Vec<&str> = operation::FIELDS.into_iter().filter(|field| body.contains_key(*field)).collect();
    let mut fields = Fields::new(body);
    let config = state.campaigns.config();
    let wished = read_wished(&mut fields, write);
    let name = fields.filled_line("name");
    let operation = operation::read(&mut fields, write, &named, present.map(|campaign| &campaign.operation), state);
    let selection = match fields.object("selection") {
        Some(object) => read_selection(object, state, caller)?.map_or_else(
            |wrong| {
                fields.nested_errors("selection", wrong);
                None
            },
            Some,
        ),
        None => None,
    };
    if write != Write::Change {
        fields.require("name", name.as_ref());
        fields.require("selection", selection.as_ref());
    }
    let canary = write.or_default(fields.integer("canary", 0..=i32::MAX.unsigned_abs()), || 0);
    let steps = write.or_default(read_steps(&mut fields), || vec![100]);
    let window = fields.nullable("window", |fields, name| {
        let object = fields.object(name)?;
        read_window(object).map_err(|wrong| fields.nested_errors(name, wrong)).ok()
    });
    let count =
        fields.nullable("stop_after_failures", |fields, name| fields.integer(name, 1..=i32::MAX.unsigned_abs()));
    let share = fields.nullable("stop_failure_share", |fields, name| {
        fields.integer(name, 1..=100).and_then(|share| u8::try_from(share).ok())
    });
    let pace = Pace {
        step_pause: write.or_default(fields.integer("step_pause", 0..=SPAN_MAX_SECS), || 0),
        window: write.or_default(window, || None),
        concurrency: write.or_default(fields.integer("concurrency", 1..=CONCURRENCY_MAX), || config.concurrency),
        stop_after_failures: write.or_default(count, || None),
        stop_failure_share: write.or_default(share, || None),
        retries: write.or_default(fields.integer("retries", 0..=RETRIES_MAX), || 0),
        device_timeout: write
            .or_default(fields.integer("device_timeout", 1..=SPAN_MAX_SECS), || config.device_timeout_secs),
    };
    fields.finish(&READ_ONLY)?;
    let operation = operation.map(|operation| operation::seal(operation, state)).transpose()?;
    Ok(Draft { wished, name, operation, selection, canary, steps, pace })
}

fn read_steps(fields: &mut Fields) -> Option<Vec<u8>> {
    let steps = fields.ids("steps")?;
    let are_increasing = steps.is_sorted_by(|one, next| one < next);
    let fit = !steps.is_empty() && steps.len() <= STEPS_MAX && steps.first() > Some(&0) && steps.last() == Some(&100);
    if !(are_increasing && fit) {
        fields.error("steps", "Must be increasing percentages from 1 on, the last one 100.");
        return None;
    }
    Some(steps.into_iter().filter_map(|step| u8::try_from(step).ok()).collect())
}

/// 403 for an organization that the caller does not see.
fn read_selection(
    object: Map<String, Value>,
    state: &ApiState,
    caller: &Caller,
) -> Result<Result<Selection, FieldErrors>, ApiError> {
    let mut fields = Fields::new(object);
    let mut id = |name: &str| fields.nullable(name, |fields, name| fields.integer(name, 1..=u32::MAX)).flatten();
    let (device_type, organization, location) = (id("type"), id("organization"), id("location"));
    let device_type = device_type.map(DeviceTypeId);
    if let Some(unknown) = device_type.filter(|id| state.store.device_types().of(*id).is_none()) {
        fields.error("type", no_such(unknown.0));
    }
    let organization = organization.map(OrganizationId);
    if let Some(organization) = organization {
        caller.require_organization(organization)?;
        if state.store.organizations().of(organization).is_none() {
            fields.error("organization", no_such(organization.0));
        }
    }
    let location = location.map(LocationId);
    let is_known = |id: &LocationId| {
        let location = state.store.locations().of(*id);
        location.is_some_and(|location| location.organization.is_none_or(|owner| caller.sees(owner)))
    };
    if let Some(unknown) = location.filter(|id| !is_known(id)) {
        fields.error("location", no_such(unknown.0));
    }
    let status = fields.nullable("status", |fields, name| {
        fields.parsed(name, |word| match word {
            "Up" => Ok(Status::Up),
            "Down" => Ok(Status::Down),
            other => Err(not_a_choice(other, &["Up", "Down"])),
        })
    });
    let is_active = fields.nullable("is_active", Fields::boolean);
    let tags = fields.nullable("tag", |fields, name| fields.lines(name, TAGS_MAX));
    let search = fields.nullable("search", |fields, name| {
        let text = fields.text(name, LINE_MAX_CHARS)?;
        match text.parse::<SearchWords>() {
            Ok(_words) => Some(text),
            Err(wrong) => {
                fields.error(name, sentence(&wrong));
                None
            }
        }
    });
    let software_version = fields.nullable("software_version", Fields::filled_line);
    let manufacturer = fields.nullable("manufacturer", Fields::filled_line);
    let serial_numbers = fields.nullable("serial_numbers", read_serials);
    Ok(fields.finish(&[]).map(|()| Selection {
        device_type,
        organization,
        location,
        status: status.flatten(),
        is_active: is_active.flatten(),
        tags: tags.flatten().unwrap_or_default(),
        search: search.flatten().unwrap_or_default(),
        software_version: software_version.flatten(),
        manufacturer: manufacturer.flatten(),
        serial_numbers: serial_numbers.flatten(),
    }))
}

fn read_serials(fields: &mut Fields, name: &str) -> Option<Vec<SerialNumber>> {
    let lines = fields.lines(name, SERIALS_MAX)?;
    if lines.is_empty() {
        fields.error(name, "This list may not be empty.");
        return None;
    }
    let serials: Result<Vec<_>, _> = lines.iter().map(|line| SerialNumber::try_from(line.as_str())).collect();
    serials.map_err(|wrong| fields.error(name, sentence(&wrong))).ok()
}

fn read_window(object: Map<String, Value>) -> Result<Window, FieldErrors> {
    let mut fields = Fields::new(object);
    let words = fields.lines("days", DAYS.len());
    let words = fields.require("days", words).unwrap_or_default();
    let mut days = [false; 7];
    for word in &words {
        match DAYS.into_iter().zip(&mut days).find(|(day, _)| day == word) {
            Some((_, opens)) => *opens = true,
            None => fields.error("days", sentence(&not_a_choice(word, &DAYS))),
        }
    }
    if words.is_empty() && fields.is_clean() {
        fields.error("days", "This list may not be empty.");
    }
    let hour = |fields: &mut Fields, name: &str, last: u16| {
        let read = |text: &str| parse_hour(text).filter(|minute| *minute <= last).ok_or("must be a time such as 02:00");
        let minute = fields.parsed(name, read);
        fields.require(name, minute)
    };
    let (from, to) = (hour(&mut fields, "from", 24 * 60 - 1), hour(&mut fields, "to", 24 * 60));
    let time_zone = fields.parsed("time_zone", |name| check_time_zone(name).map(|()| name.to_owned()));
    let time_zone = fields.require("time_zone", time_zone);
    fields.finish(&[])?;
    match (from, to, time_zone) {
        (Some(from), Some(to), Some(time_zone)) => Ok(Window { days, from, to, time_zone }),
        // Unreachable: what is missing has been an error above.
        _ => Err(FieldErrors::one("days", "This field is required.")),
    }
}
