//! The RPCs on parameters and objects (TR-069 A.3.2.1 to A.3.2.7).

use std::collections::BTreeSet;

use tokio::time::Instant;

use crate::simulator::diagnostics;
use crate::simulator::envelope::{CpeFault, Style, XML_SCHEMA_INSTANCE};
use crate::simulator::misbehave::Misbehaviour;
use crate::simulator::model::ObjectKind;
use crate::simulator::report::Event;
use crate::simulator::state::State;
use crate::simulator::xml::Element;
use crate::types::event::EventCode;
use crate::types::value::XsdType;

const INVALID_ARGUMENTS: u16 = 9003;
const INVALID_NAME: u16 = 9005;
const INVALID_TYPE: u16 = 9006;
const INVALID_VALUE: u16 = 9007;
const NOT_WRITABLE: u16 = 9008;
const NOTIFICATION_REJECTED: u16 = 9009;

/// A.3.2.1: all values or none, one fault per bad parameter.
pub(super) fn set_values(state: &mut State, request: &Element<'_>, now: Instant) -> Result<(), CpeFault> {
    let key = parameter_key(request)?;
    let items = request.child("ParameterList").map_or(&[][..], |list| &list.children);
    let mut names = BTreeSet::new();
    let mut faults = Vec::new();
    for item in items {
        let name = item.child_text("Name");
        if !names.insert(name) {
            return Err(CpeFault::new(INVALID_ARGUMENTS));
        }
        if let Some(code) = check_value(state, item) {
            faults.push((name.to_owned(), code));
        }
    }
    if !faults.is_empty() {
        return Err(CpeFault { code: INVALID_ARGUMENTS, parameters: faults });
    }
    // The order in the list means nothing (TR-069 A.3.2.1), except to some CPEs: what requests a test comes last.
    let is_strict = state.config.has(&Misbehaviour::StateFirst);
    let comes_last = |item: &&Element<'_>| !is_strict && item.child_text("Name").ends_with(".DiagnosticsState");
    let (last, first): (Vec<&Element<'_>>, Vec<&Element<'_>>) = items.iter().partition(comes_last);
    for item in first.into_iter().chain(last) {
        apply(state, item.child_text("Name"), item.child_text("Value"), now);
    }
    state.set_management("ParameterKey", &key);
    Ok(())
}

fn check_value(state: &State, item: &Element<'_>) -> Option<u16> {
    let name = item.child_text("Name");
    let Some(spec) = state.tree.parameter(name) else { return Some(INVALID_NAME) };
    if !spec.writable {
        return Some(NOT_WRITABLE);
    }
    let Some(value) = item.child("Value") else { return Some(INVALID_VALUE) };
    let given = value.attribute(XML_SCHEMA_INSTANCE, "type").map(XsdType::parse);
    let is_base64 = |ty| matches!(ty, XsdType::Base64 | XsdType::Base64Binary);
    if given.is_some_and(|given| given != spec.ty && !(is_base64(given) && is_base64(spec.ty))) {
        return Some(INVALID_TYPE);
    }
    let is_forced = |path: &str| state.tree.parameter(path).is_some_and(|spec| spec.forced);
    let is_inform_parameter = name.contains(".InformParameter.") && name.ends_with(".ParameterName");
    let is_taken = spec.accepts(&value.text) && diagnostics::accepts(state, name, &value.text);
    if !is_taken || (is_inform_parameter && is_forced(&value.text)) {
        return Some(INVALID_VALUE);
    }
    None
}

/// Writes one value, and does what writing it means.
fn apply(state: &mut State, name: &str, value: &str, now: Instant) {
    let Some(spec) = state.tree.parameter(name) else { return };
    if spec.trigger {
        return;
    }
    let ty = spec.ty;
    let is_change = state.value(name).is_none_or(|old| !ty.same_value(&old, value));
    state.tree.set(name, value);
    let management = state.management_path("");
    match name.strip_prefix(management.as_str()) {
        Some("PeriodicInformEnable" | "PeriodicInformInterval" | "PeriodicInformTime") => {
            state.reschedule_periodic(now);
        }
        // A new ACS knows nothing of this CPE (TR-069 §3.7.1.5, `0 BOOTSTRAP`).
        Some("URL") if is_change => {
            state.bootstrap();
            state.push_event(Event::plain(EventCode::Bootstrap));
        }
        _ => {}
    }
    if let Some(object) = diagnostics::object_of(state, name) {
        state.test_written(object, name.get(object.len()..).unwrap_or_default(), value, now);
    }
}

