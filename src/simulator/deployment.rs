//! `ChangeDUState` and its outcome (TR-069 A.4.1.10, A.4.2.2).

use super::envelope::{CpeFault, Style, XML_SCHEMA_INSTANCE, fault_text};
use super::state::{State, wall_clock};
use super::xml::Element;

const UNKNOWN_ENVIRONMENT: u16 = 9023;

/// What one operation came to: an `OpResultStruct`.
#[derive(Debug, Clone)]
struct OperationResult {
    uuid: String,
    /// Path of the row in `SoftwareModules.DeploymentUnit.`.
    unit: String,
    version: String,
    state: &'static str,
    fault: u16,
}

/// What a `DUStateChangeComplete` is to tell.
#[derive(Debug, Clone)]
pub(super) struct DeploymentResult {
    pub(super) command_key: String,
    results: Vec<OperationResult>,
}

/// Carries the operations out at once; the outcome goes into a later session.
pub(super) fn change_state(state: &mut State, arguments: &Element<'_>) -> Result<(), CpeFault> {
    let table = format!("{}SoftwareModules.DeploymentUnit.", state.tree.root());
    if state.object(&table).is_none() {
        return Err(CpeFault::new(9000));
    }
    let mut results = Vec::new();
    for operation in arguments.children.iter().filter(|child| child.local == "Operations") {
        for row in targets(state, &table, operation) {
            results.push(perform(state, &table, operation, row));
        }
    }
    if results.is_empty() {
        return Err(CpeFault::new(9003));
    }
    state.deployments.push(DeploymentResult { command_key: arguments.child_text("CommandKey").to_owned(), results });
    Ok(())
}

fn kind_of<'a>(operation: &'a Element<'_>) -> &'a str {
    let kind = operation.attribute(XML_SCHEMA_INSTANCE, "type").unwrap_or_default();
    kind.rsplit(':').next().unwrap_or_default()
}

/// The rows that an operation is about: the one with its UUID, else with its URL, else none. An update that names
/// neither is about all of them.
fn targets(state: &State, table: &str, operation: &Element<'_>) -> Vec<Option<u32>> {
    let (uuid, url) = (operation.child_text("UUID"), operation.child_text("URL"));
    let rows = state.tree.rows(table);
    if kind_of(operation) == "UpdateOpStruct" && uuid.is_empty() && url.is_empty() && !rows.is_empty() {
        return rows.into_iter().map(Some).collect();
    }
    let is_it = |row: &u32| {
        let member = |leaf: &str| state.value(&format!("{table}{row}.{leaf}")).unwrap_or_default();
        (!uuid.is_empty() && member("UUID") == uuid) || (uuid.is_empty() && !url.is_empty() && member("URL") == url)
    };
    vec![rows.into_iter().find(is_it)]
}

fn perform(state: &mut State, table: &str, operation: &Element<'_>, existing: Option<u32>) -> OperationResult {
    let kind = kind_of(operation);
    let mut uuid = operation.child_text("UUID").to_owned();
    if let Some(row) = existing.filter(|_| uuid.is_empty()) {
        uuid = state.value(&format!("{table}{row}.UUID")).unwrap_or_default();
    }
    let mut result = OperationResult {
        uuid: uuid.clone(),
        unit: String::new(),
        version: operation.child_text("Version").to_owned(),
        state: "Failed",
        fault: 0,
    };
    if !uuid.is_empty() && !is_uuid(&uuid) {
        result.fault = 9022;
        return result;
    }
    let environment = operation.child_text("ExecutionEnvRef").trim_end_matches('.');
    if !environment.is_empty() && state.object(&format!("{environment}.")).is_none() {
        result.fault = UNKNOWN_ENVIRONMENT;
        return result;
    }
    let url = operation.child_text("URL");
    match (kind, existing) {
        ("InstallOpStruct", Some(_)) => result.fault = 9026,
        ("InstallOpStruct", None) => {
            let Some(row) = state.tree.add_row(table) else {
                result.fault = 9027;
                return result;
            };
            if result.uuid.is_empty() {
                result.uuid = uuid::Uuid::new_v4().to_string();
            }
            "1.0".clone_into(&mut result.version);
            result.unit = format!("{table}{row}.");
            result.state = "Installed";
            let name = url.rsplit('/').next().unwrap_or_default().to_owned();
            let members =
                [("UUID", result.uuid.as_str()), ("URL", url), ("Name", &name), ("Version", "1.0"), ("Vendor", "acsd")];
            for (leaf, value) in members {
                state.tree.set(&format!("{}{leaf}", result.unit), value);
            }
        }
        ("UpdateOpStruct", Some(row)) => {
            result.unit = format!("{table}{row}.");
            result.state = "Installed";
            if result.version.is_empty() {
                "2.0".clone_into(&mut result.version);
            }
            state.tree.set(&format!("{}Version", result.unit), &result.version);
        }
        ("UninstallOpStruct", Some(row)) => {
            result.unit = format!("{table}{row}.");
            result.state = "Uninstalled";
            state.tree.delete_row(&result.unit);
        }
        ("UpdateOpStruct" | "UninstallOpStruct", None) => result.fault = 9028,
        _ => result.fault = 9003,
    }
    result
}

/// 8-4-4-4-12 hexadecimal digits.
fn is_uuid(text: &str) -> bool {
    let groups: Vec<&str> = text.split('-').collect();
    groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12])
        && groups.iter().all(|group| group.bytes().all(|b| b.is_ascii_hexdigit()))
}

/// The body of a `DUStateChangeComplete`.
pub(super) fn complete(style: &Style, outcome: &DeploymentResult) -> String {
    style.message("DUStateChangeComplete", |writer| {
        // Repeated elements, no SOAP array, as `Operations` are.
        let now = wall_clock().to_string();
        for result in &outcome.results {
            writer.open("Results");
            writer.leaf("UUID", &result.uuid);
            writer.leaf("DeploymentUnitRef", &result.unit);
            writer.leaf("Version", &result.version);
            writer.leaf("CurrentState", result.state);
            writer.leaf("Resolved", if result.fault == 0 { "1" } else { "0" });
            writer.leaf("ExecutionUnitRefList", "");
            writer.leaf("StartTime", &now);
            writer.leaf("CompleteTime", &now);
            writer.open("Fault");
            writer.leaf("FaultCode", &result.fault.to_string());
            writer.leaf("FaultString", if result.fault == 0 { "" } else { fault_text(result.fault) });
            writer.close("Fault");
            writer.close("Results");
        }
        writer.leaf("CommandKey", &outcome.command_key);
    })
}
