//! Every CWMP message as a type: all RPCs of CWMP 1.0 to 1.4, both directions, requests, responses and faults.
//!
//! Text borrows from the received bytes where it can. Numbers, booleans and enumerations are parsed by the codec, which
//! is lenient where cwmp.md §7 says so; what a message holds is what acsd believes, not what the CPE spelled.

pub mod acs;
pub mod cpe;
pub mod inform;

use std::borrow::Cow;

use super::emission::Declaration;
use super::fault::{AcsFault, CpeFaultCode};
use super::version::{CwmpVersion, Namespace};

/// Text that borrows from the envelope it came in.
pub type Text<'a> = Cow<'a, str>;

/// One SOAP envelope.
#[derive(Debug, Clone, PartialEq)]
pub struct Envelope<'a> {
    /// How the envelope was declared: mirrored in answers.
    pub declaration: Declaration,
    /// The CWMP namespace found, if any.
    pub namespace: Option<Namespace>,
    /// SOAP header elements.
    pub header: Header<'a>,
    /// What it says.
    pub body: Body<'a>,
}

/// SOAP header elements (TR-069 §3.5, Table 4). Unknown ones are ignored.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Header<'a> {
    /// `cwmp:ID`, verbatim; an empty one counts as absent.
    pub id: Option<Text<'a>>,
    /// `cwmp:HoldRequests`, ACS to CPE.
    pub hold_requests: Option<bool>,
    /// `cwmp:SessionTimeout` in seconds, CPE to ACS, in an Inform (1.3).
    pub session_timeout_secs: Option<u32>,
    /// `cwmp:SupportedCWMPVersions` as sent, in an Inform (1.4).
    pub supported_versions: Option<Text<'a>>,
    /// `cwmp:UseCWMPVersion`, in an InformResponse (1.4).
    pub use_version: Option<CwmpVersion>,
}