/// A.3.2.2: names and partial paths; any bad one fails the whole call.
pub(super) fn get_values(state: &State, style: &Style, request: &Element<'_>) -> Result<String, CpeFault> {
    let mut found: Vec<(String, XsdType, String)> = Vec::new();
    for path in named_paths(state, request)? {
        let (ty, value) = state.read(&path).ok_or(CpeFault::new(INVALID_NAME))?;
        found.push((path, ty, value));
    }
    Ok(style.message("GetParameterValuesResponse", |writer| {
        writer.array("ParameterList", "cwmp:ParameterValueStruct", found.len(), |writer| {
            for (path, ty, value) in &found {
                writer.parameter(path, *ty, value);
            }
        });
    }))
}

/// A.3.2.3.
pub(super) fn get_names(state: &State, style: &Style, request: &Element<'_>) -> Result<String, CpeFault> {
    let path = request.child_text("ParameterPath").trim();
    let is_next_level = match request.child_text("NextLevel") {
        "1" | "true" => true,
        "0" | "false" => false,
        _ => return Err(CpeFault::new(INVALID_ARGUMENTS)),
    };
    let found = names_below(state, path, is_next_level)?;
    Ok(style.message("GetParameterNamesResponse", |writer| {
        writer.array("ParameterList", "cwmp:ParameterInfoStruct", found.len(), |writer| {
            for (name, is_writable) in &found {
                writer.open("ParameterInfoStruct");
                writer.leaf("Name", name);
                writer.leaf("Writable", if *is_writable { "1" } else { "0" });
                writer.close("ParameterInfoStruct");
            }
        });
    }))
}

fn names_below(state: &State, path: &str, is_next_level: bool) -> Result<Vec<(String, bool)>, CpeFault> {
    let tree = &state.tree;
    let root = tree.root();
    if path.is_empty() && is_next_level {
        return Ok(vec![(root.to_owned(), false)]);
    }
    let path = if path.is_empty() { root } else { path };
    if !path.ends_with('.') {
        let spec = tree.parameter(path).ok_or(CpeFault::new(INVALID_NAME))?;
        let code = CpeFault::new(INVALID_ARGUMENTS);
        return if is_next_level { Err(code) } else { Ok(vec![(path.to_owned(), spec.writable)]) };
    }
    if tree.object(path).is_none() {
        return Err(CpeFault::new(INVALID_NAME));
    }
    let is_listed = |name: &str| {
        let rest = name.strip_prefix(path).unwrap_or_default();
        !is_next_level || (!rest.is_empty() && !rest.trim_end_matches('.').contains('.'))
    };
    let objects = tree
        .objects_below(path)
        .filter(|(name, _)| is_listed(name))
        .map(|(name, kind)| (name.to_owned(), tree.is_writable(kind)));
    let parameters = tree
        .parameters_below(path)
        .filter(|(name, _)| is_listed(name))
        .map(|(name, spec)| (name.to_owned(), spec.writable));
    let mut found: Vec<(String, bool)> = objects.chain(parameters).collect();
    found.sort();
    Ok(found)
}

/// A.3.2.4: all or none.
pub(super) fn set_attributes(state: &mut State, request: &Element<'_>) -> Result<(), CpeFault> {
    let items = request.child("ParameterList").map_or(&[][..], |list| &list.children);
    let mut changes = Vec::new();
    for item in items {
        let paths = expand(state, item.child_text("Name").trim())?;
        let is_asked = |member: &str| matches!(item.child_text(member).trim(), "1" | "true");
        let highest = if state.config.version >= crate::simulator::CpeVersion::V1_4 { 6 } else { 2 };
        let notification = item.child_text("Notification").trim().parse::<u8>().ok().filter(|n| *n <= highest);
        let notification = notification.ok_or(CpeFault::new(INVALID_ARGUMENTS))?;
        for path in paths {
            let mut attributes = state.attributes(&path);
            if is_asked("NotificationChange") {
                let is_denied = state.tree.parameter(&path).is_some_and(|spec| spec.deny);
                if is_denied && notification == 2 {
                    return Err(CpeFault::new(NOTIFICATION_REJECTED));
                }
                attributes.notification = notification;
            }
            if is_asked("AccessListChange") {
                let list = item.child("AccessList").map_or(&[][..], |list| &list.children);
                attributes.access_list = list.iter().map(|entry| entry.text.clone().into_owned()).collect();
            }
            changes.push((path, attributes));
        }
    }
    state.attributes.extend(changes.into_iter().map(|(path, attributes)| (path.into_boxed_str(), attributes)));
    Ok(())
}

