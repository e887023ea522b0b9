//! Which devices a request means: the parameters that list and export share.

use utoipa::IntoParams;

use super::form;
use crate::api::ApiState;
use crate::api::access::Caller;
use crate::api::error::ApiError;
use crate::api::query::Query;
use crate::model::device::{DeviceTypeId, OrganizationId, Status};
use crate::model::inventory::LocationId;
use crate::store::DeviceFilter;

/// Most tags of one filter.
const TAGS_MAX: usize = 64;

/// What devices are filtered and ordered by; for the description, read by [`read`].
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
#[expect(dead_code, reason = "describes parameters that are read by name")]
pub(in crate::api) struct FilterParameters {
    /// Only of this type
    r#type: Option<u32>,
    /// Only Up (`1`, `true`, `True`) or Down (`0`, `false`, `False`)
    status: Option<bool>,
    /// Only with a status change at or after this date, or date and time
    last_status_change_from: Option<String>,
    /// Only of this organization
    organization: Option<u32>,
    /// Only active, or only inactive
    is_active: Option<bool>,
    /// Only with all of these words, each anywhere in serial number, alternative serial number, name, customer id, address
    /// or a tag; without regard to case
    search: Option<String>,
    /// Only with this tag, exactly; several, repeated or joined by commas: with all of them
    tag: Option<String>,
    /// Only with exactly this software version
    software_version: Option<String>,
    /// Only of exactly this manufacturer
    manufacturer: Option<String>,
    /// Only at this location
    location: Option<u32>,
    /// Up to three fields joined by commas, each with a minus sign for the reverse: `id` (unless told), `serial_number`, `name`,
    /// `customer_id`, `status`, `status_change`, `last_connection`, `created`, `software_version`, `manufacturer`, `address`.
    /// Equals are ordered by id
    #[param(example = "-last_connection,name")]
    ordering: Option<String>,
}

/// Reads the parameters; what is wrong is noted in the query.
///
/// # Errors
/// 403 when an organization is named that the token does not cover.
pub(super) fn read(query: &mut Query, caller: &Caller, state: &ApiState) -> Result<DeviceFilter, ApiError> {
    let organization = query.number("organization").map(OrganizationId);
    if let Some(organization) = organization {
        caller.require_organization(organization)?;
        if state.store.organizations().of(organization).is_none() {
            query.error("organization", form::no_such(organization.0));
        }
    }
    let device_type = query.number("type").map(DeviceTypeId);
    if let Some(unknown) = device_type.filter(|id| state.store.device_types().of(*id).is_none()) {
        query.error("type", form::no_such(unknown.0));
    }
    let location = query.number("location").map(LocationId);
    // A location of others is not known here either.
    let known = |id: &LocationId| {
        let location = state.store.locations().of(*id);
        location.is_some_and(|location| location.organization.is_none_or(|owner| caller.sees(owner)))
    };
    if let Some(unknown) = location.filter(|id| !known(id)) {
        query.error("location", form::no_such(unknown.0));
    }
    let status = query.boolean("status").map(|up| if up { Status::Up } else { Status::Down });
    Ok(DeviceFilter {
        among: None,
        firmware_image: None,
        visible: caller.visible().map(<[_]>::to_vec),
        organization,
        device_type,
        status,
        is_active: query.boolean("is_active"),
        status_change_from: query.time("last_status_change_from"),
        search: read_words(query),
        tags: read_tags(query),
        software_version: query.text("software_version").map(str::to_owned),
        manufacturer: query.text("manufacturer").map(str::to_owned),
        location,
        order: query.choice("ordering", |text| text.parse().map_err(|error| format!("{error}"))).unwrap_or_default(),
    })
}

fn read_words(query: &mut Query) -> crate::store::listing::SearchWords {
    query.choice("search", |text| text.parse().map_err(|error| format!("{error}"))).unwrap_or_default()
}

fn read_tags(query: &mut Query) -> Vec<String> {
    let given = query.texts("tag").flat_map(|text| text.split(',')).map(str::trim).filter(|tag| !tag.is_empty());
    let tags: Vec<String> = given.take(TAGS_MAX + 1).map(str::to_owned).collect();
    if tags.len() > TAGS_MAX {
        query.error("tag", format!("Ensure there are no more than {TAGS_MAX} tags."));
    }
    tags
}
