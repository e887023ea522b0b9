//! How a campaign looks in answers: what was sent, and how far it has come.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::diagnostic::view::UploadSizeView;
use crate::api::headless::form::type_word;
use crate::api::wanted::MASK;
use crate::api::words::{CampaignStateWord, TypeWord};
use crate::model::campaign::member::Counts;
use crate::model::campaign::window::{DAYS, Window, print_hour};
use crate::model::campaign::{Campaign, CampaignOperation, CampaignState, Selection};
use crate::model::device::Status;
use crate::model::diagnostic::DiagnosticOrder;
use crate::model::transaction::Assignment;

/// A campaign.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Campaign)]
pub(in crate::api) struct CampaignView {
    id: u32,
    #[schema(example = "Spring roll-out")]
    name: String,
    /// `firmware`, `set`, `sync`, `reconf`, `reboot` or `diagnostic`.
    #[schema(example = "firmware", pattern = "^(firmware|set|sync|reconf|reboot|diagnostic)$")]
    operation: &'static str,
    /// Of `firmware`.
    firmware_image: Option<u32>,
    /// Of `set`; stars in the place of secrets.
    variables: Option<Vec<AssignmentView>>,
    /// Of `diagnostic`.
    diagnostic: Option<DiagnosticView>,
    selection: SelectionView,
    canary: u32,
    steps: Vec<u8>,
    /// In seconds.
    step_pause: u32,
    window: Option<WindowView>,
    concurrency: u32,
    stop_after_failures: Option<u32>,
    /// In percent.
    stop_failure_share: Option<u8>,
    retries: u32,
    /// In seconds.
    device_timeout: u32,
    /// Only devices of these and those below them take part; null: of all.
    organizations: Option<Vec<u32>>,
    state: CampaignStateWord,
    /// Why it has stopped; null otherwise.
    reason: Option<String>,
    /// What keeps the next device from having its turn; null: nothing.
    waiting_for: Option<String>,
    /// The present step, from 1; the canary is the first, if there is one. Null: it has not begun.
    step: Option<u32>,
    counts: CountsView,
    created: String,
    created_by: String,
    started_at: Option<String>,
    ended_at: Option<String>,
}

/// How many devices stand where. Of a draft, how many there would be now.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignCounts)]
pub(in crate::api) struct CountsView {
    total: u32,
    pending: u32,
    running: u32,
    succeeded: u32,
    failed: u32,
    skipped: u32,
}

/// A parameter to be written.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignAssignment)]
pub(in crate::api) struct AssignmentView {
    variable_name: String,
    value: String,
    #[schema(value_type = Option<TypeWord>)]
    value_type: Option<&'static str>,
}

/// A test to be run.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignDiagnostic)]
pub(in crate::api) struct DiagnosticView {
    operation: &'static str,
    target: String,
    upload_size: Option<UploadSizeView>,
    count: Option<u32>,
    size: Option<u32>,
    timeout: Option<u32>,
    max_hops: Option<u32>,
    interface: Option<String>,
}

/// Which devices take part; null: it does not matter.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignSelection)]
pub(in crate::api) struct SelectionView {
    r#type: Option<u32>,
    organization: Option<u32>,
    location: Option<u32>,
    /// `Up` or `Down`.
    status: Option<&'static str>,
    is_active: Option<bool>,
    tag: Vec<String>,
    search: String,
    software_version: Option<String>,
    manufacturer: Option<String>,
    serial_numbers: Option<Vec<String>>,
}

/// When devices may begin.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = CampaignWindow)]
pub(in crate::api) struct WindowView {
    #[schema(example = json!(["mon", "tue"]))]
    days: Vec<&'static str>,
    #[schema(example = "02:00")]
    from: String,
    #[schema(example = "05:00")]
    to: String,
    #[schema(example = "Europe/Berlin")]
    time_zone: String,
}

