//! Software modules (CWMP 1.2): `ChangeDUState` (TR-069 A.4.1.10) and the two reports on it.

use crate::cwmp::codec::reader::{XmlReader, local_part};
use crate::cwmp::codec::writer::XmlWriter;
use crate::cwmp::codec::{DecodeError, fault};
use crate::cwmp::message::Text;
use crate::cwmp::message::acs::{ChangeDuState, DuOperation};
use crate::cwmp::message::cpe::{AutonomousDuStateChangeComplete, DuResult, DuStateChangeComplete};

pub(super) fn change<'a>(xml: &mut XmlReader<'a, '_>) -> Result<ChangeDuState<'a>, DecodeError> {
    let mut it = ChangeDuState::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Operations" => operations(xml, tag.xsi_type().map_or("", local_part), &mut it.operations)?,
            "CommandKey" => it.command_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok(it)
}

/// What any of the three operations may have.
#[derive(Default)]
struct Members<'a> {
    url: Option<Text<'a>>,
    uuid: Option<Text<'a>>,
    version: Option<Text<'a>>,
    username: Option<Text<'a>>,
    password: Option<Text<'a>>,
    execution_env_ref: Option<Text<'a>>,
}

/// `Operations`: one operation of the type that `xsi:type` names, or a wrapper around elements of these types. One of a
/// type that the standard does not have is passed over.
fn operations<'a>(xml: &mut XmlReader<'a, '_>, ty: &str, list: &mut Vec<DuOperation<'a>>) -> Result<(), DecodeError> {
    let mut it = Members::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "URL" => it.url = Some(xml.trimmed()?),
            "UUID" => it.uuid = Some(xml.trimmed()?),
            "Version" => it.version = Some(xml.trimmed()?),
            "Username" => it.username = Some(xml.text()?),
            "Password" => it.password = Some(xml.text()?),
            "ExecutionEnvRef" => it.execution_env_ref = Some(xml.trimmed()?),
            wrapped => operations(xml, wrapped, list)?,
        }
    }
    let operation = match ty {
        "InstallOpStruct" => DuOperation::Install {
            url: it.url.unwrap_or_default(),
            uuid: it.uuid,
            username: it.username,
            password: it.password,
            execution_env_ref: it.execution_env_ref,
        },
        "UpdateOpStruct" => DuOperation::Update {
            uuid: it.uuid,
            version: it.version,
            url: it.url,
            username: it.username,
            password: it.password,
        },
        "UninstallOpStruct" => DuOperation::Uninstall {
            uuid: it.uuid.unwrap_or_default(),
            version: it.version,
            execution_env_ref: it.execution_env_ref,
        },
        _ => return Ok(()),
    };
    xml.push(list, operation)
}

pub(super) fn write_change(xml: &mut XmlWriter<'_>, it: &ChangeDuState<'_>) {
    for operation in &it.operations {
        write_operation(xml, operation);
    }
    xml.text("CommandKey", &it.command_key);
}

fn write_operation(xml: &mut XmlWriter<'_>, operation: &DuOperation<'_>) {
    let ty = match operation {
        DuOperation::Install { .. } => "InstallOpStruct",
        DuOperation::Update { .. } => "UpdateOpStruct",
        DuOperation::Uninstall { .. } => "UninstallOpStruct",
    };
    for piece in ["<Operations xsi:type=\"cwmp:", ty, "\">"] {
        xml.raw(piece);
    }
    match operation {
        DuOperation::Install { url, uuid, username, password, execution_env_ref } => {
            xml.text("URL", url);
            xml.optional("UUID", uuid.as_deref());
            xml.optional("Username", username.as_deref());
            xml.optional("Password", password.as_deref());
            xml.optional("ExecutionEnvRef", execution_env_ref.as_deref());
        }
        DuOperation::Update { uuid, version, url, username, password } => {
            xml.optional("UUID", uuid.as_deref());
            xml.optional("Version", version.as_deref());
            xml.optional("URL", url.as_deref());
            xml.optional("Username", username.as_deref());
            xml.optional("Password", password.as_deref());
        }
        DuOperation::Uninstall { uuid, version, execution_env_ref } => {
            xml.text("UUID", uuid);
            xml.optional("Version", version.as_deref());
            xml.optional("ExecutionEnvRef", execution_env_ref.as_deref());
        }
    }
    xml.end("Operations");
}