/// A.3.2.5.
pub(super) fn get_attributes(state: &State, style: &Style, request: &Element<'_>) -> Result<String, CpeFault> {
    let paths = named_paths(state, request)?;
    Ok(style.message("GetParameterAttributesResponse", |writer| {
        writer.array("ParameterList", "cwmp:ParameterAttributeStruct", paths.len(), |writer| {
            for path in &paths {
                let attributes = state.attributes(path);
                writer.open("ParameterAttributeStruct");
                writer.leaf("Name", path);
                writer.leaf("Notification", &attributes.notification.to_string());
                writer.array("AccessList", "xsd:string", attributes.access_list.len(), |writer| {
                    for entry in &attributes.access_list {
                        writer.leaf("string", entry);
                    }
                });
                writer.close("ParameterAttributeStruct");
            }
        });
    }))
}

/// A.3.2.6: the new row's number.
pub(super) fn add_object(state: &mut State, request: &Element<'_>) -> Result<u32, CpeFault> {
    let key = parameter_key(request)?;
    let table = request.child_text("ObjectName");
    let is_table =
        state.object(table).is_some_and(|kind| matches!(kind, ObjectKind::Table(_)) && state.tree.is_writable(kind));
    if !is_table {
        return Err(CpeFault::new(INVALID_NAME));
    }
    let number = state.tree.add_row(table).ok_or(CpeFault::new(9004))?;
    state.set_management("ParameterKey", &key);
    Ok(number)
}

/// A.3.2.7.
pub(super) fn delete_object(state: &mut State, request: &Element<'_>) -> Result<(), CpeFault> {
    let key = parameter_key(request)?;
    let row = request.child_text("ObjectName");
    if state.object(row) != Some(ObjectKind::Row { deletable: true }) {
        return Err(CpeFault::new(INVALID_NAME));
    }
    state.tree.delete_row(row);
    let gone: Vec<Box<str>> = state.attributes.keys().filter(|path| path.starts_with(row)).cloned().collect();
    for path in gone {
        state.attributes.remove(&path);
    }
    state.changed.retain(|path| !path.starts_with(row));
    state.set_management("ParameterKey", &key);
    Ok(())
}

/// `ParameterKey` has at most 32 characters.
fn parameter_key(request: &Element<'_>) -> Result<String, CpeFault> {
    let key = request.child_text("ParameterKey");
    if key.chars().count() > 32 {
        return Err(CpeFault::new(INVALID_ARGUMENTS));
    }
    Ok(key.to_owned())
}

/// The parameters that `ParameterNames` stands for, each once.
fn named_paths(state: &State, request: &Element<'_>) -> Result<Vec<String>, CpeFault> {
    let names = request.child("ParameterNames").map_or(&[][..], |list| &list.children);
    if names.is_empty() {
        return Err(CpeFault::new(INVALID_ARGUMENTS));
    }
    let mut paths: Vec<String> = Vec::new();
    for name in names {
        for path in expand(state, name.text.trim())? {
            if !paths.contains(&path) {
                paths.push(path);
            }
        }
    }
    Ok(paths)
}

/// A parameter, or all below an object; the empty name is the root.
fn expand(state: &State, name: &str) -> Result<Vec<String>, CpeFault> {
    let tree = &state.tree;
    if !name.is_empty() && !name.ends_with('.') {
        let is_known = tree.parameter(name).is_some();
        return if is_known { Ok(vec![name.to_owned()]) } else { Err(CpeFault::new(INVALID_NAME)) };
    }
    let object = if name.is_empty() { tree.root() } else { name };
    if tree.object(object).is_none() {
        return Err(CpeFault::new(INVALID_NAME));
    }
    Ok(tree.parameters_below(object).map(|(path, _)| path.to_owned()).collect())
}
