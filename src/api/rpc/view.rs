//! How calls look in answers: the transaction and, once it has ended, what it brought.

use serde::Serialize;
use utoipa::ToSchema;

use crate::api::headless::form::kind_word;
use crate::api::transaction::{FaultView, TransactionView};
use crate::api::words::KindOfValue;
use crate::model::call::Call;
use crate::model::call::results::{Record, ResultList, SKIPPED, TOTAL, records};
use crate::model::device::Device;
use crate::model::transaction::{Transaction, VariableResult, Work};
use crate::types::path::hides_its_value;
use crate::types::value::XsdType;

/// A call.
#[derive(Debug, Serialize, ToSchema)]
pub(in crate::api) struct RpcView {
    #[serde(flatten)]
    #[schema(inline)]
    transaction: TransactionView,
    /// Something to know of one that is completed.
    note: Option<String>,
    /// What it brought; null before its end.
    result: Option<RpcResult>,
}

/// What a call brought; each method has some of these fields.
#[derive(Debug, Default, Serialize, ToSchema)]
#[schema(as = RpcResult)]
pub(in crate::api) struct RpcResult {
    /// `GetRPCMethods`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    methods: Option<Vec<String>>,
    /// `GetParameterNames`, `GetParameterValues`, `SetParameterValues`, `GetParameterAttributes`,
    /// `SetParameterAttributes`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    parameters: Option<Vec<ParameterResult>>,
    /// `AddObject`, `DeleteObject`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    objects: Option<Vec<ObjectResult>>,
    /// `GetQueuedTransfers`, `GetAllQueuedTransfers`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    transfers: Option<Vec<TransferResult>>,
    /// `GetOptions`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    options: Option<Vec<OptionResult>>,
    /// `ChangeDUState`: one for each operation, in their order.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    operations: Option<Vec<OperationResult>>,
    /// A discovery: names that the device has.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    names: Option<u64>,
    /// A discovery: objects that had to be left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    skipped: Option<u64>,
}

/// A parameter, or an object with its final dot; what was not asked is left out.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RpcParameterResult)]
struct ParameterResult {
    path: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    value: Option<String>,
    /// `integer`, `boolean` or `string`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<KindOfValue>, nullable = false)]
    value_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(example = "xsd:unsignedInt", nullable = false)]
    xsd_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    writable: Option<bool>,
    /// 0 off, 1 passive, 2 active, 3 to 6 lightweight.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    notification: Option<i64>,
    /// Who may write besides the ACS.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    access_list: Option<Vec<String>>,
    fault: Option<FaultView>,
}

/// A row that was added or deleted.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RpcObjectResult)]
struct ObjectResult {
    path: String,
    /// Of a row that was added.
    instance_number: Option<u32>,
    fault: Option<FaultView>,
}

/// A transfer in the device's queue.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RpcTransferResult)]
struct TransferResult {
    command_key: String,
    /// 1 not started, 2 in progress, 3 completed but not reported.
    state: Option<i64>,
    /// Only `GetAllQueuedTransfers` tells.
    is_download: Option<bool>,
    /// Only `GetAllQueuedTransfers` tells.
    file_type: Option<String>,
    /// Bytes; only `GetAllQueuedTransfers` tells.
    file_size: Option<i64>,
    /// Only `GetAllQueuedTransfers` tells.
    target_file_name: Option<String>,
}

/// An option of the device.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RpcOptionResult)]
struct OptionResult {
    option_name: String,
    /// Of its voucher.
    voucher_sn: Option<i64>,
    /// 0 to 3.
    state: Option<i64>,
    /// 0 to 2.
    mode: Option<i64>,
    /// As the device writes it.
    start_date: Option<String>,
    /// As the device writes it.
    expiration_date: Option<String>,
    is_transferable: Option<bool>,
}

/// What became of an operation on a deployment unit.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = RpcOperationResult)]
struct OperationResult {
    /// `install`, `update` or `uninstall`.
    operation: Option<String>,
    uuid: String,
    /// Path of the unit.
    deployment_unit_ref: String,
    version: String,
    /// `Installed`, `Uninstalled` or `Failed`.
    current_state: String,
    /// Whether what it depends upon is there.
    resolved: Option<bool>,
    /// Paths of its execution units.
    execution_unit_ref_list: Vec<String>,
    /// As the device writes it.
    start_time: String,
    /// As the device writes it.
    complete_time: String,
    fault: Option<FaultView>,
}

impl RpcView {
    pub(super) fn of(device: &Device, transaction: Transaction, results: &[VariableResult]) -> Self {
        let result = transaction.status.is_final().then(|| RpcResult::of(&transaction.work, results));
        let note = transaction.note.clone();
        Self { transaction: TransactionView::of(device, transaction), note, result }
    }
}