impl CampaignView {
    pub(super) fn of(campaign: &Campaign, counts: Counts, waiting_for: Option<String>) -> Self {
        let Campaign { operation, rules, course, .. } = campaign;
        let (mut firmware_image, mut variables, mut diagnostic) = (None, None, None);
        match operation {
            CampaignOperation::Firmware(image) => firmware_image = Some(image.0),
            CampaignOperation::Set(assignments) => variables = Some(assignments.iter().map(Into::into).collect()),
            CampaignOperation::Diagnostic(order) => diagnostic = Some(DiagnosticView::from(&**order)),
            CampaignOperation::Sync | CampaignOperation::Reconf | CampaignOperation::Reboot => {}
        }
        Self {
            id: campaign.id.0,
            name: campaign.name.clone(),
            operation: operation.as_str(),
            firmware_image,
            variables,
            diagnostic,
            selection: SelectionView::from(&campaign.selection),
            canary: campaign.rollout.canary,
            steps: campaign.rollout.steps.clone(),
            step_pause: rules.step_pause_secs,
            window: rules.window.as_ref().map(WindowView::from),
            concurrency: rules.concurrency,
            stop_after_failures: rules.stop_after_failures,
            stop_failure_share: rules.stop_failure_share,
            retries: rules.retries,
            device_timeout: rules.device_timeout_secs,
            organizations: campaign.organizations.as_ref().map(|all| all.iter().map(|one| one.0).collect()),
            state: course.state.into(),
            reason: course.reason.clone(),
            waiting_for,
            step: (course.state != CampaignState::Draft).then(|| course.step.saturating_add(1)),
            counts: CountsView::from(counts),
            created: campaign.created.to_string(),
            created_by: campaign.created_by.clone(),
            started_at: course.started_at.map(|at| at.to_string()),
            ended_at: course.ended_at.map(|at| at.to_string()),
        }
    }
}

impl From<Counts> for CountsView {
    fn from(counts: Counts) -> Self {
        let Counts { total, pending, running, succeeded, failed, skipped } = counts;
        Self { total, pending, running, succeeded, failed, skipped }
    }
}

impl From<&Assignment> for AssignmentView {
    fn from(assignment: &Assignment) -> Self {
        let shown = assignment.value.plain().filter(|_| !assignment.path.hides_its_value());
        Self {
            variable_name: assignment.path.to_string(),
            value: shown.unwrap_or(MASK).to_owned(),
            value_type: assignment.ty.map(type_word),
        }
    }
}

impl From<&DiagnosticOrder> for DiagnosticView {
    fn from(order: &DiagnosticOrder) -> Self {
        Self {
            operation: order.kind.as_str(),
            target: order.target.clone(),
            upload_size: order.upload_size.as_ref().map(Into::into),
            count: order.count,
            size: order.size,
            timeout: order.timeout_secs,
            max_hops: order.max_hops,
            interface: order.interface.clone(),
        }
    }
}

impl From<&Selection> for SelectionView {
    fn from(selection: &Selection) -> Self {
        let serials = selection.serial_numbers.as_ref();
        Self {
            r#type: selection.device_type.map(|id| id.0),
            organization: selection.organization.map(|id| id.0),
            location: selection.location.map(|id| id.0),
            status: selection.status.map(|status| match status {
                Status::Up => "Up",
                Status::Down => "Down",
            }),
            is_active: selection.is_active,
            tag: selection.tags.clone(),
            search: selection.search.clone(),
            software_version: selection.software_version.clone(),
            manufacturer: selection.manufacturer.clone(),
            serial_numbers: serials.map(|serials| serials.iter().map(ToString::to_string).collect()),
        }
    }
}

impl From<&Window> for WindowView {
    fn from(window: &Window) -> Self {
        let days = DAYS.into_iter().zip(window.days).filter(|(_, opens)| *opens).map(|(day, _)| day);
        Self {
            days: days.collect(),
            from: print_hour(window.from),
            to: print_hour(window.to),
            time_zone: window.time_zone.clone(),
        }
    }
}