pub(super) fn complete<'a>(xml: &mut XmlReader<'a, '_>) -> Result<DuStateChangeComplete<'a>, DecodeError> {
    let (results, command_key) = report(xml)?;
    Ok(DuStateChangeComplete { results: results.into_iter().map(|(result, _)| result).collect(), command_key })
}

pub(super) fn autonomous_complete<'a>(
    xml: &mut XmlReader<'a, '_>,
) -> Result<AutonomousDuStateChangeComplete<'a>, DecodeError> {
    report(xml).map(|(results, _)| AutonomousDuStateChangeComplete { results })
}

/// A result, and the operation that the autonomous report names.
type Reported<'a> = (DuResult<'a>, Text<'a>);

/// Either report: results and `CommandKey`.
fn report<'a>(xml: &mut XmlReader<'a, '_>) -> Result<(Vec<Reported<'a>>, Text<'a>), DecodeError> {
    let mut list = Vec::new();
    let mut command_key = Text::default();
    while let Some(tag) = xml.child()? {
        match tag.local() {
            "Results" => results(xml, &mut list)?,
            "CommandKey" => command_key = xml.trimmed()?,
            _ => xml.skip()?,
        }
    }
    Ok((list, command_key))
}

/// `Results`: one result, or a wrapper around several.
fn results<'a>(xml: &mut XmlReader<'a, '_>, list: &mut Vec<Reported<'a>>) -> Result<(), DecodeError> {
    let (mut it, mut operation) = (DuResult::default(), Text::default());
    let mut members = 0_usize;
    while let Some(tag) = xml.child()? {
        members += 1;
        match tag.local() {
            "UUID" => it.uuid = xml.trimmed()?,
            "DeploymentUnitRef" => it.deployment_unit_ref = xml.trimmed()?,
            "Version" => it.version = xml.trimmed()?,
            "CurrentState" => it.current_state = xml.trimmed()?,
            "Resolved" => it.resolved = xml.boolean()?,
            "ExecutionUnitRefList" => it.execution_unit_ref_list = xml.trimmed()?,
            "StartTime" => it.start_time = xml.trimmed()?,
            "CompleteTime" => it.complete_time = xml.trimmed()?,
            "Fault" => it.fault = fault::decode_struct(xml)?,
            "OperationPerformed" => operation = xml.trimmed()?,
            _ => {
                members -= 1;
                results(xml, list)?;
            }
        }
    }
    if members > 0 { xml.push(list, (it, operation)) } else { Ok(()) }
}

pub(super) fn write_complete(xml: &mut XmlWriter<'_>, it: &DuStateChangeComplete<'_>) {
    for result in &it.results {
        xml.element("Results", |xml| write_result(xml, result));
    }
    xml.text("CommandKey", &it.command_key);
}

pub(super) fn write_autonomous_complete(xml: &mut XmlWriter<'_>, it: &AutonomousDuStateChangeComplete<'_>) {
    for (result, operation) in &it.results {
        xml.element("Results", |xml| {
            write_result(xml, result);
            xml.text("OperationPerformed", operation);
        });
    }
}

fn write_result(xml: &mut XmlWriter<'_>, result: &DuResult<'_>) {
    xml.text("UUID", &result.uuid);
    xml.text("DeploymentUnitRef", &result.deployment_unit_ref);
    xml.text("Version", &result.version);
    xml.text("CurrentState", &result.current_state);
    xml.boolean("Resolved", result.resolved);
    xml.text("ExecutionUnitRefList", &result.execution_unit_ref_list);
    xml.text("StartTime", &result.start_time);
    xml.text("CompleteTime", &result.complete_time);
    fault::encode_struct(xml, "Fault", &result.fault);
}