impl RpcResult {
    fn of(work: &Work, results: &[VariableResult]) -> Self {
        let none = Self::default();
        match work {
            Work::Get { .. } | Work::Set { .. } => {
                Self { parameters: Some(results.iter().map(ParameterResult::of_value).collect()), ..none }
            }
            Work::AddObject { .. } | Work::DeleteObject { .. } => {
                Self { objects: Some(results.iter().map(ObjectResult::of).collect()), ..none }
            }
            Work::Discover { .. } => {
                let count = |name: &str| {
                    let found = results.iter().find(|result| &*result.path == name)?;
                    found.value.as_deref()?.parse().ok()
                };
                Self { names: count(TOTAL), skipped: count(SKIPPED), ..none }
            }
            Work::Call(call) => Self::of_call(call, results),
            Work::Reboot
            | Work::FactoryReset
            | Work::Sync
            | Work::Reconfigure
            | Work::DeviceFactory
            | Work::Configure(_)
            | Work::Diagnose(_)
            | Work::Download(_)
            | Work::Upload(_) => none,
        }
    }

    fn of_call(call: &Call, results: &[VariableResult]) -> Self {
        let none = Self::default();
        match call {
            Call::GetRpcMethods => {
                let names = records(results, ResultList::Methods);
                let names = names.iter().filter_map(Record::item).map(str::to_owned);
                Self { methods: Some(names.collect()), ..none }
            }
            Call::GetParameterNames { .. }
            | Call::GetParameterAttributes { .. }
            | Call::SetParameterAttributes { .. } => {
                Self { parameters: Some(each(results, ResultList::Parameters, ParameterResult::of)), ..none }
            }
            Call::GetQueuedTransfers | Call::GetAllQueuedTransfers => {
                Self { transfers: Some(each(results, ResultList::Transfers, TransferResult::of)), ..none }
            }
            Call::GetOptions { .. } => {
                Self { options: Some(each(results, ResultList::Options, OptionResult::of)), ..none }
            }
            Call::ChangeDuState { .. } => {
                Self { operations: Some(each(results, ResultList::Operations, OperationResult::of)), ..none }
            }
            Call::ScheduleInform { .. } | Call::CancelTransfer { .. } | Call::SetVouchers { .. } => none,
        }
    }
}

fn each<T>(results: &[VariableResult], list: ResultList, read: fn(&Record<'_>) -> T) -> Vec<T> {
    records(results, list).iter().map(read).collect()
}

/// A field of which an empty one is as good as none.
fn text(record: &Record<'_>, field: &str) -> String {
    record.text(field).unwrap_or_default().to_owned()
}

fn words(record: &Record<'_>, field: &str) -> Option<Vec<String>> {
    let listed = record.text(field)?.split(',').map(str::trim).filter(|word| !word.is_empty());
    Some(listed.map(str::to_owned).collect())
}

impl ParameterResult {
    fn of(record: &Record<'_>) -> Self {
        Self {
            path: text(record, "Name"),
            value: None,
            value_type: None,
            xsd_type: None,
            writable: record.boolean("Writable"),
            notification: record.number("Notification"),
            access_list: words(record, "AccessList"),
            fault: record.fault().map(FaultView::of),
        }
    }

    fn of_value(result: &VariableResult) -> Self {
        Self {
            path: result.path.to_string(),
            value: result.value.as_deref().filter(|_| !hides_its_value(&result.path)).map(str::to_owned),
            value_type: result.ty.map(|ty| kind_word(ty.kind())),
            xsd_type: result.ty.map(XsdType::qualified),
            writable: None,
            notification: None,
            access_list: None,
            fault: result.fault.as_ref().map(FaultView::of),
        }
    }
}

impl ObjectResult {
    fn of(result: &VariableResult) -> Self {
        Self {
            path: result.path.to_string(),
            instance_number: result.instance_number,
            fault: result.fault.as_ref().map(FaultView::of),
        }
    }
}

impl TransferResult {
    fn of(record: &Record<'_>) -> Self {
        Self {
            command_key: text(record, "CommandKey"),
            state: record.number("State"),
            is_download: record.boolean("IsDownload"),
            file_type: record.text("FileType").map(str::to_owned),
            file_size: record.number("FileSize"),
            target_file_name: record.text("TargetFileName").map(str::to_owned),
        }
    }
}

impl OptionResult {
    fn of(record: &Record<'_>) -> Self {
        Self {
            option_name: text(record, "OptionName"),
            voucher_sn: record.number("VoucherSN"),
            state: record.number("State"),
            mode: record.number("Mode"),
            start_date: record.text("StartDate").map(str::to_owned),
            expiration_date: record.text("ExpirationDate").map(str::to_owned),
            is_transferable: record.boolean("IsTransferable"),
        }
    }
}

impl OperationResult {
    fn of(record: &Record<'_>) -> Self {
        Self {
            operation: record.text("Operation").map(str::to_owned),
            uuid: text(record, "UUID"),
            deployment_unit_ref: text(record, "DeploymentUnitRef"),
            version: text(record, "Version"),
            current_state: text(record, "CurrentState"),
            resolved: record.boolean("Resolved"),
            execution_unit_ref_list: words(record, "ExecutionUnitRefList").unwrap_or_default(),
            start_time: text(record, "StartTime"),
            complete_time: text(record, "CompleteTime"),
            fault: record.fault().map(FaultView::of),
        }
    }
}