/// The content of the SOAP body.
#[derive(Debug, Clone, PartialEq)]
pub enum Body<'a> {
    /// An empty body: counts as an empty POST (quirk 14).
    Empty,
    /// A call, in either direction.
    Request(Request<'a>),
    /// The answer to a call.
    Response(Response<'a>),
    /// The refusal of a call.
    Fault(Fault<'a>),
    /// A method that no CWMP version has; its local name.
    Unknown(Text<'a>),
}

/// A method, without its arguments: for matching answers to calls, for logs, and as a closed set of metric labels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[expect(missing_docs, reason = "each is the standard's own method name")]
pub enum Method {
    GetRpcMethods,
    SetParameterValues,
    GetParameterValues,
    GetParameterNames,
    SetParameterAttributes,
    GetParameterAttributes,
    AddObject,
    DeleteObject,
    Reboot,
    Download,
    Upload,
    FactoryReset,
    ScheduleInform,
    GetQueuedTransfers,
    GetAllQueuedTransfers,
    ScheduleDownload,
    CancelTransfer,
    ChangeDuState,
    SetVouchers,
    GetOptions,
    Inform,
    TransferComplete,
    AutonomousTransferComplete,
    RequestDownload,
    Kicked,
    DuStateChangeComplete,
    AutonomousDuStateChangeComplete,
}

impl Method {
    /// Every method of CWMP 1.0 to 1.4.
    pub const ALL: [Self; 27] = [
        Self::GetRpcMethods,
        Self::SetParameterValues,
        Self::GetParameterValues,
        Self::GetParameterNames,
        Self::SetParameterAttributes,
        Self::GetParameterAttributes,
        Self::AddObject,
        Self::DeleteObject,
        Self::Reboot,
        Self::Download,
        Self::Upload,
        Self::FactoryReset,
        Self::ScheduleInform,
        Self::GetQueuedTransfers,
        Self::GetAllQueuedTransfers,
        Self::ScheduleDownload,
        Self::CancelTransfer,
        Self::ChangeDuState,
        Self::SetVouchers,
        Self::GetOptions,
        Self::Inform,
        Self::TransferComplete,
        Self::AutonomousTransferComplete,
        Self::RequestDownload,
        Self::Kicked,
        Self::DuStateChangeComplete,
        Self::AutonomousDuStateChangeComplete,
    ];

    /// The element name of the request; the response's is this with `Response` appended.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::GetRpcMethods => "GetRPCMethods",
            Self::SetParameterValues => "SetParameterValues",
            Self::GetParameterValues => "GetParameterValues",
            Self::GetParameterNames => "GetParameterNames",
            Self::SetParameterAttributes => "SetParameterAttributes",
            Self::GetParameterAttributes => "GetParameterAttributes",
            Self::AddObject => "AddObject",
            Self::DeleteObject => "DeleteObject",
            Self::Reboot => "Reboot",
            Self::Download => "Download",
            Self::Upload => "Upload",
            Self::FactoryReset => "FactoryReset",
            Self::ScheduleInform => "ScheduleInform",
            Self::GetQueuedTransfers => "GetQueuedTransfers",
            Self::GetAllQueuedTransfers => "GetAllQueuedTransfers",
            Self::ScheduleDownload => "ScheduleDownload",
            Self::CancelTransfer => "CancelTransfer",
            Self::ChangeDuState => "ChangeDUState",
            Self::SetVouchers => "SetVouchers",
            Self::GetOptions => "GetOptions",
            Self::Inform => "Inform",
            Self::TransferComplete => "TransferComplete",
            Self::AutonomousTransferComplete => "AutonomousTransferComplete",
            Self::RequestDownload => "RequestDownload",
            Self::Kicked => "Kicked",
            Self::DuStateChangeComplete => "DUStateChangeComplete",
            Self::AutonomousDuStateChangeComplete => "AutonomousDUStateChangeComplete",
        }
    }
}

/// A call, in either direction. `GetRPCMethods` is the only one that both sides make.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the standard's own method; its arguments are documented on the type it holds")]
pub enum Request<'a> {
    GetRpcMethods,
    SetParameterValues(acs::SetParameterValues<'a>),
    GetParameterValues(acs::GetParameterValues<'a>),
    GetParameterNames(acs::GetParameterNames<'a>),
    SetParameterAttributes(acs::SetParameterAttributes<'a>),
    GetParameterAttributes(acs::GetParameterAttributes<'a>),
    AddObject(acs::AddObject<'a>),
    DeleteObject(acs::DeleteObject<'a>),
    Reboot(acs::Reboot<'a>),
    Download(acs::Download<'a>),
    Upload(acs::Upload<'a>),
    FactoryReset,
    ScheduleInform(acs::ScheduleInform<'a>),
    GetQueuedTransfers,
    GetAllQueuedTransfers,
    ScheduleDownload(acs::ScheduleDownload<'a>),
    CancelTransfer(acs::CancelTransfer<'a>),
    ChangeDuState(acs::ChangeDuState<'a>),
    SetVouchers(acs::SetVouchers<'a>),
    GetOptions(acs::GetOptions<'a>),
    Inform(inform::Inform<'a>),
    TransferComplete(cpe::TransferComplete<'a>),
    AutonomousTransferComplete(cpe::AutonomousTransferComplete<'a>),
    RequestDownload(cpe::RequestDownload<'a>),
    Kicked(cpe::Kicked<'a>),
    DuStateChangeComplete(cpe::DuStateChangeComplete<'a>),
    AutonomousDuStateChangeComplete(cpe::AutonomousDuStateChangeComplete<'a>),
}

/// The answer to a call.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "each is the standard's own method; its arguments are documented on the type it holds")]
pub enum Response<'a> {
    GetRpcMethods(acs::MethodList<'a>),
    SetParameterValues(acs::Applied),
    GetParameterValues(acs::ParameterValues<'a>),
    GetParameterNames(acs::ParameterNames<'a>),
    SetParameterAttributes,
    GetParameterAttributes(acs::ParameterAttributes<'a>),
    AddObject(acs::AddObjectResponse),
    DeleteObject(acs::Applied),
    Reboot,
    Download(acs::TransferStarted<'a>),
    Upload(acs::TransferStarted<'a>),
    FactoryReset,
    ScheduleInform,
    GetQueuedTransfers(acs::QueuedTransfers<'a>),
    GetAllQueuedTransfers(acs::AllQueuedTransfers<'a>),
    ScheduleDownload,
    CancelTransfer,
    ChangeDuState,
    SetVouchers,
    GetOptions(acs::OptionList<'a>),
    Inform,
    TransferComplete,
    AutonomousTransferComplete,
    RequestDownload,
    Kicked(cpe::KickedResponse<'a>),
    DuStateChangeComplete,
    AutonomousDuStateChangeComplete,
}

impl Request<'_> {
    /// Which method this calls.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::GetRpcMethods => Method::GetRpcMethods,
            Self::SetParameterValues(_) => Method::SetParameterValues,
            Self::GetParameterValues(_) => Method::GetParameterValues,
            Self::GetParameterNames(_) => Method::GetParameterNames,
            Self::SetParameterAttributes(_) => Method::SetParameterAttributes,
            Self::GetParameterAttributes(_) => Method::GetParameterAttributes,
            Self::AddObject(_) => Method::AddObject,
            Self::DeleteObject(_) => Method::DeleteObject,
            Self::Reboot(_) => Method::Reboot,
            Self::Download(_) => Method::Download,
            Self::Upload(_) => Method::Upload,
            Self::FactoryReset => Method::FactoryReset,
            Self::ScheduleInform(_) => Method::ScheduleInform,
            Self::GetQueuedTransfers => Method::GetQueuedTransfers,
            Self::GetAllQueuedTransfers => Method::GetAllQueuedTransfers,
            Self::ScheduleDownload(_) => Method::ScheduleDownload,
            Self::CancelTransfer(_) => Method::CancelTransfer,
            Self::ChangeDuState(_) => Method::ChangeDuState,
            Self::SetVouchers(_) => Method::SetVouchers,
            Self::GetOptions(_) => Method::GetOptions,
            Self::Inform(_) => Method::Inform,
            Self::TransferComplete(_) => Method::TransferComplete,
            Self::AutonomousTransferComplete(_) => Method::AutonomousTransferComplete,
            Self::RequestDownload(_) => Method::RequestDownload,
            Self::Kicked(_) => Method::Kicked,
            Self::DuStateChangeComplete(_) => Method::DuStateChangeComplete,
            Self::AutonomousDuStateChangeComplete(_) => Method::AutonomousDuStateChangeComplete,
        }
    }
}

impl Response<'_> {
    /// Which method this answers.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::GetRpcMethods(_) => Method::GetRpcMethods,
            Self::SetParameterValues(_) => Method::SetParameterValues,
            Self::GetParameterValues(_) => Method::GetParameterValues,
            Self::GetParameterNames(_) => Method::GetParameterNames,
            Self::SetParameterAttributes => Method::SetParameterAttributes,
            Self::GetParameterAttributes(_) => Method::GetParameterAttributes,
            Self::AddObject(_) => Method::AddObject,
            Self::DeleteObject(_) => Method::DeleteObject,
            Self::Reboot => Method::Reboot,
            Self::Download(_) => Method::Download,
            Self::Upload(_) => Method::Upload,
            Self::FactoryReset => Method::FactoryReset,
            Self::ScheduleInform => Method::ScheduleInform,
            Self::GetQueuedTransfers(_) => Method::GetQueuedTransfers,
            Self::GetAllQueuedTransfers(_) => Method::GetAllQueuedTransfers,
            Self::ScheduleDownload => Method::ScheduleDownload,
            Self::CancelTransfer => Method::CancelTransfer,
            Self::ChangeDuState => Method::ChangeDuState,
            Self::SetVouchers => Method::SetVouchers,
            Self::GetOptions(_) => Method::GetOptions,
            Self::Inform => Method::Inform,
            Self::TransferComplete => Method::TransferComplete,
            Self::AutonomousTransferComplete => Method::AutonomousTransferComplete,
            Self::RequestDownload => Method::RequestDownload,
            Self::Kicked(_) => Method::Kicked,
            Self::DuStateChangeComplete => Method::DuStateChangeComplete,
            Self::AutonomousDuStateChangeComplete => Method::AutonomousDuStateChangeComplete,
        }
    }
}

/// A SOAP fault with the CWMP detail, from either side (TR-069 §3.5, A.5).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault<'a> {
    /// 9xxx from a CPE, 8xxx from an ACS. Unreadable: 9002.
    pub code: CpeFaultCode,
    /// `FaultString` of the detail, or the SOAP `faultstring` where that is missing.
    pub message: Text<'a>,
    /// Per parameter, of a failed `SetParameterValues`.
    pub parameters: Vec<ParameterFault<'a>>,
}

/// `SetParameterValuesFault`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParameterFault<'a> {
    /// The parameter.
    pub name: Text<'a>,
    /// Why it was refused.
    pub code: CpeFaultCode,
    /// In the CPE's words; may be empty.
    pub message: Text<'a>,
}

impl From<AcsFault> for Fault<'_> {
    fn from(fault: AcsFault) -> Self {
        Self { code: CpeFaultCode(fault.code()), message: Cow::Borrowed(fault.meaning()), parameters: Vec::new() }
    }
}

/// `FaultStruct` of a finished transfer (TR-069 A.3.3.2).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FaultStruct<'a> {
    /// 0 means success; so does a missing structure.
    pub code: u16,
    /// In the CPE's words.
    pub message: Text<'a>,
}
